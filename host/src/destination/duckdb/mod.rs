//! A dataset in a DuckDB file: rows go in through the Arrow appender, one DuckDB transaction per package.
//!
//! Must never run without a memory limit of its own, or a large merge would take the host's.

mod types;

use std::path::{Path, PathBuf};

use arrow::record_batch::RecordBatch;
use duckdb::{Config, Connection};

use super::check_folder;
use super::sql::dialect::{Dialect, TableName, identifier, literal};
use super::sql::{Database, SqlDestination};
use crate::error::{Error, ErrorKind, Result};

/// What DuckDB may hold in memory before it spills to a folder beside the file, in megabytes, where nothing else is said:
/// as much as a package with what is made of it, so that appending does not spill. A merge into large tables may need some
/// that can't be spilled, and gets it then, step by step.
const MEMORY_LIMIT: u64 = 96;
const MOST_MEMORY: u64 = 3072;
const MEMORY_STEP: u64 = 4;
const THREADS: i64 = 2;
/// How much of what DuckDB has freed its allocator may keep for later.
const ALLOCATOR_KEEPS: &str = "16MB";
/// What DuckDB says when its limit was too low: of a statement, and of an append, which needs some memory for each column.
const OUT_OF_MEMORY: [&str; 3] = ["Out of Memory Error", "failed to allocate", "failed to pin block"];
/// What the file is attached as: no dataset is called so.
const CATALOG: &str = "airlock file";

/// What DuckDB says. Its error has a cause of its own, "Unknown error code", which says nothing.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Opens the file, or makes it when the first package comes. It stays locked for other processes until the destination is
/// dropped.
pub(super) fn open(path: &Path, dataset: &str) -> Result<SqlDestination<DuckDb>> {
    check_folder(path)?;
    let mut database = DuckDb { path: path.to_owned(), connection: None, memory_limit: MEMORY_LIMIT };
    if path.exists() {
        database.connect()?;
    }
    Ok(SqlDestination::new(database, dataset))
}

pub(super) struct DuckDb {
    path: PathBuf,
    connection: Option<Connection>,
    /// In megabytes.
    memory_limit: u64,
}

impl DuckDb {
    fn connect(&mut self) -> Result<()> {
        self.connection = Some(connect(&self.path).map_err(|error| unopened(&self.path, error))?);
        self.set_memory()
    }

    fn set_memory(&self) -> Result<()> {
        let Some(connection) = &self.connection else { return Ok(()) };
        connection.execute_batch(&format!("SET memory_limit = '{}MB'", self.memory_limit)).map_err(refused)
    }

    fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or_else(|| Error::new(ErrorKind::Internal, "the DuckDB file is not open"))
    }
}

fn connect(path: &Path) -> std::result::Result<Connection, Cause> {
    let spill = path.with_extension("spill");
    let config = Config::default()
        .max_memory(&format!("{MEMORY_LIMIT}MB"))?
        .threads(THREADS)?
        .with("temp_directory", spill.to_string_lossy())?
        .with("allocator_flush_threshold", ALLOCATOR_KEEPS)?
        // What a package needs is built in; nothing is fetched from the network behind the user's back.
        .with("autoinstall_known_extensions", "false")?;
    let connection = Connection::open_in_memory_with_flags(config)?;
    // DuckDB names a database after its file: `pm.duckdb` with a dataset `pm` would make the name `pm` ambiguous.
    let catalog = identifier(CATALOG);
    let attach = |file: &Path| format!("ATTACH {} AS {catalog}", literal(&file.to_string_lossy()));
    if !path.exists() {
        // Under another name first: a file that is half made would be no DuckDB file for ever.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = Path::new(&name);
        connection.execute_batch(&format!("{}; DETACH {catalog}", attach(new)))?;
        std::fs::rename(new, path)?;
    }
    connection.execute_batch(&format!("{}; USE {catalog}", attach(path)))?;
    Ok(connection)
}

