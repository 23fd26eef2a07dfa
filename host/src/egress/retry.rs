//! When a failed request is sent again.
//!
//! The rule: 429, 500 to 599, a 403 that is a rate limit, and connection failures; at most 3 retries; waits that
//! double, with jitter; what the answer asks for instead of a wait, up to the cap. All settable under `host.retry`.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use http::{HeaderMap, StatusCode};

use super::asked_wait::is_rate_limit;
use crate::config::settings::Retry;

/// The waits of one request.
pub(super) fn waits(settings: &Retry) -> ExponentialBackoff {
    let mut builder = ExponentialBuilder::default()
        .with_min_delay(Duration::from_secs_f64(settings.initial_delay_secs.max(0.0)))
        .with_factor(settings.backoff_factor.max(1.0) as f32)
        .with_max_delay(longest(settings))
        .with_max_times(settings.max_retries as usize);
    if settings.jitter {
        builder = builder.with_jitter();
    }
    builder.build()
}

/// The wait before the n-th retry; none: there is none.
pub(super) fn wait_before(settings: &Retry, retry: u32) -> Option<Duration> {
    waits(settings).nth(retry.saturating_sub(1) as usize)
}

/// Of one wait.
pub(super) fn longest(settings: &Retry) -> Duration {
    Duration::from_secs_f64(settings.max_delay_secs.max(0.0))
}

/// Whether an answer is worth another attempt.
pub(super) fn is_retried(
    status: StatusCode,
    headers: &HeaderMap,
    settings: &Retry,
    asked: &[u16],
    last_word: &[u16],
) -> bool {
    let code = status.as_u16();
    let is_failure = status.is_server_error() || is_rate_limit(status, headers);
    !last_word.contains(&code) && (is_failure || settings.statuses.contains(&code) || asked.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_three_times() {
        let settings = Retry { jitter: false, ..Retry::default() };
        assert_eq!(waits(&settings).collect::<Vec<_>>(), [1, 2, 4].map(Duration::from_secs));
        assert_eq!(wait_before(&settings, 2), Some(Duration::from_secs(2)));
        assert_eq!(wait_before(&settings, 4), None);
        let capped = Retry { jitter: false, max_delay_secs: 3.0, ..Retry::default() };
        assert_eq!(wait_before(&capped, 3), Some(Duration::from_secs(3)));
    }

    #[test]
    fn statuses() {
        let settings = Retry { statuses: vec![408], ..Retry::default() };
        for (status, retried) in
            [(200, false), (404, false), (408, true), (429, true), (500, true), (503, false), (409, true), (403, false)]
        {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_retried(status, &HeaderMap::new(), &settings, &[409], &[503]), retried, "{status}");
        }
        let limited = HeaderMap::from_iter([(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"))]);
        assert!(is_retried(StatusCode::FORBIDDEN, &limited, &settings, &[], &[]));
    }
}
