//! What is refused or warned of, by code and place.

use serde_json::{Value, json};

use super::{plan, with_endpoint, with_resources};
use crate::dialect::{Diagnostic, Severity};

fn diagnostics(config: &Value) -> Vec<Diagnostic> {
    plan(config).map_or_else(|diagnostics| diagnostics, |(_, warnings)| warnings)
}

fn assert_said(config: &Value, expected: &[(&str, &str)]) {
    let said = diagnostics(config);
    let said: Vec<(&str, &str)> = said.iter().map(|diagnostic| (diagnostic.code, diagnostic.at.as_str())).collect();
    assert_eq!(said, expected, "{config}");
}

#[test]
fn every_mistake_is_said_at_once_with_its_place() {
    let config = json!({
        "client": {"base_url": "api.example.com", "headerz": {}, "auth": {"type": "bearer", "tokn": "s"}},
        "resource_defaults": {"endpoint": {"method": "GOT", "params": {"a/b": {"type": "nope"}}}},
        "resources": [
            {"name": "a", "params": {}},
            {"name": "a", "endpoint": {"path": "x/{id}", "data": 5}},
            {"endpoint": {"paginator": {"type": "offset", "limit": "10"}}},
            7
        ],
        "x-anchors": {"anything": 1},
        "resorces": []
    });
    assert_said(
        &config,
        &[
            ("unknown-key", "/client/headerz/~key"),
            ("unknown-key", "/client/auth/tokn/~key"),
            ("unknown-value", "/resource_defaults/endpoint/method"),
            ("unknown-value", "/resource_defaults/endpoint/params/a~1b/type"),
            ("unknown-key", "/resources/0/params/~key"),
            ("wrong-type", "/resources/1/endpoint/data"),
            ("wrong-type", "/resources/2/endpoint/paginator/limit"),
            ("missing-key", "/resources/2"),
            ("wrong-type", "/resources/3"),
            ("unknown-key", "/resorces/~key"),
            ("duplicate-name", "/resources/1/name"),
            ("bad-url", "/client/base_url"),
            ("missing-path-param", "/resources/1/endpoint/path"),
        ],
    );
}

#[test]
fn unknown_keys_and_words_come_with_a_suggestion() {
    for (config, at, help) in [
        (
            with_resources(json!([{"name": "a", "params": {}}])),
            "/resources/0/params/~key",
            "`params` belongs under `endpoint`",
        ),
        (
            with_endpoint(json!({"paginater": "auto"})),
            "/resources/0/endpoint/paginater/~key",
            "did you mean `paginator`?",
        ),
        (
            with_endpoint(json!({"paginator": "page-number"})),
            "/resources/0/endpoint/paginator",
            "did you mean `page_number`?",
        ),
        (
            with_resources(json!(["posts", {"name": "c", "endpoint": "{resources.post.id}"}])),
            "/resources/1/endpoint",
            "did you mean `posts`?",
        ),
        (
            with_endpoint(json!({"path": "a/{idd}", "params": {"id": 1}})),
            "/resources/0/endpoint/path",
            "did you mean `{id}`?",
        ),
    ] {
        let said = diagnostics(&config);
        assert_eq!((said[0].at.as_str(), said[0].help.as_deref()), (at, Some(help)), "{said:?}");
    }
}

#[test]
fn a_written_secret_is_never_repeated() {
    let auths = [
        json!("sesame-open"),
        json!({"type": "sesame-open"}),
        json!({"token": ["sesame-open"]}),
        json!({"type": "api_key", "location": "sesame-open"}),
        json!({"type": "oauth2_client_credentials", "access_token_url": "sesame-open"}),
    ];
    for auth in auths {
        let said = diagnostics(&json!({"client": {"base_url": "https://a.b", "auth": auth}, "resources": ["r"]}));
        assert!(!said.is_empty() && !format!("{said:?}").contains("sesame-open"), "{said:?}");
    }
}

