//! Runs every case of `cases/*.json`: what dlt 1.31.0 did with a configuration, run by run (outcome, requests on the
//! wire, tables), or what we do better on purpose (then the case says why).
//!
//! `cases/not-yet.txt` lists the cases that are not met yet. A listed case that is met fails the test too, so that the
//! list only gets shorter. Set `CASES` to a part of an id to run only the cases with that in their id.

mod compare;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{host_command::Project, mock_api::MockApi, warehouse};

pub(crate) const CASE_FILES: [&str; 3] =
    [include_str!("cases/dlt.json"), include_str!("cases/further.json"), include_str!("cases/inventory.json")];
const NOT_YET: &str = include_str!("cases/not-yet.txt");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    /// Where it differs from dlt: why.
    #[serde(default)]
    #[expect(dead_code, reason = "for the reader of the file")]
    why: Option<String>,
    /// In dlt's keys; `$BASE` stands for the mock API.
    config: Value,
    /// Of the same pipeline into the same destination.
    runs: Vec<Run>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    outcome: Outcome,
    /// How many requests there were. Absent: any number.
    request_count: Option<usize>,
    /// These requests, and no others if they make up `request_count`. Absent: any.
    requests: Option<Vec<ExpectedRequest>>,
    /// All tables without `_dlt_` tables. Absent (a run that failed): any.
    tables: Option<BTreeMap<String, ExpectedTable>>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok,
    Error,
}

/// At most one of `json`, `form` and `text`; none: no body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedRequest {
    /// Method, path and query; the order of the parameters is free.
    line: String,
    #[serde(default = "once")]
    times: usize,
    /// All of the headers that matter, by lower-case name.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<Value>,
    form: Option<String>,
    text: Option<String>,
}

fn once() -> usize {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedTable {
    /// All columns with their DuckDB types.
    columns: Option<serde_json::Map<String, Value>>,
    /// The columns that do not begin with `_dlt_`, in order.
    column_names: Option<Vec<String>>,
    count: usize,
    /// These rows, and no others if they make up `count`. Absent: any.
    rows: Option<Vec<Vec<Value>>>,
}

#[test]
fn every_case_is_met() {
    let filter = std::env::var("CASES").unwrap_or_default();
    let cases: Vec<Case> = CASE_FILES
        .iter()
        .flat_map(|text| serde_json::from_str::<CaseFile>(text).unwrap().cases)
        .filter(|case| case.id.contains(&filter))
        .collect();
    let results = run_all(&cases);

    let not_yet: Vec<&str> = NOT_YET.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut report = String::new();
    for (id, differences) in &results {
        let listed = not_yet.contains(&id.as_str());
        if listed && differences.is_empty() {
            writeln!(report, "{id}: is met; take it off the list in tests/cases/not-yet.txt").unwrap();
        } else if !listed && !differences.is_empty() {
            writeln!(report, "{id}:\n  {}", differences.trim_end().replace('\n', "\n  ")).unwrap();
        }
    }
    for id in not_yet {
        if filter.is_empty() && !results.contains_key(id) {
            writeln!(report, "{id}: is listed in tests/cases/not-yet.txt, but there is no such case").unwrap();
        }
    }
    let met = results.values().filter(|differences| differences.is_empty()).count();
    assert!(report.is_empty(), "{met} of {} cases are met\n{report}", results.len());
}

/// Runs the cases, several at once; what differs, by id.
fn run_all(cases: &[Case]) -> BTreeMap<String, String> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    let workers = thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let differences = catch_unwind(AssertUnwindSafe(|| run_case(case)))
                        .unwrap_or_else(|panic| format!("panicked: {}\n", panic_text(&*panic)));
                    let previous = results.lock().unwrap().insert(case.id.clone(), differences);
                    assert!(previous.is_none(), "two cases are called {}", case.id);
                }
            });
        }
    });
    results.into_inner().unwrap()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<String>().map_or_else(|| panic.downcast_ref().copied().unwrap_or("?"), String::as_str)
}

fn run_case(case: &Case) -> String {
    let api = MockApi::start();
    let mut config = case.config.clone();
    config["host"] = json!({"retry": {"initial_delay_secs": 0.01}});
    let project = Project::new(&api).config(&serde_json::to_string_pretty(&config).unwrap());
    let mut differences = String::new();
    for (index, expected) in case.runs.iter().enumerate() {
        let output = project.run().output();
        let requests = api.take_requests();
        let outcome = if output.code == Some(0) { Outcome::Ok } else { Outcome::Error };
        let mut found = String::new();
        if output.code.is_none_or(|code| code == 101) {
            writeln!(found, "crashed").unwrap();
        }
        if outcome != expected.outcome {
            writeln!(found, "outcome: {outcome:?} instead of {:?}", expected.outcome).unwrap();
        }
        found += &compare::requests(expected, &requests);
        if let Some(tables) = &expected.tables {
            found += &compare::tables(tables, &warehouse::tables(&project.warehouse(), "d"), &api.base_url());
        }
        if !found.is_empty() {
            let screen = format!("{output}");
            writeln!(differences, "run {}:\n{found}{}", index + 1, screen.trim_end()).unwrap();
        }
    }
    differences
}
