//! A record that comes more than once in a load package, where its row's id follows from its key or content: one of the
//! versions stays, with exactly its own child rows.
//!
//! The children of all versions name the same parent, so a destination could not tell them apart any more; that is why
//! it is decided here. Must never drop rows whose ids are random: there every row is one of its own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;

use crate::schema::{MergeStrategy, StreamPlan, WriteDisposition};

/// Which of several versions of a record stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    First,
    Last,
}

impl Keep {
    /// None where row ids are random.
    pub(super) fn of(plan: &StreamPlan) -> Option<Self> {
        if plan.write_disposition != WriteDisposition::Merge {
            return None;
        }
        match plan.merge_strategy {
            MergeStrategy::DeleteInsert => None,
            MergeStrategy::Upsert => Some(Self::Last),
            // Of a slowly changing dimension the versions are alike: the id is made of all that is in them.
            MergeStrategy::InsertOnly | MergeStrategy::Scd2(_) => Some(Self::First),
        }
    }
}

/// What one stream brought to one table.
pub(super) struct Taken {
    pub(super) stream: usize,
    pub(super) table: String,
    pub(super) is_root: bool,
    pub(super) keep: Option<Keep>,
    /// Of each row, the number of the record that it belongs to, counted per stream; empty without `keep`.
    pub(super) records: Vec<u32>,
    pub(super) batch: RecordBatch,
}

/// Drops the rows of all versions but one. Two streams may fill one table: the later stream's version is the later one.
pub(super) fn drop_superseded(taken: &mut [Taken]) -> Result<(), ArrowError> {
    let superseded = superseded(taken);
    if superseded.is_empty() {
        return Ok(());
    }
    for part in taken {
        let Some(gone) = superseded.get(&part.stream) else { continue };
        let stays: BooleanArray = part.records.iter().map(|record| Some(!gone[*record as usize])).collect();
        part.batch = filter_record_batch(&part.batch, &stays)?;
    }
    Ok(())
}

/// By stream: of each record, whether another version of it stays.
fn superseded(taken: &[Taken]) -> HashMap<usize, Vec<bool>> {
    let roots = taken.iter().filter(|part| part.is_root);
    let counts: HashMap<usize, usize> = roots.map(|part| (part.stream, part.batch.num_rows())).collect();
    let mut staying: HashMap<(&str, &str), (usize, usize)> = HashMap::new();
    let mut superseded: HashMap<usize, Vec<bool>> = HashMap::new();
    for part in taken.iter().filter(|part| part.is_root) {
        let Some(keep) = part.keep else { continue };
        let Some(ids) = part.batch.column_by_name("_dlt_id").and_then(|ids| ids.as_string_opt::<i32>()) else {
            continue;
        };
        for (record, id) in ids.iter().enumerate() {
            let this = (part.stream, record);
            let (stream, gone) = match staying.entry((&part.table, id.unwrap_or_default())) {
                Entry::Vacant(place) => {
                    place.insert(this);
                    continue;
                }
                Entry::Occupied(mut place) if keep == Keep::Last => place.insert(this),
                Entry::Occupied(_) => this,
            };
            let count = counts.get(&stream).copied().unwrap_or(0);
            superseded.entry(stream).or_insert_with(|| vec![false; count])[gone] = true;
        }
    }
    superseded
}
