//! How long an answer asks to wait: `Retry-After`, and the headers in which APIs tell their rate limits.
//!
//! `Retry-After` is RFC 9110's (seconds, also with a fraction, or a date). The others are of many kinds:
//! `X-RateLimit-*`, `X-Rate-Limit-*`, `RateLimit-*`, and the IETF drafts' `RateLimit: limit=…, remaining=…, reset=…`
//! and `"policy";r=…;t=…`. A reset is a time (Unix seconds or milliseconds, an HTTP date, RFC 3339) or a number of
//! seconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, StatusCode, header};

/// Numbers from here on are Unix seconds, and from there on milliseconds: no API asks to wait for thirty years.
const EPOCH_SECONDS: f64 = 1e9;
const EPOCH_MILLIS: f64 = 1e11;

/// Whether an answer says: too many requests.
pub(super) fn is_rate_limit(status: StatusCode, headers: &HeaderMap) -> bool {
    match status.as_u16() {
        429 => true,
        403 => headers.contains_key(header::RETRY_AFTER) || remaining(headers) == Some(0.0),
        // Not the API's limit, but its wish, and one to everybody.
        503 => headers.contains_key(header::RETRY_AFTER),
        _ => false,
    }
}

/// None: it asks for no time at all.
pub(super) fn asked_wait(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    // By the server's own clock, which a reset is told by.
    let date = headers.get(header::DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    asked_wait_at(status, headers, date.unwrap_or_else(SystemTime::now))
}

fn asked_wait_at(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let retry_after = text("retry-after-ms")
        .or_else(|| text("x-ms-retry-after-ms"))
        .and_then(|millis| seconds(millis.parse::<f64>().ok()? / 1000.0))
        .or_else(|| text("retry-after").and_then(|text| until(text, now)));
    // A reset stands in every answer of some APIs: it means something only when nothing remains until then.
    let is_spent = match remaining(headers) {
        Some(remaining) => remaining <= 0.0,
        None => status == StatusCode::TOO_MANY_REQUESTS,
    };
    retry_after.or_else(|| is_spent.then(|| reset(headers, now)).flatten()).filter(|wait| !wait.is_zero())
}

/// Requests that are left.
fn remaining(headers: &HeaderMap) -> Option<f64> {
    let text = |name: String| headers.get(name)?.to_str().ok().map(str::to_owned);
    let own = PREFIXES.iter().find_map(|prefix| text(format!("{prefix}-remaining")));
    own.and_then(|text| number(&text)).or_else(|| draft(headers)?.0)
}

const PREFIXES: [&str; 4] = ["x-ratelimit", "x-rate-limit", "ratelimit", "rate-limit"];

fn reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: String| headers.get(name)?.to_str().ok().map(str::to_owned);
    let after = PREFIXES.iter().find_map(|prefix| seconds(number(&text(format!("{prefix}-reset-after"))?)?));
    let own = || PREFIXES.iter().find_map(|prefix| until(&text(format!("{prefix}-reset"))?, now));
    after.or_else(own).or_else(|| seconds(draft(headers)?.1?))
}

/// What remains and the seconds until the reset, of the IETF's field: of several limits, the one that is spent.
fn draft(headers: &HeaderMap) -> Option<(Option<f64>, Option<f64>)> {
    let text = headers.get("ratelimit")?.to_str().ok()?;
    // Of the older drafts the whole field is one limit, of the newer ones each item of the list.
    let items: Vec<&str> = if text.contains(';') { text.split(',').collect() } else { vec![text] };
    let limits = items.into_iter().map(|item| {
        let value = |names: [&str; 2]| {
            item.split([',', ';']).find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                names.contains(&name.trim()).then(|| number(value))?
            })
        };
        (value(["remaining", "r"]), value(["reset", "t"]))
    });
    limits.min_by(|left, right| left.0.unwrap_or(f64::MAX).total_cmp(&right.0.unwrap_or(f64::MAX)))
}

