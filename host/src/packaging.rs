//! Packaging: pages → rows, and with the progress that they belong to → load packages.
//!
//! This is where "a checkpoint never outruns its rows" is kept: a page's rows and its checkpoint are applied by the same
//! event, and a package closes only between events and only when every partition in it has a checkpoint.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use indexmap::IndexMap;

use crate::config::Settings;
use crate::config::settings::Limits;
use crate::destination;
use crate::error::{Error, ErrorKind, Result};
use crate::extract::{Control, Event, StreamActivity, StreamPage, What};
use crate::failpoint;
use crate::normalize::{ChangeKind, Normalizing, Records};
use crate::package::{LoadPackage, Replacement};
use crate::progress::Progress;
use crate::report::ColumnAdded;
use crate::sandbox::PageRecords;
use crate::schema::{Schema, StreamSpec, WriteDisposition};

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

/// What came of the streams, for the report.
pub struct Outcome {
    /// Stopped by the user before all was read.
    pub interrupted: bool,
    pub failed: Vec<(String, Error)>,
    /// Streams read to their end.
    pub done: HashSet<String>,
    /// Streams whose rows wait beside their tables.
    pub waiting: HashSet<String>,
    pub changes: Vec<ColumnAdded>,
    pub new_tables: Vec<String>,
    pub warnings: Vec<String>,
    pub schema: Schema,
}

/// What packages are made of.
pub struct Packager {
    pub pipeline: String,
    /// Those that are read, as this run loads them.
    pub streams: IndexMap<String, StreamSpec>,
    pub normalizer: Normalizing,
    pub progress: Progress,
    pub limits: Limits,
    pub size: PackageSize,
    pub control: Control,
    pub activity: Arc<IndexMap<String, StreamActivity>>,
    pub packed: Packed,
}

/// What came together since the last package, and since the beginning.
#[derive(Default)]
pub struct Packed {
    load_id: String,
    /// Streams that collect all their rows beside their tables, with what happened to them in this package.
    whole: HashMap<String, Replacement>,
    /// Streams with rows in this package, by pass.
    touched: BTreeSet<(u64, String)>,
    failed: Vec<(String, Error)>,
    done: HashSet<String>,
    waiting: HashSet<String>,
    changes: Vec<ColumnAdded>,
    new_tables: Vec<String>,
    warnings: Vec<String>,
}

impl Packed {
    pub fn new() -> Self {
        Self { load_id: load_id(""), ..Self::default() }
    }
}

impl Packager {
    /// Applies what happened. Gives a package when one is full.
    pub fn apply(&mut self, event: Event) -> Result<Option<LoadPackage>> {
        let Event { pass, stream, what } = event;
        if !self.progress.is_open(pass) {
            return Ok(None);
        }
        let applied = match what {
            What::Listed(partitions) => self.progress.listed(pass, &stream, partitions),
            What::Page(page) => self.add_page(pass, &stream, page),
            What::PartitionDone { number } => self.progress.partition_done(pass, &stream, number),
            What::PartitionAnew { number } => {
                self.warn_of_change(&stream);
                self.progress.partition_anew(pass, &stream, number);
                Ok(())
            }
            What::StreamDone => {
                self.packed.done.insert(stream.clone());
                Ok(())
            }
            What::PassDone => {
                self.finish_pass(pass);
                Ok(())
            }
            What::Anew { pass: anew } => {
                self.warn_of_change(&stream);
                self.forget_rows(pass);
                self.progress.anew(pass, anew);
                Ok(())
            }
            What::Failed(error) => Err(error),
        };
        if let Err(error) = applied {
            self.fail(pass, &stream, error);
        }
        let full = self.normalizer.bytes() >= self.size.bytes || self.normalizer.rows() >= self.size.rows;
        if full && self.progress.unmarked().is_empty() { self.close() } else { Ok(None) }
    }

    /// The last package, if there is anything left to load; and what came of the streams.
    pub fn finish(mut self) -> (Result<Option<LoadPackage>>, Outcome) {
        // Rows behind which nothing can be resumed can't be kept without being read again.
        for pass in self.progress.unmarked() {
            self.forget(pass);
        }
        let interrupted = self.control.is_stopped() && self.packed.failed.is_empty() && self.progress.has_open();
        let changed = self.progress.settle();
        let something = changed || !self.packed.touched.is_empty();
        let package = if something { self.close() } else { Ok(None) };
        self.packed.warnings.extend(self.progress.warnings());
        let packed = self.packed;
        let outcome = Outcome {
            interrupted,
            failed: packed.failed,
            done: packed.done,
            waiting: packed.waiting,
            changes: packed.changes,
            new_tables: packed.new_tables,
            warnings: packed.warnings,
            schema: self.normalizer.schema().clone(),
        };
        (package, outcome)
    }

