//! What configurations mean: defaults, URLs, credentials, order.

use serde_json::{Value, json};

use super::{only_stream, plan, planned, with_endpoint, with_resources};
use crate::address;
use crate::expression::Expression;
use crate::plan::{
    Action, ApiKeyLocation, Authentication, Body, Included, OAuth2Grant, OnMissing, Paginator, ParentValue, PathPart,
    ResponseFormat, RowOrder, Selector, Step, Stream, Target, TotalPath, WriteDisposition,
};

fn text(expression: &Expression) -> String {
    expression.written_text()
}

fn value(expression: &Expression) -> Value {
    expression.written()
}

fn path_of(stream: &Stream) -> String {
    let parts = stream.request.path.iter().map(|part| match part {
        PathPart::Literal(literal) => literal.clone(),
        PathPart::Value(expression) => text(expression),
        PathPart::Page(param) => format!("{{{param}}}"),
    });
    parts.collect()
}

fn injections(stream: &Stream) -> Vec<String> {
    let injections = stream.request.injections.iter().map(|(target, expression)| match target {
        Target::Param(name) | Target::Body(name) => format!("{name}={}", text(expression)),
    });
    injections.collect()
}

fn query(stream: &Stream) -> Value {
    let params = stream.request.params.iter();
    Value::Object(params.map(|(name, template)| (text(name), value(template))).collect())
}

#[test]
fn urls_are_joined_as_dlt_joins_them() {
    for (base, path, params, expected) in [
        ("https://a.b/v1", "x", json!({}), "https://a.b/v1/x"),
        ("https://a.b/v1/", "/x/", json!({}), "https://a.b/v1/x/"),
        ("https://a.b//", "//x", json!({}), "https://a.b/x"),
        ("https://a.b/v1/", "", json!({}), "https://a.b/v1/"),
        ("https://a.b", "https://c.d/x?y=1", json!({}), "https://c.d/x?y=1"),
        ("https://a.b", "HTTP://c.d", json!({}), "HTTP://c.d"),
        ("https://a.b", "my://x", json!({}), "https://a.b/my://x"),
        ("https://a.b", "{org}/{repo}", json!({"org": "o", "repo": 5}), "https://a.b/o/5"),
        ("https://a.b", "x/{id}", json!({"id": "a/b?c#d"}), "https://a.b/x/a/b%3Fc%23d"),
        ("https://a.b", "{url}", json!({"url": "https://c.d/e?f"}), "https://c.d/e?f"),
        ("https://a.b", "{flag}", json!({"flag": true}), "https://a.b/True"),
        ("https://a.b", "{n:04d}", json!({"n": 7}), "https://a.b/0007"),
        ("https://a.b", "https://{sub}.c.d/{sub}", json!({"sub": "s"}), "https://s.c.d/s"),
        ("https://a.b", "{{x}}/{resources.p.id}", json!({}), "https://a.b/{x}/{resources.p.id}"),
        (
            "https://a.b",
            "{id}",
            json!({"id": {"type": "resolve", "resource": "p", "field": "a.b[0]"}}),
            "https://a.b/{resources.p.a.b[0]}",
        ),
        ("https://a.b", "{s}/x", json!({"s": "{not} a placeholder"}), "https://a.b/%7Bnot%7D%20a%20placeholder/x"),
    ] {
        let endpoint = json!({"path": path, "params": params});
        let config = json!({"client": {"base_url": base}, "resources": ["p", {"name": "c", "endpoint": endpoint}]});
        let stream = planned(&config).streams.remove(1);
        assert_eq!(address::join(&stream.request.base_url, &path_of(&stream)), expected, "{path}");
        assert!(stream.request.params.is_empty(), "path parameters leave the query: {path}");
    }
}

