//! The schema as dlt stores it (`_dlt_version.schema`, engine version 11), so that a dataset which dlt began can be
//! continued here, and the other way round.
//!
//! Must never lose a hint that it does not know: unknown column hints are carried along.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use sha3::{Digest as _, Sha3_256};

use super::{Column, DataType, MergeStrategy, Scd2, Schema, SortOrder, TableSchema, WriteDisposition};
use crate::error::{Error, ErrorKind, Result};

const ENGINE_VERSION: u64 = 11;
/// A child table's `source`.
const SOURCE: &str = "x-original-key";

/// A schema in dlt's form.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSchema {
    /// Counts up with every change.
    pub version: u64,
    /// dlt's: base64 of a SHA3-256 over the content without versions and hashes.
    pub version_hash: String,
    pub content: Value,
}

impl Schema {
    /// dlt's form. `previous` is the version and hash that is stored: the version grows if the content changed.
    pub fn to_stored(&self, previous: Option<(u64, &str)>) -> StoredSchema {
        let mut tables = system_tables();
        let mut propagation = Map::new();
        for table in self.tables.values() {
            tables.insert(table.name.clone(), self.table_to_stored(table));
            let has_root_key = table.write_disposition == WriteDisposition::Merge
                && !matches!(table.merge_strategy, MergeStrategy::Scd2(_));
            if table.parent.is_none() && has_root_key {
                propagation.insert(table.name.clone(), json!({"_dlt_id": "_dlt_root_id"}));
            }
        }
        let not_null = ["_dlt_id", "_dlt_root_id", "_dlt_parent_id", "_dlt_list_idx", "_dlt_load_id"];
        let mut json_normalizer = json!({"module": "dlt.common.normalizers.json.relational"});
        if !propagation.is_empty() {
            json_normalizer["config"] = json!({"propagation": {"tables": propagation}});
        }
        let mut content = json!({
            "engine_version": ENGINE_VERSION,
            "name": self.name,
            "tables": tables,
            "settings": {
                "detections": ["iso_timestamp"],
                "default_hints": {
                    "not_null": not_null,
                    "parent_key": ["_dlt_parent_id"],
                    "root_key": ["_dlt_root_id"],
                    "unique": ["_dlt_id"],
                    "row_key": ["_dlt_id"],
                },
            },
            "normalizers": {"names": "snake_case", "json": json_normalizer},
        });
        let version_hash = hash(&content);
        let (version, previous_hashes) = match previous {
            None => (1, Vec::new()),
            Some((version, known)) if known == version_hash => (version, Vec::new()),
            Some((version, known)) => (version + 1, vec![known.to_owned()]),
        };
        content["version"] = json!(version);
        content["version_hash"] = json!(version_hash);
        content["previous_hashes"] = json!(previous_hashes);
        StoredSchema { version, version_hash, content }
    }

    /// Reads dlt's form, of this engine version or an older one that is alike. dlt's own tables are left out, and
    /// columns of which dlt knows no type yet.
    pub fn from_stored(stored: &Value) -> Result<Self> {
        let bad = |what: &str| Error::new(ErrorKind::Destination, format!("the stored schema has no {what}"));
        let name = stored.get("name").and_then(Value::as_str).ok_or_else(|| bad("name"))?.to_owned();
        let tables = stored.get("tables").and_then(Value::as_object).ok_or_else(|| bad("tables"))?;
        let mut schema = Self { name, tables: IndexMap::new() };
        for (name, table) in tables.iter().filter(|(name, _)| !name.starts_with("_dlt_")) {
            schema.tables.insert(name.clone(), table_from_stored(name, table));
        }
        schema.inherit();
        Ok(schema)
    }

    /// dlt says of a root table only what holds for its children too.
    fn inherit(&mut self) {
        let roots: Vec<(String, String)> =
            self.tables.keys().map(|name| (name.clone(), self.root_of(name).to_owned())).collect();
        for (name, root) in roots.into_iter().filter(|(name, root)| name != root) {
            let Some(root) = self.tables.get(&root) else { continue };
            let (stream, disposition, strategy) =
                (root.stream.clone(), root.write_disposition, root.merge_strategy.clone());
            if let Some(table) = self.tables.get_mut(&name) {
                (table.stream, table.write_disposition, table.merge_strategy) = (stream, disposition, strategy);
            }
        }
    }

