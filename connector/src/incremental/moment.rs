//! Texts that are instants beyond doubt, however they are written: the year in front, or the month by its name.
//!
//! `1/5/2024` is one of two days: such a text is not read but given back with the formats that it may be in.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// What a text is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reading {
    Instant(Timestamp),
    /// A date in more than one way, by the formats that it may have.
    Ambiguous(Vec<String>),
    /// No date.
    Other,
}

pub(super) fn read(text: &str) -> Reading {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST || !text.is_ascii() || super::value::is_decimal(text) {
        return Reading::Other;
    }
    // How MySQL writes no date at all.
    if text.starts_with("0000-00-00") {
        return Reading::Instant(Timestamp::MIN);
    }
    if text.as_bytes().iter().take(4).filter(|byte| byte.is_ascii_digit()).count() == 4 {
        let instant = text.parse().ok().or_else(|| civil(text)).or_else(|| year_first(text));
        return instant.map_or_else(|| month_by_name(text), Reading::Instant);
    }
    if let Some(formats) = two_small_numbers(text) {
        return Reading::Ambiguous(formats);
    }
    month_by_name(text)
}

/// Longer texts are no dates.
const LONGEST: usize = 64;

/// Without an offset: UTC.
fn civil(text: &str) -> Option<Timestamp> {
    at(text.parse::<DateTime>().ok()?, Offset::UTC)
}

/// The last day there is (`9999-12-31`, for "never") lies behind the last instant that can be held: it is that one.
fn at(civil: DateTime, offset: Offset) -> Option<Timestamp> {
    let instant = civil.to_zoned(offset.to_time_zone()).map(|zoned| zoned.timestamp()).ok();
    instant.or_else(|| (civil.year() == 9999).then_some(Timestamp::MAX))
}

/// `2024-9-30`, `2024/09/30 7:05 PM`, `2024-01-02 03:04:05 +0200`, `2024-01`.
fn year_first(text: &str) -> Option<Timestamp> {
    let (year, rest) = number(text, 4, 4)?;
    let separator = rest.chars().next().filter(|c| matches!(c, '-' | '/' | '.'))?;
    let (month, rest) = number(&rest[1..], 1, 2)?;
    let (day, rest) = match rest.strip_prefix(separator) {
        Some(rest) => number(rest, 1, 2)?,
        None if rest.is_empty() && separator != '.' => (1, rest),
        None => return None,
    };
    let date = Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()?;
    let time = match rest.chars().next() {
        None => "",
        Some('T' | 't' | ' ' | ',') => rest[1..].trim(),
        Some(_) => return None,
    };
    let (time, offset) = clock(time)?;
    at(date.to_datetime(time), offset)
}

/// `Thu, 19 Jan 2023 23:30:52 +0000`, `Wed Oct 10 20:19:24 +0000 2018`, `19-Jan-2023`, `January 19, 2023 11:30 PM`.
fn month_by_name(text: &str) -> Reading {
    let (mut day, mut month, mut year) = (None, None, None);
    let mut clock_words: Vec<&str> = Vec::new();
    let mut words = text.split([' ', ',', '\t']).filter(|word| !word.is_empty()).flat_map(|word| {
        let dashed = word.contains(['-', '/']) && word.chars().any(|c| c.is_ascii_alphabetic()) && !word.contains(':');
        if dashed { word.split(['-', '/']).collect::<Vec<_>>() } else { vec![word] }
    });
    let understood = words.all(|word| {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let suffix = &word[digits.len()..];
        let ordinal = matches!(suffix.to_ascii_lowercase().as_str(), "" | "st" | "nd" | "rd" | "th");
        if word.contains(':') || word.starts_with(['+', '-']) || is_zone(word) || is_half_of_day(word) {
            clock_words.push(word);
            true
        } else if let (Ok(number), true) = (digits.parse::<i16>(), ordinal) {
            let place = if digits.len() == 4 { &mut year } else { &mut day };
            digits.len() != 3 && place.replace(number).is_none()
        } else if let Some(number) = name_in(word, MONTHS) {
            month.replace(number).is_none()
        } else {
            name_in(word, DAYS).is_some()
        }
    });
    let Some(month) = month else { return Reading::Other };
    if year.is_none() && digits_groups(text) >= 2 && day.is_some() {
        // A year of two digits can't be told from the day.
        return Reading::Ambiguous(vec!["%d-%b-%y".to_owned(), "%y-%b-%d".to_owned()]);
    }
    let instant = || {
        let date = Date::new(year?, i8::try_from(month).ok()?, day.unwrap_or(1).try_into().ok()?).ok()?;
        let (time, offset) = clock(&clock_words.join(" "))?;
        at(date.to_datetime(time), offset)
    };
    if understood { instant().map_or(Reading::Other, Reading::Instant) } else { Reading::Other }
}

