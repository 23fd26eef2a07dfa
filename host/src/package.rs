//! The load package: rows, schema and state that become visible together or not at all.
//!
//! A package closes only where every partition in it has a checkpoint, so that rows saved and checkpoint saved are one
//! event. Must never be loaded in parts.

use arrow::record_batch::RecordBatch;

use crate::schema::Schema;
use crate::state::State;

#[derive(Debug, Clone)]
pub struct LoadPackage {
    pub pipeline: String,
    /// Unix time as text with a fraction, unique and ascending within the pipeline (dlt's `_dlt_load_id`).
    pub load_id: String,
    /// Rows, at most one entry per table, each as at least one batch whose columns are those of the table's schema that
    /// have a value in it. Where a root row's id follows from its key or content (upsert, insert-only, scd2), a package
    /// has one row of each id, for the children of two could not be told apart.
    pub tables: Vec<TableBatch>,
    /// Every table known, with its columns: those of this package and earlier ones.
    pub schema: Schema,
    pub state: State,
    /// Streams with the disposition `replace` that have rows here, or begin or end here.
    pub replaced: Vec<Replacement>,
    /// Rows of earlier packages that go before this one's come.
    pub taken_back: Vec<TakenBack>,
}

/// Rows that a stream had loaded and that are going to be read again: those of its root tables from these loads, with the
/// rows of child tables below them, whether they have taken effect or still wait beside the tables.
///
/// What another stream brought to the same table in the same load can't be told apart, and goes too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    pub stream: String,
    /// Load ids.
    pub loads: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct TableBatch {
    /// A key of `Schema::tables`.
    pub table: String,
    pub batches: Vec<RecordBatch>,
}

impl TableBatch {
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// How far a stream that replaces its tables is. Its rows go beside the old tables until it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    pub stream: String,
    /// The first package of the run with this stream: what an earlier, unfinished run left beside the tables goes.
    pub begins: bool,
    /// The last one: what stands beside takes the place of all the stream's tables; a table without new rows is emptied.
    pub ends: bool,
}

/// What a destination says of a loaded package.
#[derive(Debug, Clone, Default)]
pub struct LoadReceipt {
    /// Rows written, by table.
    pub rows: Vec<(String, u64)>,
    /// The package was there already: nothing was written.
    pub already_loaded: bool,
}
