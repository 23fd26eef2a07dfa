//! SQLite's types for dlt's, and what else its SQL has of its own.
//!
//! A file is a dataset: its tables bear their plain names whatever the dataset is called, and staging tables a prefix.
//! Must never do I/O.

use crate::destination::sql::dialect::{Area, Dialect, TableName, identifier, literal, timestamp_text};
use crate::schema::{Column, DataType};

const STAGING_PREFIX: &str = "_dlt_staging__";

pub(super) struct Sqlite;

impl Dialect for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn max_identifier_length(&self) -> usize {
        65_536
    }

    /// SQLite's own default.
    fn max_columns(&self) -> usize {
        2000
    }

    fn reserved_columns(&self) -> &'static [&'static str] {
        &["_rowid_"]
    }

    fn reserved_tables(&self) -> &'static [&'static str] {
        &["sqlite_"]
    }

    /// What can be neither a whole number nor a double is text, in which SQLite loses no digit. A declared type only
    /// says what the text means; `DECIMAL` and `JSON` would make SQLite turn text into numbers.
    fn column_type(&self, column: &Column) -> String {
        let name = match column.data_type {
            DataType::Text | DataType::Json | DataType::Decimal | DataType::Wei => "TEXT",
            DataType::Double => "DOUBLE",
            DataType::Bool => "BOOLEAN",
            DataType::Timestamp => "TIMESTAMP",
            DataType::Bigint => match column.whole_bits() {
                16 => "SMALLINT",
                32 => "INTEGER",
                _ => "BIGINT",
            },
            DataType::Binary => "BLOB",
            DataType::Date => "DATE",
            DataType::Time => "TIME",
        };
        name.to_owned()
    }

    fn locate(&self, _dataset: &str, area: Area, table: &str) -> TableName {
        let table = match area {
            Area::Dataset => table.to_owned(),
            Area::Staging => format!("{STAGING_PREFIX}{table}"),
        };
        TableName { schema: None, table }
    }

    fn catalog(&self, _dataset: &str) -> String {
        let (prefix, length) = (literal(STAGING_PREFIX), STAGING_PREFIX.len());
        format!(
            "SELECT CASE WHEN substr(t.name, 1, {length}) = {prefix} THEN 'staging' ELSE 'dataset' END, CASE WHEN \
             substr(t.name, 1, {length}) = {prefix} THEN substr(t.name, {length} + 1) ELSE t.name END, c.name, 'YES' FROM \
             sqlite_master AS t JOIN pragma_table_info(t.name) AS c WHERE t.type = 'table' ORDER BY t.name, c.cid"
        )
    }

    /// Can't be done, so nothing is declared `NOT NULL`.
    fn drop_not_null(&self, _table: &TableName, _column: &str) -> Option<String> {
        None
    }

    /// The lock is taken at once: a transaction that begins by reading could not wait for one later.
    fn begin(&self) -> &'static str {
        "BEGIN IMMEDIATE"
    }

    fn row_order(&self) -> &'static str {
        "_rowid_"
    }

    /// SQLite makes a hash of a list, but runs EXISTS for each row.
    fn absent(&self, row: &str, column: &str, other_table: &str, other_column: &str) -> String {
        let (row, column, other) = (identifier(row), identifier(column), identifier(other_column));
        format!("{row}.{column} NOT IN (SELECT {other} FROM {other_table})")
    }

    fn timestamp(&self, microseconds: i64) -> String {
        literal(&timestamp(microseconds))
    }
}

/// `2024-01-02 03:04:05.000006`, in UTC: the form of SQLite's own `CURRENT_TIMESTAMP`, which sorts as text.
pub(super) fn timestamp(microseconds: i64) -> String {
    timestamp_text(microseconds).replace('T', " ").trim_end_matches('Z').to_owned()
}