#[test]
fn endpoints_are_checked() {
    const AT: &str = "/resources/0/endpoint";
    for (endpoint, code, place) in [
        (json!({"json": {"a": 1}, "data": {"b": 2}}), "conflicting-keys", "/data/~key"),
        (json!({"data": [["a", 1], ["b"]]}), "wrong-type", "/data/1"),
        (json!({"params": {"p": {"a": 1}}}), "missing-key", "/params/p"),
        (
            json!({"params": {"p": {"type": "resolve", "resource": "things", "field": "id"}}}),
            "unbound-param",
            "/params/p",
        ),
        (json!({"params": {"a": "{x}"}}), "unknown-placeholder", "/params/a"),
        (json!({"params": {"{": "a"}}), "bad-placeholder", "/params/{/~key"),
        (json!({"headers": {"X": "{incremental.start_value}"}}), "unknown-placeholder", "/headers/X"),
        (json!({"json": {"a": ["{resources.x}"]}}), "bad-placeholder", "/json/a/0"),
        (json!({"headers": {"accept-encoding": "br"}}), "reserved-header", "/headers/accept-encoding/~key"),
        (
            json!({"path": "https://{org}.example.com/x", "incremental": {"cursor_path": "a"}, "params": {}}),
            "missing-path-param",
            "/path",
        ),
        (
            json!({"path": "https://x{incremental.lag}.example.com/x", "incremental": {"cursor_path": "a"}}),
            "dynamic-origin",
            "/path",
        ),
        (json!({"path": "https://u:p@example.com/x"}), "credentials-in-url", "/path"),
        (json!({"path": "https://:80/x"}), "bad-url", "/path"),
        (json!({"paginator": "offset"}), "missing-key", "/paginator"),
        (json!({"paginator": {"type": "offset"}}), "missing-key", "/paginator"),
        (json!({"paginator": {"limit": 1}}), "missing-key", "/paginator"),
        (json!({"paginator": {"type": "offset", "limit": 0}}), "out-of-range", "/paginator/limit"),
        (
            json!({"paginator": {"type": "cursor", "cursor_param": "a", "cursor_body_path": "b"}}),
            "conflicting-keys",
            "/paginator/cursor_body_path/~key",
        ),
        (json!({"paginator": {"type": "page_number", "page_param": ""}}), "empty-text", "/paginator/page_param"),
        (
            json!({"paginator": {"type": "page_number", "total_path": null, "stop_after_empty_page": false}}),
            "no-stop-condition",
            "/paginator",
        ),
        (
            json!({"paginator": {"type": "page_number", "stop_after_empty_page": null}}),
            "no-stop-condition",
            "/paginator",
        ),
        (json!({"paginator": {"type": "json_link", "cursor_path": "a"}}), "unknown-key", "/paginator/cursor_path/~key"),
        (json!({"paginator": "json_response"}), "deprecated", "/paginator"),
        (
            json!({"response_actions": [{"status_code": 404, "action": "skip"}]}),
            "unknown-action",
            "/response_actions/0/action",
        ),
        (
            json!({"response_actions": [{"status_code": "4O4", "action": "ignore"}]}),
            "bad-status",
            "/response_actions/0/status_code",
        ),
        (json!({"response_actions": ["my_hook"]}), "not-supported", "/response_actions/0"),
        (json!({"response_actions": [{"status_code": 404}]}), "missing-key", "/response_actions/0"),
        (json!({"response_actions": [{"action": "ignore"}]}), "no-condition", "/response_actions/0"),
        (json!({"auth": {"type": "oauth2_client_credentials"}}), "missing-key", "/auth"),
        (
            json!({"auth": {"type": "oauth2_client_credentials", "access_token_url": "${secrets.u}"}}),
            "dynamic-origin",
            "/auth/access_token_url",
        ),
        (json!({"auth": {"token": "t", "session": 1}}), "unknown-key", "/auth/session/~key"),
        (
            json!({"auth": {"type": "oauth_jwt_bearer", "auth_endpoint": "https://a.b", "session": 1}}),
            "not-supported",
            "/auth/session",
        ),
        (json!({"incremental": {}}), "missing-key", "/incremental"),
        (
            json!({"incremental": {"cursor_path": "a", "last_value_func": "avg"}}),
            "unknown-value",
            "/incremental/last_value_func",
        ),
        (json!({"incremental": {"cursor_path": "a", "end_value": 1}}), "end-without-start", "/incremental/end_value"),
        (
            json!({"incremental": {"cursor_path": "a", "initial_value": 2, "end_value": 1}}),
            "empty-range",
            "/incremental/end_value",
        ),
        (
            json!({"incremental": {"cursor_path": "a", "initial_value": 2, "window": 1}}),
            "window-without-range",
            "/incremental/window",
        ),
        (
            json!({"incremental": {"cursor_path": "a", "initial_value": 2, "end_value": 3, "window": 0}}),
            "bad-window",
            "/incremental/window",
        ),
        (
            json!({"incremental": {"cursor_path": "a", "initial_value": 3, "end_value": 2, "window": 1, "last_value_func": "min"}}),
            "bad-window",
            "/incremental/window",
        ),
        (json!({"incremental": {"cursor_path": "a", "transform": "."}}), "deprecated", "/incremental/transform/~key"),
        (
            json!({"incremental": {"cursor_path": "a", "allow_external_schedulers": true}}),
            "no-effect",
            "/incremental/allow_external_schedulers/~key",
        ),
        (
            json!({"incremental": {"cursor_path": "a"}, "params": {"p": {"type": "incremental", "cursor_path": "b"}}}),
            "no-effect",
            "/incremental",
        ),
        (
            json!({"params": {"o": {"type": "incremental", "cursor_path": "a"}, "p": {"type": "incremental", "cursor_path": "b"}}}),
            "two-incrementals",
            "/params/p",
        ),
        (
            json!({"params": {"p": {"type": "incremental", "cursor_path": "b", "initial_value": 1, "end_value": 2}}}),
            "start-only",
            "/params/p/end_value/~key",
        ),
        (
            json!({"params": {"p": {"type": "incremental", "cursor_path": "b", "start_param": "x"}}}),
            "unknown-key",
            "/params/p/start_param/~key",
        ),
        (
            json!({"incremental": {"cursor_path": "a"}, "params": {"p": "{incremental.nope}"}}),
            "unknown-placeholder",
            "/params/p",
        ),
        (
            json!({"incremental": {"cursor_path": "a", "cursor_format": "YYYY-MM-DD"}}),
            "bad-cursor-format",
            "/incremental/cursor_format",
        ),
        (
            json!({"incremental": {"cursor_path": "a", "initial_value": "${now - 30}"}}),
            "bad-moment",
            "/incremental/initial_value",
        ),
        (
            json!({"incremental": {"cursor_path": "a", "initial_value": "1/5/2024"}}),
            "ambiguous-cursor",
            "/incremental/initial_value",
        ),
        (
            json!({"incremental": {"cursor_path": "a", "initial_value": "10", "end_value": "9"}}),
            "empty-range",
            "/incremental/end_value",
        ),
        (json!({"params": {"a": "${today - 1}"}}), "bad-placeholder", "/params/a"),
        (
            json!({"paginator": {"type": "cursor", "cursor_body_path": "a[*]"}}),
            "bad-json-path",
            "/paginator/cursor_body_path",
        ),
        (json!({"json": {"query": "{ issues { id } }"}}), "bad-placeholder", "/json/query"),
        (json!({"format": {"type": "csv", "delimiter": ";;"}}), "bad-delimiter", "/format/delimiter"),
        (json!({"format": {"type": "xml"}}), "missing-key", "/format"),
    ] {
        assert_said(&with_endpoint(endpoint), &[(code, &format!("{AT}{place}"))]);
    }
}

