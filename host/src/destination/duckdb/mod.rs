//! A dataset in a DuckDB file: rows go in through the Arrow appender, one DuckDB transaction per package.
//!
//! Must never run without a memory limit of its own, or a large merge would take the host's.

mod types;

use std::path::Path;

use arrow::record_batch::RecordBatch;
use duckdb::{Config, Connection};

use super::sql::dialect::{Dialect, TableName, identifier, literal};
use super::sql::{Database, SqlDestination};
use crate::error::{Error, ErrorKind, Result};

/// What DuckDB may hold in memory before it spills to a folder beside the file.
const MEMORY_LIMIT: &str = "256MB";
const THREADS: i64 = 2;
/// What the file is attached as: no dataset is called so.
const CATALOG: &str = "airlock file";

/// Opens or makes the file. It stays locked for other processes until the destination is dropped.
pub(super) fn open(path: &Path, dataset: &str) -> Result<SqlDestination<DuckDb>> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::new(ErrorKind::Destination, format!("can't make the folder {}", folder.display())).with_source(error)
        })?;
    }
    create(path).map_err(|error| unopened(path, error))?;
    let connection = connect(path).map_err(|error| unopened(path, error))?;
    Ok(SqlDestination::new(DuckDb { connection }, dataset))
}

pub(super) struct DuckDb {
    connection: Connection,
}

/// Makes the file unless it is there, under another name first: one that is half made would be no DuckDB file for ever.
fn create(path: &Path) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
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
        // What a package needs is built in; nothing is fetched from the network behind the user's back.
        .with("autoinstall_known_extensions", "false")?;
    let connection = Connection::open_in_memory_with_flags(config)?;
    // DuckDB names a database after its file: `pm.duckdb` with a dataset `pm` would make the name `pm` ambiguous.
    let catalog = identifier(CATALOG);
    connection.execute_batch(&format!("ATTACH {} AS {catalog}; USE {catalog}", literal(&path.to_string_lossy())))?;
    Ok(connection)
}

/// Tells a file in use from one that is no database.
fn unopened(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let error = error.into();
    let text = error.to_string();
    let path = path.display();
    if text.contains("Could not set lock") || text.contains("Conflicting lock") {
        return Error::new(ErrorKind::Busy, format!("{path} is in use by another process"))
            .with_help("close the other process, or wait for it")
            .with_source(error);
    }
    if text.contains("not a valid DuckDB database") {
        return Error::new(ErrorKind::Destination, format!("{path} is not a DuckDB file"))
            .with_help("name another file, or move this one away")
            .with_source(error);
    }
    Error::new(ErrorKind::Destination, format!("can't open the DuckDB file {path}")).with_source(error)
}

/// Tells a full disk from what is wrong with the rows.
fn refused(error: duckdb::Error) -> Error {
    let text = error.to_string();
    if text.contains("No space left on device") {
        return Error::new(ErrorKind::Destination, "the disk is full").with_source(error);
    }
    Error::new(ErrorKind::Destination, "DuckDB refused").with_source(error)
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
