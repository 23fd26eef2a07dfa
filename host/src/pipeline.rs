//! The spine: state → extract → normalize → load → report.
//!
//! Extraction runs on async workers, normalizing and loading each on a thread of its own; bounded channels join them, so
//! that memory is bounded by what is in flight.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use tokio::sync::mpsc;

use crate::config::settings::Limits;
use crate::destination::{self, Destination};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Events, RunEvent};
use crate::extract::{Control, Event, Extraction, Source, StreamActivity};
use crate::host::Host;
use crate::isolation::Program;
use crate::lock::RunLock;
use crate::mode::{Beginning, RunMode};
use crate::normalize::{Normalizing, Options};
use crate::package::{LoadPackage, LoadReceipt};
use crate::packaging::{Outcome, PackageSize, Packager, Packed};
use crate::progress::Progress;
use crate::refused::Refused;
use crate::report::{Report, StreamReport, TableReport};
use crate::schema::{Convention, StreamSpec, WriteDisposition};
use crate::streams::Streams;

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
    /// All of the connection.
    pub streams: Streams,
    pub mode: RunMode,
    /// Digest of connector and configuration.
    pub fingerprint: String,
    pub limits: Limits,
    /// How keys become names.
    pub naming: Convention,
    pub package_size: PackageSize,
    pub concurrency: usize,
    /// With a program: pages are looked at in a child process of it.
    pub isolation: Option<Program>,
    /// Keeps other runs of the pipeline away until this one is dropped.
    pub lock: RunLock,
}

/// What a run shows while it is under way.
pub struct UnderWay {
    pub control: Control,
    pub activity: Arc<Activity>,
}

/// What each stream did so far.
pub type Activity = IndexMap<String, StreamActivity>;

impl Pipeline {
    /// Runs to the end, on a thread that belongs to no async runtime. What fails is in the report. `begun` is called once, when
    /// reading begins.
    pub fn run(mut self, host: &Host, events: &Events, begun: impl FnOnce(UnderWay)) -> Report {
        let _span = tracing::info_span!("pipeline", name = self.name).entered();
        let started = Instant::now();
        let mut report = Report {
            pipeline: self.name.clone(),
            destination: self.destination_name.clone(),
            dataset: self.dataset.clone(),
            ..Report::default()
        };
        if let Err(error) = self.try_run(host, events, begun, &mut report) {
            report.failure = Some(error);
        }
        report.duration = started.elapsed();
        report
    }

