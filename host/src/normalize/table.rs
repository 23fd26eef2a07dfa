//! The rows of one table since the last take, and what was learnt about the keys that lead to its columns.
//!
//! Must never change the schema: `growth` does, and tells this table what became of a key.

use std::collections::HashMap;

use super::coerce::Scalar;
use super::column::{ColumnRows, Refusal};
use super::names::key_path;
use super::steps;
use crate::schema::{Column, DataType, Naming, join};

/// What one stream adds to one table.
#[derive(Debug)]
pub(super) struct TableRows {
    pub(super) name: String,
    /// The name before it was shortened: names of nested tables grow from it.
    pub(super) path: String,
    pub(super) parent: Option<usize>,
    /// Levels of nesting that are still taken apart in its rows.
    pub(super) level: usize,
    pub(super) rows: usize,
    /// Of each row, which record it belongs to; kept only where records may supersede each other.
    pub(super) records: Vec<u32>,
    pub(super) columns: Vec<ColumnRows>,
    by_name: HashMap<String, usize>,
    /// The objects that are flattened into a row; the first is the row itself.
    pub(super) shapes: Vec<Shape>,
    /// Columns that a row can't do without.
    pub(super) required: Vec<Required>,
    /// dlt's columns, in the order in which they are written; empty before the first row.
    pub(super) system: Vec<usize>,
    /// Where values go that do not fit a column, by column and by their own type.
    pub(super) variants: HashMap<(usize, DataType), Slot>,
    /// It was there before the rows since the last take: the contract for columns applies.
    pub(super) settled: bool,
    /// Columns with a value in the row that is being written.
    written: Vec<usize>,
    /// Bytes of its columns.
    pub(super) bytes: usize,
    /// Keys that are known of all its shapes.
    pub(super) keys: usize,
}

#[derive(Debug)]
pub(super) struct Required {
    pub(super) name: String,
    pub(super) column: Option<usize>,
    pub(super) primary_key: bool,
    /// A row that is to be deleted may lack it.
    pub(super) spared_by_deletion: bool,
}

/// An object whose keys become columns of the row.
#[derive(Debug)]
pub(super) struct Shape {
    /// Normalized names of the keys that lead to it.
    prefix: String,
    /// The keys themselves, which tell colliding names apart.
    original: String,
    pub(super) level: usize,
    pub(super) fields: Vec<Field>,
    by_key: HashMap<Box<str>, usize>,
}

/// A key, and where its values go: scalars, objects and lists apart, as the same key may bring any of them.
#[derive(Debug)]
pub(super) struct Field {
    key: Box<str>,
    /// The full name of its column.
    pub(super) name: String,
    /// The row that had it last.
    pub(super) seen: u64,
    pub(super) column: Slot,
    pub(super) object: Slot,
    pub(super) list: Slot,
    pub(super) primary_key: bool,
    pub(super) hard_delete: bool,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Not met yet.
    Unknown,
    /// Index of a column, a shape or a table, depending on the kind of value.
    At(usize),
    /// An object or a list that is kept as JSON.
    Json,
    /// The contract leaves the value out.
    DiscardValue,
    /// The contract leaves the row out.
    DiscardRow,
}

impl TableRows {
    pub(super) fn new(name: String, path: String, parent: Option<usize>, level: usize, settled: bool) -> Self {
        let row = Shape::new(String::new(), String::new(), level);
        Self {
            name,
            path,
            parent,
            level,
            rows: 0,
            records: Vec::new(),
            columns: Vec::new(),
            by_name: HashMap::new(),
            shapes: vec![row],
            required: Vec::new(),
            system: Vec::new(),
            variants: HashMap::new(),
            settled,
            written: Vec::new(),
            bytes: 0,
            keys: 0,
        }
    }

    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// `is_hinted`: the column's type is the user's own choice. `limits_text`: no text is longer than its precision.
    pub(super) fn add_column(&mut self, column: &Column, is_hinted: bool, limits_text: bool) -> usize {
        let index = self.columns.len();
        self.columns.push(ColumnRows::new(column, is_hinted, limits_text));
        self.by_name.insert(column.name.clone(), index);
        index
    }

    /// Whether the row that is being written has a value in the column.
    pub(super) fn has_value(&self, column: usize) -> bool {
        self.columns[column].len() > self.rows
    }

    /// Sets a value of the row that is being written.
    pub(super) fn set(&mut self, column: usize, value: Scalar<'_>) -> Result<(), Refusal> {
        self.write(column, |values, row| values.set(row, value))
    }

