//! How new records are told from known ones.
//!
//! The start value goes into requests and filters what comes back, the greatest (or least) value seen is the next run's
//! start, records at that boundary are known by fingerprints. The start value is fixed for a whole
//! read, so that later pages are not measured by earlier ones. Must not parse more of a record than its cursor.

mod boundary;
mod format;
mod moment;
#[cfg(test)]
mod tests;
mod value;
mod window;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::boundary::Identity;
pub use self::format::Format;
pub use self::window::{Window, windows, within};

use self::boundary::Boundary;
use self::value::{CursorValue, shift};
use crate::document;
use crate::error::{Error, excerpt};
use crate::expression::Interval;
use crate::plan::{Incremental, LastValue, OnMissing, RowOrder, Stream, WriteDisposition};
use crate::selector::Selector;
use crate::step::Program;

/// What an incremental needs, compiled once per stream.
pub struct Compiled {
    cursor: Selector,
    convert: Option<Program>,
}

impl Compiled {
    pub fn new(plan: &Incremental) -> Result<Self, String> {
        let convert = plan.convert.as_deref().map(Program::compile).transpose()?;
        Ok(Self { cursor: Selector::parse(&plan.cursor_path)?, convert })
    }
}

/// What a checkpoint keeps of an incremental. Between two runs only the last value and its hashes remain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The cursor path that the last value belongs to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    path: String,
    #[serde(default)]
    last: Value,
    /// The records at the last value, packed; within a run, while the last value is the start, those of the run alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    boundary: String,
    /// Another program's marks of records, while the last value is one that it reached.
    #[serde(default, rename = "dlt", skip_serializing_if = "Vec::is_empty")]
    inherited: Vec<String>,
    /// Only within a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunMemory>,
}

/// What is fixed for a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct RunMemory {
    start: Value,
    /// As it was when the run began: it may be relative to that moment.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    end: Value,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    known: String,
    #[serde(default, rename = "dlt", skip_serializing_if = "Vec::is_empty")]
    inherited: Vec<String>,
}

/// The incremental of one read.
pub struct IncrementalRead {
    plan: Incremental,
    /// None: no deduplication.
    identity: Option<Identity>,
    /// Nothing but this memory keeps a record at the boundary from being loaded twice.
    memory_is_needed: bool,
    start: Option<CursorValue>,
    end: Option<CursorValue>,
    last: Option<CursorValue>,
    /// Records at the start value that an earlier run has loaded.
    known: Boundary,
    /// The same, packed: it does not change.
    known_packed: String,
    /// Marks of those that another program has loaded.
    inherited: BTreeSet<String>,
    /// Records at the last value. While that is the start value, without the known ones.
    boundary: Boundary,
    inherited_boundary: Vec<String>,
    place: String,
    /// What to do about a record without one.
    no_cursor: &'static str,
}

/// What is left of a page.
pub struct Filtered<'a> {
    pub records: Vec<Cow<'a, str>>,
    /// The records are ordered and the range has been left: later pages hold nothing.
    pub left_range: bool,
}

impl IncrementalRead {
    /// Begins a run behind what an earlier one remembers, or goes on with a run.
    pub fn begin(mut plan: Incremental, stream: &Stream, memory: Option<Memory>) -> Result<Self, Error> {
        let memory = memory.filter(|memory| memory.is_of(&plan)).unwrap_or_default();
        if let Some(run) = &memory.run
            && !run.end.is_null()
        {
            plan.end_value = Some(run.end.clone());
        }
        let place = stream.name.as_str();
        let failed = |error: String| Error::BadData(format!("{place}: {error}"));
        let given = |value: &Value| {
            let value = Some(value.clone()).filter(|value| !value.is_null());
            value.map(|value| CursorValue::new(value, plan.cursor_format.as_ref())).transpose().map_err(failed)
        };
        let lag = plan.lag.filter(|lag| *lag != 0.0 && plan.end_value.is_none());
        let initial = plan.initial_value.as_ref().map(given).transpose()?.flatten();
        // A fixed range remembers nothing.
        let stored = if plan.end_value.is_some() { None } else { given(&memory.last)? };
        let boundary = Boundary::unpack(&memory.boundary)?;
        let (start, known, inherited, boundary) = match &memory.run {
            Some(run) => (given(&run.start)?, Boundary::unpack(&run.known)?, run.inherited.clone(), boundary),
            None => {
                let start = match (&stored, lag) {
                    (Some(stored), Some(lag)) => Some(lagged(&plan, stored, lag, initial.as_ref()).map_err(failed)?),
                    (Some(stored), None) => Some(stored.clone()),
                    (None, _) => initial.clone(),
                };
                (start, boundary, memory.inherited.clone(), Boundary::default())
            }
        };
        let identity = match &plan.primary_key {
            _ if plan.range_start_open || plan.end_value.is_some() || lag.is_some() => None,
            Some(fields) if fields.is_empty() => None,
            Some(fields) => Some(Identity::Fields(fields.clone())),
            None if stream.primary_key.is_empty() => Some(Identity::WholeRecord),
            None => Some(Identity::Fields(stream.primary_key.clone())),
        };
        Ok(Self {
            memory_is_needed: !merges_by(stream, identity.as_ref()),
            identity,
            start,
            end: plan.end_value.as_ref().map(given).transpose()?.flatten(),
            last: stored.or(initial),
            known_packed: known.pack(),
            known,
            inherited: inherited.into_iter().collect(),
            boundary,
            inherited_boundary: memory.inherited,
            place: stream.name.clone(),
            no_cursor: stream.words.no_cursor,
            plan,
        })
    }

