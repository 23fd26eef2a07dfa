//! What tables look like: columns, types, keys, and how they may change.
//!
//! Must never touch a destination or a record: `normalize` fills tables, `destination` makes them.

mod contract;
mod hints;
mod naming;
mod stored;

use arrow::datatypes::{DataType as ArrowType, TimeUnit};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use contract::{Contract, Mode};
pub use hints::{ColumnHint, StreamPlan};
pub use naming::{Convention, Naming, fold, join, shortened};
pub use stored::StoredSchema;

/// The tables of a dataset, in the order in which they were first seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// dlt calls it the schema's name; here it is the pipeline's.
    pub name: String,
    pub tables: IndexMap<String, TableSchema>,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableSchema {
    /// As it is named in the destination.
    pub name: String,
    /// The stream that fills it (dlt's `resource`).
    pub stream: String,
    /// Other streams that fill it too. Of a root table, and known only while they run.
    pub shared_with: Vec<String>,
    /// The table whose rows hold the lists that this table's rows come from.
    pub parent: Option<String>,
    /// The key of those lists; none: not known, as of a table that dlt made.
    pub source: Option<String>,
    pub write_disposition: WriteDisposition,
    /// How a merge is done; of no meaning for other dispositions.
    pub merge_strategy: MergeStrategy,
    /// In order: data columns as first seen, then dlt's, then later ones.
    pub columns: IndexMap<String, Column>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub data_type: DataType,
    pub nullable: bool,
    pub precision: Option<u32>,
    pub scale: Option<u32>,
    pub primary_key: bool,
    pub merge_key: bool,
    pub unique: bool,
    /// A row in which this column is true (or, if not a bool, not null) is deleted by a merge.
    pub hard_delete: bool,
    pub dedup_sort: Option<SortOrder>,
    /// Takes the values that did not fit the column of this name without `__v_…`.
    pub variant: bool,
    /// Other dlt hints, kept as they came.
    pub hints: Map<String, Value>,
}

/// dlt's data types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DataType {
    Text,
    Double,
    Bool,
    /// Microseconds since the epoch, UTC.
    Timestamp,
    Bigint,
    Binary,
    Json,
    Decimal,
    /// A whole number of up to 256 bits: here a decimal without a fraction.
    Wei,
    Date,
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortOrder {
    Ascending,
    Descending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteDisposition {
    Append,
    Replace,
    Merge,
    Skip,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum MergeStrategy {
    #[default]
    DeleteInsert,
    Upsert,
    InsertOnly,
    Scd2(Scd2),
}

/// Options of a slowly changing dimension, with dlt's defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scd2 {
    pub valid_from: String,
    pub valid_to: String,
    /// `valid_to` of active rows; none: null.
    pub active_record_timestamp: Option<String>,
    /// The moment between two versions; none: the package's time.
    pub boundary_timestamp: Option<String>,
}

/// What a connector says of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamSpec {
    pub name: String,
    pub parent: Option<String>,
    /// Loaded; if not, it is read only for its children.
    pub selected: bool,
    /// Fields of the record, as the API names them.
    pub primary_key: Vec<String>,
    pub merge_key: Vec<String>,
    pub cursor_field: Option<String>,
    pub write_disposition: WriteDisposition,
    /// `table_name`, `columns`, `schema_contract`, `max_table_nesting`, `nested_hints`, `strategy` … (dlt's names).
    pub hints: Map<String, Value>,
}

impl TableSchema {
    /// Whether a stream's records are rows of this table, or of those below it.
    pub fn is_filled_by(&self, stream: &str) -> bool {
        self.stream == stream || self.shared_with.iter().any(|other| other == stream)
    }
}

impl Schema {
    /// A table and the tables below it, in the schema's order.
    pub fn family<'a>(&'a self, root: &'a str) -> impl Iterator<Item = &'a TableSchema> {
        self.tables.values().filter(move |table| self.root_of(&table.name) == root)
    }

