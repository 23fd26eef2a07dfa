//! Texts that a spreadsheet would take for a formula (`host.csv.escape_formulas`).

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, StringArray};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

/// What begins one (OWASP, CSV injection).
const BEGINNINGS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Puts an apostrophe in front of such texts, which a spreadsheet does not show. Numbers stay as they are.
pub(super) fn escaped(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(|column| match column.as_any().downcast_ref::<StringArray>() {
        Some(texts) => Arc::new(texts.iter().map(|text| text.map(escaped_text)).collect::<StringArray>()) as ArrayRef,
        None => column.clone(),
    });
    RecordBatch::try_new(batch.schema(), columns.collect())
}

fn escaped_text(text: &str) -> String {
    if text.starts_with(BEGINNINGS) { format!("'{text}") } else { text.to_owned() }
}