    /// What requests can ask for, converted.
    pub fn interval(&self, compiled: &Compiled) -> Result<Interval, Error> {
        let converted = |value: Option<&Value>| match (value, &compiled.convert) {
            (None | Some(Value::Null), _) => Ok(None),
            (Some(value), None) => Ok(Some(value.clone())),
            (Some(value), Some(program)) => program.convert(value).map(|value| (!value.is_null()).then_some(value)),
        };
        Ok(Interval {
            start: converted(self.start.as_ref().map(|start| &start.value))?,
            initial: converted(self.plan.initial_value.as_ref())?,
            end: converted(self.plan.end_value.as_ref())?,
        })
    }

    /// Drops what is out of range or known, and moves the last value on.
    pub fn filter<'a>(&mut self, compiled: &Compiled, records: Vec<Cow<'a, str>>) -> Result<Filtered<'a>, Error> {
        let (mut before_start, mut behind_end) = (false, false);
        let mut kept: Vec<Cow<'a, str>> = Vec::with_capacity(records.len());
        // Which of them are at the last value; hashed once the page's last value is known.
        let mut at_last: Vec<usize> = Vec::new();
        for record in records {
            // An empty text says as little as a null.
            let has_value = |raw: &&str| document::kind(raw) != document::Kind::Null && *raw != "\"\"";
            let raw = compiled.cursor.first_in(&record).filter(has_value);
            let Some(raw) = raw else {
                match self.plan.on_cursor_value_missing {
                    OnMissing::Raise => return Err(self.missing(&record)),
                    OnMissing::Include => kept.push(record),
                    OnMissing::Exclude => {}
                }
                continue;
            };
            let cursor = CursorValue::new(document::value(raw), self.plan.cursor_format.as_ref());
            let cursor = cursor.map_err(|error| Error::BadData(format!("{}: {error}", self.place)))?;
            if let Some(end) = &self.end {
                let order = self.order(&cursor, end)?;
                if order == Ordering::Greater || (order == Ordering::Equal && !self.plan.range_end_closed) {
                    behind_end = true;
                    continue;
                }
            }
            if let Some(start) = &self.start {
                let order = self.order(&cursor, start).map_err(|error| self.changed_type(error))?;
                if order == Ordering::Less || (order == Ordering::Equal && self.plan.range_start_open) {
                    before_start = true;
                    continue;
                }
                if let (Ordering::Equal, Some(identity)) = (order, &self.identity) {
                    let is_known = !self.known.is_empty() && self.known.contains(identity.of(&record, &self.place)?);
                    if is_known || self.is_inherited(identity, &record) {
                        continue;
                    }
                }
            }
            if self.plan.end_value.is_none() {
                let order = self.last.as_ref().map_or(Ok(Ordering::Greater), |last| self.order(&cursor, last))?;
                match order {
                    Ordering::Greater => {
                        self.last = Some(cursor);
                        self.boundary.clear();
                        self.inherited_boundary.clear();
                        at_last.clear();
                        at_last.push(kept.len());
                    }
                    Ordering::Equal => at_last.push(kept.len()),
                    Ordering::Less => {}
                }
            }
            kept.push(record);
        }
        if let Some(identity) = &self.identity {
            for record in at_last.into_iter().filter_map(|position| kept.get(position)) {
                self.boundary.insert(identity.of(record, &self.place)?, self.memory_is_needed, &self.place)?;
            }
        }
        let left_range = match self.plan.row_order {
            Some(RowOrder::Ascending) => behind_end,
            Some(RowOrder::Descending) => before_start,
            None => false,
        };
        Ok(Filtered { records: kept, left_range })
    }

    /// For a checkpoint within the run.
    pub fn position(&self) -> Memory {
        let start = self.start.as_ref().map_or(Value::Null, |start| start.value.clone());
        let end = self.end.as_ref().map_or(Value::Null, |end| end.value.clone());
        let inherited = self.inherited.iter().cloned().collect();
        let run = RunMemory { start, end, known: self.known_packed.clone(), inherited };
        Memory { boundary: self.boundary.pack(), run: Some(run), ..self.remembered() }
    }

    /// For the next run; none: a fixed range keeps no state.
    pub fn finished(&self) -> Option<Memory> {
        if self.plan.end_value.is_some() || self.last.is_none() {
            return None;
        }
        let mut boundary = self.boundary.clone();
        if self.is_at_start() {
            boundary.extend(&self.known);
        }
        Some(Memory { boundary: boundary.pack(), ..self.remembered() })
    }

    /// Whether another program has loaded this record.
    fn is_inherited(&self, identity: &Identity, record: &str) -> bool {
        let inherited = self.plan.inherited.filter(|_| !self.inherited.is_empty());
        inherited.is_some_and(|inherited| inherited.knows(&self.inherited, identity, record))
    }

    /// Whether no record was behind the start value.
    fn is_at_start(&self) -> bool {
        match (&self.start, &self.last) {
            (Some(start), Some(last)) => start.compare(last) == Ok(Ordering::Equal),
            _ => false,
        }
    }

    /// Without the boundary.
    fn remembered(&self) -> Memory {
        let last = self.last.as_ref().map_or(Value::Null, |last| last.value.clone());
        let path = self.plan.cursor_path.clone();
        Memory { path, last, boundary: String::new(), inherited: self.inherited_boundary.clone(), run: None }
    }

    /// In the direction in which the cursor grows.
    fn order(&self, left: &CursorValue, right: &CursorValue) -> Result<Ordering, Error> {
        let order = left.compare(right).map_err(|error| Error::BadData(format!("{}: {error}", self.place)))?;
        Ok(directed(self.plan.last_value, order))
    }

    /// A value that can't be compared with the start: says where that one came from.
    fn changed_type(&self, error: Error) -> Error {
        let started = self.start.as_ref().map(|start| &start.value);
        if started == self.plan.initial_value.as_ref() {
            return error;
        }
        let path = &self.plan.cursor_path;
        Error::BadData(format!(
            "{error}. The run before ended at {}: if the API writes `{path}` in another way now, begin anew with \
             `--full-refresh`",
            excerpt(&started.map_or_else(String::new, Value::to_string))
        ))
    }

    fn missing(&self, record: &str) -> Error {
        let (place, path) = (&self.place, &self.plan.cursor_path);
        let available = document::shown_names(record);
        Error::BadData(format!(
            "{place}: a record has no value at the cursor path `{path}`; it has: {available}. {}",
            self.no_cursor
        ))
    }
}

