//! From a record to rows: objects are flattened into columns, lists become rows of child tables.
//!
//! The order is dlt's: an object's own values first, then those of the objects in it, the last one first; a row before
//! the rows of its lists. Must never lose a value that the contract does not leave out.

use std::collections::HashMap;

use super::coerce::Scalar;
use super::column::Refusal;
use super::names::TakenNames;
use super::row_id::{RandomIds, RowId};
use super::table::{Slot, TableRows};
use super::tape::{Node, Record, Tape, push_json_text};
use super::versions::Keep;
use super::warnings::Warnings;
use super::{Held, Options, SchemaChange};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{MergeStrategy, Naming, Schema, StreamPlan, WriteDisposition};

/// What all streams share.
pub(super) struct Context<'a> {
    pub(super) schema: &'a mut Schema,
    /// The schema as of the last take.
    pub(super) settled: &'a Schema,
    pub(super) naming: &'a Naming,
    pub(super) names: &'a mut TakenNames,
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
    pub(super) warnings: Warnings,
    pub(super) held: Held,
    root: Slot,
    /// Counts rows that were begun, so that a key that comes twice in a row is noticed.
    serial: u64,
    /// The record that is being written, by its place in the root table; none where row ids are random.
    record: Option<u32>,
    objects: Vec<(usize, usize)>,
    lists: Vec<List>,
    keys: Vec<(String, usize)>,
    /// The row that is being written says that it is gone.
    is_deleted: bool,
    /// The object that is being written has a key that is exactly the name which the key at hand comes to.
    pub(super) is_contested: bool,
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
    /// A key came twice.
    Repeated,
}

/// Of so many keys of a stream's records the names are kept; records whose keys are data bring ever new ones.
const KNOWN_KEYS: usize = 50_000;

