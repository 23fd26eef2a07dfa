//! What becomes of packages once the destination has refused a table: the streams that fill it, and their family, are left
//! out of that package and of all later ones, in rows and in progress. The others go on.

use std::collections::HashSet;

use crate::destination;
use crate::error::{Error, Result};
use crate::extract::Control;
use crate::mode::Beginning;
use crate::package::LoadPackage;
use crate::schema::Schema;
use crate::state::{Names, State};

pub(crate) struct Refused {
    /// The consumers of each pass.
    families: Vec<Names>,
    control: Control,
    /// As the last loaded package left it.
    state: State,
    schema: Schema,
    given_up: Names,
    failed: Vec<(String, Error)>,
}

impl Refused {
    /// `schema`: as the destination has it before the run.
    pub(crate) fn new(beginning: &Beginning, control: Control, schema: Schema) -> Self {
        let passes = beginning.passes.iter().filter_map(|pass| beginning.state.passes.get(pass));
        let families = passes.map(|pass| pass.consumers.clone()).collect();
        let (given_up, failed) = (Names::new(), Vec::new());
        Self { families, control, state: beginning.stored(), schema, given_up, failed }
    }

    /// Gives up the streams of the table that an error is about. Any other error is handed back.
    pub(crate) fn give_up(&mut self, error: Error, package: &LoadPackage) -> Result<()> {
        let root = destination::refused_table(&error)
            .and_then(|table| package.schema.tables.get(package.schema.root_of(table)));
        let Some(root) = root.filter(|root| !self.given_up.contains(&root.stream)) else { return Err(error) };
        for stream in std::iter::once(&root.stream).chain(&root.shared_with) {
            let family = self.families.iter().find(|family| family.contains(stream));
            self.given_up.extend(family.into_iter().flatten().cloned());
            self.given_up.insert(stream.clone());
        }
        self.control.give_up_consumers(&self.given_up);
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
        state.restore(&self.state, &self.given_up);
        !(tables.is_empty() && replaced.is_empty() && taken_back.is_empty() && *state == self.state)
    }

    pub(crate) fn loaded(&mut self, package: &LoadPackage) {
        self.state.clone_from(&package.state);
        self.schema.clone_from(&package.schema);
    }

    /// The streams that were given up, and those of them whose tables were refused, each with the reason.
    pub(crate) fn into_parts(self) -> (Names, Vec<(String, Error)>) {
        (self.given_up, self.failed)
    }
}
