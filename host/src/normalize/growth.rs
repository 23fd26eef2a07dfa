//! How the schema grows with the data: new tables, columns and variants, as far as the contract lets them.
//!
//! Must never drop a value or a row in silence: what a contract leaves out is counted, what it forbids is an error.

use serde_json::Value;

use super::coerce::{Inferred, Scalar};
use super::flatten::{Context, StreamRows};
use super::names::{ORIGINAL_KEY, Taken, beside_key, remembered};
use super::table::{Required, Slot, TableRows};
use super::{ChangeKind, SchemaChange};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{Column, DataType, Mode, TableSchema, fold};

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
        self.table(context, name.clone(), name, None, None, level)
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
        let source = remembered(rows.shapes[shape].original_key(field));
        let level = rows.level.saturating_sub(1);
        self.child_table_of(context, table, &list, source, level)
    }

    /// The table of the lists in a list.
    pub(super) fn inner_list_table(&mut self, context: &mut Context<'_>, table: usize, key: &str) -> Result<Slot> {
        let level = self.tables[table].level.saturating_sub(2);
        self.child_table_of(context, table, key, beside_key("", key), level)
    }

    /// The table of a list in a table's rows: that of its own name, unless another list or a stream has it.
    fn child_table_of(
        &mut self,
        context: &mut Context<'_>,
        parent: usize,
        list: &str,
        source: String,
        level: usize,
    ) -> Result<Slot> {
        let (outer, parent_name) = (self.tables[parent].path.clone(), self.tables[parent].name.clone());
        let naming = *context.naming;
        for candidate in naming.candidates(list, &source) {
            let path = crate::schema::join(&outer, &candidate);
            let name = naming.table_path(naming.nested(&outer, &candidate));
            let name = match context.names.table(context.schema, &name) {
                Taken::Free => {
                    if candidate != list {
                        self.say_collision(parent, source.clone(), &name);
                    }
                    name
                }
                Taken::By(known)
                    if known.parent.as_ref() == Some(&parent_name)
                        && known.source.as_ref().is_none_or(|known| *known == source) =>
                {
                    known.name.clone()
                }
                Taken::By(_) | Taken::Kept => continue,
            };
            return self.table(context, name, path, Some(parent), Some(source.clone()), level);
        }
        // There are more candidates than tables.
        Ok(Slot::DiscardValue)
    }

    fn table(
        &mut self,
        context: &mut Context<'_>,
        name: String,
        path: String,
        parent: Option<usize>,
        source: Option<String>,
        level: usize,
    ) -> Result<Slot> {
        if let Some(&index) = self.by_name.get(&name) {
            return Ok(Slot::At(index));
        }
        if let Some(known) = context.schema.tables.get_mut(&name)
            && known.source.is_none()
        {
            known.source.clone_from(&source);
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
                shared_with: if parent.is_none() { self.plan.shared_with.clone() } else { Vec::new() },
                source,
                parent: parent.map(|parent| self.tables[parent].name.clone()),
                write_disposition: self.plan.write_disposition,
                merge_strategy: self.plan.merge_strategy.clone(),
                columns: indexmap::IndexMap::new(),
            };
            context.schema.tables.insert(name.clone(), table);
            context.names.add_table(&name);
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
        let has_primary_key = self.plan.hints(&name).is_some_and(|hints| hints.values().any(|hint| hint.primary_key));
        for hint in self.plan.hints(&name).into_iter().flat_map(|hints| hints.values()) {
            if let Some(data_type) = hint.data_type {
                columns.push(hint.column(data_type));
            }
            if !hint.is_nullable() {
                self.tables[table].required.push(Required {
                    name: hint.name.clone(),
                    column: None,
                    primary_key: hint.primary_key,
                    spared_by_deletion: !hint.primary_key && (has_primary_key || !hint.merge_key),
                });
            }
        }
        for column in columns {
            let known = context.schema.tables.get(&name);
            if known.is_none_or(|known| context.names.column(known, &column.name).is_none()) {
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
        let plain = rows.shapes[shape].fields[field].name.clone();
        let key = remembered(rows.shapes[shape].original_key(field));
        let contested = std::mem::take(&mut self.is_contested);
        let (name, is_new) = self.column_of(context, table, &plain, &key, contested);
        let is_its_own = name == plain;
        if is_its_own {
            let hints = self.plan.hints(&self.tables[table].name).and_then(|hints| hints.get(&name));
            let (primary_key, hard_delete) = hints.map_or((false, false), |hint| (hint.primary_key, hint.hard_delete));
            let field = &mut self.tables[table].shapes[shape].fields[field];
            (field.primary_key, field.hard_delete) = (primary_key, hard_delete);
        } else if is_new {
            self.say_collision(table, key.clone(), &name);
        }
        self.named_column(context, table, &name, value, key)
    }

    /// The name of the column that belongs to a key, and whether it is new: the key's own name, unless another key's
    /// column has it. A column of which nobody knows whose it is, such as one of dlt's, is the first one's that comes.
    fn column_of(
        &self,
        context: &mut Context<'_>,
        table: usize,
        plain: &str,
        key: &str,
        is_contested: bool,
    ) -> (String, bool) {
        let naming = *context.naming;
        let table_name = &self.tables[table].name;
        for candidate in naming.candidates(plain, key) {
            if self.is_reserved(table, &fold(&candidate)) {
                continue;
            }
            let Some(known) = context.schema.tables.get(table_name) else { return (candidate, true) };
            let Some(column) = context.names.column(known, &candidate) else {
                if is_contested && candidate == plain {
                    continue;
                }
                return (candidate, true);
            };
            let name = column.name.clone();
            match column.hints.get(ORIGINAL_KEY).and_then(Value::as_str) {
                Some(owner) if owner == key => return (name, false),
                Some(_) => {}
                None if is_contested && candidate == plain => {}
                None => {
                    let known = context.schema.tables.get_mut(table_name);
                    if let Some(column) = known.and_then(|known| known.columns.get_mut(&name)) {
                        column.hints.insert(ORIGINAL_KEY.to_owned(), Value::String(key.to_owned()));
                    }
                    return (name, false);
                }
            }
        }
        // There are more candidates than columns.
        (plain.to_owned(), false)
    }

    fn named_column(
        &mut self,
        context: &mut Context<'_>,
        table: usize,
        name: &str,
        value: Scalar<'_>,
        key: String,
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
        column.hints.insert(ORIGINAL_KEY.to_owned(), Value::String(key));
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
        let plain = context.naming.variant(&base, own.data_type.name());
        let known = context.schema.tables.get(&self.tables[table].name).and_then(|table| table.columns.get(&base));
        let owner = known.and_then(|column| column.hints.get(ORIGINAL_KEY)).and_then(Value::as_str);
        let owner = beside_key(owner.unwrap_or(&base), own.data_type.name());
        let (name, _) = self.column_of(context, table, &plain, &owner, false);
        let slot = match (self.existing_column(context, table, &name), self.plan.contract.data_type) {
            (Some(slot), _) => slot,
            (None, Mode::Evolve) => {
                // Named by the value's own type, of the type that a new column would have: dlt's `v_text` may be a
                // timestamp. What it then refuses gets a variant of the variant, where dlt gives up.
                let inferred = value.infer();
                let mut variant = Column::new(name, inferred.data_type);
                variant.variant = true;
                variant.hints.insert(ORIGINAL_KEY.to_owned(), Value::String(owner));
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
        let is_hinted = self.plan.is_typed(&rows.name, name);
        Some(Slot::At(rows.add_column(column, is_hinted, context.options.limits_text)))
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
        let (setting, most) = (context.options.max_columns_per_table, context.options.destination_columns);
        let is_hinted = self.plan.is_typed(&name, &column.name);
        let index = rows.add_column(&column, is_hinted, context.options.limits_text);
        context.names.add_column(&name, &column.name);
        if let Some(table) = context.schema.tables.get_mut(&name) {
            if table.columns.len() >= setting.min(most) {
                let help = "keys that are data, such as ids, make a column each: hint their parent as json";
                let error = limit("columns per table", setting.min(most))
                    .with_context("stream", self.plan.stream.clone())
                    .with_context("table", name);
                return Err(if most <= setting {
                    error.with_help(format!("{help}; the destination takes no more"))
                } else {
                    error.with_help(format!("{help}, or raise host.limits.columns_per_table"))
                });
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
        let is_validity =
            || self.plan.scd2().is_some_and(|scd2| fold(&scd2.valid_from) == name || fold(&scd2.valid_to) == name);
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
        self.warnings.add(warning);
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
