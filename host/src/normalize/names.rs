//! Which names are taken: two keys never share a column, two streams or lists never share a table unless somebody says so.
//!
//! The schema remembers which key a column or a child table belongs to, so that every later run finds it again, whatever
//! comes first. Names are compared without regard to case, as most databases do.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};

use crate::schema::{Column, Naming, Schema, StreamPlan, StreamSpec, TableSchema, fold};

/// The hint that remembers the key of a column.
pub(super) const ORIGINAL_KEY: &str = "x-original-key";

/// In bytes.
const LONGEST_REMEMBERED: usize = 256;

/// Adds a key to the keys that lead to it: a point stands between them, and a backslash before points of their own.
pub(super) fn key_path(outer: &str, key: &str) -> String {
    let mut path = String::with_capacity(outer.len() + key.len() + 1);
    path.push_str(outer);
    if !outer.is_empty() {
        path.push('.');
    }
    for character in key.chars() {
        if matches!(character, '.' | '\\') {
            path.push('\\');
        }
        path.push(character);
    }
    path
}

/// A path as the schema remembers it: of one longer than any key has a reason to be, the beginning and a digest.
pub(super) fn remembered(path: String) -> String {
    if path.len() <= LONGEST_REMEMBERED {
        return path;
    }
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(path.as_bytes()));
    let mut end = LONGEST_REMEMBERED / 2;
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}\\#{digest}", &path[..end])
}

/// What belongs to a key, but is not the key's own: `\|text` at a key for its variant, `\list` for lists in a list. No
/// path of keys looks like that.
pub(super) fn beside_key(path: &str, what: &str) -> String {
    format!("{path}\\|{what}")
}

/// The names in a schema by what databases compare of them, gathered when a table is first asked for.
#[derive(Debug, Default)]
pub(super) struct TakenNames {
    tables: Option<HashMap<String, String>>,
    columns: HashMap<String, HashMap<String, String>>,
    /// Root tables of the streams, which no child table can be called.
    roots: HashSet<String>,
}

impl TakenNames {
    /// The table of a name, if there is one or will be one.
    pub(super) fn table<'s>(&mut self, schema: &'s Schema, name: &str) -> Taken<&'s TableSchema> {
        let folded = fold(name);
        let tables = self.tables.get_or_insert_with(|| {
            super::steps::count(schema.tables.len());
            schema.tables.keys().map(|name| (fold(name).into_owned(), name.clone())).collect()
        });
        match tables.get(&*folded).and_then(|name| schema.tables.get(name)) {
            Some(table) => Taken::By(table),
            None if self.roots.contains(&*folded) => Taken::Kept,
            None => Taken::Free,
        }
    }

    pub(super) fn column<'s>(&mut self, table: &'s TableSchema, name: &str) -> Option<&'s Column> {
        let columns = self.columns.entry(table.name.clone()).or_insert_with(|| {
            super::steps::count(table.columns.len());
            table.columns.keys().map(|name| (fold(name).into_owned(), name.clone())).collect()
        });
        table.columns.get(columns.get(&*fold(name))?)
    }

    pub(super) fn add_table(&mut self, name: &str) {
        if let Some(tables) = &mut self.tables {
            tables.insert(fold(name).into_owned(), name.to_owned());
        }
    }

    pub(super) fn add_column(&mut self, table: &str, name: &str) {
        if let Some(columns) = self.columns.get_mut(table) {
            columns.insert(fold(name).into_owned(), name.to_owned());
        }
    }

    /// What is known of these tables is no longer right.
    pub(super) fn forget<'a>(&mut self, tables: impl Iterator<Item = &'a String>) {
        self.tables = None;
        for table in tables {
            self.columns.remove(table);
        }
    }
}

/// Whether a name can still be had.
pub(super) enum Taken<T> {
    Free,
    By(T),
    /// Nothing bears it yet, but it is meant for something.
    Kept,
}

/// The root table of each stream, in their order. Streams of other names never come to one table in silence: they share
/// one if either names it (`table_name`), otherwise the later one gets another.
pub(super) fn root_tables(
    specs: &[StreamSpec],
    others: &[String],
    naming: &Naming,
    schema: &Schema,
    names: &mut TakenNames,
) -> Vec<String> {
    let named = |spec: &StreamSpec| spec.hints.get("table_name").is_some_and(serde_json::Value::is_string);
    // Streams that come to a table by their name alone, whether they run now or not.
    let unnamed: IndexMap<&str, String> = specs
        .iter()
        .filter(|spec| !named(spec))
        .map(|spec| spec.name.as_str())
        .chain(others.iter().map(String::as_str))
        .map(|name| (name, naming.table(name)))
        .collect();
    // Their tables, and whether they name them.
    let mut roots: HashMap<String, (String, bool)> = HashMap::new();
    let mut tables = Vec::new();
    for spec in specs {
        let (plain, is_named) = (StreamPlan::table_name(spec, naming), named(spec));
        let free = |candidate: String| {
            if let Some((table, other_is_named)) = roots.get(&*fold(&candidate)) {
                return (is_named || *other_is_named).then(|| table.clone());
            }
            let Taken::By(known) = names.table(schema, &candidate) else { return Some(candidate) };
            let is_others = || unnamed.get(known.stream.as_str()).is_some_and(|table| *table == plain);
            let fits = known.parent.is_none() && (is_named || known.stream == spec.name || !is_others());
            fits.then(|| known.name.clone())
        };
        let table = naming.candidates(&plain, &spec.name).find_map(free).unwrap_or_else(|| plain.clone());
        roots.entry(fold(&table).into_owned()).or_insert((table.clone(), is_named));
        tables.push(table);
    }
    names.roots = roots.into_keys().collect();
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_keys_are_never_alike() {
        let nested = key_path(&key_path("", "a"), "b");
        let paths = [
            nested.clone(),
            key_path("", "a.b"),
            key_path("", "a\\.b"),
            beside_key("a", "text"),
            key_path("", "a\\|text"),
        ];
        let all: HashSet<&String> = paths.iter().collect();
        assert_eq!((all.len(), nested.as_str()), (5, "a.b"));
        let (one, other) = (remembered("ü".repeat(600_000) + "1"), remembered("ü".repeat(600_000) + "2"));
        assert!(one != other && one.len() < 256, "{one}");
    }
}
