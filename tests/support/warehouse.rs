//! Reads what a run left in a DuckDB file. Must never change the file.

use std::{collections::BTreeMap, path::Path};

use duckdb::{AccessMode, Config, Connection, types::ValueRef};
use serde_json::Value;

/// A table without its bookkeeping: what a user asked for.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Names and DuckDB types in order, `_dlt_` columns included.
    pub(crate) columns: Vec<(String, String)>,
    /// The cells of the columns that do not begin with `_dlt_`, in their order; the rows sorted by their JSON text.
    pub(crate) rows: Vec<Vec<Value>>,
}

/// The tables of a dataset, without dlt's own (`_dlt_loads` and the like). None at all if there is no file yet.
pub(crate) fn tables(file: &Path, dataset: &str) -> BTreeMap<String, Table> {
    let Some(connection) = open(file) else { return BTreeMap::new() };
    let mut tables = BTreeMap::<String, Table>::new();
    let mut statement = connection
        .prepare(
            "SELECT table_name, column_name, data_type FROM information_schema.columns
             WHERE table_schema = ? ORDER BY table_name, ordinal_position",
        )
        .unwrap();
    let mut rows = statement.query([dataset]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let name: String = row.get(0).unwrap();
        if !name.starts_with("_dlt_") {
            tables.entry(name).or_default().columns.push((row.get(1).unwrap(), row.get(2).unwrap()));
        }
    }
    for (name, table) in &mut tables {
        table.rows = read_rows(&connection, dataset, name, &table.columns);
    }
    tables
}

/// The first cell of the first row, as text.
pub(crate) fn scalar(file: &Path, query: &str) -> String {
    let connection = open(file).unwrap();
    let value: String =
        connection.query_row(&format!("SELECT CAST(({query}) AS VARCHAR)"), [], |row| row.get(0)).unwrap();
    value
}

fn open(file: &Path) -> Option<Connection> {
    if !file.exists() {
        return None;
    }
    let config = Config::default().access_mode(AccessMode::ReadOnly).unwrap();
    Some(Connection::open_with_flags(file, config).unwrap())
}

fn read_rows(connection: &Connection, dataset: &str, table: &str, columns: &[(String, String)]) -> Vec<Vec<Value>> {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let wanted: Vec<&(String, String)> = columns.iter().filter(|(name, _)| !name.starts_with("_dlt_")).collect();
    if wanted.is_empty() {
        let count: i64 = connection
            .query_row(&format!("SELECT count(*) FROM {}.{}", quote(dataset), quote(table)), [], |row| row.get(0))
            .unwrap();
        return (0..count).map(|_| Vec::new()).collect();
    }
    let expressions: Vec<String> = wanted.iter().map(|(name, kind)| expression(&quote(name), kind)).collect();
    let query = format!("SELECT {} FROM {}.{}", expressions.join(", "), quote(dataset), quote(table));
    let mut statement = connection.prepare(&query).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut result = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        result.push((0..wanted.len()).map(|index| cell(row.get_ref(index).unwrap())).collect::<Vec<Value>>());
    }
    result.sort_by_cached_key(|row| serde_json::to_string(row).unwrap());
    result
}

/// Numbers, truth values and texts as they are; times as Python prints them (`2024-01-01 10:00:00+00:00`), everything
/// else as text.
fn expression(column: &str, kind: &str) -> String {
    match kind {
        "BIGINT" | "INTEGER" | "DOUBLE" | "BOOLEAN" | "VARCHAR" => column.to_owned(),
        // In microseconds since 1970, so that no session time zone can shift it.
        "TIMESTAMP WITH TIME ZONE" => {
            format!("CAST(make_timestamp(epoch_us({column})) AS VARCHAR) || '+00:00'")
        }
        _ => format!("CAST({column} AS VARCHAR)"),
    }
}

fn cell(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Boolean(value) => value.into(),
        ValueRef::Int(value) => value.into(),
        ValueRef::BigInt(value) => value.into(),
        ValueRef::Double(value) => value.into(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned().into(),
        other => panic!("a cell of an unexpected type: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_tables_with_types_and_sorted_rows() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("some.duckdb");
        assert!(tables(&file, "d").is_empty());
        Connection::open(&file)
            .unwrap()
            .execute_batch(
                "CREATE SCHEMA d;
                 CREATE TABLE d._dlt_loads (load_id VARCHAR);
                 CREATE TABLE d.t (id BIGINT, seen TIMESTAMPTZ, _dlt_id VARCHAR, x DOUBLE);
                 INSERT INTO d.t VALUES (2, '2024-01-01 10:00:00+00', 'a', 1.5), (1, NULL, 'b', 2);",
            )
            .unwrap();
        let tables = tables(&file, "d");
        assert_eq!(tables.keys().collect::<Vec<_>>(), ["t"]);
        let expected: Vec<Vec<Value>> = vec![
            vec![1.into(), Value::Null, 2.0.into()],
            vec![2.into(), "2024-01-01 10:00:00+00:00".into(), 1.5.into()],
        ];
        assert_eq!(tables["t"].rows, expected);
        assert_eq!(tables["t"].columns[1], ("seen".to_owned(), "TIMESTAMP WITH TIME ZONE".to_owned()));
        assert_eq!(scalar(&file, "SELECT count(*) FROM d.t"), "2");
    }
}