#[test]
fn defaults_are_merged_as_dlt_merges_them() {
    let config = json!({
        "client": {"base_url": "https://a.b", "paginator": "header_link"},
        "schema_contract": "freeze",
        "max_table_nesting": 3,
        "resource_defaults": {
            "primary_key": "id",
            "write_disposition": "merge",
            "max_table_nesting": 1,
            "columns": {"a": {"data_type": "text", "nullable": false}, "b": {"data_type": "bool"}},
            "endpoint": {
                "params": {"limit": 100, "x": "d"},
                "json": {"a": {"deep": 1}, "b": 2},
                "paginator": "single_page",
                "data_selector": "data"
            }
        },
        "resources": [
            "plain",
            {
                "name": "own",
                "write_disposition": "append",
                "primary_key": null,
                "columns": [{"name": "a", "nullable": true}, {"name": "c", "x-mine": 1}],
                "endpoint": {"params": {"x": "r"}, "json": {"a": {"other": 1}}, "paginator": null, "data_selector": null}
            },
            {"name": "none", "columns": null, "schema_contract": null, "endpoint": {"params": null, "json": null}}
        ]
    });
    let streams = planned(&config).streams;
    let [plain, own, none] = streams.as_slice() else { panic!("{streams:?}") };

    assert_eq!(
        (plain.primary_key.as_slice(), plain.write_disposition),
        (&["id".to_owned()][..], WriteDisposition::Merge)
    );
    assert_eq!(query(plain), json!({"limit": 100, "x": "d"}));
    assert_eq!(plain.hints["max_table_nesting"], 1);
    assert_eq!(plain.hints["schema_contract"], "freeze");
    assert!(matches!(plain.paginator, Paginator::SinglePage));

    assert_eq!((own.primary_key.len(), own.write_disposition), (0, WriteDisposition::Append));
    assert_eq!(query(own), json!({"limit": 100, "x": "r"}));
    let Body::Json(body) = &own.request.body else { panic!("{:?}", own.request.body) };
    assert_eq!(value(body), json!({"a": {"other": 1}, "b": 2}));
    assert_eq!(
        own.hints["columns"],
        json!({"a": {"data_type": "text", "nullable": true}, "b": {"data_type": "bool"}, "c": {"x-mine": 1}})
    );
    assert!(matches!(own.paginator, Paginator::HeaderLink { .. }));
    assert_eq!(own.selector, Selector::Auto);

    assert_eq!((query(none), none.hints.get("columns"), none.hints.get("schema_contract")), (json!({}), None, None));
    assert!(matches!(none.request.body, Body::Empty));
}

#[test]
fn a_path_that_ends_in_a_placeholder_is_a_single_entity() {
    for (endpoint, single) in [
        (json!({"path": "x/{id}", "params": {"id": 1}}), true),
        (json!({"path": "x/{id}.json/", "params": {"id": 1}}), true),
        (json!({"path": "x?id={resources.p.id}"}), true),
        (json!({"path": "{resources.p.id}/x"}), false),
        (json!({"path": "x/{resources.p.a[0]}"}), false),
        (json!({"path": "x/{{id}}"}), false),
    ] {
        let config = json!({
            "client": {"base_url": "https://a.b", "paginator": "header_link"},
            "resources": ["p", {"name": "c", "endpoint": endpoint}]
        });
        let stream = planned(&config).streams.remove(1);
        assert_eq!(matches!(stream.paginator, Paginator::SinglePage), single, "{endpoint}");
        assert_eq!(stream.selector == Selector::Path("$".to_owned()), single, "{endpoint}");
    }
    let own = only_stream(&with_endpoint(
        json!({"path": "{id}", "params": {"id": 1}, "paginator": "header_link", "data_selector": "d"}),
    ));
    assert!(matches!(own.paginator, Paginator::HeaderLink { .. }));
    assert_eq!(own.selector, Selector::Path("d".to_owned()));
}

