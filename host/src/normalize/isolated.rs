//! Pages become rows in a process of their own: the same normalizer behind a socket.
//!
//! What comes back is Arrow, and is compared with what was asked for: rows of the streams' own tables, with the columns that
//! the schema says. Must never look into a page on this side.

use std::collections::HashSet;
use std::io::Cursor;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Normalized, Normalizer, Options, PageSummary, Records, SchemaChange};
use crate::config::settings::Limits;
use crate::error::{Error, ErrorKind, Result};
use crate::isolation::{Process, Program, Role, Talk, Told, ready};
use crate::package::TableBatch;
use crate::schema::{Schema, StreamSpec};

/// A normalizer, here or in a process of its own.
pub enum Normalizing {
    Here(Box<Normalizer>),
    Isolated(Box<Remote>),
}

impl Normalizing {
    /// With a program, pages are looked at in a child process of it. Errors as of [`Normalizer::new`].
    pub fn new(
        program: Option<&Program>,
        schema: Schema,
        streams: &[StreamSpec],
        options: Options,
        limits: &Limits,
    ) -> Result<Self> {
        Ok(match program {
            Some(program) => Self::Isolated(Box::new(Remote::start(program, schema, streams, options, limits)?)),
            None => Self::Here(Box::new(Normalizer::new(schema, streams, options)?)),
        })
    }

    /// As [`Normalizer::add`].
    pub fn add(&mut self, stream: &str, records: &Records<'_>, load_id: &str) -> Result<PageSummary> {
        match self {
            Self::Here(here) => here.add(stream, records, load_id),
            Self::Isolated(remote) => Ok(PageSummary { records: remote.read(stream, records, Some(load_id))? }),
        }
    }

    /// As [`Normalizer::count`].
    pub fn count(&mut self, stream: &str, records: &Records<'_>) -> Result<u64> {
        match self {
            Self::Here(here) => here.count(stream, records),
            Self::Isolated(remote) => remote.read(stream, records, None),
        }
    }

    /// As [`Normalizer::discard`].
    pub fn discard(&mut self, streams: &[&str]) {
        match self {
            Self::Here(here) => here.discard(streams),
            Self::Isolated(remote) => remote.discard(streams),
        }
    }

    /// As [`Normalizer::bytes`].
    pub fn bytes(&self) -> usize {
        match self {
            Self::Here(here) => here.bytes(),
            Self::Isolated(remote) => remote.bytes,
        }
    }

    /// As [`Normalizer::rows`].
    pub fn rows(&self) -> usize {
        match self {
            Self::Here(here) => here.rows(),
            Self::Isolated(remote) => remote.rows,
        }
    }

    /// As [`Normalizer::schema`].
    pub fn schema(&self) -> &Schema {
        match self {
            Self::Here(here) => here.schema(),
            Self::Isolated(remote) => &remote.schema,
        }
    }

    /// As [`Normalizer::take`].
    pub fn take(&mut self) -> Result<Normalized> {
        match self {
            Self::Here(here) => here.take(),
            Self::Isolated(remote) => remote.take(),
        }
    }
}

#[derive(Serialize, Deserialize)]
enum Question {
    /// Comes first.
    Begin {
        schema: Schema,
        streams: Vec<StreamSpec>,
        options: Options,
    },
    /// Beside it: the records. Without a load id they are only counted.
    Read {
        stream: String,
        form: Form,
        load_id: Option<String>,
    },
    Discard(Vec<String>),
    Take,
}

#[derive(Serialize, Deserialize)]
enum Form {
    JsonArray,
    JsonLines,
    ArrowIpc,
}

#[derive(Serialize, Deserialize)]
struct Reply {
    outcome: Result<Done, Told>,
    bytes: usize,
    rows: usize,
    /// If it has changed since the last reply.
    schema: Option<Schema>,
}

#[derive(Serialize, Deserialize)]
enum Done {
    Nothing,
    Records(u64),
    /// Beside it: one Arrow stream per batch, of these lengths.
    Taken {
        batches: Vec<(String, usize)>,
        changes: Vec<SchemaChange>,
        warnings: Vec<String>,
    },
}

