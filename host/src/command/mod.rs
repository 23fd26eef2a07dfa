//! The commands: one file each, with its flags and what it does. Flags are documented here and nowhere else; `--help`,
//! completions and docs come from them.

mod check;
mod completions;
mod connection;
mod discover;
mod init;
mod inspect;
mod preview;
mod run;
mod sample;
mod schema;
mod state;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Parser, Subcommand};

use crate::error::Result;
use crate::output::{OutputOptions, Printer};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 some streams failed, 130 interrupted";

/// Run sandboxed data connectors
///
/// A connector is a WebAssembly component that knows one kind of API. It gets no secret, no disk and no network but the
/// origins that stand in your configuration; the host signs its requests, retries them, keeps its state, and writes what
/// it reads.
#[derive(Debug, Parser)]
#[command(name = "host", version, styles = STYLES, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub output: OutputOptions,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Run),
    Check(check::Check),
    Discover(discover::Discover),
    Preview(preview::Preview),
    Inspect(inspect::Inspect),
    Init(init::Init),
    Schema(schema::Schema),
    State(state::State),
    Completions(completions::Completions),
}

impl Command {
    /// Gives the exit code.
    pub fn execute(self, printer: &Printer) -> Result<u8> {
        match self {
            Self::Run(run) => run.execute(printer),
            Self::Check(check) => check.execute(printer),
            Self::Discover(discover) => discover.execute(printer),
            Self::Preview(preview) => preview.execute(printer),
            Self::Init(init) => init.execute(printer),
            Self::Inspect(inspect) => inspect.execute(printer),
            Self::Schema(schema) => schema.execute(printer),
            Self::State(state) => state.execute(printer),
            Self::Completions(completions) => Ok(completions.execute(printer)),
        }
    }
}
