//! A table's rows as a file: JSON Lines, CSV or Parquet.
//!
//! All files of a table have the same columns, in the schema's order, so that readers can take them as one table. Must
//! never decide where a file lies or whether it counts.

use std::io::Write;
use std::sync::Arc;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::destination::layout;
use crate::destination::printable::printable;
use crate::schema::TableSchema;

const ROWS_AT_ONCE: usize = 8192;

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

    /// Whether [`Format::write`] takes older files: those of CSV may have other columns.
    pub(super) fn can_be_joined(self) -> bool {
        self != Self::Csv
    }

    /// Writes a file's whole content: the rows of older files, then new ones. JSON Lines leaves nulls out; CSV begins with
    /// the names.
    pub(super) fn write(
        self,
        file: &mut (dyn Write + Send),
        table: &TableSchema,
        older: Vec<Vec<u8>>,
        batches: &[RecordBatch],
    ) -> Result<(), ArrowError> {
        let schema = layout::arrow_schema(table);
        let mut batches = batches.iter().map(|batch| layout::whole(batch, &schema));
        match self {
            Self::Jsonl => {
                for content in older {
                    file.write_all(&content)?;
                }
                let mut writer = arrow::json::LineDelimitedWriter::new(file);
                for batch in batches {
                    writer.write(&printable(&batch?)?)?;
                }
                writer.finish()
            }
            Self::Csv => {
                let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(file);
                batches.try_for_each(|batch| writer.write(&printable(&batch?)?))
            }
            Self::Parquet => {
                let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
                let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
                for content in older {
                    for batch in ParquetRecordBatchReader::try_new(Bytes::from(content), ROWS_AT_ONCE)? {
                        writer.write(&layout::whole(&batch?, &schema)?)?;
                    }
                }
                for batch in batches {
                    writer.write(&batch?)?;
                }
                writer.close()?;
                Ok(())
            }
        }
    }
}
