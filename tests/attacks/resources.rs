//! Attacks on the machine: time, memory, stack, handles, floods.

use serde_json::{Value, json};

use super::arena::{Outcome, attack, attacks};
use Outcome::{NoEffect, Refused, StreamFails};

const TIME: &str = "host.limits.cpu_secs";

#[test]
fn endless_loops() {
    let strike = |at: &str| json!({"strike": format!("{at}:loop")});
    attacks(&[
        ("a loop in open", strike("open"), Refused(1, &["in: open", TIME, "evil.wasm"])),
        ("a loop in grants", strike("grants"), Refused(1, &["in: grants", TIME])),
        ("a loop in streams", strike("streams"), Refused(1, &["in: streams", TIME])),
        ("a loop in partitions", strike("partitions"), StreamFails(&["in: partitions", TIME])),
        ("a loop in read", strike("read"), StreamFails(&["in: read", TIME, "stream: bad"])),
        ("a loop in next", strike("next"), StreamFails(&["in: next", TIME, "stream: bad"])),
        ("a loop in the drop of a reader", strike("drop"), StreamFails(&["in: drop", TIME])),
    ]);
    let late = json!({"strike": "next:loop", "strike_at_page": 3, "pages": [numbered()], "rounds": 10});
    attack("a loop after three good pages", &late, StreamFails(&["in: next", TIME]));
}

/// The host works, or waits, in the connector's place: that counts as well.
#[test]
fn work_that_is_the_hosts() {
    for how in ["random", "clock", "fields for ever", "log for ever"] {
        attack(how, &json!({"strike": format!("next:{how}")}), StreamFails(&["in: next", TIME, "stream: bad"]));
    }
    for at in ["open", "grants", "streams"] {
        let script = json!({"strike": format!("{at}:refused requests")});
        attack(&format!("refused requests in {at}"), &script, Refused(1, &[&format!("in: {at}"), TIME]));
    }
    for at in ["partitions", "read", "next", "drop"] {
        let script = json!({"strike": format!("{at}:refused requests")});
        attack(&format!("refused requests in {at}"), &script, StreamFails(&[&format!("in: {at}"), TIME]));
    }
}

#[test]
fn crashes() {
    let strike = |at: &str, how: &str| json!({"strike": format!("{at}:{how}")});
    for how in ["panic", "unreachable", "exit"] {
        for at in ["open", "grants", "streams"] {
            attack(&format!("{how} in {at}"), &strike(at, how), Refused(1, &["the connector", at]));
        }
        for at in ["partitions", "read", "next", "drop"] {
            attack(&format!("{how} in {at}"), &strike(at, how), StreamFails(&["the connector", at]));
        }
    }
}

#[test]
fn greed() {
    let strike = |how: &str| json!({"strike": format!("next:{how}")});
    attacks(&[
        ("recursion", strike("recurse"), StreamFails(&["its stack of 512 KiB"])),
        ("recursion with frames", strike("recurse with frames"), StreamFails(&["the connector"])),
        ("memory", strike("memory"), StreamFails(&["64 MiB of memory (host.limits.memory_bytes)"])),
        ("handles", strike("handles"), StreamFails(&["host.limits.handles"])),
        ("header fields", strike("fields"), StreamFails(&["host.limits.request_header_bytes"])),
        (
            "sleeping",
            json!({"strike": "next:sleep", "limits": {"page_secs": 2}}),
            StreamFails(&["longer than 2 s", "host.limits.page_secs"]),
        ),
        ("a flood of messages", strike("log"), NoEffect),
        ("a flood on stderr", strike("stderr"), NoEffect),
        ("last words", strike("stderr and panic"), StreamFails(&["crashed", "after all that was said"])),
        ("looking around", strike("look around"), NoEffect),
    ]);
}

#[test]
fn floods_of_pages_and_state() {
    let stuck = json!({"before": "{\"stuck\": 1}"});
    let row = "[{\"id\": #}]";
    let wide: Value = json!({"before": "[{\"id\": #, \"x\": \"", "fill": "x", "times": 100_000, "after": "\"}]"});
    attacks(&[
        (
            "the same checkpoint for ever",
            json!({"pages": [{"before": row, "checkpoint": stuck}], "rounds": 1_000_000_000}),
            StreamFails(&["20 pages without any progress", "host.limits.pages_without_progress"]),
        ),
        (
            "empty pages for ever",
            json!({"pages": [{"before": "[]"}], "rounds": 1_000_000_000}),
            StreamFails(&["host.limits.pages_without_progress"]),
        ),
        (
            "new checkpoints for ever",
            json!({"pages": [{"before": row, "checkpoint": {"before": "#"}}], "rounds": 1_000_000_000}),
            StreamFails(&["more than 10000 records", "host.limits.records_per_stream"]),
        ),
        (
            "rows that never get a checkpoint",
            json!({"pages": [wide], "rounds": 1_000_000_000}),
            StreamFails(&["no checkpoint in", "host.limits.bytes_without_checkpoint"]),
        ),
        (
            "a huge checkpoint",
            json!({"pages": [{"before": row, "checkpoint": {"fill": "x", "times": 20_000}}]}),
            StreamFails(&["a checkpoint of 20000 bytes", "host.limits.checkpoint_bytes"]),
        ),
        (
            "a huge page",
            json!({"pages": [{"before": "[\"", "fill": "x", "times": 5_000_000, "after": "\"]"}]}),
            StreamFails(&["host.limits.page_bytes"]),
        ),
        (
            "a flood of partitions",
            json!({"partitions": 30_000}),
            StreamFails(&["30000 partitions", "host.limits.partitions_per_call"]),
        ),
        (
            "partitions with giant names",
            json!({"partition_id": {"fill": "x", "times": 5000}}),
            StreamFails(&["a name of a partition of 5001 bytes", "host.limits.partition_id_bytes"]),
        ),
        ("a flood of streams", json!({"stream_count": 100}), Refused(1, &["102 streams", "host.limits.streams"])),
    ]);
}

fn numbered() -> Value {
    json!({"before": "[{\"id\": #}]", "checkpoint": {"before": "{\"page\": #}"}})
}
