//! Progress: what happens to passes → state.
//!
//! It knows nothing of rows, so that the same progress serves whatever becomes of them: a destination, a protocol on
//! standard output, a worker's staging. Whoever keeps the rows asks it when a package may close, and for the state to
//! store with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, ErrorKind, Result};
use crate::extract::Assignment;
use crate::mode::{self, Beginning};
use crate::package::TakenBack;
use crate::state::{Names, Pass, PendingPartition, State, StreamProgress};
use crate::streams::Streams;

pub struct Progress {
    streams: Streams,
    /// As of the last closed package.
    closed: State,
    /// With everything applied since.
    state: State,
    /// The passes of this run that are under way.
    open: BTreeSet<u64>,
    /// Passes that begin in the place of others, until their first page is there: before that, nothing is taken back.
    replaced: BTreeMap<u64, Vec<(u64, Pass)>>,
    /// What has to go with the next package.
    taken_back: Vec<TakenBack>,
    /// Partitions, by pass and number, whose last page has no checkpoint.
    unmarked: BTreeSet<(u64, u64)>,
    /// How many partitions of a stream are remembered one by one.
    most_positions: usize,
    size: StateSize,
    /// Streams with more.
    forgetful: Names,
}

impl Progress {
    pub fn new(streams: Streams, beginning: &Beginning, most_positions: usize, most_bytes: usize) -> Self {
        Self {
            streams,
            closed: beginning.stored(),
            state: beginning.state.clone(),
            open: beginning.passes.iter().copied().collect(),
            replaced: beginning.replaced.clone(),
            taken_back: Vec::new(),
            unmarked: BTreeSet::new(),
            most_positions,
            size: StateSize { most: most_bytes, measured: 0, added: most_bytes },
            forgetful: Names::new(),
        }
    }

    /// Whether a pass of this run is under way; if not, what still comes of it no longer counts.
    pub fn is_open(&self, pass: u64) -> bool {
        self.open.contains(&pass)
    }

    pub fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whose rows a pass reads, and whether they replace those in the tables.
    pub fn pass(&self, pass: u64) -> Option<&Pass> {
        self.state.passes.get(&pass)
    }

    /// The partitions of a root stream are known.
    pub fn listed(&mut self, pass: u64, stream: &str, partitions: Vec<Assignment>) -> Result<()> {
        self.stream(pass, stream).listed = true;
        self.add(pass, stream, partitions)
    }

    /// Partitions to be read.
    ///
    /// Errors: too much is to be remembered (`LimitExceeded`).
    pub fn add(&mut self, pass: u64, stream: &str, partitions: Vec<Assignment>) -> Result<()> {
        let partition = |assignment: &Assignment| assignment.partition.id.len() + assignment.partition.data.len();
        let bytes = partitions.iter().map(partition).sum();
        let pending = &mut self.stream(pass, stream).pending;
        pending.extend(partitions.into_iter().map(|Assignment { number, partition, consumers }| {
            (number, PendingPartition { id: partition.id, data: partition.data, consumers, checkpoint: None })
        }));
        self.size.add(bytes, &self.state)
    }

    /// A page was taken in.
    ///
    /// Errors: too much is to be remembered (`LimitExceeded`).
    pub fn page(&mut self, pass: u64, stream: &str, number: u64, checkpoint: Option<String>) -> Result<()> {
        let bytes = checkpoint.as_ref().map_or(0, String::len);
        self.take_back(pass);
        match checkpoint {
            Some(checkpoint) => {
                self.unmarked.remove(&(pass, number));
                if let Some(pending) = self.stream(pass, stream).pending.get_mut(&number) {
                    pending.checkpoint = Some(checkpoint);
                }
            }
            None => drop(self.unmarked.insert((pass, number))),
        }
        self.size.add(bytes, &self.state)
    }

