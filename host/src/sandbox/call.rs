//! What is asked of an instance, and what it gives: the contract's functions as data, so that they can be called in this
//! process or in another one. Nothing in it was looked at yet.

use serde::{Deserialize, Serialize};

use super::PageRecords;
use super::bindings::airlock::connector::types;
use super::bindings::exports::airlock::connector::source;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Call {
    Describe,
    /// The configuration, from which secrets were taken out.
    Open(String),
    Grants,
    Streams,
    Check,
    Explain,
    Partitions {
        stream: String,
        parents: Option<PageRecords>,
    },
    /// The partition read before is given up.
    Read {
        stream: String,
        partition: source::Partition,
        checkpoint: Option<String>,
    },
    Next,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Returned {
    Done,
    Description(source::Description),
    Grants(Vec<source::Grant>),
    Streams(Vec<source::Stream>),
    Explanation(String),
    Partitions(Vec<source::Partition>),
    Page { records: PageRecords, checkpoint: Option<String>, last: bool },
    End,
}

/// What a call came to: what was given, or the connector's own error.
pub(super) type Answer = Result<Returned, types::Error>;

impl Call {
    /// The function's name, for errors.
    pub(super) fn function(&self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Open(_) => "open",
            Self::Grants => "grants",
            Self::Streams => "streams",
            Self::Check => "check",
            Self::Explain => "explain",
            Self::Partitions { .. } => "partitions",
            Self::Read { .. } => "read",
            Self::Next => "next",
        }
    }

    /// Records travel beside the message.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        match self {
            Self::Partitions { parents: Some(parents), .. } => parents.take_bytes(),
            _ => Vec::new(),
        }
    }

    pub(super) fn put_bytes(&mut self, bytes: Vec<u8>) {
        if let Self::Partitions { parents: Some(parents), .. } = self {
            *parents = parents.with_bytes(bytes);
        }
    }
}

impl Returned {
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        match self {
            Self::Page { records, .. } => records.take_bytes(),
            _ => Vec::new(),
        }
    }

    pub(super) fn put_bytes(&mut self, bytes: Vec<u8>) {
        if let Self::Page { records, .. } = self {
            *records = records.with_bytes(bytes);
        }
    }
}
