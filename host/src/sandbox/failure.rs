//! What a connector's failures become: its own errors, traps, limits.
//!
//! Must never hand on a word of a connector that was not made safe to show.

use wasmtime::Trap;

use super::allowance::Exceeded;
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
        at: pointer(diagnostic.at),
        message: text(&diagnostic.message),
        label: diagnostic.label.as_deref().map(text),
        help: diagnostic.help.as_deref().map(text),
        place: None,
    }
}

/// Longer than any place in a file, it points at nothing; what leads to it is enough.
pub(super) fn pointer(mut at: String) -> String {
    at.truncate(at.floor_char_boundary(LONGEST_POINTER));
    at
}

pub(super) fn check_size(what: &str, text: &str, most: usize, setting: &str) -> Result<()> {
    if text.len() <= most {
        return Ok(());
    }
    let error = Error::new(ErrorKind::LimitExceeded, format!("a {what} of {} bytes, more than {most}", text.len()));
    Err(error.with_help(format!("raise {setting}")))
}

const LONGEST_POINTER: usize = 4096;

/// Limits that wasmtime holds itself: its words for each, and ours.
const REFUSALS: &[(&str, &str)] = &[
    ("total size of fields", "the size of a request's header fields (host.limits.request_header_bytes)"),
    ("no free keys", "the resources that it may hold (host.limits.handles)"),
    ("allocate another handle", "the resources that it may hold (host.limits.handles)"),
];

pub(super) fn trapped(state: &InstanceState, function: &str, trap: &wasmtime::Error) -> Error {
    let limit = if let Some(refused) = &state.limits.refused {
        Some(refused.clone())
    } else if trap.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) {
        Some("its stack of 512 KiB".to_owned())
    } else {
        let cause = trap.root_cause().to_string();
        if cause.contains("fuel allocated for hostcalls") {
            let setting = if matches!(function, "next" | "partitions") { "page_bytes" } else { "document_bytes" };
            return over(function, &format!("what one call may hand over (host.limits.{setting})"));
        }
        REFUSALS.iter().find(|(words, _)| cause.contains(words)).map(|(_, limit)| (*limit).to_owned())
    };
    let error = match limit {
        Some(limit) => over(function, &limit),
        None => Error::new(ErrorKind::Connector, "the connector crashed").with_context("in", function.to_owned()),
    };
    let cause = state.said.text().unwrap_or_else(|| trap.root_cause().to_string());
    error.with_source(printable(&cause))
}

fn over(function: &str, limit: &str) -> Error {
    Error::new(ErrorKind::LimitExceeded, format!("the connector went over {limit}"))
        .with_context("in", function.to_owned())
}

pub(super) fn exceeded(function: &str, exceeded: Exceeded) -> Error {
    match exceeded {
        Exceeded::Processor => over(function, "its processor time in one call (host.limits.cpu_secs)"),
        Exceeded::Time(limit) => {
            Error::new(ErrorKind::LimitExceeded, format!("the connector took longer than {} s", limit.as_secs_f64()))
                .with_context("in", function.to_owned())
                .with_help("raise host.limits.page_secs")
        }
    }
}
