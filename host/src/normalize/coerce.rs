//! One value, and how it fits a column's type.
//!
//! The rules are dlt's, minus those by which a value would change its meaning: text that does not print back the same
//! (`007`), numbers that a double can't hold, booleans out of other numbers than 0 and 1. Must never lose a value: what
//! does not fit goes into a variant column.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::tape::{Node, Record};
use super::timestamp;
use crate::schema::DataType;

/// A value that is not null.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Bool(bool),
    Int(i64),
    /// A whole number beyond 64 bits.
    Big(&'a str),
    /// A number with a fraction or an exponent, as written.
    Float(&'a str),
    Text(&'a str),
    /// An object or a list, printed.
    Json(&'a str),
}

/// The type that a column gets from its first value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inferred {
    pub(super) data_type: DataType,
    /// A decimal that holds whole numbers only.
    pub(super) whole: bool,
}

impl<'a> Scalar<'a> {
    /// None for null, and for containers: those are printed or taken apart.
    #[inline]
    pub(super) fn of(record: Record<'a>, position: usize) -> Option<Self> {
        Some(match record.nodes[position] {
            Node::Bool(value) => Self::Bool(value),
            Node::Int(number) => Self::Int(number),
            Node::Big(span) => Self::Big(record.text(span)),
            Node::Float(span) => Self::Float(record.text(span)),
            Node::Text(span) => Self::Text(record.text(span)),
            _ => return None,
        })
    }

    /// The type of the value itself, which names a variant column.
    pub(super) fn own_type(&self) -> Inferred {
        let data_type = match self {
            Self::Bool(_) => DataType::Bool,
            Self::Int(_) => DataType::Bigint,
            Self::Big(digits) if decimal(digits, 38, 0).is_some() => {
                return Inferred { data_type: DataType::Decimal, whole: true };
            }
            Self::Float(number) if double(number).is_some() => DataType::Double,
            Self::Big(_) | Self::Float(_) | Self::Text(_) => DataType::Text,
            Self::Json(_) => DataType::Json,
        };
        Inferred { data_type, whole: false }
    }

    /// The type of a new column: as `own_type`, but a text that is an ISO timestamp makes a timestamp.
    pub(super) fn infer(&self) -> Inferred {
        match self {
            Self::Text(text) if timestamp::parse_timestamp(text).is_some() => {
                Inferred { data_type: DataType::Timestamp, whole: false }
            }
            _ => self.own_type(),
        }
    }

    /// Bytes that it takes as text, for the limit on one value.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Big(text) | Self::Float(text) | Self::Text(text) | Self::Json(text) => text.len(),
            Self::Bool(_) | Self::Int(_) => 8,
        }
    }

    pub(super) fn to_bool(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            Self::Int(0) => Some(false),
            Self::Int(1) => Some(true),
            Self::Float(number) => match double(number)? {
                0.0 => Some(false),
                1.0 => Some(true),
                _ => None,
            },
            Self::Text(text) => {
                let is = |words: [&str; 5]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
                if is(["yes", "true", "t", "y", "1"]) {
                    Some(true)
                } else if is(["no", "false", "f", "n", "0"]) {
                    Some(false)
                } else {
                    None
                }
            }
            _ => None,
        }
    }

    pub(super) fn to_bigint(self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(number),
            Self::Float(number) => decimal(number, 19, 0).and_then(|number| i64::try_from(number).ok()),
            Self::Text(text) if is_plain_number(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn to_double(self) -> Option<f64> {
        match self {
            Self::Float(number) => double(number),
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "checked by going back")]
            Self::Int(number) => {
                let value = number as f64;
                (value as i128 == i128::from(number)).then_some(value)
            }
            Self::Big(digits) => double(digits).filter(|value| format!("{value:.0}") == digits),
            // Fifteen digits survive the way into a double and back.
            Self::Text(text) if is_plain_number(text) && text.bytes().filter(u8::is_ascii_digit).count() <= 15 => {
                double(text)
            }
            _ => None,
        }
    }

    pub(super) fn to_timestamp(self) -> Option<i64> {
        match self {
            Self::Text(text) => timestamp::parse_timestamp_or_date(text),
            #[expect(clippy::cast_precision_loss, reason = "what loses precision is out of range anyway")]
            Self::Int(seconds) => timestamp::from_seconds(seconds as f64),
            Self::Float(seconds) => timestamp::from_seconds(double(seconds)?),
            _ => None,
        }
    }

    pub(super) fn to_date(self) -> Option<i32> {
        if let Self::Text(text) = self { timestamp::parse_date(text) } else { None }
    }

    pub(super) fn to_time(self) -> Option<i64> {
        if let Self::Text(text) = self { timestamp::parse_time(text) } else { None }
    }

    pub(super) fn to_decimal(self, precision: u8, scale: i8) -> Option<i128> {
        match self {
            Self::Int(number) if scale == 0 && precision >= 19 => Some(i128::from(number)),
            Self::Int(number) => {
                let scaled = i128::from(number).checked_mul(10_i128.checked_pow(u32::try_from(scale).ok()?)?)?;
                fits(scaled, precision).then_some(scaled)
            }
            Self::Big(digits) | Self::Float(digits) => decimal(digits, precision, scale),
            Self::Text(text) if is_plain_number(text) => decimal(text, precision, scale),
            _ => None,
        }
    }

    /// Base64, or hexadecimal behind `0x`.
    pub(super) fn to_binary(self) -> Option<Vec<u8>> {
        let Self::Text(text) = self else { return None };
        match text.strip_prefix("0x") {
            Some(digits) if digits.is_ascii() && digits.len() % 2 == 0 => (0..digits.len())
                .step_by(2)
                .map(|index| u8::from_str_radix(digits.get(index..index + 2)?, 16).ok())
                .collect(),
            Some(_) => None,
            None => STANDARD.decode(text).ok(),
        }
    }

    /// JSON text: objects and lists as they are, texts if they are JSON themselves.
    pub(super) fn to_json(self) -> Option<&'a str> {
        match self {
            Self::Json(json) => Some(json),
            Self::Text(text) => {
                let mut jiter = jiter::Jiter::new(text.as_bytes());
                (jiter.next_skip().is_ok() && jiter.finish().is_ok()).then_some(text)
            }
            _ => None,
        }
    }

    /// Anything as text, as Python prints it.
    pub(super) fn push_text(self, out: &mut String) {
        match self {
            Self::Text(text) | Self::Big(text) | Self::Json(text) => out.push_str(text),
            Self::Bool(value) => out.push_str(if value { "True" } else { "False" }),
            Self::Int(number) => super::tape::push_int(number, out),
            Self::Float(number) => push_float(number, out),
        }
    }
}

