//! ISO 8601 points in time, days and times of day, read without a regular expression.
//!
//! Must never guess: what is not clearly one of these forms is text. A time without an offset is UTC, as in dlt;
//! fractions are cut after the microsecond, the finest unit that destinations keep.

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400 * MICROS;

/// Microseconds since the epoch of a timestamp: date and time, with `T` or a space between them. The only form that is
/// recognised in a column without a type.
pub(super) fn parse_timestamp(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    // The cheapest test that almost every other text fails.
    if bytes.len() < 11 || bytes.len() > 40 || !bytes[0].is_ascii_digit() {
        return None;
    }
    let (days, rest) = date(bytes)?;
    let (b'T' | b' ', rest) = rest.split_first()? else { return None };
    let (time, rest) = time_of_day(rest)?;
    Some(i64::from(days) * DAY + time - offset(rest)?)
}

/// As `parse_timestamp`, and a bare date is its midnight: for a column that is a timestamp already.
pub(super) fn parse_timestamp_or_date(text: &str) -> Option<i64> {
    parse_timestamp(text).or_else(|| bare_date(text).map(|days| i64::from(days) * DAY))
}

/// Days since the epoch of a date, or of a timestamp's midnight: a time of day would be lost.
pub(super) fn parse_date(text: &str) -> Option<i32> {
    bare_date(text).or_else(|| {
        let micros = parse_timestamp(text)?;
        if micros % DAY == 0 { i32::try_from(micros.div_euclid(DAY)).ok() } else { None }
    })
}

/// Microseconds since midnight, UTC where an offset is given.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    let (time, rest) = time_of_day(text.as_bytes())?;
    if text.len() < 5 {
        return None;
    }
    Some((time - offset(rest)?).rem_euclid(DAY))
}

/// Microseconds since the epoch from seconds, if that is a moment between the years 1 and 9999.
pub(super) fn from_seconds(seconds: f64) -> Option<i64> {
    let in_range = (-62_135_596_800.0..253_402_300_800.0).contains(&seconds);
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    in_range.then(|| (seconds * 1e6).round() as i64)
}

fn bare_date(text: &str) -> Option<i32> {
    let (days, rest) = date(text.as_bytes())?;
    rest.is_empty().then_some(days)
}

fn digits<const N: usize>(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (head, rest) = bytes.split_at_checked(N)?;
    let mut number = 0_i64;
    for digit in head {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(digit - b'0');
    }
    Some((number, rest))
}

