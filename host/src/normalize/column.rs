//! The values of one column since the last take, in the layout that Arrow takes over without a copy.
//!
//! Must never hold a value of another type than the column's: what does not fit is handed back, and goes elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array, Float64Array, Int64Array,
    NullBufferBuilder, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, Field};
use arrow::error::ArrowError;

use super::coerce::{Scalar, fits_bits, is_shortest_number};
use crate::schema::{Column, DataType};

/// Metadata that tells a JSON column from a text column: both are UTF-8 in Arrow.
pub const TYPE_METADATA: &str = "airlock:type";

#[derive(Debug)]
pub(super) struct ColumnRows {
    pub(super) name: String,
    data_type: DataType,
    precision: u8,
    scale: i8,
    arrow_type: ArrowType,
    /// What the destination's column holds, where that is less than its type: bits of a whole number, characters of a
    /// text.
    room: Option<u32>,
    /// The type is the user's own choice: a text that means a number is one. Otherwise it has to be the same text too.
    is_hinted: bool,
    values: Values,
    validity: NullBufferBuilder,
    printed: String,
}

#[derive(Debug)]
enum Values {
    Bytes {
        ends: Vec<i32>,
        bytes: Vec<u8>,
    },
    Double(Vec<f64>),
    Bool(BooleanBufferBuilder),
    /// Whole numbers, and microseconds.
    Long(Vec<i64>),
    Days(Vec<i32>),
    Decimal(Vec<i128>),
}

/// Why a value was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is of another type.
    Type,
    /// A column's texts take 2 GiB at most between two takes.
    Full,
}

impl Values {
    fn new(data_type: DataType) -> Self {
        match data_type {
            DataType::Text | DataType::Json | DataType::Binary => Self::Bytes { ends: vec![0], bytes: Vec::new() },
            DataType::Double => Self::Double(Vec::new()),
            DataType::Bool => Self::Bool(BooleanBufferBuilder::new(0)),
            DataType::Bigint | DataType::Timestamp | DataType::Time => Self::Long(Vec::new()),
            DataType::Date => Self::Days(Vec::new()),
            DataType::Decimal | DataType::Wei => Self::Decimal(Vec::new()),
        }
    }

    fn push_bytes(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if let Self::Bytes { ends, bytes } = self {
            let end = i32::try_from(bytes.len() + value.len()).map_err(|_| Refusal::Full)?;
            bytes.extend_from_slice(value);
            ends.push(end);
        }
        Ok(())
    }

    /// Rows without a value hold anything; their validity says so.
    fn pad(&mut self, rows: usize) {
        match self {
            Self::Bytes { ends, .. } => ends.resize(rows + 1, ends.last().copied().unwrap_or(0)),
            Self::Double(values) => values.resize(rows, 0.0),
            Self::Bool(values) => values.append_n(rows.saturating_sub(values.len()), false),
            Self::Long(values) => values.resize(rows, 0),
            Self::Days(values) => values.resize(rows, 0),
            Self::Decimal(values) => values.resize(rows, 0),
        }
    }

    fn truncate(&mut self, rows: usize) {
        match self {
            Self::Bytes { ends, bytes } => {
                ends.truncate(rows + 1);
                bytes.truncate(ends.last().map_or(0, |end| usize::try_from(*end).unwrap_or(0)));
            }
            Self::Double(values) => values.truncate(rows),
            Self::Bool(values) => values.truncate(rows),
            Self::Long(values) => values.truncate(rows),
            Self::Days(values) => values.truncate(rows),
            Self::Decimal(values) => values.truncate(rows),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Bytes { ends, bytes } => ends.len() * 4 + bytes.len(),
            Self::Double(values) => values.len() * 8,
            Self::Bool(values) => values.len() / 8,
            Self::Long(values) => values.len() * 8,
            Self::Days(values) => values.len() * 4,
            Self::Decimal(values) => values.len() * 16,
        }
    }
}

impl ColumnRows {
    pub(super) fn new(column: &Column, is_hinted: bool, limits_text: bool) -> Self {
        let (precision, scale) = column.decimal_shape();
        Self {
            name: column.name.clone(),
            data_type: column.data_type,
            precision,
            scale,
            arrow_type: column.arrow_type(),
            room: column.precision.filter(|room| *room > 0 && (limits_text || column.data_type != DataType::Text)),
            is_hinted,
            values: Values::new(column.data_type),
            validity: NullBufferBuilder::new(0),
            printed: String::new(),
        }
    }

