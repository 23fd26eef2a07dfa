//! Load packages for the destination suite, written as JSON rows.
//!
//! Must never compute what a destination is expected to compute.

use std::sync::Arc;

use airlock_host::normalize::{Normalizer, Options, Records};
use airlock_host::package::{LoadPackage, Replacement, TableBatch, TakenBack};
use airlock_host::schema::{
    Column, DataType, MergeStrategy, Scd2, Schema, SortOrder, StreamSpec, TableSchema, WriteDisposition,
};
use airlock_host::state::{Position, Positions, State};
use arrow::datatypes::{DataType as ArrowType, Field, Schema as ArrowSchema, TimeUnit};
use arrow::json::ReaderBuilder;
use arrow::record_batch::RecordBatch;
use serde_json::{Map, Value, json};

pub(crate) const PIPELINE: &str = "pm";

/// A column by its name, type and marks: `id:bigint:pk`.
pub(crate) fn column(text: &str) -> Column {
    let mut parts = text.split(':');
    let name = parts.next().unwrap().to_owned();
    let data_type = match parts.next().unwrap_or("text") {
        "text" => DataType::Text,
        "double" => DataType::Double,
        "bool" => DataType::Bool,
        "timestamp" => DataType::Timestamp,
        "bigint" => DataType::Bigint,
        "binary" => DataType::Binary,
        "json" => DataType::Json,
        "decimal" => DataType::Decimal,
        "wei" => DataType::Wei,
        "date" => DataType::Date,
        "time" => DataType::Time,
        other => panic!("no type {other}"),
    };
    let marks: Vec<&str> = parts.collect();
    let has = |mark: &str| marks.contains(&mark);
    Column {
        nullable: !(has("pk") || has("required") || name.starts_with("_dlt_") && !name.contains("valid")),
        primary_key: has("pk"),
        merge_key: has("mk"),
        hard_delete: has("deleted"),
        dedup_sort: if has("latest") { Some(SortOrder::Descending) } else { None },
        name,
        data_type,
        precision: None,
        scale: None,
        unique: false,
        variant: false,
        hints: Map::new(),
    }
}

pub(crate) fn table(name: &str, parent: Option<&str>, columns: &[&str]) -> TableSchema {
    TableSchema {
        name: name.to_owned(),
        stream: name.split("__").next().unwrap().to_owned(),
        shared_with: Vec::new(),
        parent: parent.map(str::to_owned),
        source: None,
        write_disposition: WriteDisposition::Append,
        merge_strategy: MergeStrategy::DeleteInsert,
        columns: columns.iter().map(|text| column(text)).map(|column| (column.name.clone(), column)).collect(),
    }
}

fn arrow_type(column: &Column, zone: &str) -> ArrowType {
    match column.data_type {
        DataType::Text | DataType::Json => ArrowType::Utf8,
        DataType::Double => ArrowType::Float64,
        DataType::Bool => ArrowType::Boolean,
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some(zone.into())),
        DataType::Bigint => ArrowType::Int64,
        DataType::Binary => ArrowType::Binary,
        DataType::Decimal => ArrowType::Decimal128(38, 9),
        DataType::Wei => ArrowType::Decimal128(38, 0),
        DataType::Date => ArrowType::Date32,
        DataType::Time => ArrowType::Time64(TimeUnit::Microsecond),
    }
}

/// Columns that some row has, in the order of the first row that has them. The zone is `UTC` in packages; what parses
/// JSON only knows offsets.
fn arrow_schema(table: &TableSchema, rows: &[Value], zone: &str) -> Arc<ArrowSchema> {
    let mut fields: Vec<Field> = Vec::new();
    for key in rows.iter().flat_map(|row| row.as_object().unwrap().keys()) {
        if fields.iter().all(|field| field.name() != key) {
            fields.push(Field::new(key, arrow_type(&table.columns[key], zone), true));
        }
    }
    Arc::new(ArrowSchema::new(fields))
}

/// Rows of a table as one batch.
pub(crate) fn batch(table: &TableSchema, rows: &[Value]) -> RecordBatch {
    let mut decoder = ReaderBuilder::new(arrow_schema(table, rows, "+00:00")).build_decoder().unwrap();
    decoder.serialize(rows).unwrap();
    let decoded = decoder.flush().unwrap().unwrap();
    let schema = arrow_schema(table, rows, "UTC");
    let columns = decoded.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| arrow::compute::cast(column, field.data_type()).unwrap()).collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

/// A package under construction.
pub(crate) struct Package(pub(crate) LoadPackage);

impl Package {
    /// The `number`-th package of the pipeline; the load ids of packages ascend with it.
    pub(crate) fn new(number: u32) -> Self {
        let mut state = State::default();
        let position = Position { shared: Some(format!("after {number}")), ..Position::default() };
        state.streams.insert("v".to_owned(), Positions(vec![position]));
        Self(LoadPackage {
            pipeline: PIPELINE.to_owned(),
            load_id: load_id(number),
            tables: Vec::new(),
            schema: Schema { name: PIPELINE.to_owned(), ..Schema::default() },
            state,
            replaced: Vec::new(),
            taken_back: Vec::new(),
        })
    }

    /// A table without rows in this package.
    pub(crate) fn table(mut self, table: &TableSchema) -> Self {
        self.0.schema.tables.insert(table.name.clone(), table.clone());
        self
    }