#[test]
fn paginators_have_dlts_defaults() {
    let paginator = |paginator: Value| only_stream(&with_endpoint(json!({"paginator": paginator}))).paginator;
    let shown = |paginator: Paginator| format!("{paginator:?}");
    assert_eq!(shown(paginator(json!("json_link"))), r#"JsonLink { next_url_path: "next" }"#);
    assert_eq!(shown(paginator(json!("header_cursor"))), r#"HeaderCursor { header: "next", cursor: Param("cursor") }"#);
    assert_eq!(
        shown(paginator(json!({"type": "cursor", "cursor_body_path": "a.b"}))),
        r#"Cursor { cursor_path: "cursors.next", cursor: Body("a.b"), stop_after_empty_page: false, has_more_path: None }"#
    );
    let Paginator::PageNumber { base_page: 1, page: 1, target, range } =
        paginator(json!({"type": "page_number", "base_page": 1}))
    else {
        panic!("another paginator")
    };
    assert_eq!((target, range.stop_after_empty_page), (Target::Param("page".to_owned()), true));
    for (written, total_path) in [
        (json!({"type": "offset", "limit": 5}), TotalPath::IfPresent("total".to_owned())),
        (json!({"type": "offset", "limit": 5, "total_path": "total"}), TotalPath::Required("total".to_owned())),
        (json!({"type": "offset", "limit": 5, "total_path": null}), TotalPath::Off),
    ] {
        let Paginator::Offset { limit: 5, offset: 0, range, .. } = paginator(written) else {
            panic!("another paginator")
        };
        assert_eq!(range.total_path, total_path);
    }
}

#[test]
fn bodies_follow_json_and_data() {
    let body = |endpoint: Value| only_stream(&with_endpoint(endpoint)).request.body;
    assert!(matches!(body(json!({"json": {}})), Body::Json(template) if value(&template) == json!({})));
    assert!(
        matches!(body(json!({"json": [1, "{{x}}"]})), Body::Json(template) if value(&template) == json!([1, "{x}"]))
    );
    assert!(matches!(body(json!({"data": {}})), Body::Empty));
    assert!(matches!(body(json!({"data": "a={{b}}"})), Body::Raw(template) if text(&template) == "a={b}"));
    assert!(matches!(body(json!({"json": {}, "data": "x"})), Body::Raw(_)));
    let Body::Form(pairs) = body(json!({"data": [["k", "1"], ["k", 2]]})) else { panic!("another body") };
    let pairs: Vec<_> = pairs.iter().map(|(name, template)| (text(name), value(template))).collect();
    assert_eq!(pairs, [("k".to_owned(), json!("1")), ("k".to_owned(), json!(2))]);
}

#[test]
fn headers_of_the_client_are_literal_and_give_way() {
    let config = json!({
        "client": {"base_url": "https://a.b", "headers": {"X-A": "{{x}}", "x-b": "1", "X-C": "1", "X-N": 5}},
        "resources": ["p", {"name": "c", "endpoint": {"path": "x", "headers": {"X-B": "{resources.p.id}", "x-c": null, "{resources.p.k}": "v{{}}"}}}]
    });
    let headers = planned(&config).streams.remove(1).request.headers;
    let headers: Vec<(String, String)> = headers.iter().map(|(name, value)| (text(name), text(value))).collect();
    let expected = [("X-A", "{{x}}"), ("X-N", "5"), ("X-B", "{resources.p.id}"), ("{resources.p.k}", "v{}")];
    assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn credentials_stay_with_their_origin() {
    let config = json!({
        "client": {
            "base_url": "https://API.example.com:443/v1",
            "auth": {"type": "oauth2_client_credentials", "access_token_url": "https://login.example.com/token",
                     "access_token_request_data": {"scope": "a b", "n": 1, "off": null}}
        },
        "resources": [
            "plain",
            {"name": "client", "endpoint": {"auth": {"token": "${secrets.mine}"}}},
            {"name": "same", "endpoint": {"auth": {"token": "${secrets.mine}"}}},
            {"name": "cookie", "endpoint": {"auth": {"type": "api_key", "name": "sid", "location": "cookie"}}},
            {"name": "elsewhere", "endpoint": {"path": "http://127.0.0.1:8080/x"}},
            {"name": "none", "endpoint": {"path": "http://127.0.0.1:8080/y", "auth": "http_basic"}},
            {"name": "back", "endpoint": {"path": "https://api.example.com/other"}}
        ]
    });
    let plan = planned(&config);
    let credentials: Vec<_> = plan.streams.iter().map(|stream| stream.request.credential.as_deref()).collect();
    assert_eq!(
        credentials,
        [
            Some("client"),
            Some("endpoint.client"),
            Some("endpoint.client"),
            Some("cookie"),
            None,
            Some("endpoint.none"),
            Some("client")
        ]
    );
    let grants: Vec<_> =
        plan.grants.iter().map(|grant| (grant.origin.as_str(), grant.at.as_deref(), grant.credentials.len())).collect();
    assert_eq!(
        grants,
        [
            ("https://api.example.com", Some("/client/base_url"), 3),
            ("https://login.example.com", Some("/client/auth/access_token_url"), 0),
            ("http://127.0.0.1:8080", Some("/resources/4/endpoint/path"), 1),
        ]
    );
    let Authentication::OAuth2(oauth) = &plan.grants[0].credentials[0].authentication else { panic!("another kind") };
    assert_eq!(
        (oauth.client_id.as_str(), oauth.client_secret.as_str()),
        ("${secrets.client_id}", "${secrets.client_secret}")
    );
    assert_eq!(oauth.request_data, [("scope".to_owned(), "a b".to_owned()), ("n".to_owned(), "1".to_owned())]);
    assert_eq!((&oauth.grant, oauth.default_expiration), (&OAuth2Grant::ClientCredentials, 3600));
}

#[test]
fn fields_of_auth_that_are_left_out_are_secrets_of_their_name() {
    let authentication = |auth: Value| {
        let config = json!({"client": {"base_url": "https://a.b", "auth": auth}, "resources": ["r"]});
        planned(&config).grants.remove(0).credentials.remove(0).authentication
    };
    let reference = |name: &str| format!("${{secrets.{name}}}");
    for auth in [json!("bearer"), json!({}), json!({"type": "bearer"}), json!({"token": null})] {
        assert_eq!(authentication(auth), Authentication::Bearer { token: reference("token") });
    }
    assert_eq!(
        authentication(json!({"type": "http_basic", "username": "u"})),
        Authentication::Basic { username: "u".to_owned(), password: reference("password") }
    );
    for (location, expected) in [
        ("header", ApiKeyLocation::Header),
        ("param", ApiKeyLocation::Query),
        ("query", ApiKeyLocation::Query),
        ("cookie", ApiKeyLocation::Cookie),
    ] {
        assert_eq!(
            authentication(json!({"type": "api_key", "name": "k", "location": location})),
            Authentication::ApiKey { name: "k".to_owned(), value: reference("api_key"), location: expected }
        );
    }
    let jwt = json!({"type": "oauth_jwt_bearer", "auth_endpoint": "https://a.b/t", "client_id": "c", "scopes": "x y"});
    let Authentication::OAuth2(oauth) = authentication(jwt) else { panic!("another kind") };
    assert_eq!(
        oauth.grant,
        OAuth2Grant::JwtBearer {
            private_key: reference("private_key"),
            private_key_passphrase: None,
            audience: "https://a.b/t".to_owned(),
            scopes: vec!["x".to_owned(), "y".to_owned()]
        }
    );
    let refresh = json!({"type": "oauth2_refresh_token", "access_token_url": "https://a.b/t"});
    let Authentication::OAuth2(oauth) = authentication(refresh) else { panic!("another kind") };
    assert_eq!(oauth.grant, OAuth2Grant::RefreshToken { refresh_token: reference("refresh_token") });
}

#[test]
fn parents_come_before_their_children() {
    let config = with_resources(json!([
        {"name": "grandchild", "endpoint": "{resources.child.id}/x"},
        "other",
        {"name": "child", "include_from_parent": ["id"], "endpoint": {"path": "c", "params": {"p": "{resources.parent.id}"}}},
        {"name": "batched", "batch_parents": 10, "batch_separator": "|", "endpoint": "b/{resources.parent.id}"},
        {"name": "parent", "selected": false}
    ]));
    let streams = planned(&config).streams;
    let names: Vec<_> = streams.iter().map(|stream| stream.name.as_str()).collect();
    assert_eq!(names, ["parent", "child", "grandchild", "other", "batched"]);
    assert!(!streams[0].selected && streams[1].selected);
    let parent = streams[1].parent.as_ref().unwrap();
    assert_eq!(
        (parent.stream.as_str(), parent.include.as_slice(), parent.batch_size),
        ("parent", &[Included { field: "id".to_owned(), target: "_parent_id".to_owned() }][..], 1)
    );
    let parent = streams[4].parent.as_ref().unwrap();
    assert_eq!(parent.batch_size, 10);
    assert_eq!(parent.values, [ParentValue { path: "id".to_owned(), spreads: true }]);
}

#[test]
fn incrementals_are_read_from_either_place() {
    let stream = only_stream(&with_endpoint(json!({
        "params": {"since": {"type": "incremental", "cursor_path": "u", "initial_value": 3, "convert": "."}, "x": 1}
    })));
    let incremental = stream.incremental.as_ref().unwrap();
    assert_eq!(injections(&stream), ["since={incremental.start_value}"]);
    assert_eq!((incremental.initial_value.clone(), incremental.convert.as_deref()), (Some(json!(3)), Some(".")));
    assert_eq!((query(&stream), incremental.primary_key.clone()), (json!({"x": 1}), None));

    let stream = only_stream(&with_endpoint(json!({
        "incremental": {
            "cursor_path": "u", "start_param": "a", "end_param": "b", "initial_value": 1, "end_value": 9, "primary_key": [],
            "row_order": "desc", "on_cursor_value_missing": "include", "lag": 1.5, "range_start": "open", "range_end": "closed", "window": 2
        },
        "params": {"q": "{incremental.start_value}"}
    })));
    assert_eq!(injections(&stream), ["a={incremental.start_value}", "b={incremental.end_value}"]);
    let incremental = stream.incremental.unwrap();
    assert_eq!((incremental.primary_key, incremental.row_order), (Some(vec![]), Some(RowOrder::Descending)));
    assert_eq!(
        (incremental.on_cursor_value_missing, incremental.lag, incremental.window),
        (OnMissing::Include, Some(1.5), Some(2.0))
    );
    assert!(incremental.range_start_open && incremental.range_end_closed);
}

#[test]
fn the_rest_of_a_resource_is_read() {
    let stream = only_stream(&with_resources(json!([{
        "name": "r",
        "table_name": "T",
        "columns": {"id": {"primary_key": true}, "day": {"merge_key": true, "dedup_sort": null}},
        "write_disposition": {"disposition": "merge", "strategy": "scd2", "validity_column_names": ["a", "b"], "active_record_timestamp": null},
        "nested_hints": {"r__kids": {"primary_key": "k", "columns": [{"name": "k", "data_type": "bigint"}]}},
        "processing_steps": [{"map": ".m", "filter": ".f"}, {"yield_map": ".y[]"}],
        "endpoint": {
            "method": "post",
            "response_actions": [{"status_code": "404", "action": "ignore"}, {"content": "no", "status_code": 200, "action": "raise"}],
            "format": {"type": "csv", "delimiter": "\t"}
        }
    }])));
    assert_eq!((stream.primary_key, stream.merge_key), (vec!["id".to_owned()], vec!["day".to_owned()]));
    assert_eq!(
        Value::Object(stream.hints),
        json!({
            "table_name": "T",
            "columns": {"id": {"primary_key": true}, "day": {"merge_key": true}},
            "nested_hints": {"r__kids": {"primary_key": ["k"], "columns": {"k": {"data_type": "bigint"}}}},
            "strategy": "scd2", "validity_column_names": ["a", "b"], "active_record_timestamp": null
        })
    );
    assert!(
        matches!(&stream.steps[..], [Step::Filter(f), Step::Map(m), Step::YieldMap(y)] if f == ".f" && m == ".m" && y == ".y[]")
    );
    assert_eq!(stream.request.method, "POST");
    let actions: Vec<_> = stream.response_actions.iter().map(|action| (action.status, action.action)).collect();
    assert_eq!(actions, [(Some(404), Action::Ignore), (Some(200), Action::Raise)]);
    assert_eq!(stream.format, ResponseFormat::Csv { delimiter: '\t' });
}

#[test]
fn what_dlt_runs_is_not_refused() {
    let said = |config: &Value| -> Vec<&'static str> {
        let (_, warnings) = plan(config).unwrap_or_else(|found| panic!("{config}: {found:#?}"));
        warnings.iter().map(|warning| warning.code).collect()
    };
    for (endpoint, codes) in [
        (json!({"paginator": {"type": "offset", "limit": 20, "total_path": ""}}), &[][..]),
        (json!({"paginator": {"type": "page_number", "total_path": "", "has_more_path": "", "maximum_page": 5}}), &[]),
        (json!({"data_selector": ""}), &[]),
        (json!({"data_selector": "a[b,c][*]"}), &[]),
        (json!({"headers": {"X Key": "v", "X-Key": " v "}}), &["header-not-sent"]),
        (json!({"headers": {"X-Key": null}}), &[]),
        (json!({"path": "x/{id}", "params": {"id": "FILL_ME_IN"}}), &[]),
        (json!({"paginator": {"type": "cursor", "cursor_body_path": "['page.token']"}}), &[]),
    ] {
        assert_eq!(said(&with_endpoint(endpoint.clone())), codes, "{endpoint}");
    }
    let nameless = with_resources(json!([{"name": "", "table_name": "t", "endpoint": {"path": "x"}}]));
    assert_eq!((said(&nameless), only_stream(&nameless).name.as_str()), (vec!["empty-name"], "paginate_resource"));
    let generated = with_resources(json!([{"name": "a", "primary_key": "_dlt_id", "write_disposition": "merge"}]));
    let stream = only_stream(&generated);
    assert_eq!(said(&generated), ["generated-key"]);
    assert_eq!((stream.write_disposition, stream.primary_key.len()), (WriteDisposition::Append, 0));
    let without = with_resources(json!([{"name": "a", "include_from_parent": []}]));
    assert_eq!(said(&without), [""; 0]);
}

#[test]
fn without_a_base_url_every_path_is_a_whole_url() {
    let config = |paths: &[&str]| {
        let resources = paths.iter().enumerate().map(|(n, path)| json!({"name": format!("r{n}"), "endpoint": path}));
        json!({"client": {"base_url": "", "auth": {"token": "${secrets.t}"}}, "resources": resources.collect::<Value>()})
    };
    let (plan, warnings) = plan(&config(&["https://a.b/x?y=1", "https://a.b/z", "https://c.d/x"])).unwrap();
    let credentials: Vec<Option<&str>> = plan.streams.iter().map(|s| s.request.credential.as_deref()).collect();
    assert_eq!(credentials, [Some("client"), Some("client"), None]);
    assert_eq!(warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), ["credential-not-sent"]);
    let origins: Vec<&str> = plan.grants.iter().map(|grant| grant.origin.as_str()).collect();
    assert_eq!(origins, ["https://a.b", "https://c.d"]);
    let refused = super::plan(&config(&["https://a.b/x", "y"])).unwrap_err();
    assert_eq!((refused[0].code, refused[0].at.as_str()), ("bad-url", "/resources/1/endpoint"));
}

#[test]
fn a_page_number_may_stand_in_the_path() {
    let stream = only_stream(&with_endpoint(
        json!({"path": "list/{p}", "paginator": {"type": "page_number", "page_param": "p"}}),
    ));
    assert_eq!((stream.request.path_params(), stream.selector), (vec!["p".to_owned()], Selector::Auto));
    // A value of that name among the parameters is meant for the path.
    let bound =
        only_stream(&with_endpoint(json!({"path": "list/{page}", "params": {"page": 7}, "paginator": "page_number"})));
    assert_eq!((path_of(&bound), bound.selector), ("list/7".to_owned(), Selector::Path("$".to_owned())));
}

#[test]
fn bounds_of_an_incremental_may_be_relative_and_have_a_format() {
    let bounds = |incremental: Value| {
        let stream = only_stream(&with_endpoint(json!({"incremental": incremental})));
        let incremental = stream.incremental.unwrap();
        (incremental.initial_value.unwrap(), incremental.end_value)
    };
    let (start, end) = bounds(json!({"cursor_path": "a", "initial_value": "${today - 30d}", "end_value": "${now}"}));
    assert!(start.as_str().unwrap().len() == 10 && end.unwrap().as_str().unwrap().ends_with('Z'));
    let (start, _) = bounds(json!({"cursor_path": "a", "initial_value": "${now - 1mo}", "cursor_format": "%ms"}));
    assert!(start.is_i64());
    let (start, _) = bounds(json!({"cursor_path": "a", "initial_value": "2024-01-02", "cursor_format": "%d/%m/%Y"}));
    assert_eq!(start, json!("02/01/2024"));
    let stream = only_stream(&with_endpoint(json!({"params": {"since": "${today | %Y}", "plain": "$5 ${secrets.x}"}})));
    assert!(query(&stream)["since"].as_str().unwrap().parse::<u16>().is_ok());
    assert_eq!(query(&stream)["plain"], json!("$5 ${secrets.x}"));
}
