//! Values of a cursor: how they are ordered, and how far apart.
//!
//! Numbers compare as numbers, timestamps as instants whatever their offset and precision, other texts by their
//! characters. Must never order what can't be: a number and a text are an error.

use std::cmp::Ordering;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Number, Value};

use crate::error::excerpt;

/// A value with the instant that it is, if it is one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CursorValue {
    pub(super) value: Value,
    instant: Option<Timestamp>,
}

impl CursorValue {
    pub(super) fn new(value: Value) -> Self {
        let instant = value.as_str().and_then(instant);
        Self { value, instant }
    }

    /// Which comes first.
    pub(super) fn compare(&self, other: &Self) -> Result<Ordering, String> {
        if let (Some(left), Some(right)) = (self.instant, other.instant) {
            return Ok(left.cmp(&right));
        }
        match (&self.value, &other.value) {
            (Value::Number(left), Value::Number(right)) => Ok(compare_numbers(left, right)),
            (Value::String(left), Value::String(right)) => Ok(left.cmp(right)),
            (Value::Bool(left), Value::Bool(right)) => Ok(left.cmp(right)),
            (left, right) => {
                let (left, right) = (excerpt(&left.to_string()), excerpt(&right.to_string()));
                Err(format!("the cursor values {left} and {right} can't be compared"))
            }
        }
    }
}

fn compare_numbers(left: &Number, right: &Number) -> Ordering {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.as_f64().unwrap_or(f64::NAN).total_cmp(&right.as_f64().unwrap_or(f64::NAN)),
    }
}

/// A timestamp with or without an offset (without: UTC), or a date (its midnight in UTC).
fn instant(text: &str) -> Option<Timestamp> {
    // Digits alone may be a number in disguise.
    if !text.as_bytes().get(..4)?.iter().all(u8::is_ascii_digit) || text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let (civil, offset) = split(text);
    if !offset.is_empty() {
        return None;
    }
    civil.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// A value moved by seconds (timestamps), days (dates) or a plain number (numbers). Texts keep their format.
pub(super) fn shift(value: &Value, amount: f64) -> Result<Value, String> {
    let unable = || format!("the cursor value {} can't be moved by {amount}", excerpt(&value.to_string()));
    match value {
        Value::Number(number) => {
            if let (Some(whole), true) = (number.as_i64(), amount.fract() == 0.0) {
                return whole.checked_add(amount as i64).map(Value::from).ok_or_else(unable);
            }
            let moved = number.as_f64().map(|number| number + amount);
            moved.and_then(Number::from_f64).map(Value::Number).ok_or_else(unable)
        }
        Value::String(text) if text.len() == 10 && text.parse::<Date>().is_ok() => {
            let date = text.parse::<Date>().map_err(|_| unable())?;
            let moved = date.checked_add(SignedDuration::from_hours(24).saturating_mul(amount as i32));
            moved.map(|moved| Value::String(moved.to_string())).map_err(|_| unable())
        }
        Value::String(text) => {
            let (civil, offset) = split(text);
            let parsed: DateTime = civil.parse().map_err(|_| unable())?;
            let duration = SignedDuration::try_from_secs_f64(amount).map_err(|_| unable())?;
            let moved = parsed.checked_add(duration).map_err(|_| unable())?;
            // The format is kept by imitating it; one that can't be imitated becomes the usual.
            let written = if imitate(civil, parsed) == civil { imitate(civil, moved) } else { moved.to_string() };
            Ok(Value::String(format!("{written}{offset}")))
        }
        _ => Err(unable()),
    }
}

/// Date and time, and the offset (`Z`, `+02:00`, `-0700`, …; with the space before it).
fn split(text: &str) -> (&str, &str) {
    let time = text.find(['T', 't', ' ']).unwrap_or(text.len());
    let offset = text[time..].find(['Z', 'z', '+', '-']).map_or(text.len(), |position| time + position);
    let civil = text[..offset].trim_end();
    text.split_at(civil.len())
}

/// Writes a date and time as `pattern` is written: its separator, its precision.
fn imitate(pattern: &str, datetime: DateTime) -> String {
    let separator = pattern.chars().nth(10).unwrap_or('T');
    let fraction = pattern.split_once('.').map_or(0, |(_, digits)| digits.len().min(9));
    let mut text = datetime.strftime("%Y-%m-%d").to_string();
    text.push(separator);
    text.push_str(&datetime.strftime("%H:%M").to_string());
    if pattern.len() > 16 || datetime.second() != 0 {
        text.push_str(&datetime.strftime(":%S").to_string());
    }
    if fraction > 0 {
        let digits = format!("{:09}", datetime.subsec_nanosecond());
        text.push('.');
        text.push_str(digits.get(..fraction).unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_ordered_by_what_they_mean() {
        use Ordering::{Equal, Greater, Less};
        let cases = [
            (json!(9), json!(10), Less),
            (json!(1.5), json!(1), Greater),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64), Greater),
            (json!("9"), json!("10"), Greater),
            (json!("20240101"), json!("9"), Less),
            (json!("2024-01-01T00:00:00Z"), json!("2024-01-01T01:00:00+01:00"), Equal),
            (json!("2024-01-01T00:00:00.5Z"), json!("2024-01-01T00:00:00Z"), Greater),
            (json!("2024-01-01T00:00:00.10Z"), json!("2024-01-01T00:00:00.1Z"), Equal),
            (json!("2024-01-01 00:00:00"), json!("2024-01-01T00:00:00Z"), Equal),
            (json!("2024-01-01T23:00:00-05:00"), json!("2024-01-02T03:00:00Z"), Greater),
            (json!("2024-01-01"), json!("2024-01-01T00:00:01"), Less),
            (json!("2024-W01"), json!("2024-W02"), Less),
            (json!("b"), json!("a"), Greater),
        ];
        for (left, right, expected) in cases {
            let (left, right) = (CursorValue::new(left), CursorValue::new(right));
            assert_eq!(left.compare(&right), Ok(expected), "{left:?} {right:?}");
            assert_eq!(right.compare(&left), Ok(expected.reverse()), "{right:?} {left:?}");
        }
        assert!(CursorValue::new(json!(1)).compare(&CursorValue::new(json!("1"))).is_err());
    }

    #[test]
    fn values_are_moved_and_keep_their_format() {
        let cases = [
            (json!(10), -3.0, json!(7)),
            (json!(10), 0.5, json!(10.5)),
            (json!(1.5), 1.0, json!(2.5)),
            (json!("2024-03-01"), -1.0, json!("2024-02-29")),
            (json!("2024-01-06T00:00:00Z"), -86400.0, json!("2024-01-05T00:00:00Z")),
            (json!("2024-01-01 00:00:00.000+0200"), -0.5, json!("2023-12-31 23:59:59.500+0200")),
            (json!("2024-01-01T10:00 Z"), 60.0, json!("2024-01-01T10:01 Z")),
            (json!("2024-01-01T10:00:00"), 1.0, json!("2024-01-01T10:00:01")),
            (json!("20240101T100000Z"), 1.0, json!("2024-01-01T10:00:01Z")),
        ];
        for (value, amount, expected) in cases {
            assert_eq!(shift(&value, amount), Ok(expected), "{value} {amount}");
        }
        for value in [json!("x"), json!(null), json!("2024-13-01T00:00:00Z"), json!("")] {
            assert!(shift(&value, 1.0).is_err(), "{value}");
        }
    }
}