    fn table_to_stored(&self, table: &TableSchema) -> Value {
        let columns: Map<String, Value> =
            table.columns.values().map(|column| (column.name.clone(), column_to_stored(column))).collect();
        let mut stored = json!({"name": table.name, "columns": columns, "x-normalizer": {"seen-data": true}});
        match &table.parent {
            Some(parent) => {
                stored["parent"] = json!(parent);
                if let Some(source) = &table.source {
                    stored[SOURCE] = json!(source);
                }
            }
            None => {
                stored["write_disposition"] = json!(table.write_disposition.name());
                stored["resource"] = json!(table.stream);
                if table.write_disposition == WriteDisposition::Merge {
                    stored["x-merge-strategy"] = json!(table.merge_strategy.name());
                }
                if let MergeStrategy::Scd2(Scd2 { boundary_timestamp: Some(boundary), .. }) = &table.merge_strategy {
                    stored["x-boundary-timestamp"] = json!(boundary);
                }
            }
        }
        stored
    }
}

fn table_from_stored(name: &str, stored: &Value) -> TableSchema {
    let text = |key: &str| stored.get(key).and_then(Value::as_str);
    let mut columns = IndexMap::new();
    for (name, column) in stored.get("columns").and_then(Value::as_object).into_iter().flatten() {
        if let Some(column) = column_from_stored(name, column) {
            columns.insert(name.clone(), column);
        }
    }
    let write_disposition = match text("write_disposition") {
        Some("replace") => WriteDisposition::Replace,
        Some("merge") => WriteDisposition::Merge,
        Some("skip") => WriteDisposition::Skip,
        _ => WriteDisposition::Append,
    };
    let merge_strategy = match text("x-merge-strategy") {
        Some("upsert") => MergeStrategy::Upsert,
        Some("insert-only") => MergeStrategy::InsertOnly,
        Some("scd2") => MergeStrategy::Scd2(scd2(&columns, text("x-boundary-timestamp"))),
        _ => MergeStrategy::DeleteInsert,
    };
    TableSchema {
        name: name.to_owned(),
        stream: text("resource").unwrap_or(name).to_owned(),
        shared_with: Vec::new(),
        parent: text("parent").map(str::to_owned),
        source: text(SOURCE).map(str::to_owned),
        write_disposition,
        merge_strategy,
        columns,
    }
}

/// dlt keeps the options at the validity columns.
fn scd2(columns: &IndexMap<String, Column>, boundary: Option<&str>) -> Scd2 {
    let mut options = Scd2 { boundary_timestamp: boundary.map(str::to_owned), ..Scd2::default() };
    for column in columns.values() {
        if column.hints.contains_key("x-valid-from") {
            options.valid_from.clone_from(&column.name);
        }
        if column.hints.contains_key("x-valid-to") {
            options.valid_to.clone_from(&column.name);
            let active = column.hints.get("x-active-record-timestamp").and_then(Value::as_str);
            options.active_record_timestamp = active.map(str::to_owned);
        }
    }
    options
}

fn column_to_stored(column: &Column) -> Value {
    let mut stored = json!({
        "name": column.name,
        "data_type": column.data_type.name(),
        "nullable": column.nullable,
    });
    for (key, number) in [("precision", column.precision), ("scale", column.scale)] {
        if let Some(number) = number {
            stored[key] = json!(number);
        }
    }
    let flags = [
        ("primary_key", column.primary_key),
        ("merge_key", column.merge_key),
        ("unique", column.unique),
        ("hard_delete", column.hard_delete),
        ("variant", column.variant),
    ];
    for (key, _) in flags.into_iter().filter(|(_, is_set)| *is_set) {
        stored[key] = json!(true);
    }
    match column.dedup_sort {
        Some(SortOrder::Ascending) => stored["dedup_sort"] = json!("asc"),
        Some(SortOrder::Descending) => stored["dedup_sort"] = json!("desc"),
        None => {}
    }
    for (key, value) in &column.hints {
        stored[key.as_str()] = value.clone();
    }
    stored
}

fn column_from_stored(name: &str, stored: &Value) -> Option<Column> {
    let data_type = stored.get("data_type").and_then(Value::as_str).and_then(DataType::from_name)?;
    let mut column = Column::new(name, data_type);
    for (key, value) in stored.as_object()? {
        let flag = value.as_bool().unwrap_or(false);
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        match key.as_str() {
            "name" | "data_type" => {}
            "nullable" => column.nullable = value.as_bool().unwrap_or(true),
            "precision" => column.precision = number,
            "scale" => column.scale = number,
            "primary_key" => column.primary_key = flag,
            "merge_key" => column.merge_key = flag,
            "unique" => column.unique = flag,
            "hard_delete" => column.hard_delete = flag,
            "variant" => column.variant = flag,
            "dedup_sort" => {
                column.dedup_sort = match value.as_str() {
                    Some("asc") => Some(SortOrder::Ascending),
                    Some("desc") => Some(SortOrder::Descending),
                    _ => None,
                }
            }
            _ => drop(column.hints.insert(key.clone(), value.clone())),
        }
    }
    Some(column)
}

