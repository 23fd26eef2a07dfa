//! What a connector's failures become: its own errors, traps, limits.
//!
//! Must never hand on a word of a connector that was not made safe to show.

use std::time::Duration;

use wasmtime::Trap;

use super::bindings::airlock::connector::types as wit_types;
use super::imports::InstanceState;
use super::printable;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Error, ErrorKind, Result};

/// An error that the connector returned; `text` makes its words safe to show.
pub(super) fn returned(error: wit_types::Error, text: &impl Fn(&str) -> String) -> Error {
    match error {
        wit_types::Error::InvalidConfig(diagnostics) => Error::from_diagnostics(
            diagnostics.into_iter().map(|diagnostic| convert_diagnostic(diagnostic, text)).collect(),
        ),
        wit_types::Error::Unauthorized(message) => Error::new(ErrorKind::Unauthorized, text(&message))
            .with_help("check the credential: the secret, and where it goes (`client.auth`)"),
        wit_types::Error::Unavailable(message) => Error::new(ErrorKind::Unavailable, text(&message))
            .with_help("try again later: the same command goes on from what is loaded"),
        wit_types::Error::BadData(message) => Error::new(ErrorKind::BadData, text(&message))
            .with_help("`host check --explain` shows how the stream is read: does that fit the API?"),
        wit_types::Error::Moved(message) => {
            Error::new(ErrorKind::Moved, text(&message)).with_help("the next run reads it from its beginning")
        }
        wit_types::Error::Other(message) => Error::new(ErrorKind::Connector, text(&message)),
    }
}

pub(super) fn convert_diagnostic(diagnostic: wit_types::Diagnostic, text: &impl Fn(&str) -> String) -> Diagnostic {
    Diagnostic {
        severity: match diagnostic.severity {
            wit_types::Severity::Error => Severity::Error,
            wit_types::Severity::Warning => Severity::Warning,
        },
        code: text(&diagnostic.code),
        at: diagnostic.at,
        message: text(&diagnostic.message),
        label: diagnostic.label.as_deref().map(text),
        help: diagnostic.help.as_deref().map(text),
        place: None,
    }
}

pub(super) fn check_size(what: &str, text: &str, most: usize, setting: Option<&str>) -> Result<()> {
    if text.len() <= most {
        return Ok(());
    }
    let error = Error::new(ErrorKind::LimitExceeded, format!("a {what} of {} bytes, more than {most}", text.len()));
    Err(match setting {
        Some(setting) => error.with_help(format!("raise {setting}")),
        None => error,
    })
}

/// Limits that wasmtime holds itself: its words for each, and ours.
const REFUSALS: &[(&str, &str)] = &[
    ("fuel allocated for hostcalls", "what one call may hand over (host.limits.page_bytes)"),
    ("total size of fields", "the size of a request's header fields (host.limits.request_header_bytes)"),
    ("no free keys", "the resources that it may hold (host.limits.handles)"),
    ("allocate another handle", "the resources that it may hold (host.limits.handles)"),
];

pub(super) fn trapped(state: &InstanceState, function: &str, trap: &wasmtime::Error, tick_limit: u64) -> Error {
    let limit = if state.ticks > tick_limit {
        Some("its processor time in one call (host.limits.cpu_secs)".to_owned())
    } else if let Some(refused) = &state.limits.refused {
        Some(refused.clone())
    } else if trap.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) {
        Some("its stack of 512 KiB".to_owned())
    } else {
        let cause = trap.root_cause().to_string();
        REFUSALS.iter().find(|(words, _)| cause.contains(words)).map(|(_, limit)| (*limit).to_owned())
    };
    let error = match limit {
        Some(limit) => Error::new(ErrorKind::LimitExceeded, format!("the connector went over {limit}")),
        None => Error::new(ErrorKind::Connector, "the connector crashed"),
    };
    let error = error.with_context("in", function.to_owned());
    let cause = state.said.text().unwrap_or_else(|| trap.root_cause().to_string());
    error.with_source(state.gate.redact(&printable(&cause)))
}

pub(super) fn too_long(function: &str, limit: Duration) -> Error {
    Error::new(ErrorKind::LimitExceeded, format!("the connector took longer than {} s", limit.as_secs_f64()))
        .with_context("in", function.to_owned())
        .with_help("raise host.limits.page_secs")
}
