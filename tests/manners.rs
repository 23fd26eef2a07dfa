//! How the host behaves towards an API, and what becomes of secrets that an API repeats.

use serde_json::{Value, json};

use crate::destination::postgres_server::start;
use crate::support::host_command::{CONFIG, Output, Project, connector};
use crate::support::mock_api::MockApi;
use crate::support::warehouse::{self, Table};

const CURSOR: &str = r#"{"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"}"#;

fn cursor() -> Value {
    serde_json::from_str(CURSOR).unwrap()
}

/// Column by name, of every row.
fn column(table: &Table, name: &str) -> Vec<Value> {
    let shown: Vec<&String> =
        table.columns.iter().map(|(name, _)| name).filter(|name| !name.starts_with("_dlt_")).collect();
    let at = shown.iter().position(|known| *known == name).unwrap_or_else(|| panic!("no column {name}: {shown:?}"));
    table.rows.iter().map(|row| row[at].clone()).collect()
}

fn ended(output: &Output, code: i32) {
    assert_eq!(output.code, Some(code), "{output}");
}

#[test]
fn cookies_are_kept_between_requests() {
    let api = MockApi::start();
    let config = json!({
        "client": {"base_url": "$BASE/manners", "headers": {"Cookie": "own=1"}, "paginator": cursor()},
        "resources": [{"name": "items", "endpoint": {"path": "session", "data_selector": "data"}}],
    });
    let project = Project::new(&api).config(&config.to_string());
    ended(&project.run().output(), 0);
    assert_eq!(column(&warehouse::tables(&project.warehouse(), "d")["items"], "id"), [json!(1), json!(2)]);
}

/// However many of eight children are refused at once, it is one refusal, and all wait for the time that a header names.
#[test]
fn a_rate_limit_pauses_everybody() {
    for status in ["429", "403"] {
        let api = MockApi::start();
        let config = json!({
            "client": {"base_url": "$BASE/manners", "paginator": "single_page"},
            "resources": [
                {"name": "parents", "endpoint": "parents"},
                {"name": "items", "endpoint": format!("limited/{status}/{{resources.parents.id}}")},
            ],
            "host": {"retry": {"max_retries": 1}},
        });
        let project = Project::new(&api).config(&config.to_string());
        ended(&project.run().output(), 0);
        assert_eq!(warehouse::tables(&project.warehouse(), "d")["items"].rows.len(), 8);
        let requests = api.take_requests().len();
        assert!((1 + 8..=1 + 8 + 8).contains(&requests), "{status}: {requests}");
    }
}

#[test]
fn a_token_endpoint_that_wants_its_client_in_a_header() {
    let api = MockApi::start();
    let config = json!({
        "client": {"base_url": "$BASE/manners", "paginator": "single_page", "auth": {
            "type": "oauth2_client_credentials", "access_token_url": "$BASE/manners/token", "client_id": "id",
            "client_secret": "s3cret-s3cret",
        }},
        "resources": [{"name": "items", "endpoint": {"path": "orgs/acme/items", "data_selector": "data"}}],
    });
    let project = Project::new(&api).config(&config.to_string());
    ended(&project.run().output(), 0);
    let requests = api.take_requests();
    assert_eq!(requests[1].body, "grant_type=client_credentials");
    assert_eq!(requests[2].headers["authorization"], "Bearer handed-out-token");
    let table = &warehouse::tables(&project.warehouse(), "d")["items"];
    assert_eq!(column(table, "told"), [json!("${secrets.oauth2-token-1}")]);
}

