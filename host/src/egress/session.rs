//! What one instance has of the way out: its counters, its cookies, what was repeated to it, and how long the last
//! answer asked it to wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cookies::Jar;
use super::references::Repeated;

/// What one stream sent, for progress and report.
#[derive(Debug, Default)]
pub struct Traffic {
    pub requests: AtomicU64,
    pub retries: AtomicU64,
    /// Of response bodies, decoded.
    pub bytes: AtomicU64,
    /// Times that a credential stood in records, and stays masked there.
    pub masked: AtomicU64,
}

#[derive(Debug, Default)]
pub struct Session {
    pub(super) traffic: Arc<Traffic>,
    pub(super) cookies: Jar,
    pub(super) repeated: Mutex<Repeated>,
    asked: Mutex<Option<Instant>>,
}

/// Stands before what a partition is read with, and behind it the references that its listing had seen repeated. A
/// connector can't write it: whatever it says stands behind the host's own.
const REPEATS: &str = "repeats:";

impl Session {
    pub fn new(traffic: Arc<Traffic>) -> Self {
        Self { traffic, ..Self::default() }
    }

    pub(super) fn remember(&self, more: Repeated) {
        self.repeated.lock().unwrap_or_else(PoisonError::into_inner).extend(more);
    }

    pub(super) fn count_masked(&self, masked: u64) {
        self.traffic.masked.fetch_add(masked, Ordering::Relaxed);
    }

    /// A partition's data on its way to whoever reads it: an instance to which nothing was repeated yet.
    pub(crate) fn hand_on(&self, data: String) -> String {
        let repeated = self.repeated.lock().unwrap_or_else(PoisonError::into_inner);
        let within: Vec<&str> = repeated
            .iter()
            .map(AsRef::as_ref)
            .filter(|reference: &&str| !reference.contains(['\t', '\n']) && data.contains(reference))
            .collect();
        if within.is_empty() && !data.starts_with(REPEATS) {
            return data;
        }
        format!("{REPEATS}{}\n{data}", within.join("\t"))
    }

    /// Takes up what `hand_on` gave.
    pub(crate) fn take_up<'a>(&self, data: &'a str) -> &'a str {
        let Some((repeated, data)) = data.strip_prefix(REPEATS).and_then(|rest| rest.split_once('\n')) else {
            return data;
        };
        self.remember(repeated.split('\t').filter(|reference| !reference.is_empty()).map(Arc::from).collect());
        data
    }

    /// How long the answer that just came asked to wait.
    pub(super) fn asked(&self, wait: Option<Duration>) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = wait.map(|wait| Instant::now() + wait);
    }

    /// What is left of that.
    pub(super) fn still_asked(&self) -> Option<Duration> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(asked.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_repeated_goes_with_a_partition_and_nothing_else_does() {
        let listing = Session::default();
        listing.remember(Repeated::from(["${secrets.org}".into(), "${secrets.x}".into()]));
        let data = r#"{"a": "${secrets.org}", "b": "${secrets.made-up}"}"#;
        let handed = listing.hand_on(data.to_owned());
        let reading = Session::default();
        assert_eq!(reading.take_up(&handed), data);
        assert_eq!(*reading.repeated.lock().unwrap(), Repeated::from(["${secrets.org}".into()]));
        for data in ["{}", "repeats:${secrets.made-up}\n{}"] {
            let reading = Session::default();
            assert_eq!(reading.take_up(&listing.hand_on(data.to_owned())), data);
            assert!(reading.repeated.lock().unwrap().is_empty(), "{data}");
        }
    }
}
