//! Arrow IPC streams as records: flat columns, with their types as hints.
//!
//! Must never guess at a nested column: it is refused. Values take the same way as JSON ones, so that names, contracts
//! and variants hold for them too.

use std::cell::Cell;
use std::io::{self, Write};
use std::panic::{self, UnwindSafe};
use std::sync::{Arc, Once};

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

/// Reads a stream whole. `most`: how many bytes it may stand for as text; a few of a stream can claim billions of rows, or
/// name one long text again and again.
pub(super) fn read(bytes: &[u8], most: usize) -> Result<Table> {
    // Arrow's decoder panics on some broken streams, and these bytes come from a connector.
    quietly(|| decode(bytes, most)).unwrap_or_else(|| Err(bad_stream(ArrowError::IpcError("broken".to_owned()))))
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// None: it panics, of which nothing is shown.
fn quietly<T>(work: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                others(panic);
            }
        }));
    });
    IS_QUIET.set(true);
    let outcome = panic::catch_unwind(work);
    IS_QUIET.set(false);
    outcome.ok()
}

/// Takes from the bytes only what is there: a reader would believe the lengths in the stream and allocate them.
fn decode(bytes: &[u8], most: usize) -> Result<Table> {
    let mut decoder = StreamDecoder::new();
    let mut writer = LineDelimitedWriter::new(Bounded { bytes: Vec::new(), most });
    // The schema first, alone: nothing is read of a type that is not taken.
    let (schema, rest) = bytes.split_at(schema_length(bytes).min(bytes.len()));
    let mut read = |part: &[u8]| -> Result<Option<Vec<ColumnHint>>> {
        let mut buffer = Buffer::from(part);
        while let Some(batch) = decoder.decode(&mut buffer).map_err(bad_stream)? {
            check_size(&batch, most)?;
            for start in (0..batch.num_rows()).step_by(ROWS_AT_ONCE) {
                let some = batch.slice(start, ROWS_AT_ONCE.min(batch.num_rows() - start));
                let some = printable(&some).map_err(bad_stream)?;
                writer.write(&some).map_err(|error| match error {
                    ArrowError::IoError(..) => too_large(most),
                    error => bad_stream(error),
                })?;
            }
        }
        decoder.schema().map(|schema| schema.fields().iter().map(|field| hint(field)).collect()).transpose()
    };
    read(schema)?;
    let columns = read(rest)?.ok_or_else(|| bad_stream(ArrowError::IpcError("no schema".to_owned())))?;
    decoder.finish().map_err(bad_stream)?;
    writer.finish().map_err(bad_stream)?;
    Ok(Table { columns, lines: writer.into_inner().bytes })
}

const ROWS_AT_ONCE: usize = 1024;

/// Where the stream's first message ends; its schema counts as read when a byte of the next one is there.
fn schema_length(bytes: &[u8]) -> usize {
    let marker = if bytes.starts_with(&[255; 4]) { 4 } else { 0 };
    let length = bytes.get(marker..marker + 4).and_then(|length| length.try_into().ok()).map_or(0, u32::from_le_bytes);
    (length as usize).saturating_add(marker + 5)
}

/// What rows without a value, and views of one and the same text, come to; of all else there are bytes in the stream.
fn check_size(batch: &RecordBatch, most: usize) -> Result<()> {
    let mut bytes = batch.num_rows().saturating_mul(3);
    for column in batch.columns() {
        let views = match column.data_type() {
            ArrowType::Utf8View => column.as_string_view().views(),
            ArrowType::BinaryView => column.as_binary_view().views(),
            _ => continue,
        };
        // A view begins with its length, in four bytes.
        let lengths = views.iter().enumerate().filter(|(row, _)| column.is_valid(*row)).map(|(_, view)| *view as u32);
        bytes = lengths.fold(bytes, |sum, length| sum.saturating_add(length as usize));
    }
    if bytes <= most { Ok(()) } else { Err(too_large(most)) }
}

fn too_large(most: usize) -> Error {
    Error::new(ErrorKind::LimitExceeded, format!("an Arrow page stands for more than {most} bytes"))
        .with_help("send fewer rows a page, or raise host.limits.decoded_bytes")
}

/// Takes bytes until there are too many.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayData, BinaryViewArray, NullArray, RecordBatchOptions, StringViewArray};
    use arrow::ipc::writer::StreamWriter;

    use super::*;

    fn stream(batch: &RecordBatch) -> Vec<u8> {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(batch).unwrap();
        writer.into_inner().unwrap()
    }

    fn column(array: impl Array + 'static) -> RecordBatch {
        RecordBatch::try_from_iter([("c", Arc::new(array) as ArrayRef)]).unwrap()
    }

    /// Each is small, and stands for gigabytes.
    #[test]
    fn small_streams_that_become_large() {
        let rows = (1 << 31) - 1;
        let long = Buffer::from(vec![b'x'; 1 << 20]);
        // A length, a beginning of the text, and where it is.
        let view = (1_u128 << 20) | (u128::from(u32::from_le_bytes(*b"xxxx")) << 32);
        let views = ArrayData::builder(ArrowType::Utf8View)
            .len(10_000)
            .add_buffer(Buffer::from_slice_ref(vec![view; 10_000]))
            .add_buffer(long)
            .build()
            .unwrap();
        let texts = StringViewArray::from(views);
        let nothing = RecordBatchOptions::new().with_row_count(Some(rows));
        let nothing = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &nothing).unwrap();
        let name = "n".repeat(1 << 20);
        let numbers: ArrayRef = Arc::new(arrow::array::Int8Array::from(vec![1; 10_000]));
        for (case, batch) in [
            ("rows of null", column(NullArray::new(rows))),
            ("rows without columns", nothing),
            ("texts that are one", column(texts.clone())),
            (
                "bytes that are one",
                column(BinaryViewArray::from(
                    texts.to_data().into_builder().data_type(ArrowType::BinaryView).build().unwrap(),
                )),
            ),
            ("a long name for every row", RecordBatch::try_from_iter([(name, numbers)]).unwrap()),
        ] {
            let Err(error) = read(&stream(&batch), 64 << 20) else { panic!("{case} is read") };
            assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{case}: {error}");
            assert!(error.help()[0].contains("host.limits.decoded_bytes"), "{case}");
        }
        assert_eq!(read(&stream(&column(StringArray::from(vec!["a"; 5000]))), 1 << 20).unwrap().lines.len(), 5000 * 10);
    }
}
