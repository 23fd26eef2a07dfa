//! `host run`: read the streams of a connection and load them.

use clap::Args;

use super::connection::ConnectionArguments;
use crate::connection::{self, RunOptions};
use crate::destination;
use crate::error::{Error, ErrorKind, Result};
use crate::output::{Printer, Progress};

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
    /// The schema or folder in the destination [default: the pipeline's name with _dataset]
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// The name that state is kept under [default: the configuration file's name]
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Load only this stream (may be given more than once)
    #[arg(long, value_name = "STREAM")]
    select: Vec<String>,
    /// Read from the beginning, and replace the tables
    #[arg(long)]
    full_refresh: bool,
    /// How many partitions are read at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: Option<u16>,
}

impl Run {
    pub fn execute(self, printer: &Printer) -> Result<u8> {
        if let Some(to) = self.to.as_deref().filter(|to| printer.json && destination::is_stdout(to)) {
            return Err(Error::new(ErrorKind::Usage, format!("--json and --to {to} both want stdout"))
                .with_help("leave one of them out"));
        }
        let host = super::connection::host()?;
        let report = host.block_on(async {
            let connection = self.connection.open(&host).await?;
            let options = RunOptions {
                pipeline: self.pipeline,
                to: self.to.map(Into::into),
                dataset: self.dataset,
                select: self.select,
                full_refresh: self.full_refresh,
                concurrency: self.concurrency.map(usize::from),
            };
            if printer.is_on_terminal() && !connection.ways.is_empty() && connection.is_first_run(&options) {
                printer.message("The first run. Where secrets go:");
                connection::shown(&connection.ways).for_each(|line| printer.message(&format!("  {line}")));
            }
            let mut run = connection.run(options).await?;
            let handle = run.handle();
            tokio::spawn(async move {
                asked_to_stop().await;
                handle.stop();
                // Whoever asks twice does not want to wait for a clean end.
                asked_to_stop().await;
                end_at_once();
            });
            let progress = run.activity().await.map(|activity| Progress::start(printer, activity));
            let report = run.finished().await;
            drop(progress);
            Ok::<_, Error>(report)
        })?;
        printer.report(&report);
        Ok(report.exit_code())
    }
}

/// What is loaded is whole at any instant, and a lock ends with its process.
#[expect(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "nothing is left to clean up that a kill would not clean up"
)]
fn end_at_once() -> ! {
    std::process::exit(i32::from(ErrorKind::Interrupted.exit_code()))
}

/// Ends with the next SIGINT or SIGTERM.
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
