//! How the schema grows with the data: new tables, columns and variants, as far as the contract lets them.
//!
//! Must never drop a value or a row in silence: what a contract leaves out is counted, what it forbids is an error.

use serde_json::Value;

use super::coerce::{Inferred, Scalar};
use super::flatten::{Context, StreamRows};
use super::table::{Required, Slot, TableRows};
use super::{ChangeKind, SchemaChange};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{Column, DataType, Mode, TableSchema};

/// The hint that remembers the key of a column whose own name was taken.
const ORIGINAL_KEY: &str = "x-original-key";

/// A column that rows of the table always have.
struct SystemColumn {
    name: &'static str,
    data_type: DataType,
    hints: &'static [&'static str],
}

const LOAD_ID: SystemColumn = SystemColumn { name: "_dlt_load_id", data_type: DataType::Text, hints: &[] };
const ID: SystemColumn = SystemColumn { name: "_dlt_id", data_type: DataType::Text, hints: &["row_key"] };
const VERSION_ID: SystemColumn = SystemColumn { name: "_dlt_id", data_type: DataType::Text, hints: &["x-row-version"] };
const ROOT_ID: SystemColumn = SystemColumn { name: "_dlt_root_id", data_type: DataType::Text, hints: &["root_key"] };
const PARENT_ID: SystemColumn =
    SystemColumn { name: "_dlt_parent_id", data_type: DataType::Text, hints: &["parent_key"] };
const LIST_INDEX: SystemColumn = SystemColumn { name: "_dlt_list_idx", data_type: DataType::Bigint, hints: &[] };

impl StreamRows {
    /// The root table, made if need be; none if the contract leaves it out.
    pub(super) fn root_table(&mut self, context: &mut Context<'_>) -> Result<Slot> {
        let name = self.plan.table.clone();
        let level = self.plan.max_nesting;
        self.table(context, name.clone(), name, None, level)
    }

    /// The table for a field's lists.
    pub(super) fn list_table(
        &mut self,
        context: &mut Context<'_>,
        table: usize,
        shape: usize,
        field: usize,
    ) -> Result<Slot> {
        let rows = &self.tables[table];
        let list = rows.shapes[shape].path(field, context.naming);
        let path = crate::schema::join(&rows.path, &list);
        let name = context.naming.nested(&rows.path, &list);
        let level = rows.level.saturating_sub(1);
        self.table(context, name, path, Some(table), level)
    }

    /// A second table for a field whose own one holds another key's lists of the same row.
    pub(super) fn tagged_list_table(
        &mut self,
        context: &mut Context<'_>,
        table: usize,
        shape: usize,
        field: usize,
    ) -> Result<Slot> {
        let rows = &self.tables[table];
        let original = rows.shapes[shape].original_key(field);
        let list = rows.shapes[shape].path(field, context.naming);
        let path = format!("{}__{}", rows.path, context.naming.tagged(&list, &original));
        let name = context.naming.nested("", &path);
        let level = rows.level.saturating_sub(1);
        self.say_collision(table, original, &name);
        self.table(context, name, path, Some(table), level)
    }

    /// The table of the lists in a list.
    pub(super) fn inner_list_table(&mut self, context: &mut Context<'_>, table: usize, key: &str) -> Result<Slot> {
        let rows = &self.tables[table];
        let path = crate::schema::join(&rows.path, key);
        let name = context.naming.nested(&rows.path, key);
        let level = rows.level.saturating_sub(2);
        self.table(context, name, path, Some(table), level)
    }

