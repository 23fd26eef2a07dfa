//! Rows by folder: a column with dlt's hint `partition` makes one folder per value, `column=value`, as Hive names them.
//!
//! The column stays in the files, so that they can be read without their folders' names. Must never put rows of two
//! values into one folder.

use arrow::array::{Array as _, ArrayRef, StringArray, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType as ArrowType, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use indexmap::IndexMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::schema::{Column, DataType, TableSchema};

/// More folders in one package are a mistake in the choice of the column.
const FOLDERS: usize = 1000;
/// Hive's name for no value.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// The rows of each folder below the table's own, which is `/column=value…`, or nothing for a table in one folder.
pub(super) fn split(table: &TableSchema, batches: &[RecordBatch]) -> Result<Vec<(String, Vec<RecordBatch>)>> {
    let is_partition = |column: &&Column| column.hints.get("partition") == Some(&Value::Bool(true));
    let columns: Vec<&Column> = table.columns.values().filter(is_partition).collect();
    if columns.is_empty() {
        return Ok(vec![(String::new(), batches.to_vec())]);
    }
    let refused = |message: String| {
        Error::new(ErrorKind::Destination, message)
            .with_context("table", table.name.clone())
            .with_help("take the hint `partition` from that column, or choose another one")
    };
    let unfit = columns.iter().find(|column| label(column).is_none());
    if let Some(column) = unfit {
        let kind = column.data_type.name();
        return Err(refused(format!("files can't be partitioned by `{}`, a column of type {kind}", column.name)));
    }
    let failed = |error: ArrowError| {
        Error::new(ErrorKind::Internal, "rows can't be partitioned")
            .with_context("table", table.name.clone())
            .with_source(error)
    };
    let mut folders: IndexMap<String, Vec<RecordBatch>> = IndexMap::new();
    for batch in batches {
        let labels =
            columns.iter().map(|column| labels(column, batch)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let mut rows: IndexMap<String, Vec<u32>> = IndexMap::new();
        for (row, number) in (0..batch.num_rows()).zip(0_u32..) {
            let folder = labels.iter().map(|(name, values)| {
                let value =
                    values.as_ref().filter(|values| values.is_valid(row)).map_or(NULL, |values| values.value(row));
                let value =
                    if value == NULL { value.to_owned() } else { utf8_percent_encode(value, ENCODED).to_string() };
                format!("/{name}={value}")
            });
            rows.entry(folder.collect()).or_default().push(number);
        }
        for (folder, rows) in rows {
            let part = take_record_batch(batch, &UInt32Array::from(rows)).map_err(failed)?;
            folders.entry(folder).or_default().push(part);
        }
        if folders.len() > FOLDERS {
            return Err(refused(format!("one package would make more than {FOLDERS} folders")));
        }
    }
    Ok(folders.into_iter().collect())
}

/// What stands before `=`: a moment is taken by its day, under a name of its own, so that readers don't take the day for the
/// column's value. None for types without a sensible text.
fn label(column: &Column) -> Option<String> {
    match column.data_type {
        DataType::Timestamp => Some(format!("{}_day", column.name)),
        DataType::Text | DataType::Bigint | DataType::Bool | DataType::Date => Some(column.name.clone()),
        _ => None,
    }
}

/// A column's label and values; no values where the batch lacks the column.
fn labels(column: &Column, batch: &RecordBatch) -> Result<(String, Option<StringArray>), ArrowError> {
    let text = |array: &ArrayRef| -> Result<StringArray, ArrowError> {
        let array = match column.data_type {
            // By way of an offset: Arrow knows no zone by its name.
            DataType::Timestamp => {
                let moments = cast(array, &ArrowType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())))?;
                &cast(&moments, &ArrowType::Date32)?
            }
            _ => array,
        };
        Ok(cast(array, &ArrowType::Utf8)?.to_data().into())
    };
    let name = utf8_percent_encode(&label(column).unwrap_or_default(), ENCODED).to_string();
    Ok((name, batch.column_by_name(&column.name).map(text).transpose()?))
}
