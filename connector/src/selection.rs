//! Which part of a response is the records.
//!
//! With a selector: all matches, one match unwrapped (a list is its items, null is nothing, anything else is one record).
//! Without: dlt's search for a list, mended where dlt loses records. Must not copy or print what it selects.

use std::cell::OnceCell;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::document::{self, Document, Kind};
use crate::log::Log;
use crate::scan::Shape;
use crate::selector::{Key, Selector};

/// A page's records as they stand in the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection<'a> {
    Array(Array<'a>),
    Items(Vec<&'a str>),
    /// The selector found nothing, not even a null.
    Missing,
}

/// The text of a JSON array, gone through once at most to see what it holds.
#[derive(Debug, Clone)]
pub struct Array<'a> {
    pub raw: &'a str,
    shape: OnceCell<Shape>,
}

impl<'a> Array<'a> {
    pub fn new(raw: &'a str) -> Self {
        Self { raw, shape: OnceCell::new() }
    }

    fn of(raw: &'a str, document: &Document) -> Self {
        Self { raw, shape: document.shape(raw).map_or_else(OnceCell::new, OnceCell::from) }
    }

    fn shape(&self) -> Shape {
        *self.shape.get_or_init(|| document::shape(self.raw))
    }
}

impl PartialEq for Array<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Array<'_> {}

impl<'a> Selection<'a> {
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Array(array) => document::is_empty_array(array.raw),
            Self::Items(items) => items.is_empty(),
            Self::Missing => true,
        }
    }

    pub fn count(&self) -> usize {
        match self {
            Self::Array(array) => array.shape().count,
            Self::Items(items) => items.len(),
            Self::Missing => 0,
        }
    }

    pub fn items(&self) -> Vec<&'a str> {
        match self {
            Self::Array(array) => document::items(array.raw).unwrap_or_default(),
            Self::Items(items) => items.clone(),
            Self::Missing => Vec::new(),
        }
    }

    /// Whether a null stands among the records, which is none.
    pub fn has_nulls(&self) -> bool {
        match self {
            Self::Array(array) => array.shape().has_nulls,
            Self::Items(items) => items.iter().any(|raw| document::kind(raw) == Kind::Null),
            Self::Missing => false,
        }
    }

    /// Tells a page from another one: by the keys of its records, or else by all that is in them.
    pub fn identity(&self, primary_key: &[String]) -> String {
        if let (Self::Array(array), []) = (self, primary_key) {
            return format!("{:016x}", xxh3_64(array.raw.as_bytes()));
        }
        let mut hasher = Xxh3::new();
        for record in self.items() {
            let keys: Option<Vec<&str>> = primary_key.iter().map(|name| document::field(record, name)).collect();
            for part in keys.filter(|keys| !keys.is_empty()).unwrap_or_else(|| vec![record]) {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        format!("{:016x}", hasher.digest())
    }

    /// Tells two pages apart; none for an empty one.
    pub fn fingerprint(&self) -> Option<u64> {
        match self {
            _ if self.is_empty() => None,
            Self::Array(array) => Some(xxh3_64(array.raw.as_bytes())),
            Self::Items(items) => {
                let mut hasher = Xxh3::new();
                for item in items {
                    hasher.update(item.as_bytes());
                    hasher.update(b",");
                }
                Some(hasher.digest())
            }
            Self::Missing => None,
        }
    }
}

/// The records that a selector finds; `place` names the stream in warnings.
pub fn select<'a>(document: &'a Document, selector: &Selector, place: &str, log: &Log) -> Selection<'a> {
    let mut matches = selector.all(document);
    if matches.len() > 1 {
        return Selection::Items(matches);
    }
    let Some(raw) = matches.pop() else {
        let names = document::shown_names(document.text());
        let has = if names.is_empty() { String::new() } else { format!("; the response has: {names}") };
        log.warn_of(&format!("{place}: the selector `{}` matched nothing", selector.text()), &has);
        return Selection::Missing;
    };
    match document::kind(raw) {
        Kind::Array => Selection::Array(Array::of(raw, document)),
        Kind::Null => {
            log.warn(&format!("{place}: the selector `{}` found null, taken as no records", selector.text()));
            Selection::Items(Vec::new())
        }
        Kind::Object | Kind::Scalar => Selection::Items(vec![raw]),
    }
}

