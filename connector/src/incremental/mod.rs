//! How new records are told from known ones.
//!
//! Follows dlt: the start value goes into requests and filters what comes back, the greatest (or least) value seen is
//! the next run's start, records at that boundary are known by fingerprints. Unlike dlt, the start value is fixed for a
//! whole read, so that later pages are not measured by earlier ones. Must not parse more of a record than its cursor.

mod boundary;
mod dlt;
#[cfg(test)]
mod tests;
mod value;
mod window;

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::dlt::memory as of_dlt;
pub use self::window::{Window, windows, within};

use self::boundary::{Hashes, Identity};
use self::value::{CursorValue, shift};
use crate::document;
use crate::error::Error;
use crate::plan::{Incremental, LastValue, OnMissing, RowOrder, Stream};
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
    #[serde(default)]
    last: Value,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    hashes: String,
    /// Fingerprints of dlt's, while the last value is one that dlt reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dlt: Vec<String>,
    /// Only within a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunMemory>,
}

/// What is fixed for a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct RunMemory {
    start: Value,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    known: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dlt: Vec<String>,
}

/// The incremental of one read.
pub struct IncrementalRead {
    plan: Incremental,
    /// None: no deduplication.
    identity: Option<Identity>,
    start: Option<CursorValue>,
    end: Option<CursorValue>,
    last: Option<CursorValue>,
    /// Records at the start value that an earlier run has loaded.
    known: Hashes,
    /// The same, of those that dlt has loaded.
    known_to_dlt: Vec<String>,
    /// Records at the last value.
    boundary: Hashes,
    boundary_of_dlt: Vec<String>,
    place: String,
}

/// What is left of a page.
pub struct Filtered<'a> {
    pub records: Vec<Cow<'a, str>>,
    /// The records are ordered and the range has been left: later pages hold nothing.
    pub left_range: bool,
}

impl IncrementalRead {
    /// Begins a run behind what an earlier one remembers, or goes on with a run.
    pub fn begin(plan: Incremental, stream: &Stream, memory: Option<Memory>) -> Result<Self, Error> {
        let memory = memory.unwrap_or_default();
        let given = |value: &Value| (!value.is_null()).then(|| CursorValue::new(value.clone()));
        let lag = plan.lag.filter(|lag| *lag != 0.0 && plan.end_value.is_none());
        let initial = plan.initial_value.as_ref().and_then(given);
        // A fixed range remembers nothing.
        let stored = if plan.end_value.is_some() { None } else { given(&memory.last) };
        let (start, known, known_to_dlt) = match &memory.run {
            Some(run) => (given(&run.start), Hashes::unpack(&run.known)?, run.dlt.clone()),
            None => {
                let start = match (&stored, lag) {
                    (Some(stored), Some(lag)) => Some(lagged(&plan, stored, lag, initial.as_ref())?),
                    (Some(stored), None) => Some(stored.clone()),
                    (None, _) => initial.clone(),
                };
                (start, Hashes::unpack(&memory.hashes)?, memory.dlt.clone())
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
            identity,
            start,
            end: plan.end_value.as_ref().and_then(given),
            last: stored.or(initial),
            known,
            known_to_dlt,
            boundary: Hashes::unpack(&memory.hashes)?,
            boundary_of_dlt: memory.dlt,
            place: stream.name.clone(),
            plan,
        })
    }

    /// What placeholders can ask for. Values are converted for requests; settings are not.
    pub fn attributes(&self, compiled: &Compiled) -> Result<Vec<(&'static str, Option<Value>)>, Error> {
        let converted = |value: Option<&Value>| match (value, &compiled.convert) {
            (None | Some(Value::Null), _) => Ok(None),
            (Some(value), None) => Ok(Some(value.clone())),
            (Some(value), Some(program)) => program.convert(value).map(|value| (!value.is_null()).then_some(value)),
        };
        let start = converted(self.start.as_ref().map(|start| &start.value))?;
        let plan = &self.plan;
        let order = plan.row_order.map(|order| match order {
            RowOrder::Ascending => "asc",
            RowOrder::Descending => "desc",
        });
        Ok(vec![
            ("start_value", start.clone()),
            ("last_value", start),
            ("initial_value", converted(plan.initial_value.as_ref())?),
            ("end_value", converted(plan.end_value.as_ref())?),
            ("lag", plan.lag.map(plain_number)),
            ("cursor_path", Some(Value::from(plan.cursor_path.as_str()))),
            ("row_order", order.map(Value::from)),
        ])
    }