/// Names that [`Options`] borrow for ever: a process of this kind reads one set of them in its life.
pub(super) fn leaked<'de, D: Deserializer<'de>>(names: D) -> Result<&'static [&'static str], D::Error> {
    let names = Vec::<String>::deserialize(names)?;
    Ok(names.into_iter().map(|name| &*name.leak()).collect::<Vec<_>>().leak())
}

/// The parent's side.
pub struct Remote {
    process: Process,
    talk: Talk,
    schema: Schema,
    bytes: usize,
    rows: usize,
    streams: HashSet<String>,
}

impl Remote {
    fn start(
        program: &Program,
        schema: Schema,
        streams: &[StreamSpec],
        options: Options,
        limits: &Limits,
    ) -> Result<Self> {
        let held = limits.bytes_without_checkpoint as u64;
        let memory = 4 * held + 2 * limits.decoded_bytes as u64 + (1 << 30);
        let (process, stream) = Process::start(program, Role::Pages, memory)?;
        let time = Duration::from_secs_f64(limits.page_secs);
        let mut remote = Self {
            talk: Talk::new(stream, 2 * held + limits.decoded_bytes as u64, Some(time))?,
            process,
            schema: schema.clone(),
            bytes: 0,
            rows: 0,
            streams: streams.iter().map(|stream| stream.name.clone()).collect(),
        };
        let begin = Question::Begin { schema, streams: streams.to_vec(), options };
        remote.talk.send(&begin, &[])?;
        ready(remote.talk.receive()?, &remote.process)?;
        remote.reply()?;
        Ok(remote)
    }

    fn read(&mut self, stream: &str, records: &Records<'_>, load_id: Option<&str>) -> Result<u64> {
        let (form, bytes) = match *records {
            Records::JsonArray(bytes) => (Form::JsonArray, bytes),
            Records::JsonLines(bytes) => (Form::JsonLines, bytes),
            Records::ArrowIpc(bytes) => (Form::ArrowIpc, bytes),
        };
        let question = Question::Read { stream: stream.to_owned(), form, load_id: load_id.map(str::to_owned) };
        self.talk.send(&question, bytes)?;
        match self.reply()? {
            (Done::Records(records), _) => Ok(records),
            _ => Err(nonsense("an answer to another question")),
        }
    }

    fn discard(&mut self, streams: &[&str]) {
        let question = Question::Discard(streams.iter().map(|stream| (*stream).to_owned()).collect());
        // What goes wrong here shows at the next page.
        let _ = self.talk.send(&question, &[]).and_then(|()| self.reply());
    }

    fn take(&mut self) -> Result<Normalized> {
        self.talk.send(&Question::Take, &[])?;
        let (Done::Taken { batches, changes, warnings }, bytes) = self.reply()? else {
            return Err(nonsense("an answer to another question"));
        };
        let mut rest = &bytes[..];
        let mut tables: Vec<TableBatch> = Vec::new();
        for (table, length) in batches {
            let (stream, behind) = rest.split_at_checked(length).ok_or_else(|| nonsense("rows that are not there"))?;
            rest = behind;
            let batch = self.batch(&table, stream)?;
            match tables.iter_mut().find(|known| known.table == table) {
                Some(known) => known.batches.push(batch),
                None => tables.push(TableBatch { table, batches: vec![batch] }),
            }
        }
        Ok(Normalized { tables, changes, warnings })
    }

    fn batch(&self, table: &str, stream: &[u8]) -> Result<RecordBatch> {
        let known =
            self.schema.tables.get(table).ok_or_else(|| nonsense("rows of a table that is not in its schema"))?;
        let unreadable = |source: arrow::error::ArrowError| nonsense("rows that are no Arrow").with_source(source);
        let mut batches = StreamReader::try_new(Cursor::new(stream), None).map_err(unreadable)?;
        let batch = batches.next().ok_or_else(|| nonsense("a table without rows"))?.map_err(unreadable)?;
        if batch.schema().fields().iter().any(|field| !known.columns.contains_key(field.name())) {
            return Err(nonsense("rows with a column that is not in its schema"));
        }
        Ok(batch)
    }

