//! From a record to rows: objects are flattened into columns, lists become rows of child tables.
//!
//! The order is dlt's: an object's own values first, then those of the objects in it, the last one first; a row before
//! the rows of its lists. Must never lose a value that the contract does not leave out.

use std::collections::HashMap;

use super::coerce::Scalar;
use super::column::Refusal;
use super::row_id::{RandomIds, RowId};
use super::table::{Slot, TableRows};
use super::tape::{Node, Record, Tape, push_json_text};
use super::versions::Keep;
use super::{Options, SchemaChange};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{MergeStrategy, Naming, Schema, StreamPlan, WriteDisposition};

/// What all streams share.
pub(super) struct Context<'a> {
    pub(super) schema: &'a mut Schema,
    /// The schema as of the last take.
    pub(super) settled: &'a Schema,
    pub(super) naming: &'a Naming,
    pub(super) options: &'a Options,
    pub(super) ids: &'a mut RandomIds,
}

/// The rows of one stream since the last take.
#[derive(Debug)]
pub(super) struct StreamRows {
    pub(super) plan: StreamPlan,
    pub(super) tables: Vec<TableRows>,
    pub(super) by_name: HashMap<String, usize>,
    pub(super) changes: Vec<SchemaChange>,
    pub(super) warnings: Vec<String>,
    root: Slot,
    /// Counts rows that were begun, so that a key that comes twice in a row is noticed.
    serial: u64,
    /// The record that is being written, by its place in the root table; none where row ids are random.
    record: Option<u32>,
    objects: Vec<(usize, usize)>,
    lists: Vec<List>,
    keys: Vec<(String, usize)>,
    scratch: String,
    bytes: Vec<u8>,
}

/// A list that waits until its row is written.
#[derive(Debug, Clone, Copy)]
struct List {
    /// Where it was found; none if it is the whole row.
    field: Option<(usize, usize)>,
    position: usize,
}

/// The row that a list belongs to.
#[derive(Debug, Clone, Copy)]
struct Parent {
    id: RowId,
    root: RowId,
}

/// Where a row stands: alone, or in its parent's list.
#[derive(Debug, Clone, Copy)]
struct Place {
    parent: Option<Parent>,
    index: usize,
}

/// How writing a row's own values ended.
enum Written {
    Kept,
    /// The contract leaves the row out.
    Discarded,
    /// The key at this place of the tape comes again later.
    Overridden(usize),
}

impl StreamRows {
    pub(super) fn new(plan: StreamPlan) -> Self {
        Self {
            plan,
            tables: Vec::new(),
            by_name: HashMap::new(),
            changes: Vec::new(),
            warnings: Vec::new(),
            root: Slot::Unknown,
            serial: 0,
            record: None,
            objects: Vec::new(),
            lists: Vec::new(),
            keys: Vec::new(),
            scratch: String::new(),
            bytes: Vec::new(),
        }
    }

    /// Writes the record on the tape, with its child rows.
    pub(super) fn add(&mut self, context: &mut Context<'_>, tape: &mut Tape, page: &str, load_id: &str) -> Result<()> {
        if self.root == Slot::Unknown {
            self.root = self.root_table(context)?;
        }
        self.lists.clear();
        match self.root {
            Slot::At(root) => self.row(context, tape, page, load_id, root, 0, Place { parent: None, index: 0 }),
            _ => Ok(()),
        }
    }

