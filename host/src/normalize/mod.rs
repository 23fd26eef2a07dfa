//! From pages of records to Arrow record batches per table, with the schema growing as dlt's does.
//!
//! Must never touch a destination or the network: records go in, tables come out.

mod arrow_ipc;
mod coerce;
mod column;
mod flatten;
mod growth;
#[cfg(test)]
mod growth_tests;
pub(crate) mod isolated;
mod names;
mod reading;
mod row_id;
mod steps;
mod table;
mod tape;
#[cfg(test)]
mod tests;
mod timestamp;
mod versions;
mod warnings;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use indexmap::{IndexMap, IndexSet};
use jiter::{Jiter, JiterError};

pub use column::TYPE_METADATA;
pub use isolated::Normalizing;

use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Error, ErrorKind, Result};
use crate::package::TableBatch;
use crate::schema::{Convention, DataType, Naming, Schema, StreamPlan, StreamSpec};
use flatten::{Context, StreamRows};
use names::TakenNames;
use row_id::RandomIds;
use table::TableRows;
use tape::Tape;
use versions::{Keep, Taken};

/// Limits, so that records can't make a schema or a value without bounds.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Options {
    pub naming: Convention,
    /// The destination's longest identifier, in bytes.
    pub max_identifier_length: usize,
    /// Names in lower case that the destination keeps for itself, and beginnings of such names of tables.
    #[serde(deserialize_with = "isolated::leaked")]
    pub reserved_columns: &'static [&'static str],
    #[serde(deserialize_with = "isolated::leaked")]
    pub reserved_tables: &'static [&'static str],
    pub max_columns_per_table: usize,
    /// The destination's own limit on that, which no setting raises.
    pub destination_columns: usize,
    /// The destination takes no longer texts than a column's precision says.
    pub limits_text: bool,
    /// Streams of the connection that are not read this time: their tables stay theirs.
    pub other_streams: Vec<String>,
    pub max_tables_per_stream: usize,
    /// Of one Arrow page as text.
    pub max_decoded_bytes: usize,
    /// Of one text or JSON value.
    pub max_value_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            naming: Convention::SnakeCase,
            max_identifier_length: 65_536,
            reserved_columns: &[],
            reserved_tables: &[],
            max_columns_per_table: 4_000,
            destination_columns: usize::MAX,
            limits_text: false,
            other_streams: Vec::new(),
            max_tables_per_stream: 1_000,
            max_decoded_bytes: 1 << 30,
            max_value_bytes: 256 << 20,
        }
    }
}