/// `YYYY-MM-DD`, `YYYY/MM/DD` or `YYYYMMDD`: days since the epoch, and what follows.
fn date(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (year, rest) = digits::<4>(bytes)?;
    let (month, day, rest) = match rest.first()? {
        separator @ (b'-' | b'/') => {
            let (month, rest) = digits::<2>(&rest[1..])?;
            if rest.first()? != separator {
                return None;
            }
            let (day, rest) = digits::<2>(&rest[1..])?;
            (month, day, rest)
        }
        _ => {
            let (month, rest) = digits::<2>(rest)?;
            let (day, rest) = digits::<2>(rest)?;
            (month, day, rest)
        }
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if year == 0 || day == 0 || day > length {
        return None;
    }
    // Days from a calendar that begins in March, so that the leap day is a year's last.
    let shifted = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468;
    Some((i32::try_from(days).ok()?, rest))
}

/// `HH`, `HH:MM`, `HH:MM:SS`, `HHMM` or `HHMMSS`, the last with a fraction: microseconds, and what follows.
fn time_of_day(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (hour, mut rest) = digits::<2>(bytes)?;
    let (mut minute, mut second, mut micros) = (0, 0, 0);
    let extended = rest.first() == Some(&b':');
    let follows =
        |rest: &[u8]| rest.first().is_some_and(|first| if extended { *first == b':' } else { first.is_ascii_digit() });
    let skip = usize::from(extended);
    if follows(rest) {
        (minute, rest) = digits::<2>(&rest[skip..])?;
        if follows(rest) {
            (second, rest) = digits::<2>(&rest[skip..])?;
            if let Some((b'.' | b',', fraction)) = rest.split_first() {
                let length = fraction.iter().take_while(|digit| digit.is_ascii_digit()).count();
                if length == 0 || length > 9 {
                    return None;
                }
                let (kept, _) = fraction.split_at(length.min(6));
                for digit in kept {
                    micros = micros * 10 + i64::from(digit - b'0');
                }
                for _ in kept.len()..6 {
                    micros *= 10;
                }
                rest = &fraction[length..];
            }
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((((hour * 60 + minute) * 60 + second) * MICROS + micros, rest))
}

/// Nothing, `Z`, `±HH`, `±HHMM` or `±HH:MM`, and nothing behind it: microseconds to take off.
fn offset(bytes: &[u8]) -> Option<i64> {
    let sign = match bytes {
        [] | [b'Z'] => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let (hours, rest) = digits::<2>(&bytes[1..])?;
    let minutes = match rest {
        [] => 0,
        [b':', rest @ ..] | rest => {
            let (minutes, rest) = digits::<2>(rest)?;
            if !rest.is_empty() {
                return None;
            }
            minutes
        }
    };
    if hours > 23 || minutes > 59 { None } else { Some(sign * (hours * 60 + minutes) * 60 * MICROS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_timestamps_are_recognised() {
        let midnight = 1_704_067_200 * MICROS;
        let hours = 3600 * MICROS;
        let cases = [
            ("2024-01-01T00:00:00Z", midnight),
            ("2024-01-01T00:00:00", midnight),
            ("2024-01-01 00:00", midnight),
            ("2024-01-01T10", midnight + 10 * hours),
            ("2024-01-01T02:00:00+02:00", midnight),
            ("2024-01-01T02:00:00+0200", midnight),
            ("2023-12-31T22:30:00-0130", midnight),
            ("2024-01-01T01:00:00+01", midnight),
            ("2024-01-01T00:00:00.123456789Z", midnight + 123_456),
            ("2024-01-01T00:00:00.5Z", midnight + 500_000),
            ("20240101T100000Z", midnight + 10 * hours),
            ("2024/01/01 10:00:00", midnight + 10 * hours),
            ("1969-12-31T23:59:59Z", -MICROS),
            ("2000-02-29T00:00:00Z", 951_782_400 * MICROS),
            ("0001-01-01T00:00:00Z", -62_135_596_800 * MICROS),
            ("9999-12-31T23:59:59Z", 253_402_300_799 * MICROS),
        ];
        for (text, micros) in cases {
            assert_eq!(parse_timestamp(text), Some(micros), "{text}");
        }
    }

    #[test]
    fn other_texts_are_not() {
        for text in [
            "",
            "n/a",
            "2024-01-01",
            "10:00:00",
            "2024-01-01t00:00:00z",
            "1704067200",
            "Mon, 01 Jan 2024 00:00:00 GMT",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:60Z",
            " 2024-01-01T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-01-01T00:00:00Zx",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T",
            "0000-01-01T00:00:00",
            "2024-01/01T00:00:00",
            "2024-01-01T00:00:00+2",
            "2024-01-01T00:00:00+02:00x",
            "日本語日本語日本語",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn dates_and_times_are_read_where_a_hint_asks_for_them() {
        assert_eq!(parse_date("1970-01-02"), Some(1));
        assert_eq!(parse_date("1970-01-02T00:00:00Z"), Some(1));
        assert_eq!(parse_date("1970-01-02T01:00:00Z"), None);
        assert_eq!(parse_time("10:00:00.25"), Some(36_000 * MICROS + 250_000));
        assert_eq!(parse_time("00:30+01:00"), Some(DAY - 1800 * MICROS));
        assert_eq!(parse_time("10"), None);
        assert_eq!(parse_timestamp_or_date("1970-01-02"), Some(DAY));
        assert_eq!(from_seconds(1.5), Some(1_500_000));
        assert_eq!(from_seconds(1e18), None);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn agrees_with_jiff(seconds in -62_135_596_800_i64..253_402_300_799, micros in 0_i64..1_000_000) {
            let timestamp = jiff::Timestamp::from_microsecond(seconds * MICROS + micros).unwrap();
            proptest::prop_assert_eq!(parse_timestamp(&timestamp.to_string()), Some(timestamp.as_microsecond()));
        }

        #[test]
        fn never_panics(text in "\\PC{0,30}") {
            let _ = (parse_timestamp_or_date(&text), parse_date(&text), parse_time(&text));
        }
    }
}
