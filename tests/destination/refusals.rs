//! What a destination does not take: one table's trouble stays its own, and nothing is left where nothing was loaded.

use airlock_host::destination;
use airlock_host::normalize::{Normalizer, Options, Records};
use airlock_host::schema::{Schema, StreamSpec, WriteDisposition};
use serde_json::{Map, Value, json};

use super::packages::{PIPELINE, Package, load_id, table};
use super::postgres_server::PostgresServer;
use super::stores::{DuckDbStore, PostgresStore, SqliteStore};
use super::suite::Store;
use crate::support::host_command::{CONFIG, Project, connector};
use crate::support::mock_api::MockApi;

fn project(api: &MockApi) -> Project {
    let resource = |name: &str| {
        json!({"name": name, "endpoint": {"path": "events", "params": {
        "since": "{incremental.start_value}"},
        "incremental": {"cursor_path": "at", "initial_value": "2024-01-01T00:00:00Z"}}})
    };
    let config = json!({
        "client": {"base_url": "$BASE/ledger/1", "paginator": {"type": "offset", "limit": 3, "total_path": "total"}},
        "resource_defaults": {"write_disposition": "append", "endpoint": {"data_selector": "data"}},
        "resources": [resource("bad"), resource("good")],
        "host": {"package_rows": 2},
    });
    Project::new(api).config(&config.to_string())
}

