//! Which part of a response is the records.
//!
//! With a selector: all matches, one match unwrapped (a list is its items, null is nothing, anything else is one record).
//! Without: dlt's search for a list, mended where dlt loses records. Must not copy or print what it selects.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::document::{self, Document, Kind};
use crate::log::Log;
use crate::selector::{Key, Selector};

/// A page's records as they stand in the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection<'a> {
    /// The text of a JSON array.
    Array(&'a str),
    Items(Vec<&'a str>),
}

impl<'a> Selection<'a> {
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Array(raw) => document::is_empty_array(raw),
            Self::Items(items) => items.is_empty(),
        }
    }

    pub fn count(&self) -> usize {
        match self {
            Self::Array(raw) => document::count(raw),
            Self::Items(items) => items.len(),
        }
    }

    pub fn items(&self) -> Vec<&'a str> {
        match self {
            Self::Array(raw) => document::items(raw).unwrap_or_default(),
            Self::Items(items) => items.clone(),
        }
    }

    /// Tells a page from another one: by the keys of its records, or else by all that is in them.
    pub fn identity(&self, primary_key: &[String]) -> String {
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

    /// Tells two pages apart by their beginning and length; none for an empty one.
    pub fn fingerprint(&self) -> Option<u64> {
        const BEGINNING: usize = 4096;
        let mark = |raw: &str, length: usize| {
            let beginning = raw.as_bytes().get(..BEGINNING).unwrap_or(raw.as_bytes());
            xxh3_64(beginning).wrapping_add(length as u64)
        };
        match self {
            _ if self.is_empty() => None,
            Self::Array(raw) => Some(mark(raw, raw.len())),
            Self::Items(items) => items.first().map(|raw| mark(raw, items.iter().map(|item| item.len()).sum())),
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
        let names = document::names(document.text());
        let has = if names.is_empty() { String::new() } else { format!("; the response has: {}", names.join(", ")) };
        log.warn_of(&format!("{place}: the selector `{}` matched nothing", selector.text()), &has);
        return Selection::Items(Vec::new());
    };
    match document::kind(raw) {
        Kind::Array => Selection::Array(raw),
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

/// Finds out where the records are.
///
/// Of the lists at most three keys deep (not looking into lists): under a well-known name one of objects, or an empty
/// one; else one of objects; else an empty one; of several the shallowest, and of those the first. Lists of scalars are
/// properties of an object, so without any of these the whole is the record, unless a well-known key holds null.
pub fn detect(document: &Document) -> Selector {
    let mut lists = Vec::new();
    let top: Vec<(&str, &str)> = document.fields().collect();
    for (name, raw) in &top {
        collect(&[Key::Name((*name).to_owned())], raw, &mut lists);
    }
    lists.sort_by_key(|list| (list.rank, list.keys.len()));
    if let Some(best) = lists.into_iter().next() {
        return Selector::from_keys(best.keys);
    }
    let null = top.iter().find(|(name, raw)| well_known(name) && document::kind(raw) == Kind::Null);
    Selector::from_keys(null.map(|(name, _)| Key::Name((*name).to_owned())).into_iter().collect())
}

struct List {
    keys: Vec<Key>,
    rank: u8,
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
            let known = matches!(keys.last(), Some(Key::Name(name)) if well_known(name));
            let first = raw.trim_ascii_start().get(1..).unwrap_or_default().trim_ascii_start();
            let rank = match (first.as_bytes().first(), known) {
                (Some(b'{' | b']'), true) => 0,
                (Some(b'{'), false) => 1,
                (Some(b']'), false) => 2,
                _ => return,
            };
            lists.push(List { keys: keys.to_vec(), rank });
        }
        _ => {}
    }
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
        let selector = detect(&document);
        let (log, _) = recorded::log();
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
            (r#"{"meta":{"values":[{"v":1},{"v":2}]},"data":[{"id":1}]}"#, "$['data']", 1),
        ];
        for (body, path, count) in cases {
            assert_eq!(detected(body), (path.to_owned(), count), "{body}");
        }
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
