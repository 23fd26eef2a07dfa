//! Arrow columns as single values, for databases that take rows: each column's type is looked at once, not per value.
//!
//! Must never lose a digit: decimals stay whole numbers with a scale.

use arrow::array::{
    Array as _, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Text(&'a str),
    Double(f64),
    Bool(bool),
    Bigint(i64),
    /// Microseconds since the epoch.
    Timestamp(i64),
    Binary(&'a [u8]),
    /// A whole number, and how many of its digits stand after the point.
    Decimal(i128, u32),
    /// Days since the epoch.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
}

/// A column whose type is known.
#[derive(Debug)]
pub(crate) enum Column {
    Text(StringArray),
    Double(Float64Array),
    Bool(BooleanArray),
    Bigint(Int64Array),
    Timestamp(TimestampMicrosecondArray),
    Binary(BinaryArray),
    Decimal(Decimal128Array, u32),
    Date(Date32Array),
    Time(Time64MicrosecondArray),
}

/// The columns of a batch, in its order.
pub(crate) fn columns(batch: &RecordBatch) -> Result<Vec<Column>, ArrowError> {
    batch.columns().iter().map(Column::new).collect()
}

impl Column {
    fn new(array: &ArrayRef) -> Result<Self, ArrowError> {
        let array = cast(array, &plain(array.data_type()))?;
        let data = array.to_data();
        Ok(match array.data_type() {
            DataType::Float64 => Self::Double(data.into()),
            DataType::Boolean => Self::Bool(data.into()),
            DataType::Int64 => Self::Bigint(data.into()),
            DataType::Timestamp(..) => Self::Timestamp(data.into()),
            DataType::Binary => Self::Binary(data.into()),
            DataType::Decimal128(_, scale) => {
                let scale = u32::try_from(*scale).map_err(|error| ArrowError::ExternalError(error.into()))?;
                Self::Decimal(data.into(), scale)
            }
            DataType::Date32 => Self::Date(data.into()),
            DataType::Time64(_) => Self::Time(data.into()),
            _ => Self::Text(data.into()),
        })
    }

    pub(crate) fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Self::Text(array) if array.is_valid(row) => Cell::Text(array.value(row)),
            Self::Double(array) if array.is_valid(row) => Cell::Double(array.value(row)),
            Self::Bool(array) if array.is_valid(row) => Cell::Bool(array.value(row)),
            Self::Bigint(array) if array.is_valid(row) => Cell::Bigint(array.value(row)),
            Self::Timestamp(array) if array.is_valid(row) => Cell::Timestamp(array.value(row)),
            Self::Binary(array) if array.is_valid(row) => Cell::Binary(array.value(row)),
            Self::Decimal(array, scale) if array.is_valid(row) => Cell::Decimal(array.value(row), *scale),
            Self::Date(array) if array.is_valid(row) => Cell::Date(array.value(row)),
            Self::Time(array) if array.is_valid(row) => Cell::Time(array.value(row)),
            _ => Cell::Null,
        }
    }
}

/// The one type, of those that a column can have, which holds all values of a type.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
            DataType::Int64
        }
        DataType::UInt64 => DataType::Decimal128(38, 0),
        DataType::Float16 | DataType::Float32 => DataType::Float64,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => DataType::Decimal128(38, *scale),
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Int64
        | DataType::Float64
        | DataType::Boolean
        | DataType::Binary
        | DataType::Decimal128(..)
        | DataType::Date32 => data_type.clone(),
        _ => DataType::Utf8,
    }
}

/// `123.450`: all digits of a decimal.
pub(crate) fn decimal_text(value: i128, scale: u32) -> String {
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale as usize + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    let sign = if value < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn decimals_keep_their_digits() {
        let cases = [(0, 0, "0"), (5, 2, "0.05"), (-5, 2, "-0.05"), (12345, 3, "12.345"), (-12, 0, "-12")];
        for (value, scale, expected) in cases {
            assert_eq!(decimal_text(value, scale), expected);
        }
        assert_eq!(decimal_text(i128::MIN, 9).len(), 41);
    }

    #[test]
    fn foreign_types_become_plain_ones() {
        let arrays: Vec<(ArrayRef, Cell<'_>)> = vec![
            (Arc::new(arrow::array::Int32Array::from(vec![Some(7)])), Cell::Bigint(7)),
            (Arc::new(arrow::array::UInt64Array::from(vec![u64::MAX])), Cell::Decimal(i128::from(u64::MAX), 0)),
            (Arc::new(arrow::array::LargeStringArray::from(vec!["a"])), Cell::Text("a")),
            (Arc::new(arrow::array::Float32Array::from(vec![1.5])), Cell::Double(1.5)),
            (Arc::new(arrow::array::TimestampSecondArray::from(vec![2])), Cell::Timestamp(2_000_000)),
            (Arc::new(arrow::array::NullArray::new(1)), Cell::Null),
        ];
        for (array, expected) in arrays {
            assert_eq!(Column::new(&array).unwrap().cell(0), expected, "{array:?}");
        }
    }
}
