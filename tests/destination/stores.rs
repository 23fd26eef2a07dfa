//! A place for each destination, and a reader that does not go through the destination's own code.
//!
//! Must never share anything between two cases.

use std::path::{Path, PathBuf};

use airlock_host::destination::{self, Destination};
use tempfile::TempDir;

use super::packages::PIPELINE;
use super::postgres_server::PostgresServer;
use super::s3_server::{BUCKET, download};
use super::suite::Store;

pub(crate) const DATASET: &str = "pm data";

fn open(url: &str) -> Box<dyn Destination> {
    destination::open(url, DATASET, PIPELINE).unwrap_or_else(|error| panic!("{error}: {:?}", error.causes()))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// One value after the other as text.
fn texts(fields: Vec<Option<String>>) -> Vec<String> {
    fields.into_iter().map(|field| field.unwrap_or_else(|| "null".to_owned())).collect()
}

pub(crate) struct DuckDbStore(TempDir);

impl DuckDbStore {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("pm.duckdb")
    }

    pub(crate) fn url(&self) -> String {
        format!("duckdb:{}", self.path().display())
    }
}

impl Store for DuckDbStore {
    fn open(&self) -> Box<dyn Destination> {
        open(&self.url())
    }

    fn rows(&self, table: &str, columns: &[&str]) -> Option<Vec<Vec<String>>> {
        let connection = duckdb::Connection::open(self.path()).unwrap();
        let select: Option<Vec<String>> = columns
            .iter()
            .map(|column| {
                let query = "SELECT data_type FROM duckdb_columns() WHERE schema_name = ? AND table_name = ? AND column_name = ?";
                let kind: String = connection.query_row(query, [DATASET, table, column], |row| row.get(0)).ok()?;
                let name = quoted(column);
                Some(match kind.as_str() {
                    "TIMESTAMP WITH TIME ZONE" => format!("CAST(epoch_us({name}) AS VARCHAR)"),
                    "BLOB" => format!("lower(hex({name}))"),
                    _ => format!("CAST({name} AS VARCHAR)"),
                })
            })
            .collect();
        let query = format!("SELECT {} FROM {}.{}", select?.join(", "), quoted(DATASET), quoted(table));
        let mut statement = connection.prepare(&query).unwrap();
        let rows = statement
            .query_map([], |row| (0..columns.len()).map(|index| row.get(index)).collect::<Result<Vec<_>, _>>());
        Some(rows.unwrap().map(|row| texts(row.unwrap())).collect())
    }
}

pub(crate) struct SqliteStore(TempDir);

impl SqliteStore {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("pm.sqlite")
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }
}

impl Store for SqliteStore {
    fn open(&self) -> Box<dyn Destination> {
        open(&self.url())
    }

    fn rows(&self, table: &str, columns: &[&str]) -> Option<Vec<Vec<String>>> {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        let select: Option<Vec<String>> = columns
            .iter()
            .map(|column| {
                let query = "SELECT type FROM pragma_table_info(?) WHERE name = ?";
                let kind: String = connection.query_row(query, [table, column], |row| row.get(0)).ok()?;
                let name = quoted(column);
                Some(match kind.as_str() {
                    "TIMESTAMP" => format!("unixepoch({name}) || substr({name}, 21, 6)"),
                    "BOOLEAN" => format!("CASE WHEN {name} THEN 'true' WHEN NOT {name} THEN 'false' END"),
                    "BLOB" => format!("nullif(lower(hex({name})), '')"),
                    _ => format!("CAST({name} AS TEXT)"),
                })
            })
            .collect();
        let query = format!("SELECT {} FROM {}", select?.join(", "), quoted(table));
        let mut statement = connection.prepare(&query).unwrap();
        let rows = statement
            .query_map([], |row| (0..columns.len()).map(|index| row.get(index)).collect::<Result<Vec<_>, _>>());
        Some(rows.unwrap().map(|row| texts(row.unwrap())).collect())
    }
}

/// A database of its own on the tests' server.
pub(crate) struct PostgresStore {
    url: String,
}

impl PostgresStore {
    pub(crate) fn new(server: &PostgresServer, number: u32) -> Self {
        let database = format!("store{number}");
        let mut client = postgres::Client::connect(&server.url("postgres"), postgres::NoTls).unwrap();
        client.batch_execute(&format!("CREATE DATABASE {database}")).unwrap();
        Self { url: server.url(&database) }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }
}

impl Store for PostgresStore {
    fn open(&self) -> Box<dyn Destination> {
        open(&self.url)
    }

