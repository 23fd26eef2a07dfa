//! What a connector says of a stream, read into what normalizing needs: table names, column hints, keys, the contract.
//!
//! Must never look at a record. Hints decide before data: a hinted type is the column's type.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{Column, Contract, DataType, MergeStrategy, Naming, Scd2, Schema, SortOrder, StreamSpec, WriteDisposition};

/// How deep lists and objects are taken apart when nobody says (dlt's default).
const DEFAULT_NESTING: usize = 1000;

/// How one stream's records become rows.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    pub stream: String,
    /// Whether rows are made at all; not for a stream that is read only for its children, or that is skipped.
    pub loaded: bool,
    /// The root table.
    pub table: String,
    /// Whether the stream's hints name its table.
    pub is_table_named: bool,
    /// Other streams that fill the root table.
    pub shared_with: Vec<String>,
    pub write_disposition: WriteDisposition,
    pub merge_strategy: MergeStrategy,
    pub contract: Contract,
    /// Levels of nesting that are taken apart; what lies deeper stays JSON.
    pub max_nesting: usize,
    /// Column hints by table name: the root's, and those of nested tables.
    pub columns: HashMap<String, IndexMap<String, ColumnHint>>,
}

/// What is known of a column before its first value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnHint {
    pub name: String,
    /// None: the first value decides, and the column appears only with it.
    pub data_type: Option<DataType>,
    pub nullable: Option<bool>,
    pub precision: Option<u32>,
    pub scale: Option<u32>,
    pub primary_key: bool,
    pub merge_key: bool,
    pub unique: bool,
    pub hard_delete: bool,
    pub dedup_sort: Option<SortOrder>,
    pub others: Map<String, Value>,
}

impl ColumnHint {
    /// The column, of the hinted type or else of the one that its first value has.
    pub fn column(&self, inferred: DataType) -> Column {
        let mut column = Column::new(self.name.clone(), self.data_type.unwrap_or(inferred));
        column.precision = self.precision;
        column.scale = self.scale;
        self.apply(&mut column);
        column
    }

    /// Whether a column that exists is of another type than the hinted one.
    fn differs(&self, column: &Column) -> bool {
        let differs = |hinted: Option<u32>, known: Option<u32>| hinted.is_some() && hinted != known;
        self.data_type.is_some_and(|hinted| {
            hinted != column.data_type || differs(self.precision, column.precision) || differs(self.scale, column.scale)
        })
    }

    /// Everything but the type: that of a column which exists stays.
    fn apply(&self, column: &mut Column) {
        column.nullable = self.is_nullable();
        column.primary_key = self.primary_key;
        column.merge_key = self.merge_key;
        column.unique = self.unique;
        column.hard_delete = self.hard_delete;
        column.dedup_sort = self.dedup_sort;
        for (key, value) in &self.others {
            column.hints.insert(key.clone(), value.clone());
        }
    }

    /// A key is never null unless somebody says otherwise.
    pub fn is_nullable(&self) -> bool {
        self.nullable.unwrap_or(!(self.primary_key || self.merge_key))
    }

    fn read(&mut self, properties: &Map<String, Value>, problems: &mut Vec<String>) {
        for (key, value) in properties {
            match key.as_str() {
                "name" => {}
                "data_type" => match value.as_str().and_then(DataType::from_name) {
                    Some(data_type) => self.data_type = Some(data_type),
                    None if value.is_null() => {}
                    None => problems.push(format!("column `{}`: data type {value} is unknown", self.name)),
                },
                "nullable" => self.nullable = value.as_bool(),
                "precision" => self.precision = value.as_u64().and_then(|number| u32::try_from(number).ok()),
                "scale" => self.scale = value.as_u64().and_then(|number| u32::try_from(number).ok()),
                "primary_key" => self.primary_key = is_true(value),
                "merge_key" => self.merge_key = is_true(value),
                "unique" => self.unique = is_true(value),
                "hard_delete" => self.hard_delete = is_true(value),
                "dedup_sort" => match value.as_str() {
                    Some("asc") => self.dedup_sort = Some(SortOrder::Ascending),
                    Some("desc") => self.dedup_sort = Some(SortOrder::Descending),
                    _ => problems.push(format!("column `{}`: dedup_sort is asc or desc, not {value}", self.name)),
                },
                _ => drop(self.others.insert(key.clone(), value.clone())),
            }
        }
    }
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

impl StreamPlan {
    /// The name of a stream's root table, as far as no other stream has it.
    pub fn table_name(spec: &StreamSpec, naming: &Naming) -> String {
        naming.table(named_table(spec).unwrap_or(&spec.name))
    }