    fn row(
        &mut self,
        context: &mut Context<'_>,
        tape: &mut Tape,
        page: &str,
        load_id: &str,
        table: usize,
        position: usize,
        place: Place,
    ) -> Result<()> {
        let first_list = self.lists.len();
        loop {
            self.serial += 1;
            self.keys.clear();
            match self.values(context, tape.record(page), table, position)? {
                Written::Kept => break,
                Written::Discarded => {
                    self.tables[table].forget_row();
                    self.lists.truncate(first_list);
                    return Ok(());
                }
                Written::Overridden(key) => {
                    tape.override_key(key);
                    self.tables[table].forget_row();
                    self.lists.truncate(first_list);
                }
            }
        }
        if let Some((column, primary_key)) = self.tables[table].missing() {
            return Err(self.missing_value(table, column, primary_key));
        }
        let id = self.row_id(context, tape.record(page), table, place)?;
        self.write_system_columns(context, table, load_id, id, place)?;
        if place.parent.is_none() {
            let number = u32::try_from(self.tables[table].rows).unwrap_or(u32::MAX);
            self.record = Keep::of(&self.plan).map(|_| number);
        }
        self.tables[table].records.extend(self.record);
        self.tables[table].rows += 1;
        let serial = self.serial;
        let parent = Parent { id, root: place.parent.map_or(id, |parent| parent.root) };
        let mut next = first_list;
        while let Some(list) = self.lists.get(next).copied() {
            next += 1;
            let child = self.child_table(context, table, list, serial)?;
            let Slot::At(child) = child else { continue };
            let end = tape.record(page).skip(list.position);
            let mut element = list.position + 1;
            let mut index = 0;
            // Lists of the child rows go on top and are gone again when their row is done.
            let own_lists = self.lists.len();
            while element < end {
                let place = Place { parent: Some(parent), index };
                self.row(context, tape, page, load_id, child, element, place)?;
                self.lists.truncate(own_lists);
                element = tape.record(page).skip(element);
                index += 1;
            }
        }
        self.lists.truncate(first_list);
        Ok(())
    }

    /// The table that takes a list's elements. One that holds another list of the same row would mix the two up.
    fn child_table(&mut self, context: &mut Context<'_>, table: usize, list: List, serial: u64) -> Result<Slot> {
        let Some((shape, field)) = list.field else {
            let key = if self.tables[table].parent.is_none() { "value" } else { "list" };
            return self.inner_list_table(context, table, key);
        };
        let mut slot = self.tables[table].shapes[shape].fields[field].list;
        if slot == Slot::Unknown {
            slot = self.list_table(context, table, shape, field)?;
        }
        if let Slot::At(child) = slot
            && self.tables[child].owner == serial
        {
            slot = self.tagged_list_table(context, table, shape, field)?;
        }
        if let Slot::At(child) = slot {
            self.tables[child].owner = serial;
        }
        self.tables[table].shapes[shape].fields[field].list = slot;
        Ok(slot)
    }

    /// Writes a row's own values and notes its lists.
    fn values(
        &mut self,
        context: &mut Context<'_>,
        record: Record<'_>,
        table: usize,
        position: usize,
    ) -> Result<Written> {
        match record.nodes[position] {
            Node::Object { .. } => {}
            Node::List { end } => {
                // dlt wraps it: an object with the list under one key.
                if self.tables[table].level <= usize::from(self.tables[table].parent.is_some()) {
                    return self.whole_json(context, record, table, position);
                }
                if end as usize > position + 1 {
                    self.lists.push(List { field: None, position });
                }
                return Ok(Written::Kept);
            }
            _ => {
                let Some(value) = Scalar::of(record, position) else { return Ok(Written::Kept) };
                let field = self.tables[table].field(0, "value", 0, context.naming);
                let keeps_row = self.scalar(context, table, (0, field), position, value)?;
                return Ok(if keeps_row { Written::Kept } else { Written::Discarded });
            }
        }
        self.objects.clear();
        self.objects.push((0, position));
        while let Some((shape, position)) = self.objects.pop() {
            let end = record.skip(position);
            let mut next = position + 1;
            let mut guess = 0;
            while next < end {
                let Node::Key(key) = record.nodes[next] else {
                    next = record.skip(next + 1);
                    continue;
                };
                let field = self.tables[table].field(shape, record.text(key), guess, context.naming);
                guess = field + 1;
                let known = &mut self.tables[table].shapes[shape].fields[field];
                if known.seen == self.serial {
                    return Ok(Written::Overridden(known.position));
                }
                known.seen = self.serial;
                known.position = next;
                let value = next + 1;
                next = record.skip(value);
                let keeps_row = match record.nodes[value] {
                    Node::Null => true,
                    Node::Object { .. } => self.object(context, record, table, (shape, field), value)?,
                    Node::List { .. } => self.list(context, record, table, (shape, field), value)?,
                    _ => match Scalar::of(record, value) {
                        Some(scalar) => self.scalar(context, table, (shape, field), value, scalar)?,
                        None => true,
                    },
                };
                if !keeps_row {
                    return Ok(Written::Discarded);
                }
            }
        }
        Ok(Written::Kept)
    }

