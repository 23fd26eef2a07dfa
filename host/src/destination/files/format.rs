//! A table's rows as a file: JSON Lines, CSV or Parquet.
//!
//! All files of a table have the same columns, in the schema's order, so that readers can take them as one table. Must
//! never decide where a file lies or whether it counts.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::destination::printable::printable;
use crate::schema::{Column, DataType, TableSchema};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Jsonl,
    Csv,
    Parquet,
}

impl Format {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "JSON Lines files",
            Self::Csv => "CSV files",
            Self::Parquet => "Parquet files",
        }
    }

    /// Writes a whole file, so that it outlives a crash. JSON Lines leaves nulls out; CSV begins with the names.
    pub(super) fn write(self, path: &Path, table: &TableSchema, batches: &[RecordBatch]) -> Result<(), ArrowError> {
        let schema = arrow_schema(table);
        let mut file = BufWriter::new(File::create(path)?);
        let batches = batches.iter().map(|batch| whole(batch, &schema));
        match self {
            Self::Jsonl => {
                let mut writer = arrow::json::LineDelimitedWriter::new(&mut file);
                for batch in batches {
                    writer.write(&printable(&batch?)?)?;
                }
                writer.finish()?;
            }
            Self::Csv => {
                let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(&mut file);
                for batch in batches {
                    writer.write(&printable(&batch?)?)?;
                }
            }
            Self::Parquet => {
                let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
                let mut writer = ArrowWriter::try_new(&mut file, Arc::clone(&schema), Some(properties))?;
                for batch in batches {
                    writer.write(&batch?)?;
                }
                writer.close()?;
            }
        }
        file.flush()?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(())
    }
}

/// All columns of a table. Any may be null: an older file lacks what came later.
fn arrow_schema(table: &TableSchema) -> SchemaRef {
    let field = |column: &Column| Field::new(&column.name, arrow_type(column), true);
    Arc::new(Schema::new(table.columns.values().map(field).collect::<Vec<_>>()))
}

fn arrow_type(column: &Column) -> ArrowType {
    match column.data_type {
        DataType::Text | DataType::Json => ArrowType::Utf8,
        DataType::Double => ArrowType::Float64,
        DataType::Bool => ArrowType::Boolean,
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Bigint => ArrowType::Int64,
        DataType::Binary => ArrowType::Binary,
        DataType::Wei | DataType::Decimal => {
            let (precision, scale) = column.decimal_shape();
            ArrowType::Decimal128(precision, scale)
        }
        DataType::Date => ArrowType::Date32,
        DataType::Time => ArrowType::Time64(TimeUnit::Microsecond),
    }
}

/// A batch with all columns of the schema, in its order and types.
fn whole(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}
