//! Assembly: pages → rows, and what happened to streams → state, both closed together into load packages.
//!
//! This is where "a checkpoint never outruns its rows" is kept: a page's rows and its checkpoint are applied by the same
//! event, and a package closes only between events and only when every partition in it has a checkpoint.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use indexmap::IndexMap;

use crate::config::Settings;
use crate::config::settings::Limits;
use crate::destination;
use crate::error::{Error, ErrorKind, Result};
use crate::extract::{Assignment, Control, Event, StreamActivity, StreamPage};
use crate::failpoint;
use crate::normalize::{ChangeKind, Normalizer, Records};
use crate::package::{LoadPackage, Replacement};
use crate::report::ColumnAdded;
use crate::sandbox::PageRecords;
use crate::schema::{Schema, StreamSpec, WriteDisposition};
use crate::state::{PARTITION_STATES, PendingPartition, RunState, State, StreamProgress};

/// A package closes when it holds this much.
#[derive(Debug, Clone, Copy)]
pub struct PackageSize {
    pub rows: usize,
    pub bytes: usize,
}

impl PackageSize {
    pub fn of(settings: &Settings) -> Self {
        Self { rows: settings.package_rows.max(1), bytes: settings.package_bytes.max(1) }
    }
}

/// Makes one state out of two, by the connector (`combine`).
pub type Combine = Box<dyn FnMut(&str, &str, &str) -> Result<String> + Send>;

/// What came of the streams, for the report.
pub struct Outcome {
    /// Stopped by the user before all was read.
    pub interrupted: bool,
    pub failed: Vec<(String, Error)>,
    /// Streams read to their end.
    pub done: HashSet<String>,
    pub changes: Vec<ColumnAdded>,
    pub new_tables: Vec<String>,
    pub warnings: Vec<String>,
    pub schema: Schema,
}

/// What a run is assembled from, and where it begins.
pub struct Assembly<'a> {
    pub pipeline: String,
    /// Digest of connector and configuration.
    pub fingerprint: String,
    pub streams: &'a [StreamSpec],
    pub normalizer: Normalizer,
    /// As the last load left it.
    pub state: State,
    pub limits: Limits,
    pub size: PackageSize,
    pub control: Control,
    pub activity: Arc<IndexMap<String, StreamActivity>>,
    pub combine: Combine,
}

pub struct Assembler {
    pipeline: String,
    streams: IndexMap<String, StreamSpec>,
    normalizer: Normalizer,
    limits: Limits,
    size: PackageSize,
    control: Control,
    activity: Arc<IndexMap<String, StreamActivity>>,
    combine: Combine,
    /// As of the last closed package.
    closed: State,
    /// With everything applied since.
    state: State,
    load_id: String,
    /// Partitions whose last page has no checkpoint.
    unmarked: HashSet<(String, u64)>,
    /// Streams that collect all their rows beside their tables, with what happened to them in this package.
    whole: HashMap<String, Replacement>,
    failed: Vec<(String, Error)>,
    given_up: HashSet<String>,
    done: HashSet<String>,
    anything_new: bool,
    changes: Vec<ColumnAdded>,
    new_tables: Vec<String>,
    warnings: Vec<String>,
}

