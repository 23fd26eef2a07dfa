//! What an API holds, how it changes, and how it answers; and the tables that it should end up as.

use std::collections::BTreeMap;
use std::fmt;

use proptest::prelude::{Strategy, any};
use serde_json::{Value, json};

use super::api::{Disposition, Paging, Stream, ancestors};

#[derive(Clone, Debug)]
pub(super) struct Change {
    stream: usize,
    /// A new record; otherwise one that is there becomes another.
    is_new: bool,
    /// Which one, and what of it.
    dice: usize,
}

impl Change {
    pub(super) fn random() -> impl Strategy<Value = Self> {
        (0..60_usize, any::<bool>(), 0..60_usize).prop_map(|(stream, is_new, dice)| Self { stream, is_new, dice })
    }
}

#[derive(Clone)]
struct Record {
    id: u64,
    /// Which of the parent stream's records.
    parent: Option<usize>,
    /// The cursor.
    at: u64,
    version: u64,
}

pub(super) struct World {
    streams: Vec<Stream>,
    records: Vec<Vec<Record>>,
    clock: u64,
    changes: u64,
}

impl World {
    pub(super) fn new(streams: &[Stream]) -> Self {
        Self { streams: streams.to_vec(), records: vec![Vec::new(); streams.len()], clock: 0, changes: 0 }
    }

    /// Changes something, and says what.
    pub(super) fn change(&mut self, change: &Change) -> String {
        self.changes += 1;
        let wanted = change.stream % self.streams.len();
        // Records that are appended never change, nor does what hangs on them: there are new ones instead.
        let appended = |stream: &usize| self.streams[*stream].disposition == Disposition::Append;
        let frozen = ancestors(&self.streams, wanted).filter(appended).last();
        let stream = frozen.unwrap_or(wanted);
        let (name, count) = (self.streams[stream].name.clone(), self.records[stream].len());
        if change.is_new || count == 0 || appended(&stream) {
            return format!("{name} gets {}", self.add(stream, change.dice));
        }
        let record = change.dice % count;
        let id = self.records[stream][record].id;
        let is_leaf = self.streams.iter().all(|other| other.parent != Some(stream));
        if self.streams[stream].disposition == Disposition::Replace && is_leaf && change.dice.is_multiple_of(3) {
            self.records[stream].remove(record);
            return format!("{name} loses {id}");
        }
        self.records[stream][record].version += 1;
        self.touch(Some((stream, record)));
        format!("{name} changes {id}")
    }

    fn add(&mut self, stream: usize, dice: usize) -> u64 {
        let parent = self.streams[stream].parent.map(|parent| {
            if self.records[parent].is_empty() {
                self.add(parent, dice);
            }
            (parent, dice % self.records[parent].len())
        });
        self.touch(parent);
        let newest = self.records[stream].iter().map(|record| record.at).max();
        let at = match newest {
            // Two at one moment, and the second comes later than the run that saw the first.
            Some(newest) if parent.is_none() && dice % 4 == 3 => newest,
            _ => self.tick(),
        };
        self.insert(stream, parent.map(|(_, record)| record), at, dice)
    }

    /// With children of its own.
    fn insert(&mut self, stream: usize, parent: Option<usize>, at: u64, dice: usize) -> u64 {
        let id = self.records[stream].iter().map(|record| record.id).max().unwrap_or(0) + 1;
        let record = self.records[stream].len();
        self.records[stream].push(Record { id, parent, at, version: 0 });
        for child in 0..self.streams.len() {
            if self.streams[child].parent == Some(stream) {
                for _ in 0..(dice + child) % 4 {
                    let at = self.tick();
                    self.insert(child, Some(record), at, dice / 2);
                }
            }
        }
        id
    }