    pub(super) fn data_type(&self) -> DataType {
        self.data_type
    }

    pub(super) fn is_bool(&self) -> bool {
        self.data_type == DataType::Bool
    }

    /// The rows that it knows of: up to the last one with a value.
    pub(super) fn len(&self) -> usize {
        self.validity.len()
    }

    pub(super) fn size(&self) -> usize {
        self.values.size()
    }

    /// Whether a value stays what it is here, apart from its type.
    fn fits(&self, value: Scalar<'_>) -> bool {
        match (self.data_type, value) {
            (DataType::Bigint | DataType::Double | DataType::Decimal | DataType::Wei, Scalar::Text(text))
                if !self.is_hinted =>
            {
                let is_whole = matches!(self.data_type, DataType::Decimal | DataType::Wei) && self.scale == 0;
                is_shortest_number(text) && !(is_whole && text.contains('.'))
            }
            _ => true,
        }
    }

    /// Sets the value of a row that has none yet.
    pub(super) fn set(&mut self, row: usize, value: Scalar<'_>) -> Result<(), Refusal> {
        if !self.fits(value) {
            return Err(Refusal::Type);
        }
        self.begin(row);
        match &mut self.values {
            Values::Bytes { .. } => self.push_printed(value)?,
            Values::Double(values) => values.push(value.to_double().ok_or(Refusal::Type)?),
            Values::Bool(values) => values.append(value.to_bool().ok_or(Refusal::Type)?),
            Values::Long(values) => {
                let long = match self.data_type {
                    DataType::Bigint => value.to_bigint().filter(|number| fits_bits(*number, self.room)),
                    DataType::Timestamp => value.to_timestamp(),
                    _ => value.to_time(),
                };
                values.push(long.ok_or(Refusal::Type)?);
            }
            Values::Days(values) => values.push(value.to_date().ok_or(Refusal::Type)?),
            Values::Decimal(values) => {
                values.push(value.to_decimal(self.precision, self.scale).ok_or(Refusal::Type)?);
            }
        }
        self.validity.append_non_null();
        Ok(())
    }

    /// As `set`, for the ids and the load id: they are text and nothing else.
    pub(super) fn set_text(&mut self, row: usize, text: &[u8]) -> Result<(), Refusal> {
        self.begin(row);
        self.values.push_bytes(text)?;
        self.validity.append_non_null();
        Ok(())
    }

    fn push_printed(&mut self, value: Scalar<'_>) -> Result<(), Refusal> {
        let fits = |text: &str| match self.room {
            Some(room) if text.len() > room as usize => text.chars().count() <= room as usize,
            _ => true,
        };
        match (self.data_type, value) {
            (DataType::Text, Scalar::Text(text)) if fits(text) => self.values.push_bytes(text.as_bytes()),
            (DataType::Text, Scalar::Text(_)) => Err(Refusal::Type),
            (DataType::Text, other) => {
                let mut printed = std::mem::take(&mut self.printed);
                printed.clear();
                other.push_text(&mut printed);
                let pushed =
                    if fits(&printed) { self.values.push_bytes(printed.as_bytes()) } else { Err(Refusal::Type) };
                self.printed = printed;
                pushed
            }
            (DataType::Json, other) => self.values.push_bytes(other.to_json().ok_or(Refusal::Type)?.as_bytes()),
            (_, other) => self.values.push_bytes(&other.to_binary().ok_or(Refusal::Type)?),
        }
    }

    fn begin(&mut self, row: usize) {
        let missing = row.saturating_sub(self.validity.len());
        if missing > 0 {
            self.values.pad(row);
            self.validity.append_n_nulls(missing);
        }
    }

    /// Forgets the rows from `rows` on.
    pub(super) fn truncate(&mut self, rows: usize) {
        if self.validity.len() > rows {
            self.values.truncate(rows);
            self.validity.truncate(rows);
        }
    }

