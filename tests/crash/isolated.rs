//! A child process of an isolated run dies in the middle of its work: the host says so, and another run ends with the rows
//! of an unbroken one.

use super::failures::{duckdb, is_under_way, long};
use super::places::run;
use crate::destination::postgres_server::start;
use crate::support::children::isolated;
use crate::support::host_command::Project;
use crate::support::mock_api::MockApi;

#[test]
fn a_child_that_is_killed_takes_no_row_along() {
    let api = MockApi::start();
    for role in ["sandbox", "pages"] {
        let project = Project::new(&api).config(&long("append"));
        let place = duckdb(&project);
        api.take_requests();
        let mut host = run(&project, &place).argument("--isolate").spawn();
        assert!(is_under_way(&api, &mut host, 100), "{role}: the run was over too soon");
        let child = isolated(host.id()).into_iter().find(|child| child.role == role).expect(role);
        assert!(start("kill").args(["-KILL", &child.id.to_string()]).status().unwrap().success());
        let output = host.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 3)), "{role}: {} {said}", output.status);
        assert!(said.contains("the isolated process ended before its work was done"), "{role}: {said}");
        assert!(said.contains("signal: 9"), "{role}: how it ended is not said: {said}");
        let output = run(&project, &place).argument("--isolate").output();
        assert_eq!(output.code, Some(0), "{role}: {output}");
        assert_eq!(place.contents("d")["records"].len(), 20_000, "{role}");
        assert_eq!(place.contents("d")["records__labels"].len(), 19_999, "{role}");
    }
}

#[test]
fn no_child_outlives_its_host() {
    let api = MockApi::start();
    let project = Project::new(&api).config(&long("append"));
    api.take_requests();
    let mut host = run(&project, &duckdb(&project)).argument("--isolate").spawn();
    assert!(is_under_way(&api, &mut host, 50), "the run was over too soon");
    let children = isolated(host.id());
    assert_eq!(children.len(), 2, "the connector's, and that of its pages");
    host.kill().unwrap();
    host.wait().unwrap();
    // Their way to the host has ended: they need no signal, and a moment.
    let is_there = |id: u32| {
        let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // What init has not yet taken note of is no process any more.
        !status.is_empty() && !status.contains(") Z ")
    };
    for _ in 0..1000 {
        if !children.iter().any(|child| is_there(child.id)) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("a child is still there");
}