/// Keys under which APIs usually put their records, as dlt knows them.
const WELL_KNOWN: [&str; 11] =
    ["data", "items", "results", "entries", "records", "rows", "entities", "payload", "content", "objects", "values"];

/// How deep lists are looked for.
const DEPTH: usize = 3;

/// Keys of lists that stand beside records: what went wrong, what belongs to them, what they can be narrowed down by.
const BESIDE_RECORDS: [&str; 16] = [
    "meta",
    "metadata",
    "pagination",
    "paging",
    "links",
    "_links",
    "extras",
    "headers",
    "included",
    "errors",
    "warnings",
    "messages",
    "facets",
    "filters",
    "aggregations",
    "debug",
];

/// Finds out where the records are.
///
/// Of the lists at most three keys deep (not looking into lists): under a well-known name one of objects; else one of
/// objects that does not stand beside records by its name; else an empty one under a well-known name; else one of objects
/// or an empty one; of several the shallowest, and of those the first. Lists of scalars are properties of an object, so
/// without any of these the whole is the record, unless a well-known key holds null.
pub fn detect(document: &Document, place: &str, log: &Log) -> Selector {
    let mut lists = Vec::new();
    let top: Vec<(&str, &str)> = document.fields().collect();
    for (name, raw) in &top {
        collect(&[Key::Name((*name).to_owned())], raw, &mut lists);
    }
    lists.sort_by_key(|list| (list.rank, list.keys.len()));
    let empty = lists.iter().find(|list| list.rank == Rank::EmptyUnderKnownName).map(|list| list.keys.clone());
    if let Some(best) = lists.into_iter().next() {
        let selector = Selector::from_keys(best.keys);
        if let (Some(empty), Rank::Objects) = (empty, best.rank) {
            log.warn(&format!(
                "{place}: `{}` is taken for the records, because `{}` is empty: set `data_selector` to be sure",
                selector.text(),
                Selector::from_keys(empty).text()
            ));
        }
        return selector;
    }
    let null = top.iter().find(|(name, raw)| well_known(name) && document::kind(raw) == Kind::Null);
    Selector::from_keys(null.map(|(name, _)| Key::Name((*name).to_owned())).into_iter().collect())
}

struct List {
    keys: Vec<Key>,
    rank: Rank,
}

/// The best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    ObjectsUnderKnownName,
    Objects,
    EmptyUnderKnownName,
    ObjectsBesideRecords,
    Empty,
}

fn collect(keys: &[Key], raw: &str, lists: &mut Vec<List>) {
    match document::kind(raw) {
        Kind::Object if keys.len() < DEPTH => {
            for (name, raw) in document::fields(raw).unwrap_or_default() {
                let mut deeper = keys.to_vec();
                deeper.push(Key::Name(name.into_owned()));
                collect(&deeper, raw, lists);
            }
        }
        Kind::Array => {
            let named = |names: &[&str], key: &Key| matches!(key, Key::Name(name) if names.contains(&name.as_str()));
            let known = keys.last().is_some_and(|key| named(&WELL_KNOWN, key));
            let beside = keys.iter().any(|key| named(&BESIDE_RECORDS, key));
            let first = raw.trim_ascii_start().get(1..).unwrap_or_default().trim_ascii_start();
            let first = without_nulls(first);
            let rank = match (first.as_bytes().first(), known, beside) {
                (Some(b'{'), true, false) => Rank::ObjectsUnderKnownName,
                (Some(b'{'), false, false) => Rank::Objects,
                (Some(b']'), true, false) => Rank::EmptyUnderKnownName,
                (Some(b'{'), _, true) => Rank::ObjectsBesideRecords,
                (Some(b']'), ..) => Rank::Empty,
                _ => return,
            };
            lists.push(List { keys: keys.to_vec(), rank });
        }
        _ => {}
    }
}

/// What a list begins with, leading nulls left out.
fn without_nulls(mut rest: &str) -> &str {
    while let Some(behind) = rest.strip_prefix("null") {
        rest = behind.trim_ascii_start().trim_start_matches(',').trim_ascii_start();
    }
    rest
}

