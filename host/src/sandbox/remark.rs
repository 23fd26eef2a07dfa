//! What a connector says to people, already safe to show.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
}

#[derive(Debug, Clone)]
pub enum Remark {
    Message(LogLevel, String),
    /// Doubtful in the configuration; without its place yet.
    Diagnostic(Diagnostic),
}

/// Takes what a connector says.
pub type LogSink = Arc<dyn Fn(Remark) + Send + Sync>;