    fn object(
        &mut self,
        context: &mut Context<'_>,
        record: Record<'_>,
        table: usize,
        (shape, field): (usize, usize),
        position: usize,
    ) -> Result<bool> {
        let mut slot = self.tables[table].shapes[shape].fields[field].object;
        if slot == Slot::Unknown {
            slot = if self.stays_json(context, table, shape, field) {
                Slot::Json
            } else {
                let rows = &mut self.tables[table];
                let fragment = rows.shapes[shape].fragment(field, context.naming);
                Slot::At(rows.add_shape(shape, field, &fragment))
            };
            self.tables[table].shapes[shape].fields[field].object = slot;
        }
        match slot {
            Slot::At(inner) => {
                self.objects.push((inner, position));
                Ok(true)
            }
            _ => self.json(context, record, table, (shape, field), position),
        }
    }

    fn list(
        &mut self,
        context: &mut Context<'_>,
        record: Record<'_>,
        table: usize,
        (shape, field): (usize, usize),
        position: usize,
    ) -> Result<bool> {
        let slot = self.tables[table].shapes[shape].fields[field].list;
        if slot == Slot::Json || (slot == Slot::Unknown && self.stays_json(context, table, shape, field)) {
            self.tables[table].shapes[shape].fields[field].list = Slot::Json;
            return self.json(context, record, table, (shape, field), position);
        }
        if record.skip(position) > position + 1 {
            self.lists.push(List { field: Some((shape, field)), position });
        }
        Ok(true)
    }

    fn json(
        &mut self,
        context: &mut Context<'_>,
        record: Record<'_>,
        table: usize,
        at: (usize, usize),
        position: usize,
    ) -> Result<bool> {
        let mut printed = std::mem::take(&mut self.scratch);
        printed.clear();
        record.write_json(position, &mut printed);
        let keeps_row = self.scalar(context, table, at, position, Scalar::Json(&printed));
        self.scratch = printed;
        keeps_row
    }

    /// A row that is a list which is not taken apart.
    fn whole_json(
        &mut self,
        context: &mut Context<'_>,
        record: Record<'_>,
        table: usize,
        position: usize,
    ) -> Result<Written> {
        let key = if self.tables[table].parent.is_none() { "value" } else { "list" };
        let field = self.tables[table].field(0, key, 0, context.naming);
        let keeps_row = self.json(context, record, table, (0, field), position)?;
        Ok(if keeps_row { Written::Kept } else { Written::Discarded })
    }

    /// Writes a field's value; false if the contract leaves the row out for it.
    fn scalar(
        &mut self,
        context: &mut Context<'_>,
        table: usize,
        (shape, field): (usize, usize),
        position: usize,
        value: Scalar<'_>,
    ) -> Result<bool> {
        self.check_size(context, table, value)?;
        let mut slot = self.tables[table].shapes[shape].fields[field].column;
        if slot == Slot::Unknown {
            slot = self.field_column(context, table, shape, field, value)?;
            self.tables[table].shapes[shape].fields[field].column = slot;
        }
        let known = &self.tables[table].shapes[shape].fields[field];
        if known.primary_key {
            self.keys.push((known.name.clone(), position));
        }
        match self.write_at(context, table, slot, value)? {
            Outcome::Done => Ok(true),
            Outcome::DiscardRow => Ok(false),
            Outcome::Taken => {
                let slot = self.tagged_column(context, table, shape, field, value)?;
                self.tables[table].shapes[shape].fields[field].column = slot;
                Ok(!matches!(self.write_at(context, table, slot, value)?, Outcome::DiscardRow))
            }
        }
    }

    fn write_at(
        &mut self,
        context: &mut Context<'_>,
        table: usize,
        mut slot: Slot,
        value: Scalar<'_>,
    ) -> Result<Outcome> {
        // A new variant takes the value it is made for, so this ends.
        loop {
            let column = match slot {
                Slot::At(column) => column,
                Slot::DiscardRow => return Ok(Outcome::DiscardRow),
                _ => return Ok(Outcome::Done),
            };
            let rows = &mut self.tables[table];
            if rows.has_value(column) {
                return Ok(Outcome::Taken);
            }
            match rows.columns[column].set(rows.rows, value) {
                Ok(()) => return Ok(Outcome::Done),
                Err(Refusal::Full) => return Err(self.full(table, column)),
                Err(Refusal::Type) => slot = self.variant_column(context, table, column, value)?,
            }
        }
    }

