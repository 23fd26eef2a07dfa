//! How an opened connection is run: under which name, into which destination, which of its streams.

use super::Connection;
use crate::destination::{self, Destination};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::RunLock;
use crate::mode::RunMode;
use crate::packaging::PackageSize;
use crate::pipeline::Pipeline;
use crate::schema::{StreamSpec, WriteDisposition};
use crate::state::Names;
use crate::streams::Streams;

/// How to run a connection. The default loads every selected stream into `duckdb:PIPELINE.duckdb`.
#[derive(Default)]
pub struct RunOptions {
    /// The name that state is kept under; otherwise the configuration file's.
    pub pipeline: Option<String>,
    /// Otherwise `duckdb:PIPELINE.duckdb`.
    pub to: Option<To>,
    /// The schema or folder in the destination; otherwise the pipeline's name with `_dataset`.
    pub dataset: Option<String>,
    /// Only these streams; their parents are read for them, and not loaded. Empty: every selected one.
    pub select: Vec<String>,
    /// Forgets what earlier runs remembered, and replaces the tables.
    pub full_refresh: bool,
    /// How many partitions are read at once; otherwise the configuration's, or 8.
    pub concurrency: Option<usize>,
}

/// Where a run loads.
pub enum To {
    /// A destination of ours.
    Url(String),
    /// A destination of one's own, which stands for itself: whoever opens it keeps other runs away from it.
    Own(Box<dyn Destination>),
}

impl From<&str> for To {
    fn from(url: &str) -> Self {
        Self::Url(url.to_owned())
    }
}

impl From<String> for To {
    fn from(url: String) -> Self {
        Self::Url(url)
    }
}

/// Enough to keep an API and two cores busy, gentle to small APIs.
const CONCURRENCY: usize = 8;

impl Connection {
    /// Whether no such run was ever begun on this machine.
    pub fn is_first_run(&self, options: &RunOptions) -> bool {
        let (name, dataset) = self.names(options);
        let to = match &options.to {
            Some(To::Own(_)) => return false,
            Some(To::Url(to)) => to.clone(),
            None => default_destination(&name),
        };
        !destination::is_stdout(&to) && !RunLock::was_held(&name, &destination::identity(&to, &dataset))
    }

    /// Of the pipeline and the dataset.
    fn names(&self, options: &RunOptions) -> (String, String) {
        let name = options.pipeline.clone().unwrap_or_else(|| self.file.pipeline_name());
        let dataset = options.dataset.clone().unwrap_or_else(|| default_dataset(&name));
        (name, dataset)
    }

    /// A run of this connection, about to begin. No other run of the pipeline into this destination can begin on this
    /// machine until it is dropped.
    ///
    /// Errors: a name, stream or destination that is none (`Usage`); a destination that can't do what the streams want
    /// (`Config`) or can't be reached (`Unavailable`); another run under way (`Busy`).
    pub fn pipeline(self, options: RunOptions) -> Result<Pipeline> {
        let (name, dataset) = self.names(&options);
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(fits) {
            return Err(Error::new(ErrorKind::Usage, "a pipeline's name is made of letters, digits, `_`, `-` and `.`")
                .with_help("give another one with --pipeline NAME"));
        }
        if dataset.trim().is_empty() || dataset.contains(char::is_control) {
            return Err(
                Error::new(ErrorKind::Usage, "a dataset needs a name").with_help("give one with --dataset NAME")
            );
        }
        let to = options.to.unwrap_or_else(|| To::Url(default_destination(&name)));
        let mode =
            RunMode { consumers: consumers(&self.streams, &options.select)?, full_refresh: options.full_refresh };
        let (lock, mut destination, destination_name) = match to {
            To::Url(to) => {
                let lock = match destination::is_stdout(&to) {
                    true => RunLock::none(),
                    false => RunLock::acquire(&name, &destination::identity(&to, &dataset))?,
                };
                (lock, destination::open(&to, &dataset, &name)?, without_password(&to))
            }
            To::Own(destination) => {
                let name = destination.capabilities().name.to_owned();
                (RunLock::none(), destination, name)
            }
        };
        destination.limit_memory(self.settings.duckdb.memory_bytes)?;
        if self.settings.csv.escape_formulas {
            destination.escape_formulas();
        }
        let capabilities = destination.capabilities();
        let merges = |stream: &&StreamSpec| stream.write_disposition == WriteDisposition::Merge;
        let merging = self.streams.iter().filter(merges).find(|stream| mode.consumers.contains(&stream.name));
        if let Some(stream) = merging.filter(|_| !capabilities.merge) {
            let message = format!("stream `{}` is to be merged, which {} can't", stream.name, capabilities.name);
            return Err(Error::new(ErrorKind::Config, message)
                .with_help("use a database as destination, or write_disposition append or replace"));
        }
        Ok(Pipeline {
            name,
            dataset,
            destination_name,
            destination,
            source: self.source,
            streams: Streams::new(self.streams),
            mode,
            fingerprint: self.fingerprint,
            package_size: PackageSize::of(&self.settings),
            concurrency: options.concurrency.or(self.settings.concurrency).unwrap_or(CONCURRENCY),
            naming: self.settings.naming,
            isolation: self.isolation,
            limits: self.settings.limits,
            lock,
        })
    }
}

fn default_destination(pipeline: &str) -> String {
    format!("duckdb:{pipeline}.duckdb")
}

/// As in dlt. A DuckDB file and a schema of one name would be ambiguous in its SQL.
pub fn default_dataset(pipeline: &str) -> String {
    format!("{pipeline}_dataset")
}

/// The streams whose rows are wanted.
fn consumers(streams: &[StreamSpec], select: &[String]) -> Result<Names> {
    select.iter().try_for_each(|name| known(streams, name))?;
    let is_wanted =
        |stream: &&StreamSpec| if select.is_empty() { stream.selected } else { select.contains(&stream.name) };
    Ok(streams.iter().filter(is_wanted).map(|stream| stream.name.clone()).collect())
}

/// Errors (`Usage`): no such stream, with the names of those there are.
pub fn known(streams: &[StreamSpec], name: &str) -> Result<()> {
    if streams.iter().any(|stream| stream.name == name) {
        return Ok(());
    }
    let known: Vec<&str> = streams.iter().map(|stream| stream.name.as_str()).collect();
    Err(Error::new(ErrorKind::Usage, format!("there is no stream `{name}`"))
        .with_help(format!("the streams are: {}", known.join(", "))))
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
