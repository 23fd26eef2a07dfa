//! Runs one attack and checks what must hold after any of them: the program ends by itself with a documented exit code,
//! obeys no escape, tells no secret to anybody, and everything innocent arrives.
//!
//! Must never know one attack from another.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::hostile_api::HostileApi;
use crate::support::host_command::{Output, Project, connector};
use crate::support::warehouse::{self, Table};

/// Named in the configuration, so that the host knows it.
pub(super) const TOKEN: &str = "tok-7f3a9c-SECRET/value+x=";
/// In the environment, under a name that the configuration does not name.
pub(super) const OTHER: &str = "oth-51b2d0-SECRET-unnamed";

/// What must come of an attack.
#[derive(Clone, Copy)]
pub(super) enum Outcome<'a> {
    /// Exit code 3: the stream `bad` failed, with these words in its error, and left no row.
    StreamFails(&'a [&'a str]),
    /// This exit code, with these words, before anything was read.
    Refused(i32, &'a [&'a str]),
    /// Exit code 0: whatever it tried had no effect.
    NoEffect,
    /// Either of the last two: only that nothing else is harmed counts.
    Either,
}

/// What is left on the field.
pub(super) struct Field {
    pub(super) output: Output,
    pub(super) bad: Option<Table>,
    /// What reached the server, each as it came.
    pub(super) requests: Vec<String>,
}

pub(super) fn guests() -> PathBuf {
    let guests = connector().with_file_name("guests.wasm");
    assert!(guests.exists(), "{} is missing: `make guests` builds it", guests.display());
    guests
}

/// Runs a script of the malicious connector. In its texts `$BASE` is the hostile server.
pub(super) fn attack(name: &str, script: &Value, outcome: Outcome<'_>) -> Field {
    attack_with(name, &std::fs::read(guests()).unwrap(), script, outcome)
}

