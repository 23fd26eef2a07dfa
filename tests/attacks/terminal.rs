//! What others wrote, on a real terminal: `script` gives the program one, so that nothing is stripped as in a pipe.
#![cfg(target_os = "linux")]

use std::process::Command;

use serde_json::json;

use super::arena::guests;
use super::hostile_api::HostileApi;
use crate::support::host_command::Project;

const ESCAPES: &str = "\u{1b}[31mred\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}txt\u{2066}\u{8}\u{7f}\u{200f}";

/// What the terminal got, without the colours that the host itself uses.
fn on_a_terminal(project: &Project, arguments: &str) -> String {
    let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_host"));
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .current_dir(project.path(""))
        .env("TERM", "xterm-256color")
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n");
    assert!(!text.contains("\u{1b}[31mred"), "{arguments}: a colour of others: {text:?}");
    let mut plain = String::new();
    let mut parts = text.split("\u{1b}[");
    plain.push_str(parts.next().unwrap());
    for part in parts {
        let end = part.find('m').filter(|end| part[..*end].chars().all(|c| c.is_ascii_digit() || c == ';'));
        assert!(end.is_some(), "{arguments}: a terminal would obey this: {text:?}");
        plain.push_str(&part[end.unwrap() + 1..]);
    }
    let obeyed = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!plain.contains(obeyed), "{arguments}: a terminal would obey this: {text:?}");
    plain
}

#[test]
fn every_command() {
    let api = HostileApi::start();
    let record = json!([{"id": 1, "text": ESCAPES, ESCAPES: {"inner": ESCAPES}, "list": [ESCAPES, "x"]}]);
    let script = json!({
        "host": {"naming": "direct"}, "granted": ["$BASE"],
        "streams": [{"name": "bad", "hints": {"description": ESCAPES}}],
        "pages": [{"before": record.to_string(), "checkpoint": {"before": json!({"at": ESCAPES}).to_string()}}],
        "partition_id": {"before": ESCAPES},
        "explain": json!([{"stream": ESCAPES, ESCAPES: ESCAPES}]).to_string(),
        "log": [ESCAPES],
    });
    let component = std::fs::read(guests()).unwrap();
    let project = Project::with_base_url(api.base_url()).config(&script.to_string()).bytes("evil.wasm", &component);
    let with = |verb: &str| format!("{verb} evil.wasm --config pipeline.yaml");
    let loaded = on_a_terminal(&project, &format!("{} --quiet --to sqlite:w.sqlite --pipeline p", with("run")));
    assert!(!loaded.contains("error"), "{loaded}");
    for (arguments, shown) in [
        (with("preview") + " bad", "\\u{1b}"),
        (with("preview") + " bad --json", "\\u001b"),
        (with("preview") + " bad --json", "\\u009b"),
        (with("preview") + " bad -v", "\\u{1b}"),
        (with("discover"), "\\u{9b}"),
        (with("discover") + " --json", "\\u202e"),
        (with("check") + " --explain", "\\u{1b}"),
        (with("check") + " --explain --json", "\\u{1b}"),
        ("state show --pipeline p --to sqlite:w.sqlite".to_owned(), "\\u"),
        ("state show --pipeline p --to sqlite:w.sqlite --json".to_owned(), "\\u202e"),
        ("state export --pipeline p --to sqlite:w.sqlite".to_owned(), "\\u202e"),
    ] {
        let screen = on_a_terminal(&project, &arguments);
        assert!(screen.contains(shown), "{arguments}: {screen}");
    }
    for (strike, kind) in [("check", "other"), ("open", "invalid-config"), ("streams", "unauthorized")] {
        let script = json!({
            "granted": ["$BASE"], ESCAPES: ESCAPES, "strike": format!("{strike}:error"),
            "error": {"kind": kind, "message": ESCAPES, "at": format!("/{ESCAPES}")},
        });
        let project = project_of(&api, &script.to_string());
        for more in ["", " --json"] {
            let screen = on_a_terminal(&project, &(with("check") + more));
            assert!(screen.contains("error") && screen.contains("\\u"), "{strike}: {screen}");
        }
    }
    // The operator's own file, which somebody else may have written.
    for text in [format!("{{\"{ESCAPES}\": [}}"), format!("host: {{{ESCAPES}: 1}}"), format!("# {ESCAPES}\na: [1")] {
        on_a_terminal(&project_of(&api, &text), &with("check"));
    }
}

fn project_of(api: &HostileApi, config: &str) -> Project {
    let component = std::fs::read(guests()).unwrap();
    Project::with_base_url(api.base_url()).config(config).bytes("evil.wasm", &component)
}

#[test]
fn the_first_run_says_where_secrets_go() {
    let api = HostileApi::start();
    let config = json!({
        "client": {"base_url": "$BASE", "auth": {"type": "api_key", "name": "key", "api_key": "${secrets.token}", "location": "query"}},
        "resources": [{"name": "items", "endpoint": {"path": "cookie", "data_selector": "$", "paginator": "single_page"}}],
    });
    let project = Project::with_base_url(api.base_url()).config(&config.to_string());
    let component = crate::support::host_command::connector();
    // The name of the pipeline is that of no other test, and the destination's folder is new.
    let run = |more: &str| {
        let component = component.display();
        let arguments =
            format!("run {component} --config pipeline.yaml --secret token=cmd:'echo tok-in-the-first-run' -v {more}");
        on_a_terminal(&project, &arguments)
    };
    assert!(!run("--to sqlite:quiet.sqlite --quiet").contains("Where secrets go"));
    let first = run("--to sqlite:w.sqlite");
    assert!(first.contains("The first run. Where secrets go:"), "{first}");
    assert!(first.contains("  token: ") && first.contains(&api.base_url()), "{first}");
    assert!(!first.contains("tok-in-the-first-run"), "{first}");
    let second = run("--to sqlite:w.sqlite");
    assert!(!second.contains("Where secrets go"), "{second}");
}
