//! What a run did, as data. `output` renders it for people and as JSON. Must never hold a secret or a record.

use std::time::Duration;

use crate::diagnostic::Diagnostic;
use crate::error::Error;
use crate::schema::{DataType, WriteDisposition};

#[derive(Debug, Default)]
pub struct Report {
    pub pipeline: String,
    pub destination: String,
    pub dataset: String,
    /// Of each package loaded.
    pub load_ids: Vec<String>,
    pub streams: Vec<StreamReport>,
    pub tables: Vec<TableReport>,
    pub changes: Vec<ColumnAdded>,
    pub warnings: Vec<String>,
    /// What is doubtful about the configuration.
    pub diagnostics: Vec<Diagnostic>,
    /// The run went on where an unfinished one had stopped.
    pub resumed: bool,
    /// Stopped by the user; what is loaded is whole, and the next run goes on there.
    pub interrupted: bool,
    /// Of the run as a whole, not of a stream.
    pub failure: Option<Error>,
    pub duration: Duration,
}

#[derive(Debug)]
pub struct StreamReport {
    pub name: String,
    pub pages: u64,
    pub records: u64,
    pub requests: u64,
    pub retries: u64,
    pub bytes: u64,
    /// Times that a credential stood in its records, where a reference is loaded in its place.
    pub masked: u64,
    /// Read only for its children.
    pub loaded: bool,
    pub error: Option<Error>,
    /// It was not read to its end, because a relative failed or the run stopped.
    pub unfinished: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    pub name: String,
    pub rows: u64,
    pub write_disposition: WriteDisposition,
    pub is_new: bool,
    /// Its rows lie beside the table until the stream is read to its end.
    pub waits: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnAdded {
    pub table: String,
    pub column: String,
    pub data_type: DataType,
}

impl Report {
    /// 0 done, 1 failed, 3 some streams failed, 130 interrupted; 2 when what failed was the configuration.
    pub fn exit_code(&self) -> u8 {
        let failed = self.streams.iter().filter(|stream| stream.error.is_some()).count();
        if let Some(failure) = &self.failure {
            failure.kind().exit_code()
        } else if self.interrupted {
            130
        } else if failed == 0 {
            0
        } else if self.streams.iter().any(|stream| stream.error.is_none() && !stream.unfinished) {
            3
        } else {
            1
        }
    }

    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}