    pub(crate) fn rows(mut self, table: &TableSchema, rows: &[Value]) -> Self {
        self = self.table(table);
        if !rows.is_empty() {
            self.0.tables.push(TableBatch { table: table.name.clone(), batches: vec![batch(table, rows)] });
        }
        self
    }

    pub(crate) fn replaces(mut self, stream: &str, begins: bool, ends: bool) -> Self {
        self.0.replaced.push(Replacement { stream: stream.to_owned(), begins, ends });
        self
    }

    /// Takes back what these packages brought of a stream.
    pub(crate) fn takes_back(mut self, stream: &str, numbers: &[u32]) -> Self {
        let loads = numbers.iter().map(|number| load_id(*number)).collect();
        self.0.taken_back.push(TakenBack { stream: stream.to_owned(), loads });
        self
    }
}

pub(crate) fn load_id(number: u32) -> String {
    format!("17953456{number:02}.5")
}

/// How a versioned stream is written.
#[derive(Clone)]
pub(crate) struct Disposition {
    pub(crate) write: WriteDisposition,
    pub(crate) strategy: MergeStrategy,
}

impl Disposition {
    pub(crate) fn of(write: WriteDisposition) -> Self {
        Self { write, strategy: MergeStrategy::DeleteInsert }
    }

    pub(crate) fn merge(strategy: MergeStrategy) -> Self {
        Self { write: WriteDisposition::Merge, strategy }
    }

    pub(crate) fn scd2() -> Self {
        Self::merge(MergeStrategy::Scd2(Scd2 {
            valid_from: "_dlt_valid_from".to_owned(),
            valid_to: "_dlt_valid_to".to_owned(),
            active_record_timestamp: None,
            boundary_timestamp: None,
        }))
    }

    pub(crate) fn apply(&self, mut table: TableSchema) -> TableSchema {
        table.write_disposition = self.write;
        table.merge_strategy = self.strategy.clone();
        table
    }

    pub(crate) fn collected(&self) -> bool {
        self.write == WriteDisposition::Replace || matches!(self.strategy, MergeStrategy::Scd2(_))
    }

    /// Row ids as dlt makes them: random, from the key, or from the row's content.
    fn row_id(&self, load: u32, position: usize, id: i64, name: &str, kids: &[i64]) -> String {
        match (self.write, &self.strategy) {
            (WriteDisposition::Merge, MergeStrategy::Upsert | MergeStrategy::InsertOnly) => format!("key {id}"),
            (WriteDisposition::Merge, MergeStrategy::Scd2(_)) => format!("hash {id} {name} {kids:?}"),
            _ => format!("random {load} {position}"),
        }
    }
}

pub(crate) fn v_table(disposition: &Disposition) -> TableSchema {
    let mut columns = vec!["id:bigint:pk", "name", "_dlt_load_id", "_dlt_id"];
    if disposition.strategy != MergeStrategy::DeleteInsert && disposition.collected() {
        columns.splice(0..0, ["_dlt_valid_from:timestamp", "_dlt_valid_to:timestamp"]);
    }
    disposition.apply(table("v", None, &columns))
}

pub(crate) fn kids_table(disposition: &Disposition) -> TableSchema {
    disposition.apply(table("v__kids", Some("v"), &["k:bigint", "_dlt_parent_id", "_dlt_list_idx:bigint", "_dlt_id"]))
}

/// A package of `v` and its child table, as records `(id, name, kids)`.
pub(crate) fn versioned(number: u32, disposition: &Disposition, records: &[(i64, &str, &[i64])]) -> Package {
    let (mut rows, mut kids) = (Vec::new(), Vec::new());
    for (position, (id, name, children)) in records.iter().enumerate() {
        let row_id = disposition.row_id(number, position, *id, name, children);
        rows.push(json!({"id": id, "name": name, "_dlt_load_id": load_id(number), "_dlt_id": row_id}));
        for (index, kid) in children.iter().enumerate() {
            let kid_id = format!("{row_id}/{index}");
            kids.push(json!({"k": kid, "_dlt_parent_id": row_id, "_dlt_list_idx": index, "_dlt_id": kid_id}));
        }
    }
    let package = Package::new(number).rows(&v_table(disposition), &rows).rows(&kids_table(disposition), &kids);
    if disposition.collected() { package.replaces("v", true, true) } else { package }
}

/// A package of `v` and its child tables as the host makes it of records, to be merged by that strategy into tables that
/// may be known.
pub(crate) fn merged(number: u32, strategy: &str, known: Schema, records: &Value) -> Package {
    let Value::Object(hints) = json!({"strategy": strategy}) else { unreachable!() };
    let spec = StreamSpec {
        name: "v".to_owned(),
        parent: None,
        selected: true,
        primary_key: vec!["id".to_owned()],
        merge_key: Vec::new(),
        cursor_field: None,
        write_disposition: WriteDisposition::Merge,
        hints,
    };
    let mut normalizer = Normalizer::new(known, &[spec], Options::default()).unwrap();
    normalizer.add("v", &Records::JsonArray(records.to_string().as_bytes()), &load_id(number)).unwrap();
    let mut package = Package::new(number);
    package.0.tables = normalizer.take().unwrap().tables;
    package.0.schema.tables.clone_from(&normalizer.schema().tables);
    if strategy == "scd2" { package.replaces("v", true, true) } else { package }
}