    fn table(
        &mut self,
        context: &mut Context<'_>,
        name: String,
        path: String,
        parent: Option<usize>,
        level: usize,
    ) -> Result<Slot> {
        if let Some(&index) = self.by_name.get(&name) {
            return Ok(Slot::At(index));
        }
        if !context.schema.tables.contains_key(&name) {
            match self.plan.contract.tables {
                Mode::Evolve => {}
                Mode::Freeze => {
                    return Err(Error::new(ErrorKind::Contract, "the schema contract freezes tables: a new one came")
                        .with_context("stream", self.plan.stream.clone())
                        .with_context("table", name));
                }
                Mode::DiscardRow | Mode::DiscardValue => {
                    self.count_discarded(format!("all rows of the new table `{name}`"));
                    return Ok(Slot::DiscardValue);
                }
            }
            if self.tables.len() >= context.options.max_tables_per_stream {
                return Err(limit("tables per stream", context.options.max_tables_per_stream)
                    .with_context("stream", self.plan.stream.clone())
                    .with_help("set max_table_nesting for this stream, or raise host.limits.tables_per_stream"));
            }
            let table = TableSchema {
                name: name.clone(),
                stream: self.plan.stream.clone(),
                parent: parent.map(|parent| self.tables[parent].name.clone()),
                write_disposition: self.plan.write_disposition,
                merge_strategy: self.plan.merge_strategy.clone(),
                columns: indexmap::IndexMap::new(),
            };
            context.schema.tables.insert(name.clone(), table);
            self.say(&name, ChangeKind::Table);
        }
        let settled = context.settled.tables.contains_key(&name);
        let index = self.tables.len();
        self.tables.push(TableRows::new(name.clone(), path, parent, level, settled));
        self.by_name.insert(name, index);
        self.hinted_columns(context, index)?;
        Ok(Slot::At(index))
    }

    /// Columns that are there before any value: an scd2's validity, and those hinted with a type.
    fn hinted_columns(&mut self, context: &mut Context<'_>, table: usize) -> Result<()> {
        let mut columns = Vec::new();
        if let (None, Some(options)) = (self.tables[table].parent, self.plan.scd2()) {
            let mut from = Column::new(options.valid_from.clone(), DataType::Timestamp);
            from.hints.insert("x-valid-from".to_owned(), Value::Bool(true));
            let mut to = Column::new(options.valid_to.clone(), DataType::Timestamp);
            to.hints.insert("x-valid-to".to_owned(), Value::Bool(true));
            let active = options.active_record_timestamp.clone().map_or(Value::Null, Value::String);
            to.hints.insert("x-active-record-timestamp".to_owned(), active);
            columns.extend([from, to]);
        }
        let name = self.tables[table].name.clone();
        for hint in self.plan.hints(&name).into_iter().flat_map(|hints| hints.values()) {
            if let Some(data_type) = hint.data_type {
                columns.push(hint.column(data_type));
            }
            if !hint.is_nullable() {
                let required = Required { name: hint.name.clone(), column: None, primary_key: hint.primary_key };
                self.tables[table].required.push(required);
            }
        }
        for column in columns {
            if !context.schema.tables.get(&name).is_some_and(|table| table.columns.contains_key(&column.name)) {
                self.add_column(context, table, column, None)?;
            }
        }
        Ok(())
    }

    /// Whether objects and lists of a field stay JSON: beyond the nesting that is taken apart, or by the column's type.
    pub(super) fn stays_json(&self, context: &Context<'_>, table: usize, shape: usize, field: usize) -> bool {
        let rows = &self.tables[table];
        let shape = &rows.shapes[shape];
        let known = context.schema.tables.get(&rows.name);
        let column = known.and_then(|table| table.columns.get(&shape.fields[field].name));
        shape.level == 0 || column.is_some_and(|column| column.data_type == DataType::Json)
    }

    /// The column of a field's scalars, made if need be.
    pub(super) fn field_column(
        &mut self,
        context: &mut Context<'_>,
        table: usize,
        shape: usize,
        field: usize,
        value: Scalar<'_>,
    ) -> Result<Slot> {
        let rows = &self.tables[table];
        let name = rows.shapes[shape].fields[field].name.clone();
        let original = rows.shapes[shape].original_key(field);
        let tagged = context.naming.tagged(&name, &original);
        let known = context.schema.tables.get(&rows.name);
        let is_its_own = known
            .and_then(|table| table.columns.get(&tagged))
            .is_some_and(|column| column.hints.get(ORIGINAL_KEY).and_then(Value::as_str) == Some(&original));
        if is_its_own {
            return self.named_column(context, table, &tagged, value, Some(original));
        }
        if self.is_reserved(table, &name) {
            self.say_collision(table, original.clone(), &tagged);
            return self.named_column(context, table, &tagged, value, Some(original));
        }
        let hints = self.plan.hints(&rows.name);
        let primary_key = hints.and_then(|hints| hints.get(&name)).is_some_and(|hint| hint.primary_key);
        self.tables[table].shapes[shape].fields[field].primary_key = primary_key;
        self.named_column(context, table, &name, value, None)
    }