    fn reply(&mut self) -> Result<(Done, Vec<u8>)> {
        let frame = self.talk.receive()?.ok_or_else(|| self.process.ended())?;
        let reply: Reply = frame.message()?;
        (self.bytes, self.rows) = (reply.bytes, reply.rows);
        if let Some(schema) = reply.schema {
            self.check(&schema)?;
            self.schema = schema;
        }
        Ok((reply.outcome?, frame.bytes))
    }

    /// Tables are new for these streams only, and never the host's own.
    fn check(&self, schema: &Schema) -> Result<()> {
        for (name, table) in &schema.tables {
            let is_ours = self.streams.contains(&table.stream) && !name.starts_with("_dlt_") && table.name == *name;
            if !is_ours && self.schema.tables.get(name) != Some(table) {
                return Err(nonsense("a table that belongs to none of the streams"));
            }
        }
        Ok(())
    }
}

fn nonsense(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the isolated process that makes rows gives {what}"))
}

/// The child's side: one normalizer, until the parent has enough.
///
/// Errors: the parent said something that is none of the protocol.
pub(crate) fn serve(stream: UnixStream) -> Result<()> {
    let mut talk = Talk::new(stream, u64::MAX, None)?;
    let Some(frame) = talk.receive()? else { return Ok(()) };
    let Question::Begin { schema, streams, options } = frame.message()? else { return Ok(()) };
    let mut normalizer = match Normalizer::new(schema, &streams, options) {
        Ok(normalizer) => normalizer,
        Err(error) => {
            let reply = Reply { outcome: Err(error.into()), bytes: 0, rows: 0, schema: None };
            return talk.send(&reply, &[]);
        }
    };
    let mut known = normalizer.schema().clone();
    let (mut outcome, mut bytes) = (Ok(Done::Nothing), Vec::new());
    let mut is_first = true;
    loop {
        let has_changed = is_first || *normalizer.schema() != known;
        if has_changed {
            known = normalizer.schema().clone();
        }
        let schema = has_changed.then(|| known.clone());
        let reply = Reply { outcome, bytes: normalizer.bytes(), rows: normalizer.rows(), schema };
        talk.send(&reply, &bytes)?;
        is_first = false;
        let Some(frame) = talk.receive()? else { return Ok(()) };
        (outcome, bytes) = match answer(&mut normalizer, frame.message()?, &frame.bytes) {
            Ok((done, bytes)) => (Ok(done), bytes),
            Err(error) => (Err(error.into()), Vec::new()),
        };
    }
}

fn answer(normalizer: &mut Normalizer, question: Question, bytes: &[u8]) -> Result<(Done, Vec<u8>)> {
    Ok(match question {
        Question::Begin { .. } => (Done::Nothing, Vec::new()),
        Question::Read { stream, form, load_id } => {
            let records = match form {
                Form::JsonArray => Records::JsonArray(bytes),
                Form::JsonLines => Records::JsonLines(bytes),
                Form::ArrowIpc => Records::ArrowIpc(bytes),
            };
            let records = match load_id {
                Some(load_id) => normalizer.add(&stream, &records, &load_id)?.records,
                None => normalizer.count(&stream, &records)?,
            };
            (Done::Records(records), Vec::new())
        }
        Question::Discard(streams) => {
            normalizer.discard(&streams.iter().map(String::as_str).collect::<Vec<_>>());
            (Done::Nothing, Vec::new())
        }
        Question::Take => taken(normalizer.take()?)?,
    })
}

fn taken(normalized: Normalized) -> Result<(Done, Vec<u8>)> {
    let failed = |source: arrow::error::ArrowError| {
        Error::new(ErrorKind::Internal, "rows can't be handed over").with_source(source)
    };
    let Normalized { tables, changes, warnings } = normalized;
    let (mut bytes, mut batches) = (Vec::new(), Vec::new());
    for TableBatch { table, batches: parts } in tables {
        for batch in parts {
            let before = bytes.len();
            let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).map_err(failed)?;
            writer.write(&batch).map_err(failed)?;
            writer.finish().map_err(failed)?;
            drop(writer);
            batches.push((table.clone(), bytes.len() - before));
        }
    }
    Ok((Done::Taken { batches, changes, warnings }, bytes))
}
