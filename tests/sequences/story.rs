//! A random sequence of runs, and what happens to the API in between. Told as the lines of a script.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use serde_json::{Value, json};

use super::api::{self, Stream};
use super::server::{Failure, Server};
use super::world::{Change, World};
use crate::crash::contents::Place;
use crate::crash::places::{PLACES, difference};
use crate::destination::postgres_server::{PostgresServer, start};
use crate::support::host_command::{CONFIG, Project, connector};

const TIME_LIMIT: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;
const SIGABRT: i32 = 6;

#[derive(Clone, Copy, Debug)]
enum Destination {
    DuckDb,
    Sqlite,
    Postgres,
}

#[derive(Clone, Debug)]
pub(super) struct Story {
    streams: Vec<Stream>,
    destination: Destination,
    package_rows: usize,
    concurrency: usize,
    delay_ms: u64,
    begin: Vec<Change>,
    runs: Vec<Run>,
}

/// What is typed, what goes wrong, and what the API does afterwards.
#[derive(Clone, Debug)]
struct Run {
    select: Vec<usize>,
    full_refresh: bool,
    trouble: Trouble,
    then: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Trouble {
    None,
    ApiFails(Failure),
    KilledAtRequest(usize),
    KilledAfter(Duration),
    InterruptedAtRequest(usize),
    DiesAt(&'static str, usize),
}

impl Run {
    const PLAIN: Self = Self { select: Vec::new(), full_refresh: false, trouble: Trouble::None, then: Vec::new() };

    fn random() -> impl Strategy<Value = Self> {
        let streams = vec(0..60_usize, 1..=2);
        let select = prop_oneof![5 => Just(Vec::new()), 4 => streams];
        let full_refresh = prop_oneof![6 => Just(false), 1 => Just(true)];
        let then = prop_oneof![1 => Just(Vec::new()), 2 => vec(Change::random(), 1..10)];
        (select, full_refresh, Trouble::random(), then).prop_map(|(select, full_refresh, trouble, then)| Self {
            select,
            full_refresh,
            trouble,
            then,
        })
    }
}

impl Trouble {
    fn random() -> impl Strategy<Value = Self> {
        let stream = prop_oneof![2 => Just(None), 1 => (0..60_usize).prop_map(Some)];
        let failure = (0..20_usize, any::<bool>(), stream).prop_map(|(after, is_400, stream)| Failure {
            after,
            status: if is_400 { 400 } else { 500 },
            stream,
        });
        let place = (0..PLACES.len(), 1..8_usize);
        prop_oneof![
            6 => Just(Self::None),
            5 => failure.prop_map(Self::ApiFails),
            4 => (1..30_usize).prop_map(Self::KilledAtRequest),
            1 => (20..300_u64).prop_map(|ms| Self::KilledAfter(Duration::from_millis(ms))),
            2 => (1..20_usize).prop_map(Self::InterruptedAtRequest),
            3 => place.prop_map(|(place, count)| Self::DiesAt(PLACES[place], count)),
        ]
    }
}

impl Story {
    /// `plain`: nothing is selected or refreshed. `still`: no unfinished run meets an API that has changed.
    pub(super) fn random(plain: bool, still: bool) -> impl Strategy<Value = Self> {
        let destination = prop_oneof![
            2 => Just(Destination::DuckDb), 1 => Just(Destination::Sqlite), 1 => Just(Destination::Postgres),
        ];
        let details = (destination, 1..11_usize, 1..4_usize, 0..3_u64);
        let happens = (vec(Run::random(), 2..=6), vec(Change::random(), 0..40));
        // What is first is simplified first, and less that happens is sooner told.
        (happens, api::streams(), details).prop_map(move |((mut runs, begin), streams, details)| {
            let (destination, package_rows, concurrency, delay_ms) = details;
            for run in &mut runs {
                run.select.iter_mut().for_each(|stream| *stream %= streams.len());
                run.select.dedup();
                if let Trouble::ApiFails(Failure { stream: Some(stream), .. }) = &mut run.trouble {
                    *stream %= streams.len();
                }
                if plain {
                    run.select.clear();
                    run.full_refresh = false;
                }
                let is_finished = matches!(run.trouble, Trouble::None) && run.select.is_empty() && !run.full_refresh;
                if still && !is_finished {
                    run.then.clear();
                }
            }
            Self { streams, destination, package_rows, concurrency, delay_ms, begin, runs }
        })
    }

    /// Lets it happen. Errors: what is wrong, and the script that led there.
    pub(super) fn happen(&self, postgres: Option<&PostgresServer>) -> Result<(), String> {
        let mut world = World::new(&self.streams);
        self.begin.iter().for_each(|change| drop(world.change(change)));
        let server = Server::start(world, Duration::from_millis(self.delay_ms));
        let project = Project::with_base_url(server.base_url()).config(&self.config().to_string());
        let place = match (self.destination, postgres) {
            (Destination::DuckDb, _) => Place::DuckDb(project.warehouse()),
            (Destination::Postgres, Some(server)) => Place::Postgres(server.url("postgres")),
            (Destination::Sqlite | Destination::Postgres, _) => Place::Sqlite(project.path("warehouse.sqlite")),
        };
        let scene = Scene { story: self, server, project, place, dataset: dataset() };
        let mut script = vec![self.to_string(), format!("at first there are {}", scene.server.api().world)];
        for (number, run) in self.runs.iter().chain([&Run::PLAIN, &Run::PLAIN]).enumerate() {
            let line = format!("{}. {}", number + 1, self.line(run));
            let ended = scene.run(run);
            script.push(format!("{line} → {ended}"));
            if !run.may_end(&ended) {
                return Err(format!("{}\nA run may not end like this:\n{}", script.join("\n"), ended.said));
            }
            let changes = run.then.iter().map(|change| scene.server.api().world.change(change));
            let changes: Vec<String> = changes.collect();
            if !changes.is_empty() {
                script.push(format!("   {}", changes.join(", ")));
            }
        }
        let (expected, mut loaded) = (scene.server.api().world.tables(), scene.place.contents(&scene.dataset));
        let none = Vec::new();
        let mut wrong = Vec::new();
        for (table, rows) in &expected {
            let loaded = loaded.remove(table);
            let loaded = loaded.as_ref().unwrap_or(&none);
            if rows != loaded {
                wrong.push(format!("{table}: {}", difference(rows, loaded)));
            }
        }
        wrong.extend(loaded.iter().map(|(table, rows)| format!("{table}: {}", difference(&none, rows))));
        if wrong.is_empty() { Ok(()) } else { Err(format!("{}\n{}", script.join("\n"), wrong.join("\n"))) }
    }

    fn config(&self) -> Value {
        json!({
            "client": {"base_url": "$BASE"},
            "resources": self.streams.iter().map(|stream| stream.config(&self.streams)).collect::<Vec<Value>>(),
            "host": {"retry": {"max_retries": 0}, "package_rows": self.package_rows},
        })
    }

    fn line(&self, run: &Run) -> String {
        let mut line = "host run".to_owned();
        for stream in &run.select {
            line += &format!(" --select {}", self.streams[*stream].name);
        }
        if run.full_refresh {
            line += " --full-refresh";
        }
        match &run.trouble {
            Trouble::None => {}
            Trouble::ApiFails(Failure { after, status, stream }) => {
                let what = stream.map_or("the API", |stream| &self.streams[stream].name);
                line += &format!(", while {what} answers {status} after {after} requests");
            }
            Trouble::KilledAtRequest(request) => line += &format!(", killed at request {request}"),
            Trouble::KilledAfter(time) => line += &format!(", killed after {time:?}"),
            Trouble::InterruptedAtRequest(request) => line += &format!(", interrupted at request {request}"),
            Trouble::DiesAt(place, count) => line += &format!(", dying at {place}:{count}"),
        }
        line
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { destination, package_rows, concurrency, delay_ms, .. } = self;
        write!(f, "{destination:?}, package_rows {package_rows}, concurrency {concurrency}, {delay_ms} ms a request")?;
        self.streams.iter().try_for_each(|stream| write!(f, "\n  {stream}"))
    }
}

impl Run {
    fn may_end(&self, ended: &Ended) -> bool {
        let is_plain = self.select.is_empty();
        match (&self.trouble, ended.status.code()) {
            _ if ended.hung => false,
            // A selection that can't be made right is refused.
            (_, Some(2)) => !is_plain,
            (_, Some(0)) => true,
            (Trouble::None, _) => false,
            (Trouble::ApiFails(_), code) => matches!(code, Some(1 | 3)),
            (Trouble::InterruptedAtRequest(_), code) => code == Some(130),
            (Trouble::KilledAtRequest(_) | Trouble::KilledAfter(_), _) => ended.status.signal() == Some(SIGKILL),
            (Trouble::DiesAt(..), _) => ended.status.signal() == Some(SIGABRT),
        }
    }
}

struct Ended {
    status: ExitStatus,
    said: String,
    hung: bool,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status.code() {
            _ if self.hung => write!(f, "it does not end"),
            Some(code) => write!(f, "exit code {code}"),
            None => write!(f, "{}", self.status),
        }
    }
}

/// Where a story happens.
struct Scene<'a> {
    story: &'a Story,
    server: Server,
    project: Project,
    place: Place,
    dataset: String,
}