/// A page of records, as a connector hands it over.
#[derive(Debug, Clone, Copy)]
pub enum Records<'a> {
    /// A JSON array of records.
    JsonArray(&'a [u8]),
    /// One JSON record a line; empty lines don't count.
    JsonLines(&'a [u8]),
    /// An Arrow IPC stream of flat columns.
    ArrowIpc(&'a [u8]),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PageSummary {
    pub records: u64,
}

/// How a table changed, for the run's report.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SchemaChange {
    pub stream: String,
    pub table: String,
    pub kind: ChangeKind,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ChangeKind {
    /// The table is new.
    Table,
    /// A column is new; `variant_of` names the one whose type did not fit.
    Column { column: String, data_type: DataType, variant_of: Option<String> },
    /// Two keys of one record have the same name: the values of `key` are under `name`.
    Collision { key: String, name: String },
}

/// What came together since the last take.
#[derive(Debug, Default)]
pub struct Normalized {
    pub tables: Vec<TableBatch>,
    pub changes: Vec<SchemaChange>,
    pub warnings: Vec<String>,
}

/// How much is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) bytes: usize,
    pub(super) rows: usize,
}

/// Makes rows out of records, for all streams of a run.
#[derive(Debug)]
pub struct Normalizer {
    schema: Schema,
    /// The schema as of the last take: what a discard goes back to, and what contracts protect.
    settled: Schema,
    naming: Naming,
    names: TakenNames,
    options: Options,
    streams: IndexMap<String, StreamRows>,
    /// Bytes and rows of all streams since the last take.
    held: Held,
    ids: RandomIds,
    tape: Tape,
    warnings: Vec<String>,
}

impl Normalizer {
    /// Brings what is known of the tables together with what the connector says of the streams.
    ///
    /// Hints that make no sense are errors of kind `Config`, all at once.
    pub fn new(mut schema: Schema, streams: &[StreamSpec], options: Options) -> Result<Self> {
        let naming = Naming {
            convention: options.naming,
            max_length: options.max_identifier_length,
            reserved_columns: options.reserved_columns,
            reserved_tables: options.reserved_tables,
        };
        let mut names = TakenNames::default();
        let tables = names::root_tables(streams, &options.other_streams, &naming, &schema, &mut names);
        let mut problems = Vec::new();
        let mut plans = Vec::new();
        let mut sharing: HashMap<String, Vec<usize>> = HashMap::new();
        for (spec, table) in streams.iter().zip(tables) {
            match StreamPlan::read_into(spec, &naming, table) {
                Ok(plan) => {
                    if plan.loaded {
                        sharing.entry(plan.table.clone()).or_default().push(plans.len());
                    }
                    plans.push(plan);
                }
                Err(wrong) => problems.extend(wrong.into_iter().map(|problem| hint_problem(&spec.name, &problem))),
            }
        }
        for group in sharing.values().filter(|group| group.len() > 1) {
            // Those that agree with the first one agree with each other.
            let clashes = group[1..].iter().filter_map(|at| Some((*at, plans[*at].clash(&plans[group[0]])?)));
            problems.extend(clashes.map(|(at, problem)| hint_problem(&plans[at].stream, &problem)));
            let all: Vec<String> = group.iter().map(|at| plans[*at].stream.clone()).collect();
            for at in group {
                plans[*at].shared_with = all.iter().filter(|name| **name != plans[*at].stream).cloned().collect();
            }
        }
        if !problems.is_empty() {
            return Err(Error::from_diagnostics(problems));
        }
        let warnings = apply(&plans, &naming, &mut schema);
        let streams = plans.into_iter().map(|plan| (plan.stream.clone(), StreamRows::new(plan))).collect();
        let settled = schema.clone();
        let (ids, tape) = (RandomIds::new(), Tape::default());
        Ok(Self { schema, settled, naming, names, options, streams, held: Held::default(), ids, tape, warnings })
    }

    /// Takes in a page of a stream's records. After an error the rows of the stream are incomplete: discard them.
    pub fn add(&mut self, stream: &str, records: &Records<'_>, load_id: &str) -> Result<PageSummary> {
        let page = match *records {
            Records::JsonArray(bytes) | Records::JsonLines(bytes) => text(bytes)?,
            Records::ArrowIpc(bytes) => {
                let table = arrow_ipc::read(bytes, self.options.max_decoded_bytes)?;
                self.hint_types(stream, &table.columns)?;
                return self.add(stream, &Records::JsonLines(&table.lines), load_id);
            }
        };
        self.read(stream, records, page, load_id, true)
    }

    /// How many records a page has, when its rows are not wanted.
    pub fn count(&mut self, stream: &str, records: &Records<'_>) -> Result<u64> {
        match *records {
            Records::JsonArray(bytes) | Records::JsonLines(bytes) => {
                Ok(self.read(stream, records, text(bytes)?, "", false)?.records)
            }
            Records::ArrowIpc(bytes) => {
                let table = arrow_ipc::read(bytes, self.options.max_decoded_bytes)?;
                self.count(stream, &Records::JsonLines(&table.lines))
            }
        }
    }

    fn read(
        &mut self,
        stream: &str,
        records: &Records<'_>,
        page: &str,
        load_id: &str,
        wanted: bool,
    ) -> Result<PageSummary> {
        let Self { schema, settled, naming, names, options, streams, held, ids, tape, .. } = self;
        let rows = streams.get_mut(stream).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "records of a stream that was not announced").with_context("stream", stream)
        })?;
        let mut context = Context { schema, settled, naming, names, options, ids };
        let before = rows.held;
        let mut page = Page { page, load_id, wanted, records: 0, tape, rows, context: &mut context };
        let read = match records {
            Records::JsonArray(_) => page.add_array(),
            _ => page.add_lines(),
        };
        let records = page.records;
        held.bytes = (held.bytes + rows.held.bytes).saturating_sub(before.bytes);
        held.rows = (held.rows + rows.held.rows).saturating_sub(before.rows);
        read.map_err(|error| error.with_context("stream", stream).with_context("record", (records + 1).to_string()))?;
        Ok(PageSummary { records })
    }

    /// Forgets the rows and schema changes of these streams since the last take.
    pub fn discard(&mut self, streams: &[&str]) {
        let mut tables = HashSet::new();
        for stream in streams {
            let Some(rows) = self.streams.get_mut(*stream) else { continue };
            let plan = rows.plan.clone();
            self.held.bytes = self.held.bytes.saturating_sub(rows.held.bytes);
            self.held.rows = self.held.rows.saturating_sub(rows.held.rows);
            let gone = std::mem::replace(rows, StreamRows::new(plan));
            tables.extend(gone.tables.into_iter().map(|table| (table.name, *stream)));
        }
        // What another stream fills too is as that one has left it.
        let is_shared = |table: &str, stream: &str| {
            let others = &self.streams[stream].plan.shared_with;
            others.iter().any(|other| self.streams.get(other).is_some_and(|rows| rows.by_name.contains_key(table)))
        };
        tables.retain(|(table, stream)| !is_shared(table, stream));
        let tables: HashSet<String> = tables.into_iter().map(|(table, _)| table).collect();
        self.names.forget(tables.iter());
        steps::count(self.schema.tables.len());
        self.schema.tables.retain(|name, table| match self.settled.tables.get(name) {
            _ if !tables.contains(name) => true,
            Some(settled) => {
                table.clone_from(settled);
                true
            }
            None => false,
        });
    }

    /// Bytes held since the last take.
    pub fn bytes(&self) -> usize {
        self.held.bytes
    }

    /// Rows of all tables since the last take.
    pub fn rows(&self) -> usize {
        self.held.rows
    }

    /// Every table known, with all its columns.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Hands out what came together, and begins anew. Columns are in the schema's order; those without a value are left
    /// out. Where row ids follow from the records, there is one row of each id.
    pub fn take(&mut self) -> Result<Normalized> {
        let mut normalized = Normalized::default();
        let mut warnings: IndexSet<String> = std::mem::take(&mut self.warnings).into_iter().collect();
        self.held = Held::default();
        let mut batches: IndexMap<String, Vec<RecordBatch>> = IndexMap::new();
        let mut taken = Vec::new();
        for (stream, rows) in self.streams.values_mut().enumerate() {
            let keep = Keep::of(&rows.plan);
            for table in rows.tables.iter_mut().filter(|table| table.rows > 0) {
                taken.push(Taken {
                    stream,
                    table: table.name.clone(),
                    is_root: table.parent.is_none(),
                    keep,
                    records: std::mem::take(&mut table.records),
                    batch: batch(table, &self.schema)?,
                });
                table.settled = true;
                table.bytes = 0;
            }
            normalized.changes.append(&mut rows.changes);
            rows.held = Held::default();
            warnings.extend(rows.warnings.take(&rows.plan.stream));
        }
        normalized.warnings = warnings.into_iter().collect();
        versions::drop_superseded(&mut taken)
            .map_err(|error| Error::new(ErrorKind::Internal, "rows can't be left out").with_source(error))?;
        for part in taken.into_iter().filter(|part| part.batch.num_rows() > 0) {
            batches.entry(part.table).or_default().push(part.batch);
        }
        if self.schema != self.settled {
            self.settled = self.schema.clone();
        }
        normalized.tables = batches.into_iter().map(|(table, batches)| TableBatch { table, batches }).collect();
        Ok(normalized)
    }

    /// Types that came with the records themselves, for columns that nothing was known of.
    fn hint_types(&mut self, stream: &str, columns: &[crate::schema::ColumnHint]) -> Result<()> {
        let Some(rows) = self.streams.get_mut(stream) else { return Ok(()) };
        let hints = rows.plan.columns.entry(rows.plan.table.clone()).or_default();
        for column in columns {
            let name = self.naming.path(&column.name);
            let hint = hints.entry(name.clone()).or_default();
            if hint.data_type.is_none() {
                *hint = crate::schema::ColumnHint {
                    name,
                    data_type: column.data_type,
                    precision: column.precision,
                    scale: column.scale,
                    ..std::mem::take(hint)
                };
            }
        }
        Ok(())
    }
}

