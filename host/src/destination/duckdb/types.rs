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

    fn column_type(&self, column: &Column) -> String {
        let name = match column.data_type {
            DataType::Text => "VARCHAR",
            DataType::Double => "DOUBLE",
            DataType::Bool => "BOOLEAN",
            DataType::Timestamp => "TIMESTAMP WITH TIME ZONE",
            DataType::Bigint => "BIGINT",
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
