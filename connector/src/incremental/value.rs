//! Values of a cursor: how they are ordered, and how far apart.
//!
//! Numbers compare as numbers, also as texts; dates as instants, whatever their offset and precision; other texts letter
//! by letter where that is their order beyond doubt. What has no certain order is an error that says what to write.

use std::cmp::Ordering;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Number, Value};

use super::format::Format;
use super::moment::{self, Reading};
use crate::error::excerpt;

/// A value, and what it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CursorValue {
    pub(super) value: Value,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Instant(Timestamp),
    /// Its digits.
    Number(String),
    Text,
    /// By its letters, because the configuration says so.
    Letters,
    Other,
}

impl CursorValue {
    /// Err: it can be read in more than one way.
    pub(super) fn new(value: Value, format: Option<&Format>) -> Result<Self, String> {
        let formatted = format.and_then(|format| format.read(&value));
        let letters = format.is_some_and(Format::is_text);
        let kind = match (&value, formatted) {
            (_, Some(instant)) => Kind::Instant(instant),
            (Value::String(_), None) if letters => Kind::Letters,
            (Value::Number(number), None) => Kind::Number(number.to_string()),
            (Value::String(text), None) if is_decimal(text.trim()) => Kind::Number(text.trim().to_owned()),
            (Value::String(text), None) => match moment::read(text) {
                Reading::Instant(instant) => Kind::Instant(instant),
                Reading::Other => Kind::Text,
                Reading::Ambiguous(formats) => return Err(ambiguous(text, &formats)),
            },
            _ => Kind::Other,
        };
        Ok(Self { value, kind })
    }

    pub(super) fn instant(&self) -> Option<Timestamp> {
        match self.kind {
            Kind::Instant(instant) => Some(instant),
            _ => None,
        }
    }