    /// Reads a stream's hints. Every mistake is said at once, one sentence each.
    pub fn read(spec: &StreamSpec, naming: &Naming) -> Result<Self, Vec<String>> {
        Self::read_into(spec, naming, Self::table_name(spec, naming))
    }

    /// As `read`, for a stream whose root table has another name than its own.
    pub fn read_into(spec: &StreamSpec, naming: &Naming, table: String) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let hints = &spec.hints;
        if table.starts_with("_dlt_") {
            problems.push(format!("its table would be `{table}`: names that begin with _dlt_ are the bookkeeping's"));
        }
        let contract =
            Contract::parse(hints.get("schema_contract").unwrap_or(&Value::Null)).unwrap_or_else(|problem| {
                problems.push(problem);
                Contract::default()
            });
        let max_nesting = match hints.get("max_table_nesting") {
            None | Some(Value::Null) => DEFAULT_NESTING,
            Some(level) => match level.as_u64().and_then(|level| usize::try_from(level).ok()) {
                Some(level) => level,
                None => {
                    problems.push(format!("max_table_nesting is a whole number from 0, not {level}"));
                    DEFAULT_NESTING
                }
            },
        };
        let merge_strategy = read_strategy(hints, naming).unwrap_or_else(|problem| {
            problems.push(problem);
            MergeStrategy::default()
        });
        let mut columns = HashMap::new();
        let mut root = read_columns(hints.get("columns"), naming, &mut problems);
        mark_keys(&mut root, naming, &spec.primary_key, &spec.merge_key);
        columns.insert(table.clone(), root);
        if let Some(nested) = hints.get("nested_hints").and_then(Value::as_object) {
            for (path, hints) in nested {
                let mut nested = read_columns(hints.get("columns"), naming, &mut problems);
                mark_keys(&mut nested, naming, &names(hints.get("primary_key")), &names(hints.get("merge_key")));
                columns.insert(naming.nested(&table, &naming.hinted_path(path)), nested);
            }
        }
        let loaded = spec.selected && spec.write_disposition != WriteDisposition::Skip;
        let plan = Self {
            stream: spec.name.clone(),
            loaded,
            table,
            is_table_named: named_table(spec).is_some(),
            shared_with: Vec::new(),
            write_disposition: spec.write_disposition,
            merge_strategy,
            contract,
            max_nesting,
            columns,
        };
        plan.check_keys(&mut problems);
        if problems.is_empty() { Ok(plan) } else { Err(problems) }
    }

    /// A merge without a key can't find what it replaces; dlt appends in silence, here it is an error. What upsert and
    /// insert-only need, the destination says when it merges.
    fn check_keys(&self, problems: &mut Vec<String>) {
        if !self.loaded || self.write_disposition != WriteDisposition::Merge {
            return;
        }
        let has = |is_key: fn(&ColumnHint) -> bool| self.hints(&self.table).is_some_and(|all| all.values().any(is_key));
        if self.merge_strategy == MergeStrategy::DeleteInsert && !has(|hint| hint.primary_key || hint.merge_key) {
            problems.push("the write disposition `merge` needs a primary_key or a merge_key".to_owned());
        }
    }