const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const DAYS: &[&str] = &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The number of a name, which may be cut behind three letters (`Sept` behind four).
fn name_in(word: &str, names: &[&str]) -> Option<usize> {
    let word = word.trim_end_matches('.').to_ascii_lowercase();
    let fits = |name: &str| name == word || ((3..=5).contains(&word.len()) && name.starts_with(&word));
    names.iter().position(|name| fits(name)).map(|position| position + 1)
}

fn digits_groups(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).count()
}

fn is_zone(word: &str) -> bool {
    matches!(word.to_ascii_uppercase().as_str(), "Z" | "UT" | "UTC" | "GMT")
}

fn is_half_of_day(word: &str) -> bool {
    matches!(word.to_ascii_uppercase().as_str(), "AM" | "PM")
}

/// A time of day and an offset, both of which may be missing: `7:05`, `19:05:03.25`, `7:05 PM +02:00`, `19:05Z`.
fn clock(text: &str) -> Option<(Time, Offset)> {
    if text.is_empty() {
        return Some((Time::midnight(), Offset::UTC));
    }
    let (hour, rest) = number(text, 1, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2, 2)?;
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => number(rest, 2, 2)?,
        None => (0, rest),
    };
    let (nanosecond, rest) = match rest.strip_prefix(['.', ',']) {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let digits = rest.get(..end.min(9)).filter(|digits| !digits.is_empty())?;
            (format!("{digits:0<9}").parse::<i32>().ok()?, &rest[end..])
        }
        None => (0, rest),
    };
    let rest = rest.trim_start();
    let half = rest.get(..2).filter(|half| is_half_of_day(half));
    let (hour, rest) = match half.map(str::to_ascii_uppercase).as_deref() {
        Some(half) if (1..=12).contains(&hour) => (hour % 12 + if half == "PM" { 12 } else { 0 }, rest[2..].trim()),
        Some(_) => return None,
        None => (hour, rest),
    };
    // A leap second is the last one of its minute.
    let second = second.min(59);
    let time = Time::new(hour.try_into().ok()?, minute.try_into().ok()?, second.try_into().ok()?, nanosecond).ok()?;
    Some((time, offset(rest.trim())?))
}

