//! How fast one origin is asked: requests per second, requests under way at once, and pauses while it says that there
//! are too many.
//!
//! A refusal pauses the origin, not one request: whoever comes next waits with it. Then one request goes ahead, and the
//! others follow when it was answered. Refusals count against the origin until it answers anything else, so that many
//! requests refused at once are one refusal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::retry;
use crate::config::settings::{RateLimit, Retry};

/// One pace per origin, shared by every instance of the run.
pub(super) struct Paces {
    settings: RateLimit,
    by_origin: Mutex<HashMap<String, Arc<Pace>>>,
}

struct Pace {
    under_way: Arc<Semaphore>,
    rate: Option<DefaultDirectRateLimiter>,
    refusals: Mutex<Refusals>,
    /// Held by the one request that goes ahead after a refusal.
    ahead: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Clone, Copy)]
struct Refusals {
    paused_until: Instant,
    /// How often the origin was paused.
    pauses: u64,
    /// Pauses since it last answered otherwise.
    in_a_row: u32,
}

/// A request's turn, over when it is dropped.
pub(super) struct Turn {
    pace: Arc<Pace>,
    /// Pauses before it.
    pauses: u64,
    _ahead: Option<OwnedMutexGuard<()>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Paces {
    pub(super) fn new(settings: RateLimit) -> Self {
        Self { settings, by_origin: Mutex::new(HashMap::new()) }
    }

    /// Waits for the turn of a request.
    pub(super) async fn turn(&self, origin: &str) -> Turn {
        let pace = {
            let mut by_origin = self.by_origin.lock().unwrap_or_else(PoisonError::into_inner);
            by_origin.entry(origin.to_owned()).or_insert_with(|| Arc::new(Pace::new(&self.settings))).clone()
        };
        let permit = pace.under_way.clone().acquire_owned().await.ok();
        let mut ahead = None;
        loop {
            // A copy: it changes while this one waits, for its turn to go ahead and then for the pause to end.
            let refusals = *pace.refusals();
            if refusals.in_a_row == 0 {
                ahead = None;
                break;
            }
            if ahead.is_none() {
                ahead = Some(pace.ahead.clone().lock_owned().await);
            } else if refusals.paused_until <= Instant::now() {
                break;
            } else {
                tokio::time::sleep_until(refusals.paused_until).await;
            }
        }
        if let Some(rate) = &pace.rate {
            rate.until_ready().await;
        }
        let pauses = pace.refusals().pauses;
        Turn { pace, pauses, _ahead: ahead, _permit: permit }
    }
}

impl Turn {
    /// The origin answers.
    pub(super) fn answered(&self) {
        self.pace.refusals().in_a_row = 0;
    }

    /// The origin says that there are too many requests, and for how long. Whether it is worth another attempt.
    pub(super) fn refused(&self, asked: Option<Duration>, settings: &Retry) -> bool {
        let mut refusals = self.pace.refusals();
        let asked = asked.map(|asked| asked.min(retry::longest(settings)));
        let now = Instant::now();
        if self.pauses == refusals.pauses {
            refusals.pauses += 1;
            refusals.in_a_row = refusals.in_a_row.saturating_add(1);
            let wait = asked.or_else(|| retry::wait_before(settings, refusals.in_a_row)).unwrap_or_default();
            refusals.paused_until = now + wait;
        } else if let Some(asked) = asked {
            // It left before the pause began: that is known already, but perhaps not for how long.
            refusals.paused_until = refusals.paused_until.max(now + asked);
        }
        refusals.in_a_row <= settings.max_retries
    }
}

impl Pace {
    fn new(settings: &RateLimit) -> Self {
        let rate = settings.requests_per_second.filter(|rate| *rate > 0.0).and_then(|rate| {
            // One after the other and never a burst: what an API counts are the requests of any one second.
            let quota = Quota::with_period(Duration::try_from_secs_f64(1.0 / rate).ok()?)?;
            Some(RateLimiter::direct(quota))
        });
        Self {
            under_way: Arc::new(Semaphore::new(settings.concurrent_requests.max(1))),
            rate,
            refusals: Mutex::new(Refusals { paused_until: Instant::now(), pauses: 0, in_a_row: 0 }),
            ahead: Arc::default(),
        }
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight workers against an origin that refuses everybody until it has paused them three times.
    #[tokio::test]
    async fn a_refusal_pauses_all_and_counts_once() {
        let paces = Arc::new(Paces::new(RateLimit::default()));
        let settings = Retry { jitter: false, max_retries: 3, initial_delay_secs: 0.001, ..Retry::default() };
        let all_sent = Arc::new(tokio::sync::Barrier::new(8));
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (paces, settings, all_sent) = (paces.clone(), settings.clone(), all_sent.clone());
            workers.spawn(async move {
                for requests in 1.. {
                    let turn = paces.turn("a").await;
                    if requests == 1 {
                        all_sent.wait().await;
                    }
                    if turn.pauses == 3 {
                        turn.answered();
                        return Some(requests);
                    }
                    if !turn.refused(None, &settings) {
                        break;
                    }
                }
                None
            });
        }
        let outcomes: Vec<Option<u32>> = workers.join_all().await;
        // Each once, one ahead after each of two more pauses, and then all of them.
        let all: Option<u32> = outcomes.iter().copied().sum();
        assert_eq!(all, Some(8 + 2 + 8), "{outcomes:?}");
    }

    #[tokio::test]
    async fn an_origin_that_keeps_refusing_is_given_up_and_others_are_not() {
        let paces = Paces::new(RateLimit::default());
        let settings = Retry::default();
        for attempt in 0..=3 {
            let more = paces.turn("a").await.refused(Some(Duration::from_millis(1)), &settings);
            assert_eq!(more, attempt < 3);
        }
        paces.turn("b").await.answered();
        assert!(paces.turn("a").await._ahead.is_some());
        paces.turn("a").await.answered();
        assert!(paces.turn("a").await._ahead.is_none());
    }
}
