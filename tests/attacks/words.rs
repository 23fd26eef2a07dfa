//! Attacks by what a connector says: names, messages, diagnostics that a terminal, a database or a reader would obey.

use serde_json::{Value, json};

use super::arena::{Outcome, attack, attacks, guests, no_harm};
use crate::support::host_command::{Project, connector};
use Outcome::{NoEffect, Refused, StreamFails};

const ESCAPES: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}txt\r\nok  grant: none\u{8}";

#[test]
fn names_of_streams() {
    let named = |name: &str| json!({"streams": [{"name": name}]});
    let long = "x".repeat(201);
    attacks(&[
        ("an escape as a name", named(ESCAPES), Refused(1, &["can't be shown"])),
        ("a line break in a name", named("a\nb"), Refused(1, &["can't be shown"])),
        ("a NUL in a name", named("a\0b"), Refused(1, &["can't be shown"])),
        ("letters that turn the line", named("a\u{202e}b"), Refused(1, &["can't be shown"])),
        ("no name", named(""), Refused(1, &["it is empty"])),
        ("a name of blanks", named("  "), Refused(1, &["it is empty"])),
        ("a giant name", named(&long), Refused(1, &["longer than 200 bytes"])),
        ("two streams of one name", json!({"streams": [{"name": "a"}, {"name": "a"}]}), Refused(1, &["two streams"])),
        ("its own parent", json!({"streams": [{"name": "a", "parent": "a"}]}), Refused(1, &["does not stand before"])),
        (
            "parents in a circle",
            json!({"streams": [{"name": "a", "parent": "b"}, {"name": "b", "parent": "a"}]}),
            Refused(1, &["does not stand before"]),
        ),
        ("no such parent", json!({"streams": [{"name": "a", "parent": "x"}]}), Refused(1, &["does not stand before"])),
        ("SQL in a name", named("x\"; DROP TABLE good; --"), NoEffect),
        ("a path as a name", named("../../etc/passwd"), NoEffect),
    ]);
}