    /// Drops what is out of range or known, and moves the last value on.
    pub fn filter<'a>(&mut self, compiled: &Compiled, records: Vec<Cow<'a, str>>) -> Result<Filtered<'a>, Error> {
        let (mut before_start, mut behind_end) = (false, false);
        let mut kept: Vec<Cow<'a, str>> = Vec::with_capacity(records.len());
        // Which of them are at the last value; hashed once the page's last value is known.
        let mut at_last: Vec<usize> = Vec::new();
        for record in records {
            let raw = compiled.cursor.first_in(&record).filter(|raw| document::kind(raw) != document::Kind::Null);
            let Some(raw) = raw else {
                match self.plan.on_cursor_value_missing {
                    OnMissing::Raise => return Err(self.missing(&record)),
                    OnMissing::Include => kept.push(record),
                    OnMissing::Exclude => {}
                }
                continue;
            };
            let cursor = CursorValue::new(document::value(raw));
            if let Some(end) = &self.end {
                let order = self.order(&cursor, end)?;
                if order == Ordering::Greater || (order == Ordering::Equal && !self.plan.range_end_closed) {
                    behind_end = true;
                    continue;
                }
            }
            if let Some(start) = &self.start {
                let order = self.order(&cursor, start)?;
                if order == Ordering::Less || (order == Ordering::Equal && self.plan.range_start_open) {
                    before_start = true;
                    continue;
                }
                if let (Ordering::Equal, Some(identity)) = (order, &self.identity) {
                    let is_known =
                        !self.known.0.is_empty() && self.known.0.contains(&identity.hash(&record, &self.place)?);
                    if is_known || dlt::knows(&self.known_to_dlt, identity, &record) {
                        continue;
                    }
                }
            }
            if self.plan.end_value.is_none() {
                let order = self.last.as_ref().map_or(Ok(Ordering::Greater), |last| self.order(&cursor, last))?;
                match order {
                    Ordering::Greater => {
                        self.last = Some(cursor);
                        self.boundary.0.clear();
                        self.boundary_of_dlt.clear();
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
                self.boundary.insert(identity.hash(record, &self.place)?, &self.place)?;
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
        let run = RunMemory { start, known: self.known.pack(), dlt: self.known_to_dlt.clone() };
        Memory { run: Some(run), ..self.remembered() }
    }

    /// For the next run; none: a fixed range keeps no state.
    pub fn finished(&self) -> Option<Memory> {
        (self.plan.end_value.is_none() && self.last.is_some()).then(|| self.remembered())
    }

    fn remembered(&self) -> Memory {
        let last = self.last.as_ref().map_or(Value::Null, |last| last.value.clone());
        Memory { last, hashes: self.boundary.pack(), dlt: self.boundary_of_dlt.clone(), run: None }
    }

    /// In the direction in which the cursor grows.
    fn order(&self, left: &CursorValue, right: &CursorValue) -> Result<Ordering, Error> {
        let order = left.compare(right).map_err(|error| Error::BadData(format!("{}: {error}", self.place)))?;
        Ok(directed(self.plan.last_value, order))
    }

    fn missing(&self, record: &str) -> Error {
        let (place, path) = (&self.place, &self.plan.cursor_path);
        let available = document::names(record).join(", ");
        Error::BadData(format!(
            "{place}: a record has no value at the cursor path `{path}`; it has: {available}. Set \
             `on_cursor_value_missing` to `include` or `exclude` if that is right"
        ))
    }
}

/// As it was probably written: a whole number without a fraction.
fn plain_number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 { Value::from(number as i64) } else { Value::from(number) }
}

fn directed(last_value: LastValue, order: Ordering) -> Ordering {
    match last_value {
        LastValue::Max => order,
        LastValue::Min => order.reverse(),
    }
}

/// The stored value moved back by the lag, but never behind the initial one.
fn lagged(
    plan: &Incremental,
    stored: &CursorValue,
    lag: f64,
    initial: Option<&CursorValue>,
) -> Result<CursorValue, Error> {
    let back = match plan.last_value {
        LastValue::Max => -lag,
        LastValue::Min => lag,
    };
    let moved = CursorValue::new(shift(&stored.value, back).map_err(Error::BadData)?);
    match initial {
        Some(initial) => {
            let order = moved.compare(initial).map_err(Error::BadData)?;
            Ok(if directed(plan.last_value, order) == Ordering::Less { initial.clone() } else { moved })
        }
        None => Ok(moved),
    }
}

impl Memory {
    /// Whether it was kept within a run, not between two.
    pub fn is_of_this_run(&self) -> bool {
        self.run.is_some()
    }
}
