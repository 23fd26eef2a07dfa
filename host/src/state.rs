//! What a pipeline remembers from run to run: how far each stream came, and what an unfinished run has left to do.
//!
//! Small by design: finished partitions leave one state each up to a limit and one for all beyond it; an unfinished run
//! keeps the partitions still to be read of the parent pages already loaded, never a list that grows with the data.
//! Must never hold a secret or a record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many partitions of a stream keep a state of their own.
pub const PARTITION_STATES: usize = 10_000;

/// The state of a pipeline. Written with every load package.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Of this layout.
    pub version: u32,
    #[serde(default)]
    pub streams: BTreeMap<String, StreamState>,
    /// Present while a run is unfinished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunState>,
}

/// What finished runs left.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamState {
    /// The last checkpoint of each partition, by its id, while there are few.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partitions: BTreeMap<String, String>,
    /// What the connector made of all of them, once there are many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combined: Option<String>,
}

/// What an unfinished run has done and has left to do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Digest of the connector and the configuration: another one can't go on with this run.
    pub fingerprint: String,
    #[serde(default)]
    pub streams: BTreeMap<String, StreamProgress>,
}

/// One stream of an unfinished run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamProgress {
    /// Partitions known and not finished, in the order in which they are read.
    #[serde(default)]
    pub pending: Vec<PendingPartition>,
    /// Nothing is left of it, and its rows have taken effect.
    #[serde(default)]
    pub finished: bool,
    /// What finished partitions reached, made one, once they are too many to be remembered one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<String>,
    /// A `replace` stream's rows stand beside the old table, which they will take the place of.
    #[serde(default)]
    pub staged: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingPartition {
    /// Tells it from others of the same id.
    #[serde(default)]
    pub number: u64,
    pub id: String,
    /// The connector's own.
    pub data: String,
    /// The last checkpoint whose rows are loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// The version of this layout.
pub const VERSION: u32 = 1;

impl State {
    /// What a partition of a stream remembers: its own, or what all of them share once they are many.
    pub fn of_partition(&self, stream: &str, partition: &str) -> Option<&str> {
        let state = self.streams.get(stream)?;
        state.partitions.get(partition).or(state.combined.as_ref()).map(String::as_str)
    }

    /// Above all numbers of pending partitions.
    pub fn next_number(&self) -> u64 {
        let streams = self.run.iter().flat_map(|run| run.streams.values());
        let numbers = streams.flat_map(|progress| &progress.pending).map(|pending| pending.number);
        numbers.max().map_or(0, |number| number.saturating_add(1))
    }

    pub fn combined(&self, stream: &str) -> Option<&str> {
        self.streams.get(stream)?.combined.as_deref()
    }

    /// Forgets an unfinished run that another connector or configuration began. Says whether there was one.
    pub fn forget_foreign_run(&mut self, fingerprint: &str) -> bool {
        self.run.take_if(|run| run.fingerprint != fingerprint).is_some()
    }
}