    /// As `set`, for the ids and the load id.
    pub(super) fn set_text(&mut self, column: usize, text: &[u8]) -> Result<(), Refusal> {
        self.write(column, |values, row| values.set_text(row, text))
    }

    fn write(
        &mut self,
        column: usize,
        write: impl FnOnce(&mut ColumnRows, usize) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        steps::count(1);
        let values = &mut self.columns[column];
        let before = values.size();
        let written = write(values, self.rows);
        self.bytes += values.size().saturating_sub(before);
        if written.is_ok() {
            self.written.push(column);
        }
        written
    }

    /// The row that is being written is complete.
    pub(super) fn end_row(&mut self) {
        self.written.clear();
        self.rows += 1;
    }

    /// Takes back what was written of the row that is being written.
    pub(super) fn forget_row(&mut self) {
        steps::count(self.written.len());
        for column in self.written.drain(..) {
            let values = &mut self.columns[column];
            let before = values.size();
            values.truncate(self.rows);
            self.bytes = self.bytes.saturating_sub(before.saturating_sub(values.size()));
        }
    }

    /// Forgets what was learnt about keys, but not the columns.
    pub(super) fn forget_keys(&mut self) {
        self.shapes = vec![Shape::new(String::new(), String::new(), self.level)];
        self.keys = 0;
    }

    /// The name of a required column without a value in the row that is being written. One that is only to be deleted
    /// needs no more than its key.
    pub(super) fn missing(&mut self, is_deleted: bool) -> Option<(String, bool)> {
        let mut required = std::mem::take(&mut self.required);
        let mut missing = None;
        for column in required.iter_mut().filter(|column| !(is_deleted && column.spared_by_deletion)) {
            column.column = column.column.or_else(|| self.column(&column.name));
            if !column.column.is_some_and(|index| self.has_value(index)) {
                missing = Some((column.name.clone(), column.primary_key));
                break;
            }
        }
        self.required = required;
        missing
    }

    /// The field of a key. Records mostly repeat their keys in order, so the place after the last one is tried first.
    pub(super) fn field(&mut self, shape: usize, key: &str, guess: usize, naming: &Naming) -> usize {
        match self.known_field(shape, key, guess) {
            Some(field) => field,
            None => {
                self.keys += 1;
                self.shapes[shape].add(key, naming)
            }
        }
    }

    /// As `field`, for a key that has no value: there is nothing to remember of one that is not known yet.
    pub(super) fn known_field(&self, shape: usize, key: &str, guess: usize) -> Option<usize> {
        steps::count(1);
        let shape = &self.shapes[shape];
        if shape.fields.get(guess).is_some_and(|field| *field.key == *key) {
            return Some(guess);
        }
        shape.by_key.get(key).copied()
    }

    /// The shape of the object behind a field.
    pub(super) fn add_shape(&mut self, shape: usize, field: usize, fragment: &str) -> usize {
        let outer = &self.shapes[shape];
        let original = outer.original_key(field);
        let inner = Shape::new(join(&outer.prefix, fragment), original, outer.level.saturating_sub(1));
        self.shapes.push(inner);
        self.shapes.len() - 1
    }
}

impl Shape {
    fn new(prefix: String, original: String, level: usize) -> Self {
        Self { prefix, original, level, fields: Vec::new(), by_key: HashMap::new() }
    }

    fn add(&mut self, key: &str, naming: &Naming) -> usize {
        let index = self.fields.len();
        let name = naming.nested(&self.prefix, &naming.path(key));
        self.fields.push(Field {
            key: key.into(),
            name,
            seen: 0,
            column: Slot::Unknown,
            object: Slot::Unknown,
            list: Slot::Unknown,
            primary_key: false,
            hard_delete: false,
        });
        self.by_key.insert(key.into(), index);
        index
    }

    /// The keys that lead to a field's values, as the record has them.
    pub(super) fn original_key(&self, field: usize) -> String {
        key_path(&self.original, &self.fields[field].key)
    }

    /// Whether a field's key is also its column's name, so that nothing else is meant by that name.
    pub(super) fn is_plain(&self, field: usize) -> bool {
        self.original.is_empty() && *self.fields[field].key == *self.fields[field].name
    }

    /// The name of a field before it was shortened.
    pub(super) fn path(&self, field: usize, naming: &Naming) -> String {
        join(&self.prefix, &naming.path(&self.fields[field].key))
    }

    pub(super) fn fragment(&self, field: usize, naming: &Naming) -> String {
        naming.path(&self.fields[field].key)
    }
}
