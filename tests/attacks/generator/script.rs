//! A random connector and a random configuration: what it says, asks for, sends and breaks, and how it is run.

use serde_json::{Value, json};

use super::random::Random;

/// What the host is told to do with it.
pub(super) struct Plan {
    /// The configuration, with `$BASE`, `$SECOND`, `$AUTHORITY` and `$ELSEWHERE` to be filled in.
    pub(super) config: Value,
    pub(super) arguments: Vec<String>,
    /// The stream `good` is among those that are loaded.
    pub(super) wants_good: bool,
    /// The secret belongs to the first origin alone.
    pub(super) is_bound: bool,
    pub(super) format: &'static str,
    /// How often it is run, one time after the other.
    pub(super) runs: usize,
}

pub(super) fn plan(random: &mut Random) -> Plan {
    let mut config = script(random);
    let is_bound = random.once_in(2);
    config["granted"] = json!(["$BASE", "$SECOND"]);
    config["named"] = json!("${secrets.token}");
    config["host"] = json!({
        "limits": limits(random),
        "retry": {"max_retries": random.within(0..2), "backoff_factor": 1, "max_delay_secs": 0.05},
        "isolate": cfg!(target_os = "linux") && random.once_in(4),
        "secrets": if is_bound { json!({"token": {"origins": ["$BASE"]}}) } else { json!({}) },
    });
    if random.once_in(3) {
        config["host"]["package_rows"] = json!(random.within(200..500));
    }
    let mut arguments = Vec::new();
    let select = random.pick(&["", "", "", "", "good", "bad", "s0"]);
    if !select.is_empty() {
        arguments.extend(["--select".to_owned(), select.to_owned()]);
    }
    if random.once_in(5) {
        arguments.push("--full-refresh".to_owned());
    }
    for (flag, value) in [("--allow", "http://$ELSEWHERE.example.com"), ("--concurrency", "2"), ("--reveal", "nobody")]
    {
        if random.once_in(20) {
            arguments.extend([flag.to_owned(), value.to_owned()]);
        }
    }
    Plan {
        config,
        arguments,
        wants_good: matches!(select, "" | "good"),
        is_bound,
        format: random.pick(&["duckdb", "duckdb", "duckdb", "jsonl", "csv", "parquet", "sqlite"]),
        runs: 1 + usize::from(random.once_in(4)),
    }
}

/// Small enough that whatever is tried is soon over.
fn limits(random: &mut Random) -> Value {
    let mut limits = json!({
        "memory_bytes": 48 << 20, "cpu_secs": 0.1, "page_secs": 2, "response_bytes": 1 << 20, "page_bytes": 1 << 20,
        "request_bytes": 1 << 18, "response_secs": 0.4, "connect_secs": 0.4, "checkpoint_bytes": 5000,
        "partitions_per_call": 500, "pages_without_progress": 5, "records_per_stream": 2000, "log_bytes": 5000,
        "streams": 50, "bytes_without_checkpoint": 2 << 20, "requests": 50, "handles": 500,
    });
    for (name, low) in [("records_per_stream", 3), ("columns_per_table", 5), ("requests", 1), ("state_bytes", 100)] {
        if random.once_in(12) {
            limits[name] = json!(low);
        }
    }
    limits
}

const EXPORTS: &[&str] =
    &["open", "grants", "streams", "partitions", "partitions", "read", "read", "next", "next", "next", "next", "drop"];