/// The first number of a text such as `50, 60;w=3600`.
fn number(text: &str) -> Option<f64> {
    text.split([',', ';']).next()?.trim().parse().ok()
}

/// From now until a time, however that is told.
fn until(text: &str, now: SystemTime) -> Option<Duration> {
    if let Some(number) = number(text) {
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        return match number {
            EPOCH_MILLIS.. => seconds(number / 1000.0 - now),
            EPOCH_SECONDS.. => seconds(number - now),
            _ => seconds(number),
        };
    }
    let date = httpdate::parse_http_date(text).ok().or_else(|| Some(text.parse::<jiff::Timestamp>().ok()?.into()))?;
    date.duration_since(now).ok()
}

fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_445_412_470;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn what_answers_ask_for() {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        for (status, pairs, seconds) in [
            (429, &[("retry-after", "7")] as &[_], Some(7.0)),
            (503, &[("retry-after", "1.5")], Some(1.5)),
            (429, &[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], Some(10.0)),
            (429, &[("retry-after", "2015-10-21T07:28:00Z")], Some(10.0)),
            (429, &[("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT")], None),
            (429, &[("retry-after", "0")], None),
            (429, &[("retry-after", "-5")], None),
            (429, &[("retry-after", "soon")], None),
            (429, &[("retry-after-ms", "250"), ("retry-after", "1")], Some(0.25)),
            (429, &[("x-ratelimit-reset", "1445412480")], Some(10.0)),
            (429, &[("x-ratelimit-reset", "1445412480123")], Some(10.123)),
            (429, &[("x-rate-limit-reset", "30")], Some(30.0)),
            (429, &[("ratelimit-reset", "Wed, 21 Oct 2015 07:28:00 GMT")], Some(10.0)),
            (429, &[("x-ratelimit-reset-after", "0.6"), ("x-ratelimit-reset", "1445412480")], Some(0.6)),
            (429, &[("ratelimit", "limit=100, remaining=0, reset=50")], Some(50.0)),
            (429, &[("ratelimit", "\"burst\";r=5;t=1, \"day\";r=0;t=60")], Some(60.0)),
            // Something remains: it is another limit that was hit.
            (429, &[("x-ratelimit-remaining", "40"), ("x-ratelimit-reset", "1445412480")], None),
            (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1445412480")], Some(10.0)),
            // Told with every answer.
            (502, &[("x-ratelimit-reset", "1445412480")], None),
            (502, &[("x-ratelimit-remaining", "58"), ("x-ratelimit-reset", "1445412480")], None),
            (429, &[], None),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let asked =
                asked_wait_at(status, &headers(pairs), now).map(|wait| (wait.as_secs_f64() * 1e3).round() / 1e3);
            assert_eq!(asked, seconds, "{status} {pairs:?}");
        }
    }

    #[test]
    fn a_reset_counts_by_the_servers_clock() {
        let told = headers(&[("date", "Wed, 21 Oct 2015 07:27:50 GMT"), ("x-ratelimit-reset", "1445412480")]);
        assert_eq!(asked_wait(StatusCode::TOO_MANY_REQUESTS, &told), Some(Duration::from_secs(10)));
    }

    #[test]
    fn rate_limits() {
        for (status, pairs, is_limit) in [
            (429, &[] as &[_], true),
            (403, &[], false),
            (403, &[("retry-after", "3")], true),
            (403, &[("x-ratelimit-remaining", "0")], true),
            (403, &[("ratelimit", "limit=10, remaining=0, reset=5")], true),
            (403, &[("x-ratelimit-remaining", "12")], false),
            (503, &[("retry-after", "3")], true),
            (503, &[], false),
            (200, &[("x-ratelimit-remaining", "0")], false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_rate_limit(status, &headers(pairs)), is_limit, "{status} {pairs:?}");
        }
    }
}
