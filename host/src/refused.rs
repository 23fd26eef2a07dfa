//! What becomes of packages once the destination has refused a table: the streams that fill it, and their family, are left
//! out of that package and of all later ones, in rows and in progress. The others go on.

use std::collections::HashSet;

use crate::destination;
use crate::error::{Error, Result};
use crate::extract::Control;
use crate::package::LoadPackage;
use crate::schema::{Schema, StreamSpec};
use crate::state::State;

pub(crate) struct Refused {
    streams: Vec<StreamSpec>,
    control: Control,
    /// As the last loaded package left it.
    state: State,
    schema: Schema,
    given_up: HashSet<String>,
    failed: Vec<(String, Error)>,
}

impl Refused {
    /// `state` and `schema`: as the destination has them before the run.
    pub(crate) fn new(streams: Vec<StreamSpec>, control: Control, state: State, schema: Schema) -> Self {
        Self { streams, control, state, schema, given_up: HashSet::new(), failed: Vec::new() }
    }

    /// Gives up the streams of the table that an error is about. Any other error is handed back.
    pub(crate) fn give_up(&mut self, error: Error, package: &LoadPackage) -> Result<()> {
        let root = destination::refused_table(&error)
            .and_then(|table| package.schema.tables.get(package.schema.root_of(table)));
        let Some(root) = root.filter(|root| !self.given_up.contains(&root.stream)) else { return Err(error) };
        let filling: Vec<String> = std::iter::once(&root.stream).chain(&root.shared_with).cloned().collect();
        for stream in &filling {
            self.control.give_up(stream);
            let top = self.top(stream).to_owned();
            let family = self.streams.iter().map(|other| &other.name).filter(|name| self.top(name) == top);
            let family: Vec<String> = family.cloned().collect();
            self.given_up.extend(family);
            self.given_up.insert(stream.clone());
        }
        let stream = root.stream.clone();
        self.failed.push((stream.clone(), error.with_context("stream", stream)));
        Ok(())
    }

    /// Takes out of a package what belongs to streams that were given up. Says whether anything is left to load.
    pub(crate) fn strip(&self, package: &mut LoadPackage) -> bool {
        if self.given_up.is_empty() {
            return true;
        }
        let LoadPackage { tables, schema, state, replaced, taken_back, .. } = package;
        let theirs: HashSet<String> = schema
            .tables
            .keys()
            .filter(|name| {
                let root = schema.tables.get(schema.root_of(name));
                root.is_some_and(|root| self.given_up.iter().any(|stream| root.is_filled_by(stream)))
            })
            .cloned()
            .collect();
        tables.retain(|rows| !theirs.contains(&rows.table));
        replaced.retain(|replaced| !self.given_up.contains(&replaced.stream));
        taken_back.retain(|taken| !self.given_up.contains(&taken.stream));
        schema.tables.retain(|name, table| match self.schema.tables.get(name) {
            _ if !theirs.contains(name) => true,
            Some(before) => {
                table.clone_from(before);
                true
            }
            None => false,
        });
        for stream in &self.given_up {
            restore(state, &self.state, stream);
        }
        !(tables.is_empty() && replaced.is_empty() && taken_back.is_empty() && *state == self.state)
    }

    pub(crate) fn loaded(&mut self, package: &LoadPackage) {
        self.state.clone_from(&package.state);
        self.schema.clone_from(&package.schema);
    }

    /// The streams that were given up, and those of them whose tables were refused, each with the reason.
    pub(crate) fn into_parts(self) -> (HashSet<String>, Vec<(String, Error)>) {
        (self.given_up, self.failed)
    }

    /// The stream at the top of a stream's line of parents.
    fn top<'s>(&'s self, stream: &'s str) -> &'s str {
        let mut name = stream;
        for _ in 0..self.streams.len() {
            match self.streams.iter().find(|spec| spec.name == name).and_then(|spec| spec.parent.as_deref()) {
                Some(parent) => name = parent,
                None => break,
            }
        }
        name
    }
}

/// Makes what is remembered of a stream what it was.
fn restore(state: &mut State, before: &State, stream: &str) {
    match before.streams.get(stream) {
        Some(known) => drop(state.streams.insert(stream.to_owned(), known.clone())),
        None => drop(state.streams.remove(stream)),
    }
    let progress = before.run.as_ref().and_then(|run| Some((run, run.streams.get(stream)?)));
    match (progress, &mut state.run) {
        (Some((run, progress)), now) => {
            let now = now.get_or_insert_with(|| {
                let mut empty = run.clone();
                empty.streams.clear();
                empty
            });
            now.streams.insert(stream.to_owned(), progress.clone());
        }
        (None, Some(run)) => drop(run.streams.remove(stream)),
        (None, None) => {}
    }
}