    /// Why two streams can't fill one table, if they would. One that replaces it would delete what the other one brings;
    /// and a table is written in one way, by one key.
    pub fn clash(&self, other: &Self) -> Option<String> {
        if !self.loaded || !other.loaded || self.table != other.table {
            return None;
        }
        let (table, stream) = (&self.table, &other.stream);
        if self.collects() || other.collects() {
            return Some(format!(
                "the stream `{stream}` fills the table `{table}` too, so neither can replace it: give each a table_name of its own"
            ));
        }
        let way = |plan: &Self| match plan.write_disposition {
            WriteDisposition::Merge => format!("merge by {}", plan.merge_strategy.name()),
            disposition => disposition.name().to_owned(),
        };
        let (one, another) = (way(self), way(other));
        if one != another {
            return Some(format!(
                "the stream `{stream}` fills the table `{table}` too, but by {another}, not {one}: give both the same \
                 write disposition, or each a table_name of its own"
            ));
        }
        if self.write_disposition == WriteDisposition::Merge && self.keys() != other.keys() {
            return Some(format!(
                "the stream `{stream}` fills the table `{table}` too, but merges by another key: give both the same \
                 primary_key, or each a table_name of its own"
            ));
        }
        None
    }

    /// Whether its rows only make sense together.
    fn collects(&self) -> bool {
        let chosen = |hint: &ColumnHint| hint.merge_key || hint.dedup_sort.is_some();
        self.write_disposition == WriteDisposition::Replace
            || self.scd2().is_some()
            || self.write_disposition == WriteDisposition::Merge
                && self.merge_strategy == MergeStrategy::DeleteInsert
                && self.hints(&self.table).is_some_and(|hints| hints.values().any(chosen))
    }

    fn keys(&self) -> BTreeSet<&str> {
        let hints = self.hints(&self.table).into_iter().flat_map(IndexMap::values);
        hints.filter(|hint| hint.primary_key).map(|hint| hint.name.as_str()).collect()
    }

    /// Whether the user chose the type of a column.
    pub fn is_typed(&self, table: &str, column: &str) -> bool {
        self.hints(table).and_then(|hints| hints.get(column)).is_some_and(|hint| hint.data_type.is_some())
    }

    pub fn hints(&self, table: &str) -> Option<&IndexMap<String, ColumnHint>> {
        self.columns.get(table)
    }

    /// Whether child rows carry the id of the record's own row (`_dlt_root_id`): a merge finds them by it.
    pub fn has_root_key(&self) -> bool {
        self.write_disposition == WriteDisposition::Merge && !matches!(self.merge_strategy, MergeStrategy::Scd2(_))
    }

    /// The options of a slowly changing dimension, if it is one.
    pub fn scd2(&self) -> Option<&Scd2> {
        match &self.merge_strategy {
            MergeStrategy::Scd2(options) if self.write_disposition == WriteDisposition::Merge => Some(options),
            _ => None,
        }
    }

    /// Brings tables of earlier runs up to date: disposition, keys, other hints. Types stay as they are stored; the
    /// answer says which hinted types that concerns, as `table.column`.
    ///
    /// `family`: the names of the root table and those below it.
    pub fn apply(&self, schema: &mut Schema, family: &[String]) -> Vec<String> {
        let mut kept = Vec::new();
        for name in family {
            let Some(table) = schema.tables.get_mut(name) else { continue };
            table.stream.clone_from(&self.stream);
            if table.parent.is_none() {
                table.shared_with.clone_from(&self.shared_with);
            }
            table.write_disposition = self.write_disposition;
            table.merge_strategy = self.merge_strategy.clone();
            if let Some(root_id) = table.columns.get_mut("_dlt_root_id").filter(|_| !self.has_root_key()) {
                // Left by a disposition that wrote it; from now on it stays empty.
                root_id.nullable = true;
            }
            let hints = self.columns.get(name);
            for column in table.columns.values_mut().filter(|column| !column.name.starts_with("_dlt_")) {
                match hints.and_then(|hints| hints.get(&column.name)) {
                    Some(hint) => {
                        if hint.differs(column) {
                            kept.push(format!("{name}.{}", column.name));
                        }
                        hint.apply(column);
                    }
                    None => {
                        // A key that is a key no longer must not steer a merge.
                        column.primary_key = false;
                        column.merge_key = false;
                    }
                }
            }
        }
        kept
    }
}