#[test]
fn a_table_that_is_refused_takes_only_its_stream_down() {
    let api = MockApi::start();
    let project = project(&api);
    let file = project.path("w.sqlite");
    let run = || {
        let to = format!("sqlite:{}", file.display());
        let command = project.host(["run"]).argument(connector()).arguments(["--config", CONFIG, "--pipeline", "p"]);
        command.arguments(["--to", &to]).output()
    };
    let database = rusqlite::Connection::open(&file).unwrap();
    database.execute_batch("CREATE TABLE bad (id BIGINT CHECK (id < 0), _dlt_load_id TEXT, _dlt_id TEXT)").unwrap();
    let count = |table: &str| -> i64 {
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    let refused = run();
    assert!(refused.code == Some(3) && refused.stderr.contains("table: bad"), "{refused}");
    let good = count("good");
    assert!(good > 0 && count("bad") == 0, "{refused}");
    // What was refused is read from the beginning, once it can be taken; the other is not loaded twice.
    database.execute_batch("DROP TABLE bad").unwrap();
    let mended = run();
    assert_eq!((mended.code, count("bad"), count("good")), (Some(0), good, good), "{mended}");
}

#[test]
fn a_run_that_loads_nothing_leaves_nothing() {
    let api = MockApi::start();
    let config =
        json!({"client": {"base_url": "$BASE"}, "resources": [{"name": "r", "endpoint": {"path": "nowhere"}}]});
    let project = Project::new(&api).config(&config.to_string());
    for (to, place) in [("duckdb:w.duckdb", "w.duckdb"), ("sqlite:w.sqlite", "w.sqlite"), ("parquet:files", "files")] {
        let output = project.host(["run"]).argument(connector()).arguments(["--config", CONFIG, "--to", to]).output();
        assert_eq!(output.code, Some(1), "{output}");
        assert!(!project.path(place).exists(), "{to}");
    }
}

/// A package of one append stream as the host makes it for a destination.
fn normalized(number: u32, hints: &Value, records: &Value, options: Options) -> Package {
    let spec = StreamSpec {
        name: "t".to_owned(),
        parent: None,
        selected: true,
        primary_key: Vec::new(),
        merge_key: Vec::new(),
        cursor_field: None,
        write_disposition: WriteDisposition::Append,
        hints: hints.as_object().cloned().unwrap_or_default(),
    };
    let mut normalizer = Normalizer::new(Schema::default(), &[spec], options).unwrap();
    normalizer.add("t", &Records::JsonArray(records.to_string().as_bytes()), &load_id(number)).unwrap();
    let mut package = Package::new(number);
    package.0.tables = normalizer.take().unwrap().tables;
    package.0.schema.tables.clone_from(&normalizer.schema().tables);
    package
}

fn wide(columns: usize) -> Value {
    let record = |row: usize| -> Map<String, Value> {
        let value =
            |column: usize| if column.is_multiple_of(2) { json!(column + row) } else { json!(format!("text {row}")) };
        (0..columns).map(|column| (format!("c{column}"), value(column))).collect()
    };
    Value::from((0..50).map(|row| Value::Object(record(row))).collect::<Vec<_>>())
}

#[test]
fn wide_tables_are_taken() {
    for columns in [1000, 2000] {
        let store = DuckDbStore::new();
        store.open().load(&normalized(1, &json!({}), &wide(columns), Options::default()).0).unwrap();
        assert_eq!(store.rows("t", &["c0", "_dlt_id"]).unwrap().len(), 50);
    }
}

#[test]
fn what_a_database_calls_its_own_gets_another_name() {
    let record = json!([{"id": 1, "rowid": 2, "_rowid_": 3, "xmin": 4, "xmax": 5, "ctid": 6, "tableoid": 7, "oid": 8}]);
    let takes = |store: &dyn Store| {
        let mut destination = store.open();
        let capabilities = destination.capabilities();
        let options = Options {
            reserved_columns: capabilities.reserved_columns,
            reserved_tables: capabilities.reserved_tables,
            max_identifier_length: capabilities.max_identifier_length,
            ..Options::default()
        };
        let package = normalized(1, &json!({}), &record, options);
        destination.load(&package.0).unwrap();
        drop(destination);
        let columns: Vec<&str> = package.0.schema.tables["t"].columns.keys().map(String::as_str).take(8).collect();
        let mut values = store.rows("t", &columns).unwrap().remove(0);
        values.sort();
        assert_eq!(values, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    };
    takes(&DuckDbStore::new());
    takes(&SqliteStore::new());
    if let Some(server) = PostgresServer::start() {
        takes(&PostgresStore::new(&server, 0));
    }
}

#[test]
fn whole_numbers_and_texts_have_the_room_that_is_hinted() {
    let hints = json!({"columns": {"s": {"data_type": "bigint", "precision": 16}, "m": {"data_type": "bigint", "precision": 32},
        "t": {"data_type": "text", "precision": 3}, "at": {"data_type": "timestamp", "precision": 3}}});
    let records = json!([{"s": -32768, "m": 2147483647, "t": "üüü", "at": "2024-01-01T00:00:00.123Z"},
        {"s": 40000, "m": 3_000_000_000_u32, "t": "longer", "at": null}]);
    let takes = |store: &dyn Store| {
        let mut destination = store.open();
        let limits_text = destination.capabilities().limits_text;
        destination.load(&normalized(1, &hints, &records, Options { limits_text, ..Options::default() }).0).unwrap();
        drop(destination);
        let mut rows = store.rows("t", &["s", "m", "s__v_bigint", "m__v_bigint", "at"]).unwrap();
        rows.sort();
        let expected = [
            ["-32768", "2147483647", "null", "null", "1704067200123000"],
            ["null", "null", "40000", "3000000000", "null"],
        ];
        assert_eq!(rows, expected);
    };
    takes(&DuckDbStore::new());
    takes(&SqliteStore::new());
    if let Some(server) = PostgresServer::start() {
        takes(&PostgresStore::new(&server, 0));
    }
}

#[test]
fn long_names_of_datasets() {
    let Some(server) = PostgresServer::start() else { return };
    let url = server.url("postgres");
    let rows = table("v", None, &["id:bigint", "_dlt_load_id", "_dlt_id"]);
    let replacing = airlock_host::schema::TableSchema { write_disposition: WriteDisposition::Replace, ..rows };
    for length in [55, 56, 63] {
        let dataset = "d".repeat(length);
        for number in 1..=3 {
            let row = json!({"id": number, "_dlt_load_id": load_id(number), "_dlt_id": format!("{number}")});
            let package = Package::new(number).rows(&replacing, &[row]).replaces("v", number == 1, number == 3);
            destination::open(&url, &dataset, PIPELINE).unwrap().load(&package.0).unwrap();
        }
        let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
        let count: i64 = client.query_one(&format!("SELECT count(*) FROM {dataset}.v"), &[]).unwrap().get(0);
        assert_eq!(count, 3, "{length}");
    }
    let error = destination::open(&url, &"d".repeat(64), PIPELINE).err().unwrap();
    assert!(error.message().contains("64 bytes long"), "{error}");
}