    /// Nothing is left of a partition: its last checkpoint is what it reached.
    ///
    /// Errors: it can't be remembered, and what it appended would be appended again (`LimitExceeded`).
    pub fn partition_done(&mut self, pass: u64, stream: &str, number: u64) -> Result<()> {
        self.unmarked.remove(&(pass, number));
        let most = self.most_positions;
        let progress = self.stream(pass, stream);
        let Some(done) = progress.pending.remove(&number) else { return Ok(()) };
        let reached = done.checkpoint.filter(|checkpoint| !matches!(checkpoint.as_str(), "" | "{}" | "null"));
        let Some(reached) = reached else { return Ok(()) };
        let position = progress.reached.entry(&done.consumers);
        if position.partitions.len() < most || position.partitions.contains_key(&done.id) {
            position.partitions.insert(done.id, reached);
            return Ok(());
        }
        let appends = |consumer: &&String| self.streams.get(consumer).is_some_and(|spec| spec.appends());
        if let Some(consumer) = done.consumers.iter().find(appends) {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("more than {most} partitions have a cursor of their own, and `{consumer}` is appended to"),
            )
            .with_help("raise host.limits.partition_states, or merge by a primary key"));
        }
        self.forgetful.insert(stream.to_owned());
        Ok(())
    }

    /// A partition is read from its beginning again.
    pub fn partition_anew(&mut self, pass: u64, stream: &str, number: u64) {
        self.unmarked.remove(&(pass, number));
        if let Some(pending) = self.stream(pass, stream).pending.get_mut(&number) {
            pending.checkpoint = None;
        }
    }

    /// The rows of a stream stand beside its tables from now on. Says whether they are the first.
    pub fn stage(&mut self, pass: u64, stream: &str) -> bool {
        !std::mem::replace(&mut self.stream(pass, stream).staged, true)
    }

    /// A package has rows that a stream appended.
    pub fn appended(&mut self, pass: u64, stream: &str, load_id: &str) {
        if let Some(pass) = self.state.passes.get_mut(&pass) {
            pass.appended.entry(stream.to_owned()).or_default().push(load_id.to_owned());
        }
    }

    /// Nothing is left of a pass: what it reached counts from now on.
    pub fn finish(&mut self, pass: u64) {
        self.take_back(pass);
        self.open.remove(&pass);
        if let Some(pass) = self.state.passes.remove(&pass) {
            self.state.finish(pass);
        }
    }

    /// Another pass begins in the place of this one.
    pub fn anew(&mut self, pass: u64, anew: u64) {
        self.close_off(pass);
        self.open.insert(anew);
        let Some(given_up) = self.state.passes.remove(&pass) else { return };
        let begun = Pass {
            fingerprint: given_up.fingerprint.clone(),
            consumers: given_up.consumers.clone(),
            full_refresh: given_up.full_refresh,
            ..Pass::default()
        };
        self.state.passes.insert(anew, begun);
        let before = self.closed.passes.get(&pass).cloned();
        self.replaced.insert(anew, before.map(|before| (pass, before)).into_iter().collect());
    }

    /// A pass stands on its own: what it replaces has to go.
    fn take_back(&mut self, pass: u64) {
        let replaced = self.replaced.remove(&pass).unwrap_or_default();
        self.taken_back.extend(replaced.into_iter().flat_map(|(_, pass)| mode::take_back(pass)));
    }

    /// Forgets what a pass did since the last package; the next run goes on there.
    pub fn give_up(&mut self, pass: u64) {
        self.close_off(pass);
        self.state.passes.remove(&pass);
        let replaced = self.replaced.remove(&pass).unwrap_or_default();
        let before = self.closed.passes.get(&pass).map(|before| (pass, before.clone()));
        self.state.passes.extend(replaced.into_iter().chain(before));
    }

    fn close_off(&mut self, pass: u64) {
        self.open.remove(&pass);
        self.unmarked.retain(|(of, _)| *of != pass);
    }

    /// The passes with pages behind which nothing can be resumed: a package can't close now.
    pub fn unmarked(&self) -> BTreeSet<u64> {
        self.unmarked.iter().map(|(pass, _)| *pass).collect()
    }

    /// Drops passes of which nothing is worth a package: that partitions are known, and not one of their pages is loaded.
    /// Then says whether anything is left that the stored state does not have.
    pub fn settle(&mut self) -> bool {
        let never_begun: Vec<u64> = self.replaced.keys().copied().collect();
        never_begun.into_iter().for_each(|pass| self.give_up(pass));
        self.state.passes.retain(|_, pass| pass.has_progress());
        self.state != self.closed || !self.taken_back.is_empty()
    }

    /// A package closes: the state to store with it, and what has to be taken back.
    pub fn close(&mut self) -> (State, Vec<TakenBack>) {
        self.closed = self.state.clone();
        // Until something stands in their place, passes that are replaced are what is stored.
        for (pass, replaced) in self.replaced.iter().filter(|(_, replaced)| !replaced.is_empty()) {
            self.closed.passes.remove(pass);
            self.closed.passes.extend(replaced.iter().cloned());
        }
        (self.closed.clone(), std::mem::take(&mut self.taken_back))
    }

    /// What people should know.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let most = self.most_positions;
        self.forgetful.iter().map(move |stream| {
            format!("stream `{stream}` has more than {most} partitions with a cursor: the next run reads the others from the beginning (host.limits.partition_states)")
        })
    }

    fn stream(&mut self, pass: u64, stream: &str) -> &mut StreamProgress {
        self.state.passes.entry(pass).or_default().streams.entry(stream.to_owned()).or_default()
    }
}

/// How large the state is: measured when what was added since could have made it too large.
struct StateSize {
    most: usize,
    measured: usize,
    added: usize,
}

impl StateSize {
    fn add(&mut self, bytes: usize, state: &State) -> Result<()> {
        self.added = self.added.saturating_add(bytes);
        if self.measured.saturating_add(self.added) <= self.most {
            return Ok(());
        }
        (self.measured, self.added) = (state.bytes(), 0);
        if self.measured <= self.most {
            return Ok(());
        }
        let message = format!("checkpoints and partitions to remember are larger than {} bytes", self.most);
        Err(Error::new(ErrorKind::LimitExceeded, message).with_help("raise host.limits.state_bytes"))
    }
}
