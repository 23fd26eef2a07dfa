//! `cursor_format`: how an API writes its cursor, in strftime's letters (`%d/%m/%Y %H:%M`), as an epoch (`%s`, `%ms`), or
//! as a text that is compared letter by letter (`text`).

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use jiff::tz::{Offset, TimeZone};
use serde_json::{Number, Value};

use super::moment;

#[derive(Debug, Clone, PartialEq)]
pub struct Format(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Text,
    /// So many nanoseconds are one.
    Epoch(i128),
    Pattern(Pattern),
}

#[derive(Debug, Clone, PartialEq)]
struct Pattern {
    /// In jiff's letters.
    parse: String,
    write: String,
    /// The text ends with a name such as `UTC`, which is taken off.
    names_zone: bool,
    /// Without a time of day: a lag counts days.
    is_date: bool,
}

impl Format {
    pub fn new(text: &str) -> Result<Self, String> {
        Self::of(text, true)
    }

    /// One that is only written, such as the first day of a month (`%Y-%m-01`): it need not tell an instant.
    pub fn to_write(text: &str) -> Result<Self, String> {
        Self::of(text, false)
    }

    fn of(text: &str, is_read: bool) -> Result<Self, String> {
        let unit = match text.trim() {
            "text" => return Ok(Self(Kind::Text)),
            "%s" | "%s_as_float" => 1_000_000_000,
            "%ms" | "%epoch_milliseconds" => 1_000_000,
            "%us" | "%epoch_microseconds" => 1_000,
            "%ns" => 1,
            pattern => return Pattern::new(pattern, is_read).map(|pattern| Self(Kind::Pattern(pattern))),
        };
        Ok(Self(Kind::Epoch(unit)))
    }

    pub fn is_text(&self) -> bool {
        self.0 == Kind::Text
    }

    /// The instant of a value. None: it is not in this format.
    pub(super) fn read(&self, value: &Value) -> Option<Timestamp> {
        match &self.0 {
            Kind::Text => None,
            Kind::Epoch(unit) => Timestamp::from_nanosecond(nanoseconds(value, *unit)?).ok(),
            Kind::Pattern(pattern) => {
                let (civil, offset) = pattern.read(&text(value)?)?;
                civil.to_zoned(offset.to_time_zone()).ok().map(|zoned| zoned.timestamp())
            }
        }
    }

    /// An instant as the API writes it: an epoch as a number.
    pub fn write(&self, instant: Timestamp) -> Value {
        match &self.0 {
            Kind::Text => Value::from(instant.to_string()),
            Kind::Epoch(unit) => {
                let whole = instant.as_nanosecond().div_euclid(*unit);
                i64::try_from(whole).map_or_else(|_| Value::from(whole.to_string()), Value::from)
            }
            Kind::Pattern(pattern) => Value::from(pattern.write(moment::in_utc(instant), Offset::UTC)),
        }
    }

