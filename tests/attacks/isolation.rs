//! What a child process of an isolated run has, looked at from outside while it works: nothing that is worth breaking into.

use serde_json::json;

use super::arena::{TOKEN, spellings};
use crate::crash::failures::is_under_way;
use crate::destination::postgres_server::start;
use crate::support::children::isolated;
use crate::support::host_command::Project;
use crate::support::mock_api::MockApi;

/// Both children read it.
const FIELD: &str = "a_field_that_pages_have";

#[test]
fn a_child_has_nothing() {
    let api = MockApi::start();
    let config = json!({
        "client": {
            "base_url": "$BASE", "auth": {"type": "bearer", "token": "${secrets.token}"},
            "paginator": {"type": "offset", "limit": 20, "total_path": "total"},
        },
        "resources": [{
            "name": "records", "primary_key": "id", "columns": {FIELD: {"data_type": "text"}},
            "endpoint": {"path": "bulk/20000", "data_selector": "data"},
        }],
        "host": {"isolate": true},
    });
    let project = Project::new(&api).config(&config.to_string());
    let mut host = project.run().secret("token", TOKEN).spawn();
    assert!(is_under_way(&api, &mut host, 100), "the run was over too soon");
    let signal = |name: &str| assert!(start("kill").args([name, &host.id().to_string()]).status().unwrap().success());
    // Nobody ends while he is looked at.
    signal("-STOP");
    let children = isolated(host.id());
    let mut roles: Vec<&str> = children.iter().map(|child| child.role.as_str()).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["pages", "sandbox"]);
    for child in &children {
        let (role, of) =
            (&child.role, |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", child.id)).unwrap());
        assert_eq!(of("environ"), "", "{role} has an environment");
        let status = of("status");
        for line in ["Seccomp:\t2", "NoNewPrivs:\t1"] {
            assert!(status.lines().any(|found| found == line), "{role}: no {line}: {status}");
        }
        let limits = of("limits");
        for limit in ["Max data size", "Max file size", "Max core file size"] {
            let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
            assert!(!line.contains("unlimited"), "{role}: {line}");
        }
        for open in std::fs::read_dir(format!("/proc/{}/fd", child.id)).unwrap() {
            let open = std::fs::read_link(open.unwrap().path()).unwrap();
            let open = open.to_str().unwrap();
            let is_harmless =
                ["socket:", "anon_inode:", "/dev/null", "/memfd:"].iter().any(|kind| open.starts_with(kind));
            assert!(is_harmless, "{role} has {open}");
        }
        assert!(child.holds(FIELD.as_bytes()), "{role}: the scan does not see its memory");
        for spelling in spellings(TOKEN) {
            assert!(!child.holds(spelling.as_bytes()), "{role} knows the secret, as {spelling}");
        }
    }
    signal("-CONT");
    let output = host.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What is compiled in a child was never looked at by anybody: it is never run outside of one.
#[test]
fn what_a_child_compiled_stays_with_children() {
    let api = MockApi::start();
    let config =
        json!({"client": {"base_url": "$BASE"}, "resources": [{"name": "posts", "endpoint": {"path": "posts"}}]});
    let project = Project::new(&api).config(&config.to_string());
    let cache = project.path("cache");
    let run = |flag: Option<&str>| {
        let command = project.run().environment("XDG_CACHE_HOME", cache.to_str().unwrap());
        let output = command.arguments(flag).output();
        assert_eq!(output.code, Some(0), "{output}");
        compiled(&cache)
    };
    assert_eq!(run(Some("--isolate")), 1, "what the child compiled is kept");
    assert_eq!(run(Some("--isolate")), 1, "and used");
    assert_eq!(run(None), 2, "the host compiles for itself");
    assert_eq!(run(None), 2);
}

fn compiled(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.is_dir() {
            true => compiled(&path),
            false => usize::from(path.extension().is_some_and(|ending| ending == "cwasm")),
        })
        .sum()
}
