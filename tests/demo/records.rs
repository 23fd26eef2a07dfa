//! The records of the demo API: the same ones every time, from a seed; nested, with gaps, dates, and letters from
//! everywhere.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// Records written out once, so that a page is a slice.
pub(crate) struct Collection {
    /// The records' JSON, each followed by a comma.
    text: Vec<u8>,
    /// Where each record ends, behind its comma.
    ends: Vec<usize>,
}

impl Collection {
    /// The records with the ids 1 to `count`.
    pub(crate) fn write<T: Serialize>(count: u64, record: impl Fn(u64) -> T) -> Self {
        let mut collection = Self { text: Vec::new(), ends: Vec::new() };
        for id in 1..=count {
            let start = collection.text.len();
            // What cannot be written is left out; records of plain fields always can.
            if serde_json::to_writer(&mut collection.text, &record(id)).is_err() {
                collection.text.truncate(start);
                continue;
            }
            collection.text.push(b',');
            collection.ends.push(collection.text.len());
        }
        collection
    }

    /// `{"data": […]}` with at most `limit` records behind the first `offset`.
    pub(crate) fn page(&self, offset: usize, limit: usize) -> Vec<u8> {
        let end_of = |count: usize| match count.min(self.ends.len()) {
            0 => 0,
            count => self.ends[count - 1],
        };
        let records = &self.text[end_of(offset)..end_of(offset.saturating_add(limit))];
        let records = records.strip_suffix(b",").unwrap_or(records);
        [b"{\"data\":[", records, b"]}"].concat()
    }
}

#[derive(Serialize)]
pub(crate) struct Project {
    id: u64,
    key: String,
    name: String,
    owner_id: u64,
    budget: Option<f64>,
    started_on: String,
    archived: bool,
    updated_at: Timestamp,
}

#[derive(Serialize)]
pub(crate) struct User {
    id: u64,
    name: &'static str,
    email: String,
    time_zone: &'static str,
    admin: bool,
    joined_at: Timestamp,
    last_seen_at: Option<Timestamp>,
}

#[derive(Serialize)]
pub(crate) struct Task {
    id: u64,
    key: String,
    project_id: u64,
    title: String,
    description: Option<String>,
    status: &'static str,
    priority: Option<&'static str>,
    progress: f64,
    due_date: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    completed_at: Option<Timestamp>,
    estimate: Option<Estimate>,
    assignees: Vec<Assignee>,
    labels: Vec<&'static str>,
    custom_fields: Vec<CustomField>,
}

#[derive(Serialize)]
struct Estimate {
    hours: f64,
    confidence: Option<f64>,
    estimated_by: u64,
}

#[derive(Serialize)]
struct Assignee {
    user_id: u64,
    name: &'static str,
    role: &'static str,
    share: f64,
}

#[derive(Serialize)]
struct CustomField {
    name: &'static str,
    text: Option<&'static str>,
    number: Option<f64>,
}

#[derive(Serialize)]
pub(crate) struct Comment {
    id: u64,
    task_id: u64,
    author_id: u64,
    body: String,
    edited: bool,
    created_at: Timestamp,
    reactions: Vec<Reaction>,
}

#[derive(Serialize)]
struct Reaction {
    emoji: &'static str,
    count: u64,
}

pub(crate) fn project(id: u64, users: u64) -> Project {
    let mut dice = Dice::new("project", id);
    Project {
        id,
        key: format!("P{id}"),
        name: format!("{} {}", dice.pick(&ADJECTIVES), dice.pick(&NOUNS)),
        owner_id: 1 + dice.below(users),
        budget: dice.one_in(4).then(|| dice.hundredths(250_000)),
        started_on: date(dice.moment()),
        archived: dice.one_in(9),
        updated_at: dice.moment(),
    }
}

pub(crate) fn user(id: u64) -> User {
    let mut dice = Dice::new("user", id);
    let joined_at = dice.moment();
    User {
        id,
        name: dice.pick(&NAMES),
        email: format!("user{id}@example.com"),
        time_zone: dice.pick(&TIME_ZONES),
        admin: dice.one_in(12),
        joined_at,
        last_seen_at: (!dice.one_in(5)).then(|| later(joined_at, dice.below(90 * 86_400))),
    }
}