/// Brings tables of earlier runs up to date with what the streams say of them now.
fn apply(plans: &[StreamPlan], naming: &Naming, schema: &mut Schema) -> Vec<String> {
    let mut families: HashMap<String, Vec<String>> = HashMap::new();
    for table in schema.tables.keys() {
        families.entry(schema.root_of(table).to_owned()).or_default().push(table.clone());
    }
    let mut warnings = Vec::new();
    for plan in plans.iter().filter(|plan| plan.loaded) {
        let family = families.get(&plan.table).map_or(&[] as &[String], Vec::as_slice);
        warnings.extend(
            plan.apply(schema, family)
                .into_iter()
                .map(|column| format!("`{column}` keeps the type that it has in the destination, not the hinted one")),
        );
        if !plan.is_table_named && plan.table != naming.table(&plan.stream) {
            warnings.push(format!(
                "the stream `{}` fills the table `{}`, as another one fills `{}`: name it with table_name if you want another \
                 name, or one table for both",
                plan.stream,
                plan.table,
                naming.table(&plan.stream)
            ));
        }
    }
    warnings
}

fn hint_problem(stream: &str, problem: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: "stream-hint".to_owned(),
        at: String::new(),
        message: format!("stream `{stream}`: {problem}"),
        label: None,
        help: None,
        place: None,
    }
}