/// A finite double; its digits are a JSON number's.
fn double(number: &str) -> Option<f64> {
    number.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// Whether text is a number that prints back the same: no blanks, no `+`, no leading zeros.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = match digits.as_bytes() {
        [b'0'] => text.len() == 1,
        [b'0', b'.', ..] => true,
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    plain && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'-' | b'+'))
}

/// Whether a text is a number as numbers are printed: `5`, `-1.5` and `1.0`, but not `1.50`, `1e5` or `+5`. Only such a
/// text can be told from the number.
pub(super) fn is_shortest_number(text: &str) -> bool {
    let is_shortest = match text.split_once('.') {
        Some((_, "0")) => true,
        Some((_, fraction)) => !fraction.ends_with('0') && !fraction.is_empty(),
        None => true,
    };
    is_plain_number(text) && is_shortest && !text.contains(['e', 'E']) && text != "-0.0"
}

/// Whether a whole number takes so many bits, its sign included.
pub(super) fn fits_bits(number: i64, bits: Option<u32>) -> bool {
    match bits {
        Some(bits) if bits <= 16 => i16::try_from(number).is_ok(),
        Some(bits) if bits <= 32 => i32::try_from(number).is_ok(),
        _ => true,
    }
}

fn fits(unscaled: i128, precision: u8) -> bool {
    10_i128.checked_pow(u32::from(precision)).is_some_and(|limit| unscaled > -limit && unscaled < limit)
}

/// A number's digits as an unscaled decimal; none if one digit would be lost.
pub(super) fn decimal(number: &str, precision: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => (true, mantissa),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() {
        return None;
    }
    let mut unscaled = 0_i128;
    let mut zeros = 0_i32;
    // Zeros at the end are kept back: they need no room behind the point.
    for digit in whole.bytes().chain(fraction.bytes()) {
        match digit {
            b'0' => zeros = zeros.checked_add(1)?,
            b'1'..=b'9' => {
                for _ in 0..zeros {
                    unscaled = unscaled.checked_mul(10)?;
                }
                zeros = 0;
                unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
            }
            _ => return None,
        }
    }
    if unscaled == 0 {
        return Some(0);
    }
    let fraction = i32::try_from(fraction.len()).ok()?;
    let shift = exponent.checked_sub(fraction)?.checked_add(zeros)?.checked_add(i32::from(scale))?;
    let factor = 10_i128.checked_pow(u32::try_from(shift).ok()?)?;
    let unscaled = unscaled.checked_mul(factor).filter(|unscaled| fits(*unscaled, precision))?;
    Some(if negative { -unscaled } else { unscaled })
}

