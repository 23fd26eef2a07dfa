//! A dataset as a folder of files: `DIR/<dataset>/<table>/<load_id>.<n>.<format>`, of this machine or of an object store.
//!
//! What is in a table's folder counts: a file comes into sight when its package is committed, and goes when it is
//! replaced. `_dlt_loads` has one file per committed package, which names its files. Must never merge: files are never
//! changed, only replaced as a whole.

mod bucket;
mod commit_log;
mod folder;
mod format;
mod formulas;
mod partition;
mod plan;
mod storage;
mod take_back;

use std::borrow::Cow;
use std::collections::HashSet;
use std::io;

use self::commit_log::CommitLog;
pub(super) use self::format::Format;
use self::plan::{Plan, is_name};
use self::storage::Storage;
use super::pipeline_state;
use super::{Capabilities, Destination, Stored, unknown_pipeline};
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::package::{LoadPackage, LoadReceipt};
use crate::schema::Schema;
use crate::state::State;
use arrow::error::ArrowError;

/// Most file systems' limit on a name is 255.
const MAX_IDENTIFIER_LENGTH: usize = 200;

pub(super) struct Files {
    storage: Box<dyn Storage>,
    format: Format,
    escapes_formulas: bool,
}

/// Makes the folder, which is one of this machine or, as a URL, one of an object store.
pub(super) fn open(place: &str, dataset: &str, format: Format) -> Result<Files> {
    if !is_name(dataset) {
        return Err(Error::new(ErrorKind::Usage, format!("`{dataset}` can't be the name of a folder")));
    }
    if place == "-" {
        let message = format!("{} can't go to standard output", format.name());
        return Err(Error::new(ErrorKind::Usage, message).with_help("write -, jsonl:- or arrow:-"));
    }
    Ok(Files { storage: storage::open(place, dataset)?, format, escapes_formulas: false })
}

impl Destination for Files {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: self.format.name(),
            merge: false,
            max_identifier_length: MAX_IDENTIFIER_LENGTH,
            reserved_columns: &[],
            reserved_tables: &[],
            max_columns: usize::MAX,
            limits_text: false,
            keeps_state: true,
        }
    }

    fn escape_formulas(&mut self) {
        self.escapes_formulas = self.format == Format::Csv;
    }

    fn read(&mut self, pipeline: &str) -> Result<Stored> {
        let log = self.log(pipeline)?;
        log.recover().map_err(refused)?;
        let Some(commit) = log.newest().map_err(refused)? else { return Ok(Stored::default()) };
        let state = self.storage.read(&commit.state).map_err(refused)?;
        let schema = self.storage.read(&commit.schema).map_err(refused)?;
        let schema = serde_json::from_slice(&schema)
            .map_err(|error| Error::new(ErrorKind::Destination, "the stored schema is broken").with_source(error))?;
        Ok(Stored {
            state: pipeline_state::decode(&String::from_utf8_lossy(&state))?.state.unwrap_or_default(),
            schema: Schema::from_stored(&schema)?,
        })
    }

    fn load(&mut self, package: &LoadPackage) -> Result<LoadReceipt> {
        self.write(package).map_err(|error| error.with_context("load", package.load_id.clone()))
    }

    fn write_state(&mut self, pipeline: &str, state: &State) -> Result<()> {
        let log = self.log(pipeline)?;
        log.recover().map_err(refused)?;
        let commit = log.newest().map_err(refused)?.ok_or_else(|| unknown_pipeline(pipeline))?;
        let text = pipeline_state::encode(pipeline, 1, state)?;
        self.storage.put(&commit.state, text.as_bytes()).map_err(refused)
    }
}

impl Files {
    fn write(&self, package: &LoadPackage) -> Result<LoadReceipt> {
        let log = self.log(&package.pipeline)?;
        log.recover().map_err(refused)?;
        if log.has(&package.load_id).map_err(refused)? {
            return Ok(LoadReceipt { rows: Vec::new(), already_loaded: true });
        }
        let previous = log.newest().map_err(refused)?;
        let mut plan = Plan::new(&*self.storage, self.format, package);
        plan.tables()?;
        let schema = package.schema.to_stored(None);
        plan.system(previous.as_ref(), &schema.version_hash);
        let Plan { commit, files, .. } = plan;

        log.plan(&commit).map_err(refused)?;
        let names: HashSet<&str> = files.iter().map(|file| file.table.name.as_str()).collect();
        let written = package.tables.iter().filter(|rows| names.contains(rows.table.as_str()));
        let rows = written.map(|rows| (rows.table.clone(), rows.rows() as u64)).collect();
        for file in files {
            let older = file.taken_up.iter().map(|path| self.storage.read(path));
            let mut older = older.collect::<io::Result<Vec<_>>>().map_err(refused)?;
            let written = self.storage.write(&file.path, &mut |writer| {
                let older = std::mem::take(&mut older);
                let batches = match self.escapes_formulas {
                    true => Cow::Owned(file.batches.iter().map(formulas::escaped).collect::<Result<_, _>>()?),
                    false => Cow::Borrowed(&file.batches),
                };
                self.format.write(writer, file.table, older, file.without.as_ref(), &batches)
            });
            written.map_err(|error| {
                let error = match error {
                    ArrowError::IoError(_, cause) => refused(cause),
                    other => Error::new(ErrorKind::Destination, "the rows can't be written").with_source(other),
                };
                error.with_context("table", file.table.name.clone())
            })?;
            failpoint::hit("destination.between_tables");
        }
        let state = pipeline_state::encode(&package.pipeline, 1, &package.state)?;
        self.storage.put(&commit.state, state.as_bytes()).map_err(refused)?;
        if commit.written.contains(&commit.schema) {
            self.storage.put(&commit.schema, schema.content.to_string().as_bytes()).map_err(refused)?;
        }
        failpoint::hit("destination.before_commit");
        log.commit(&commit).map_err(refused)?;
        failpoint::hit("destination.after_commit");
        log.finish(&commit).map_err(refused)?;
        Ok(LoadReceipt { rows, already_loaded: false })
    }

    fn log<'a>(&'a self, pipeline: &'a str) -> Result<CommitLog<'a>> {
        if is_name(pipeline) {
            return Ok(CommitLog { storage: &*self.storage, pipeline });
        }
        Err(Error::new(ErrorKind::Usage, format!("a pipeline named `{pipeline}` can't be stored in files")))
    }
}

/// Tells apart what the user can do something about.
fn refused(error: io::Error) -> Error {
    let (kind, message) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (ErrorKind::Destination, "the disk is full"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::Destination, "the folder can't be written to")
        }
        io::ErrorKind::HostUnreachable => (ErrorKind::Unavailable, "the object store can't be used"),
        _ => (ErrorKind::Destination, "the folder can't be used"),
    };
    Error::new(kind, message).with_source(error)
}
