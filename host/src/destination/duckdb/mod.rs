//! A dataset in a DuckDB file: rows go in through the Arrow appender, one DuckDB transaction per package.
//!
//! Must never run without a memory limit of its own, or a large merge would take the host's.

mod types;

use std::path::Path;

use arrow::record_batch::RecordBatch;
use duckdb::{Config, Connection};

use super::check_folder;
use super::sql::dialect::{Dialect, TableName, identifier, literal};
use super::sql::{Database, SqlDestination};
use crate::error::{Error, ErrorKind, Result};

/// What DuckDB may hold in memory before it spills to a folder beside the file.
const MEMORY_LIMIT: &str = "48MB";
const THREADS: i64 = 2;
/// How much of what DuckDB has freed its allocator may keep for later.
const ALLOCATOR_KEEPS: &str = "16MB";
/// What the file is attached as: no dataset is called so.
const CATALOG: &str = "airlock file";

/// What DuckDB says. Its error has a cause of its own, "Unknown error code", which says nothing.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Opens or makes the file. It stays locked for other processes until the destination is dropped.
pub(super) fn open(path: &Path, dataset: &str) -> Result<SqlDestination<DuckDb>> {
    check_folder(path)?;
    create(path).map_err(|error| unopened(path, error))?;
    let connection = connect(path).map_err(|error| unopened(path, error))?;
    Ok(SqlDestination::new(DuckDb { connection }, dataset))
}

pub(super) struct DuckDb {
    connection: Connection,
}

/// Makes the file unless it is there, under another name first: one that is half made would be no DuckDB file for ever.
fn create(path: &Path) -> std::result::Result<(), Cause> {
    if path.exists() {
        return Ok(());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = Path::new(&name);
    connect(new)?.close().map_err(|(_, error)| error)?;
    std::fs::rename(new, path)?;
    Ok(())
}

fn connect(path: &Path) -> duckdb::Result<Connection> {
    let spill = path.with_extension("spill");
    let config = Config::default()
        .max_memory(MEMORY_LIMIT)?
        .threads(THREADS)?
        .with("temp_directory", spill.to_string_lossy())?
        .with("allocator_flush_threshold", ALLOCATOR_KEEPS)?
        // What a package needs is built in; nothing is fetched from the network behind the user's back.
        .with("autoinstall_known_extensions", "false")?;
    let connection = Connection::open_in_memory_with_flags(config)?;
    // DuckDB names a database after its file: `pm.duckdb` with a dataset `pm` would make the name `pm` ambiguous.
    let catalog = identifier(CATALOG);
    connection.execute_batch(&format!("ATTACH {} AS {catalog}; USE {catalog}", literal(&path.to_string_lossy())))?;
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
    let message = if text.contains("No space left on device") { "the disk is full" } else { "DuckDB refused" };
    Error::new(ErrorKind::Destination, message).with_source(Cause::from(text))
}

impl Database for DuckDb {
    fn dialect(&self) -> &'static dyn Dialect {
        &types::DuckDb
    }

    fn execute(&mut self, sql: &str) -> Result<u64> {
        self.connection.execute(sql, []).map(|count| count as u64).map_err(refused)
    }

    fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let read = || {
            let mut statement = self.connection.prepare(sql)?;
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

    fn append(&mut self, table: &TableName, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema();
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let append = || {
            let mut appender = match &table.schema {
                Some(schema) => self.connection.appender_with_columns_to_db(&table.table, schema, &columns)?,
                None => self.connection.appender_with_columns(&table.table, &columns)?,
            };
            appender.append_record_batch(batch.clone())?;
            appender.flush()
        };
        append().map_err(refused)
    }
}