    /// The table at the top of the chain of parents.
    pub fn root_of<'a>(&'a self, table: &'a str) -> &'a str {
        let mut name = table;
        // A stored schema could hold a circle: as many steps as there are tables are enough.
        for _ in 0..self.tables.len() {
            match self.tables.get(name).and_then(|table| table.parent.as_deref()) {
                Some(parent) => name = parent,
                None => break,
            }
        }
        name
    }
}

impl Column {
    /// A nullable column without any hint.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self {
            name: name.into(),
            data_type,
            nullable: true,
            precision: None,
            scale: None,
            primary_key: false,
            merge_key: false,
            unique: false,
            hard_delete: false,
            dedup_sort: None,
            variant: false,
            hints: Map::new(),
        }
    }

    /// Bits of a whole number, as far as destinations tell them apart: 16, 32 or 64.
    pub fn whole_bits(&self) -> u32 {
        match self.precision {
            Some(bits) if bits <= 16 => 16,
            Some(bits) if bits <= 32 => 32,
            _ => 64,
        }
    }

    /// The type of its values in Arrow.
    pub fn arrow_type(&self) -> ArrowType {
        match self.data_type {
            DataType::Text | DataType::Json => ArrowType::Utf8,
            DataType::Double => ArrowType::Float64,
            DataType::Bool => ArrowType::Boolean,
            DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            DataType::Bigint => match self.whole_bits() {
                16 => ArrowType::Int16,
                32 => ArrowType::Int32,
                _ => ArrowType::Int64,
            },
            DataType::Binary => ArrowType::Binary,
            DataType::Wei | DataType::Decimal => {
                let (precision, scale) = self.decimal_shape();
                ArrowType::Decimal128(precision, scale)
            }
            DataType::Date => ArrowType::Date32,
            DataType::Time => ArrowType::Time64(TimeUnit::Microsecond),
        }
    }

    /// Digits in all, and behind the point, of a decimal: dlt's defaults where nothing is said.
    pub fn decimal_shape(&self) -> (u8, i8) {
        match self.data_type {
            DataType::Wei => (38, 0),
            _ => {
                let precision = self.precision.unwrap_or(38).clamp(1, 38);
                let scale = self.scale.unwrap_or(if self.precision.is_some() { 0 } else { 9 }).min(precision);
                (u8::try_from(precision).unwrap_or(38), i8::try_from(scale).unwrap_or(9))
            }
        }
    }
}

impl DataType {
    /// dlt's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Double => "double",
            Self::Bool => "bool",
            Self::Timestamp => "timestamp",
            Self::Bigint => "bigint",
            Self::Binary => "binary",
            Self::Json => "json",
            Self::Decimal => "decimal",
            Self::Wei => "wei",
            Self::Date => "date",
            Self::Time => "time",
        }
    }

    /// The type of that name; dlt's older schemas say `complex` for `json`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "double" => Self::Double,
            "bool" => Self::Bool,
            "timestamp" => Self::Timestamp,
            "bigint" => Self::Bigint,
            "binary" => Self::Binary,
            "json" | "complex" => Self::Json,
            "decimal" => Self::Decimal,
            "wei" => Self::Wei,
            "date" => Self::Date,
            "time" => Self::Time,
            _ => return None,
        })
    }
}

impl MergeStrategy {
    /// dlt's name for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DeleteInsert => "delete-insert",
            Self::Upsert => "upsert",
            Self::InsertOnly => "insert-only",
            Self::Scd2(_) => "scd2",
        }
    }
}

impl WriteDisposition {
    /// dlt's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Replace => "replace",
            Self::Merge => "merge",
            Self::Skip => "skip",
        }
    }
}

impl Default for Scd2 {
    fn default() -> Self {
        Self {
            valid_from: "_dlt_valid_from".to_owned(),
            valid_to: "_dlt_valid_to".to_owned(),
            active_record_timestamp: None,
            boundary_timestamp: None,
        }
    }
}
