//! The spine: state → extract → normalize → load → report.
//!
//! Extraction runs on async workers, normalizing and loading each on a thread of its own; bounded channels join them, so
//! that memory is bounded by what is in flight.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use crate::assemble::{Assembler, Assembly, Outcome, PackageSize};
use crate::config::settings::Limits;
use crate::destination::{self, Destination};
use crate::error::{Error, ErrorKind, Result};
use crate::extract::{Control, Event, Extraction, Source, StreamActivity};
use crate::lock::RunLock;
use crate::normalize::{Normalizer, Options};
use crate::package::{LoadPackage, LoadReceipt};
use crate::report::{Report, StreamReport, TableReport};
use crate::schema::{StreamSpec, WriteDisposition};

/// Pages between extraction and normalizing.
const PAGES_IN_FLIGHT: usize = 4;
/// How often a load is tried again when the destination can't be reached.
const LOAD_RETRIES: u32 = 5;

/// A run about to begin: everything is open and checked.
pub struct Pipeline {
    pub name: String,
    pub dataset: String,
    /// For the report: the destination's URL without a password.
    pub destination_name: String,
    pub destination: Box<dyn Destination>,
    pub source: Source,
    /// Those to be read, parents before children.
    pub streams: Vec<StreamSpec>,
    /// Digest of connector and configuration.
    pub fingerprint: String,
    pub limits: Limits,
    pub package_size: PackageSize,
    pub concurrency: usize,
    /// Forgets what earlier runs remembered, and replaces the tables.
    pub full_refresh: bool,
    /// Keeps other runs of the pipeline away until this one is dropped.
    pub lock: RunLock,
}

/// The runtimes of a run: guests compute on one, the network is waited for on the other.
pub struct Runtimes {
    pub guests: Runtime,
    pub io: Runtime,
}

impl Runtimes {
    pub fn new() -> Result<Self> {
        let failed = |source: std::io::Error| Error::new(ErrorKind::Internal, "no runtime").with_source(source);
        let cores = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
        Ok(Self {
            guests: Builder::new_multi_thread()
                .worker_threads(cores)
                .thread_name("guests")
                .enable_all()
                .build()
                .map_err(failed)?,
            io: Builder::new_multi_thread().worker_threads(2).thread_name("io").enable_all().build().map_err(failed)?,
        })
    }
}

/// What a run shows while it is under way.
pub struct UnderWay {
    pub control: Control,
    pub activity: Arc<IndexMap<String, StreamActivity>>,
}

impl Pipeline {
    /// Runs to the end. What fails is in the report. `begun` is called once, when reading begins.
    pub fn run(mut self, runtimes: &Runtimes, begun: impl FnOnce(UnderWay)) -> Report {
        let started = Instant::now();
        let mut report = Report {
            pipeline: self.name.clone(),
            destination: self.destination_name.clone(),
            dataset: self.dataset.clone(),
            ..Report::default()
        };
        if let Err(error) = self.try_run(runtimes, begun, &mut report) {
            report.failure = Some(error);
        }
        report.duration = started.elapsed();
        report
    }

    fn try_run(&mut self, runtimes: &Runtimes, begun: impl FnOnce(UnderWay), report: &mut Report) -> Result<()> {
        let mut stored = self.destination.read(&self.name)?;
        if self.full_refresh {
            stored.state = crate::state::State::default();
            for stream in &mut self.streams {
                if stream.write_disposition != WriteDisposition::Skip {
                    stream.write_disposition = WriteDisposition::Replace;
                }
            }
        }
        if stored.state.forget_foreign_run(&self.fingerprint) {
            report.warnings.push(
                "the last run was not finished, and the connector or the configuration has changed since: it begins anew".to_owned(),
            );
        }
        report.resumed = stored.state.run.is_some();
        let options = Options {
            max_identifier_length: self.destination.capabilities().max_identifier_length,
            max_columns_per_table: self.limits.columns_per_table,
            max_tables_per_stream: self.limits.tables_per_stream,
            ..Options::default()
        };
        let normalizer = Normalizer::new(stored.schema, &self.streams, options)?;
        let extraction = Extraction::new(self.source.clone(), self.streams.clone(), stored.state.clone());
        let (control, activity) = (extraction.control(), extraction.activity.clone());
        let combine = combiner(&self.source, runtimes);
        let assembler = Assembler::new(Assembly {
            pipeline: self.name.clone(),
            fingerprint: self.fingerprint.clone(),
            streams: &self.streams,
            normalizer,
            state: stored.state,
            limits: self.limits.clone(),
            size: self.package_size,
            control: control.clone(),
            activity: activity.clone(),
            combine,
        });
        begun(UnderWay { control: control.clone(), activity: activity.clone() });

        let (event_sender, events) = mpsc::channel(PAGES_IN_FLIGHT);
        // Without room: one package is loaded while the next one comes together, and no third one waits.
        let (package_sender, packages) = sync_channel(0);
        let (destination, concurrency) = (&mut self.destination, self.concurrency);
        let (assembled, loaded, extracted) = std::thread::scope(|scope| {
            let loader = scope.spawn({
                let control = control.clone();
                move || load(destination.as_mut(), &packages, &control)
            });
            let assembly = scope.spawn({
                let control = control.clone();
                move || assemble(assembler, events, &package_sender, &control)
            });
            let extracted = runtimes.guests.block_on(extraction.run(concurrency, event_sender));
            (joined(assembly), joined(loader), extracted)
        });

        let (receipts, load_error) = loaded?;
        let (mut outcome, assemble_error) = assembled?;
        report.load_ids = receipts.iter().map(|(load_id, _)| load_id.clone()).collect();
        report.tables = table_reports(&receipts, &outcome);
        report.streams =
            self.streams.iter().map(|stream| stream_report(stream, &activity[&stream.name], &mut outcome)).collect();
        report.interrupted = outcome.interrupted;
        report.changes = outcome.changes;
        report.warnings.append(&mut outcome.warnings);
        report.warnings.extend(self.source.remarks.take_warnings());
        report.warnings.dedup();
        report.diagnostics = self.source.remarks.diagnostics();
        match load_error.or(assemble_error) {
            Some(error) => Err(error),
            None => extracted,
        }
    }
}

