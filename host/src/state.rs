//! What a pipeline remembers from run to run: how far each stream was read, and what unfinished passes have left to do.
//!
//! A **pass** reads a family of streams (a root and what hangs on it) once, for the sake of its **consumers**: the streams
//! whose rows are wanted. Positions are kept per consumer, because a parent may have been read further for its own rows
//! than for those of a child that was not selected. They move when a pass is finished and not before, so that a pass
//! which is given up leaves them as they were.
//!
//! Small by design: a pass keeps the partitions still to be read of the parent pages already loaded, never a list that
//! grows with the data; of finished partitions only those with something to remember leave a state.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The names of streams.
pub type Names = BTreeSet<String>;

/// The version of this layout.
pub const VERSION: u32 = 2;

/// The state of a pipeline. Written with every load package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Of this layout.
    pub version: u32,
    /// What finished passes reached, by stream.
    #[serde(default)]
    pub streams: BTreeMap<String, Positions>,
    /// What is not finished, by a number of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub passes: BTreeMap<u64, Pass>,
}

impl Default for State {
    fn default() -> Self {
        Self { version: VERSION, streams: BTreeMap::new(), passes: BTreeMap::new() }
    }
}

impl State {
    /// How far a partition of a stream was read for a consumer.
    pub fn position(&self, stream: &str, consumer: &str, partition: &str) -> Option<&str> {
        self.streams.get(stream)?.of(consumer)?.partition(partition)
    }

    /// A pass is finished: what it reached for each of its consumers counts from now on.
    pub fn finish(&mut self, pass: Pass) {
        if pass.full_refresh {
            for positions in self.streams.values_mut() {
                pass.consumers.iter().for_each(|consumer| positions.set(consumer, Position::default()));
            }
        }
        for (stream, progress) in pass.streams {
            let positions = self.streams.entry(stream).or_default();
            for reached in progress.reached.0 {
                for consumer in &reached.consumers {
                    let mut position = positions.of(consumer).cloned().unwrap_or_default();
                    position.partitions.extend(reached.partitions.clone());
                    positions.set(consumer, position);
                }
            }
        }
        self.streams.values_mut().for_each(Positions::tidy);
        self.streams.retain(|_, positions| !positions.0.is_empty());
    }

    /// Makes what is remembered for these consumers what it was before.
    pub fn restore(&mut self, before: &Self, consumers: &Names) {
        let is_theirs = |pass: &Pass| !pass.consumers.is_disjoint(consumers);
        self.passes.retain(|_, pass| !is_theirs(pass));
        let passes = before.passes.iter().filter(|(_, pass)| is_theirs(pass));
        self.passes.extend(passes.map(|(number, pass)| (*number, pass.clone())));
        for stream in before.streams.keys() {
            self.streams.entry(stream.clone()).or_default();
        }
        for (stream, positions) in &mut self.streams {
            let known = before.streams.get(stream);
            for consumer in consumers {
                positions.set(consumer, known.and_then(|known| known.of(consumer)).cloned().unwrap_or_default());
            }
            positions.tidy();
        }
        self.streams.retain(|_, positions| !positions.0.is_empty());
    }

    /// The texts of connectors in it.
    pub fn bytes(&self) -> usize {
        let of = |positions: &Positions| {
            let reached = positions.0.iter().flat_map(|position| {
                let partitions = position.partitions.iter().map(|(id, checkpoint)| id.len() + checkpoint.len());
                partitions.chain(position.shared.as_ref().map(String::len))
            });
            reached.sum::<usize>()
        };
        let streams = self.passes.values().flat_map(|pass| pass.streams.values());
        let progress = streams.map(|stream| {
            let pending = stream.pending.values().map(|pending| {
                pending.id.len() + pending.data.len() + pending.checkpoint.as_ref().map_or(0, String::len)
            });
            of(&stream.reached) + pending.sum::<usize>()
        });
        self.streams.values().map(of).sum::<usize>() + progress.sum::<usize>()
    }

    /// A number that no pass has.
    pub fn next_pass(&self) -> u64 {
        self.passes.keys().next_back().map_or(0, |last| last.saturating_add(1))
    }
}

/// How far a stream was read, for each of its consumers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Positions(pub Vec<Position>);

