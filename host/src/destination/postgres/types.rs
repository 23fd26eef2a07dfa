//! PostgreSQL's types for dlt's, what else its SQL has of its own, and values in the form of its binary COPY.
//!
//! Must never do I/O. NUL, which PostgreSQL keeps in no text, becomes U+FFFD.

use std::borrow::Cow;
use std::error::Error;

use postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::destination::cells::Cell;
use crate::destination::sql::dialect::{Dialect, TableName};
use crate::schema::{Column, DataType};

/// From 1970-01-01 to 2000-01-01, where PostgreSQL's times begin.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROSECONDS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// In characters.
const LONGEST_VARCHAR: u32 = 10_485_760;

pub(super) struct Postgres;

impl Dialect for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn max_identifier_length(&self) -> usize {
        63
    }

    fn max_columns(&self) -> usize {
        1600
    }

    fn limits_text(&self) -> bool {
        true
    }

    fn reserved_columns(&self) -> &'static [&'static str] {
        &["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"]
    }

    fn column_type(&self, column: &Column) -> String {
        let of = |name: &str, most: u32| match column.precision {
            Some(precision) if precision <= most => name.replacen('#', &format!("({precision})"), 1),
            _ => name.replacen('#', "", 1),
        };
        let name = match column.data_type {
            DataType::Text if column.precision.is_some_and(|length| length > 0) => {
                return of("varchar#", LONGEST_VARCHAR);
            }
            DataType::Text => "varchar",
            DataType::Double => "double precision",
            DataType::Bool => "boolean",
            DataType::Timestamp => return of("timestamp# with time zone", 6),
            DataType::Bigint => match column.whole_bits() {
                16 => "smallint",
                32 => "integer",
                _ => "bigint",
            },
            DataType::Binary => "bytea",
            DataType::Json => "jsonb",
            DataType::Date => "date",
            DataType::Time => return of("time#", 6),
            DataType::Wei => "numeric(78,0)",
            DataType::Decimal => {
                let (precision, scale) = column.decimal_shape();
                return format!("numeric({precision},{scale})");
            }
        };
        name.to_owned()
    }

    fn row_order(&self) -> &'static str {
        "ctid"
    }

    /// At once, whatever the table's size, and undone by a rollback.
    fn clear(&self, table: &TableName) -> String {
        format!("TRUNCATE {}", table.quoted())
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self, kind: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (*self, kind) {
            (Cell::Null, _) => return Ok(IsNull::Yes),
            (Cell::Text(text), &Type::JSONB) => {
                out.extend_from_slice(&[1]);
                out.extend_from_slice(without_escaped_nul(text).as_bytes());
            }
            (Cell::Text(text), &Type::JSON) => out.extend_from_slice(without_escaped_nul(text).as_bytes()),
            (Cell::Text(text), &Type::VARCHAR | &Type::TEXT | &Type::BPCHAR) => {
                out.extend_from_slice(without_nul(text).as_bytes());
            }
            (Cell::Double(number), &Type::FLOAT8) => out.extend_from_slice(&number.to_be_bytes()),
            #[expect(clippy::cast_possible_truncation, reason = "the column's own precision")]
            (Cell::Double(number), &Type::FLOAT4) => out.extend_from_slice(&(number as f32).to_be_bytes()),
            (Cell::Bool(value), &Type::BOOL) => out.extend_from_slice(&[u8::from(value)]),
            (Cell::Bigint(number), &Type::INT8) => out.extend_from_slice(&number.to_be_bytes()),
            (Cell::Bigint(number), &Type::INT4) => out.extend_from_slice(&i32::try_from(number)?.to_be_bytes()),
            (Cell::Bigint(number), &Type::INT2) => out.extend_from_slice(&i16::try_from(number)?.to_be_bytes()),
            (Cell::Bigint(number), &Type::NUMERIC) => numeric(i128::from(number), 0, out)?,
            (Cell::Decimal(value, scale), &Type::NUMERIC) => numeric(value, scale, out)?,
            (Cell::Binary(bytes), &Type::BYTEA) => out.extend_from_slice(bytes),
            (Cell::Timestamp(moment), &Type::TIMESTAMPTZ | &Type::TIMESTAMP) => {
                let since = moment.checked_sub(EPOCH_MICROSECONDS).ok_or("a timestamp out of range")?;
                out.extend_from_slice(&since.to_be_bytes());
            }
            (Cell::Date(days), &Type::DATE) => {
                let since = days.checked_sub(EPOCH_DAYS).ok_or("a date out of range")?;
                out.extend_from_slice(&since.to_be_bytes());
            }
            (Cell::Time(moment), &Type::TIME) => out.extend_from_slice(&moment.to_be_bytes()),
            (cell, kind) => return Err(format!("{cell:?} does not fit a column of type {kind}").into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_kind: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// JSON text in which no string holds NUL: an escaped one is a backslash that no other one escapes, and `u0000`.
fn without_escaped_nul(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u0000") {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        let (before, escape) = rest.split_at(place);
        clean.push_str(before);
        if let Some(after) = escape.strip_prefix("\\u0000") {
            clean.push_str("\\ufffd");
            rest = after;
        } else {
            // An escape is at least two bytes of ASCII; a text that ends in one is no JSON, and refused as it is.
            let (escape, after) = escape.split_at_checked(2).unwrap_or((escape, ""));
            clean.push_str(escape);
            rest = after;
        }
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// PostgreSQL's binary `numeric`: how many base-10000 digits, the first one's weight, sign, scale, the digits.
fn numeric(value: i128, scale: u32, out: &mut bytes::BytesMut) -> Result<(), Box<dyn Error + Sync + Send>> {
    // Digits are aligned at the point, so the fraction is filled up to a multiple of four.
    let padding = (4 - scale % 4) % 4;
    let mut magnitude = value.unsigned_abs();
    let mut digits: Vec<u16> = Vec::new();
    if padding > 0 {
        // The last digit of the fraction holds fewer decimal places than the others.
        let places = 10_u128.pow(4 - padding);
        digits.push(u16::try_from(magnitude % places)? * 10_u16.pow(padding));
        magnitude /= places;
    }
    while magnitude > 0 {
        digits.push(u16::try_from(magnitude % 10_000)?);
        magnitude /= 10_000;
    }
    let fraction_digits = scale.div_ceil(4);
    let weight = i16::try_from(digits.len())? - i16::try_from(fraction_digits)? - 1;
    out.extend_from_slice(&u16::try_from(digits.len())?.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&(if value < 0 { 0x4000_u16 } else { 0 }).to_be_bytes());
    out.extend_from_slice(&u16::try_from(scale)?.to_be_bytes());
    for digit in digits.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerics_are_digits_of_ten_thousand() {
        // As PostgreSQL's numeric_send writes them: count, weight, sign, scale, digits.
        let cases: &[(i128, u32, &[i32])] = &[
            (0, 0, &[0, -1, 0, 0]),
            (1, 0, &[1, 0, 0, 0, 1]),
            (123_456_789, 0, &[3, 2, 0, 0, 1, 2345, 6789]),
            (-15, 1, &[2, 0, 0x4000, 1, 1, 5000]),
            (123_456, 5, &[3, 0, 0, 5, 1, 2345, 6000]),
            (12_345, 4, &[2, 0, 0, 4, 1, 2345]),
        ];
        for (value, scale, expected) in cases {
            let mut out = bytes::BytesMut::new();
            numeric(*value, *scale, &mut out).unwrap();
            let read: Vec<i32> = out
                .chunks(2)
                .enumerate()
                .map(|(index, pair)| {
                    let number = u16::from_be_bytes([pair[0], pair[1]]);
                    if index == 1 { i32::from(number.cast_signed()) } else { i32::from(number) }
                })
                .collect();
            assert_eq!(read, *expected, "{value} {scale}");
        }
    }

    #[test]
    fn no_text_holds_nul() {
        let cases = [
            (r#"{"a":"b"}"#, r#"{"a":"b"}"#),
            (r#""\u0000""#, r#""\ufffd""#),
            (r#""\\u0000""#, r#""\\u0000""#),
            (r#""\\\u0000ü""#, r#""\\\ufffdü""#),
        ];
        for (text, expected) in cases {
            assert_eq!(without_escaped_nul(text), expected);
        }
        assert_eq!(without_nul("a\0b"), "a\u{fffd}b");
    }
}
