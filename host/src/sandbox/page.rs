//! What crosses the border: partitions and pages, their records as bytes. Must never look into a record.

use serde::{Deserialize, Serialize};

use super::bindings::airlock::connector::types as wit_types;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub id: String,
    pub data: String,
}

#[derive(Debug)]
pub struct Page {
    /// As the connector gave them.
    masked: PageRecords,
    /// As they are to be loaded, where that differs.
    whole: Option<PageRecords>,
    pub checkpoint: Option<String>,
    /// Nothing comes behind it.
    pub last: bool,
}

impl Page {
    pub(super) fn new(masked: PageRecords, whole: Option<PageRecords>, checkpoint: Option<String>, last: bool) -> Self {
        Self { masked, whole, checkpoint, last }
    }

    /// The records as the connector knows them, secrets as references: for what goes back into a connector.
    pub fn masked(&self) -> &PageRecords {
        &self.masked
    }

    /// The records as they are to be loaded or shown.
    pub fn whole(&self) -> &PageRecords {
        self.whole.as_ref().unwrap_or(&self.masked)
    }

    /// Like `whole`.
    pub fn into_whole(self) -> PageRecords {
        self.whole.unwrap_or(self.masked)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
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

    /// The same records in other bytes.
    pub(super) fn with_bytes(&self, bytes: Vec<u8>) -> Self {
        match self {
            Self::JsonArray(_) => Self::JsonArray(bytes),
            Self::JsonLines(_) => Self::JsonLines(bytes),
            Self::ArrowIpc(_) => Self::ArrowIpc(bytes),
        }
    }

    /// Leaves it empty.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        match self {
            Self::JsonArray(bytes) | Self::JsonLines(bytes) | Self::ArrowIpc(bytes) => std::mem::take(bytes),
        }
    }
}

impl From<PageRecords> for wit_types::Records {
    fn from(records: PageRecords) -> Self {
        match records {
            PageRecords::JsonArray(bytes) => Self::JsonArray(bytes),
            PageRecords::JsonLines(bytes) => Self::JsonLines(bytes),
            PageRecords::ArrowIpc(bytes) => Self::ArrowIpc(bytes),
        }
    }
}

impl From<wit_types::Records> for PageRecords {
    fn from(records: wit_types::Records) -> Self {
        match records {
            wit_types::Records::JsonArray(bytes) => Self::JsonArray(bytes),
            wit_types::Records::JsonLines(bytes) => Self::JsonLines(bytes),
            wit_types::Records::ArrowIpc(bytes) => Self::ArrowIpc(bytes),
        }
    }
}
