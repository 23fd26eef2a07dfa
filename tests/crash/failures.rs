//! What goes wrong around the host, and not in it: the user, a second run, the API, the disk, the database server.
//! Whatever happens, another run ends with the rows of an unbroken one.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Child;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::contents::Place;
use super::killed_after;
use super::places::{config, run};
use crate::destination::postgres_server::{PostgresServer, start};
use crate::support::host_command::Project;
use crate::support::mock_api::MockApi;

/// Enough pages that there is time to interfere.
pub(super) fn long(disposition: &str) -> String {
    json!({
        "client": {"base_url": "$BASE", "paginator": {"type": "offset", "limit": 20, "total_path": "total"}},
        "resources": [{
            "name": "records", "primary_key": "id", "write_disposition": disposition,
            "endpoint": {"path": "bulk/20000", "data_selector": "data"},
        }],
        "host": {"package_rows": 500},
    })
    .to_string()
}

/// A place in the project's folder.
pub(super) fn duckdb(project: &Project) -> Place {
    Place::DuckDb(project.path("w.duckdb"))
}

/// Waits until the API has seen so many requests; false if the run ended before.
pub(crate) fn is_under_way(api: &MockApi, child: &mut Child, requests: usize) -> bool {
    let mut seen = 0;
    while seen < requests {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
        seen += api.take_requests().len();
    }
    true
}

#[test]
fn an_interrupted_run_is_finished_by_the_next() {
    let api = MockApi::start();
    for disposition in ["append", "replace"] {
        let project = Project::new(&api).config(&long(disposition));
        let place = duckdb(&project);
        api.take_requests();
        let mut child = run(&project, &place).spawn();
        assert!(is_under_way(&api, &mut child, 100), "the run was over too soon");
        assert!(start("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{} {}", output.status, String::from_utf8_lossy(&output.stderr));
        let output = run(&project, &place).output();
        assert_eq!(output.code, Some(0), "{output}");
        assert_eq!(place.contents("d")["records"].len(), 20_000);
        assert_eq!(place.contents("d")["records__labels"].len(), 19_999);
    }
}

/// Nothing that a run waits for keeps it from stopping: an API that never answers, or one that wants to be left alone.
#[test]
fn an_interrupted_run_does_not_wait() {
    for pause in [None, Some("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 250\r\nContent-Length: 0\r\n\r\n")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let project = Project::with_base_url(&base).config(&long("append"));
        let place = duckdb(&project);
        let child = run(&project, &place).spawn();
        let (mut connection, _) = listener.accept().unwrap();
        connection.write_all(pause.unwrap_or_default().as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(200));
        assert!(start("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let (status, said) = killed_after(child, Duration::from_secs(30));
        assert_eq!(status.code(), Some(130), "{said}");
        assert!(!project.path("w.duckdb").exists(), "a run that loads nothing leaves nothing");
    }
}

#[test]
fn a_second_run_at_once_is_refused() {
    let api = MockApi::start();
    let project = Project::new(&api).config(&long("append"));
    let place = duckdb(&project);
    let mut child = run(&project, &place).spawn();
    assert!(is_under_way(&api, &mut child, 20), "the run was over too soon");
    let output = run(&project, &place).output();
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains(&format!("process {}", child.id())), "{output}");
    assert!(child.wait().unwrap().success());
    assert_eq!(place.contents("d")["records"].len(), 20_000);
}

#[test]
fn an_api_that_dies_half_way() {
    let api = MockApi::start();
    let project = Project::new(&api).config(
        &json!({
            "client": {"base_url": "$BASE/ledger/1", "paginator": {"type": "offset", "limit": 2, "total_path": "total"}},
            "resources": [{"name": "accounts", "endpoint": {"path": "dies/4/accounts", "data_selector": "data"}}],
            "host": {"package_rows": 1, "retry": {"max_retries": 0}},
        })
        .to_string(),
    );
    let place = duckdb(&project);
    let output = run(&project, &place).output();
    assert_eq!(output.code, Some(1), "{output}");
    assert_eq!(place.contents("d")["accounts"].len(), 6);
    let asked = api.take_requests().len();
    let output = run(&project, &place).output();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(place.contents("d")["accounts"].len(), 13);
    // It went on where it had failed, behind another look at the last page before.
    assert_eq!((asked, api.take_requests().len()), (4, 5));
}

#[test]
fn a_full_disk() {
    let api = MockApi::start();
    let unbroken = Project::new(&api).config(&config(1, "append"));
    let places: [fn(&Project) -> Place; 3] =
        [duckdb, |project| Place::Sqlite(project.path("w.sqlite")), |project| Place::Parquet(project.path("files"))];
    for place_in in places {
        let good = place_in(&unbroken);
        // Also fills the cache of compiled components, which would not fit either.
        assert_eq!(run(&unbroken, &good).output().code, Some(0));
        let project = Project::new(&api).config(&config(1, "append"));
        let bad = place_in(&project);
        let mut refused = 0;
        // In blocks of 512 bytes or of a kilobyte.
        for blocks in [2, 40, 200, 700] {
            let output = run(&project, &bad).with_file_limit(blocks).output();
            assert!(matches!(output.code, Some(0 | 1)), "{} blocks into {}: {output}", blocks, bad.url());
            if output.code == Some(0) {
                break;
            }
            refused += 1;
        }
        assert!(refused > 0, "{} never hit the limit", bad.url());
        if bad.contents("d") != good.contents("d") {
            let output = run(&project, &bad).output();
            assert_eq!(output.code, Some(0), "{output}");
        }
        assert_eq!(good.contents("d"), bad.contents("d"), "{}", bad.url());
    }
}

#[test]
fn a_database_server_that_goes_and_comes_back() {
    let Some(server) = PostgresServer::start() else { return };
    let api = MockApi::start();
    let project = Project::new(&api).config(&long("append"));
    let place = Place::Postgres(server.url("postgres"));
    let mut child = run(&project, &place).spawn();
    assert!(is_under_way(&api, &mut child, 150), "the run was over too soon");
    server.stop();
    server.go_on();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // It may have waited for the server, or given up; it never may have lost or doubled a row.
    if !output.status.success() {
        assert_eq!(output.status.code(), Some(1), "{said}");
        let output = run(&project, &place).output();
        assert_eq!(output.code, Some(0), "{said}\n{output}");
    }
    let contents = place.contents("d");
    assert_eq!((contents["records"].len(), contents["records__labels"].len()), (20_000, 19_999), "{said}");
}
