//! The one error type: what kind, what happened, where, and what to do. The kind decides the exit code.
//!
//! Must never carry a secret: whoever writes a message names things (a secret's name, a URL without its query), and the
//! egress redacts what comes from outside.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Severity};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// More of them nobody reads, and each takes a look at the whole file to be shown.
const SHOWN_DIAGNOSTICS: usize = 100;
/// Of all their texts together: a screen is not for filling.
const SHOWN_BYTES: usize = 64 << 10;

/// Why something failed, by what the reader should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command line is wrong.
    Usage,
    /// The configuration, or a secret it names, must be mended.
    Config,
    /// The API refused the credential.
    Unauthorized,
    /// The API or the destination could not be reached, or kept failing: try again later.
    Unavailable,
    /// The API answered something that the configuration does not fit.
    BadData,
    /// What a checkpoint points at is no longer there: begin the partition anew.
    Moved,
    /// The connector asked for something that was not granted.
    Denied,
    /// The connector, or a response, went over a limit.
    LimitExceeded,
    /// The connector is broken, or not a connector.
    Connector,
    /// The destination refused.
    Destination,
    /// A schema contract forbids what came.
    Contract,
    /// Another run of this pipeline is under way.
    Busy,
    /// The user stopped the run.
    Interrupted,
    /// A mistake in the host itself.
    Internal,
}

impl ErrorKind {
    /// The process's exit code for this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage | Self::Config => 2,
            Self::Interrupted => 130,
            _ => 1,
        }
    }

    /// Stable and hyphenated, for `--json` and for the `error[…]` that people read.
    pub fn code(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Config => "config",
            Self::Unauthorized => "unauthorized",
            Self::Unavailable => "unavailable",
            Self::BadData => "bad-data",
            Self::Moved => "moved",
            Self::Denied => "denied",
            Self::LimitExceeded => "limit-exceeded",
            Self::Connector => "connector",
            Self::Destination => "destination",
            Self::Contract => "schema-contract",
            Self::Busy => "busy",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal",
        }
    }
}

/// An error: one sentence, what it is about, what to do, and what caused it.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<(Cow<'static, str>, String)>,
    help: Vec<String>,
    diagnostics: Vec<Diagnostic>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            context: Vec::new(),
            help: Vec::new(),
            diagnostics: Vec::new(),
            source: None,
        }))
    }

    /// Configuration mistakes, each with its place; of a flood the first ones.
    pub fn from_diagnostics(mut diagnostics: Vec<Diagnostic>) -> Self {
        let count = diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
        let mut left = SHOWN_BYTES;
        let fits = |found: &&Diagnostic| {
            let fits = left > 0;
            left = left.saturating_sub(found.bytes());
            fits
        };
        let shown = diagnostics.iter().take(SHOWN_DIAGNOSTICS).take_while(fits).count();
        let message = match count {
            1 => "1 mistake in the configuration".to_owned(),
            _ if diagnostics.len() > shown => {
                format!("{count} mistakes in the configuration: the first {shown} are shown")
            }
            _ => format!("{count} mistakes in the configuration"),
        };
        let mut error = Self::new(ErrorKind::Config, message);
        diagnostics.truncate(shown);
        error.0.diagnostics = diagnostics;
        error
    }

    /// Completes the diagnostics, if there are any, with what `locate` knows of their places.
    #[must_use]
    pub fn located(mut self, locate: impl FnOnce(Vec<Diagnostic>) -> Vec<Diagnostic>) -> Self {
        self.0.diagnostics = locate(std::mem::take(&mut self.0.diagnostics));
        self
    }

    /// Says what the error is about: `("stream", "tasks")`.
    #[must_use]
    pub fn with_context(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        let key = key.into();
        if !self.0.context.iter().any(|(known, _)| *known == key) {
            self.0.context.push((key, value.into()));
        }
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.0.help.push(help.into());
        self
    }

    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Without these texts, in whatever it says: a driver may repeat a password.
    #[must_use]
    pub fn without(mut self, secrets: &[String]) -> Self {
        let hidden = |text: &str| secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"));
        let causes = self.causes();
        if secrets.iter().any(|secret| causes.iter().any(|cause| cause.contains(secret))) {
            self.0.source = Some(hidden(&causes.join(": ")).into());
        }
        self.0.message = hidden(&self.0.message);
        for (_, value) in &mut self.0.context {
            *value = hidden(value);
        }
        for help in &mut self.0.help {
            *help = hidden(help);
        }
        self
    }

    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn context(&self) -> &[(Cow<'static, str>, String)] {
        &self.0.context
    }

    pub fn help(&self) -> &[String] {
        &self.0.help
    }

    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0.diagnostics
    }

    /// The messages of the causes, outermost first.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(self);
        while let Some(cause) = next {
            let text = cause.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)?;
        for (index, (key, value)) in self.0.context.iter().enumerate() {
            write!(formatter, "{}{key}: {value}", if index == 0 { " (" } else { ", " })?;
        }
        if self.0.context.is_empty() { Ok(()) } else { formatter.write_str(")") }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
