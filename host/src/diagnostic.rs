//! A mistake in a configuration file: what, where, and what to do.
//!
//! Must never print: `output` renders it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Severity {
    Error,
    Warning,
}

/// One mistake, with its place once the file is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Stable and hyphenated: `unknown-key`.
    pub code: String,
    /// JSON Pointer (RFC 6901) into the configuration; one that ends in `/~key` means the key itself.
    pub at: String,
    pub message: String,
    /// What to write under the caret.
    pub label: Option<String>,
    pub help: Option<String>,
    /// Where it stands; none when there is no file.
    #[serde(skip)]
    pub place: Option<Place>,
}

impl Diagnostic {
    /// Of its texts.
    pub(crate) fn bytes(&self) -> usize {
        let more = self.label.iter().chain(&self.help).chain([&self.code, &self.at]);
        self.message.len() + more.map(String::len).sum::<usize>()
    }
}

/// A span of bytes in a file.
#[derive(Debug, Clone)]
pub struct Place {
    pub file: String,
    pub source: std::sync::Arc<str>,
    pub span: Range<usize>,
}

impl Place {
    /// Line and column, both from 1; the column counts characters.
    pub fn line_and_column(&self) -> (usize, usize) {
        let before = &self.source[..self.span.start.min(self.source.len())];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}