    /// A second column for a field whose own one holds another key's value of the same row.
    pub(super) fn tagged_column(
        &mut self,
        context: &mut Context<'_>,
        table: usize,
        shape: usize,
        field: usize,
        value: Scalar<'_>,
    ) -> Result<Slot> {
        let shape = &self.tables[table].shapes[shape];
        let original = shape.original_key(field);
        let tagged = context.naming.tagged(&shape.fields[field].name, &original);
        self.say_collision(table, original.clone(), &tagged);
        self.named_column(context, table, &tagged, value, Some(original))
    }

    fn named_column(
        &mut self,
        context: &mut Context<'_>,
        table: usize,
        name: &str,
        value: Scalar<'_>,
        original: Option<String>,
    ) -> Result<Slot> {
        if let Some(slot) = self.existing_column(context, table, name) {
            return Ok(slot);
        }
        let rows = &self.tables[table];
        // A table that came with these very rows may have any column.
        if rows.settled {
            match self.plan.contract.columns {
                Mode::Evolve => {}
                Mode::Freeze => return Err(self.frozen("columns", table, name, value)),
                mode => return Ok(self.discard(mode, table, name)),
            }
        }
        let inferred = value.infer();
        let hint = self.plan.hints(&rows.name).and_then(|hints| hints.get(name));
        let mut column = match hint {
            Some(hint) => hint.column(inferred.data_type),
            None => Column::new(name, inferred.data_type),
        };
        whole(&mut column, inferred);
        if let Some(original) = original {
            column.hints.insert(ORIGINAL_KEY.to_owned(), Value::String(original));
        }
        self.add_column(context, table, column, None).map(Slot::At)
    }

    /// Where a value goes that does not fit its column.
    pub(super) fn variant_column(
        &mut self,
        context: &mut Context<'_>,
        table: usize,
        column: usize,
        value: Scalar<'_>,
    ) -> Result<Slot> {
        let own = value.own_type();
        let key = (column, own.data_type);
        if let Some(&slot) = self.tables[table].variants.get(&key) {
            return Ok(slot);
        }
        let base = self.tables[table].columns[column].name.clone();
        let name = context.naming.variant(&base, own.data_type.name());
        let slot = match (self.existing_column(context, table, &name), self.plan.contract.data_type) {
            (Some(slot), _) => slot,
            (None, Mode::Evolve) => {
                // Named by the value's own type, of the type that a new column would have: dlt's `v_text` may be a
                // timestamp. What it then refuses gets a variant of the variant, where dlt gives up.
                let inferred = value.infer();
                let mut variant = Column::new(name, inferred.data_type);
                variant.variant = true;
                whole(&mut variant, inferred);
                Slot::At(self.add_column(context, table, variant, Some(base))?)
            }
            (None, Mode::Freeze) => return Err(self.frozen("data_type", table, &base, value)),
            (None, mode) => self.discard(mode, table, &base),
        };
        self.tables[table].variants.insert(key, slot);
        Ok(slot)
    }

    fn existing_column(&mut self, context: &Context<'_>, table: usize, name: &str) -> Option<Slot> {
        let rows = &mut self.tables[table];
        if let Some(index) = rows.column(name) {
            return Some(Slot::At(index));
        }
        let column = context.schema.tables.get(&rows.name)?.columns.get(name)?;
        Some(Slot::At(rows.add_column(column)))
    }

