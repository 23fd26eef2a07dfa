//! The routes under `/x/`: behaviour of an API that dlt's own mock cannot show. Those that change from call to call
//! count per server.

use serde_json::{Value, json};

use super::{Answer, Request};

pub(super) fn route(request: &Request<'_>) -> Option<Answer> {
    let ["x", rest @ ..] = request.segments else { return None };
    let count = || request.memory.count(request.path);
    let answer = match (request.method, rest) {
        // Fails with that status for that many calls.
        ("GET", ["flaky", status, failures]) => {
            let failures: u64 = failures.parse().ok()?;
            if request.memory.count(&format!("{}?{}", request.path, request.query)) <= failures {
                Answer::json(&json!({"error": "flaky"})).with_status(status.parse().ok()?)
            } else {
                json!([{"id": 1}]).into()
            }
        }
        ("GET", ["retry_after", delay]) => {
            if count() == 1 {
                Answer::json(&json!({"error": "slow"})).with_status(429).with_header("Retry-After", *delay)
            } else {
                json!([{"id": 1}]).into()
            }
        }
        ("GET", ["drop"]) => {
            if count() == 1 {
                Answer::dropped()
            } else {
                json!([{"id": 1}]).into()
            }
        }
        ("GET" | "POST", ["echo"]) => json!([{
            "method": request.method,
            "query": request.query,
            "body": request.body,
            "content_type": request.header("content-type"),
            "auth": request.header("authorization"),
            "ua": request.header("user-agent"),
            "accept": request.header("accept"),
        }])
        .into(),
        ("GET", ["updated"]) => json!({"items": (1..=6).map(updated).collect::<Vec<_>>()}).into(),
        ("GET", ["updated_since"]) => {
            let since = request.parameter("since").unwrap_or_default();
            let items: Vec<Value> = (1..=6).filter(|id| updated_at(*id).as_str() >= since).map(updated).collect();
            json!({"items": items}).into()
        }
        // Newest first, three pages of two.
        ("GET", ["desc"]) => {
            let page = request.number("page", 1);
            let ids = [8 - 2 * page, 7 - 2 * page];
            let items: Vec<Value> = ids.into_iter().filter(|id| (1..=6).contains(id)).map(updated).collect();
            let mut body = json!({"items": items});
            if page < 3 {
                body["next"] = format!("{}/x/desc?page={}", request.base_url(), page + 1).into();
            }
            body.into()
        }
        // Two records share the highest cursor, and from the second call on a third one does.
        ("GET", ["pk_dup"]) => {
            let mut records = vec![json!({"id": 1, "ts": 1}), json!({"id": 2, "ts": 2}), json!({"id": 3, "ts": 2})];
            if count() > 1 {
                records.push(json!({"id": 4, "ts": 2}));
            }
            Value::from(records).into()
        }
        ("GET", ["null_cursor"]) => json!([{"id": 1, "ts": 5}, {"id": 2, "ts": null}, {"id": 3}]).into(),
        ("GET", ["shapes", name]) => shape(name)?.into(),
        ("GET", ["types"]) => types().into(),
        ("GET", ["versioned", _]) => {
            if count() == 1 {
                json!([
                    {"id": 1, "name": "a", "kids": [{"k": 1}, {"k": 2}]},
                    {"id": 2, "name": "b", "kids": [{"k": 3}]},
                ])
                .into()
            } else {
                json!([{"id": 1, "name": "a2", "kids": [{"k": 9}]}, {"id": 3, "name": "c", "kids": []}]).into()
            }
        }
        ("GET", ["grow"]) => {
            if count() == 1 {
                json!([{"id": 1}]).into()
            } else {
                json!([{"id": 2, "extra": "e"}]).into()
            }
        }
        ("GET", ["has_more"]) => {
            let page = request.number("page", 0);
            json!({"data": [{"id": page}], "has_more": page < 2}).into()
        }
        // The same next link again and again.
        ("GET", ["forever"]) => {
            json!({"data": [{"id": count()}], "next": format!("{}/x/forever", request.base_url())}).into()
        }
        _ => return None,
    };
    Some(answer)
}

fn updated_at(id: i64) -> String {
    format!("2024-01-0{id}T00:00:00Z")
}

fn updated(id: i64) -> Value {
    json!({"id": id, "updated_at": updated_at(id)})
}

fn shape(name: &str) -> Option<Value> {
    Some(match name {
        "two_lists" => json!({"errors": [], "things": [{"id": 1}], "data": {"items": [{"id": 2}]}}),
        "object" => json!({"id": 7, "name": "solo"}),
        "scalar_list" => json!([1, 2, 3]),
        "deep4" => json!({"a": {"b": {"c": {"d": [{"id": 1}]}}}}),
        "deep3" => json!({"a": {"b": {"c": [{"id": 3}]}}}),
        "empty_list" => json!({"data": []}),
        "null" => json!({"data": null}),
        "one_in_list" => json!({"data": [{"id": 9}]}),
        "nested_many" => json!({"groups": [{"rows": [{"id": 1}, {"id": 2}]}, {"rows": [{"id": 3}]}]}),
        "obj_with_list" => json!({"id": 1, "tags": ["a", "b"]}),
        "bracket" => json!({"@odata.value": [{"id": 5}]}),
        "meta_first" => json!({"meta": {"warnings": [{"w": 1}]}, "users": [{"id": 8}]}),
        _ => return None,
    })
}

fn types() -> Value {
    json!([
        {
            "Id": 1, "isActive": true, "price": 1.5, "qty": 3, "createdAt": "2024-01-01T10:00:00Z",
            "day": "2024-01-02", "tm": "10:00:00",
            "nested": {"Deep": {"x": 1}, "list": [{"k": "v"}, {"k": null}]},
            "tags": ["a", "b"], "nothing": null, "emptyObj": {}, "emptyList": [],
        },
        {
            "Id": 2, "isActive": false, "price": 2, "qty": "many", "createdAt": "n/a", "day": "x", "tm": null,
            "nested": {"Deep": {"x": "y"}}, "tags": [], "nothing": null,
        },
    ])
}