#[test]
fn names_of_tables_and_columns() {
    let hinted = |hints: Value| json!({"streams": [{"name": "bad", "hints": hints}]});
    let page = |record: &str| json!({"pages": [{"before": format!("[{record}]")}]});
    let giant = json!({"pages": [{"before": "[{\"", "fill": "k", "times": 1_000_000, "after": "\": 1}]"}]});
    let columns = json!({"pages": [{"before": "[{", "fill": "\"key#\": 1, ", "times": 1, "after": "\"id\": 1}]"}], "rounds": 9000,
        "limits": {"columns_per_table": 100, "pages_without_progress": 100_000}});
    attacks(&[
        ("SQL as a table", hinted(json!({"table_name": "x\"; DROP TABLE good; --"})), NoEffect),
        ("a path as a table", hinted(json!({"table_name": "../../../tmp/x"})), NoEffect),
        ("hints that are no hints", hinted(json!([1])), Refused(1, &["hints"])),
        ("SQL as a key", page(r#"{"id\"); DROP TABLE d.good; --": 1, "'": 2, "`": 3}"#), NoEffect),
        ("an empty key", page(r#"{"": 1, " ": 2}"#), NoEffect),
        ("escapes as a key", page(r#"{"\u001b[2J": 1, "\u0000": 2, "\u202e": 3}"#), NoEffect),
        ("a key of a megabyte", giant, NoEffect),
        (
            "keys of the bookkeeping",
            page(r#"{"_dlt_id": {"a": 1}, "_dlt_load_id": [1], "_dlt_parent_id": 7}"#),
            NoEffect,
        ),
        ("a column for every record", columns, StreamFails(&["host.limits.columns_per_table"])),
    ]);
}

/// The bookkeeping of the destination is the host's.
#[test]
fn tables_of_others() {
    for table in ["_dlt_loads", "_dlt_pipeline_state", "_dlt_version", "_DLT_LOADS", "_dlt_ loads"] {
        let script = json!({"streams": [{"name": "bad", "hints": {"table_name": table}}]});
        attack(table, &script, Refused(2, &["_dlt_"]));
        attack(table, &json!({"streams": [{"name": table}]}), Refused(2, &["_dlt_"]));
    }
}

#[test]
fn messages() {
    let error = |at: &str, kind: &str| json!({"strike": format!("{at}:error"), "error": {"kind": kind, "message": ESCAPES, "at": "/granted/0"}});
    for kind in ["unauthorized", "unavailable", "bad-data", "other"] {
        attack(&format!("escapes in {kind}"), &error("next", kind), StreamFails(&["u{1b}", "stream: bad"]));
    }
    attack("escapes in diagnostics", &error("open", "invalid-config"), Refused(2, &["u{1b}"]));
    attack("diagnostics while reading", &error("next", "invalid-config"), StreamFails(&["u{1b}"]));
    attack("escapes in the log", &json!({"log": [ESCAPES, "x".repeat(1 << 20)]}), NoEffect);
    let pointer =
        |at: &str| json!({"strike": "open:error", "error": {"kind": "invalid-config", "message": "x", "at": at}});
    for at in
        ["", "/", "~key", "/~key", "/~", "no pointer", "/granted/9999999999999999999999", "/\u{1b}[2J", "///\u{0}"]
    {
        attack(&format!("the pointer {at:?}"), &pointer(at), Refused(2, &["x"]));
    }
}

/// The lines that `check` and `inspect` print are what an operator decides by.
#[test]
fn screens() {
    let plan = json!([{"stream": ESCAPES, ESCAPES: ESCAPES, "facts": {ESCAPES: ESCAPES, "b": [ESCAPES]}}]).to_string();
    let config = json!({"explain": plan, "grants": [{"origin": "$BASE"}]}).to_string();
    let component = std::fs::read(guests()).unwrap();
    let api = super::hostile_api::HostileApi::start();
    let project = Project::with_base_url(api.base_url()).config(&config).bytes("evil.wasm", &component);
    for arguments in
        [&["check", "evil.wasm", "--config", "pipeline.yaml", "--explain"] as &[&str], &["inspect", "evil.wasm"]]
    {
        let output = project.host(arguments.iter().copied()).output();
        assert_eq!(output.code, Some(0), "{output}");
        no_harm("a screen", &output, &project.path(""));
        assert!(output.stdout.contains("u{1b}"), "{output}");
    }
    for origin in [format!("$BASE{ESCAPES}"), " $BASE".to_owned(), "$BASE/x".to_owned(), ESCAPES.to_owned()] {
        let script = json!({"grants": [{"origin": origin}]});
        attack("an origin with more in it", &script, Refused(1, &["no origin"]));
    }
}

/// The operator's own file is quoted in errors; what stood at a secret's place is not.
#[test]
fn a_diagnostic_that_points_at_a_typed_secret() {
    let script = json!({
        "typed": super::arena::TOKEN, "strike": "open:error",
        "error": {"kind": "invalid-config", "message": "look here", "at": "/typed"},
    });
    let component = std::fs::read(guests()).unwrap();
    let project = Project::with_base_url("http://localhost").config(&script.to_string()).bytes("evil.wasm", &component);
    let output = project.host(["check", "evil.wasm", "--config", "pipeline.yaml"]).output();
    assert_eq!(output.code, Some(2), "{output}");
    assert!(output.stderr.contains("look here") && output.stderr.contains("****"), "{output}");
    assert!(!output.stderr.contains("SECRET"), "{output}");
}

/// Diagnostics that take longer to show than anybody waits, at places that take longer to find.
#[test]
fn floods_of_diagnostics() {
    let wrong = |times: usize, slashes: usize| {
        json!({"strike": "open:error", "error": {
            "kind": "invalid-config", "message": "wrong", "at": "/strike", "times": times, "slashes": slashes,
        }})
    };
    let mut long = wrong(299, 0);
    long["error"]["message"] = json!("\u{1b}[31m".repeat(1000));
    attacks(&[
        ("long ones", long, Refused(2, &["299 mistakes", "are shown"])),
        ("many", wrong(60_000, 0), Refused(2, &["60000 mistakes", "the first 100 are shown"])),
        ("a far place", wrong(1, 1_500_000), Refused(2, &["strike"])),
        ("many far places", wrong(500, 20_000), Refused(2, &["500 mistakes"])),
    ]);
}

/// What was typed at a place that nobody knows may be a secret, too.
#[test]
fn a_line_that_is_quoted_tells_no_value() {
    let auth = |auth: &str| format!("client:\n  base_url: https://a.org\n  auth: {auth}\nresources: [a]\n");
    for (name, text) in [
        ("a misspelt key", auth("{type: bearer, tokn: hunter2-SECRET}")),
        ("a misspelt section", auth("{}").replace("auth", "atuh").replace("{}", "{token: hunter2-SECRET}")),
        ("of the wrong kind", auth("[hunter2-SECRET]")),
        ("no such kind", auth("hunter2-SECRET")),
        ("an object too many", auth("{type: bearer, token: {value: hunter2-SECRET}}")),
        ("a list too many", auth("{type: bearer, token: [hunter2-SECRET]}")),
        ("behind an anchor", format!("x-a: &a {{tokn: hunter2-SECRET}}\n{}", auth("*a"))),
        ("behind a merge key", format!("x-a: &a {{tokn: hunter2-SECRET}}\n{}", auth("{type: bearer, <<: *a}"))),
        (
            "of many lines",
            auth("\n    tokn: |\n      begin hunter2-SECRET\n      hunter2-SECRET end\n    type: bearer"),
        ),
        ("beside a mistake", auth("{tokn: x} # hunter2-SECRET")),
        ("in a URL", auth("{}").replace("a.org", "user:hunter2-SECRET@a.org")),
        ("in a proxy", format!("host: {{proxy: 'http://u:hunter2-SECRET@x', proxi: 1}}\n{}", auth("{}"))),
        ("at a mistake of the syntax", auth("{type: bearer, token: hunter2-SECRET, [}")),
        ("before a mistake of the syntax", auth("\"hunter2-SECRET\" x")),
        ("an unset variable", auth("{type: bearer, tokn: \"hunter2-SECRET ${env.NOT_SET_ANYWHERE}\"}")),
    ] {
        let project = Project::with_base_url("http://localhost").config(&text);
        for json in [&[] as &[&str], &["--json"]] {
            let check = ["check", "--offline", "--config", "pipeline.yaml"];
            let output = project.host(check).argument(connector()).arguments(json.iter().copied()).output();
            assert_eq!(output.code, Some(2), "{name}: {output}");
            assert!(!output.to_string().contains("hunter2"), "{name}: {output}");
        }
    }
}