    fn check_size(&self, context: &Context<'_>, table: usize, value: Scalar<'_>) -> Result<()> {
        let most = context.options.max_value_bytes;
        if value.size() <= most {
            return Ok(());
        }
        Err(Error::new(ErrorKind::LimitExceeded, format!("a value of more than {most} bytes"))
            .with_context("stream", self.plan.stream.clone())
            .with_context("table", self.tables[table].name.clone()))
    }

    fn full(&self, table: usize, column: usize) -> Error {
        let rows = &self.tables[table];
        Error::new(ErrorKind::LimitExceeded, "more than 2 GiB of text in one column of a load package")
            .with_context("table", rows.name.clone())
            .with_context("column", rows.columns[column].name.clone())
    }

    fn missing_value(&self, table: usize, column: String, primary_key: bool) -> Error {
        let (kind, what) = if primary_key {
            (ErrorKind::BadData, "a record has no value for a primary key")
        } else {
            (ErrorKind::Contract, "a record has no value that fits a column which is not nullable")
        };
        Error::new(kind, what)
            .with_context("stream", self.plan.stream.clone())
            .with_context("table", self.tables[table].name.clone())
            .with_context("column", column)
    }

    fn row_id(&mut self, context: &mut Context<'_>, record: Record<'_>, table: usize, place: Place) -> Result<RowId> {
        // Where the root's id is random, a hash of it says no more than another random id, and costs ten times as much.
        let derived = self.plan.write_disposition == WriteDisposition::Merge
            && self.plan.merge_strategy != MergeStrategy::DeleteInsert;
        if !derived {
            return context.ids.next();
        }
        if let Some(parent) = place.parent {
            return Ok(RowId::of_child(parent.id, &self.tables[table].name, place.index, &mut self.bytes));
        }
        match self.plan.merge_strategy {
            MergeStrategy::DeleteInsert | MergeStrategy::Scd2(_) => {
                self.scratch.clear();
                record.write_canonical(0, &mut self.scratch);
                Ok(RowId::of(self.scratch.as_bytes()))
            }
            MergeStrategy::Upsert | MergeStrategy::InsertOnly => {
                self.keys.sort_unstable();
                self.scratch.clear();
                for (index, (name, position)) in self.keys.iter().enumerate() {
                    self.scratch.push(if index == 0 { '{' } else { ',' });
                    push_json_text(name, &mut self.scratch);
                    self.scratch.push(':');
                    record.write_canonical(*position, &mut self.scratch);
                }
                self.scratch.push('}');
                Ok(RowId::of(self.scratch.as_bytes()))
            }
        }
    }

    fn write_system_columns(
        &mut self,
        context: &mut Context<'_>,
        table: usize,
        load_id: &str,
        id: RowId,
        place: Place,
    ) -> Result<()> {
        if self.tables[table].system.is_empty() {
            self.system_columns(context, table)?;
        }
        let has_root = self.plan.has_root_key();
        let rows = &mut self.tables[table];
        let row = rows.rows;
        let written = match (place.parent, rows.system.as_slice()) {
            (None, &[load, own]) => rows.columns[load]
                .set_text(row, load_id.as_bytes())
                .and_then(|()| rows.columns[own].set_text(row, id.as_bytes())),
            (Some(parent), &[.., parent_id, index, own]) => {
                let root = if has_root { rows.system.first().copied() } else { None };
                let index_value = Scalar::Int(i64::try_from(place.index).unwrap_or(i64::MAX));
                root.map_or(Ok(()), |root| rows.columns[root].set_text(row, parent.root.as_bytes()))
                    .and_then(|()| rows.columns[parent_id].set_text(row, parent.id.as_bytes()))
                    .and_then(|()| rows.columns[index].set(row, index_value))
                    .and_then(|()| rows.columns[own].set_text(row, id.as_bytes()))
            }
            _ => Ok(()),
        };
        written.map_err(|_| self.full(table, 0))
    }
}

/// What became of a value.
enum Outcome {
    Done,
    /// The row has a value in this column already, under another key.
    Taken,
    DiscardRow,
}
