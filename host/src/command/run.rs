//! `host run`: read the streams of a connection and load them.

use clap::Args;

use super::open::{Connection, ConnectionArguments};
use super::sample;
use crate::assemble::PackageSize;
use crate::destination;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::RunLock;
use crate::output::{Printer, Progress};
use crate::pipeline::{Pipeline, Runtimes};
use crate::schema::{StreamSpec, WriteDisposition};

/// Read from an API and load into a destination
#[derive(Debug, Args)]
#[command(
    after_help = "Example: host run connector.wasm --config pm.yaml --secret api_key=env:PM_API_KEY --to duckdb:pm.duckdb"
)]
pub struct Run {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Where to load: duckdb:PATH, sqlite:PATH, postgres://…, parquet:DIR, jsonl:DIR, csv:DIR (a folder or s3://BUCKET/FOLDER), - or arrow:- [default: duckdb:PIPELINE.duckdb]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// The schema or folder in the destination [default: the pipeline's name]
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// The name that state is kept under [default: the configuration file's name]
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Load only this stream (may be given more than once)
    #[arg(long, value_name = "STREAM")]
    select: Vec<String>,
    /// Forget what earlier runs remembered, and replace the tables
    #[arg(long)]
    full_refresh: bool,
    /// How many partitions are read at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: Option<u16>,
}

/// Enough to keep an API and two cores busy, gentle to small APIs.
const CONCURRENCY: usize = 8;

impl Run {
    pub fn execute(self, printer: &Printer) -> Result<u8> {
        let runtimes = Runtimes::new()?;
        let connection = self.connection.open(&runtimes)?;
        let name = self.pipeline.clone().unwrap_or_else(|| connection.file.pipeline_name());
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(fits) {
            return Err(Error::new(ErrorKind::Usage, "a pipeline's name is made of letters, digits, `_`, `-` and `.`")
                .with_help("give another one with --pipeline NAME"));
        }
        let dataset = self.dataset.clone().unwrap_or_else(|| name.clone());
        let to = self.to.clone().unwrap_or_else(|| format!("duckdb:{name}.duckdb"));
        if destination::is_stdout(&to) && printer.json {
            return Err(Error::new(ErrorKind::Usage, format!("--json and --to {to} both want stdout"))
                .with_help("leave one of them out"));
        }
        let streams = selected(&connection.streams, &self.select)?;
        let _lock = RunLock::acquire(&name, &destination::identity(&to, &dataset))?;
        let destination = destination::open(&to, &dataset, &name)?;
        let merging =
            streams.iter().find(|stream| stream.write_disposition == WriteDisposition::Merge && stream.selected);
        if let Some(stream) = merging.filter(|_| !destination.capabilities().merge) {
            let name = destination.capabilities().name;
            return Err(Error::new(
                ErrorKind::Config,
                format!("stream `{}` is to be merged, which {name} can't", stream.name),
            )
            .with_help("use a database as destination, or write_disposition append or replace"));
        }
        let pipeline = pipeline(connection, streams, name, dataset, &to, destination, &self);
        let mut progress = None;
        let report = pipeline.run(&runtimes, |under_way| {
            progress = Some(Progress::start(printer, under_way.activity));
            let control = under_way.control;
            runtimes.io.spawn(async move {
                asked_to_stop().await;
                control.stop();
            });
        });
        drop(progress);
        printer.report(&report);
        Ok(report.exit_code())
    }
}

/// Ends with the first SIGINT or SIGTERM.
async fn asked_to_stop() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => if interrupted.is_err() { std::future::pending::<()>().await },
        () = terminated => {}
    }
}

fn pipeline(
    connection: Connection,
    streams: Vec<StreamSpec>,
    name: String,
    dataset: String,
    to: &str,
    destination: Box<dyn destination::Destination>,
    run: &Run,
) -> Pipeline {
    let concurrency = run.concurrency.map(usize::from).or(connection.settings.concurrency).unwrap_or(CONCURRENCY);
    Pipeline {
        name,
        dataset,
        destination_name: without_password(to),
        destination,
        source: connection.source,
        streams,
        fingerprint: connection.fingerprint,
        package_size: PackageSize::of(&connection.settings),
        limits: connection.settings.limits,
        concurrency,
        full_refresh: run.full_refresh,
        warnings: connection.warnings,
    }
}

/// The streams to read: those wanted, and their parents, which are then read only for their children.
fn selected(streams: &[StreamSpec], select: &[String]) -> Result<Vec<StreamSpec>> {
    select.iter().try_for_each(|name| sample::known(streams, name))?;
    let mut chosen: Vec<StreamSpec> = Vec::new();
    // From the last, so that children decide before their parents.
    for stream in streams.iter().rev() {
        let wanted = if select.is_empty() { stream.selected } else { select.contains(&stream.name) };
        let needed = chosen.iter().any(|child| child.parent.as_deref() == Some(stream.name.as_str()));
        if wanted || needed {
            chosen.push(StreamSpec { selected: wanted, ..stream.clone() });
        }
    }
    chosen.reverse();
    Ok(chosen)
}

/// A destination's URL as it may be shown.
fn without_password(to: &str) -> String {
    match url::Url::parse(to) {
        Ok(mut url) if url.has_host() => {
            let _ = url.set_password(None);
            url.set_query(None);
            url.to_string()
        }
        _ => to.to_owned(),
    }
}
