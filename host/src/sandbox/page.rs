//! What crosses the border: partitions and pages, their records as bytes. Must never look into a record.

use super::bindings::airlock::connector::types as wit_types;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub id: String,
    pub data: String,
}

#[derive(Debug)]
pub struct Page {
    pub records: PageRecords,
    pub checkpoint: Option<String>,
    /// Nothing comes behind it.
    pub last: bool,
}

#[derive(Debug, Clone)]
pub enum PageRecords {
    JsonArray(Vec<u8>),
    JsonLines(Vec<u8>),
    ArrowIpc(Vec<u8>),
}

impl PageRecords {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::JsonArray(bytes) | Self::JsonLines(bytes) | Self::ArrowIpc(bytes) => bytes,
        }
    }

    /// Without looking into it: nothing, or an empty array.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.bytes().trim_ascii(), b"" | b"[]")
    }

    pub(super) fn to_wit(&self) -> wit_types::Records {
        match self {
            Self::JsonArray(bytes) => wit_types::Records::JsonArray(bytes.clone()),
            Self::JsonLines(bytes) => wit_types::Records::JsonLines(bytes.clone()),
            Self::ArrowIpc(bytes) => wit_types::Records::ArrowIpc(bytes.clone()),
        }
    }
}