    fn try_run(
        &mut self,
        host: &Host,
        events: &Events,
        begun: impl FnOnce(UnderWay),
        report: &mut Report,
    ) -> Result<()> {
        let stored = self.destination.read(&self.name)?;
        let beginning = self.mode.begin(stored.state, &self.streams, &self.fingerprint);
        report.resumed = beginning.resumed;
        if !beginning.changed.is_empty() {
            let streams = beginning.changed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            report.warnings.push(format!(
                "an earlier run was not finished, and the connector or the configuration has changed since: {streams} begin anew"
            ));
        }
        let capabilities = self.destination.capabilities();
        let options = Options {
            naming: self.naming,
            max_identifier_length: capabilities.max_identifier_length,
            reserved_columns: capabilities.reserved_columns,
            reserved_tables: capabilities.reserved_tables,
            max_columns_per_table: self.limits.columns_per_table,
            destination_columns: capabilities.max_columns,
            limits_text: capabilities.limits_text,
            max_tables_per_stream: self.limits.tables_per_stream,
            max_decoded_bytes: self.limits.decoded_bytes,
            other_streams: self.streams.iter().map(|stream| stream.name.clone()).collect(),
            ..Options::default()
        };
        let extraction = Extraction::new(self.source.clone(), &self.streams, &beginning, events.clone());
        let (control, activity) = (extraction.control(), extraction.activity.clone());
        let streams: Vec<StreamSpec> =
            activity.keys().filter_map(|name| loaded(name, &self.streams, &beginning)).collect();
        let refused = Refused::new(&beginning, control.clone(), stored.schema.clone());
        let packager = Packager {
            pipeline: self.name.clone(),
            normalizer: Normalizing::new(self.isolation.as_ref(), stored.schema, &streams, options, &self.limits)?,
            progress: Progress::new(
                self.streams.clone(),
                &beginning,
                self.limits.partition_states,
                self.limits.state_bytes,
            ),
            streams: streams.iter().map(|spec| (spec.name.clone(), spec.clone())).collect(),
            limits: self.limits.clone(),
            size: self.package_size,
            control: control.clone(),
            activity: activity.clone(),
            packed: Packed::new(),
        };
        begun(UnderWay { control: control.clone(), activity: activity.clone() });

        let ends_at = self.limits.run_secs.map(|secs| {
            let control = control.clone();
            host.io().spawn(async move {
                tokio::time::sleep(Duration::from_secs_f64(secs)).await;
                control.stop();
            })
        });
        let (page_sender, pages) = mpsc::channel(PAGES_IN_FLIGHT);
        // Without room: one package is loaded while the next one comes together, and no third one waits.
        let (package_sender, packages) = sync_channel(0);
        let (destination, concurrency) = (&mut self.destination, self.concurrency);
        let (assembled, loaded, extracted) = std::thread::scope(|scope| {
            let loader = scope.spawn({
                let (control, span) = (control.clone(), tracing::Span::current());
                move || span.in_scope(|| load(destination.as_mut(), &packages, refused, &control, events))
            });
            let assembly = scope.spawn({
                let (control, span) = (control.clone(), tracing::Span::current());
                move || span.in_scope(|| pack(packager, pages, &package_sender, &control))
            });
            let extracted = host.block_on(extraction.run(concurrency, page_sender));
            (joined(assembly), joined(loader), extracted)
        });

        let is_out_of_time = ends_at.is_some_and(|timer| {
            timer.abort();
            timer.is_finished()
        });
        let (receipts, refused, load_error) = loaded?;
        let (mut outcome, assemble_error) = assembled?;
        let (given_up, failed) = refused.into_parts();
        outcome.done.retain(|stream| !given_up.contains(stream));
        outcome.failed.extend(failed);
        report.load_ids = receipts.iter().map(|(load_id, _)| load_id.clone()).collect();
        report.tables = table_reports(&receipts, &outcome);
        report.streams =
            streams.iter().map(|stream| stream_report(stream, &activity[&stream.name], &mut outcome)).collect();
        report.interrupted = outcome.interrupted;
        if is_out_of_time && report.interrupted {
            report.warnings.push("stopped because of host.limits.run_secs: the next run goes on from here".to_owned());
        }
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
fn pack(
    mut packager: Packager,
    mut events: mpsc::Receiver<Event>,
    packages: &SyncSender<LoadPackage>,
    control: &Control,
) -> (Outcome, Option<Error>) {
    let mut failure = None;
    while let Some(event) = events.blocking_recv() {
        if failure.is_some() {
            continue;
        }
        match packager.apply(event) {
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
    let (last, outcome) = packager.finish();
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

/// Loads packages in order. After a failure nothing more is loaded, for a later package stands on the earlier ones; but
/// where a destination refuses one table, the others go on without its family.
fn load(
    destination: &mut dyn Destination,
    packages: &Receiver<LoadPackage>,
    mut refused: Refused,
    control: &Control,
    events: &Events,
) -> (Receipts, Refused, Option<Error>) {
    let mut receipts = Vec::new();
    for mut package in packages {
        let mut attempt = 0;
        let outcome = loop {
            if !refused.strip(&mut package) {
                break Ok(None);
            }
            match destination.load(&package).map(Some) {
                Err(error) if destination::refused_table(&error).is_some() => {
                    if let Err(error) = refused.give_up(error, &package) {
                        break Err(error);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Unavailable && attempt < LOAD_RETRIES => {
                    tracing::warn!(%error, "the destination can't be reached: trying again");
                    std::thread::sleep(Duration::from_millis(500 << attempt));
                    attempt += 1;
                }
                outcome => break outcome,
            }
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(receipt)) => {
                refused.loaded(&package);
                let rows = receipt.rows.iter().map(|(_, rows)| rows).sum();
                events.tell(|| RunEvent::Loaded { load_id: package.load_id.clone(), rows });
                receipts.push((package.load_id, receipt));
            }
            Err(error) => {
                control.stop();
                return (receipts, refused, Some(error));
            }
        }
    }
    (receipts, refused, None)
}

/// A stream as this run loads it: for its own rows or only for its children, and, if it is refreshed, in the place of what
/// is there.
fn loaded(name: &str, streams: &Streams, beginning: &Beginning) -> Option<StreamSpec> {
    let spec = streams.get(name)?;
    let passes = beginning.passes.iter().filter_map(|pass| beginning.state.passes.get(pass));
    let pass = passes.into_iter().find(|pass| pass.consumers.contains(name));
    let refreshed = pass.is_some_and(|pass| pass.full_refresh) && spec.write_disposition != WriteDisposition::Skip;
    let write_disposition = if refreshed { WriteDisposition::Replace } else { spec.write_disposition };
    Some(StreamSpec { selected: pass.is_some(), write_disposition, ..spec.clone() })
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
    root.is_some_and(|root| outcome.waiting.contains(&root.stream))
}
