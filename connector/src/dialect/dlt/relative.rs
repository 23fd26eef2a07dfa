//! Moments relative to now: `${now}`, `${now - 30d}`, `${today - 1mo | %d/%m/%Y}`.
//!
//! `today` is a date, in UTC. Months and years go by the calendar. Behind `|` stands a format as in `cursor_format`.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::Value;

use crate::incremental::Format;

const UNITS: &str = "units are s, m, h, d, w, mo (months) and y";

/// The length of a `${now…}` or `${today…}` at the start of a text.
pub(super) fn reference(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("${")?.trim_start();
    let name = if inner.starts_with("today") { "today" } else { "now" };
    let behind = inner.strip_prefix(name)?.chars().next()?;
    matches!(behind, ' ' | '+' | '-' | '|' | '}').then(|| text.find('}').map(|end| end + 1)).flatten()
}

/// The value of a text that is such a moment; none: it is no such text. Without a format of its own it is written in
/// `format`, or else as ISO 8601.
pub(super) fn value(text: &str, format: Option<&Format>, now: Timestamp) -> Option<Result<Value, String>> {
    let text = text.trim();
    let inner = text.get(2..text.len().checked_sub(1)?).filter(|_| reference(text) == Some(text.len()))?;
    Some(written(inner, format, now).map_err(|reason| format!("`{text}`: {reason}")))
}

fn written(inner: &str, format: Option<&Format>, now: Timestamp) -> Result<Value, String> {
    let (moment, own) = inner.split_once('|').map_or((inner, None), |(moment, own)| (moment, Some(own.trim())));
    let own = own.map(Format::to_write).transpose()?;
    let moment = moment.trim();
    let is_date = moment.starts_with("today");
    let mut at = now.to_zoned(TimeZone::UTC);
    if is_date {
        at = at.start_of_day().map_err(|error| error.to_string())?;
    }
    let mut rest = moment.trim_start_matches("today").trim_start_matches("now").trim_start();
    let mut has_time = !is_date;
    while let Some(sign) = rest.chars().next() {
        let behind = rest.strip_prefix(['+', '-']).ok_or_else(|| format!("expected `+` or `-` before `{rest}`"))?;
        let behind = behind.trim_start();
        let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        let (digits, behind) = behind.split_at(end);
        let number: i64 = digits.parse().map_err(|_| format!("a number is missing behind `{sign}`; {UNITS}"))?;
        let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let number = if sign == '-' { -number } else { number };
        at = at.checked_add(span(number, unit)?).map_err(|error| error.to_string())?;
        has_time |= matches!(unit, "s" | "m" | "h");
        rest = behind.trim_start();
    }
    let instant = Timestamp::from_second(at.timestamp().as_second()).map_err(|error| error.to_string())?;
    Ok(match own.as_ref().or(format) {
        Some(format) if !format.is_text() => format.write(instant),
        _ if has_time => Value::from(instant.to_string()),
        _ => Value::from(at.date().to_string()),
    })
}

fn span(number: i64, unit: &str) -> Result<Span, String> {
    let span = Span::new();
    match unit {
        "s" => span.try_seconds(number),
        "m" => span.try_minutes(number),
        "h" => span.try_hours(number),
        "d" => span.try_days(number),
        "w" => span.try_weeks(number),
        "mo" => span.try_months(number),
        "y" => span.try_years(number),
        "" => return Err(format!("a unit is missing behind {number}; {UNITS}")),
        other => return Err(format!("`{other}` is no unit; {UNITS}")),
    }
    .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str, format: Option<&str>) -> Option<Result<Value, String>> {
        let format = format.map(|format| Format::new(format).unwrap());
        value(text, format.as_ref(), "2024-03-31T12:30:45.678Z".parse().unwrap())
    }

    #[test]
    fn moments_are_relative_to_now() {
        let cases = [
            ("${now}", None, json!("2024-03-31T12:30:45Z")),
            ("${now - 90s}", None, json!("2024-03-31T12:29:15Z")),
            ("${ now-1h + 5m }", None, json!("2024-03-31T11:35:45Z")),
            ("${today}", None, json!("2024-03-31")),
            ("${today - 30d}", None, json!("2024-03-01")),
            ("${today - 1mo}", None, json!("2024-02-29")),
            ("${today - 1y - 1w}", None, json!("2023-03-24")),
            ("${today + 6h}", None, json!("2024-03-31T06:00:00Z")),
            ("${today - 1mo | %Y-%m-01}", None, json!("2024-02-01")),
            ("${today - 1d | %s}", None, json!(1_711_756_800)),
            ("${today | %s}", Some("%ms"), json!(1_711_843_200)),
            ("${now}", Some("%ms"), json!(1_711_888_245_000_i64)),
            ("${today}", Some("%d/%m/%Y"), json!("31/03/2024")),
            ("${today}", Some("text"), json!("2024-03-31")),
        ];
        for (text, format, expected) in cases {
            assert_eq!(at(text, format), Some(Ok(expected)), "{text}");
        }
        for text in ["", "now", "2024-01-01", "${secrets.now}", "${nowhere}", "${today} and more", "${todays}"] {
            assert_eq!(at(text, None), None, "{text}");
        }
        for text in ["${now - 30}", "${now 30d}", "${now - d}", "${now - 3 weeks}", "${now | YYYY}", "${now - 99999y}"]
        {
            let error = at(text, None).unwrap().unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
