//! A table's rows as a file: JSON Lines, CSV or Parquet.
//!
//! All files of a table have the same columns, in the schema's order, so that readers can take them as one table. Must
//! never decide where a file lies or whether it counts.

use std::io::Write;
use std::sync::Arc;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::destination::layout;
use crate::destination::printable::printable;
use crate::schema::TableSchema;

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

    /// Writes a file's whole content. JSON Lines leaves nulls out; CSV begins with the names.
    pub(super) fn write(
        self,
        file: &mut (dyn Write + Send),
        table: &TableSchema,
        batches: &[RecordBatch],
    ) -> Result<(), ArrowError> {
        let schema = layout::arrow_schema(table);
        let batches = batches.iter().map(|batch| layout::whole(batch, &schema));
        match self {
            Self::Jsonl => {
                let mut writer = arrow::json::LineDelimitedWriter::new(file);
                for batch in batches {
                    writer.write(&printable(&batch?)?)?;
                }
                writer.finish()
            }
            Self::Csv => {
                let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(file);
                batches.map(|batch| writer.write(&printable(&batch?)?)).collect()
            }
            Self::Parquet => {
                let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
                let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
                for batch in batches {
                    writer.write(&batch?)?;
                }
                writer.close()?;
                Ok(())
            }
        }
    }
}