    fn add_page(&mut self, pass: u64, stream: &str, page: StreamPage) -> Result<()> {
        let records = Records::from(&page.records);
        let count = match page.wanted {
            true => self.normalizer.add(stream, &records, &self.packed.load_id)?.records,
            false => self.normalizer.count(stream, &records)?,
        };
        failpoint::hit("packaging.page");
        let activity = &self.activity[stream];
        let so_far = activity.records.fetch_add(count, Ordering::Relaxed) + count;
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
        if count > 0 && page.wanted && self.is_loaded(stream) {
            self.packed.touched.insert((pass, stream.to_owned()));
            self.begin_whole(pass, stream);
        }
        self.progress.page(pass, stream, page.number, page.checkpoint)?;
        for (child, partitions) in page.children {
            self.progress.add(pass, &child, partitions)?;
        }
        // With its last page a partition ends: a package between the two would make the next run read it again.
        if page.last { self.progress.partition_done(pass, stream, page.number) } else { Ok(()) }
    }

    /// Nothing is left of a pass: what its streams collected takes effect with the package that says so.
    fn finish_pass(&mut self, pass: u64) {
        let consumers = self.progress.pass(pass).map(|pass| pass.consumers.clone()).unwrap_or_default();
        for stream in &consumers {
            self.begin_whole(pass, stream);
            if let Some(replacement) = self.packed.whole.get_mut(stream) {
                replacement.ends = true;
                self.packed.waiting.remove(stream);
                self.packed.touched.insert((pass, stream.clone()));
            }
        }
        self.progress.finish(pass);
    }

    /// A stream whose rows only make sense together begins, if it has not yet.
    fn begin_whole(&mut self, pass: u64, stream: &str) {
        if !self.is_loaded(stream) || self.packed.whole.contains_key(stream) {
            return;
        }
        let tables = self.normalizer.schema().tables.values();
        let collects = match tables.into_iter().find(|table| table.stream == stream && table.parent.is_none()) {
            Some(root) => destination::needs_whole_stream(root),
            None => self.streams[stream].write_disposition == WriteDisposition::Replace,
        };
        if collects {
            let begins = self.progress.stage(pass, stream);
            self.packed.waiting.insert(stream.to_owned());
            let replacement = Replacement { stream: stream.to_owned(), begins, ends: false };
            self.packed.whole.insert(stream.to_owned(), replacement);
        }
    }

    fn is_loaded(&self, stream: &str) -> bool {
        self.streams.get(stream).is_some_and(|spec| spec.selected && spec.write_disposition != WriteDisposition::Skip)
    }

    fn warn_of_change(&mut self, stream: &str) {
        let warning = format!(
            "stream `{stream}`: the list that was being read has changed since the last run stopped: it is read from its beginning"
        );
        if !self.packed.warnings.contains(&warning) {
            self.packed.warnings.push(warning);
        }
    }

    fn fail(&mut self, pass: u64, stream: &str, error: Error) {
        self.packed.failed.push((stream.to_owned(), error.with_context("stream", stream)));
        self.control.give_up(pass);
        self.forget(pass);
    }

    /// Takes back whatever a pass did since the last package: its rows and its progress.
    fn forget(&mut self, pass: u64) {
        self.forget_rows(pass);
        self.progress.give_up(pass);
    }

    fn forget_rows(&mut self, pass: u64) {
        let consumers = self.progress.pass(pass).map(|pass| pass.consumers.clone()).unwrap_or_default();
        self.normalizer.discard(&consumers.iter().map(String::as_str).collect::<Vec<_>>());
        self.packed.touched.retain(|(of, _)| *of != pass);
        for stream in &consumers {
            self.packed.whole.remove(stream);
        }
    }

    fn close(&mut self) -> Result<Option<LoadPackage>> {
        failpoint::hit("packaging.before_close");
        let normalized = self.normalizer.take()?;
        for change in normalized.changes {
            match change.kind {
                ChangeKind::Table => self.packed.new_tables.push(change.table),
                ChangeKind::Column { column, data_type, .. }
                    // A value that does not fit its column is news in a new table as well.
                    if !self.packed.new_tables.contains(&change.table) || column.contains("__v_") =>
                {
                    self.packed.changes.push(ColumnAdded { table: change.table, column, data_type });
                }
                ChangeKind::Column { .. } | ChangeKind::Collision { .. } => {}
            }
        }
        self.packed.warnings.extend(normalized.warnings);
        let mut schema = self.normalizer.schema().clone();
        schema.name.clone_from(&self.pipeline);
        let next = load_id(&self.packed.load_id);
        let load_id = std::mem::replace(&mut self.packed.load_id, next);
        for (pass, stream) in std::mem::take(&mut self.packed.touched) {
            if self.streams.get(&stream).is_some_and(StreamSpec::appends) {
                self.progress.appended(pass, &stream, &load_id);
            }
        }
        let (state, taken_back) = self.progress.close();
        let package = LoadPackage {
            pipeline: self.pipeline.clone(),
            load_id,
            tables: normalized.tables,
            schema,
            state,
            replaced: self.packed.whole.drain().map(|(_, replacement)| replacement).collect(),
            taken_back,
        };
        failpoint::hit("packaging.after_close");
        Ok(Some(package))
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
