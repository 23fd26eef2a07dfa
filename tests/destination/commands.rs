//! The commands around a destination, through the program: what `host state` shows, resets and exports in each of them, and
//! rows on standard output.
//!
//! Must never look into a destination by itself: what the program says and asks of the API is what counts.

use arrow::array::{Array as _, RecordBatch};
use arrow::ipc::reader::StreamReader;
use serde_json::{Value, json};

use super::postgres_server::PostgresServer;
use super::s3_server::{BUCKET, S3Server};
use crate::support::host_command::{CONFIG, HostCommand, Output, Project, connector};
use crate::support::mock_api::MockApi;

/// Two streams, each with a cursor.
fn project(api: &MockApi) -> Project {
    let resource = |name: &str| {
        json!({
            "name": name,
            "endpoint": {
                "path": "events", "params": {"since": "{incremental.start_value}", "stream": name},
                "incremental": {"cursor_path": "at", "initial_value": "2024-01-01T00:00:00Z"},
            },
        })
    };
    let config = json!({
        "client": {"base_url": "$BASE/ledger/1", "paginator": {"type": "offset", "limit": 3, "total_path": "total"}},
        "resource_defaults": {"primary_key": "id", "write_disposition": "append", "endpoint": {"data_selector": "data"}},
        "resources": [resource("one"), resource("other")],
    });
    Project::new(api).config(&config.to_string())
}

/// A destination of one test, and what must be set to reach it.
struct Place {
    url: String,
    environment: Vec<(String, String)>,
}

impl Place {
    fn at(url: &str) -> Self {
        Self { url: url.to_owned(), environment: Vec::new() }
    }

    fn command<'a>(&self, command: HostCommand<'a>) -> HostCommand<'a> {
        let command = command.arguments(["--to", &self.url, "--dataset", "d", "--pipeline", "p"]);
        self.environment.iter().fold(command, |command, (name, value)| command.environment(name, value))
    }

    fn run(&self, project: &Project) -> Output {
        self.command(project.host(["run"]).argument(connector()).arguments(["--config", CONFIG])).output()
    }

    fn state(&self, project: &Project, arguments: &[&str]) -> Output {
        self.command(project.host(["state"]).arguments(arguments.iter().copied())).output()
    }

    /// The streams that are remembered.
    fn streams(&self, project: &Project) -> Vec<String> {
        let output = self.state(project, &["show", "--json"]);
        let shown: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output}"));
        assert_eq!(shown["unfinished"], false, "{output}");
        shown["state"]["streams"].as_object().unwrap().keys().cloned().collect()
    }
}

/// How each stream's first request asked, after another run.
fn asked(api: &MockApi, project: &Project, place: &Place) -> [String; 2] {
    api.take_requests();
    let output = place.run(project);
    assert_eq!(output.code, Some(0), "{}: {output}", place.url);
    let requests = api.take_requests();
    ["stream=one", "stream=other"].map(|stream| {
        let first = requests.iter().find(|request| request.query.contains(stream));
        first.unwrap_or_else(|| panic!("no request of {stream}")).query.clone()
    })
}

fn shows_exports_and_resets(place: &Place) {
    let api = MockApi::start();
    let project = project(&api);
    let [one, other] = asked(&api, &project, place);
    assert_eq!(place.streams(&project), ["one", "other"]);
    let exported = place.state(&project, &["export"]);
    let shown: Value = serde_json::from_str(&place.state(&project, &["show", "--json"]).stdout).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&exported.stdout).unwrap(), shown["state"], "{exported}");
    let of_one = place.state(&project, &["show", "--stream", "one"]).stdout;
    assert!(of_one.starts_with("one ") && !of_one.contains("other"), "{of_one}");

    // What is remembered counts, until it is reset: for one stream, for all.
    let [one_on, other_on] = asked(&api, &project, place);
    assert!(one_on != one && other_on != other, "{one_on} {other_on}");
    let reset = place.state(&project, &["reset", "--stream", "one", "--json"]);
    assert_eq!((reset.code, reset.stdout.contains("\"reset\":[\"one\"]")), (Some(0), true), "{reset}");
    assert_eq!(place.streams(&project), ["other"]);
    assert_eq!(asked(&api, &project, place), [one.clone(), other_on]);
    assert_eq!(place.state(&project, &["reset"]).code, Some(0));
    assert_eq!(place.streams(&project), Vec::<String>::new());
    assert_eq!(asked(&api, &project, place), [one, other]);

    let unknown = place.state(&project, &["reset", "--stream", "nothing"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("nothing is remembered of a stream"), "{unknown}");
    let elsewhere = project.host(["state", "reset", "--pipeline", "elsewhere", "--dataset", "d"]);
    let elsewhere = place.environment.iter().fold(elsewhere, |command, (name, value)| command.environment(name, value));
    let elsewhere = elsewhere.arguments(["--to", &place.url]).output();
    assert!(elsewhere.code == Some(2) && elsewhere.stderr.contains("of a pipeline `elsewhere`"), "{elsewhere}");
    assert_eq!(place.streams(&project), ["one", "other"]);
}

#[test]
fn state_in_files_and_databases() {
    for url in ["duckdb:w.duckdb", "sqlite:w.sqlite", "parquet:files", "jsonl:files", "csv:files"] {
        shows_exports_and_resets(&Place::at(url));
    }
}

#[test]
fn state_in_postgres() {
    let Some(server) = PostgresServer::start() else { return };
    shows_exports_and_resets(&Place::at(&server.url("postgres")));
}

#[test]
fn state_in_a_bucket() {
    let Some(server) = S3Server::start() else { return };
    let place = Place { url: format!("parquet:s3://{BUCKET}/state"), environment: server.environment() };
    shows_exports_and_resets(&place);
    let api = MockApi::start();
    let output = place.run(&project(&api));
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(said.contains("s3://lake/state") && !said.contains("hunter2"), "{output}");
}

#[test]
fn state_where_there_is_none() {
    let api = MockApi::start();
    let project = project(&api);
    for (url, said) in [("duckdb:w.duckdb", "there is nothing at duckdb:w.duckdb"), ("-", "keeps no state")] {
        let output = Place::at(url).state(&project, &["show"]);
        assert!(output.code == Some(2) && output.stderr.contains(said), "{output}");
    }
}

#[test]
fn rows_as_arrow_streams_on_standard_output() {
    let api = MockApi::start();
    let project = project(&api);
    let place = Place::at("arrow:-");
    let run = place.command(project.host(["run"]).argument(connector()).arguments(["--config", CONFIG]));
    let output = run.spawn().wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut rest = output.stdout.as_slice();
    let mut tables = Vec::new();
    while !rest.is_empty() {
        let reader = StreamReader::try_new(&mut rest, None).unwrap();
        let table = reader.schema().metadata()["table"].clone();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        for batch in &batches {
            assert_eq!(batch.column_by_name("_dlt_id").unwrap().null_count(), 0);
        }
        tables.push((table, batches.iter().map(RecordBatch::num_rows).sum::<usize>()));
    }
    let names: Vec<&str> = tables.iter().map(|(table, _)| table.as_str()).collect();
    assert!(names.contains(&"one") && names.contains(&"other"), "{tables:?}");
    assert!(tables.iter().all(|(_, rows)| *rows > 0), "{tables:?}");
}