#[test]
fn resources_are_checked() {
    for (resources, code, at) in [
        (json!([]), "no-resources", "/resources"),
        (json!(["a", "a"]), "duplicate-name", "/resources/1"),
        (json!([{"name": "a", "include_from_parent": ["id"]}]), "no-parent", "/resources/0/include_from_parent"),
        (json!([{"name": "a", "batch_parents": 5}]), "no-parent", "/resources/0/batch_parents"),
        (
            json!(["p", {"name": "a", "batch_parents": 5, "include_from_parent": ["id"], "endpoint": "x/{resources.p.id}"}]),
            "conflicting-keys",
            "/resources/1/include_from_parent",
        ),
        (json!([{"name": ""}]), "empty-name", "/resources/0/name"),
        (json!([{"name": "a", "endpoint": "x/{resources.b.id}"}]), "unknown-parent", "/resources/0/endpoint"),
        (json!([{"name": "a", "endpoint": "x/{resources.a.id}"}]), "cycle", "/resources/0/name"),
        (
            json!([{"name": "a", "endpoint": "{resources.b.id}"}, {"name": "b", "endpoint": "{resources.a.id}"}]),
            "cycle",
            "/resources/0/name",
        ),
        (
            json!(["a", "b", {"name": "c", "endpoint": {"path": "{resources.a.id}", "params": {"x": "{resources.b.id}"}}}]),
            "two-parents",
            "/resources/2/endpoint/params/x",
        ),
        (json!([{"name": "a", "write_disposition": "merge"}]), "merge-without-key", "/resources/0/write_disposition"),
        (
            json!([{"name": "a", "merge_key": "d", "write_disposition": {"disposition": "merge", "strategy": "upsert"}}]),
            "merge-without-key",
            "/resources/0/write_disposition",
        ),
        (
            json!([{"name": "a", "write_disposition": {"disposition": "merge", "strategy": "upsrt"}, "primary_key": "id"}]),
            "unknown-value",
            "/resources/0/write_disposition/strategy",
        ),
        (
            json!([{"name": "a", "write_disposition": {"disposition": "merge", "strategy": "upsert", "deduplicated": true}, "primary_key": "id"}]),
            "option-without-effect",
            "/resources/0/write_disposition/deduplicated/~key",
        ),
        (
            json!([{"name": "a", "write_disposition": {"disposition": "append", "strategy": "upsert"}}]),
            "option-without-effect",
            "/resources/0/write_disposition/strategy/~key",
        ),
        (
            json!([{"name": "a", "columns": {"x": {"data_type": "int"}}}]),
            "unknown-value",
            "/resources/0/columns/x/data_type",
        ),
        (json!([{"name": "a", "columns": [{"data_type": "text"}]}]), "missing-key", "/resources/0/columns/0"),
        (
            json!([{"name": "a", "columns": {"x": {"nulable": true, "x-mine": 1}}}]),
            "unknown-key",
            "/resources/0/columns/x/nulable/~key",
        ),
        (
            json!([{"name": "a", "schema_contract": {"columns": "thaw"}}]),
            "unknown-value",
            "/resources/0/schema_contract/columns",
        ),
        (json!([{"name": "a", "max_table_nesting": -1}]), "out-of-range", "/resources/0/max_table_nesting"),
        (
            json!([{"name": "a", "processing_steps": [{"fliter": "."}]}]),
            "unknown-key",
            "/resources/0/processing_steps/0/fliter/~key",
        ),
        (
            json!([{"name": "a", "nested_hints": {"a__b": {"nested_hints": {}}}}]),
            "unknown-key",
            "/resources/0/nested_hints/a__b/nested_hints/~key",
        ),
    ] {
        assert_said(&with_resources(resources), &[(code, at)]);
    }
}

