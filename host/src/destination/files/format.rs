//! A table's rows as a file: JSON Lines, CSV or Parquet.
//!
//! All files of a table have the same columns, in the schema's order, so that readers can take them as one table. Must
//! never decide where a file lies or whether it counts.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array as _, BooleanArray, StringArray};
use arrow::compute::{cast, filter_record_batch, not};
use arrow::datatypes::DataType as ArrowType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::destination::json_lines;
use crate::destination::layout;
use crate::destination::printable::printable;
use crate::destination::sql::LOAD_ID;
use crate::schema::TableSchema;

use super::take_back::Gone;

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

    /// Writes a file's whole content: the rows of older files but those that go, then new ones. JSON Lines leaves nulls
    /// out; CSV begins with the names.
    pub(super) fn write(
        self,
        file: &mut (dyn Write + Send),
        table: &TableSchema,
        older: Vec<Vec<u8>>,
        without: Option<&Gone>,
        batches: &[RecordBatch],
    ) -> Result<(), ArrowError> {
        let schema = layout::arrow_schema(table);
        let mut batches = batches.iter().map(|batch| layout::whole(batch, &schema));
        match self {
            Self::Jsonl => {
                for content in older {
                    match without {
                        None => file.write_all(&content)?,
                        Some(gone) => {
                            for line in content.split_inclusive(|byte| *byte == b'\n') {
                                if !line_goes(line, gone)?.goes {
                                    file.write_all(line)?;
                                }
                            }
                        }
                    }
                }
                batches.try_for_each(|batch| json_lines::write(&batch?, b"", b"\n", file))
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
                        let mut batch = batch?;
                        if let Some(gone) = without {
                            batch = filter_record_batch(&batch, &not(&rows_that_go(&batch, gone)?)?)?;
                        }
                        writer.write(&layout::whole(&batch, &schema)?)?;
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

    /// Which rows of a file go.
    pub(super) fn rows_with(self, content: Vec<u8>, gone: &Gone) -> Result<Found, ArrowError> {
        let mut found = Found::default();
        if self == Self::Parquet {
            for batch in ParquetRecordBatchReader::try_new(Bytes::from(content), ROWS_AT_ONCE)? {
                let batch = batch?;
                let going = rows_that_go(&batch, gone)?;
                found.others |= going.true_count() < batch.num_rows();
                let ids = text(&batch, ID)?;
                let ids = ids.iter().zip(going.iter()).filter(|(_, goes)| *goes == Some(true));
                found.ids.extend(ids.filter_map(|(id, _)| id.map(str::to_owned)));
            }
        } else {
            for line in content.split_inclusive(|byte| *byte == b'\n') {
                let line = line_goes(line, gone)?;
                found.others |= !line.goes;
                found.ids.extend(line.id.filter(|_| line.goes));
            }
        }
        Ok(found)
    }
}

/// The column with a row's id.
const ID: &str = "_dlt_id";

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Of the rows that go.
    pub(super) ids: Vec<String>,
    /// Whether there are rows that stay.
    pub(super) others: bool,
}

/// A column as text; all null where the batch lacks it.
fn text(batch: &RecordBatch, column: &str) -> Result<StringArray, ArrowError> {
    match batch.column_by_name(column) {
        Some(values) => Ok(cast(values, &ArrowType::Utf8)?.to_data().into()),
        None => Ok(StringArray::new_null(batch.num_rows())),
    }
}

fn rows_that_go(batch: &RecordBatch, gone: &Gone) -> Result<BooleanArray, ArrowError> {
    let values = text(batch, gone.column)?;
    Ok(values.iter().map(|value| Some(value.is_some_and(|value| gone.values.contains(value)))).collect())
}

struct Line {
    id: Option<String>,
    goes: bool,
}

/// One row of JSON Lines.
fn line_goes(line: &[u8], gone: &Gone) -> Result<Line, ArrowError> {
    #[derive(serde::Deserialize)]
    struct Ids {
        #[serde(rename = "_dlt_id")]
        id: Option<String>,
        #[serde(rename = "_dlt_load_id")]
        load: Option<String>,
        #[serde(rename = "_dlt_parent_id")]
        parent: Option<String>,
    }
    let ids: Ids = serde_json::from_slice(line).map_err(|error| ArrowError::JsonError(error.to_string()))?;
    let value = if gone.column == LOAD_ID { ids.load } else { ids.parent };
    Ok(Line { id: ids.id, goes: value.is_some_and(|value| gone.values.contains(&value)) })
}
