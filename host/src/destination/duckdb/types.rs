//! DuckDB's types for dlt's, and what else its SQL has of its own.
//!
//! Must never do I/O.

use crate::destination::sql::dialect::Dialect;
use crate::schema::{Column, DataType};

pub(super) struct DuckDb;

impl Dialect for DuckDb {
    fn name(&self) -> &'static str {
        "DuckDB"
    }

    fn max_identifier_length(&self) -> usize {
        65_536
    }

    /// Of each row its place, by which a merge finds it.
    fn reserved_columns(&self) -> &'static [&'static str] {
        &["rowid"]
    }

    fn column_type(&self, column: &Column) -> String {
        let name = match column.data_type {
            DataType::Text => "VARCHAR",
            DataType::Double => "DOUBLE",
            DataType::Bool => "BOOLEAN",
            DataType::Timestamp => "TIMESTAMP WITH TIME ZONE",
            DataType::Bigint => match column.whole_bits() {
                16 => "SMALLINT",
                32 => "INTEGER",
                _ => "BIGINT",
            },
            DataType::Binary => "BLOB",
            DataType::Json => "JSON",
            DataType::Date => "DATE",
            DataType::Time => "TIME",
            DataType::Wei | DataType::Decimal => {
                let (precision, scale) = column.decimal_shape();
                return format!("DECIMAL({precision},{scale})");
            }
        };
        name.to_owned()
    }
}
