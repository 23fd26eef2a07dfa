use serde_json::{Value, json};

use super::*;
use crate::dialect;
use crate::http::scripted::{Script, json as answer, status};
use crate::log::recorded;

fn open(config: Value, script: Script) -> Connection<Script> {
    let (plan, _) = dialect::plan(&config).unwrap_or_else(|found| panic!("{found:?}"));
    Connection::new(plan, script, recorded::log().0)
}

fn config() -> Value {
    json!({
        "client": {"base_url": "http://api/v1", "auth": {"token": "${secrets.token}"}},
        "resources": [
            {"name": "posts", "primary_key": "id", "endpoint": {
                "params": {"sort": "id"},
                "paginator": {"type": "page_number", "base_page": 1},
                "incremental": {"cursor_path": "t", "start_param": "since", "initial_value": 1},
            }},
            {"name": "comments", "endpoint": {
                "path": "posts/{resources.posts.id}/comments",
                "incremental": {"cursor_path": "t"},
            }},
        ],
    })
}

#[test]
fn the_plan_is_explained_with_placeholders_as_written() {
    let connection = open(config(), Script::bodies(&[]));
    let explained: Value = serde_json::from_str(&connection.explain().unwrap()).unwrap();
    assert_eq!(explained[0]["request"]["url"], "http://api/v1/posts?sort=id&since={incremental.start_value}&page=1");
    assert_eq!(explained[0]["credential"], "client");
    assert_eq!(explained[0]["paginator"], "page_number");
    assert_eq!(explained[0]["primary_key"], json!(["id"]));
    assert_eq!(explained[1]["parent"], "posts");
    assert_eq!(explained[1]["request"]["url"], "http://api/v1/posts/{resources.posts.id}/comments");
    assert_eq!(explained[1]["cursor"], "t");
    assert!(!explained.to_string().contains("secrets"));
}

#[test]
fn a_check_sends_one_request() {
    let script = Script::new(|_| answer(r#"{"data":[]}"#));
    assert_eq!(open(config(), script.clone()).check(), Ok(()));
    assert_eq!(script.lines(), ["GET /v1/posts?sort=id&since=1&page=1"]);
    let refused = open(config(), Script::new(|_| status(401, "who?"))).check();
    assert!(matches!(refused, Err(Error::Unauthorized(text)) if text.ends_with("401 Unauthorized: who?")));
}

#[test]
fn a_parents_records_are_a_childs_partitions() {
    let connection = open(config(), Script::new(|_| answer(r#"[{"t":1},{"t":5}]"#)));
    let parents = Records::JsonLines("{\"id\":1}\n\n{\"id\":2}\n");
    let partitions = connection.partitions("comments", Some(parents)).unwrap();
    assert_eq!(partitions.iter().map(|partition| partition.id.as_str()).collect::<Vec<_>>(), ["id=1", "id=2"]);
    let state = r#"{"incremental":{"last":3}}"#;
    let page = connection.read("comments", &partitions[1], Some(state)).unwrap().next_page().unwrap().unwrap();
    assert_eq!(page.records, br#"[{"t":5}]"#);
    assert!(connection.partitions("comments", None).is_err());
    assert!(connection.partitions("nope", None).is_err());
}

#[test]
fn windows_are_partitions() {
    let mut config = config();
    config["resources"][0]["endpoint"]["incremental"] = json!({"cursor_path": "t", "initial_value": 0, "end_value": 25, "window": 10, "start_param": "a", "end_param": "b"});
    let script = Script::new(|_| answer(r#"[{"t":9},{"t":10},{"t":19},{"t":20},{"t":25}]"#));
    let connection = open(config, script.clone());
    let partitions = connection.partitions("posts", None).unwrap();
    let ids: Vec<&str> = partitions.iter().map(|partition| partition.id.as_str()).collect();
    assert_eq!(ids, ["0..10", "10..20", "20..25"]);
    let mut reader = connection.read("posts", &partitions[1], None).unwrap();
    assert_eq!(reader.next_page().unwrap().unwrap().records, br#"[{"t":10},{"t":19}]"#);
    assert_eq!(script.lines(), ["GET /v1/posts?sort=id&a=10&b=20&page=1"]);
}