const BEHAVIOURS: &[&str] = &[
    "loop",
    "recurse",
    "recurse with frames",
    "memory",
    "handles",
    "fields",
    "random",
    "clock",
    "fields for ever",
    "log for ever",
    "refused requests",
    "panic",
    "unreachable",
    "exit",
    "sleep",
    "log",
    "stderr",
    "stderr and panic",
    "look around",
    "error",
    "error",
];
const NAMES: &[&str] = &[
    "bad",
    "bad",
    "s0",
    "Bad Name",
    "_dlt_loads",
    "good__x",
    "ok\u{1b}[31m",
    "../up",
    "a'; DROP TABLE d.good; --",
    "\"",
    "",
    "\u{202e}dab",
    "good",
    "nul\0",
    "a.b",
    "select",
    "x/y",
    "\u{fffd}",
];
const WORDS: &[&str] = &[
    "",
    "a",
    "id",
    "\\u0000",
    "\\ud800",
    "\\u202e",
    "x\u{1b}]0;t\u{7}",
    "${secrets.token}",
    "$<secrets.token}",
    "=1+1",
    "'; --",
    "2024-01-01T00:00:00Z",
    "1e400",
    "\\\\",
    "_dlt_id",
    "value",
    "good",
    "#",
];

fn script(random: &mut Random) -> Value {
    let mut script = json!({"streams": streams(random), "lenient": random.once_in(2)});
    if random.once_in(2) {
        script["strike"] = json!(format!("{}:{}", random.pick(EXPORTS), random.pick(BEHAVIOURS)));
        script["strike_at_page"] = json!(random.within(0..4));
    }
    script["error"] = json!({
        "kind": random.pick(&["invalid-config", "unauthorized", "unavailable", "bad-data", "other"]),
        "message": word(random), "at": random.pick(&["", "/granted/0", "/host", "/named", "/nothing/here"]),
        "slashes": random.size(1000), "times": random.size(1000),
    });
    if random.once_in(2) {
        script["requests"] = json!(random.some(4, request));
    } else {
        script["pages"] = json!(random.some(4, page));
        script["rounds"] = json!(1 + random.size(64));
    }
    script["grants"] = json!(random.some(2, grant));
    script["log"] = json!(random.some(3, word));
    let most = if random.once_in(8) { 512 } else { 16 };
    script["partitions"] = json!(random.size(most));
    script["partition_id"] = text(random, 1000);
    if random.once_in(10) {
        script["stream_count"] = json!(random.size(64));
    }
    script
}

fn streams(random: &mut Random) -> Vec<Value> {
    let mut streams: Vec<Value> = Vec::new();
    for _ in 0..1 + random.within(0..2) {
        let parent = streams.last().filter(|_| random.once_in(3)).map(|parent| parent["name"].clone());
        let columns =
            json!({word(random): {"data_type": random.pick(&["text", "bigint", "json", "nonsense", "decimal"])}});
        let hints = match random.within(0..12) {
            0 => json!([word(random)]),
            1 | 2 => json!({"schema_contract": random.pick(&["freeze", "evolve", "discard_row", "nonsense"])}),
            3..6 => json!({"columns": columns}),
            _ => json!({}),
        };
        streams.push(json!({
            "name": name(random), "parent": parent.or_else(|| random.once_in(20).then(|| json!(name(random)))),
            "primary_key": random.some(1, |random| random.pick(&["id", "id", "missing", ""])), "merge": random.once_in(3),
            "hints": hints,
        }));
    }
    // Two of one name are refused.
    if !random.once_in(20) {
        streams.dedup_by_key(|stream| stream["name"].clone());
    }
    streams
}

/// One that the host takes, mostly: what is refused at the beginning proves little.
fn name(random: &mut Random) -> &'static str {
    if random.once_in(6) { random.pick(NAMES) } else { random.pick(&["bad", "s0", "Bad Name", "select", "x_y"]) }
}

fn word(random: &mut Random) -> String {
    random.some(3, |random| random.pick(WORDS).to_owned()).concat()
}

fn text(random: &mut Random, most: usize) -> Value {
    json!({"before": word(random), "fill": random.pick(WORDS), "times": random.size(most), "after": word(random)})
}

