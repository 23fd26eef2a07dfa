//! An error on its way from one process to another.

use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;
use crate::error::{Error, ErrorKind};

/// All of an error but the places of its diagnostics, which are found on the other side; its causes are texts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Told {
    kind: ErrorKind,
    message: String,
    context: Vec<(String, String)>,
    help: Vec<String>,
    causes: Vec<String>,
    diagnostics: Vec<Diagnostic>,
}

impl From<Error> for Told {
    fn from(error: Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.message().to_owned(),
            context: error.context().iter().map(|(key, value)| (key.to_string(), value.clone())).collect(),
            help: error.help().to_vec(),
            causes: error.causes(),
            diagnostics: error.diagnostics().to_vec(),
        }
    }
}

impl From<Told> for Error {
    fn from(told: Told) -> Self {
        let mut error = Self::new(told.kind, told.message).located(|_| told.diagnostics);
        for (key, value) in told.context {
            error = error.with_context(key, value);
        }
        for help in told.help {
            error = error.with_help(help);
        }
        if told.causes.is_empty() { error } else { error.with_source(told.causes.join(": ")) }
    }
}