/// Tells a file in use from one that is no database.
fn unopened(path: &Path, error: impl Into<Cause>) -> Error {
    let text = error.into().to_string();
    let path = path.display();
    let (kind, message, help) = if text.contains("Could not set lock") || text.contains("Conflicting lock") {
        (ErrorKind::Busy, format!("{path} is in use by another process"), "close the other process, or wait for it")
    } else if text.contains("not a valid DuckDB database") {
        (ErrorKind::Destination, format!("{path} is not a DuckDB file"), "name another file, or move this one away")
    } else {
        let message = format!("can't open the DuckDB file {path}");
        return Error::new(ErrorKind::Destination, message).with_source(Cause::from(text));
    };
    Error::new(kind, message).with_help(help).with_source(Cause::from(text))
}

/// Tells a full disk from what is wrong with the rows.
fn refused(error: duckdb::Error) -> Error {
    let text = error.to_string();
    // What follows is advice for who writes the SQL.
    let text = text.split("\n\nPossible solutions").next().unwrap_or_default().to_owned();
    let message = if text.contains("No space left on device") { "the disk is full" } else { "DuckDB refused" };
    Error::new(ErrorKind::Destination, message).with_source(Cause::from(text))
}

impl Database for DuckDb {
    fn dialect(&self) -> &'static dyn Dialect {
        &types::DuckDb
    }

    fn execute(&mut self, sql: &str) -> Result<u64> {
        self.connection()?.execute(sql, []).map(|count| count as u64).map_err(refused)
    }

    fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let connection = self.connection()?;
        let read = || {
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            let mut read = Vec::new();
            while let Some(row) = rows.next()? {
                let columns = row.as_ref().column_count();
                read.push((0..columns).map(|column| row.get(column)).collect::<duckdb::Result<Vec<_>>>()?);
            }
            Ok(read)
        };
        read().map_err(refused)
    }

    fn is_there(&self) -> bool {
        self.connection.is_some() || self.path.exists()
    }

    fn reconnect(&mut self) -> Result<bool> {
        let is_closed = self.connection.is_none();
        if is_closed {
            self.connect()?;
        }
        Ok(is_closed)
    }

    fn limit_memory(&mut self, bytes: u64) -> Result<()> {
        self.memory_limit = (bytes >> 20).max(1);
        self.set_memory()
    }

    fn takes_more_memory(&mut self, error: &Error) -> bool {
        let lacked = error.causes().iter().any(|cause| OUT_OF_MEMORY.iter().any(|words| cause.contains(words)));
        if !lacked || self.memory_limit >= MOST_MEMORY {
            return false;
        }
        self.memory_limit *= MEMORY_STEP;
        tracing::info!("DuckDB needs more memory: it may take {} MB now", self.memory_limit);
        self.set_memory().is_ok()
    }

    fn append(&mut self, table: &TableName, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema();
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let connection = self.connection()?;
        let append = || {
            let mut appender = match &table.schema {
                Some(schema) => connection.appender_with_columns_to_db(&table.table, schema, &columns)?,
                None => connection.appender_with_columns(&table.table, &columns)?,
            };
            appender.append_record_batch(batch.clone())?;
            appender.flush()
        };
        append().map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_memory_gets_more_of_it_and_what_is_wrong_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.duckdb");
        let mut database = DuckDb { path, connection: None, memory_limit: MEMORY_LIMIT };
        assert!(!database.is_there() && database.reconnect().unwrap() && !database.reconnect().unwrap());
        let wrong = database.execute("SELECT 1 FROM nothing").unwrap_err();
        assert!(!database.takes_more_memory(&wrong));
        // One value can't be spilled.
        let large = "CREATE TABLE t AS SELECT list(range) AS l FROM range(10_000_000)";
        let mut attempts = 1;
        while let Err(error) = database.execute(large) {
            assert!(database.takes_more_memory(&error), "{error:?}");
            attempts += 1;
        }
        assert!(attempts > 1, "the first limit was enough");
    }
}