    /// A value of this format moved by seconds, or by days where the format has no time of day.
    pub(super) fn shift(&self, value: &Value, amount: f64) -> Option<Value> {
        match &self.0 {
            Kind::Text => None,
            Kind::Epoch(unit) => {
                let nanoseconds = nanoseconds(value, *unit)?.checked_add((amount * 1e9) as i128)?;
                let whole = i64::try_from(nanoseconds.div_euclid(*unit)).ok()?;
                Some(match value {
                    Value::String(_) => Value::from(whole.to_string()),
                    _ if nanoseconds % unit == 0 => Value::from(whole),
                    _ => Number::from_f64(nanoseconds as f64 / *unit as f64).map(Value::Number)?,
                })
            }
            Kind::Pattern(pattern) => {
                let (civil, offset) = pattern.read(&text(value)?)?;
                let seconds = if pattern.is_date { amount * 86_400.0 } else { amount };
                let written = pattern.write(moment::moved(civil, seconds)?, offset);
                Some(match value {
                    Value::Number(_) => written.parse::<i64>().map_or_else(|_| Value::from(written), Value::from),
                    _ => Value::from(written),
                })
            }
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Exact for whole numbers.
fn nanoseconds(value: &Value, unit: i128) -> Option<i128> {
    let text = text(value)?;
    if let Ok(whole) = text.parse::<i64>() {
        return i128::from(whole).checked_mul(unit);
    }
    let float: f64 = text.parse().ok()?;
    float.is_finite().then_some((float * unit as f64) as i128)
}

impl Pattern {
    /// Python's and Airbyte's letters that jiff spells in another way, and a test that it reads what it writes.
    fn new(text: &str, is_read: bool) -> Result<Self, String> {
        let (text, names_zone) = match text.strip_suffix("%Z") {
            Some(rest) => (rest.trim_end(), true),
            None => (text, false),
        };
        let parse = text.replace("%_ms", "%f").replace("%_us", "%f");
        let write = text.replace("%_ms", "%3f").replace("%_us", "%6f").replace("%f", "%6f");
        let is_date = !["%H", "%I", "%k", "%l", "%T", "%R", "%s", "%M"].iter().any(|letters| text.contains(letters));
        let pattern = Self { parse, write, names_zone, is_date };
        // Any but the first day of a month, in the afternoon: what is missing in the format would show.
        let sample = jiff::civil::datetime(2023, 11, 28, if is_date { 0 } else { 15 }, 0, 0, 0);
        let written = strtime::BrokenDownTime::from(&zoned(sample, Offset::UTC)?)
            .to_string(&pattern.write)
            .map_err(|error| error.to_string())?;
        let written = if names_zone { format!("{written} UTC") } else { written };
        let has_day = ["%d", "%e", "%-d", "%j", "%D", "%F"].iter().any(|letters| text.contains(letters));
        let expected = if has_day { Some(sample) } else { sample.with().day(1).build().ok() };
        match pattern.read(&written) {
            Some((read, _)) if Some(read) == expected => Ok(pattern),
            _ if !text.contains('%') => Err("there is no `%` in it".to_owned()),
            _ if !is_read => Ok(pattern),
            _ => Err(format!("it does not tell an instant: {sample} is written `{written}` and not read again")),
        }
    }

    fn read(&self, text: &str) -> Option<(DateTime, Offset)> {
        let (text, zone) = if self.names_zone {
            let name = text.rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |end| end + 1);
            (text.get(..name)?.trim_end(), moment::offset(text.get(name..)?)?)
        } else {
            (text, Offset::UTC)
        };
        let read = |pattern: &str, text: &str| {
            let time = strtime::parse(pattern, text).ok()?;
            let first_day = || Date::new(time.year()?, time.month()?, 1).ok();
            let civil = time.to_datetime().or_else(|_| time.to_date().map(DateTime::from)).ok();
            let civil = civil.or_else(|| first_day().map(DateTime::from));
            let civil = civil.or_else(|| time.to_timestamp().ok().map(moment::in_utc))?;
            Some((civil, time.offset().unwrap_or(zone)))
        };
        read(&self.parse, text).or_else(|| {
            // `%z` is also `+02:00` and `Z`, as in Python.
            let before = self.parse.strip_suffix("%z")?;
            let colons = read(&format!("{before}%:z"), text);
            colons.or_else(|| read(&self.parse, &format!("{}+0000", text.strip_suffix(['Z', 'z'])?)))
        })
    }

    fn write(&self, civil: DateTime, offset: Offset) -> String {
        let Ok(zoned) = zoned(civil, offset) else { return civil.to_string() };
        let written = zoned.strftime(&self.write).to_string();
        if self.names_zone { format!("{written} UTC") } else { written }
    }
}

fn zoned(civil: DateTime, offset: Offset) -> Result<jiff::Zoned, String> {
    civil.to_zoned(TimeZone::fixed(offset)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_moved_and_written_in_their_format() {
        let cases = [
            ("%d/%m/%Y", json!("1/5/2024"), "2024-05-01T00:00:00Z", 1.0, json!("02/05/2024")),
            (
                "%m/%d/%Y %I:%M %p",
                json!("1/5/2024 1:05 PM"),
                "2024-01-05T13:05:00Z",
                60.0,
                json!("01/05/2024 01:06 PM"),
            ),
            (
                "%Y-%m-%dT%H:%M:%S%z",
                json!("2024-01-05T13:05:00+0200"),
                "2024-01-05T11:05:00Z",
                1.0,
                json!("2024-01-05T13:05:01+0200"),
            ),
            (
                "%Y-%m-%dT%H:%M:%S%z",
                json!("2024-01-05T13:05:00Z"),
                "2024-01-05T13:05:00Z",
                1.0,
                json!("2024-01-05T13:05:01+0000"),
            ),
            (
                "%Y-%m-%dT%H:%M:%S.%fZ",
                json!("2024-01-05T13:05:00.25Z"),
                "2024-01-05T13:05:00.25Z",
                1.0,
                json!("2024-01-05T13:05:01.250000Z"),
            ),
            (
                "%d.%m.%Y %H:%M %Z",
                json!("05.01.2024 13:05 UTC"),
                "2024-01-05T13:05:00Z",
                60.0,
                json!("05.01.2024 13:06 UTC"),
            ),
            ("%Y%m%d", json!(20_240_105), "2024-01-05T00:00:00Z", 1.0, json!(20_240_106)),
            ("%m/%Y", json!("5/2024"), "2024-05-01T00:00:00Z", 31.0, json!("06/2024")),
            ("%Y%m%d%H", json!("2024010513"), "2024-01-05T13:00:00Z", 3600.0, json!("2024010514")),
            ("%s", json!(1_704_067_200), "2024-01-01T00:00:00Z", -1.0, json!(1_704_067_199)),
            ("%s", json!(1_704_067_200.5), "2024-01-01T00:00:00.5Z", 1.0, json!(1_704_067_201.5)),
            ("%ms", json!("1704067200000"), "2024-01-01T00:00:00Z", 1.0, json!("1704067201000")),
        ];
        for (format, value, instant, amount, moved) in cases {
            let format = Format::new(format).unwrap();
            assert_eq!(format.read(&value).map(|instant| instant.to_string()).as_deref(), Some(instant), "{format:?}");
            assert_eq!(format.shift(&value, amount), Some(moved), "{format:?} {value}");
        }
    }

    #[test]
    fn what_is_no_format_is_refused() {
        for text in ["", "YYYY-MM-DD", "%H:%M", "%d/%m", "%Q%", "%c", "%B"] {
            assert!(Format::new(text).is_err(), "{text}");
        }
    }
}
