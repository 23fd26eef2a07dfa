//! What is to be read, and in which order: the deepest streams first, parents only while few children wait.
//!
//! That order bounds what is pending: a parent's next page is fetched only when its children have almost been read.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Assignment;
use crate::sandbox::{Instance, Partition};
use crate::schema::StreamSpec;

/// How many partitions of a child stream may wait before its parent pauses.
const WAITING_CHILDREN: usize = 200;

/// A partition to be read, or one in the midst of which a parent paused.
pub(super) struct Job {
    pub(super) stream: String,
    pub(super) assignment: Assignment,
    pub(super) checkpoint: Option<String>,
    /// With its reader open.
    pub(super) paused: Option<Instance>,
}

pub(super) struct Queue {
    streams: Vec<StreamSpec>,
    inner: Mutex<Inner>,
    changed: Notify,
    /// Of the next assignment.
    next: AtomicU64,
}

#[derive(Default)]
struct Inner {
    /// By stream, in the order of `Queue::streams`.
    waiting: HashMap<String, VecDeque<Job>>,
    /// Waiting or being read.
    open: HashMap<String, usize>,
    complete: HashSet<String>,
    given_up: HashSet<String>,
    /// All root streams are listed: what is not open now and has no open ancestor is complete.
    listed: bool,
    stopped: bool,
}

impl Queue {
    pub(super) fn new(streams: Vec<StreamSpec>, next: u64) -> Self {
        Self { streams, inner: Mutex::default(), changed: Notify::new(), next: AtomicU64::new(next) }
    }

    pub(super) fn number(&self, partitions: Vec<Partition>) -> Vec<Assignment> {
        let number = |partition| Assignment { number: self.next.fetch_add(1, Ordering::Relaxed), partition };
        partitions.into_iter().map(number).collect()
    }

    pub(super) fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    pub(super) fn children<'a>(&'a self, stream: &'a str) -> impl Iterator<Item = &'a StreamSpec> {
        self.streams.iter().filter(move |child| child.parent.as_deref() == Some(stream))
    }

    pub(super) fn add(&self, stream: &str, jobs: Vec<(Assignment, Option<String>)>) {
        let mut inner = self.lock();
        if inner.given_up.contains(stream) {
            return;
        }
        *inner.open.entry(stream.to_owned()).or_default() += jobs.len();
        let waiting = inner.waiting.entry(stream.to_owned()).or_default();
        waiting.extend(jobs.into_iter().map(|(assignment, checkpoint)| Job {
            stream: stream.to_owned(),
            assignment,
            checkpoint,
            paused: None,
        }));
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Every root stream is listed. Says which streams are complete without having been read at all.
    pub(super) fn listed(&self) -> Vec<String> {
        let mut inner = self.lock();
        inner.listed = true;
        self.newly_complete(&mut inner)
    }

    /// The next job; none when nothing will come any more.
    pub(super) async fn take(&self) -> Option<Job> {
        loop {
            let changed = self.changed.notified();
            {
                let mut inner = self.lock();
                if inner.stopped {
                    return None;
                }
                if let Some(job) = self.best(&mut inner) {
                    return Some(job);
                }
                if inner.open.values().all(|open| *open == 0) {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Streams stand parents first, so the last one with work is the deepest.
    fn best(&self, inner: &mut Inner) -> Option<Job> {
        for stream in self.streams.iter().rev() {
            if self.is_crowded(inner, &stream.name) {
                continue;
            }
            if let Some(job) = inner.waiting.get_mut(&stream.name).and_then(VecDeque::pop_front) {
                return Some(job);
            }
        }
        None
    }

    fn is_crowded(&self, inner: &Inner, stream: &str) -> bool {
        self.children(stream).any(|child| {
            inner.waiting.get(&child.name).is_some_and(|waiting| waiting.len() >= WAITING_CHILDREN)
                || self.is_crowded(inner, &child.name)
        })
    }

    /// Whether a reader of this stream goes on with its next page now.
    pub(super) fn goes_on(&self, stream: &str) -> Verdict {
        let inner = self.lock();
        if inner.stopped || inner.given_up.contains(stream) {
            Verdict::Stop
        } else if self.is_crowded(&inner, stream) {
            Verdict::Pause
        } else {
            Verdict::GoOn
        }
    }

    pub(super) fn pause(&self, job: Job) {
        let mut inner = self.lock();
        if !inner.given_up.contains(&job.stream) {
            inner.waiting.entry(job.stream.clone()).or_default().push_front(job);
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// A partition is done. Says which streams are complete with it, parents first.
    pub(super) fn done(&self, stream: &str) -> Vec<String> {
        let mut inner = self.lock();
        if let Some(open) = inner.open.get_mut(stream) {
            *open = open.saturating_sub(1);
        }
        let complete = self.newly_complete(&mut inner);
        drop(inner);
        self.changed.notify_waiters();
        complete
    }

    fn newly_complete(&self, inner: &mut Inner) -> Vec<String> {
        let mut newly = Vec::new();
        if !inner.listed {
            return newly;
        }
        for stream in &self.streams {
            let name = &stream.name;
            let over = inner.open.get(name).copied().unwrap_or(0) == 0;
            let parent_over = stream.parent.as_ref().is_none_or(|parent| inner.complete.contains(parent));
            if over && parent_over && !inner.given_up.contains(name) && inner.complete.insert(name.clone()) {
                newly.push(name.clone());
            }
        }
        newly
    }

    pub(super) fn give_up(&self, stream: &str) -> Vec<String> {
        let mut inner = self.lock();
        if inner.given_up.contains(stream) {
            return Vec::new();
        }
        let family = self.family(stream);
        for name in &family {
            inner.waiting.remove(name);
            inner.open.remove(name);
            inner.given_up.insert(name.clone());
        }
        drop(inner);
        self.changed.notify_waiters();
        family
    }

    /// The root of a stream and all that hangs on it, parents first.
    fn family(&self, stream: &str) -> Vec<String> {
        let find = |name: &str| self.streams.iter().find(|stream| stream.name == name);
        let mut root = stream;
        while let Some(parent) =
            find(root).and_then(|stream| stream.parent.as_deref()).filter(|parent| find(parent).is_some())
        {
            root = parent;
        }
        let mut family = vec![root.to_owned()];
        for stream in &self.streams {
            if stream.parent.as_ref().is_some_and(|parent| family.contains(parent)) {
                family.push(stream.name.clone());
            }
        }
        family
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_waiters();
    }

    /// Ends when the run is stopped.
    pub(super) async fn stopped(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_stopped() {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    GoOn,
    Pause,
    Stop,
}