/// Runs a table of attacks.
pub(super) fn attacks(table: &[(&str, Value, Outcome<'_>)]) {
    for (name, script, outcome) in table {
        attack(name, script, *outcome);
    }
}

/// Small limits, so that an attack is over soon; those of the script win.
fn limits(script: &Value) -> Value {
    let mut limits = json!({
        "memory_bytes": 64 << 20, "cpu_secs": 0.5, "page_secs": 6, "response_bytes": 1 << 20, "page_bytes": 4 << 20,
        "request_bytes": 1 << 20, "response_secs": 1.5, "connect_secs": 1, "checkpoint_bytes": 10_000,
        "partitions_per_call": 20_000, "pages_without_progress": 20, "records_per_stream": 10_000, "log_bytes": 20_000,
        "streams": 50, "bytes_without_checkpoint": 4 << 20, "requests": 300, "handles": 1000,
    });
    for (key, value) in script["limits"].as_object().into_iter().flatten() {
        limits[key] = value.clone();
    }
    limits
}

/// Every other attack meets a host that isolates: what must come of it is the same. `ATTACKS_ISOLATED` (0 or 1) chooses one for
/// all of them.
fn is_isolated(name: &str) -> bool {
    let chosen = std::env::var("ATTACKS_ISOLATED").ok();
    cfg!(target_os = "linux") && chosen.map_or(name.len() % 2 == 1, |chosen| chosen == "1")
}

pub(super) fn attack_with(name: &str, component: &[u8], script: &Value, outcome: Outcome<'_>) -> Field {
    let api = HostileApi::start();
    let mut config = script.clone();
    config["host"] = json!({"limits": limits(script), "retry": {"max_retries": 0}, "isolate": is_isolated(name)});
    config["host"]["secrets"] = script["secrets"].clone();
    for (key, value) in [("granted", json!(["$BASE", "$SECOND"])), ("named", json!("${secrets.token}"))] {
        if script[key].is_null() {
            config[key] = value;
        }
    }
    for key in ["limits", "secrets"] {
        config.as_object_mut().unwrap().remove(key);
    }
    let text = config.to_string().replace("$AUTHORITY", &api.authority()).replace("$SECOND", &api.second());
    let text = text.replace("$OTHER_AUTHORITY", api.second().trim_start_matches("http://"));
    let project = Project::with_base_url(api.base_url()).config(&text).bytes("evil.wasm", component);
    let output = project
        .host(["run", "evil.wasm", "--config", "pipeline.yaml", "--to", "duckdb:warehouse.duckdb"])
        .arguments(["--dataset", "d", "--pipeline", "test"])
        .secret("token", TOKEN)
        .environment("OTHER", OTHER)
        .environment("AIRLOCK_SECRET_OTHER", OTHER)
        .output();
    let requests = api.requests();
    let folder = project.path("");
    no_harm(name, &output, &folder);
    let mut tables = warehouse::tables(&project.warehouse(), "d");
    let (code, words) = match outcome {
        Outcome::StreamFails(words) => (3, words),
        Outcome::Refused(code, words) => (code, words),
        Outcome::NoEffect => (0, [].as_slice()),
        Outcome::Either => (if output.code == Some(3) { 3 } else { 0 }, [].as_slice()),
    };
    assert_eq!(output.code, Some(code), "{name}: {output}");
    for word in words {
        assert!(output.stderr.contains(word), "{name}: the error does not say `{word}`: {output}");
    }
    let bad = tables.remove("bad");
    match outcome {
        Outcome::StreamFails(_) => {
            assert!(bad.as_ref().is_none_or(|table| table.rows.is_empty()), "{name}: rows of a failed stream: {bad:?}");
            assert!(output.stderr.contains("stream: "), "{name}: the error does not name the stream: {output}");
        }
        Outcome::Refused(..) => assert!(tables.is_empty(), "{name}: {tables:?}"),
        Outcome::NoEffect | Outcome::Either => {}
    }
    if !matches!(outcome, Outcome::Refused(..)) {
        let good = tables.get("good").unwrap_or_else(|| panic!("{name}: the innocent stream is lost: {output}"));
        assert_eq!(good.rows.len(), 3, "{name}: {good:?}");
    }
    Field { output, bad, requests }
}

/// Holds after every call of the program.
pub(super) fn no_harm(name: &str, output: &Output, folder: &Path) {
    assert!(matches!(output.code, Some(0..=3)), "{name}: {output}");
    for text in [&output.stdout, &output.stderr] {
        let obeyed =
            |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!text.contains(obeyed), "{name}: a terminal would obey this: {text:?}");
        assert!(!text.contains("panicked at host"), "{name}: {text}");
        assert!(!text.contains("error[internal]"), "{name}: {text}");
        assert!(text.len() < 200_000, "{name}: a flood of {} bytes", text.len());
        tells_no_secret(name, text.as_bytes());
    }
    files_tell_no_secret(name, folder);
    assert!(!folder.join("stolen").exists(), "{name}: the connector wrote a file");
}

fn files_tell_no_secret(name: &str, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_tell_no_secret(name, &path);
        } else if path.extension().is_none_or(|ending| ending != "wasm") {
            tells_no_secret(&format!("{name}: {}", path.display()), &std::fs::read(&path).unwrap());
        }
    }
}

fn tells_no_secret(place: &str, bytes: &[u8]) {
    for secret in [TOKEN, OTHER] {
        for spelling in spellings(secret) {
            let found = bytes.windows(spelling.len()).any(|window| window == spelling.as_bytes());
            assert!(!found, "{place}: tells a secret, as {spelling}");
        }
    }
}

/// A secret as it could stand somewhere.
pub(super) fn spellings(secret: &str) -> Vec<String> {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(secret);
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut all = vec![secret.to_owned(), base64.trim_end_matches('=').to_owned(), form];
    all.push(secret.bytes().map(|byte| format!("{byte:02x}")).collect());
    let backwards: Vec<String> = all.iter().map(|text| text.chars().rev().collect()).collect();
    all.extend(backwards);
    all
}