/// The table that a stream's hints name.
fn named_table(spec: &StreamSpec) -> Option<&str> {
    spec.hints.get("table_name").and_then(Value::as_str)
}

fn read_strategy(hints: &Map<String, Value>, naming: &Naming) -> Result<MergeStrategy, String> {
    match hints.get("strategy") {
        None | Some(Value::Null) => Ok(MergeStrategy::DeleteInsert),
        Some(Value::String(strategy)) => match strategy.as_str() {
            "delete-insert" => Ok(MergeStrategy::DeleteInsert),
            "upsert" => Ok(MergeStrategy::Upsert),
            "insert-only" => Ok(MergeStrategy::InsertOnly),
            "scd2" => {
                let mut options = Scd2::default();
                match names(hints.get("validity_column_names")).as_slice() {
                    [] => {}
                    [from, to] => {
                        options.valid_from = naming.path(from);
                        options.valid_to = naming.path(to);
                    }
                    _ => return Err("validity_column_names are two: from and to".to_owned()),
                }
                let text = |key: &str| hints.get(key).and_then(Value::as_str).map(str::to_owned);
                options.active_record_timestamp = text("active_record_timestamp");
                options.boundary_timestamp = text("boundary_timestamp");
                Ok(MergeStrategy::Scd2(options))
            }
            _ => {
                Err(format!("merge strategy `{strategy}` is not known: use delete-insert, upsert, insert-only or scd2"))
            }
        },
        Some(other) => Err(format!("a merge strategy is a name, not {other}")),
    }
}

/// dlt takes an object by name, or a list of objects with names.
fn read_columns(columns: Option<&Value>, naming: &Naming, problems: &mut Vec<String>) -> IndexMap<String, ColumnHint> {
    let mut read = IndexMap::new();
    let mut add = |name: &str, properties: &Value, problems: &mut Vec<String>| {
        let Some(properties) = properties.as_object() else {
            problems.push(format!("column `{name}` is described by an object, not {properties}"));
            return;
        };
        let name = naming.path(name);
        let hint = read.entry(name.clone()).or_insert_with(|| ColumnHint { name, ..ColumnHint::default() });
        hint.read(properties, problems);
    };
    match columns {
        None | Some(Value::Null) => {}
        Some(Value::Object(columns)) => {
            for (name, properties) in columns {
                add(name, properties, problems);
            }
        }
        Some(Value::Array(columns)) => {
            for properties in columns {
                match properties.get("name").and_then(Value::as_str) {
                    Some(name) => add(name, properties, problems),
                    None => problems.push(format!("a column in a list needs a name: {properties}")),
                }
            }
        }
        Some(other) => problems.push(format!("columns are an object or a list, not {other}")),
    }
    read
}

fn mark_keys(hints: &mut IndexMap<String, ColumnHint>, naming: &Naming, primary: &[String], merge: &[String]) {
    let mut mark = |key: &String, set: fn(&mut ColumnHint)| {
        let name = naming.hinted_path(key);
        set(hints.entry(name.clone()).or_insert_with(|| ColumnHint { name, ..ColumnHint::default() }));
    };
    for key in primary {
        mark(key, |hint| hint.primary_key = true);
    }
    for key in merge {
        mark(key, |hint| hint.merge_key = true);
    }
}