/// `+02:00`, `-0700`, `+02`, `Z`, `UTC`, `+0000 GMT`; nothing: UTC.
pub(super) fn offset(text: &str) -> Option<Offset> {
    if text.is_empty() || is_zone(text) {
        return Some(Offset::UTC);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let text = text.strip_prefix(['+', '-'])?;
    let (hours, minutes, rest) = match number(text, 4, 4) {
        Some((both, rest)) => (both / 100, both % 100, rest),
        None => {
            let (hours, rest) = number(text, 2, 2)?;
            let (minutes, rest) = rest.strip_prefix(':').map_or(Some((0, rest)), |rest| number(rest, 2, 2))?;
            (hours, minutes, rest)
        }
    };
    if !rest.trim().is_empty() && !is_zone(rest.trim()) {
        return None;
    }
    Offset::from_seconds(i32::try_from(sign * (hours * 3600 + minutes * 60)).ok()?).ok()
}

fn number(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let digits = text.get(..end).filter(|digits| (least..=most).contains(&digits.len()))?;
    Some((digits.parse().ok()?, &text[end..]))
}

/// `1/5/2024`, `31.12.2023 10:00`, `05-01-24`: which of the numbers is the day? The formats that fit.
fn two_small_numbers(text: &str) -> Option<Vec<String>> {
    let (first, rest) = number(text, 1, 2)?;
    let separator = rest.chars().next().filter(|c| matches!(c, '/' | '.' | '-'))?;
    let (second, rest) = number(&rest[1..], 1, 2)?;
    let rest = rest.strip_prefix(separator)?;
    let (year, time) = number(rest, 4, 4).or_else(|| number(rest, 2, 2))?;
    if !(time.is_empty() || time.starts_with([' ', 'T', ','])) {
        return None;
    }
    let behind = time.to_ascii_uppercase();
    let behind = match (behind.matches(':').count(), behind.contains("AM") || behind.contains("PM")) {
        (0, _) => "",
        (1, false) => " %H:%M",
        (1, true) => " %I:%M %p",
        (_, false) => " %H:%M:%S",
        (_, true) => " %I:%M:%S %p",
    };
    let behind = behind.replacen(' ', time.get(..1).unwrap_or_default(), 1);
    let s = separator;
    let long = rest.len() - time.len() == 4;
    let y = if long { "%Y" } else { "%y" };
    let day_first = format!("%d{s}%m{s}{y}{behind}");
    let month_first = format!("%m{s}%d{s}{y}{behind}");
    let year_first = format!("%y{s}%m{s}%d{behind}");
    let mut formats = Vec::new();
    if (1..=31).contains(&first) && (1..=12).contains(&second) {
        formats.push(day_first);
    }
    if (1..=12).contains(&first) && (1..=31).contains(&second) {
        formats.push(month_first);
    }
    if !long && (1..=12).contains(&second) && (1..=31).contains(&year) {
        formats.push(year_first);
    }
    (!formats.is_empty()).then_some(formats)
}

/// A civil time moved by a fraction of seconds.
pub(super) fn moved(civil: DateTime, seconds: f64) -> Option<DateTime> {
    civil.checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
}

/// The instant as a civil time in UTC.
pub(super) fn in_utc(instant: Timestamp) -> DateTime {
    instant.to_zoned(TimeZone::UTC).datetime()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_instant_beyond_doubt_is_read() {
        let cases = [
            ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02", "2024-01-02T00:00:00Z"),
            ("2024-01-02 03:04:05 +0200", "2024-01-02T01:04:05Z"),
            ("2024-01-02 03:04:05 UTC", "2024-01-02T03:04:05Z"),
            ("2024-01-02 03:04:05.25", "2024-01-02T03:04:05.25Z"),
            ("2024-9-30", "2024-09-30T00:00:00Z"),
            ("2024/9/30 7:05 PM", "2024-09-30T19:05:00Z"),
            ("2024-10", "2024-10-01T00:00:00Z"),
            ("20240102T030405Z", "2024-01-02T03:04:05Z"),
            ("Thu, 19 Jan 2023 23:30:52 +0000", "2023-01-19T23:30:52Z"),
            ("Thu, 19 Jan 2023 23:30:52 GMT", "2023-01-19T23:30:52Z"),
            ("19 Jan 2023 23:30:52 -0500", "2023-01-20T04:30:52Z"),
            ("Wed Oct 10 20:19:24 +0000 2018", "2018-10-10T20:19:24Z"),
            ("Mon Jan  2 15:04:05 2006", "2006-01-02T15:04:05Z"),
            ("19-Jan-2023", "2023-01-19T00:00:00Z"),
            ("January 19th, 2023 11:30 PM", "2023-01-19T23:30:00Z"),
            ("Sept. 3, 2023", "2023-09-03T00:00:00Z"),
            ("2024-Jan-05", "2024-01-05T00:00:00Z"),
            ("Feb 2024", "2024-02-01T00:00:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), Reading::Instant(expected.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_may_be_two_days_is_not_read() {
        let cases: [(&str, &[&str]); 7] = [
            ("1/5/2024", &["%d/%m/%Y", "%m/%d/%Y"]),
            ("12/31/2023", &["%m/%d/%Y"]),
            ("31.12.2023", &["%d.%m.%Y"]),
            ("05-01-2024 10:00", &["%d-%m-%Y %H:%M", "%m-%d-%Y %H:%M"]),
            ("1/5/2024 1:02:03 PM", &["%d/%m/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M:%S %p"]),
            ("24-01-02", &["%d-%m-%y", "%y-%m-%d"]),
            ("19-Jan-23", &["%d-%b-%y", "%y-%b-%d"]),
        ];
        for (text, formats) in cases {
            let formats = formats.iter().map(|format| (*format).to_owned()).collect();
            assert_eq!(read(text), Reading::Ambiguous(formats), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["9999-12-31", "9999-12-31T23:59:59Z"] {
            assert_eq!(read(text), Reading::Instant(Timestamp::MAX), "{text}");
        }
        for text in ["", "x", "20240101", "1704067200000", "2024-W01", "2024-13-01", "ID-10", "2024.10", "marching on"]
        {
            assert_eq!(read(text), Reading::Other, "{text}");
        }
    }
}
