//! Arrow IPC streams as records: flat columns, with their types as hints.
//!
//! Must never guess at a nested column: it is refused. Values take the same way as JSON ones, so that names, contracts
//! and variants hold for them too.

use std::panic::catch_unwind;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, Field, Schema};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::json::LineDelimitedWriter;

use crate::error::{Error, ErrorKind, Result};
use crate::schema::{ColumnHint, DataType};

/// Records, and what their columns are.
pub(super) struct Table {
    pub(super) columns: Vec<ColumnHint>,
    /// One JSON object a line.
    pub(super) lines: Vec<u8>,
}

/// Reads a stream whole.
pub(super) fn read(bytes: &[u8]) -> Result<Table> {
    // Arrow's decoder panics on some broken streams, and these bytes come from a connector.
    catch_unwind(|| decode(bytes)).unwrap_or_else(|_| Err(bad_stream(ArrowError::IpcError("broken".to_owned()))))
}

/// Takes from the bytes only what is there: a reader would believe the lengths in the stream and allocate them.
fn decode(bytes: &[u8]) -> Result<Table> {
    let mut decoder = StreamDecoder::new();
    let mut buffer = Buffer::from(bytes);
    let mut writer = LineDelimitedWriter::new(Vec::new());
    while let Some(batch) = decoder.decode(&mut buffer).map_err(bad_stream)? {
        let batch = printable(&batch).map_err(bad_stream)?;
        writer.write(&batch).map_err(bad_stream)?;
    }
    decoder.finish().map_err(bad_stream)?;
    writer.finish().map_err(bad_stream)?;
    let schema = decoder.schema().ok_or_else(|| bad_stream(ArrowError::IpcError("no schema".to_owned())))?;
    let columns = schema.fields().iter().map(|field| hint(field)).collect::<Result<_>>()?;
    Ok(Table { columns, lines: writer.into_inner() })
}

fn bad_stream(error: ArrowError) -> Error {
    Error::new(ErrorKind::BadData, "a page of records is not an Arrow IPC stream").with_source(error)
}

fn hint(field: &Field) -> Result<ColumnHint> {
    let data_type = match field.data_type() {
        ArrowType::Null => None,
        ArrowType::Boolean => Some(DataType::Bool),
        data_type if data_type.is_integer() => Some(DataType::Bigint),
        data_type if data_type.is_floating() => Some(DataType::Double),
        ArrowType::Decimal128(..) | ArrowType::Decimal256(..) => Some(DataType::Decimal),
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => Some(DataType::Text),
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::FixedSizeBinary(_) | ArrowType::BinaryView => {
            Some(DataType::Binary)
        }
        ArrowType::Date32 | ArrowType::Date64 => Some(DataType::Date),
        ArrowType::Time32(_) | ArrowType::Time64(_) => Some(DataType::Time),
        ArrowType::Timestamp(..) => Some(DataType::Timestamp),
        other => {
            return Err(Error::new(ErrorKind::BadData, format!("an Arrow column of type {other} is not supported"))
                .with_context("column", field.name().clone())
                .with_help("send nested records as JSON"));
        }
    };
    let (precision, scale) = match field.data_type() {
        ArrowType::Decimal128(precision, scale) | ArrowType::Decimal256(precision, scale) => {
            (Some(u32::from(*precision)), u32::try_from(*scale).ok())
        }
        _ => (None, None),
    };
    Ok(ColumnHint { name: field.name().clone(), data_type, precision, scale, ..ColumnHint::default() })
}

/// Columns that JSON has no word for become text that `coerce` reads back.
fn printable(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let column = match field.data_type() {
            ArrowType::Binary | ArrowType::LargeBinary | ArrowType::FixedSizeBinary(_) | ArrowType::BinaryView => {
                hexadecimal(column)?
            }
            ArrowType::Decimal128(..) | ArrowType::Decimal256(..) | ArrowType::Date64 | ArrowType::Date32 => {
                let days =
                    if *field.data_type() == ArrowType::Date64 { &cast(column, &ArrowType::Date32)? } else { column };
                cast(days, &ArrowType::Utf8)?
            }
            ArrowType::Timestamp(unit, _) => {
                // Arrow counts from the epoch in UTC whatever the zone is called.
                let utc = ArrowType::Timestamp(*unit, None);
                cast(&cast(column, &ArrowType::Int64)?, &utc)?
            }
            _ => Arc::clone(column),
        };
        fields.push(Field::new(field.name(), column.data_type().clone(), true));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn hexadecimal(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    use std::fmt::Write as _;

    let binary = cast(column, &ArrowType::Binary)?;
    let texts: StringArray = binary
        .as_binary::<i32>()
        .iter()
        .map(|value| {
            value.map(|bytes| {
                let mut text = String::from("0x");
                for byte in bytes {
                    // Writing to a string can't fail.
                    let _ = write!(text, "{byte:02x}");
                }
                text
            })
        })
        .collect();
    Ok(Arc::new(texts) as Arc<dyn Array>)
}