/// Events → packages, until there are no more. An error here is one of the host's own.
fn assemble(
    mut assembler: Assembler,
    mut events: mpsc::Receiver<Event>,
    packages: &SyncSender<LoadPackage>,
    control: &Control,
) -> (Outcome, Option<Error>) {
    let mut failure = None;
    while let Some(event) = events.blocking_recv() {
        if failure.is_some() {
            continue;
        }
        match assembler.apply(event) {
            Ok(Some(package)) => {
                if packages.send(package).is_err() {
                    control.stop();
                }
            }
            Ok(None) => {}
            Err(error) => {
                control.stop();
                failure = Some(error);
            }
        }
    }
    let (last, outcome) = assembler.finish();
    // After a failure the state at hand may be behind its rows.
    if failure.is_none() {
        match last {
            Ok(Some(package)) => drop(packages.send(package)),
            Ok(None) => {}
            Err(error) => failure = Some(error),
        }
    }
    (outcome, failure)
}

type Receipts = Vec<(String, LoadReceipt)>;

/// Loads packages in order. After a failure nothing more is loaded, for a later package stands on the earlier ones.
fn load(
    destination: &mut dyn Destination,
    packages: &Receiver<LoadPackage>,
    control: &Control,
) -> (Receipts, Option<Error>) {
    let mut receipts = Vec::new();
    for package in packages {
        let mut attempt = 0;
        let outcome = loop {
            match destination.load(&package) {
                Err(error) if error.kind() == ErrorKind::Unavailable && attempt < LOAD_RETRIES => {
                    tracing::warn!(%error, "the destination can't be reached: trying again");
                    std::thread::sleep(Duration::from_millis(500 << attempt));
                    attempt += 1;
                }
                outcome => break outcome,
            }
        };
        match outcome {
            Ok(receipt) => receipts.push((package.load_id, receipt)),
            Err(error) => {
                control.stop();
                return (receipts, Some(error));
            }
        }
    }
    (receipts, None)
}

/// The connector's `combine`, called from the assembling thread, in an instance of its own made at its first use.
fn combiner(source: &Source, runtimes: &Runtimes) -> crate::assemble::Combine {
    let source = source.clone();
    let guests = runtimes.guests.handle().clone();
    let mut instance = None;
    Box::new(move |stream, left, right| {
        guests.block_on(async {
            let alive = match &mut instance {
                Some(instance) => instance,
                None => instance.insert(source.instance(Arc::default()).await?),
            };
            let combined = alive.combine(stream, left, right).await;
            if combined.is_err() {
                instance = None;
            }
            combined
        })
    })
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> Result<T> {
    thread.join().map_err(|_| Error::new(ErrorKind::Internal, "a thread of the run broke down"))
}

fn stream_report(stream: &StreamSpec, activity: &StreamActivity, outcome: &mut Outcome) -> StreamReport {
    let failed = outcome.failed.iter().position(|(name, _)| *name == stream.name);
    let error = failed.map(|at| outcome.failed.swap_remove(at).1);
    StreamReport {
        name: stream.name.clone(),
        pages: activity.pages.load(Ordering::Relaxed),
        records: activity.records.load(Ordering::Relaxed),
        requests: activity.traffic.requests.load(Ordering::Relaxed),
        retries: activity.traffic.retries.load(Ordering::Relaxed),
        bytes: activity.traffic.bytes.load(Ordering::Relaxed),
        masked: activity.traffic.masked.load(Ordering::Relaxed),
        loaded: stream.selected && stream.write_disposition != WriteDisposition::Skip,
        unfinished: error.is_none() && !outcome.done.contains(&stream.name),
        error,
    }
}

fn table_reports(receipts: &Receipts, outcome: &Outcome) -> Vec<TableReport> {
    let mut tables: IndexMap<&String, u64> = IndexMap::new();
    for (table, rows) in receipts.iter().flat_map(|(_, receipt)| &receipt.rows) {
        *tables.entry(table).or_default() += rows;
    }
    let known = &outcome.schema.tables;
    let report = |(name, rows): (&String, u64)| TableReport {
        name: name.clone(),
        rows,
        write_disposition: known.get(name).map_or(WriteDisposition::Append, |table| table.write_disposition),
        is_new: outcome.new_tables.contains(name),
        waits: waits(name, outcome),
    };
    tables.into_iter().map(report).collect()
}

/// Whether a table's rows are to take effect with the end of a stream that has not come to its end.
fn waits(table: &str, outcome: &Outcome) -> bool {
    let tables = &outcome.schema.tables;
    let root = tables.get(outcome.schema.root_of(table));
    root.is_some_and(|root| destination::needs_whole_stream(root) && !outcome.done.contains(&root.stream))
}