/// One name or a list of them.
fn names(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(name)) => vec![name.clone()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(disposition: WriteDisposition, hints: &Value, keys: &[&str]) -> StreamSpec {
        StreamSpec {
            name: "myStream".to_owned(),
            parent: None,
            selected: true,
            primary_key: keys.iter().map(|key| (*key).to_owned()).collect(),
            merge_key: Vec::new(),
            cursor_field: None,
            write_disposition: disposition,
            hints: hints.as_object().cloned().unwrap_or_default(),
        }
    }

    fn read(disposition: WriteDisposition, hints: &Value, keys: &[&str]) -> Result<StreamPlan, Vec<String>> {
        StreamPlan::read(&spec(disposition, hints, keys), &Naming { max_length: 63, ..Naming::default() })
    }

    #[test]
    fn names_and_keys_are_normalized() {
        let hints = json!({"columns": [{"name": "createdAt", "data_type": "date"}], "max_table_nesting": 2,
            "nested_hints": {"Kids": {"columns": {"Age": {"data_type": "decimal", "precision": 5, "scale": 1}}}}});
        let plan = read(WriteDisposition::Append, &hints, &["user.ID"]).unwrap();
        assert_eq!(plan.table, "my_stream");
        assert_eq!(plan.max_nesting, 2);
        let root = plan.hints("my_stream").unwrap();
        assert_eq!(root["created_at"].data_type, Some(DataType::Date));
        assert!(root["user__id"].primary_key && !root["user__id"].is_nullable());
        assert_eq!(plan.hints("my_stream__kids").unwrap()["age"].scale, Some(1));
    }

    #[test]
    fn a_merge_needs_a_key() {
        let strategy = |name: &str| json!({ "strategy": name });
        for (hints, keys, fits) in [
            (json!({}), vec![], false),
            (json!({}), vec!["id"], true),
            (json!({"columns": {"id": {"merge_key": true}}}), vec![], true),
            (strategy("upsert"), vec![], true),
            (strategy("upsert"), vec!["id"], true),
            (strategy("insert-only"), vec![], true),
            (strategy("scd2"), vec![], true),
            (strategy("cdc"), vec!["id"], false),
        ] {
            assert_eq!(read(WriteDisposition::Merge, &hints, &keys).is_ok(), fits, "{hints} {keys:?}");
        }
    }

    #[test]
    fn every_mistake_is_said_at_once() {
        let hints =
            json!({"columns": {"a": {"data_type": "int"}}, "schema_contract": "freez", "max_table_nesting": -1});
        assert_eq!(read(WriteDisposition::Append, &hints, &[]).unwrap_err().len(), 3);
    }

    #[test]
    fn streams_that_share_a_table_write_it_in_one_way() {
        use WriteDisposition::{Append, Merge, Replace};
        let (table, other) = (json!({"table_name": "t"}), json!({"table_name": "u"}));
        let scd2 = json!({"table_name": "t", "strategy": "scd2"});
        let merge_key = json!({"table_name": "t", "columns": {"day": {"merge_key": true}}});
        let upsert = json!({"table_name": "t", "strategy": "upsert"});
        for ((one, its, key), (another, others, other_key), clash) in [
            ((Append, &table, "id"), (Append, &table, "uid"), None),
            ((Append, &table, "id"), (Replace, &table, "id"), Some("neither can replace it")),
            ((Replace, &table, "id"), (Replace, &table, "id"), Some("neither can replace it")),
            ((Replace, &table, "id"), (Replace, &other, "id"), None),
            ((Merge, &scd2, "id"), (Append, &table, "id"), Some("neither can replace it")),
            ((Merge, &merge_key, "id"), (Merge, &merge_key, "id"), Some("neither can replace it")),
            ((Merge, &table, "id"), (Merge, &table, "id"), None),
            ((Merge, &table, "id"), (Append, &table, "id"), Some("by append, not merge by delete-insert")),
            ((Merge, &table, "id"), (Merge, &upsert, "id"), Some("by merge by upsert, not merge by delete-insert")),
            ((Merge, &table, "id"), (Merge, &table, "uid"), Some("merges by another key")),
        ] {
            let (one, another) = (read(one, its, &[key]).unwrap(), read(another, others, &[other_key]).unwrap());
            let found = one.clash(&another);
            assert_eq!(found.is_some(), clash.is_some(), "{one:?} {another:?}");
            assert!(clash.is_none_or(|words| found.as_ref().unwrap().contains(words)), "{found:?}");
        }
    }
}
