//! Kills the host at random moments and starts it again until it gets through: what is loaded then must be what an
//! unbroken run loads.
//!
//! Here at any moment, in `places` at chosen ones, in `failures` by what happens around it. `CRASH_KILLS` sets how often it is killed for each write disposition, `CRASH_SEED` repeats a failure.

pub(crate) mod contents;
pub(crate) mod failures;
#[cfg(target_os = "linux")]
mod isolated;
pub(crate) mod places;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::process::ExitStatusExt as _,
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    host_command::Project,
    mock_api::MockApi,
    warehouse::{self, Table},
};

const RECORDS: usize = 20_000;
const SIGKILL: i32 = 9;

#[test]
fn append_survives_being_killed() {
    survives_being_killed(&json!("append"));
}

#[test]
fn merge_survives_being_killed() {
    survives_being_killed(&json!("merge"));
}

#[test]
fn upsert_survives_being_killed() {
    survives_being_killed(&json!({"disposition": "merge", "strategy": "upsert"}));
}

#[test]
fn replace_survives_being_killed() {
    survives_being_killed(&json!("replace"));
}

fn survives_being_killed(disposition: &Value) {
    let config = json!({
        "client": {"base_url": "$BASE", "paginator": {"type": "offset", "limit": 100, "total_path": "total"}},
        "resources": [{
            "name": "records",
            "primary_key": "id",
            "write_disposition": disposition,
            "endpoint": {"path": format!("bulk/{RECORDS}"), "data_selector": "data"},
        }],
        "host": {"retry": {"initial_delay_secs": 0.01}},
    })
    .to_string();
    let api = MockApi::start();
    let unbroken = Project::new(&api).config(&config);
    let started = Instant::now();
    let output = unbroken.run().output();
    let duration = started.elapsed();
    assert_eq!(output.code, Some(0), "{output}");
    let expected = warehouse::tables(&unbroken.warehouse(), "d");
    assert_eq!(expected["records"].rows.len(), RECORDS);

    let seed = number("CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let kills = number("CRASH_KILLS").unwrap_or(4);
    let mut kill = 0;
    while kill < kills {
        let project = Project::new(&api).config(&config);
        let story = format!("{disposition}, CRASH_SEED={seed}, from kill {kill} on");
        loop {
            if kill == kills {
                let output = project.run().output();
                assert_eq!(output.code, Some(0), "{story}: {output}");
                break;
            }
            let (status, said) = killed_after(project.run().spawn(), duration.mul_f64(1.1 * share(seed, kill)));
            kill += 1;
            if status.signal() != Some(SIGKILL) {
                assert!(status.success(), "{story}: {status}\n{said}");
                break;
            }
            // Killed between its last commit and its exit, it was done, and another run would append all again.
            if disposition == "append" && row_count(&project) == RECORDS {
                break;
            }
        }
        same_tables(&expected, &warehouse::tables(&project.warehouse(), "d"), &story);
        let orphans = warehouse::scalar(
            &project.warehouse(),
            "SELECT count(*) FROM d.records__labels WHERE _dlt_parent_id NOT IN (SELECT _dlt_id FROM d.records)",
        );
        assert_eq!(orphans, "0", "{story}: labels without their record");
    }
}

fn same_tables(expected: &BTreeMap<String, Table>, loaded: &BTreeMap<String, Table>, story: &str) {
    assert_eq!(expected.keys().collect::<Vec<_>>(), loaded.keys().collect::<Vec<_>>(), "{story}");
    for (name, table) in loaded {
        assert_eq!(expected[name].columns, table.columns, "{story}: columns of {name}");
        assert_eq!(expected[name].rows.len(), table.rows.len(), "{story}: rows of {name}");
        assert!(expected[name].rows == table.rows, "{story}: {name} has other rows");
    }
}

fn row_count(project: &Project) -> usize {
    warehouse::tables(&project.warehouse(), "d").get("records").map_or(0, |table| table.rows.len())
}

/// Waits for the end, but no longer than `limit`; then kills. How it ended, and what it said on stderr.
fn killed_after(mut child: Child, limit: Duration) -> (ExitStatus, String) {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    // Without effect on one that has ended by itself.
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A number from 0 to 1 by chance, the same for the same seed and kill.
fn share(seed: u64, kill: u64) -> f64 {
    let mut hasher = DefaultHasher::new();
    (seed, kill).hash(&mut hasher);
    hasher.finish() as f64 / u64::MAX as f64
}

pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