fn well_known(name: &str) -> bool {
    WELL_KNOWN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::recorded;

    fn detected(body: &str) -> (String, usize) {
        let document = Document::parse(body.to_owned()).unwrap();
        let (log, _) = recorded::log();
        let selector = detect(&document, "s", &log);
        (selector.text().to_owned(), select(&document, &selector, "s", &log).count())
    }

    #[test]
    fn records_are_found_without_a_selector() {
        let cases = [
            (r#"{"errors":[],"things":[{"id":1}],"data":{"items":[{"id":2},{"id":3}]}}"#, "$['data']['items']", 2),
            (r#"{"id":7,"name":"solo"}"#, "$", 1),
            ("[1,2,3]", "$", 3),
            (r#"{"a":{"b":{"c":[{"id":3}]}}}"#, "$['a']['b']['c']", 1),
            (r#"{"a":{"b":{"c":{"d":[{"id":1},{"id":2}]}}}}"#, "$", 1),
            (r#"{"data":[]}"#, "$['data']", 0),
            (r#"{"users":[],"total":0}"#, "$['users']", 0),
            (r#"{"data":null}"#, "$['data']", 0),
            (r#"{"id":1,"other":null}"#, "$", 1),
            (r#"{"data":[{"id":9}]}"#, "$['data']", 1),
            (r#"{"id":1,"tags":["a","b"]}"#, "$", 1),
            (r#"{"@odata.value":[{"id":5}]}"#, "$['@odata.value']", 1),
            (r#"{"meta":{"warnings":[{"w":1}]},"users":[{"id":8}]}"#, "$['users']", 1),
            (r#"{"values":[1,2],"users":[{"id":8}]}"#, "$['users']", 1),
            (r#"{"data":[],"included":[{"id":8}]}"#, "$['data']", 0),
            (r#"{"data":[],"users":[{"id":8}]}"#, "$['users']", 1),
            (r#"{"users":[{"id":8}],"facets":{"values":[{"v":1}]},"entries":[]}"#, "$['users']", 1),
            (r#"{"errors":[{"e":1}]}"#, "$['errors']", 1),
            (r#"{"links":[],"users":[]}"#, "$['links']", 0),
            (r#"{"data":[null,{"id":8}]}"#, "$['data']", 2),
            (r#"{"data":[null]}"#, "$['data']", 1),
            (r#"{"meta":{"values":[{"v":1},{"v":2}]},"data":[{"id":1}]}"#, "$['data']", 1),
        ];
        for (body, path, count) in cases {
            assert_eq!(detected(body), (path.to_owned(), count), "{body}");
        }
    }

    #[test]
    fn pages_are_told_apart_by_all_of_them() {
        let long = "x".repeat(5000);
        let pages = [format!(r#"["{long}",1]"#), format!(r#"["{long}",2]"#)];
        let array = |raw| Selection::Array(Array::new(raw));
        assert_ne!(array(&pages[0]).fingerprint(), array(&pages[1]).fingerprint());
        assert_ne!(Selection::Items(vec!["1", "23"]).fingerprint(), Selection::Items(vec!["12", "3"]).fingerprint());
        assert_eq!(array("[]").fingerprint(), None);
    }

    #[test]
    fn matches_become_records() {
        let document = Document::parse(r#"{"a":[[1],[2]],"n":null,"o":{"x":1},"one":[3]}"#.to_owned()).unwrap();
        let (log, messages) = recorded::log();
        let cases = [
            ("a", vec!["[1]", "[2]"]),
            ("a[*]", vec!["[1]", "[2]"]),
            ("a[0]", vec!["1"]),
            ("one[*]", vec!["3"]),
            ("o", vec![r#"{"x":1}"#]),
            ("n", vec![]),
            ("nope", vec![]),
        ];
        for (path, expected) in cases {
            let selector = Selector::parse(path).unwrap();
            assert_eq!(select(&document, &selector, "s", &log).items(), expected, "{path}");
        }
        let messages = messages.borrow();
        assert_eq!(messages.len(), 2);
        assert!(messages[0].contains("`n` found null") && messages[1].contains("`nope` matched nothing"));
    }
}