/// As Python prints a float, or as it came if a float would lose digits.
fn push_float(number: &str, out: &mut String) {
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    match double(number) {
        Some(value) if digits <= 17 => {
            let shortest = format!("{value:e}");
            let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
            let exponent: i32 = exponent.parse().unwrap_or_default();
            if value == 0.0 || (-4..16).contains(&exponent) {
                let fixed = format!("{value}");
                out.push_str(&fixed);
                if !fixed.contains('.') {
                    out.push_str(".0");
                }
            } else {
                let sign = if exponent < 0 { '-' } else { '+' };
                out.push_str(&format!("{mantissa}e{sign}{:02}", exponent.abs()));
            }
        }
        _ => out.push_str(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(scalar: Scalar<'_>) -> String {
        let mut out = String::new();
        scalar.push_text(&mut out);
        out
    }

    #[test]
    fn numbers_fit_where_nothing_is_lost() {
        use Scalar::{Big, Bool, Float, Int, Text};
        for (scalar, bigint, value) in [
            (Float("1.0"), Some(1), Some(1.0)),
            (Float("1.5"), None, Some(1.5)),
            (Float("1e3"), Some(1000), Some(1000.0)),
            (Float("1e999"), None, None),
            (Text("2"), Some(2), Some(2.0)),
            (Text("007"), None, None),
            (Text("abc"), None, None),
            (Text("1.5"), None, Some(1.5)),
            (Text("nan"), None, None),
            (Text("-"), None, None),
            (Bool(true), None, None),
            (Int(1 << 53), Some(1 << 53), Some(9_007_199_254_740_992.0)),
            (Int((1 << 53) + 1), Some((1 << 53) + 1), None),
            (Int(i64::MAX), Some(i64::MAX), None),
            (Big("18446744073709551616"), None, Some(18_446_744_073_709_551_616.0)),
            (Big("18446744073709551617"), None, None),
        ] {
            assert_eq!((scalar.to_bigint(), scalar.to_double()), (bigint, value), "{scalar:?}");
        }
    }

    #[test]
    fn decimals_keep_every_digit() {
        for (number, precision, scale, unscaled) in [
            ("1.50", 38, 9, Some(1_500_000_000)),
            ("-0.000000001", 38, 9, Some(-1)),
            ("0.0000000001", 38, 9, None),
            ("1e3", 10, 2, Some(100_000)),
            ("12345", 5, 0, Some(12345)),
            ("123456", 5, 0, None),
            ("99999999999999999999999999999999999999", 38, 0, Some(10_i128.pow(38) - 1)),
            ("100000000000000000000000000000000000000", 38, 0, None),
            ("0.0", 1, 0, Some(0)),
            ("1e-400000000000", 38, 9, None),
            (".5", 38, 9, None),
        ] {
            assert_eq!(decimal(number, precision, scale), unscaled, "{number}");
        }
        assert_eq!(Scalar::Int(5).to_decimal(3, 2), Some(500));
        assert_eq!(Scalar::Int(50).to_decimal(3, 2), None);
    }

    #[test]
    fn text_is_what_python_prints() {
        for (scalar, printed) in [
            (Scalar::Bool(true), "True"),
            (Scalar::Int(-5), "-5"),
            (Scalar::Float("1.50"), "1.5"),
            (Scalar::Float("2.0"), "2.0"),
            (Scalar::Float("1e15"), "1000000000000000.0"),
            (Scalar::Float("1e16"), "1e+16"),
            (Scalar::Float("0.00001"), "1e-05"),
            (Scalar::Float("1.5e-7"), "1.5e-07"),
            (Scalar::Float("0.0001"), "0.0001"),
            (Scalar::Float("0.123456789012345678901"), "0.123456789012345678901"),
        ] {
            assert_eq!(text(scalar), printed);
        }
    }

    #[test]
    fn the_first_value_decides_the_type() {
        for (scalar, data_type) in [
            (Scalar::Text("2024-01-01T10:00:00Z"), DataType::Timestamp),
            (Scalar::Text("2024-01-01"), DataType::Text),
            (Scalar::Int(1), DataType::Bigint),
            (Scalar::Float("1.0"), DataType::Double),
            (Scalar::Float("1e999"), DataType::Text),
            (Scalar::Big("18446744073709551617"), DataType::Decimal),
            (Scalar::Big("1000000000000000000000000000000000000000"), DataType::Text),
            (Scalar::Json("{}"), DataType::Json),
        ] {
            assert_eq!(scalar.infer().data_type, data_type, "{scalar:?}");
        }
    }

    #[test]
    fn other_types_take_what_is_clearly_theirs() {
        assert_eq!(Scalar::Text("Yes").to_bool(), Some(true));
        assert_eq!(Scalar::Int(5).to_bool(), None);
        assert_eq!(Scalar::Int(1).to_timestamp(), Some(1_000_000));
        assert_eq!(Scalar::Text("n/a").to_timestamp(), None);
        assert_eq!(Scalar::Text("aGk=").to_binary(), Some(b"hi".to_vec()));
        assert_eq!(Scalar::Text("0x6869").to_binary(), Some(b"hi".to_vec()));
        assert_eq!(Scalar::Text("0xéé").to_binary(), None);
        assert_eq!(Scalar::Text("{\"a\":1}").to_json(), Some("{\"a\":1}"));
        assert_eq!(Scalar::Text("x").to_json(), None);
    }
}