#[test]
fn clients_are_checked() {
    for (client, expected) in [
        (json!({}), vec![("missing-key", "/client")]),
        (json!({"base_url": null}), vec![("wrong-type", "/client/base_url")]),
        (json!({"base_url": "ftp://x.y"}), vec![("bad-url", "/client/base_url")]),
        (json!({"base_url": "https://${secrets.tenant}.x.y"}), vec![("dynamic-origin", "/client/base_url")]),
        (json!({"base_url": "https://x.y", "session": {}}), vec![("not-supported", "/client/session")]),
        (json!({"base_url": "https://x.y", "paginator": "offset"}), vec![("missing-key", "/client/paginator")]),
        (json!({"base_url": "https://x.y", "auth": "oauth2_refresh_token"}), vec![("missing-key", "/client/auth")]),
    ] {
        assert_said(&json!({"client": client, "resources": ["a", "b"]}), &expected);
    }
    assert_said(&json!({}), &[("missing-key", ""), ("missing-key", "")]);
    assert_said(&json!([]), &[("wrong-type", "")]);
}

#[test]
fn what_works_but_is_probably_not_meant_is_a_warning() {
    let config = json!({
        "client": {"base_url": "https://a.example.com", "auth": "bearer", "paginator": "single_page"},
        "resources": [{"name": "x", "endpoint": {"path": "https://b.example.com/x", "paginator": "auto"}}]
    });
    assert!(diagnostics(&config).iter().all(|diagnostic| diagnostic.severity == Severity::Warning));
    assert_said(
        &config,
        &[("credential-not-sent", "/resources/0/endpoint/path"), ("no-effect", "/resources/0/endpoint/paginator")],
    );
}
