//! A dataset as a folder of files: `DIR/<dataset>/<table>/<load_id>.<n>.<format>`.
//!
//! What is in a table's folder counts: a file comes into sight when its package is committed, and goes when it is
//! replaced. `_dlt_loads` has one file per committed package, which names its files. Must never merge: files are never
//! changed.

mod bucket;
mod commit_log;
mod folder;
mod format;
mod storage;

use std::io;

use arrow::error::ArrowError;
use jiff::Timestamp;

use self::commit_log::{Commit, CommitLog, LOADS, Move};
pub(super) use self::format::Format;
use self::storage::Storage;
use super::pipeline_state;
use super::{Capabilities, Destination, Stored, root_table, unknown_pipeline};
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::package::{LoadPackage, LoadReceipt};
use crate::schema::{Schema, TableSchema, WriteDisposition};
use crate::state::State;

const STATE: &str = "_dlt_pipeline_state";
const VERSION: &str = "_dlt_version";
/// Where files lie until they come into sight.
const STAGING: &str = "_dlt_staging";
/// Most file systems' limit on a name is 255.
const MAX_IDENTIFIER_LENGTH: usize = 200;

pub(super) struct Files {
    storage: Box<dyn Storage>,
    format: Format,
}

/// Makes the folder, which is one of this machine or, as a URL, one of an object store.
pub(super) fn open(place: &str, dataset: &str, format: Format) -> Result<Files> {
    if !is_name(dataset) {
        return Err(Error::new(ErrorKind::Usage, format!("`{dataset}` can't be the name of a folder")));
    }
    Ok(Files { storage: storage::open(place, dataset)?, format })
}

impl Destination for Files {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: self.format.name(),
            merge: false,
            max_identifier_length: MAX_IDENTIFIER_LENGTH,
            keeps_state: true,
        }
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
        let mut plan = Plan {
            storage: &*self.storage,
            format: self.format,
            package,
            commit: Commit::default(),
            tables: Vec::new(),
        };
        plan.tables()?;
        let schema = package.schema.to_stored(None);
        plan.system(previous.as_ref(), &schema.version_hash);
        let Plan { commit, tables, .. } = plan;

        log.plan(&commit).map_err(refused)?;
        let mut rows = Vec::new();
        for (index, table, file) in tables {
            let Some(batch) = package.tables.get(index) else { continue };
            let written = self.storage.write(&file, &mut |writer| self.format.write(writer, table, &batch.batches));
            written.map_err(|error| {
                let error = match error {
                    ArrowError::IoError(_, cause) => refused(cause),
                    other => Error::new(ErrorKind::Destination, "the rows can't be written").with_source(other),
                };
                error.with_context("table", table.name.clone())
            })?;
            rows.push((table.name.clone(), batch.rows() as u64));
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

/// What a package is going to do to the folder.
struct Plan<'a> {
    storage: &'a dyn Storage,
    format: Format,
    package: &'a LoadPackage,
    commit: Commit,
    /// The package's tables that are written: position there, schema, file.
    tables: Vec<(usize, &'a TableSchema, String)>,
}

impl<'a> Plan<'a> {
    fn tables(&mut self) -> Result<()> {
        let package = self.package;
        // What earlier packages left of streams that begin or end here.
        for table in package.schema.tables.values() {
            let stream = &root_table(&package.schema, table).stream;
            let Some(replacement) = package.replaced.iter().find(|replacement| replacement.stream == *stream) else {
                continue;
            };
            check_name(&table.name)?;
            let staged = self.files(&format!("{STAGING}/{}", table.name))?;
            if replacement.begins {
                self.commit.removed.extend(staged);
            } else if replacement.ends {
                for from in staged {
                    self.comes_into_sight(from, &table.name);
                }
            }
            if replacement.ends {
                let replaced = self.files(&table.name)?;
                self.commit.removed.extend(replaced);
            }
        }
        for (index, rows) in package.tables.iter().enumerate() {
            let table = package.schema.tables.get(&rows.table).ok_or_else(|| {
                Error::new(ErrorKind::Internal, format!("rows of the table `{}`, which the schema lacks", rows.table))
            })?;
            check_name(&table.name)?;
            let root = root_table(&package.schema, table);
            let replacement = package.replaced.iter().find(|replacement| replacement.stream == root.stream);
            match (root.write_disposition, replacement) {
                (WriteDisposition::Skip, _) => continue,
                (WriteDisposition::Append, _) | (WriteDisposition::Replace, Some(_)) => {}
                (WriteDisposition::Merge, _) => {
                    let error = Error::new(ErrorKind::Destination, "files can't be merged into");
                    return Err(error
                        .with_context("table", table.name.clone())
                        .with_help("choose write_disposition append or replace, or a database as the destination"));
                }
                (WriteDisposition::Replace, None) => {
                    let stream = &root.stream;
                    let message = format!("rows of the stream `{stream}` came without saying where it begins and ends");
                    return Err(Error::new(ErrorKind::Internal, message));
                }
            }
            let file = format!("{STAGING}/{}/{}.0.{}", table.name, package.load_id, self.format.extension());
            self.commit.written.push(file.clone());
            if replacement.is_none_or(|replacement| replacement.ends) {
                self.comes_into_sight(file.clone(), &table.name);
            } else {
                self.commit.staged.push(file.clone());
            }
            self.tables.push((index, table, file));
        }
        Ok(())
    }

    /// State, schema and the rest of the commit.
    fn system(&mut self, previous: Option<&Commit>, hash: &str) {
        let package = self.package;
        let commit = &mut self.commit;
        commit.load_id.clone_from(&package.load_id);
        commit.schema_name.clone_from(&package.pipeline);
        commit.inserted_at = Timestamp::now().to_string();
        hash.clone_into(&mut commit.schema_version_hash);
        commit.state = format!("{STATE}/{}__{}.txt", package.pipeline, package.load_id);
        commit.written.push(commit.state.clone());
        commit.removed.extend(previous.map(|previous| previous.state.clone()));
        match previous.filter(|previous| previous.schema_version_hash == hash) {
            Some(previous) => commit.schema.clone_from(&previous.schema),
            None => {
                commit.schema = format!("{VERSION}/{}__{}.json", package.pipeline, package.load_id);
                commit.written.push(commit.schema.clone());
            }
        }
    }

    fn comes_into_sight(&mut self, from: String, table: &str) {
        let name = from.rsplit('/').next().unwrap_or_default();
        let to = format!("{table}/{name}");
        self.commit.files.push(to.clone());
        self.commit.moves.push(Move { from, to });
    }

    /// The data files in a folder of the dataset.
    fn files(&self, folder: &str) -> Result<Vec<String>> {
        let end = format!(".{}", self.format.extension());
        let files = self.storage.files(folder).map_err(refused)?;
        Ok(files.into_iter().filter(|path| path.ends_with(&end)).collect())
    }
}

fn check_name(table: &str) -> Result<()> {
    if is_name(table) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Destination, format!("a table named `{table}` can't be a folder")))
}

/// Whether a name stays where it is put, on every file system.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_IDENTIFIER_LENGTH + 50
        && !name.starts_with('.')
        && !name.contains(['/', '\\', '\0'])
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
