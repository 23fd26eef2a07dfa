//! What a user sees: exit code, stdout and stderr of a command, compared as one text with `snapshots/`.
//! `cargo insta review` (or `INSTA_UPDATE=always`) takes a new screen over; read it as its user would.

use serde_json::json;

use crate::support::{
    host_command::{CONFIG, Output, Project, SCRUBBERS, connector},
    mock_api::MockApi,
};

/// Compares with `snapshots/NAME.snap`.
fn assert_screen(name: &str, output: &Output) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, stand_in) in SCRUBBERS {
        settings.add_filter(pattern, stand_in);
    }
    settings.bind(|| insta::assert_snapshot!(name, output.to_string()));
}

/// A pipeline of one resource of the mock API.
fn one_resource(path: &str) -> String {
    format!(
        "client:\n  base_url: $BASE\nresources:\n  - name: records\n    endpoint:\n      path: {path}\n\
         host:\n  retry:\n    initial_delay_secs: 0.01\n"
    )
}

#[test]
fn help() {
    let project = Project::with_base_url("");
    for (name, arguments) in [
        ("help", vec!["--help"]),
        ("help_short", vec!["-h"]),
        ("help_run", vec!["run", "--help"]),
        ("help_check", vec!["check", "--help"]),
        ("no_arguments", vec![]),
        ("misspelt_command", vec!["rum"]),
    ] {
        assert_screen(name, &project.host(arguments).output());
    }
}

#[test]
fn good_run() {
    let api = MockApi::start();
    let project = Project::new(&api).config(
        "client:
  base_url: $BASE
resources:
  - name: posts
    primary_key: id
    write_disposition: merge
    endpoint:
      path: posts_with_reactions
  - name: details
    endpoint: posts/{resources.posts.id}
  - name: types
    write_disposition: replace
    endpoint: x/types
",
    );
    assert_screen("run", &project.run().output());
    assert_screen("run_again", &project.run().output());
    assert_screen("run_json", &project.run().argument("--json").output());
    assert_screen("run_selected", &project.run().arguments(["--select", "types"]).output());
    assert_screen("run_selected_unknown", &project.run().arguments(["--select", "type"]).output());
}

#[test]
fn check_discover_preview_and_state() {
    let api = MockApi::start();
    let project = Project::new(&api).config(&one_resource("posts"));
    let with_config = |verb: &'static str| project.host([verb]).argument(connector()).arguments(["--config", CONFIG]);
    assert_screen("check", &with_config("check").output());
    assert_screen("check_offline", &with_config("check").argument("--offline").output());
    assert_screen("discover", &with_config("discover").output());
    assert_screen("preview", &with_config("preview").argument("records").output());
    assert_screen("inspect", &project.host(["inspect"]).argument(connector()).output());
}

#[test]
fn api_that_misbehaves() {
    let api = MockApi::start();
    for (name, path) in [
        ("api_401", "unauthorized"),
        ("api_404", "missing"),
        ("api_500", "x/flaky/500/99"),
        ("api_html", "html"),
        ("api_truncated", "truncated"),
        ("api_half_json", "half_json"),
    ] {
        assert_screen(name, &Project::new(&api).config(&one_resource(path)).run().output());
    }
    let wrong_selector = one_resource("posts").replace("path: posts", "path: posts\n      data_selector: results");
    assert_screen("api_wrong_selector", &Project::new(&api).config(&wrong_selector).run().output());
}

#[test]
fn unreachable_api() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = Project::with_base_url(format!("http://127.0.0.1:{port}"));
    assert_screen("unreachable", &project.config(&one_resource("posts")).run().output());
    let project = Project::with_base_url("http://no-such-host.invalid");
    assert_screen("unknown_host", &project.config(&one_resource("posts")).run().output());
}

#[test]
fn secrets() {
    let api = MockApi::start();
    let config = "client:
  base_url: $BASE
  auth:
    type: api_key
    name: x-api-key
    api_key: ${secrets.api_key}
resources:
  - name: posts
    endpoint: protected/posts/api-key
";
    let project = Project::new(&api).config(config);
    assert_screen("secret_missing", &project.run().output());
    assert_screen("secret_not_set", &project.run().arguments(["--secret", "api_key=env:NOT_SET_ANYWHERE"]).output());
    assert_screen("secret_as_value", &project.run().arguments(["--secret", "api_key=test-api-key"]).output());
    let wrong = project.run().secret("api_key", "super-wrong-key").output();
    assert!(!wrong.to_string().contains("super-wrong-key"), "a secret is on the screen:\n{wrong}");
    assert_screen("secret_wrong", &wrong);
    let right = project.run().secret("api_key", "test-api-key").output();
    assert_eq!(right.code, Some(0), "{right}");
    assert!(!right.to_string().contains("test-api-key"), "a secret is on the screen:\n{right}");
}

