//! Every setting under `host.limits` has an attack that runs into it, and the error names the setting.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::arena::{Outcome, attack_with, guests};
use crate::support::host_command::Project;
use Outcome::{NoEffect, Refused, StreamFails};

/// The setting, its value, and what the connector does.
fn attacks() -> Vec<(&'static str, Value, Value, Outcome<'static>)> {
    const FAILS: Outcome<'static> = StreamFails(&[]);
    const REFUSED: Outcome<'static> = Refused(1, &[]);
    let pages = |page: Value, rounds: usize| json!({"pages": [page], "rounds": rounds});
    let request = |more: Value| {
        let mut request = json!({"authority": "$AUTHORITY", "path": "/echo"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"requests": [request]})
    };
    let long = |length: usize| json!({"before": "[{\"id\": \"", "fill": "x", "times": length, "after": "\"}]"});
    let columns = (0..20).map(|number| format!("\"c{number}\": 1")).collect::<Vec<_>>().join(", ");
    let tables = (0..5).map(|number| format!("\"t{number}\": [1]")).collect::<Vec<_>>().join(", ");
    let record = |fields: &str| json!({"before": format!("[{{{fields}}}]")});
    let https = json!({"requests": [{"scheme": "https", "authority": "$AUTHORITY", "path": "/"}], "also": "https://$AUTHORITY"});
    vec![
        ("component_bytes", json!(1000), json!({}), REFUSED),
        ("compile_secs", json!(0.01), json!({}), REFUSED),
        ("memory_bytes", json!(500_000), json!({}), REFUSED),
        ("total_memory_bytes", json!(32 << 20), json!({"strike": "open:memory"}), REFUSED),
        ("cpu_secs", json!(0.2), json!({"strike": "next:loop"}), FAILS),
        ("page_secs", json!(1), json!({"strike": "next:sleep"}), FAILS),
        ("response_bytes", json!(1000), request(json!({"path": "/huge"})), FAILS),
        ("page_bytes", json!(2000), pages(long(3000), 1), FAILS),
        (
            "document_bytes",
            json!(5000),
            json!({"streams": [{"name": "bad", "hints": {"x": "x".repeat(10_000)}}]}),
            REFUSED,
        ),
        ("decoded_bytes", json!(1000), json!({"pages": [{"kind": "arrow", "bytes": rows_of_nothing()}]}), FAILS),
        ("schema_steps", json!(1), json!({"typed": "x"}), REFUSED),
        ("grants", json!(1), json!({"grants": [{"origin": "$BASE"}, {"origin": "$SECOND"}]}), REFUSED),
        ("secret_bytes", json!(10), json!({}), REFUSED),
        ("request_bytes", json!(1000), request(json!({"method": "POST", "body": "x".repeat(2000)})), FAILS),
        // A server that takes the connection and never says anything of TLS.
        ("connect_secs", json!(0.5), https, FAILS),
        ("response_secs", json!(0.5), request(json!({"path": "/silent"})), FAILS),
        ("requests", json!(3), request(json!({"times": 10})), FAILS),
        ("request_header_bytes", json!(500), request(json!({"headers": [["x-a", "x".repeat(1000)]]})), FAILS),
        ("streams", json!(5), json!({"stream_count": 10}), REFUSED),
        ("records_per_stream", json!(10), pages(json!({"before": "[{\"id\": #}]"}), 100), FAILS),
        ("partitions_per_call", json!(10), json!({"partitions": 20}), FAILS),
        (
            "partition_states",
            json!(5),
            json!({"partitions": 20, "pages": [{"before": "[{\"id\": #}]", "checkpoint": {"before": "{\"page\": #}"}}], "rounds": 1}),
            FAILS,
        ),
        ("partition_id_bytes", json!(100), json!({"partition_id": {"fill": "x", "times": 200}}), FAILS),
        (
            "checkpoint_bytes",
            json!(100),
            pages(json!({"before": "[]", "checkpoint": {"fill": "x", "times": 200}}), 1),
            FAILS,
        ),
        (
            "state_bytes",
            json!(20_000),
            json!({"partitions": 20, "pages": [{"before": "[{\"id\": #}]", "checkpoint": {"fill": "x", "times": 5000}}]}),
            FAILS,
        ),
        ("pages_without_progress", json!(5), pages(json!({"before": "[]"}), 100), FAILS),
        ("bytes_without_checkpoint", json!(100_000), pages(long(10_000), 100), FAILS),
        ("log_bytes", json!(1000), json!({"log": ["x".repeat(500), "y".repeat(500), "z".repeat(500)]}), NoEffect),
        ("handles", json!(100), json!({"strike": "next:handles"}), FAILS),
        ("columns_per_table", json!(10), pages(record(&columns), 1), FAILS),
        ("tables_per_stream", json!(3), pages(record(&tables), 1), FAILS),
    ]
}

