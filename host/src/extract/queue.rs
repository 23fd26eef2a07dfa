//! What is to be read, and in which order: the deepest streams first, parents only while few children wait.
//!
//! That order bounds what is pending: a parent's next page is fetched only when its children have almost been read.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Assignment;
use crate::sandbox::Instance;
use crate::state::{Names, State};
use crate::streams::Streams;

/// How many partitions of a child stream may wait before its parent pauses.
const WAITING_CHILDREN: usize = 200;

/// A partition to be read, or one in the midst of which a parent paused.
pub(super) struct Job {
    pub(super) pass: u64,
    pub(super) stream: String,
    pub(super) assignment: Assignment,
    /// Where an earlier run stopped.
    pub(super) checkpoint: Option<String>,
    /// With its reader open.
    pub(super) paused: Option<Instance>,
}

pub(super) struct Queue {
    streams: Streams,
    inner: Mutex<Inner>,
    changed: Notify,
    /// Of the next assignment.
    next: AtomicU64,
}

#[derive(Default)]
struct Inner {
    /// By stream.
    waiting: HashMap<String, VecDeque<Job>>,
    passes: BTreeMap<u64, OpenPass>,
    next_pass: u64,
    stopped: bool,
}

/// A pass that is being read.
struct OpenPass {
    reads: Arc<Reads>,
    /// Its roots are listed: a stream of which nothing is open, whose parent is complete, is complete.
    listed: bool,
    /// Partitions that wait or are being read, by stream.
    open: HashMap<String, usize>,
    complete: HashSet<String>,
}

/// What a pass reads, fixed when it begins.
pub(super) struct Reads {
    pub(super) consumers: Names,
    pub(super) full_refresh: bool,
    /// Parents before their children.
    pub(super) streams: Vec<String>,
}

/// What has come to its end.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Parents before their children.
    pub(super) streams: Vec<String>,
    pub(super) pass: bool,
}

impl Queue {
    pub(super) fn new(streams: Streams, state: &State, passes: &[u64]) -> Self {
        let mut inner = Inner { next_pass: state.next_pass(), ..Inner::default() };
        for number in passes {
            let Some(pass) = state.passes.get(number) else { continue };
            let serves = |stream: &String| pass.consumers.iter().any(|consumer| streams.serves(stream, consumer));
            let reads = Reads {
                consumers: pass.consumers.clone(),
                full_refresh: pass.full_refresh,
                streams: streams.iter().map(|spec| spec.name.clone()).filter(serves).collect(),
            };
            inner.passes.insert(*number, OpenPass::new(Arc::new(reads)));
        }
        let pending = state.passes.values().flat_map(|pass| pass.streams.values());
        let numbers = pending.filter_map(|progress| progress.pending.keys().next_back());
        let next = numbers.max().map_or(0, |number| number.saturating_add(1));
        Self { streams, inner: Mutex::new(inner), changed: Notify::new(), next: AtomicU64::new(next) }
    }

    pub(super) fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// None: the pass was given up.
    pub(super) fn reads(&self, pass: u64) -> Option<Arc<Reads>> {
        self.lock().passes.get(&pass).map(|pass| pass.reads.clone())
    }

    pub(super) fn passes_of(&self, consumers: &Names) -> Vec<u64> {
        let inner = self.lock();
        let theirs = inner.passes.iter().filter(|(_, pass)| !pass.reads.consumers.is_disjoint(consumers));
        theirs.map(|(number, _)| *number).collect()
    }

