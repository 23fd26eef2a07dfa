//! The same configuration leaves the same rows in every database: the conformance cases that say how rows are laid out and
//! how they meet those already there.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::postgres_server::PostgresServer;
use super::stores::{DATASET, DuckDbStore, PostgresStore, SqliteStore};
use super::suite::Store;
use crate::conformance::CASE_FILES;
use crate::support::host_command::{CONFIG, Project, connector};
use crate::support::mock_api::MockApi;
use crate::support::warehouse;

/// What in a configuration has to do with it.
const KEYS: [&str; 5] = ["write_disposition", "columns", "schema_contract", "max_table_nesting", "merge_key"];

#[test]
fn every_database_has_the_same_rows() {
    let server = PostgresServer::start();
    let cases = CASE_FILES.iter().flat_map(|text| match serde_json::from_str(text).unwrap() {
        Value::Object(mut file) => file["cases"].take().as_array().unwrap().clone(),
        _ => panic!("not a file of cases"),
    });
    let concerned = |case: &Value| {
        let config = case["config"].to_string();
        KEYS.iter().any(|key| config.contains(&format!("\"{key}\"")))
    };
    let mut report = String::new();
    let mut count = 0;
    for case in cases.filter(concerned) {
        let duckdb = DuckDbStore::new();
        let exit_codes = run(&case, &duckdb.url());
        let tables: Vec<(String, Vec<String>)> = warehouse::tables(&duckdb.path(), DATASET)
            .into_iter()
            .map(|(name, table)| (name, table.columns.into_iter().map(|(column, _)| column).collect()))
            .collect();
        let sqlite = SqliteStore::new();
        let postgres = server.as_ref().map(|server| PostgresStore::new(server, count));
        let mut others: Vec<(&str, String, &dyn Store)> = vec![("SQLite", sqlite.url(), &sqlite)];
        others.extend(postgres.as_ref().map(|store| ("PostgreSQL", store.url(), store as &dyn Store)));
        for (name, url, store) in others {
            let id = &case["id"];
            let codes = run(&case, &url);
            if codes != exit_codes {
                writeln!(report, "{id}: {name} ends with {codes:?}, DuckDB with {exit_codes:?}").unwrap();
            }
            for (table, columns) in &tables {
                let columns: Vec<&str> =
                    columns.iter().map(String::as_str).filter(|column| !column.starts_with("_dlt_")).collect();
                let (expected, found) = (rows(&duckdb, table, &columns), rows(store, table, &columns));
                if expected != found {
                    writeln!(report, "{id}: {name} {table}\n  {found:?}\n  instead of\n  {expected:?}").unwrap();
                }
            }
        }
        count += 1;
    }
    assert!(count > 20, "only {count} cases were found");
    assert!(report.is_empty(), "{report}");
}

/// The exit code of each of the case's runs.
fn run(case: &Value, to: &str) -> Vec<Option<i32>> {
    let api = MockApi::start();
    let mut config = case["config"].clone();
    config["host"] = json!({"retry": {"initial_delay_secs": 0.01}});
    let project = Project::new(&api).config(&config.to_string());
    let runs = case["runs"].as_array().unwrap();
    runs.iter()
        .map(|_| {
            let run = project.host(["run"]).argument(connector()).arguments(["--config", CONFIG, "--to", to]);
            run.arguments(["--dataset", DATASET, "--pipeline", "test"]).output().code
        })
        .collect()
}

/// In one order and one spelling. None: no such table or column.
fn rows(store: &dyn Store, table: &str, columns: &[&str]) -> Option<Vec<Vec<String>>> {
    if columns.is_empty() {
        return Some(Vec::new());
    }
    let mut rows = store.rows(table, columns)?;
    for cell in rows.iter_mut().flatten() {
        *cell = spelled(cell);
    }
    rows.sort();
    Some(rows)
}

/// Databases print `1.50` or `1.5`, and order the keys of JSON or don't. Ports differ from run to run.
fn spelled(cell: &str) -> String {
    if cell.starts_with(['{', '['])
        && let Ok(mut json) = serde_json::from_str::<Value>(cell)
    {
        json.sort_all_objects();
        return json.to_string();
    }
    match cell.parse::<f64>() {
        Ok(number) if cell.contains(['.', 'e']) => number.to_string(),
        _ => without_port(cell),
    }
}

fn without_port(text: &str) -> String {
    match text.split_once("http://127.0.0.1:") {
        Some((before, after)) => {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}$BASE{}", without_port(rest))
        }
        None => text.to_owned(),
    }
}
