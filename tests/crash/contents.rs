//! What a dataset holds, from any destination, as texts that can be compared from run to run.
//!
//! Ids and load ids differ between runs that are the same to their user, so a row stands here with the row that it hangs
//! on, and without them. Must never read through the destination's own code.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::destination::s3_server::{BUCKET, download};

/// Where a pipeline loads to.
#[derive(Clone)]
pub(crate) enum Place {
    DuckDb(PathBuf),
    Sqlite(PathBuf),
    /// The URL.
    Postgres(String),
    Parquet(PathBuf),
    /// A folder of the tests' bucket, and the variables with which it is reached.
    Bucket(String, Vec<(String, String)>),
}

/// Column → cell as text.
type Row = BTreeMap<String, Option<String>>;
type Tables = BTreeMap<String, Vec<Row>>;
/// Rows by table and `_dlt_id`.
type Index<'a> = HashMap<(&'a str, &'a str), Vec<&'a Row>>;

impl Place {
    /// For `--to`.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::DuckDb(path) => format!("duckdb:{}", path.display()),
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(url) => url.clone(),
            Self::Parquet(path) => format!("parquet:{}", path.display()),
            Self::Bucket(folder, _) => format!("parquet:s3://{BUCKET}/{folder}"),
        }
    }

    /// What must be set to reach it.
    pub(super) fn environment(&self) -> &[(String, String)] {
        match self {
            Self::Bucket(_, environment) => environment,
            _ => &[],
        }
    }

    /// The rows of every table, sorted.
    pub(crate) fn contents(&self, dataset: &str) -> BTreeMap<String, Vec<String>> {
        let tables = match self {
            Self::DuckDb(path) => duckdb(path, dataset),
            Self::Sqlite(path) => sqlite(path),
            Self::Postgres(url) => postgres(url, dataset),
            Self::Parquet(path) => parquet(&path.join(dataset)),
            Self::Bucket(folder, environment) => parquet(download(environment, &format!("{folder}/{dataset}")).path()),
        };
        let mut index = Index::new();
        for (name, rows) in &tables {
            for row in rows {
                index.entry((name, row["_dlt_id"].as_deref().unwrap())).or_default().push(row);
            }
        }
        let texts = |(name, rows): (&String, &Vec<Row>)| {
            let mut texts: Vec<String> = rows.iter().map(|row| text(&tables, &index, name, row)).collect();
            texts.sort();
            (name.clone(), texts)
        };
        tables.iter().map(texts).filter(|(_, rows)| !rows.is_empty()).collect()
    }
}

/// A row's own cells, whether it is still valid, and the row that it hangs on.
fn text(tables: &Tables, index: &Index<'_>, table: &str, row: &Row) -> String {
    let own = row.iter().filter(|(column, cell)| !column.starts_with("_dlt_") && cell.is_some());
    let mut text: Vec<String> = own.map(|(column, cell)| format!("{column}={}", cell.as_deref().unwrap())).collect();
    if let Some(until) = row.get("_dlt_valid_to") {
        text.push(format!("retired={}", until.is_some()));
    }
    if let Some(Some(parent)) = row.get("_dlt_parent_id") {
        let owner = tables.keys().filter(|name| table.starts_with(&format!("{name}__"))).max_by_key(|name| name.len());
        let parents: &[&Row] =
            owner.and_then(|name| index.get(&(name.as_str(), parent.as_str()))).map_or(&[], Vec::as_slice);
        match parents {
            [] => text.push("ORPHAN".to_owned()),
            [parent] => text.push(format!("of ({})", self::text(tables, index, owner.unwrap(), parent))),
            // Every version of a record that scd2 keeps has an id of its own; but one may come back.
            several => {
                text.push(format!(
                    "of ({}) × {}",
                    self::text(tables, index, owner.unwrap(), several[0]),
                    several.len()
                ));
            }
        }
    }
    text.join(" ")
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn duckdb(path: &Path, dataset: &str) -> Tables {
    if !path.exists() {
        return Tables::new();
    }
    let connection = ::duckdb::Connection::open(path).unwrap();
    let mut names = connection.prepare("SELECT table_name FROM duckdb_tables() WHERE schema_name = ?").unwrap();
    let names: Vec<String> = names.query_map([dataset], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let wanted = names.into_iter().filter(|name| !name.starts_with("_dlt_"));
    wanted.map(|name| (name.clone(), select(&connection, &format!("{}.{}", quoted(dataset), quoted(&name))))).collect()
}

fn parquet(folder: &Path) -> Tables {
    let connection = ::duckdb::Connection::open_in_memory().unwrap();
    let mut tables = Tables::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let has_files = std::fs::read_dir(entry.path()).is_ok_and(|mut files| files.next().is_some());
        if !name.starts_with("_dlt_") && has_files {
            let from = format!("read_parquet('{}/*.parquet', union_by_name = true)", entry.path().display());
            tables.insert(name, select(&connection, &from));
        }
    }
    tables
}

fn select(connection: &::duckdb::Connection, from: &str) -> Vec<Row> {
    let mut columns = connection.prepare(&format!("DESCRIBE SELECT * FROM {from}")).unwrap();
    let columns: Vec<String> = columns.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let cells: Vec<String> = columns.iter().map(|column| format!("CAST({} AS VARCHAR)", quoted(column))).collect();
    let mut rows = connection.prepare(&format!("SELECT {} FROM {from}", cells.join(", "))).unwrap();
    let rows = rows.query_map([], |row| {
        columns.iter().enumerate().map(|(index, column)| Ok((column.clone(), row.get(index)?))).collect()
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn sqlite(path: &Path) -> Tables {
    if !path.exists() {
        return Tables::new();
    }
    let connection = rusqlite::Connection::open(path).unwrap();
    let texts = |query: &str| -> Vec<String> {
        let mut statement = connection.prepare(query).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let mut tables = Tables::new();
    for name in texts("SELECT name FROM sqlite_schema WHERE type = 'table'") {
        if name.starts_with("_dlt_") || name.contains("staging") {
            continue;
        }
        let columns = texts(&format!("SELECT name FROM pragma_table_info('{name}')"));
        let cells: Vec<String> = columns.iter().map(|column| format!("CAST({} AS TEXT)", quoted(column))).collect();
        let mut rows = connection.prepare(&format!("SELECT {} FROM {}", cells.join(", "), quoted(&name))).unwrap();
        let rows = rows.query_map([], |row| {
            columns.iter().enumerate().map(|(index, column)| Ok((column.clone(), row.get(index)?))).collect()
        });
        tables.insert(name, rows.unwrap().map(Result::unwrap).collect());
    }
    tables
}

fn postgres(url: &str, dataset: &str) -> Tables {
    let mut client = ::postgres::Client::connect(url, ::postgres::NoTls).unwrap();
    let query = "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = $1";
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in client.query(query, &[&dataset]).unwrap() {
        columns.entry(row.get(0)).or_default().push(row.get(1));
    }
    let mut tables = Tables::new();
    for (name, columns) in columns.into_iter().filter(|(name, _)| !name.starts_with("_dlt_")) {
        let cells: Vec<String> = columns.iter().map(|column| format!("{}::text", quoted(column))).collect();
        let query = format!("SELECT {} FROM {}.{}", cells.join(", "), quoted(dataset), quoted(&name));
        let rows = client.query(&query, &[]).unwrap();
        let cells = |row: &::postgres::Row| {
            columns.iter().enumerate().map(|(index, column)| (column.clone(), row.get(index))).collect()
        };
        tables.insert(name, rows.iter().map(cells).collect());
    }
    tables
}