    pub(super) fn add(&self, pass: u64, stream: &str, jobs: Vec<(Assignment, Option<String>)>) {
        let mut inner = self.lock();
        let Some(open) = inner.passes.get_mut(&pass) else { return };
        *open.open.entry(stream.to_owned()).or_default() += jobs.len();
        let waiting = inner.waiting.entry(stream.to_owned()).or_default();
        waiting.extend(jobs.into_iter().map(|(assignment, checkpoint)| Job {
            pass,
            stream: stream.to_owned(),
            assignment,
            checkpoint,
            paused: None,
        }));
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Every root of a pass is listed. Says what is complete without having been read at all.
    pub(super) fn listed(&self, pass: u64) -> Ended {
        self.ended(pass, |pass| pass.listed = true)
    }

    /// A partition is done. Says what is complete with it.
    pub(super) fn done(&self, pass: u64, stream: &str) -> Ended {
        self.ended(pass, |pass| {
            if let Some(open) = pass.open.get_mut(stream) {
                *open = open.saturating_sub(1);
            }
        })
    }

    fn ended(&self, number: u64, change: impl FnOnce(&mut OpenPass)) -> Ended {
        let mut inner = self.lock();
        let mut ended = Ended::default();
        if let Some(pass) = inner.passes.get_mut(&number) {
            change(pass);
            ended.streams = pass.newly_complete(&self.streams);
            ended.pass = pass.listed && pass.complete.len() == pass.reads.streams.len();
        }
        drop(inner);
        self.changed.notify_waiters();
        ended
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
                if inner.passes.values().all(OpenPass::is_over) {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Streams stand parents first, so the last one with work is the deepest.
    fn best(&self, inner: &mut Inner) -> Option<Job> {
        let streams: Vec<&str> = self.streams.iter().map(|spec| spec.name.as_str()).collect();
        for stream in streams.into_iter().rev() {
            if inner.waiting.get(stream).is_none_or(VecDeque::is_empty) || self.is_crowded(inner, stream) {
                continue;
            }
            if let Some(job) = inner.waiting.get_mut(stream).and_then(VecDeque::pop_front) {
                return Some(job);
            }
        }
        None
    }

    fn is_crowded(&self, inner: &Inner, stream: &str) -> bool {
        // A connector may hang thousands of streams below one another.
        let mut below = vec![stream];
        while let Some(parent) = below.pop() {
            for child in self.streams.children(parent) {
                if inner.waiting.get(&child.name).is_some_and(|waiting| waiting.len() >= WAITING_CHILDREN) {
                    return true;
                }
                below.push(&child.name);
            }
        }
        false
    }

    /// Whether a reader goes on with its next page now.
    pub(super) fn goes_on(&self, pass: u64, stream: &str) -> Verdict {
        let inner = self.lock();
        if inner.stopped || !inner.passes.contains_key(&pass) {
            Verdict::Stop
        } else if self.is_crowded(&inner, stream) {
            Verdict::Pause
        } else {
            Verdict::GoOn
        }
    }

    /// Puts back what was taken, to be the next of its stream.
    pub(super) fn put_back(&self, job: Job) {
        let mut inner = self.lock();
        if inner.passes.contains_key(&job.pass) {
            inner.waiting.entry(job.stream.clone()).or_default().push_front(job);
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Says whether the pass was not given up before.
    pub(super) fn give_up(&self, pass: u64) -> bool {
        let mut inner = self.lock();
        let was_open = inner.forget(pass).is_some();
        drop(inner);
        self.changed.notify_waiters();
        was_open
    }

    /// Another pass in the place of this one, whose roots are to be listed; none if it was given up before.
    pub(super) fn begin_anew(&self, pass: u64) -> Option<u64> {
        let mut inner = self.lock();
        let given_up = inner.forget(pass)?;
        let number = inner.next_pass;
        inner.next_pass += 1;
        inner.passes.insert(number, OpenPass::new(given_up.reads));
        Some(number)
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

impl Inner {
    fn forget(&mut self, pass: u64) -> Option<OpenPass> {
        for waiting in self.waiting.values_mut() {
            waiting.retain(|job| job.pass != pass);
        }
        self.passes.remove(&pass)
    }
}

impl OpenPass {
    fn new(reads: Arc<Reads>) -> Self {
        Self { reads, listed: false, open: HashMap::new(), complete: HashSet::new() }
    }

    fn is_over(&self) -> bool {
        self.listed && self.open.values().all(|open| *open == 0)
    }

    fn newly_complete(&mut self, streams: &Streams) -> Vec<String> {
        let mut newly = Vec::new();
        if !self.listed {
            return newly;
        }
        for stream in &self.reads.streams {
            let parent = streams.get(stream).and_then(|spec| spec.parent.as_ref());
            let is_over = self.open.get(stream).copied().unwrap_or(0) == 0;
            if is_over
                && parent.is_none_or(|parent| self.complete.contains(parent))
                && self.complete.insert(stream.clone())
            {
                newly.push(stream.clone());
            }
        }
        newly
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    GoOn,
    Pause,
    Stop,
}