#[test]
fn config_with_five_mistakes() {
    let project = Project::with_base_url("http://127.0.0.1:9").config(
        "client:
  base_url: $BASE
  paginater: offset
resources:
  - name: posts
    write_disposition: upsert
    endpoint:
      path: posts
      paginator:
        type: ofset
        limit: 100
  - name: comments
    endpoint:
      path: posts/{resources.post.id}/comments
      params:
        since: '{incremental.start_valu}'
",
    );
    assert_screen("config_five_mistakes", &project.run().output());
}

#[test]
fn config_that_cannot_be_read() {
    let project = Project::with_base_url("http://127.0.0.1:9");
    assert_screen("config_missing", &project.run().output());
    let project = project.config("client:\n  base_url: $BASE\n resources: []\n");
    assert_screen("config_bad_yaml", &project.run().output());
    let project = project.config("client: {base_url: $BASE}\nclient: {}\nresources: [posts]\n");
    assert_screen("config_key_twice", &project.run().output());
    let project = project.config("client:\n\tbase_url: $BASE\n");
    assert_screen("config_tab", &project.run().output());
    let project = project.config("client:\n  base_url: \"$BASE\nresources: []\n");
    assert_screen("config_open_quote", &project.run().output());
    let project = project.config("");
    assert_screen("config_empty", &project.run().output());
    let project = project.config("client: {base_url: '${env.NOT_SET_ANYWHERE}'}\nresources: [posts]\n");
    assert_screen("config_variable_not_set", &project.run().output());
}

#[test]
fn what_is_wrong_under_host() {
    let project = Project::with_base_url("http://127.0.0.1:9").config(
        "client: {base_url: $BASE}
resources: [posts]
host:
  proxi: http://127.0.0.1:1
  concurrency: 0
  retry: {max_retrys: 5, jitter: maybe}
  limits: 17
",
    );
    assert_screen("host_mistakes", &project.run().output());
    let project = project.config("client: {base_url: $BASE}\nresources: [posts]\n");
    assert_screen("allow_without_scheme", &project.run().arguments(["--allow", "api.example.com"]).output());
}

#[test]
fn doubts_about_a_configuration() {
    let api = MockApi::start();
    let project = Project::new(&api).config("client: {base_url: $BASE}\nresources: []\n");
    assert_screen("config_doubtful", &project.run().secret("token", "some secret").output());
}

#[test]
fn a_configuration_to_begin_with() {
    let project = Project::with_base_url("");
    assert_screen("init", &project.host(["init", "shop.yaml"]).output());
    assert_screen("init_again", &project.host(["init", "shop.yaml"]).output());
    assert_screen("init_no_folder", &project.host(["init", "no/such/shop.yaml"]).output());
    assert_screen("init_json", &project.host(["init", "other.yaml", "--json"]).output());
}

#[test]
fn refused_origin() {
    let api = MockApi::start();
    let elsewhere = MockApi::start();
    let path = format!("redirect?to={}/posts", elsewhere.base_url());
    let project = Project::new(&api).config(&one_resource(&path));
    let refused = project.run().output();
    assert!(elsewhere.take_requests().is_empty(), "a request went to an origin that is not granted:\n{refused}");
    assert_screen("refused_origin", &refused);
    let allowed = project.run().arguments(["--allow", &elsewhere.base_url()]).output();
    assert_eq!(allowed.code, Some(0), "{allowed}");
}

#[test]
fn files_that_are_no_connector() {
    let component = wat::parse_str("(component)").unwrap();
    let module = wat::parse_str("(module (func (export \"run\")))").unwrap();
    let files: [(&str, &[u8]); 5] = [
        ("not_wasm", b"#!/bin/sh\necho hello\n"),
        ("empty_file", b""),
        ("core_module", &module),
        ("no_connector", &component),
        ("cut_component", &component[..6]),
    ];
    for (name, bytes) in files {
        let project =
            Project::with_base_url("http://127.0.0.1:9").config(&one_resource("posts")).bytes("other.wasm", bytes);
        let output = project.host(["run", "other.wasm", "--config", CONFIG]).output();
        assert_screen(&format!("file_{name}"), &output);
    }
    let project = Project::with_base_url("http://127.0.0.1:9").config(&one_resource("posts"));
    assert_screen("file_missing", &project.host(["run", "other.wasm", "--config", CONFIG]).output());
}

#[test]
fn destinations_that_do_not_work() {
    let api = MockApi::start();
    let project =
        Project::new(&api).config(&one_resource("posts")).bytes("not-a-database", &json!({}).to_string().into_bytes());
    let run =
        |to: &'static str| project.host(["run"]).argument(connector()).arguments(["--config", CONFIG, "--to", to]);
    assert_screen("destination_unknown", &run("duckbd:some.duckdb").output());
    assert_screen("destination_no_folder", &run("duckdb:no/such/folder/some.duckdb").output());
    assert_screen("destination_not_a_database", &run("duckdb:not-a-database").output());
}