impl Scene<'_> {
    fn run(&self, run: &Run) -> Ended {
        let (to, concurrency) = (self.place.url(), self.story.concurrency.to_string());
        let mut command = self.project.host(["run"]).argument(connector()).arguments(["--config", CONFIG, "--quiet"]);
        command = command.arguments(["--to", &to, "--dataset", &self.dataset, "--pipeline", "test"]);
        command = command.arguments(["--concurrency", &concurrency]);
        for stream in &run.select {
            command = command.arguments(["--select", &self.story.streams[*stream].name]);
        }
        if run.full_refresh {
            command = command.argument("--full-refresh");
        }
        if let Trouble::DiesAt(place, count) = run.trouble {
            command = command.environment("AIRLOCK_FAILPOINT", &format!("{place}:{count}"));
        }
        {
            let mut api = self.server.api();
            api.requests = 0;
            api.failure = match &run.trouble {
                Trouble::ApiFails(failure) => Some(failure.clone()),
                _ => None,
            };
        }
        let (begun, mut is_hit, mut hung) = (Instant::now(), false, false);
        let mut child = command.spawn();
        while child.try_wait().unwrap().is_none() {
            let requests = self.server.api().requests;
            let is_time = match run.trouble {
                Trouble::KilledAtRequest(request) | Trouble::InterruptedAtRequest(request) => requests >= request,
                Trouble::KilledAfter(time) => begun.elapsed() >= time,
                _ => false,
            };
            if is_time && !is_hit {
                is_hit = true;
                run.trouble.hit(&mut child);
            }
            if begun.elapsed() > TIME_LIMIT && !hung {
                hung = true;
                child.kill().unwrap();
            }
            thread::sleep(Duration::from_millis(1));
        }
        let output = child.wait_with_output().unwrap();
        Ended { status: output.status, said: String::from_utf8_lossy(&output.stderr).into_owned(), hung }
    }
}

impl Trouble {
    fn hit(&self, child: &mut Child) {
        match self {
            Self::InterruptedAtRequest(_) => {
                // Without effect on one that has just ended.
                start("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
            }
            _ => child.kill().unwrap(),
        }
    }
}

/// Stories share a PostgreSQL database.
fn dataset() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("d{}", COUNT.fetch_add(1, Ordering::Relaxed))
}
