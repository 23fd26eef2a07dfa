//! What a connector says that people should read: warnings, and doubts about the configuration with their places. Said
//! by every instance again, and kept once.
//!
//! Must never grow with what a connector says: floods are dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::ConfigFile;
use crate::diagnostic::Diagnostic;
use crate::sandbox::{LogLevel, LogSink, Remark};

/// How many of each kind are kept, and how much of them.
const KEPT: usize = 100;
const KEPT_BYTES: usize = 64 << 10;

#[derive(Debug, Default)]
pub struct Remarks {
    warnings: Mutex<Vec<String>>,
    diagnostics: Mutex<Vec<Diagnostic>>,
}

impl Remarks {
    /// Where instances say it.
    pub fn sink(self: &Arc<Self>) -> LogSink {
        let remarks = self.clone();
        Arc::new(move |remark| remarks.add(remark))
    }

    /// Keeps warnings and diagnostics, passes the rest on to the log.
    fn add(&self, remark: Remark) {
        match remark {
            Remark::Message(LogLevel::Warning, message) => {
                let mut warnings = lock(&self.warnings);
                let bytes: usize = warnings.iter().map(String::len).sum();
                if warnings.len() < KEPT && bytes < KEPT_BYTES && !warnings.contains(&message) {
                    warnings.push(message);
                }
            }
            Remark::Message(LogLevel::Info, message) => tracing::info!("connector: {message}"),
            Remark::Message(LogLevel::Debug, message) => tracing::debug!("connector: {message}"),
            Remark::Diagnostic(diagnostic) => {
                let mut diagnostics = lock(&self.diagnostics);
                let said = |known: &Diagnostic| known.at == diagnostic.at && known.message == diagnostic.message;
                let bytes: usize = diagnostics.iter().map(Diagnostic::bytes).sum();
                if diagnostics.len() < KEPT && bytes < KEPT_BYTES && !diagnostics.iter().any(said) {
                    diagnostics.push(diagnostic);
                }
            }
        }
    }

    /// A warning of the host's own.
    pub fn warn(&self, message: String) {
        self.add(Remark::Message(LogLevel::Warning, message));
    }

    /// Warnings since the last time.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.warnings))
    }

    /// What is doubtful about the configuration.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        lock(&self.diagnostics).clone()
    }

    /// Gives every diagnostic its place in the file.
    pub fn locate(&self, file: &ConfigFile) {
        let mut diagnostics = lock(&self.diagnostics);
        let found = std::mem::take(&mut *diagnostics);
        *diagnostics = file.locate(found);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
