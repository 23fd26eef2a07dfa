//! The rows of one table since the last take, and what was learnt about the keys that lead to its columns.
//!
//! Must never change the schema: `growth` does, and tells this table what became of a key.

use std::collections::HashMap;

use super::column::ColumnRows;
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
    /// The parent row that was the last to bring a list.
    pub(super) owner: u64,
}

#[derive(Debug)]
pub(super) struct Required {
    pub(super) name: String,
    pub(super) column: Option<usize>,
    pub(super) primary_key: bool,
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
    /// The row that had it last, and where on that row's tape.
    pub(super) seen: u64,
    pub(super) position: usize,
    pub(super) column: Slot,
    pub(super) object: Slot,
    pub(super) list: Slot,
    pub(super) primary_key: bool,
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
            owner: 0,
        }
    }

    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(super) fn add_column(&mut self, column: &Column) -> usize {
        let index = self.columns.len();
        self.columns.push(ColumnRows::new(column));
        self.by_name.insert(column.name.clone(), index);
        index
    }

    /// Whether the row that is being written has a value in the column.
    pub(super) fn has_value(&self, column: usize) -> bool {
        self.columns[column].len() > self.rows
    }

    /// Takes back what was written of the row that is being written.
    pub(super) fn forget_row(&mut self) {
        for column in &mut self.columns {
            column.truncate(self.rows);
        }
    }

    /// The name of a required column without a value in the row that is being written.
    pub(super) fn missing(&mut self) -> Option<(String, bool)> {
        let mut required = std::mem::take(&mut self.required);
        let mut missing = None;
        for column in &mut required {
            column.column = column.column.or_else(|| self.column(&column.name));
            if !column.column.is_some_and(|index| self.has_value(index)) {
                missing = Some((column.name.clone(), column.primary_key));
                break;
            }
        }
        self.required = required;
        missing
    }

    pub(super) fn size(&self) -> usize {
        self.columns.iter().map(ColumnRows::size).sum()
    }

    /// The field of a key. Records mostly repeat their keys in order, so the place after the last one is tried first.
    pub(super) fn field(&mut self, shape: usize, key: &str, guess: usize, naming: &Naming) -> usize {
        let shape = &mut self.shapes[shape];
        if shape.fields.get(guess).is_some_and(|field| *field.key == *key) {
            return guess;
        }
        match shape.by_key.get(key) {
            Some(&field) => field,
            None => shape.add(key, naming),
        }
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
            position: 0,
            column: Slot::Unknown,
            object: Slot::Unknown,
            list: Slot::Unknown,
            primary_key: false,
        });
        self.by_key.insert(key.into(), index);
        index
    }

    /// The keys that lead to a field's values, as the record has them.
    pub(super) fn original_key(&self, field: usize) -> String {
        let key = &self.fields[field].key;
        if self.original.is_empty() { key.to_string() } else { format!("{}.{key}", self.original) }
    }

    /// The name of a field before it was shortened.
    pub(super) fn path(&self, field: usize, naming: &Naming) -> String {
        join(&self.prefix, &naming.path(&self.fields[field].key))
    }

    pub(super) fn fragment(&self, field: usize, naming: &Naming) -> String {
        naming.path(&self.fields[field].key)
    }
}