impl Assembler {
    pub fn new(assembly: Assembly<'_>) -> Self {
        let Assembly { pipeline, fingerprint, streams, normalizer, state, limits, size, control, activity, combine } =
            assembly;
        let closed = State { version: crate::state::VERSION, ..state };
        let mut working = closed.clone();
        working.run.get_or_insert_with(|| RunState { fingerprint, ..RunState::default() });
        Self {
            pipeline,
            streams: streams.iter().map(|stream| (stream.name.clone(), stream.clone())).collect(),
            normalizer,
            limits,
            size,
            control,
            activity,
            combine,
            closed,
            state: working,
            load_id: load_id(""),
            unmarked: HashSet::new(),
            whole: HashMap::new(),
            failed: Vec::new(),
            given_up: HashSet::new(),
            done: HashSet::new(),
            anything_new: false,
            changes: Vec::new(),
            new_tables: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Applies what happened. Gives a package when one is full.
    pub fn apply(&mut self, event: Event) -> Result<Option<LoadPackage>> {
        match event {
            Event::Listed { stream, partitions } => self.add_pending(&stream, partitions),
            Event::Page(page) if self.given_up.contains(&page.stream) => {}
            Event::Page(page) => {
                let stream = page.stream.clone();
                let added = self.add_page(page);
                self.fail_on_error(&stream, added);
            }
            Event::PartitionDone { stream, .. } | Event::StreamDone { stream } if self.given_up.contains(&stream) => {}
            Event::PartitionDone { stream, number } => {
                let finished = self.finish_partition(&stream, number);
                self.fail_on_error(&stream, finished);
            }
            Event::StreamDone { stream } => {
                let finished = self.finish_stream(&stream);
                self.fail_on_error(&stream, finished);
            }
            Event::Failed { family, stream, error } => self.fail(&family, &stream, error),
        }
        let full = self.normalizer.bytes() >= self.size.bytes || self.normalizer.rows() >= self.size.rows;
        if full && self.unmarked.is_empty() { self.close() } else { Ok(None) }
    }

    /// The last package, if there is anything left to load; and what came of the streams.
    pub fn finish(mut self) -> (Result<Option<LoadPackage>>, Outcome) {
        let stopped = self.control.is_stopped();
        // Rows behind which nothing can be resumed can't be kept without being read again.
        let unmarked: Vec<String> = self.unmarked.iter().map(|(stream, _)| stream.clone()).collect();
        for stream in unmarked {
            let family = self.control.give_up(&stream);
            self.forget(&family);
        }
        if !stopped && let Some(run) = &mut self.state.run {
            run.streams.retain(|stream, _| self.given_up.contains(stream));
            if run.streams.is_empty() {
                self.state.run = None;
            }
        }
        // That partitions are known, and not one of their pages is loaded, is not worth a package.
        let progressed = self.state.run.as_ref().is_some_and(|run| {
            run.streams
                .values()
                .any(|stream| stream.staged || stream.pending.iter().any(|pending| pending.checkpoint.is_some()))
        });
        let changed = self.state.streams != self.closed.streams
            || match &self.state.run {
                Some(_) => progressed && self.state.run != self.closed.run,
                None => self.closed.run.is_some(),
            };
        let package = if self.anything_new || changed { self.close() } else { Ok(None) };
        let outcome = Outcome {
            interrupted: stopped && self.failed.is_empty() && self.done.len() < self.streams.len(),
            failed: self.failed,
            done: self.done,
            changes: self.changes,
            new_tables: self.new_tables,
            warnings: self.warnings,
            schema: self.normalizer.schema().clone(),
        };
        (package, outcome)
    }

    fn add_page(&mut self, page: StreamPage) -> Result<()> {
        let summary = self.normalizer.add(&page.stream, &(&page.records).into(), &self.load_id)?;
        failpoint::hit("assemble.page");
        let activity = &self.activity[&page.stream];
        let so_far = activity.records.fetch_add(summary.records, Ordering::Relaxed) + summary.records;
        if so_far > self.limits.records_per_stream {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("the stream has more than {} records", self.limits.records_per_stream),
            )
            .with_help("raise host.limits.records_per_stream"));
        }
        if page.checkpoint.is_none() && self.normalizer.bytes() > self.limits.bytes_without_checkpoint {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("no checkpoint in {} bytes of rows", self.limits.bytes_without_checkpoint),
            )
            .with_help("rows are held until a checkpoint comes; raise host.limits.bytes_without_checkpoint"));
        }
        if summary.records > 0 && self.is_loaded(&page.stream) {
            self.anything_new = true;
            self.begin_whole(&page.stream);
        }
        let key = (page.stream, page.number);
        match page.checkpoint {
            Some(checkpoint) => {
                self.unmarked.remove(&key);
                if let Some(pending) = self.progress(&key.0).pending.iter_mut().find(|pending| pending.number == key.1)
                {
                    pending.checkpoint = Some(checkpoint);
                }
            }
            None => {
                self.unmarked.insert(key.clone());
            }
        }
        for (child, partitions) in page.children {
            self.add_pending(&child, partitions);
        }
        // With its last page a partition ends: a package between the two would make the next run read it again.
        if page.last { self.finish_partition(&key.0, key.1) } else { Ok(()) }
    }

    fn add_pending(&mut self, stream: &str, partitions: Vec<Assignment>) {
        let progress = self.progress(stream);
        progress.pending.extend(partitions.into_iter().map(|assignment| PendingPartition {
            number: assignment.number,
            id: assignment.partition.id,
            data: assignment.partition.data,
            checkpoint: None,
        }));
    }

    fn finish_partition(&mut self, stream: &str, number: u64) -> Result<()> {
        self.unmarked.remove(&(stream.to_owned(), number));
        let pending = &mut self.progress(stream).pending;
        let Some(at) = pending.iter().position(|pending| pending.number == number) else { return Ok(()) };
        let PendingPartition { id: partition, checkpoint, .. } = pending.remove(at);
        let reached = checkpoint.filter(|checkpoint| !matches!(checkpoint.as_str(), "" | "{}" | "null"));
        let Some(reached) = reached else { return Ok(()) };
        let known = self.state.streams.entry(stream.to_owned()).or_default();
        if known.combined.is_none()
            && (known.partitions.len() < PARTITION_STATES || known.partitions.contains_key(&partition))
        {
            known.partitions.insert(partition, reached);
            return Ok(());
        }
        // Too many to remember one by one: what they reached becomes one state. What this run began with stays as it
        // is until the stream is done, because partitions still to be read begin there.
        let so_far = self.progress(stream).reached.take();
        let reached = match so_far {
            Some(so_far) => (self.combine)(stream, &so_far, &reached)?,
            None => reached,
        };
        self.progress(stream).reached = Some(reached);
        Ok(())
    }

    fn finish_stream(&mut self, stream: &str) -> Result<()> {
        self.done.insert(stream.to_owned());
        if std::mem::replace(&mut self.progress(stream).finished, true) {
            // Before the run was interrupted: ending once more would replace its tables by nothing.
            return Ok(());
        }
        self.begin_whole(stream);
        if let Some(replacement) = self.whole.get_mut(stream) {
            replacement.ends = true;
            self.anything_new = true;
        }
        if let Some(mut all) = self.progress(stream).reached.take() {
            let known = std::mem::take(self.state.streams.entry(stream.to_owned()).or_default());
            for state in known.combined.iter().chain(known.partitions.values()) {
                all = (self.combine)(stream, &all, state)?;
            }
            self.state.streams.entry(stream.to_owned()).or_default().combined = Some(all);
            if known.partitions.len() >= PARTITION_STATES {
                self.warnings.push(format!(
                    "stream `{stream}` has more than {PARTITION_STATES} partitions: they share one cursor from now on"
                ));
            }
        }
        Ok(())
    }

    /// A stream whose rows only make sense together begins, if it has not yet.
    fn begin_whole(&mut self, stream: &str) {
        if !self.is_loaded(stream) || self.whole.contains_key(stream) {
            return;
        }
        let spec = &self.streams[stream];
        let tables = self.normalizer.schema().tables.values();
        let collects = match tables.into_iter().find(|table| table.stream == stream && table.parent.is_none()) {
            Some(root) => destination::needs_whole_stream(root),
            None => spec.write_disposition == WriteDisposition::Replace,
        };
        if collects {
            let begins = !std::mem::replace(&mut self.progress(stream).staged, true);
            self.whole.insert(stream.to_owned(), Replacement { stream: stream.to_owned(), begins, ends: false });
        }
    }

    fn is_loaded(&self, stream: &str) -> bool {
        let spec = &self.streams[stream];
        spec.selected && spec.write_disposition != WriteDisposition::Skip
    }

    fn fail_on_error(&mut self, stream: &str, outcome: Result<()>) {
        if let Err(error) = outcome {
            let family = self.control.give_up(stream);
            self.fail(&family, stream, error.with_context("stream", stream));
        }
    }

    fn fail(&mut self, family: &[String], stream: &str, error: Error) {
        if !family.is_empty() || !self.given_up.contains(stream) {
            self.failed.push((stream.to_owned(), error));
        }
        self.forget(family);
    }

    /// Takes back whatever these streams did since the last package: its rows and its state.
    fn forget(&mut self, family: &[String]) {
        self.normalizer.discard(&family.iter().map(String::as_str).collect::<Vec<_>>());
        for stream in family {
            self.given_up.insert(stream.clone());
            self.unmarked.retain(|(unmarked, _)| unmarked != stream);
            self.whole.remove(stream);
            match self.closed.streams.get(stream) {
                Some(before) => drop(self.state.streams.insert(stream.clone(), before.clone())),
                None => drop(self.state.streams.remove(stream)),
            }
            let before = self.closed.run.as_ref().and_then(|run| run.streams.get(stream)).cloned();
            if let Some(run) = &mut self.state.run {
                match before {
                    Some(before) => drop(run.streams.insert(stream.clone(), before)),
                    None => drop(run.streams.remove(stream)),
                }
            }
        }
    }

    fn close(&mut self) -> Result<Option<LoadPackage>> {
        failpoint::hit("assemble.before_close");
        let normalized = self.normalizer.take()?;
        for change in normalized.changes {
            match change.kind {
                ChangeKind::Table => self.new_tables.push(change.table),
                ChangeKind::Column { column, data_type, .. }
                    // A value that does not fit its column is news in a new table as well.
                    if !self.new_tables.contains(&change.table) || column.contains("__v_") =>
                {
                    self.changes.push(ColumnAdded { table: change.table, column, data_type });
                }
                ChangeKind::Column { .. } | ChangeKind::Collision { .. } => {}
            }
        }
        self.warnings.extend(normalized.warnings);
        let mut schema = self.normalizer.schema().clone();
        schema.name.clone_from(&self.pipeline);
        let next = load_id(&self.load_id);
        let package = LoadPackage {
            pipeline: self.pipeline.clone(),
            load_id: std::mem::replace(&mut self.load_id, next),
            tables: normalized.tables,
            schema,
            state: self.state.clone(),
            replaced: self.whole.drain().map(|(_, replacement)| replacement).collect(),
            taken_back: Vec::new(),
        };
        self.closed = self.state.clone();
        self.anything_new = false;
        failpoint::hit("assemble.after_close");
        Ok(Some(package))
    }

    fn progress(&mut self, stream: &str) -> &mut StreamProgress {
        self.state.run.get_or_insert_default().streams.entry(stream.to_owned()).or_default()
    }
}

/// Unix time with a fraction, as dlt writes it, later than `before`.
fn load_id(before: &str) -> String {
    let mut micros = jiff::Timestamp::now().as_microsecond();
    if let Some((seconds, fraction)) = before.split_once('.')
        && let (Ok(seconds), Ok(fraction)) = (seconds.parse::<i64>(), fraction.parse::<i64>())
    {
        micros = micros.max(seconds * 1_000_000 + fraction + 1);
    }
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

impl<'a> From<&'a PageRecords> for Records<'a> {
    fn from(records: &'a PageRecords) -> Self {
        match records {
            PageRecords::JsonArray(bytes) => Self::JsonArray(bytes),
            PageRecords::JsonLines(bytes) => Self::JsonLines(bytes),
            PageRecords::ArrowIpc(bytes) => Self::ArrowIpc(bytes),
        }
    }
}