/// A page that is being taken in.
struct Page<'a, 'context> {
    page: &'a str,
    load_id: &'a str,
    /// Rows are made of its records.
    wanted: bool,
    /// Records taken in so far.
    records: u64,
    tape: &'a mut Tape,
    rows: &'a mut StreamRows,
    context: &'a mut Context<'context>,
}

impl Page<'_, '_> {
    fn add_array(&mut self) -> Result<()> {
        let page = self.page;
        let bytes = page.as_bytes();
        let mark = |at: usize| (reading::blanks(bytes, at), bytes.get(reading::blanks(bytes, at)));
        let (start, Some(b'[')) = mark(0) else { return Err(self.no_array()) };
        let (mut at, mut next) = mark(start + 1);
        if next != Some(&b']') {
            loop {
                at = self.tape.read(page, at).map_err(|error| bad_json(&error, at))?;
                self.add_record(page)?;
                (at, next) = mark(at);
                match next {
                    Some(b',') if mark(at + 1).1 != Some(&b']') => at = reading::blanks(bytes, at + 1),
                    Some(b']') => break,
                    _ => return Err(self.no_array()),
                }
            }
        }
        if reading::blanks(bytes, at + 1) == bytes.len() { Ok(()) } else { Err(self.no_array()) }
    }

    /// What is wrong with the page around its records.
    fn no_array(&self) -> Error {
        let mut jiter = Jiter::new(self.page.as_bytes());
        let mut walk = || {
            let mut next = jiter.next_array()?;
            while let Some(peek) = next {
                jiter.known_skip(peek)?;
                next = jiter.array_step()?;
            }
            jiter.finish()
        };
        match walk() {
            Err(error) => bad_json(&error, 0),
            Ok(()) => Error::new(ErrorKind::Internal, "a page of records can't be taken apart"),
        }
    }

    fn add_lines(&mut self) -> Result<()> {
        let mut start = 0;
        let page = self.page;
        for line in page.split_inclusive('\n') {
            if !line.trim_ascii().is_empty() {
                let end = self.tape.read(line, 0).map_err(|error| bad_json(&error, start))?;
                let finished = Jiter::new(&line.as_bytes()[end..]).finish();
                finished.map_err(|error| bad_json(&error, start + end))?;
                self.add_record(line)?;
            }
            start += line.len();
        }
        Ok(())
    }

    fn add_record(&mut self, page: &str) -> Result<()> {
        if self.wanted && self.rows.plan.loaded {
            self.rows.add(self.context, self.tape, page, self.load_id)?;
        }
        self.records += 1;
        Ok(())
    }
}

fn text(bytes: &[u8]) -> Result<&str> {
    if bytes.len() > tape::MAX_PAGE {
        return Err(Error::new(ErrorKind::LimitExceeded, "a page of more than 2 GiB"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        Error::new(ErrorKind::BadData, "a page of records is not UTF-8")
            .with_context("byte", error.valid_up_to().to_string())
    })
}

fn bad_json(error: &JiterError, start: usize) -> Error {
    Error::new(ErrorKind::BadData, format!("a page of records is not JSON: {}", error.error_type))
        .with_context("byte", (start + error.index).to_string())
}

/// The rows of a table as one batch.
fn batch(table: &mut TableRows, schema: &Schema) -> Result<RecordBatch> {
    let internal = |error| Error::new(ErrorKind::Internal, "rows don't make a record batch").with_source(error);
    let known = schema.tables.get(&table.name);
    let rows = std::mem::take(&mut table.rows);
    let mut columns: Vec<(usize, Field, ArrayRef)> = Vec::new();
    for column in &mut table.columns {
        let place = known.and_then(|known| known.columns.get_index_of(&column.name)).unwrap_or(usize::MAX);
        if let Some((field, array)) = column.take(rows).map_err(internal)? {
            columns.push((place, field, array));
        }
    }
    columns.sort_by_key(|(place, ..)| *place);
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) =
        columns.into_iter().map(|(_, field, array)| (field, array)).unzip();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays).map_err(internal)
}
