//! What one call into a connector may take: processor time, and time.
//!
//! Processor time is that of the thread while the call runs on it, so that whatever the call makes the host do counts as
//! well (random numbers, the clock, messages, refused requests), and waiting for the network does not. A guest that
//! computes gives way at each epoch, which is when it is looked at.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::config::settings::Limits;

#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    processor: Duration,
    time: Duration,
}

/// Why a call was given up.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exceeded {
    Processor,
    Time(Duration),
}

impl Allowance {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { processor: Duration::from_secs_f64(limits.cpu_secs), time: Duration::from_secs_f64(limits.page_secs) }
    }

    /// The instance of a call that was given up is dead.
    pub(super) async fn hold<T>(self, call: impl Future<Output = T>) -> Result<T, Exceeded> {
        let mut call = pin!(call);
        let mut used = Duration::ZERO;
        let counted = std::future::poll_fn(|context| {
            let before = thread_time();
            let polled = call.as_mut().poll(context);
            used += thread_time().saturating_sub(before);
            match polled {
                _ if used > self.processor => Poll::Ready(Err(Exceeded::Processor)),
                polled => polled.map(Ok),
            }
        });
        tokio::time::timeout(self.time, counted).await.unwrap_or(Err(Exceeded::Time(self.time)))
    }
}

/// The processor time of this thread so far.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}