/// An Arrow stream of a few bytes.
fn rows_of_nothing() -> Vec<u8> {
    use arrow::array::{ArrayRef, NullArray};
    let nothing: ArrayRef = std::sync::Arc::new(NullArray::new((1 << 31) - 1));
    let batch = arrow::record_batch::RecordBatch::try_from_iter([("c", nothing)]).unwrap();
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn every_limit_names_its_setting() {
    // Another component than that of other tests: it is compiled anew each time.
    let mut attacked = BTreeSet::new();
    for (setting, value, mut script, outcome) in attacks() {
        script["limits"] = json!({setting: value});
        let mut component = std::fs::read(guests()).unwrap();
        if setting == "compile_secs" {
            // A custom section that no other run has, so that nothing compiled is found.
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
            let name = now.to_be_bytes().map(|byte| byte & 0x7f);
            component.extend([0, 17, 16]);
            component.extend(name);
        }
        let field = attack_with(setting, &component, &script, outcome);
        let named = field.output.stderr.contains(&format!("host.limits.{setting}"));
        assert!(named, "{setting} is not named: {}", field.output);
        attacked.insert(setting.to_owned());
    }
    // It ends a run cleanly instead of failing it.
    attacked.insert("run_secs".to_owned());
    assert_eq!(attacked, settings());
}

#[test]
fn a_run_without_end() {
    let api = super::hostile_api::HostileApi::start();
    let script = json!({
        "granted": ["$BASE"], "pages": [{"before": "[{\"id\": #}]", "checkpoint": {"before": "{\"page\": #}"}}],
        "rounds": 100_000_000, "host": {"limits": {"run_secs": 2}},
    });
    let component = std::fs::read(guests()).unwrap();
    let project = Project::with_base_url(api.base_url()).config(&script.to_string()).bytes("evil.wasm", &component);
    let run = ["run", "evil.wasm", "--config", "pipeline.yaml", "--to", "sqlite:w.sqlite", "--pipeline", "p"];
    let output = project.host(run).output();
    assert_eq!(output.code, Some(130), "{output}");
    assert!(output.stderr.contains("host.limits.run_secs") && output.stderr.contains("Loaded"), "{output}");
}

/// The fields of `Limits`, read from the source.
fn settings() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/settings.rs");
    let source = std::fs::read_to_string(path).unwrap();
    let fields = source.split("pub struct Limits {").nth(1).unwrap().split("\n}").next().unwrap();
    fields.lines().filter_map(|line| Some(line.strip_prefix("    pub ")?.split_once(':')?.0.to_owned())).collect()
}

/// A hundred thousand blocks that branch to each other, in one function: what a compiler chews on for long.
#[test]
fn a_component_that_takes_for_ever_to_compile() {
    let blocks = 30_000;
    let mut function = String::from("(func (param i32) (result i32) (local i64)");
    function.push_str(&"(block ".repeat(blocks));
    for number in 0..blocks {
        function.push_str(&format!(
            "(br_if {} (local.get 0)) (local.set 1 (i64.add (local.get 1) (i64.const {number}))))",
            number % 50 % (blocks - number)
        ));
    }
    function.push_str(" (i32.wrap_i64 (local.get 1)))");
    let text = format!(
        "(component (core module $m {}) (instance $source) (export \"airlock:connector/source@0.1.0\" (instance $source)))",
        function.repeat(8)
    );
    let component = wat::parse_str(text).unwrap();
    let script = json!({"limits": {"compile_secs": 0.3}});
    attack_with("a compiler bomb", &component, &script, Refused(1, &["host.limits.compile_secs", "evil.wasm"]));
}