/// Which of two values comes first; none: it is not certain.
pub fn order(left: &Value, right: &Value, format: Option<&Format>) -> Option<Ordering> {
    let read = |value: &Value| CursorValue::new(value.clone(), format).ok();
    read(left)?.compare(&read(right)?).ok()
}

/// A bound out of a configuration in the cursor's format; err: it can be read in more than one way.
pub fn bound(value: &Value, format: Option<&Format>) -> Result<Value, String> {
    let read = CursorValue::new(value.clone(), format)?;
    Ok(match (format, read.instant()) {
        (Some(format), Some(instant)) if format.read(value).is_none() => format.write(instant),
        _ => value.clone(),
    })
}

fn directed(last_value: LastValue, order: Ordering) -> Ordering {
    match last_value {
        LastValue::Max => order,
        LastValue::Min => order.reverse(),
    }
}

/// Whether the destination tells records apart by the same key, so that one that comes again changes nothing.
fn merges_by(stream: &Stream, identity: Option<&Identity>) -> bool {
    let by_key = stream.hints.get("strategy").and_then(Value::as_str) != Some("scd2");
    let same_key = matches!(identity, Some(Identity::Fields(names)) if *names == stream.primary_key);
    stream.write_disposition == WriteDisposition::Merge && by_key && same_key
}

/// The stored value moved back by the lag, but never behind the initial one.
fn lagged(
    plan: &Incremental,
    stored: &CursorValue,
    lag: f64,
    initial: Option<&CursorValue>,
) -> Result<CursorValue, String> {
    let back = match plan.last_value {
        LastValue::Max => -lag,
        LastValue::Min => lag,
    };
    let format = plan.cursor_format.as_ref();
    let moved = CursorValue::new(shift(&stored.value, back, format)?, format)?;
    match initial {
        Some(initial) => {
            let order = moved.compare(initial)?;
            Ok(if directed(plan.last_value, order) == Ordering::Less { initial.clone() } else { moved })
        }
        None => Ok(moved),
    }
}

/// What another program remembered of a cursor, so that a read goes on where that one ended. Never written: a read begins
/// there once, and remembers in its own way from then on.
pub trait Inherited: Debug + Sync {
    /// The last value, and marks of the records at it; none: it did not know this cursor.
    fn last(&self, cursor_path: &str, state: &Value) -> Option<(Value, Vec<String>)>;

    /// Whether a record is among those with these marks.
    fn knows(&self, marks: &BTreeSet<String>, identity: &Identity, record: &str) -> bool;
}

impl Memory {
    /// What another program's state says.
    pub fn inherited(plan: &Incremental, state: &Value) -> Option<Self> {
        let (last, inherited) = plan.inherited?.last(&plan.cursor_path, state)?;
        Some(Self { path: plan.cursor_path.clone(), last, inherited, ..Self::default() })
    }

    /// Whether it was kept within a run, not between two.
    pub fn is_of_this_run(&self) -> bool {
        self.run.is_some()
    }

    /// Whether it is one of this cursor: what was reached with one field says nothing about another.
    pub fn is_of(&self, plan: &Incremental) -> bool {
        self.path.is_empty() || self.path == plan.cursor_path
    }
}