fn page(random: &mut Random) -> Value {
    let mut page = match random.within(0..5) {
        // Records as they should be, and so many that limits are met.
        0 | 1 => {
            let name = random.pick(WORDS);
            let record = format!("{{\"id\": #, \"{name}\": \"{}\"}}", random.pick(WORDS));
            json!({"before": format!("[{record}"), "fill": format!(", {record}"), "times": random.size(1000), "after": "]"})
        }
        // Many columns, or one below the other.
        2 => {
            let (open, close) = random.pick(&[("{\"a\":", "}"), ("[", "]"), ("{\"a\":[", "]}")]);
            let depth = random.size(1 << 14);
            json!({"before": format!("[{}1", open.repeat(depth)), "after": format!("{}]", close.repeat(depth))})
        }
        3 => text(random, 10_000),
        _ => json!({"bytes": random.some(200, |random| random.within(0..256))}),
    };
    page["kind"] = json!(random.pick(&["array", "array", "lines", "arrow"]));
    if !random.once_in(3) {
        page["checkpoint"] = json!({"before": "#", "fill": "x", "times": if random.once_in(6) { 10_000 } else { 0 }});
    }
    page
}

fn grant(random: &mut Random) -> Value {
    if !random.once_in(4) {
        let kind = random.pick(&["bearer", "basic", "header", "query", "cookie"]);
        let credential = json!({"name": "main", "kind": kind, "secret": "${secrets.token}", "other": "x-key"});
        return json!({"origin": "$BASE", "at": null, "credentials": [credential]});
    }
    let origins = ["$BASE", "$SECOND", "hxxp://$ELSEWHERE", "http://169.254.169.254", "ftp://$AUTHORITY", "nonsense"];
    let credential = |random: &mut Random| {
        json!({
            "name": random.pick(&["main", "other"]), "kind": random.pick(&["bearer", "basic", "header", "query", "cookie", "oauth2"]),
            "secret": random.pick(&["${secrets.token}", "$<secrets.token}", "x$<secrets.token}y", "$<secrets.other}", "plain", ""]),
            "other": random.pick(&["x-key", "$BASE/token", "hxxp://$ELSEWHERE/token", "Host", "a b", ""]),
        })
    };
    json!({
        "origin": random.pick(&origins), "at": random.once_in(3).then(|| random.pick(&["/granted/0", "/named", "/x"])),
        "credentials": random.some(2, credential),
    })
}

fn request(random: &mut Random) -> Value {
    let paths = [
        "/echo",
        "/echo",
        "/echo?x=${secrets.token}",
        "/echo?x=$<secrets.token}",
        "/huge",
        "/lying-length",
        "/gzip",
        "/br",
        "/zstd",
        "/token",
        "/giant-token",
        "/many-headers",
        "/long-header",
        "/no-http",
        "/cookie",
        "/leads-to-a-secret",
        "/tells-by-name",
        "/redirect?/echo",
        "/redirect?hxxp://$ELSEWHERE/",
        "/redirect?http://169.254.169.254/",
        "/redirect?$SECOND/echo",
        "/\u{1b}",
        "/status/500",
        "/status/429",
        "/random",
    ];
    let headers = [
        ("airlock-credential", "main"),
        ("airlock-credential", "none"),
        ("authorization", "$<secrets.token}"),
        ("x-a", "$<secrets.other}"),
        ("host", "example.com"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("cookie", "a=b"),
        ("connection", "upgrade"),
        ("x-b", "a\r\nb: c"),
        ("airlock-retry-statuses", "200"),
        ("airlock-attempt", "3"),
        ("x-c", "\u{e9}"),
    ];
    let authorities =
        ["$AUTHORITY", "$AUTHORITY", "$AUTHORITY", "$OTHER_AUTHORITY", "$ELSEWHERE", "169.254.169.254", "a b", ""];
    json!({
        "method": random.pick(&["GET", "GET", "POST", "DELETE", "CONNECT", "TRACE", "G T"]),
        "scheme": random.once_in(6).then(|| random.pick(&["https", "ftp", "file"])),
        "authority": random.pick(&authorities), "path": random.pick(&paths),
        "headers": random.some(2, |random| random.pick(&headers)),
        "body": if random.once_in(4) { "$<secrets.token}".repeat(random.size(1000)) } else { String::new() },
        "times": 1 + random.size(8), "abandoned": random.once_in(6),
    })
}