    fn rows(&self, table: &str, columns: &[&str]) -> Option<Vec<Vec<String>>> {
        let mut client = postgres::Client::connect(&self.url, postgres::NoTls).unwrap();
        let select: Option<Vec<String>> = columns
            .iter()
            .map(|column| {
                let query = "SELECT data_type::text FROM information_schema.columns WHERE table_schema = $1 AND \
                             table_name = $2 AND column_name = $3";
                let kind: String = client.query_opt(query, &[&DATASET, &table, column]).unwrap()?.get(0);
                let name = quoted(column);
                Some(match kind.as_str() {
                    "timestamp with time zone" => format!("(extract(epoch FROM {name}) * 1000000)::bigint::text"),
                    "bytea" => format!("encode({name}, 'hex')"),
                    // The database prints JSON with blanks.
                    "jsonb" => format!("replace(replace({name}::text, ', ', ','), ': ', ':')"),
                    _ => format!("{name}::text"),
                })
            })
            .collect();
        let query = format!("SELECT {} FROM {}.{}", select?.join(", "), quoted(DATASET), quoted(table));
        let rows = client.query(&query, &[]).unwrap();
        Some(rows.iter().map(|row| texts((0..columns.len()).map(|index| row.get(index)).collect())).collect())
    }
}

/// A folder of files, read with DuckDB as its users would: all files of a table's folder.
pub(crate) struct FilesStore {
    folder: TempDir,
    format: &'static str,
}

impl FilesStore {
    pub(crate) fn new(format: &'static str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), format }
    }

    pub(crate) fn dataset(&self) -> PathBuf {
        self.folder.path().join(DATASET)
    }
}

impl Store for FilesStore {
    fn open(&self) -> Box<dyn Destination> {
        open(&format!("{}:{}", self.format, self.folder.path().display()))
    }

    fn rows(&self, table: &str, columns: &[&str]) -> Option<Vec<Vec<String>>> {
        read_files(&self.folder.path().join(DATASET), self.format, table, columns)
    }
}

/// A folder of its own in a bucket, with what the environment says of the store.
pub(crate) struct ObjectStore {
    format: &'static str,
    number: u32,
}

impl ObjectStore {
    pub(crate) fn new(format: &'static str, number: u32) -> Self {
        Self { format, number }
    }
}

impl Store for ObjectStore {
    fn open(&self) -> Box<dyn Destination> {
        open(&format!("{}:s3://{BUCKET}/some folder/{}{}", self.format, self.format, self.number))
    }

    fn rows(&self, table: &str, columns: &[&str]) -> Option<Vec<Vec<String>>> {
        let environment: Vec<_> = std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).collect();
        let folder = format!("some folder/{}{}/{DATASET}", self.format, self.number);
        read_files(download(&environment, &folder).path(), self.format, table, columns)
    }
}

/// A table's rows, as users read them with DuckDB: all files of its folder.
fn read_files(dataset: &Path, format: &str, table: &str, columns: &[&str]) -> Option<Vec<Vec<String>>> {
    let folder = dataset.join(table);
    let files = format!("{}/*.{format}", folder.display());
    if !std::fs::read_dir(&folder).is_ok_and(|mut files| files.next().is_some()) {
        return Some(Vec::new());
    }
    let connection = duckdb::Connection::open_in_memory().unwrap();
    let read = match format {
        "parquet" => format!("read_parquet('{files}', union_by_name = true)"),
        "csv" => {
            format!("read_csv('{files}', union_by_name = true, all_varchar = true, allow_quoted_nulls = false)")
        }
        // Columns are named, for a table in which no row has a value there.
        _ => {
            let types = columns.iter().map(|column| format!("'{}': 'VARCHAR'", column.replace('\'', "''")));
            format!("read_json('{files}', columns = {{{}}})", types.collect::<Vec<_>>().join(", "))
        }
    };
    let text = |column: &&str| {
        let name = quoted(column);
        match (*column, format) {
            ("timestamp", "parquet") => format!("CAST(epoch_us({name}) AS VARCHAR)"),
            ("timestamp", _) => format!("CAST(epoch_us(CAST({name} AS TIMESTAMP)) AS VARCHAR)"),
            ("binary", "parquet") => format!("lower(hex({name}))"),
            _ => format!("CAST({name} AS VARCHAR)"),
        }
    };
    let query = format!("SELECT {} FROM {read}", columns.iter().map(text).collect::<Vec<_>>().join(", "));
    let mut statement = connection.prepare(&query).unwrap();
    let rows =
        statement.query_map([], |row| (0..columns.len()).map(|index| row.get(index)).collect::<Result<Vec<_>, _>>());
    Some(rows.unwrap().map(|row| texts(row.unwrap())).collect())
}