    fn add_column(
        &mut self,
        context: &mut Context<'_>,
        table: usize,
        column: Column,
        variant_of: Option<String>,
    ) -> Result<usize> {
        let rows = &mut self.tables[table];
        let name = rows.name.clone();
        let limit_columns = context.options.max_columns_per_table;
        let index = rows.add_column(&column);
        if let Some(table) = context.schema.tables.get_mut(&name) {
            if table.columns.len() >= limit_columns {
                return Err(limit("columns per table", limit_columns)
                    .with_context("stream", self.plan.stream.clone())
                    .with_context("table", name)
                    .with_help(
                        "keys that are data, such as ids, make a column each: hint their parent as json, or raise host.limits.columns_per_table",
                    ));
            }
            let change = ChangeKind::Column { column: column.name.clone(), data_type: column.data_type, variant_of };
            table.columns.insert(column.name.clone(), column);
            self.say(&name, change);
        }
        Ok(index)
    }

    /// dlt's columns: load id and id of a root row; root, parent, place and id of a child row.
    pub(super) fn system_columns(&mut self, context: &mut Context<'_>, table: usize) -> Result<()> {
        let is_root = self.tables[table].parent.is_none();
        let columns: &[SystemColumn] = match (is_root, self.plan.scd2().is_some(), self.plan.has_root_key()) {
            (true, true, _) => &[LOAD_ID, VERSION_ID],
            (true, false, _) => &[LOAD_ID, ID],
            (false, _, true) => &[ROOT_ID, PARENT_ID, LIST_INDEX, ID],
            (false, _, false) => &[PARENT_ID, LIST_INDEX, ID],
        };
        for system in columns {
            let index = match self.existing_column(context, table, system.name) {
                Some(Slot::At(index)) => index,
                _ => {
                    let mut column = Column::new(system.name, system.data_type);
                    column.nullable = false;
                    column.unique = system.hints.contains(&"row_key");
                    for hint in system.hints {
                        column.hints.insert((*hint).to_owned(), Value::Bool(true));
                    }
                    self.add_column(context, table, column, None)?
                }
            };
            self.tables[table].system.push(index);
        }
        Ok(())
    }

    /// Names that only the host fills.
    fn is_reserved(&self, table: usize, name: &str) -> bool {
        let system = ["_dlt_load_id", "_dlt_id", "_dlt_root_id", "_dlt_parent_id", "_dlt_list_idx"];
        let is_validity = || self.plan.scd2().is_some_and(|scd2| scd2.valid_from == name || scd2.valid_to == name);
        system.contains(&name) || (self.tables[table].parent.is_none() && is_validity())
    }

    fn frozen(&self, entity: &str, table: usize, column: &str, value: Scalar<'_>) -> Error {
        let what = if entity == "columns" { "a new column came" } else { "a value of another type came" };
        Error::new(ErrorKind::Contract, format!("the schema contract freezes {entity}: {what}"))
            .with_context("stream", self.plan.stream.clone())
            .with_context("table", self.tables[table].name.clone())
            .with_context("column", column)
            .with_context("type", value.own_type().data_type.name())
            .with_help(format!("let {entity} evolve in the stream's schema_contract, or discard what is new"))
    }

    fn discard(&mut self, mode: Mode, table: usize, column: &str) -> Slot {
        let name = &self.tables[table].name;
        if mode == Mode::DiscardRow {
            self.count_discarded(format!("rows of `{name}` for their value of `{column}`"));
            Slot::DiscardRow
        } else {
            self.count_discarded(format!("values of `{name}.{column}`"));
            Slot::DiscardValue
        }
    }

    fn count_discarded(&mut self, what: String) {
        self.warn(format!("the schema contract leaves out {what}"));
    }

    fn say_collision(&mut self, table: usize, key: String, name: &str) {
        let table = self.tables[table].name.clone();
        self.warn(format!("in `{table}` the key \"{key}\" collides with another one: its values are in `{name}`"));
        self.say(&table, ChangeKind::Collision { key, name: name.to_owned() });
    }

    fn say(&mut self, table: &str, kind: ChangeKind) {
        self.changes.push(SchemaChange { stream: self.plan.stream.clone(), table: table.to_owned(), kind });
    }

    fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

fn whole(column: &mut Column, inferred: Inferred) {
    if inferred.whole && column.data_type == DataType::Decimal && column.precision.is_none() {
        column.precision = Some(38);
        column.scale = Some(0);
    }
}

fn limit(what: &str, most: usize) -> Error {
    Error::new(ErrorKind::LimitExceeded, format!("more than {most} {what}"))
}
