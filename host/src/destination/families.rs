//! The tables of a package's schema by their parents, gathered once: how many there are is up to foreign data.

use std::collections::HashMap;

use crate::package::{LoadPackage, Replacement};
use crate::schema::{Schema, TableSchema};

pub(crate) struct Families<'a> {
    schema: &'a Schema,
    children: HashMap<&'a str, Vec<&'a TableSchema>>,
    roots: HashMap<&'a str, &'a TableSchema>,
    replaced: HashMap<&'a str, &'a Replacement>,
}

impl<'a> Families<'a> {
    pub(crate) fn of(package: &'a LoadPackage) -> Self {
        let schema = &package.schema;
        let mut children: HashMap<&str, Vec<&TableSchema>> = HashMap::new();
        for table in schema.tables.values() {
            if let Some(parent) = &table.parent {
                children.entry(parent).or_default().push(table);
            }
        }
        let roots = schema
            .tables
            .values()
            .map(|table| (table.name.as_str(), schema.tables.get(schema.root_of(&table.name)).unwrap_or(table)));
        let replaced = package.replaced.iter().map(|replaced| (replaced.stream.as_str(), replaced)).collect();
        Self { schema, children, roots: roots.collect(), replaced }
    }

    /// The table at the top of a table's line of parents.
    pub(crate) fn root(&self, table: &'a TableSchema) -> &'a TableSchema {
        self.roots.get(table.name.as_str()).copied().unwrap_or(table)
    }

    pub(crate) fn roots(&self) -> impl Iterator<Item = &'a TableSchema> {
        self.schema.tables.values().filter(|table| table.parent.is_none())
    }

    /// A root table and all tables below it, parents before children.
    pub(crate) fn family(&self, root: &'a TableSchema) -> Vec<&'a TableSchema> {
        let mut family = vec![root];
        let mut next = 0;
        while let Some(parent) = family.get(next) {
            let children = self.children.get(parent.name.as_str()).into_iter().flatten();
            family.extend(children.copied());
            next += 1;
        }
        family
    }

    /// What a package says of the stream of a root table.
    pub(crate) fn replacement(&self, root: &TableSchema) -> Option<&'a Replacement> {
        self.replaced.get(root.stream.as_str()).copied()
    }

    /// Whether all rows that replace a stream's tables are in this package.
    pub(crate) fn is_replaced_at_once(&self, root: &TableSchema) -> bool {
        root.write_disposition == crate::schema::WriteDisposition::Replace
            && self.replacement(root).is_some_and(|replaced| replaced.begins && replaced.ends)
    }
}
