//! The host dies at chosen places of a run, for every destination and disposition, over two runs of an API that changes
//! in between: what is loaded then must be what unbroken runs load.

use std::path::Path;

use serde_json::{Value, json};

use super::contents::Place;
use super::{number, share};
use crate::destination::postgres_server::PostgresServer;
use crate::destination::s3_server::S3Server;
use crate::support::host_command::{HostCommand, Project, connector};
use crate::support::mock_api::MockApi;

pub(crate) const PLACES: [&str; 6] = [
    "packaging.page",
    "packaging.before_close",
    "packaging.after_close",
    "destination.between_tables",
    "destination.before_commit",
    "destination.after_commit",
];

const APPENDING: [&str; 2] = ["append", "replace"];
const ALL: [&str; 6] = ["append", "replace", "delete-insert", "upsert", "insert-only", "scd2"];

#[test]
fn duckdb_dies_anywhere() {
    dies_anywhere(&ALL, |folder| Place::DuckDb(folder.join("w.duckdb")));
}

#[test]
fn sqlite_dies_anywhere() {
    dies_anywhere(&ALL, |folder| Place::Sqlite(folder.join("w.sqlite")));
}

#[test]
fn parquet_dies_anywhere() {
    dies_anywhere(&APPENDING, |folder| Place::Parquet(folder.join("files")));
}

#[test]
fn bucket_dies_anywhere() {
    let Some(server) = S3Server::start() else { return };
    let mut folders = 0..;
    dies_anywhere(&APPENDING, |_| Place::Bucket(format!("place{}", folders.next().unwrap()), server.environment()));
}

#[test]
fn postgres_dies_anywhere() {
    let Some(server) = PostgresServer::start() else { return };
    let mut databases = 0..;
    dies_anywhere(&ALL, |_| {
        let database = format!("place{}", databases.next().unwrap());
        let mut client = ::postgres::Client::connect(&server.url("postgres"), ::postgres::NoTls).unwrap();
        client.batch_execute(&format!("CREATE DATABASE {database}")).unwrap();
        Place::Postgres(server.url(&database))
    });
}

/// Small packages, so that a run has many commits.
pub(super) fn config(version: u32, disposition: &str) -> String {
    let disposition: Value = match disposition {
        "append" | "replace" => json!(disposition),
        strategy => json!({"disposition": "merge", "strategy": strategy}),
    };
    let paginator = json!({"type": "offset", "limit": 3, "total_path": "total"});
    json!({
        "client": {"base_url": format!("$BASE/ledger/{version}"), "paginator": paginator},
        "resource_defaults": {"primary_key": "id", "endpoint": {"data_selector": "data"}},
        "resources": [
            {"name": "accounts", "write_disposition": disposition, "endpoint": "accounts"},
            {
                "name": "entries", "write_disposition": disposition,
                "endpoint": "accounts/{resources.accounts.id}/entries", "include_from_parent": ["name"],
            },
            {
                "name": "events", "write_disposition": "append",
                "endpoint": {
                    "path": "events", "params": {"since": "{incremental.start_value}"},
                    "incremental": {"cursor_path": "at", "initial_value": "2024-01-01T00:00:00Z"},
                },
            },
        ],
        "host": {"package_rows": 9, "retry": {"initial_delay_secs": 0.01}},
    })
    .to_string()
}

pub(super) fn run<'a>(project: &'a Project, place: &Place) -> HostCommand<'a> {
    let arguments = ["--config", "pipeline.yaml", "--to", &place.url(), "--dataset", "d", "--pipeline", "test"];
    with_environment(project.host(["run"]).argument(connector()).arguments(arguments), place)
}

fn with_environment<'a>(command: HostCommand<'a>, place: &Place) -> HostCommand<'a> {
    place.environment().iter().fold(command, |command, (name, value)| command.environment(name, value))
}

/// What is remembered, and whether that is of a run that has an end; none before the first commit.
fn state(project: &Project, place: &Place) -> Option<(Value, bool)> {
    let arguments = ["--json", "--to", &place.url(), "--dataset", "d", "--pipeline", "test"];
    let output = with_environment(project.host(["state", "show"]).arguments(arguments), place).output();
    let shown: Value = serde_json::from_str(&output.stdout).ok()?;
    Some((shown.get("state")?.clone(), !shown["unfinished"].as_bool()?))
}

fn dies_anywhere(dispositions: &[&str], mut place_in: impl FnMut(&Path) -> Place) {
    let api = MockApi::start();
    let seed = number("CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let kills = number("CRASH_KILLS").unwrap_or(6).div_ceil(2);
    let mut dice = 0;
    let mut roll = |sides: f64| {
        dice += 1;
        (share(seed, dice) * sides) as usize
    };
    for disposition in dispositions {
        let (mut unbroken, mut broken) = (Project::new(&api), Project::new(&api));
        let (good, bad) = (place_in(&unbroken.path("")), place_in(&broken.path("")));
        for version in [1, 2] {
            let text = config(version, disposition);
            (unbroken, broken) = (unbroken.config(&text), broken.config(&text));
            let output = run(&unbroken, &good).output();
            assert_eq!(output.code, Some(0), "{disposition}: {output}");
            let mut story = format!("{disposition}, version {version}, CRASH_SEED={seed}:");
            let before = state(&broken, &bad).map(|(state, _)| state);
            for kill in 0..=kills {
                let command = run(&broken, &bad).arguments(["--concurrency", "3"]);
                if kill == kills {
                    let output = command.output();
                    assert_eq!(output.code, Some(0), "{story} {output}");
                    break;
                }
                let place = format!("{}:{}", PLACES[roll(PLACES.len() as f64)], 1 + roll(14.0));
                let output = command.environment("AIRLOCK_FAILPOINT", &place).output();
                story += &format!(" {place}");
                if output.code.is_some() {
                    assert_eq!(output.code, Some(0), "{story}: {output}");
                    break;
                }
                // Dead between its last commit and its exit it was done, and another run would be one more.
                let is_new = |state: &Value| state["streams"] != json!({}) && Some(state) != before.as_ref();
                if state(&broken, &bad).is_some_and(|(state, ended)| ended && is_new(&state)) {
                    break;
                }
            }
            let (expected, loaded) = (good.contents("d"), bad.contents("d"));
            assert_eq!(expected.keys().collect::<Vec<_>>(), loaded.keys().collect::<Vec<_>>(), "{story}");
            for (table, rows) in &expected {
                assert!(!rows.iter().any(|row| row.contains("ORPHAN")), "{story}: {table} {rows:#?}");
                assert!(rows == &loaded[table], "{story}: {table}: {}", difference(rows, &loaded[table]));
            }
        }
    }
}

/// Rows that only one of the two has.
pub(crate) fn difference(expected: &[String], loaded: &[String]) -> String {
    let count = |rows: &[String], row: &String| rows.iter().filter(|other| *other == row).count();
    let mut all: Vec<&String> = expected.iter().chain(loaded).collect();
    all.sort();
    all.dedup();
    all.retain(|row| count(expected, row) != count(loaded, row));
    let lines = all.iter().map(|row| format!("\n{} instead of {}: {row}", count(loaded, row), count(expected, row)));
    lines.collect()
}
