//! `host state`: what a destination remembers of a pipeline. Must never touch rows.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::connection::default_dataset;
use crate::destination::{self, Destination};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::RunLock;
use crate::output::Printer;
use crate::state::State as PipelineState;

/// Show or reset what a destination remembers of a pipeline
#[derive(Debug, Args)]
pub struct State {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show how far each stream came, and what an unfinished run has left to do
    Show(Place),
    /// Forget it: the next run reads from the beginning. Rows stay where they are
    Reset(Place),
    /// Print it all as JSON
    Export(Place),
}

/// Whose state.
#[derive(Debug, Args)]
struct Place {
    /// The name that the state is kept under
    #[arg(long, value_name = "NAME")]
    pipeline: String,
    /// The destination that keeps it [default: duckdb:PIPELINE.duckdb]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// The schema or folder in the destination [default: the pipeline's name with _dataset]
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Only this stream (may be given more than once)
    #[arg(long, value_name = "STREAM")]
    stream: Vec<String>,
}

impl State {
    pub fn execute(self, printer: &Printer) -> Result<u8> {
        match self.action {
            Action::Show(place) => place.show(printer),
            Action::Reset(place) => place.reset(printer),
            Action::Export(place) => place.export(printer),
        }
    }
}

impl Place {
    fn show(&self, printer: &Printer) -> Result<u8> {
        let (_, state) = self.read()?;
        if printer.json {
            let document = json!({
                "version": 1, "pipeline": self.pipeline, "unfinished": !state.passes.is_empty(), "state": state,
            });
            printer.document(&document.to_string());
        } else {
            printer.document(readable(&state).trim_end());
        }
        Ok(0)
    }

    fn export(&self, printer: &Printer) -> Result<u8> {
        let (_, state) = self.read()?;
        let text = serde_json::to_string_pretty(&state)
            .map_err(|source| Error::new(ErrorKind::Internal, "the state can't be printed").with_source(source))?;
        printer.json_document(&text);
        Ok(0)
    }

    fn reset(&self, printer: &Printer) -> Result<u8> {
        let _lock = RunLock::acquire(&self.pipeline, &destination::identity(&self.to(), &self.dataset()))?;
        let (mut destination, state) = self.read()?;
        let kept = if self.stream.is_empty() {
            PipelineState::default()
        } else {
            let mut whole = destination.read(&self.pipeline)?.state;
            if !whole.passes.is_empty() {
                // What is left of a stream and of its children belongs together.
                return Err(Error::new(
                    ErrorKind::Usage,
                    "the last run is not finished, so no single stream can be reset",
                )
                .with_help("finish it with host run, or reset all streams: leave out --stream"));
            }
            whole.streams.retain(|name, _| !self.stream.contains(name));
            whole
        };
        destination.write_state(&self.pipeline, &kept)?;
        let names: Vec<&String> = state.streams.keys().collect();
        if printer.json {
            printer.document(&json!({"version": 1, "pipeline": self.pipeline, "reset": names}).to_string());
        } else {
            printer.message(
                "reset: the next run reads from the beginning. The rows stay; `append` streams will have them twice, unless you run with --full-refresh",
            );
        }
        Ok(0)
    }

    /// The state, of the streams that were asked for.
    fn read(&self) -> Result<(Box<dyn Destination>, PipelineState)> {
        let (to, dataset) = (self.to(), self.dataset());
        if destination::is_missing(&to) {
            return Err(Error::new(ErrorKind::Usage, format!("there is nothing at {to}"))
                .with_help("name the destination that the pipeline loads into with --to"));
        }
        let mut destination = destination::open(&to, &dataset, &self.pipeline)?;
        if !destination.capabilities().keeps_state {
            return Err(Error::new(ErrorKind::Usage, format!("{} keeps no state", destination.capabilities().name)));
        }
        let mut state = destination.read(&self.pipeline)?.state;
        for stream in &self.stream {
            let is_open = state.passes.values().any(|pass| pass.streams.contains_key(stream));
            if !is_open && !state.streams.contains_key(stream) {
                return Err(Error::new(ErrorKind::Usage, format!("nothing is remembered of a stream `{stream}`"))
                    .with_help(format!("host state show --pipeline {} shows what is", self.pipeline)));
            }
        }
        if !self.stream.is_empty() {
            state.streams.retain(|name, _| self.stream.contains(name));
            for pass in state.passes.values_mut() {
                pass.streams.retain(|name, _| self.stream.contains(name));
            }
        }
        Ok((destination, state))
    }

    fn to(&self) -> String {
        self.to.clone().unwrap_or_else(|| format!("duckdb:{}.duckdb", self.pipeline))
    }

    fn dataset(&self) -> String {
        self.dataset.clone().unwrap_or_else(|| default_dataset(&self.pipeline))
    }
}

/// A line per stream and partition; then what unfinished passes have left.
fn readable(state: &PipelineState) -> String {
    let mut text = String::new();
    if state.streams.is_empty() && state.passes.is_empty() {
        return "nothing is remembered: the next run reads from the beginning".to_owned();
    }
    for (name, positions) in &state.streams {
        for position in &positions.0 {
            let is_plain = position.consumers.is_empty() || position.consumers.contains(name);
            let consumers = position.consumers.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let whose = if is_plain { String::new() } else { format!("  for {consumers}") };
            for (partition, checkpoint) in &position.partitions {
                let partition = if partition.is_empty() { String::new() } else { format!("  {partition}") };
                let _ = writeln!(text, "{name}{partition}{whose}  {checkpoint}");
            }
            if let Some(checkpoint) = &position.shared {
                let _ = writeln!(text, "{name}  all partitions{whose}  {checkpoint}");
            }
        }
    }
    for pass in state.passes.values() {
        let consumers = pass.consumers.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let refresh = if pass.full_refresh { "full refresh" } else { "run" };
        let _ = writeln!(text, "\nunfinished {refresh} of {consumers}: the next run that wants them goes on there");
        for (name, progress) in &pass.streams {
            let staged = if progress.staged { ", its rows wait beside the tables" } else { "" };
            let _ = writeln!(text, "{name}  {} to read{staged}", counted(progress.pending.len()));
        }
    }
    text
}

fn counted(partitions: usize) -> String {
    if partitions == 1 { "1 partition".to_owned() } else { format!("{partitions} partitions") }
}