    /// Hands out the column for so many rows and begins anew; none if no row has a value.
    pub(super) fn take(&mut self, rows: usize) -> Result<Option<(Field, ArrayRef)>, ArrowError> {
        if self.len() == 0 {
            return Ok(None);
        }
        self.begin(rows);
        let validity = self.validity.finish();
        let array: ArrayRef = match std::mem::replace(&mut self.values, Values::new(self.data_type)) {
            Values::Bytes { ends, bytes } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
                let bytes = Buffer::from_vec(bytes);
                match self.data_type {
                    DataType::Binary => Arc::new(BinaryArray::try_new(offsets, bytes, validity)?),
                    _ => Arc::new(StringArray::try_new(offsets, bytes, validity)?),
                }
            }
            Values::Double(values) => Arc::new(Float64Array::try_new(values.into(), validity)?),
            Values::Bool(mut values) => Arc::new(BooleanArray::new(values.finish(), validity)),
            Values::Long(values) => match self.data_type {
                DataType::Bigint => Arc::new(Int64Array::try_new(values.into(), validity)?),
                DataType::Timestamp => {
                    Arc::new(TimestampMicrosecondArray::try_new(values.into(), validity)?.with_timezone("UTC"))
                }
                _ => Arc::new(Time64MicrosecondArray::try_new(values.into(), validity)?),
            },
            Values::Days(values) => Arc::new(Date32Array::try_new(values.into(), validity)?),
            Values::Decimal(values) => Arc::new(
                Decimal128Array::try_new(values.into(), validity)?
                    .with_precision_and_scale(self.precision, self.scale)?,
            ),
        };
        // Always nullable: what may be null is the schema's to say.
        let field = Field::new(&self.name, self.arrow_type.clone(), true);
        let is_json = self.data_type == DataType::Json;
        let metadata = || HashMap::from([(TYPE_METADATA.to_owned(), DataType::Json.name().to_owned())]);
        let array = if array.data_type() == &self.arrow_type { array } else { cast(&array, &self.arrow_type)? };
        Ok(Some((if is_json { field.with_metadata(metadata()) } else { field }, array)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Array as _;

    use super::*;

    #[test]
    fn rows_without_a_value_are_null() {
        let mut column = ColumnRows::new(&Column::new("a", DataType::Text), false, false);
        column.set(1, Scalar::Text("x")).unwrap();
        column.set(3, Scalar::Int(5)).unwrap();
        column.set(4, Scalar::Text("gone")).unwrap();
        column.truncate(4);
        let (_, array) = column.take(6).unwrap().unwrap();
        let array = array.as_any().downcast_ref::<StringArray>().unwrap();
        assert_eq!(array.iter().collect::<Vec<_>>(), [None, Some("x"), None, Some("5"), None, None]);
        assert!(column.take(2).unwrap().is_none());
    }

    #[test]
    fn every_type_has_an_array() {
        for (data_type, value) in [
            (DataType::Text, Scalar::Text("x")),
            (DataType::Double, Scalar::Float("1.5")),
            (DataType::Bool, Scalar::Bool(true)),
            (DataType::Timestamp, Scalar::Text("2024-01-01T00:00:00Z")),
            (DataType::Bigint, Scalar::Int(1)),
            (DataType::Binary, Scalar::Text("aGk=")),
            (DataType::Json, Scalar::Json("{}")),
            (DataType::Decimal, Scalar::Float("1.5")),
            (DataType::Wei, Scalar::Big("100000000000000000000")),
            (DataType::Date, Scalar::Text("2024-01-01")),
            (DataType::Time, Scalar::Text("10:00:00")),
        ] {
            let mut column = ColumnRows::new(&Column::new("a", data_type), true, false);
            column.set(1, value).unwrap();
            let (field, array) = column.take(3).unwrap().unwrap();
            assert_eq!(field.data_type(), array.data_type(), "{data_type:?}");
            assert_eq!((array.len(), array.null_count()), (3, 2), "{data_type:?}");
        }
    }

    #[test]
    fn a_refused_value_leaves_no_trace() {
        let mut column = ColumnRows::new(&Column::new("a", DataType::Bigint), false, false);
        column.set(0, Scalar::Int(1)).unwrap();
        assert_eq!(column.set(2, Scalar::Text("x")), Err(Refusal::Type));
        column.set(2, Scalar::Int(2)).unwrap();
        let (_, array) = column.take(3).unwrap().unwrap();
        assert_eq!(array.null_count(), 1);
    }
}
