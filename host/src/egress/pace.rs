//! How fast one origin is asked: requests per second, and requests under way at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::settings::RateLimit;

/// One pace per origin, shared by every instance of the run.
pub(super) struct Paces {
    settings: RateLimit,
    by_origin: Mutex<HashMap<String, Arc<Pace>>>,
}

struct Pace {
    under_way: Arc<Semaphore>,
    rate: Option<DefaultDirectRateLimiter>,
}

impl Paces {
    pub(super) fn new(settings: RateLimit) -> Self {
        Self { settings, by_origin: Mutex::new(HashMap::new()) }
    }

    /// Waits for the turn of a request; it is over when the permit is dropped.
    pub(super) async fn turn(&self, origin: &str) -> Option<OwnedSemaphorePermit> {
        let pace = {
            let mut by_origin = self.by_origin.lock().unwrap_or_else(PoisonError::into_inner);
            by_origin.entry(origin.to_owned()).or_insert_with(|| Arc::new(Pace::new(&self.settings))).clone()
        };
        let permit = pace.under_way.clone().acquire_owned().await.ok();
        if let Some(rate) = &pace.rate {
            rate.until_ready().await;
        }
        permit
    }
}

impl Pace {
    fn new(settings: &RateLimit) -> Self {
        let rate = settings.requests_per_second.filter(|rate| *rate > 0.0).and_then(|rate| {
            // One after the other and never a burst: what an API counts are the requests of any one second.
            let quota = Quota::with_period(std::time::Duration::try_from_secs_f64(1.0 / rate).ok()?)?;
            Some(RateLimiter::direct(quota))
        });
        Self { under_way: Arc::new(Semaphore::new(settings.concurrent_requests.max(1))), rate }
    }
}