/// Keys keep their names, numbers and texts are whole, links work, and of the credential only its reference is loaded.
#[test]
fn what_an_api_repeats() {
    let api = MockApi::start();
    let key = "k\u{e9}y&with \"all\"/+%";
    let config = json!({
        "client": {"base_url": "$BASE/manners", "paginator": {"type": "json_link", "next_url_path": "next"}, "auth": {
            "type": "api_key", "name": "api_key", "api_key": "${secrets.key}", "location": "query",
        }},
        "resources": [
            {"name": "items", "endpoint": {"path": "orgs/${secrets.org}/items", "data_selector": "data", "params": {"account": "${secrets.account}"}}},
            {
                "name": "kids", "include_from_parent": ["note"],
                "endpoint": {"path": "orgs/x/items/{resources.items.note}", "paginator": "single_page"},
            },
        ],
    });
    let project = Project::new(&api).config(&config.to_string());
    let output = project.run().secret("key", key).secret("org", "acme-corp").secret("account", "123456789").output();
    ended(&output, 0);
    let tables = warehouse::tables(&project.warehouse(), "d");
    let items = &tables["items"];
    let first = |name: &str| column(items, name)[0].clone();
    assert_eq!(first("url"), "https://acme-corp.example.com/x");
    assert_eq!(column(items, "note"), [json!("acme-corporation"), json!("acme-corp")]);
    assert_eq!(first("literal"), "${secrets.org}");
    assert_eq!(first("account"), 123_456_789);
    assert_eq!(first("told"), "${secrets.key}");
    let inner: Value = serde_json::from_str(first("inner").as_str().unwrap()).unwrap();
    assert_eq!(inner["org"], "acme-corp");
    assert!(!inner.to_string().contains("all"), "{inner}");
    assert!(items.columns.iter().any(|(name, _)| name.contains("with")), "{:?}", items.columns);
    // The parent's text, in a child that heard nothing of it.
    assert_eq!(column(&tables["kids"], "_items_note"), [json!("acme-corp"), json!("acme-corporation")]);
    let requests = api.take_requests();
    assert_eq!(requests.len(), 4, "{requests:?}");
    let next = requests.iter().find(|request| request.query.contains("page=2")).unwrap();
    assert!(next.query.contains("page=2&by=acme-corp&api_key="), "{}", next.query);
    let paths = requests.iter().map(|request| request.path.as_str());
    let mut kids: Vec<&str> = paths.filter(|path| path.starts_with("/manners/orgs/x/")).collect();
    kids.sort_unstable();
    assert_eq!(kids, ["/manners/orgs/x/items/acme-corp", "/manners/orgs/x/items/acme-corporation"]);
    assert!(output.stderr.contains("stream `items`: a secret of a credential stood in its records"), "{output}");
    let preview = project
        .host(["preview"])
        .argument(connector())
        .arguments(["items", "--config", CONFIG, "--json"])
        .secret("key", key)
        .secret("org", "acme-corp")
        .secret("account", "123456789")
        .output();
    ended(&preview, 0);
    assert!(preview.stdout.contains("acme-corporation") && preview.stdout.contains("${secrets.key}"), "{preview}");
}

/// One instance, and far more requests than it may hold handles.
#[test]
fn a_stream_of_thirty_thousand_requests() {
    let api = MockApi::start();
    let config = json!({
        "client": {"base_url": "$BASE/manners", "paginator": cursor()},
        "resources": [{"name": "items", "endpoint": {"path": "pages/30000", "data_selector": "data"}}],
    });
    let project = Project::new(&api).config(&config.to_string());
    ended(&project.run().output(), 0);
    assert_eq!(warehouse::scalar(&project.warehouse(), "SELECT count(DISTINCT id) FROM d.items"), "30000");
}

#[test]
fn who_asks_twice_does_not_wait() {
    let api = MockApi::start();
    let config = json!({
        "client": {"base_url": "$BASE/manners", "paginator": cursor()},
        "resources": [{"name": "items", "endpoint": {"path": "pages/1000000", "data_selector": "data"}}],
    });
    let project = Project::new(&api).config(&config.to_string());
    let mut child = project.run().spawn();
    while api.take_requests().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(child.try_wait().unwrap().is_none());
    }
    for _ in 0..2 {
        // The second one may find nobody.
        start("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn runs_into_standard_output_do_not_wait_for_each_other() {
    let api = MockApi::start();
    let config = json!({
        "client": {"base_url": "$BASE/manners", "paginator": cursor()},
        "resources": [{"name": "items", "endpoint": {"path": "pages/100000", "data_selector": "data"}}],
        "host": {"package_rows": 10},
    });
    let project = Project::new(&api).config(&config.to_string());
    let to_stdout = || project.host(["run"]).argument(connector()).arguments(["--config", CONFIG, "--to", "-"]);
    let mut first = to_stdout().spawn();
    while api.take_requests().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(first.try_wait().unwrap().is_none());
    }
    let one = json!({
        "client": {"base_url": "$BASE/manners", "paginator": cursor()},
        "resources": [{"name": "items", "endpoint": {"path": "pages/1", "data_selector": "data"}}],
    });
    let project = Project::new(&api).config(&one.to_string());
    let output = project.host(["run"]).argument(connector()).arguments(["--config", CONFIG, "--to", "-"]).output();
    first.kill().unwrap();
    first.wait().unwrap();
    ended(&output, 0);
}

#[test]
fn check_says_what_a_run_would() {
    let api = MockApi::start();
    let check = |config: &Value, flags: &[&str]| {
        let project = Project::new(&api).config(&config.to_string());
        let command = project.host(["check"]).argument(connector()).arguments(["--config", CONFIG, "--offline"]);
        command.arguments(flags.iter().copied()).output()
    };
    let shared = json!({
        "client": {"base_url": "$BASE"},
        "resource_defaults": {"write_disposition": "replace", "table_name": "both"},
        "resources": ["a", "b"],
    });
    let output = check(&shared, &[]);
    ended(&output, 2);
    assert!(output.stderr.contains("fills the table `both` too"), "{output}");
    let doubtful = json!({
        "client": {"base_url": "$BASE"},
        "resources": [{"name": "a", "endpoint": {"path": "a", "response_actions": [{"status_code": 404, "action": "ignor"}]}}],
    });
    let output = check(&doubtful, &["--json", "--secret", "unused=env:HOME"]);
    ended(&output, 0);
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(document["diagnostics"][0]["severity"], "warning", "{document}");
    assert!(document["warnings"][0].as_str().unwrap().contains("--secret unused"), "{document}");
}
