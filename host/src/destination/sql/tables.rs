//! Tables as they are in the database and as they should be: the catalog, the system tables, CREATE and ALTER.
//!
//! Must never drop a column or change a type: data that is there stays.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::dialect::{Area, Dialect, identifier};
use crate::schema::{Column, DataType, MergeStrategy, TableSchema, WriteDisposition};

/// What the database has of a dataset: tables by area and name, with their columns and whether these may be null.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    tables: HashMap<(Area, String), IndexMap<String, bool>>,
}

impl Catalog {
    /// From the rows of [`Dialect::catalog`].
    pub(crate) fn from_rows(rows: Vec<Vec<Option<String>>>) -> Self {
        let mut catalog = Self::default();
        for row in rows {
            let mut fields = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || fields.next().unwrap_or_default();
            let area = if next() == "staging" { Area::Staging } else { Area::Dataset };
            let (table, column, nullable) = (next(), next(), next());
            catalog.tables.entry((area, table)).or_default().insert(column, nullable == "YES");
        }
        catalog
    }

    pub(crate) fn has(&self, area: Area, table: &str) -> bool {
        self.tables.contains_key(&(area, table.to_owned()))
    }

    pub(crate) fn has_column(&self, area: Area, table: &str, column: &str) -> bool {
        self.tables.get(&(area, table.to_owned())).is_some_and(|columns| columns.contains_key(column))
    }

    pub(crate) fn remove(&mut self, area: Area, table: &str) {
        self.tables.remove(&(area, table.to_owned()));
    }

    /// The statements after which a table has at least the schema's columns; the catalog is told of them.
    ///
    /// `NOT NULL` stands only in a new table of the dataset, and is taken back once the schema allows nulls. Staging
    /// tables take anything: what the dataset's table refuses is refused when the rows get there.
    pub(crate) fn evolve(
        &mut self,
        dialect: &dyn Dialect,
        dataset: &str,
        area: Area,
        table: &TableSchema,
    ) -> Vec<String> {
        let name = dialect.locate(dataset, area, &table.name);
        let may_forbid_null = area == Area::Dataset && dialect.drop_not_null(&name, "").is_some();
        let Some(known) = self.tables.get_mut(&(area, table.name.clone())) else {
            let columns = table.columns.values().map(|column| {
                let constraint = if column.nullable || !may_forbid_null { "" } else { " NOT NULL" };
                format!("{} {}{constraint}", identifier(&column.name), dialect.column_type(column))
            });
            let columns = columns.collect::<Vec<_>>().join(", ");
            let added = table.columns.values().map(|column| (column.name.clone(), column.nullable || !may_forbid_null));
            self.tables.insert((area, table.name.clone()), added.collect());
            return vec![format!("CREATE TABLE {} ({columns})", name.quoted())];
        };
        let mut statements = Vec::new();
        for column in table.columns.values() {
            match known.get_mut(&column.name) {
                None => {
                    let (new, kind) = (identifier(&column.name), dialect.column_type(column));
                    statements.push(format!("ALTER TABLE {} ADD COLUMN {new} {kind}", name.quoted()));
                    known.insert(column.name.clone(), true);
                }
                Some(nullable) if column.nullable && !*nullable => {
                    statements.extend(dialect.drop_not_null(&name, &column.name));
                    *nullable = true;
                }
                Some(_) => {}
            }
        }
        statements
    }
}

/// `_dlt_loads`: one row per committed package; readers take rows of packages with status 0.
pub(crate) fn loads() -> TableSchema {
    system(
        "_dlt_loads",
        &[
            ("load_id", DataType::Text, false),
            ("schema_name", DataType::Text, true),
            ("status", DataType::Bigint, false),
            ("inserted_at", DataType::Timestamp, false),
            ("schema_version_hash", DataType::Text, true),
        ],
    )
}

/// `_dlt_version`: one row per version of the schema.
pub(crate) fn version() -> TableSchema {
    system(
        "_dlt_version",
        &[
            ("version", DataType::Bigint, false),
            ("engine_version", DataType::Bigint, false),
            ("inserted_at", DataType::Timestamp, false),
            ("schema_name", DataType::Text, false),
            ("version_hash", DataType::Text, false),
            ("schema", DataType::Text, false),
        ],
    )
}

/// `_dlt_pipeline_state`: the newest state of each pipeline.
pub(crate) fn pipeline_state() -> TableSchema {
    system(
        "_dlt_pipeline_state",
        &[
            ("version", DataType::Bigint, false),
            ("engine_version", DataType::Bigint, false),
            ("pipeline_name", DataType::Text, false),
            ("state", DataType::Text, false),
            ("created_at", DataType::Timestamp, false),
            ("version_hash", DataType::Text, true),
            ("_dlt_load_id", DataType::Text, false),
            ("_dlt_id", DataType::Text, false),
        ],
    )
}

fn system(name: &str, columns: &[(&str, DataType, bool)]) -> TableSchema {
    let columns = columns.iter().map(|(name, data_type, nullable)| {
        let column = Column { nullable: *nullable, ..Column::new(*name, *data_type) };
        (column.name.clone(), column)
    });
    TableSchema {
        name: name.to_owned(),
        stream: String::new(),
        shared_with: Vec::new(),
        parent: None,
        source: None,
        write_disposition: WriteDisposition::Append,
        merge_strategy: MergeStrategy::DeleteInsert,
        columns: columns.collect(),
    }
}
