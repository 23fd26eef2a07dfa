//! What goes where: documents to stdout, messages to stderr, colours only where they are wanted. Nothing leaves here that
//! a terminal would obey, but for the host's own colours.

use std::io::{IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::Args;

use super::escape;
use crate::diagnostic::Diagnostic;
use crate::error::Error;
use crate::extract::Remarks;
use crate::report::Report;

/// Options that every command has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Print one JSON document to stdout instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Print errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Print more: each request (-v), everything (-vv)
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// Prints. The one that `main` makes is handed to every command.
#[derive(Debug, Clone)]
pub struct Printer {
    pub json: bool,
    quiet: bool,
    verbose: u8,
    choice: ColorChoice,
}

pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(super) const HINT: Style = AnsiColor::Cyan.on_default();
pub(super) const DIM: Style = Style::new().dimmed();

impl Printer {
    pub fn new(options: &OutputOptions) -> Self {
        let choice = match options.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let printer = Self { json: options.json, quiet: options.quiet, verbose: options.verbose, choice };
        printer.listen();
        printer
    }

    /// A document, or a part of one: what was asked for. A reader that went away ends the program quietly.
    pub fn document(&self, text: &str) {
        self.stdout(&if self.json { escape::in_json(text) } else { escape::shown(text) });
    }

    /// Like `document`, for one that is JSON whether `--json` is given or not.
    pub fn json_document(&self, text: &str) {
        self.stdout(&escape::in_json(text));
    }

    /// Like `document`, for what the host wrote itself.
    pub fn own_document(&self, text: &str) {
        self.stdout(text);
    }

    fn stdout(&self, text: &str) {
        let mut stdout = AutoStream::new(std::io::stdout(), self.choice).lock();
        // A closed pipe is the reader's way to say that it has enough.
        let _ = writeln!(stdout, "{text}");
    }

    /// A message for people. `--quiet` and `--json` silence it.
    pub fn message(&self, text: &str) {
        if !self.quiet && !self.json {
            self.stderr(&escape::shown(text));
        }
    }

    pub fn error(&self, error: &Error) {
        if self.json {
            self.document(&super::json::error(error).to_string());
        } else {
            self.stderr(&super::error::render(error, self.coloured()));
        }
    }

    /// What the connector said so far.
    pub fn remarks(&self, remarks: &Remarks) {
        if self.quiet || self.json {
            return;
        }
        self.diagnostics(&remarks.diagnostics());
        for warning in remarks.take_warnings() {
            self.stderr(&format!("{WARNING}warning{WARNING:#}: {}", escape::shown(&warning)));
        }
    }

    fn diagnostics(&self, diagnostics: &[Diagnostic]) {
        for diagnostic in diagnostics {
            self.stderr(&super::error::snippet(diagnostic, self.coloured()));
        }
    }

    pub fn report(&self, report: &Report) {
        if self.json {
            self.document(&super::json::report(report).to_string());
            return;
        }
        for stream in &report.streams {
            if let Some(error) = &stream.error {
                self.stderr(&super::error::render(error, self.coloured()));
            }
        }
        if let Some(error) = &report.failure {
            self.stderr(&super::error::render(error, self.coloured()));
        }
        if !self.quiet {
            self.diagnostics(&report.diagnostics);
            self.stderr(super::report::render(report).trim_end());
        }
    }

    /// Whether somebody reads messages as they come.
    pub fn is_on_terminal(&self) -> bool {
        !self.json && !self.quiet && std::io::stderr().is_terminal()
    }

    /// Whether bars may move on stderr.
    pub(super) fn shows_progress(&self) -> bool {
        self.is_on_terminal() && self.verbose == 0
    }

    fn coloured(&self) -> bool {
        AutoStream::new(std::io::stderr(), self.choice).current_choice() != ColorChoice::Never
    }

    fn stderr(&self, text: &str) {
        let mut stderr = AutoStream::new(std::io::stderr(), self.choice).lock();
        let _ = writeln!(stderr, "{}", escape::coloured(text));
    }

    /// Log lines of the host's own modules go to stderr, by `-v` or `RUST_LOG`.
    fn listen(&self) {
        use tracing_subscriber::EnvFilter;
        let default = match self.verbose {
            0 => "off",
            1 => "airlock_host=debug",
            _ => "airlock_host=trace,wasmtime=info,reqwest=debug",
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
        // Fails when a program that embeds the host listens already.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(self.coloured())
            .with_writer(|| escape::LogLines)
            .without_time()
            .with_target(false)
            .try_init();
    }
}