    /// Which comes first.
    pub(super) fn compare(&self, other: &Self) -> Result<Ordering, String> {
        let order = match (&self.kind, &other.kind, &self.value, &other.value) {
            (Kind::Instant(left), Kind::Instant(right), ..) => Some(left.cmp(right)),
            (Kind::Number(left), Kind::Number(right), ..) => Some(compare_numbers(left, right)),
            (Kind::Letters, Kind::Letters, Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            (Kind::Text | Kind::Number(_), Kind::Text | Kind::Number(_), Value::String(left), Value::String(right)) => {
                return compare_texts(left, right).ok_or_else(|| {
                    format!(
                        "the cursor values `{}` and `{}` have no certain order: name their format in the incremental, \
                         such as `cursor_format: \"%Y-%m-%d\"`, or write `cursor_format: text` if the API orders them \
                         letter by letter",
                        excerpt(left),
                        excerpt(right)
                    )
                });
            }
            (Kind::Other, Kind::Other, Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
            _ => None,
        };
        order.ok_or_else(|| {
            let (left, right) = (excerpt(&self.value.to_string()), excerpt(&other.value.to_string()));
            let help = match (&self.kind, &other.kind) {
                (Kind::Instant(_), Kind::Number(_)) | (Kind::Number(_), Kind::Instant(_)) => {
                    ": if the number is a date, name its format in the incremental, such as `cursor_format: \"%s\"` \
                     (seconds), `\"%ms\"` (milliseconds) or `\"%Y%m%d\"`"
                }
                _ => "",
            };
            format!("the cursor values {left} and {right} can't be compared{help}")
        })
    }
}

fn ambiguous(text: &str, formats: &[String]) -> String {
    let lines: Vec<String> = formats.iter().map(|format| format!("`cursor_format: \"{format}\"`")).collect();
    format!(
        "the cursor value `{}` is not certain to be read right: add {} to the incremental, or `cursor_format: text` if it \
         is no date and the API orders it letter by letter",
        excerpt(text),
        lines.join(" or ")
    )
}

/// Digits with a sign and a point, perhaps: no exponent, no grouping.
pub(super) fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Exact, however many digits there are; with an exponent as floats.
fn compare_numbers(left: &str, right: &str) -> Ordering {
    if !is_decimal(left) || !is_decimal(right) {
        let float = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
        return float(left).total_cmp(&float(right));
    }
    /// Whether it is below zero, the digits before the point and those behind it.
    fn parts(text: &str) -> (bool, &str, &str) {
        let digits = text.trim_start_matches(['+', '-']);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        (text.starts_with('-') && !(whole.is_empty() && fraction.is_empty()), whole, fraction)
    }
    let ((left_below, left_whole, left_fraction), (right_below, right_whole, right_fraction)) =
        (parts(left), parts(right));
    let size = left_whole.len().cmp(&right_whole.len());
    let size = size.then_with(|| left_whole.cmp(right_whole)).then_with(|| left_fraction.cmp(right_fraction));
    match (left_below, right_below) {
        (false, false) => size,
        (true, true) => size.reverse(),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

/// Letter by letter, if the texts are built alike: where they first differ there stand words of one length, or letters.
/// `ID-9` and `ID-10` are not: None. Nor is what differs in front of a year: `Q1 2024` and `Q4 2023`.
fn compare_texts(left: &str, right: &str) -> Option<Ordering> {
    fn words(text: &str) -> impl Iterator<Item = &str> {
        let mut rest = text;
        std::iter::from_fn(move || {
            let is_word = rest.chars().next()?.is_alphanumeric();
            let end = rest.find(|c: char| c.is_alphanumeric() != is_word).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            rest = behind;
            Some(word)
        })
    }
    let has_digits = |word: &str| word.contains(|c: char| c.is_numeric());
    let is_year = |word: &str| word.len() == 4 && word.parse().is_ok_and(|year| (1900..2100).contains(&year));
    let may_be_part_of_date = |word: &str| word.len() <= 3 || !has_digits(word);
    let mut pairs = words(left).zip(words(right));
    let Some((one, other)) = pairs.find(|(one, other)| one != other) else { return Some(left.cmp(right)) };
    if may_be_part_of_date(one)
        && may_be_part_of_date(other)
        && pairs.any(|(one, other)| is_year(one) || is_year(other))
    {
        return None;
    }
    let is_word = |text: &str| text.starts_with(char::is_alphanumeric);
    let first = one.chars().zip(other.chars()).find(|(one, other)| one != other);
    let at_digits = first.is_some_and(|(one, other)| one.is_numeric() || other.is_numeric());
    let alike = one.len() == other.len() || !at_digits;
    (is_word(one) == is_word(other) && alike).then(|| left.cmp(right))
}

/// A value moved by seconds (timestamps), days (dates) or a plain number (numbers). Texts keep their format.
pub(super) fn shift(value: &Value, amount: f64, format: Option<&Format>) -> Result<Value, String> {
    if let Some(moved) = format.and_then(|format| format.shift(value, amount)) {
        return Ok(moved);
    }
    let unable = || {
        format!(
            "the cursor value {} can't be moved by {amount}: name its format in the incremental, such as \
             `cursor_format: \"%d/%m/%Y\"`",
            excerpt(&value.to_string())
        )
    };
    match value {
        Value::Number(number) => {
            if let (Some(whole), true) = (number.as_i64(), amount.fract() == 0.0) {
                return whole.checked_add(amount as i64).map(Value::from).ok_or_else(unable);
            }
            let moved = number.as_f64().map(|number| number + amount);
            moved.and_then(Number::from_f64).map(Value::Number).ok_or_else(unable)
        }
        Value::String(text) if is_decimal(text) => {
            let number: Number = text.trim_start_matches('+').parse().map_err(|_| unable())?;
            shift(&Value::Number(number), amount, None).map(|moved| Value::String(moved.to_string()))
        }
        Value::String(text) if text.len() == 10 && text.parse::<Date>().is_ok() => {
            let date = text.parse::<Date>().map_err(|_| unable())?;
            let moved = date.checked_add(SignedDuration::from_hours(24).saturating_mul(amount as i32));
            moved.map(|moved| Value::String(moved.to_string())).map_err(|_| unable())
        }
        Value::String(text) => {
            let (civil, offset) = split(text);
            let parsed: DateTime = civil.parse().map_err(|_| unable())?;
            moment::offset(offset.trim()).ok_or_else(unable)?;
            let moved = moment::moved(parsed, amount).ok_or_else(unable)?;
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
    let behind = text.get(time + 1..).unwrap_or_default();
    let offset = behind.find(|c: char| c.is_ascii_alphabetic() || matches!(c, '+' | '-'));
    let offset = offset.map_or(text.len(), |position| time + 1 + position);
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
            (json!("9"), json!("10"), Less),
            (json!("20240101"), json!("9"), Greater),
            (json!(9), json!("10"), Less),
            (json!("1704067200000"), json!("999999999999"), Greater),
            (json!("-10"), json!("-9.5"), Less),
            (json!("007.50"), json!(7.5), Equal),
            (json!("12345678901234567890124"), json!("12345678901234567890123"), Greater),
            (json!("Thu, 19 Jan 2023 23:30:52 +0000"), json!("Mon, 23 Jan 2023 08:00:00 +0000"), Less),
            (json!("2024-9-30"), json!("2024-10-2"), Less),
            (json!("2024-01-02 03:04:05 +0200"), json!("2024-01-02T01:04:05Z"), Equal),
            (json!("01HF3ZRX9Q"), json!("01HF3ZRXAA"), Less),
            (json!("5f1a"), json!("1234"), Greater),
            (json!("alice"), json!("bob"), Less),
            (json!("t1"), json!("a"), Greater),
            (json!("v1"), json!("v10"), Less),
            (json!("ID-0009"), json!("ID-0010"), Less),
            (json!("INV-2024-0009"), json!("INV-2024-0010"), Less),
            (json!("018f2b1c-2012-7abc"), json!("018f2b1d-2012-7abc"), Less),
            (json!(false), json!(true), Less),
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
            let (left, right) = (CursorValue::new(left, None).unwrap(), CursorValue::new(right, None).unwrap());
            assert_eq!(left.compare(&right), Ok(expected), "{left:?} {right:?}");
            assert_eq!(right.compare(&left), Ok(expected.reverse()), "{right:?} {left:?}");
        }
    }

    #[test]
    fn what_has_no_certain_order_is_an_error_that_says_what_to_write() {
        let cases = [
            (json!("ID-9"), json!("ID-10"), "cursor_format: text"),
            (json!("1.9.100"), json!("1.10.2"), "cursor_format: text"),
            (json!("v9"), json!("v10"), "`v9` and `v10`"),
            (json!("2024-W9"), json!("2024-W10"), "no certain order"),
            (json!("Q1 2024"), json!("Q4 2023"), "no certain order"),
            (json!("05 janvier 2024"), json!("07 décembre 2023"), "no certain order"),
            (json!("Mo, 08.01.2024"), json!("Di, 02.01.2024"), "no certain order"),
            (json!(1_704_067_200), json!("2024-01-01"), "cursor_format: \"%s\""),
            (json!("2024-01-01"), json!("yesterday"), "can't be compared"),
            (json!(true), json!(1), "can't be compared"),
            (json!([1]), json!([2]), "can't be compared"),
        ];
        for (left, right, part) in cases {
            let (left, right) = (CursorValue::new(left, None).unwrap(), CursorValue::new(right, None).unwrap());
            let error = left.compare(&right).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let error = CursorValue::new(json!("1/5/2024"), None).unwrap_err();
        assert!(error.contains("`1/5/2024`") && error.contains("cursor_format: \"%d/%m/%Y\""), "{error}");
        let letters = Format::new("text").unwrap();
        let value = |text: &str| CursorValue::new(json!(text), Some(&letters)).unwrap();
        assert_eq!(value("ID-9").compare(&value("ID-10")), Ok(Ordering::Greater));
        let day_first = Format::new("%d/%m/%Y").unwrap();
        let value = |text: &str| CursorValue::new(json!(text), Some(&day_first)).unwrap();
        assert_eq!(value("31/12/2023").compare(&value("1/1/2024")), Ok(Ordering::Less));
        assert_eq!(value("31/12/2023").compare(&value("2023-12-31")), Ok(Ordering::Equal));
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
            (json!("2024-01-01 10:00:00 UTC"), 1.0, json!("2024-01-01 10:00:01 UTC")),
            (json!("1704067200000"), -1000.0, json!("1704067199000")),
        ];
        for (value, amount, expected) in cases {
            assert_eq!(shift(&value, amount, None), Ok(expected), "{value} {amount}");
        }
        for value in [json!("x"), json!(null), json!("2024-13-01T00:00:00Z"), json!(""), json!("2024-01-01 10:00 PM")] {
            assert!(shift(&value, 1.0, None).is_err(), "{value}");
        }
    }
}
