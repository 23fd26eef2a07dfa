//! DuckDB's types for dlt's, and what else its SQL has of its own.
//!
//! Must never do I/O.

use crate::destination::sql::dialect::{Area, Dialect, literal};
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

    /// What `information_schema.columns` is a view of, which takes ten times as long.
    fn catalog(&self, dataset: &str) -> String {
        let [dataset, staging] = [Area::Dataset, Area::Staging].map(|area| literal(&self.schema(dataset, area)));
        format!(
            "SELECT CASE WHEN schema_name = {dataset} THEN 'dataset' ELSE 'staging' END, table_name, column_name, CASE WHEN \
             is_nullable THEN 'YES' ELSE 'NO' END FROM duckdb_columns() WHERE database_name = current_catalog() AND \
             schema_name IN ({dataset}, {staging}) ORDER BY schema_name, table_name, column_index"
        )
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
