//! Attacks by records: broken, lying, deep, and values that a database would obey.

use serde_json::{Value, json};

use super::arena::{Outcome, attack, attacks, guests};
use crate::support::host_command::Project;
use Outcome::{Either, NoEffect, StreamFails};

fn page(kind: &str, text: &str) -> Value {
    json!({"pages": [{"kind": kind, "before": text, "checkpoint": {"before": "1"}}]})
}

fn bytes(kind: &str, bytes: &[u8]) -> Value {
    json!({"pages": [{"kind": kind, "bytes": bytes}]})
}

const BAD: &[&str] = &["stream: bad"];

#[test]
fn broken_records() {
    let nested = |depth: usize| json!({"pages": [{"before": "[", "fill": "[", "times": depth}]});
    let objects = json!({"pages": [{"before": "[{\"a\":", "fill": "{\"a\":", "times": 100_000}]});
    attacks(&[
        ("lines said, an array sent", page("lines", "[{\"id\": 1}]\n[2"), StreamFails(BAD)),
        ("an array said, lines sent", page("array", "{\"id\": 1}\n{\"id\": 2}"), StreamFails(BAD)),
        ("an array said, a text sent", page("array", "\"[]\""), StreamFails(BAD)),
        ("nothing at all", page("array", " "), StreamFails(BAD)),
        ("half an array", page("array", "[{\"id\": 1}, {\"id\""), StreamFails(BAD)),
        ("something behind the array", page("array", "[{\"id\": 1}] x"), StreamFails(BAD)),
        ("NaN", page("array", "[{\"id\": NaN}]"), StreamFails(BAD)),
        ("Infinity", page("array", "[{\"id\": -Infinity}]"), StreamFails(BAD)),
        ("half a surrogate", page("array", "[{\"id\": \"\\ud800\"}]"), StreamFails(BAD)),
        ("not UTF-8", bytes("array", b"[{\"id\": \"\xff\xfe\"}]"), StreamFails(&["not UTF-8"])),
        ("an overlong encoding", bytes("array", b"[{\"id\": \"\xc0\xaf\"}]"), StreamFails(&["not UTF-8"])),
        ("deep arrays", nested(1_000_000), StreamFails(BAD)),
        ("deep objects", objects, StreamFails(BAD)),
        ("not Arrow", page("arrow", "ARROW1\0\0 and so on"), StreamFails(&["Arrow"])),
        ("no Arrow", bytes("arrow", &[255, 255, 255, 255, 0, 0, 0, 0]), StreamFails(BAD)),
        (
            "Arrow that promises 2 GiB",
            bytes("arrow", &[255, 255, 255, 255, 255, 255, 255, 127, 1]),
            StreamFails(&["Arrow"]),
        ),
        (
            "a good page, then a broken one",
            json!({"pages": [
                {"before": "[{\"id\": 1}]", "checkpoint": {"before": "1"}}, {"before": "[{]", "checkpoint": {"before": "2"}},
            ]}),
            StreamFails(BAD),
        ),
    ]);
}

/// Every byte of a valid Arrow stream is changed once: no change may do more than fail the stream.
#[test]
fn damaged_arrow() {
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;
    let schema =
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("n", DataType::Utf8, true)]));
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(StringArray::from(vec!["a", "bcd"]))];
    let batch = arrow::record_batch::RecordBatch::try_new(schema.clone(), columns).unwrap();
    let mut good = Vec::new();
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut good, &schema).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let field = attack("a valid Arrow stream", &bytes("arrow", &good), NoEffect);
    assert_eq!(field.bad.unwrap().rows.len(), 2);
    let damaged: Vec<Value> = (0..good.len())
        .step_by(3)
        .map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= 0x7f;
            json!({"kind": "arrow", "bytes": bytes, "checkpoint": {"before": "#"}})
        })
        .collect();
    for page in damaged.iter().step_by(9) {
        attack("damaged Arrow", &json!({"pages": [page]}), Either);
    }
}

#[test]
fn values_that_a_database_would_obey() {
    let texts = [
        "'; DROP TABLE d.good; --",
        "\"; DROP TABLE d.good; --",
        "\\'; DROP TABLE d.good; --",
        "$$; DROP TABLE d.good; $$",
        "\\N\t\\.\n",
        "=cmd|' /C calc'!A0",
        "\u{0}\u{1b}[2J\u{202e}",
        "../../etc/passwd",
    ];
    let records: Vec<Value> =
        texts.iter().enumerate().map(|(id, text)| json!({"id": id, "text": text, "l": [text]})).collect();
    let keys = json!({"streams": [{"name": "bad", "primary_key": ["id", "text"], "merge": true}],
        "pages": [{"before": Value::from(records).to_string(), "checkpoint": {"before": "\"'; DROP TABLE d.good; --\""}}]});
    let field = attack("values", &keys, NoEffect);
    assert_eq!(field.bad.unwrap().rows.len(), texts.len());
    let numbers = r#"[{"id": 1, "n": 1e400}, {"id": 2, "n": -1e400}, {"id": 3, "n": 99999999999999999999999999999999999999999999},
        {"id": 4, "n": 0.1e-999}, {"id": 5, "n": -0}]"#;
    attack("numbers beyond all bounds", &page("array", numbers), Either);
}

#[test]
fn forged_checkpoints() {
    for checkpoint in ["", "null", "[]", "{", "\u{0}", "\u{1b}[2J", "'; DROP TABLE d.good; --", "{\"version\": 99}"] {
        let script = json!({"pages": [{"before": "[{\"id\": 1}]", "checkpoint": {"before": checkpoint}}]});
        let field = attack(&format!("the checkpoint {checkpoint:?}"), &script, NoEffect);
        assert_eq!(field.bad.unwrap().rows.len(), 1, "{checkpoint:?}");
    }
}

#[test]
fn formulas_in_csv() {
    let page = json!({"pages": [{
        "before": json!([{"id": 1, "a": "=1+1", "b": "-2", "c": "@x", "d": "\\t=1", "e": "a=1", "f": -2.5}]).to_string().replace("\\\\t", "\\t"),
        "checkpoint": {"before": "1"},
    }]});
    for (escaped, expected) in [(true, "1,'=1+1,'-2,'@x,'\t=1,a=1,-2.5"), (false, "1,=1+1,-2,@x,\t=1,a=1,-2.5")] {
        let mut config = page.clone();
        config["host"] = json!({"csv": {"escape_formulas": escaped}});
        let component = std::fs::read(guests()).unwrap();
        let project = Project::with_base_url("").config(&config.to_string()).bytes("evil.wasm", &component);
        let output = project.host(["run", "evil.wasm", "--config", "pipeline.yaml", "--to", "csv:out"]).output();
        assert_eq!(output.code, Some(0), "{output}");
        let folder = std::fs::read_dir(project.path("out/pipeline_dataset/bad")).unwrap();
        let text: String = folder.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
        assert!(text.contains(expected), "{text}");
    }
}