pub(crate) fn task(id: u64, projects: u64, users: u64) -> Task {
    let mut dice = Dice::new("task", id);
    let project_id = 1 + dice.below(projects);
    let status = dice.pick(&["backlog", "open", "in_progress", "in_review", "done"]);
    let created_at = dice.moment();
    let updated_at = later(created_at, dice.below(60 * 86_400));
    let title = format!("{} {} {}", dice.pick(&VERBS), dice.pick(&ADJECTIVES), dice.pick(&NOUNS));
    Task {
        id,
        key: format!("P{project_id}-{id}"),
        project_id,
        description: (!dice.one_in(3)).then(|| sentences(&mut dice)),
        title,
        status,
        priority: (!dice.one_in(4)).then(|| dice.pick(&["low", "normal", "high", "urgent"])),
        progress: if status == "done" { 1.0 } else { dice.below(100) as f64 / 100.0 },
        due_date: (!dice.one_in(3)).then(|| date(later(created_at, 86_400 * (1 + dice.below(90))))),
        created_at,
        updated_at,
        completed_at: (status == "done").then_some(updated_at),
        estimate: (!dice.one_in(3)).then(|| Estimate {
            hours: dice.below(160) as f64 / 4.0,
            confidence: (!dice.one_in(2)).then(|| dice.hundredths(1)),
            estimated_by: 1 + dice.below(users),
        }),
        assignees: (0..dice.below(4))
            .map(|index| Assignee {
                user_id: 1 + dice.below(users),
                name: dice.pick(&NAMES),
                role: if index == 0 { "owner" } else { "helper" },
                share: dice.hundredths(1),
            })
            .collect(),
        labels: (0..dice.below(4)).map(|_| dice.pick(&LABELS)).collect(),
        custom_fields: (0..dice.below(3))
            .map(|index| match index {
                0 => CustomField { name: "Team", text: Some(dice.pick(&TEAMS)), number: None },
                _ => CustomField { name: "Story points", text: None, number: Some(dice.below(13) as f64) },
            })
            .collect(),
    }
}

pub(crate) fn comment(id: u64, tasks: u64, users: u64) -> Comment {
    let mut dice = Dice::new("comment", id);
    Comment {
        id,
        task_id: 1 + dice.below(tasks),
        author_id: 1 + dice.below(users),
        body: sentences(&mut dice),
        edited: dice.one_in(6),
        created_at: dice.moment(),
        reactions: (0..dice.below(3))
            .map(|_| Reaction { emoji: dice.pick(&["👍", "🎉", "👀", "❤️"]), count: 1 + dice.below(9) })
            .collect(),
    }
}

/// Repeatable chance (splitmix64): the same for the same kind and id on every machine.
struct Dice(u64);

impl Dice {
    fn new(kind: &str, id: u64) -> Self {
        let seed = kind.bytes().fold(0x5eed, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        // Two neighbours' rolls must not be the same ones, shifted: the seed is a roll itself.
        Self(Self(seed ^ id.wrapping_mul(0xff51_afd7_ed55_8ccd)).roll())
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn pick(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Up to `end`, with two places behind the point.
    fn hundredths(&mut self, end: u64) -> f64 {
        self.below(end * 100 + 1) as f64 / 100.0
    }

    /// Within two years from 2024-01-01, to the second.
    fn moment(&mut self) -> Timestamp {
        later(Timestamp::from_second(1_704_067_200).unwrap_or_default(), self.below(730 * 86_400))
    }
}

fn later(moment: Timestamp, seconds: u64) -> Timestamp {
    moment.checked_add(SignedDuration::from_secs(seconds.cast_signed())).unwrap_or(moment)
}

fn date(moment: Timestamp) -> String {
    moment.to_string().chars().take("2024-01-01".len()).collect()
}

fn sentences(dice: &mut Dice) -> String {
    (0..=dice.below(4)).map(|_| dice.pick(&SENTENCES)).collect::<Vec<_>>().join(" ")
}

const NAMES: [&str; 8] = [
    "Ada Okafor",
    "Jürgen Groß",
    "李小龍",
    "Zoë O'Neill",
    "Søren Kierkegård",
    "Никита Волков",
    "فاطمة الزهراء",
    "María-José Núñez",
];
const TIME_ZONES: [&str; 5] = ["Europe/Berlin", "America/New_York", "Asia/Taipei", "Africa/Lagos", "UTC"];
const VERBS: [&str; 6] = ["Fix", "Write", "Review", "Plan", "Measure", "Retire"];
const ADJECTIVES: [&str; 6] = ["slow", "broken", "quarterly", "public", "naïve", "internal"];
const NOUNS: [&str; 8] =
    ["invoices", "checkout", "onboarding", "search index", "mobile app", "data model", "café menu", "audit log"];
const LABELS: [&str; 6] = ["bug", "feature", "customer", "security", "日本語", "wontfix"];
const TEAMS: [&str; 4] = ["Platform", "Growth", "Müller & Söhne", "Support"];
const SENTENCES: [&str; 6] = [
    "The customer reported it on Monday, with a screenshot.",
    "It works on the test system, but not in production.",
    "Ask \"legal\" first: the contract names a date.",
    "Größer als gedacht, aber machbar.",
    "See the notes of the last meeting.\nNothing was decided.",
    "Blocked until the new schema is deployed 🚧.",
];