    /// A record changed, or one that hangs on it: its cursor says so, and those of the records it hangs on.
    fn touch(&mut self, mut touched: Option<(usize, usize)>) {
        while let Some((stream, record)) = touched {
            self.records[stream][record].at = self.tick();
            touched = self.streams[stream].parent.zip(self.records[stream][record].parent);
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// The stream that a path belongs to.
    pub(super) fn stream_at(&self, path: &[&str]) -> Option<usize> {
        self.streams.iter().position(|stream| Some(&stream.name.as_str()) == path.last())
    }

    /// A page, or nothing if its token is worth nothing any more.
    pub(super) fn page(&self, stream: usize, path: &[&str], query: &BTreeMap<String, String>) -> Option<Value> {
        let spec = &self.streams[stream];
        let number = |name: &str| query.get(name).and_then(|text| text.parse::<u64>().ok());
        // Those with a cursor by it, the others by their id.
        let position = |record: &Record| (if spec.incremental { record.at } else { 0 }, record.id);
        let mut records: Vec<&Record> = self.records[stream].iter().collect();
        if let (Some(parents), [_, id, _]) = (spec.parent, path) {
            let is_of = |record: &Record| self.records[parents][record.parent.unwrap()].id.to_string() == *id;
            records.retain(|record| is_of(record));
        }
        if let Some(since) = number("since") {
            records.retain(|record| record.at >= since);
        }
        records.sort_by_key(|record| position(record));
        if spec.newest_first {
            records.reverse();
        }
        let (total, size) = (records.len(), spec.page_size);
        let token = query.get("after").and_then(|token| token.split_once('-'));
        let token = token.map(|(first, second)| (first.parse::<u64>().unwrap(), second.parse::<u64>().unwrap()));
        let begin = match (spec.paging, token) {
            (Paging::Offset, _) => number("offset").unwrap_or(0) as usize,
            (Paging::PageNumber, _) => (number("page").unwrap_or(1) as usize - 1) * size,
            (Paging::Cursor, Some(token)) => {
                let is_behind = |record: &&Record| match spec.newest_first {
                    true => position(record) < token,
                    false => position(record) > token,
                };
                records.iter().position(is_behind).unwrap_or(total)
            }
            (Paging::ExpiringCursor, Some((changes, _))) if changes != self.changes => return None,
            (Paging::ExpiringCursor, Some((_, offset))) => offset as usize,
            (Paging::Cursor | Paging::ExpiringCursor, None) => 0,
        };
        let page: Vec<&Record> = records.into_iter().skip(begin).take(size).collect();
        let next = page.last().filter(|_| begin + size < total).map(|last| match spec.paging {
            Paging::ExpiringCursor => format!("{}-{}", self.changes, begin + size),
            _ => format!("{}-{}", position(last).0, position(last).1),
        });
        let page: Vec<Value> = page.into_iter().map(|record| self.json(stream, record)).collect();
        Some(json!({"data": page, "total": total, "pages": total.div_ceil(size), "next": next}))
    }

    fn json(&self, stream: usize, record: &Record) -> Value {
        let mut json = json!({"id": record.id, "at": record.at, "name": self.name(stream, record)});
        if self.streams[stream].has_labels {
            json["labels"] = self.labels(stream, record).into();
        }
        json
    }

    fn name(&self, stream: usize, record: &Record) -> String {
        format!("{}-{}.{}", self.streams[stream].name, record.id, record.version)
    }

    fn labels(&self, stream: usize, record: &Record) -> Vec<String> {
        let count = (record.id + record.version) % 3;
        (0..count).map(|number| format!("{}/{number}", self.name(stream, record))).collect()
    }

    /// Every row, as [`crate::crash::contents`] writes them.
    pub(super) fn tables(&self) -> BTreeMap<String, Vec<String>> {
        let mut tables = BTreeMap::<String, Vec<String>>::new();
        for (at, stream) in self.streams.iter().enumerate() {
            for record in &self.records[at] {
                let mut row = format!("at={} id={} name={}", record.at, record.id, self.name(at, record));
                if let Some((parents, parent)) = stream.parent.zip(record.parent) {
                    row = format!("_{}_id={} {row}", self.streams[parents].name, self.records[parents][parent].id);
                }
                if stream.has_labels {
                    let labels = self.labels(at, record).into_iter().map(|label| format!("value={label} of ({row})"));
                    tables.entry(format!("{}__labels", stream.name)).or_default().extend(labels);
                }
                tables.entry(stream.name.clone()).or_default().push(row);
            }
        }
        tables.values_mut().for_each(|rows| rows.sort());
        tables.retain(|_, rows| !rows.is_empty());
        tables
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.streams.iter().zip(&self.records);
        let counts: Vec<String> =
            counts.map(|(stream, records)| format!("{} {}", records.len(), stream.name)).collect();
        write!(f, "{}", counts.join(", "))
    }
}
