//! When a failed request is sent again.
//!
//! The rule: 429, 500 to 599 and connection failures; at most 3 retries; waits that double, with jitter; `Retry-After`
//! (RFC 9110, section 10.2.3) instead of a wait, up to the cap. All settable under `host.retry`.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use http::{HeaderMap, StatusCode, header};

use crate::config::settings::Retry;

/// The waits of one request.
pub(super) struct Backoff {
    waits: ExponentialBackoff,
    longest: Duration,
}

impl Backoff {
    pub(super) fn new(settings: &Retry) -> Self {
        let longest = Duration::from_secs_f64(settings.max_delay_secs.max(0.0));
        let mut builder = ExponentialBuilder::default()
            .with_min_delay(Duration::from_secs_f64(settings.initial_delay_secs.max(0.0)))
            .with_factor(settings.backoff_factor.max(1.0) as f32)
            .with_max_delay(longest)
            .with_max_times(settings.max_retries as usize);
        if settings.jitter {
            builder = builder.with_jitter();
        }
        Self { waits: builder.build(), longest }
    }

    /// How long to wait before the next attempt; none: there is none.
    pub(super) fn next(&mut self, headers: Option<&HeaderMap>) -> Option<Duration> {
        let wait = self.waits.next()?;
        Some(
            headers
                .and_then(|headers| retry_after(headers, SystemTime::now()))
                .map_or(wait, |asked| asked.min(self.longest)),
        )
    }
}

/// Whether a status is worth another attempt.
pub(super) fn is_retried(status: StatusCode, settings: &Retry, asked: &[u16], last_word: &[u16]) -> bool {
    let code = status.as_u16();
    !last_word.contains(&code)
        && (code == 429 || status.is_server_error() || settings.statuses.contains(&code) || asked.contains(&code))
}

/// What the server asks for; nothing when it asks for no time at all.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok()?,
    };
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_three_times() {
        let settings = Retry { jitter: false, ..Retry::default() };
        let mut backoff = Backoff::new(&settings);
        let waits: Vec<_> = std::iter::from_fn(|| backoff.next(None)).collect();
        assert_eq!(waits, [1, 2, 4].map(Duration::from_secs));
    }

    #[test]
    fn the_servers_wish_wins_up_to_the_cap() {
        let settings = Retry { jitter: false, max_delay_secs: 30.0, ..Retry::default() };
        for (text, seconds) in [("7", 7), ("900", 30), ("0", 1), ("soon", 1), ("Wed, 21 Oct 2015 07:28:00 GMT", 1)] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(Backoff::new(&settings).next(Some(&headers)), Some(Duration::from_secs(seconds)), "{text}");
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_470);
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, "Wed, 21 Oct 2015 07:28:00 GMT".parse().unwrap())]);
        assert_eq!(retry_after(&headers, now), Some(Duration::from_secs(10)));
    }

    #[test]
    fn statuses() {
        let settings = Retry { statuses: vec![408], ..Retry::default() };
        for (status, retried) in
            [(200, false), (404, false), (408, true), (429, true), (500, true), (503, false), (409, true)]
        {
            assert_eq!(
                is_retried(StatusCode::from_u16(status).unwrap(), &settings, &[409], &[503]),
                retried,
                "{status}"
            );
        }
    }
}