impl StreamRows {
    pub(super) fn new(plan: StreamPlan) -> Self {
        Self {
            plan,
            tables: Vec::new(),
            by_name: HashMap::new(),
            changes: Vec::new(),
            warnings: Warnings::default(),
            held: Held::default(),
            root: Slot::Unknown,
            serial: 0,
            record: None,
            objects: Vec::new(),
            lists: Vec::new(),
            keys: Vec::new(),
            is_deleted: false,
            is_contested: false,
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
        if self.tables.iter().any(|table| table.keys > KNOWN_KEYS) {
            self.tables.iter_mut().for_each(TableRows::forget_keys);
        }
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
        let bytes = self.tables[table].bytes;
        loop {
            self.serial += 1;
            self.keys.clear();
            self.is_deleted = false;
            match self.values(context, tape.record(page), table, position)? {
                Written::Kept => break,
                Written::Discarded => {
                    self.tables[table].forget_row();
                    self.lists.truncate(first_list);
                    return Ok(());
                }
                Written::Repeated => {
                    // Once for the whole row: afterwards no key of it comes twice.
                    tape.override_repeated(page, position);
                    self.tables[table].forget_row();
                    self.lists.truncate(first_list);
                }
            }
        }
        if let Some((column, primary_key)) = self.tables[table].missing(self.is_deleted) {
            return Err(self.missing_value(table, column, primary_key));
        }
        let id = self.row_id(context, tape.record(page), table, place)?;
        self.write_system_columns(context, table, load_id, id, place)?;
        if place.parent.is_none() {
            let number = u32::try_from(self.tables[table].rows).unwrap_or(u32::MAX);
            self.record = Keep::of(&self.plan).map(|_| number);
        }
        self.tables[table].records.extend(self.record);
        self.tables[table].end_row();
        self.held.rows += 1;
        self.held.bytes += self.tables[table].bytes.saturating_sub(bytes);
        let parent = Parent { id, root: place.parent.map_or(id, |parent| parent.root) };
        let mut next = first_list;
        while let Some(list) = self.lists.get(next).copied() {
            next += 1;
            let child = self.child_table(context, table, list)?;
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

    /// The table that takes a list's elements.
    fn child_table(&mut self, context: &mut Context<'_>, table: usize, list: List) -> Result<Slot> {
        let Some((shape, field)) = list.field else {
            let key = if self.tables[table].parent.is_none() { "value" } else { "list" };
            return self.inner_list_table(context, table, key);
        };
        let mut slot = self.tables[table].shapes[shape].fields[field].list;
        if slot == Slot::Unknown {
            slot = self.list_table(context, table, shape, field)?;
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
                let value = next + 1;
                let key = record.text(key);
                let field = match self.tables[table].known_field(shape, key, guess) {
                    Some(field) => field,
                    // A key that never has a value needs no column, and no memory.
                    None if record.nodes[value] == Node::Null => {
                        next = record.skip(value);
                        continue;
                    }
                    None => self.tables[table].field(shape, key, guess, context.naming),
                };
                guess = field + 1;
                let known = &mut self.tables[table].shapes[shape].fields[field];
                if std::mem::replace(&mut known.seen, self.serial) == self.serial {
                    return Ok(Written::Repeated);
                }
                next = record.skip(value);
                // What nearly all values are: they fit a column that is known, and mean nothing else.
                if let (Slot::At(column), false) = (known.column, known.primary_key || known.hard_delete)
                    && let Some(scalar) = Scalar::of(record, value)
                    && scalar.size() <= context.options.max_value_bytes
                    && self.tables[table].set(column, scalar).is_ok()
                {
                    continue;
                }
                self.is_contested = self.tables[table].shapes[shape].fields[field].column == Slot::Unknown
                    && self.is_contested(record, table, (shape, field), position);
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

    /// Whether a key comes to the name of a hinted column which is exactly another key of the same object: the hint means
    /// that one.
    fn is_contested(&self, record: Record<'_>, table: usize, (shape, field): (usize, usize), position: usize) -> bool {
        let rows = &self.tables[table];
        let name = &rows.shapes[shape].fields[field].name;
        shape == 0
            && !rows.shapes[shape].is_plain(field)
            && self.plan.hints(&rows.name).is_some_and(|hints| hints.contains_key(name))
            && record.has_key(position, name)
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
        if known.hard_delete
            && let Slot::At(column) = slot
        {
            self.is_deleted |= !self.tables[table].columns[column].is_bool() || value.to_bool() == Some(true);
        }
        self.write_at(context, table, slot, value)
    }

    fn write_at(&mut self, context: &mut Context<'_>, table: usize, mut slot: Slot, value: Scalar<'_>) -> Result<bool> {
        // A new variant takes the value it is made for, so this ends.
        loop {
            let column = match slot {
                Slot::At(column) => column,
                Slot::DiscardRow => return Ok(false),
                _ => return Ok(true),
            };
            match self.tables[table].set(column, value) {
                Ok(()) => return Ok(true),
                Err(Refusal::Full) => return Err(self.full(table, column)),
                Err(Refusal::Type) => {
                    self.check_key_fits(table, column, value)?;
                    slot = self.variant_column(context, table, column, value)?;
                }
            }
        }
    }

    /// A key can't be in a variant column: nothing is found by it there.
    fn check_key_fits(&self, table: usize, column: usize, value: Scalar<'_>) -> Result<()> {
        let rows = &self.tables[table];
        let values = &rows.columns[column];
        let Some(required) = rows.required.iter().find(|required| required.name == values.name) else { return Ok(()) };
        let (kind, what) = if required.primary_key {
            (ErrorKind::BadData, "a primary key's value does not fit its column")
        } else {
            (ErrorKind::Contract, "a value does not fit a column which is not nullable")
        };
        let (own, column) = (value.own_type().data_type.name(), values.data_type().name());
        let mut shown = String::new();
        value.push_text(&mut shown);
        if let Some((end, _)) = shown.char_indices().nth(80) {
            shown.truncate(end);
            shown.push('…');
        }
        Err(Error::new(kind, format!("{what}: the value is of type {own}, the column of type {column}"))
            .with_context("stream", self.plan.stream.clone())
            .with_context("table", rows.name.clone())
            .with_context("column", values.name.clone())
            .with_context("value", shown)
            .with_help(format!(
                "hint the type that all values fit (columns: {{{}: {{data_type: text}}}}), and load anew with --full-refresh \
                 into a table of another name",
                values.name
            )))
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
        let written = match (place.parent, rows.system.as_slice()) {
            (None, &[load, own]) => {
                rows.set_text(load, load_id.as_bytes()).and_then(|()| rows.set_text(own, id.as_bytes()))
            }
            (Some(parent), &[.., parent_id, index, own]) => {
                let root = if has_root { rows.system.first().copied() } else { None };
                let index_value = Scalar::Int(i64::try_from(place.index).unwrap_or(i64::MAX));
                root.map_or(Ok(()), |root| rows.set_text(root, parent.root.as_bytes()))
                    .and_then(|()| rows.set_text(parent_id, parent.id.as_bytes()))
                    .and_then(|()| rows.set(index, index_value))
                    .and_then(|()| rows.set_text(own, id.as_bytes()))
            }
            _ => Ok(()),
        };
        written.map_err(|_| self.full(table, 0))
    }
}