/// How far a stream was read for some of its consumers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The stream itself, or streams below it. Empty: whoever has no position of its own.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub consumers: Names,
    /// The last checkpoint of each partition, by its id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partitions: BTreeMap<String, String>,
    /// For partitions without one: what dlt remembered of the whole stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
}

impl Position {
    fn partition(&self, id: &str) -> Option<&str> {
        self.partitions.get(id).or(self.shared.as_ref()).map(String::as_str)
    }

    fn is_empty(&self) -> bool {
        self.partitions.is_empty() && self.shared.is_none()
    }
}

impl Positions {
    pub fn of(&self, consumer: &str) -> Option<&Position> {
        let own = self.0.iter().find(|position| position.consumers.contains(consumer));
        own.or_else(|| self.0.iter().find(|position| position.consumers.is_empty()))
    }

    /// What these consumers, who share their positions, have reached.
    pub fn entry(&mut self, consumers: &Names) -> &mut Position {
        let at = self.0.iter().position(|position| position.consumers == *consumers).unwrap_or_else(|| {
            self.0.push(Position { consumers: consumers.clone(), ..Position::default() });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn set(&mut self, consumer: &str, position: Position) {
        self.0.retain_mut(|position| !position.consumers.remove(consumer) || !position.consumers.is_empty());
        self.0.push(Position { consumers: Names::from([consumer.to_owned()]), ..position });
    }

    /// Consumers at the same place stand together, and nobody stands nowhere.
    fn tidy(&mut self) {
        let mut tidy: Vec<Position> = Vec::new();
        for position in std::mem::take(&mut self.0) {
            let is_own = |other: &&mut Position| other.consumers.is_empty() == position.consumers.is_empty();
            let same =
                |other: &&mut Position| other.partitions == position.partitions && other.shared == position.shared;
            match tidy.iter_mut().filter(is_own).find(same) {
                Some(other) => other.consumers.extend(position.consumers),
                None => tidy.push(position),
            }
        }
        if tidy.iter().all(|position| !position.consumers.is_empty()) {
            tidy.retain(|position| !position.is_empty());
        }
        self.0 = tidy;
    }
}

/// A reading of a family of streams that is under way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    /// Digest of the connector and the configuration: another one can't go on with it.
    pub fingerprint: String,
    /// The streams for whose rows it reads.
    pub consumers: Names,
    /// It reads from the beginning, and its rows take the place of those in the tables.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full_refresh: bool,
    /// The load packages with rows that it appended, by stream: they are taken back if it has to begin anew.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub appended: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub streams: BTreeMap<String, StreamProgress>,
}

/// One stream of a pass.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamProgress {
    /// A root's partitions are known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listed: bool,
    /// Partitions known and not finished, by number, in the order in which they are read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pending: BTreeMap<u64, PendingPartition>,
    /// What finished partitions left, for those that have something to remember.
    #[serde(default, skip_serializing_if = "Positions::is_empty")]
    pub reached: Positions,
    /// Its rows stand beside the tables, which they will take the place of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub staged: bool,
}

/// A partition to be read, or one in the midst of which a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingPartition {
    pub id: String,
    /// The connector's own.
    pub data: String,
    /// For whom it is read.
    pub consumers: Names,
    /// The last checkpoint whose rows are loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

impl Pass {
    /// Whether there is anything in it that another run would have to do again.
    pub fn has_progress(&self) -> bool {
        !self.appended.is_empty()
            || self.streams.values().any(|stream| {
                stream.staged
                    || !stream.reached.is_empty()
                    || stream.pending.values().any(|pending| pending.checkpoint.is_some())
            })
    }

