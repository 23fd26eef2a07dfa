//! A dataset in an SQLite file: prepared inserts of many rows each, one SQLite transaction per package.
//!
//! Must never wait for another writer for longer than a few seconds: it says that the file is in use.

mod types;

use std::path::{Path, PathBuf};

use arrow::record_batch::RecordBatch;
use jiff::SignedDuration;
use jiff::civil::{Date, Time};
use rusqlite::{Connection, ErrorCode, Statement, ToSql as _};

use super::cells::{self, Cell, Column};
use super::check_folder;
use super::sql::dialect::{Dialect, TableName, identifiers};
use super::sql::{Database, SqlDestination};
use crate::error::{Error, ErrorKind, Result};

/// Rows per statement; more gain nothing.
const ROWS: usize = 64;
/// SQLite's own limit on a statement's parameters.
const PARAMETERS: usize = 32_766;

/// Opens the file, or makes it when the first package comes.
pub(super) fn open(path: &Path, dataset: &str) -> Result<SqlDestination<Sqlite>> {
    check_folder(path)?;
    let mut database = Sqlite { path: path.to_owned(), connection: None };
    if path.exists() {
        database.connect()?;
    }
    Ok(SqlDestination::new(database, dataset))
}

pub(super) struct Sqlite {
    path: PathBuf,
    connection: Option<Connection>,
}

impl Sqlite {
    fn connect(&mut self) -> Result<()> {
        let connect = || {
            let connection = Connection::open(&self.path)?;
            // Readers go on while a package is written. Also the first access: a file of another kind shows here.
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            Ok(connection)
        };
        let connection =
            connect().map_err(|error| refused(error).with_context("file", self.path.display().to_string()))?;
        self.connection = Some(connection);
        Ok(())
    }

    fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or_else(|| Error::new(ErrorKind::Internal, "the SQLite file is not open"))
    }
}

/// Tells apart what the user can do something about.
fn refused(error: rusqlite::Error) -> Error {
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::Busy, "the SQLite file is in use by another process")
        }
        Some(ErrorCode::NotADatabase) => (ErrorKind::Destination, "this is not an SQLite file"),
        Some(ErrorCode::DiskFull) => (ErrorKind::Destination, "the disk is full"),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            (ErrorKind::Destination, "the SQLite file can't be opened for writing")
        }
        _ => (ErrorKind::Destination, "SQLite refused"),
    };
    Error::new(kind, message).with_source(error)
}

impl Database for Sqlite {
    fn dialect(&self) -> &'static dyn Dialect {
        &types::Sqlite
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

    fn execute(&mut self, sql: &str) -> Result<u64> {
        self.connection()?.execute(sql, []).map(|count| count as u64).map_err(refused)
    }

    fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let connection = self.connection()?;
        let read = || {
            let mut statement = connection.prepare(sql)?;
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?;
            rows.collect::<rusqlite::Result<Vec<Vec<Option<String>>>>>()
        };
        read().map_err(refused)
    }

    fn append(&mut self, table: &TableName, batch: &RecordBatch) -> Result<()> {
        let columns = cells::columns(batch)
            .map_err(|error| Error::new(ErrorKind::Internal, "columns of an unknown type").with_source(error))?;
        if columns.is_empty() {
            return Ok(());
        }
        let schema = batch.schema();
        let names = identifiers(schema.fields().iter().map(|field| field.name().as_str()));
        let chunk = (PARAMETERS / columns.len()).clamp(1, ROWS);
        let connection = self.connection()?;
        let prepare = |rows: usize| {
            let row = format!("({})", vec!["?"; columns.len()].join(", "));
            let values = vec![row; rows].join(", ");
            connection.prepare(&format!("INSERT INTO {} ({names}) VALUES {values}", table.quoted()))
        };
        let append = || {
            let (full, rest) = (batch.num_rows() / chunk, batch.num_rows() % chunk);
            if full > 0 {
                let mut statement = prepare(chunk)?;
                for number in 0..full {
                    insert(&mut statement, &columns, number * chunk, chunk)?;
                }
            }
            if rest > 0 {
                insert(&mut prepare(rest)?, &columns, full * chunk, rest)?;
            }
            Ok(())
        };
        append().map_err(refused)
    }
}

fn insert(statement: &mut Statement<'_>, columns: &[Column], first: usize, rows: usize) -> rusqlite::Result<()> {
    let mut parameter = 0;
    for row in first..first + rows {
        for column in columns {
            parameter += 1;
            bind(statement, parameter, column.cell(row))?;
        }
    }
    statement.raw_execute()?;
    Ok(())
}

fn bind(statement: &mut Statement<'_>, parameter: usize, cell: Cell<'_>) -> rusqlite::Result<()> {
    match cell {
        Cell::Null => statement.raw_bind_parameter(parameter, rusqlite::types::Null),
        Cell::Text(text) => statement.raw_bind_parameter(parameter, text),
        Cell::Double(number) => statement.raw_bind_parameter(parameter, number),
        Cell::Bool(value) => statement.raw_bind_parameter(parameter, value),
        Cell::Bigint(number) => statement.raw_bind_parameter(parameter, number),
        Cell::Binary(bytes) => statement.raw_bind_parameter(parameter, bytes.to_sql()?),
        Cell::Timestamp(moment) => statement.raw_bind_parameter(parameter, types::timestamp(moment)),
        Cell::Decimal(value, scale) => statement.raw_bind_parameter(parameter, cells::decimal_text(value, scale)),
        Cell::Date(days) => {
            let date = Date::constant(1970, 1, 1).saturating_add(SignedDuration::from_hours(i64::from(days) * 24));
            statement.raw_bind_parameter(parameter, date.to_string())
        }
        Cell::Time(moment) => {
            let time = Time::midnight().saturating_add(SignedDuration::from_micros(moment));
            statement.raw_bind_parameter(parameter, time.strftime("%H:%M:%S.%6f").to_string())
        }
    }
}
