//! What a run is to do, resolved once from what was typed, and where it begins: which passes go on, which begin, and what
//! is taken back of those that can't go on.

use std::collections::BTreeMap;

use crate::package::TakenBack;
use crate::state::{Names, Pass, State};
use crate::streams::Streams;

/// What is read, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMode {
    /// The streams whose rows are wanted.
    pub consumers: Names,
    /// Reads them from the beginning and replaces their tables.
    pub full_refresh: bool,
}

/// The beginning of a run.
#[derive(Debug)]
pub struct Beginning {
    /// The stored state, with the passes of this run.
    pub state: State,
    /// The passes of this run.
    pub passes: Vec<u64>,
    /// Passes that can't go on, each under the number of the one that reads its streams from their beginning instead.
    pub replaced: BTreeMap<u64, Vec<(u64, Pass)>>,
    /// A pass goes on that an earlier run began.
    pub resumed: bool,
    /// Streams whose pass can't go on, because connector or configuration have changed.
    pub changed: Names,
}

impl Beginning {
    /// What is stored, as long as nothing has happened.
    pub fn stored(&self) -> State {
        let mut state = self.state.clone();
        state.passes.retain(|_, pass| pass.has_progress());
        state.passes.extend(self.replaced.values().flatten().cloned());
        state
    }
}

impl RunMode {
    /// Goes on with the passes whose consumers are wanted, and begins others for the rest. What a pass does for consumers
    /// that are not wanted now stays as it is, for the run that wants them.
    pub fn begin(&self, mut state: State, streams: &Streams, fingerprint: &str) -> Beginning {
        let (mut passes, mut changed, mut given_up) = (Vec::new(), Names::new(), Vec::new());
        let mut open = self.consumers.clone();
        for (mut number, mut pass) in std::mem::take(&mut state.passes) {
            // Streams that the configuration no longer has are never wanted again.
            pass.consumers.retain(|consumer| streams.get(consumer).is_some());
            let wanted = pass.split(&self.consumers);
            if !pass.consumers.is_empty() {
                state.passes.insert(number, pass);
                number = state.next_pass();
            }
            if wanted.consumers.is_empty() {
                continue;
            }
            let fits = wanted.fingerprint == fingerprint;
            if fits && (wanted.full_refresh || !self.full_refresh) {
                open.retain(|consumer| !wanted.consumers.contains(consumer));
                passes.push(number);
                state.passes.insert(number, wanted);
                continue;
            }
            if !fits {
                changed.extend(wanted.consumers.iter().cloned());
            }
            given_up.push((number, wanted));
        }
        let resumed = !passes.is_empty();
        let mut replaced: BTreeMap<u64, Vec<(u64, Pass)>> = BTreeMap::new();
        for consumers in families(&open, streams) {
            let taken = given_up.iter().map(|(number, _)| number.saturating_add(1)).max().unwrap_or(0);
            let number = state.next_pass().max(taken);
            let is_replaced = |(_, pass): &mut (u64, Pass)| !pass.consumers.is_disjoint(&consumers);
            let replaces: Vec<_> = given_up.extract_if(.., is_replaced).collect();
            replaced.insert(number, replaces);
            let full_refresh = self.full_refresh;
            let pass = Pass { fingerprint: fingerprint.to_owned(), consumers, full_refresh, ..Pass::default() };
            state.passes.insert(number, pass);
            passes.push(number);
        }
        Beginning { state, passes, replaced, resumed, changed }
    }
}

/// What a pass appended, and will append again.
pub fn take_back(pass: Pass) -> impl Iterator<Item = TakenBack> {
    pass.appended.into_iter().map(|(stream, loads)| TakenBack { stream, loads })
}