    /// Takes out what is done for these consumers. The rest goes on without them.
    #[must_use]
    pub fn split(&mut self, consumers: &Names) -> Self {
        let of = |all: &Names| -> Names { all.intersection(consumers).cloned().collect() };
        let mut taken = Self {
            fingerprint: self.fingerprint.clone(),
            consumers: of(&self.consumers),
            full_refresh: self.full_refresh,
            ..Self::default()
        };
        self.consumers.retain(|consumer| !consumers.contains(consumer));
        let (appended, streams) = (std::mem::take(&mut self.appended), std::mem::take(&mut self.streams));
        for (stream, loads) in appended {
            let side = if consumers.contains(&stream) { &mut taken } else { &mut *self };
            side.appended.insert(stream, loads);
        }
        for (name, stream) in streams {
            for (side, keep) in [(&mut taken, true), (&mut *self, false)] {
                let wanted = |all: &mut Names| {
                    all.retain(|consumer| consumers.contains(consumer) == keep);
                    !all.is_empty()
                };
                let mut part = stream.clone();
                part.staged &= consumers.contains(&name) == keep;
                part.pending.retain(|_, pending| wanted(&mut pending.consumers));
                part.reached.0.retain_mut(|reached| wanted(&mut reached.consumers));
                side.streams.insert(name.clone(), part);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Names {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn reached(consumers: &str, checkpoint: &str) -> Positions {
        let partitions = BTreeMap::from([("p".to_owned(), checkpoint.to_owned())]);
        Positions(vec![Position { consumers: names(consumers), partitions, shared: None }])
    }

    fn pass(consumers: &str, checkpoint: &str) -> Pass {
        let posts =
            StreamProgress { listed: true, reached: reached(consumers, checkpoint), ..StreamProgress::default() };
        Pass { consumers: names(consumers), streams: BTreeMap::from([("posts".to_owned(), posts)]), ..Pass::default() }
    }

    #[test]
    fn positions_move_for_those_that_a_pass_was_for() {
        let mut state = State::default();
        state.finish(pass("posts comments", "1"));
        assert_eq!(state.streams["posts"], reached("posts comments", "1"));
        state.finish(pass("comments", "2"));
        let at = |state: &State, consumer: &str| state.position("posts", consumer, "p").map(str::to_owned);
        assert_eq!((at(&state, "posts"), at(&state, "comments")), (Some("1".to_owned()), Some("2".to_owned())));
        assert_eq!(at(&state, "likes"), None);
        let before = state.clone();
        state.finish(pass("posts", "2"));
        assert_eq!(state.streams["posts"].0.len(), 1, "who has come equally far stands together");
        state.restore(&before, &names("posts"));
        assert_eq!(at(&state, "posts"), Some("1".to_owned()));
        state.finish(Pass { full_refresh: true, streams: BTreeMap::new(), ..pass("posts comments", "3") });
        assert_eq!(state, State::default());
    }

    #[test]
    fn what_dlt_left_is_everybodys_until_they_have_come_further() {
        let shared = Position { shared: Some("dlt".to_owned()), ..Position::default() };
        let mut state = State::default();
        state.streams.insert("posts".to_owned(), Positions(vec![shared]));
        state.finish(pass("comments", "1"));
        assert_eq!(state.position("posts", "posts", "p"), Some("dlt"));
        assert_eq!(state.position("posts", "comments", "p"), Some("1"));
        assert_eq!(state.position("posts", "comments", "another"), Some("dlt"));
        state.finish(Pass { full_refresh: true, streams: BTreeMap::new(), ..pass("posts", "") });
        assert_eq!(state.position("posts", "posts", "p"), None);
    }

    #[test]
    fn a_pass_splits_by_consumer() {
        let mut whole = pass("posts comments", "1");
        let pending = |consumers: &str| PendingPartition {
            id: consumers.to_owned(),
            data: String::new(),
            consumers: names(consumers),
            checkpoint: None,
        };
        let posts = whole.streams.get_mut("posts").unwrap();
        posts.pending = BTreeMap::from([(1, pending("posts comments")), (2, pending("comments"))]);
        posts.staged = true;
        whole.appended = BTreeMap::from([("posts".to_owned(), vec!["7".to_owned()])]);
        let taken = whole.split(&names("posts likes"));
        let numbers = |pass: &Pass| pass.streams["posts"].pending.keys().copied().collect::<Vec<_>>();
        assert_eq!((numbers(&taken), numbers(&whole)), (vec![1], vec![1, 2]));
        assert_eq!((taken.consumers.clone(), whole.consumers.clone()), (names("posts"), names("comments")));
        assert_eq!(taken.streams["posts"].pending[&1].consumers, names("posts"));
        assert_eq!((taken.streams["posts"].staged, whole.streams["posts"].staged), (true, false));
        assert_eq!((taken.appended.len(), whole.appended.len()), (1, 0));
    }
}