/// The tables that dlt expects in every schema.
fn system_tables() -> Map<String, Value> {
    let table = |name: &str, columns: &[(&str, &str, bool)]| {
        let columns: Map<String, Value> = columns
            .iter()
            .map(|(name, data_type, nullable)| {
                ((*name).to_owned(), json!({"name": name, "data_type": data_type, "nullable": nullable}))
            })
            .collect();
        (name.to_owned(), json!({"name": name, "columns": columns, "write_disposition": "skip", "resource": name}))
    };
    Map::from_iter([
        table(
            "_dlt_version",
            &[
                ("version", "bigint", false),
                ("engine_version", "bigint", false),
                ("inserted_at", "timestamp", false),
                ("schema_name", "text", false),
                ("version_hash", "text", false),
                ("schema", "text", false),
            ],
        ),
        table(
            "_dlt_loads",
            &[
                ("load_id", "text", false),
                ("schema_name", "text", true),
                ("status", "bigint", false),
                ("inserted_at", "timestamp", false),
                ("schema_version_hash", "text", true),
            ],
        ),
    ])
}

/// dlt's version hash: the content with sorted keys, then table names sorted, each with its columns in order.
fn hash(content: &Value) -> String {
    let mut hasher = Sha3_256::new();
    hasher.update(sorted(content).to_string());
    if let Some(tables) = content.get("tables").and_then(Value::as_object) {
        let mut tables: Vec<_> = tables.iter().collect();
        tables.sort_unstable_by_key(|(name, _)| *name);
        for (name, table) in tables {
            hasher.update(name);
            for column in table.get("columns").and_then(Value::as_object).into_iter().flat_map(Map::keys) {
                hasher.update(column);
            }
        }
    }
    STANDARD.encode(hasher.finalize())
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            Value::Object(members.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let mut id = Column::new("id", DataType::Bigint);
        id.primary_key = true;
        id.nullable = false;
        let mut price = Column::new("price__v_decimal", DataType::Decimal);
        (price.precision, price.scale, price.variant) = (Some(38), Some(0), true);
        price.hints.insert("x-original-key".to_owned(), json!("Price"));
        let mut changed = Column::new("changed", DataType::Timestamp);
        (changed.dedup_sort, changed.hard_delete) = (Some(SortOrder::Descending), true);
        let table = |name: &str, parent: Option<&str>, columns: Vec<Column>| TableSchema {
            name: name.to_owned(),
            stream: "orders".to_owned(),
            shared_with: Vec::new(),
            parent: parent.map(str::to_owned),
            source: parent.map(|_| "Lines".to_owned()),
            write_disposition: WriteDisposition::Merge,
            merge_strategy: MergeStrategy::Upsert,
            columns: columns.into_iter().map(|column| (column.name.clone(), column)).collect(),
        };
        let tables = [
            table("orders", None, vec![id, price, changed]),
            table("orders__lines", Some("orders"), vec![Column::new("value", DataType::Json)]),
        ];
        Schema {
            name: "shop".to_owned(),
            tables: tables.into_iter().map(|table| (table.name.clone(), table)).collect(),
        }
    }

    #[test]
    fn what_is_stored_comes_back() {
        let schema = schema();
        assert_eq!(Schema::from_stored(&schema.to_stored(None).content).unwrap(), schema);
    }

    #[test]
    fn a_slowly_changing_dimension_comes_back() {
        let mut schema = schema();
        let options = Scd2 {
            valid_from: "since".to_owned(),
            valid_to: "until".to_owned(),
            active_record_timestamp: Some("9999-12-31".to_owned()),
            boundary_timestamp: Some("2024-01-01".to_owned()),
        };
        for table in schema.tables.values_mut() {
            table.merge_strategy = MergeStrategy::Scd2(options.clone());
        }
        let columns = &mut schema.tables["orders"].columns;
        let mut since = Column::new("since", DataType::Timestamp);
        since.hints.insert("x-valid-from".to_owned(), json!(true));
        let mut until = Column::new("until", DataType::Timestamp);
        until.hints.insert("x-valid-to".to_owned(), json!(true));
        until.hints.insert("x-active-record-timestamp".to_owned(), json!("9999-12-31"));
        columns.insert("since".to_owned(), since);
        columns.insert("until".to_owned(), until);
        assert_eq!(Schema::from_stored(&schema.to_stored(None).content).unwrap(), schema);
    }

    #[test]
    fn the_version_grows_with_the_content() {
        let mut schema = schema();
        let first = schema.to_stored(None);
        assert_eq!(first.version, 1);
        assert_eq!(schema.to_stored(Some((1, &first.version_hash))).version, 1);
        schema.tables["orders"].columns.swap_indices(0, 1);
        let second = schema.to_stored(Some((1, &first.version_hash)));
        assert_eq!((second.version, second.content["previous_hashes"][0].as_str()), (2, Some(&*first.version_hash)));
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for stored in [json!({}), json!({"name": "x"}), json!([])] {
            assert!(Schema::from_stored(&stored).is_err());
        }
    }
}