/// Consumers that are read together: those of one root, and those that fill one table, because the rows of two streams in
/// a table can't be told apart when they are taken back.
fn families(consumers: &Names, streams: &Streams) -> Vec<Names> {
    let mut families: Vec<(Names, Names)> = Vec::new();
    for consumer in consumers {
        let Some(spec) = streams.get(consumer) else { continue };
        let marks = [format!("root {}", streams.root_of(consumer)), format!("table {}", spec.table())];
        let mut family = (Names::from([consumer.clone()]), Names::from(marks));
        families.retain_mut(|other| {
            let apart = other.1.is_disjoint(&family.1);
            if !apart {
                family.0.append(&mut other.0);
                family.1.append(&mut other.1);
            }
            apart
        });
        families.push(family);
    }
    families.into_iter().map(|(consumers, _)| consumers).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::schema::{StreamSpec, WriteDisposition};
    use crate::state::StreamProgress;

    fn streams() -> Streams {
        let stream = |name: &str, parent: Option<&str>, table: Option<&str>| StreamSpec {
            name: name.to_owned(),
            parent: parent.map(str::to_owned),
            selected: true,
            primary_key: Vec::new(),
            merge_key: Vec::new(),
            cursor_field: None,
            write_disposition: WriteDisposition::Append,
            hints: table.map_or_else(Map::new, |table| Map::from_iter([("table_name".to_owned(), table.into())])),
        };
        Streams::new([
            stream("posts", None, None),
            stream("comments", Some("posts"), None),
            stream("users", None, Some("people")),
            stream("guests", None, Some("people")),
        ])
    }

    fn names(text: &str) -> Names {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn begin(state: State, consumers: &str, full_refresh: bool, fingerprint: &str) -> Beginning {
        RunMode { consumers: names(consumers), full_refresh }.begin(state, &streams(), fingerprint)
    }

    /// The consumers of the passes of a run.
    fn passes(beginning: &Beginning) -> Vec<Names> {
        beginning.passes.iter().map(|pass| beginning.state.passes[pass].consumers.clone()).collect()
    }

    /// A state with a pass that has appended something for each of its consumers.
    fn unfinished(consumers: &str, full_refresh: bool) -> State {
        let consumers = names(consumers);
        let appended = consumers.iter().map(|stream| (stream.clone(), vec!["1".to_owned()])).collect();
        let progress = StreamProgress { staged: full_refresh, ..StreamProgress::default() };
        let streams = consumers.iter().map(|stream| (stream.clone(), progress.clone())).collect();
        let pass = Pass { fingerprint: "f".to_owned(), consumers, full_refresh, appended, streams };
        State { passes: BTreeMap::from([(4, pass)]), ..State::default() }
    }

    #[test]
    fn a_family_is_read_together_and_so_is_a_shared_table() {
        let beginning = begin(State::default(), "posts comments users guests", false, "f");
        assert_eq!(passes(&beginning), [names("comments posts"), names("guests users")]);
        assert!(!beginning.resumed);
        assert_eq!(beginning.stored(), State::default());
    }

    #[test]
    fn a_run_goes_on_with_what_it_wants_and_leaves_the_rest() {
        let beginning = begin(unfinished("posts comments", false), "comments users", false, "f");
        assert_eq!(passes(&beginning), [names("comments"), names("users")]);
        assert!(beginning.resumed);
        assert_eq!(beginning.state.passes[&4].consumers, names("posts"));
        // The run after it wants both.
        let next = begin(beginning.stored(), "posts comments", false, "f");
        assert_eq!(passes(&next), [names("posts"), names("comments")]);
    }

    #[test]
    fn a_refresh_is_a_refresh_until_it_is_done() {
        let beginning = begin(unfinished("posts comments", true), "posts comments", false, "f");
        assert!(beginning.state.passes[&beginning.passes[0]].full_refresh);
        let beginning = begin(unfinished("posts comments", false), "posts comments", true, "f");
        assert_eq!(passes(&beginning), [names("comments posts")]);
        assert_eq!(beginning.replaced[&beginning.passes[0]].len(), 1);
        assert_eq!(beginning.stored(), unfinished("posts comments", false));
    }

    #[test]
    fn another_configuration_begins_anew_and_takes_back() {
        let beginning = begin(unfinished("posts comments", false), "comments", false, "g");
        assert_eq!(beginning.changed, names("comments"));
        let replaced = &beginning.replaced[&beginning.passes[0]];
        let taken: Vec<TakenBack> = replaced.iter().flat_map(|(_, pass)| take_back(pass.clone())).collect();
        assert_eq!(taken, [TakenBack { stream: "comments".to_owned(), loads: vec!["1".to_owned()] }]);
        assert_eq!(beginning.state.passes[&4].consumers, names("posts"));
    }
}
