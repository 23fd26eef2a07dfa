//! The routes under `/y/`: what users meet in the APIs of others. `/y/all/…` and `/y/item/…` say what was asked.

use serde_json::{Value, json};

use super::{Answer, Request};

/// Values that are awkward in a URL.
const ODD: [&str; 12] = ["a b", "ü", "x/y", "q?z=1", "h#f", "50%", "a%20b", "a+b", "a&b=c", ";,:@", "{x}[1]", "a\\b|^"];

pub(super) fn route(request: &Request<'_>) -> Option<Answer> {
    let ["y", rest @ ..] = request.segments else { return None };
    let number = |name: &str, default: i64| request.number(name, default);
    let body = match (request.method, rest) {
        ("GET", ["links"]) => (0..)
            .zip(ODD)
            .map(|(id, odd)| {
                let rel = format!("/posts/{id}");
                json!({"id": id, "url": format!("{}{rel}", request.base_url()), "rel": rel, "odd": odd})
            })
            .collect(),
        ("GET", ["elsewhere"]) => json!([{"id": 1, "url": "http://127.0.0.2:9/posts/1"}]),
        ("GET", ["climbing"]) => json!([{"id": ".."}]),
        ("GET", ["item", ..]) => json!({"path": request.path, "query": request.query}),
        ("GET" | "POST", ["all", ..]) => {
            let own = request.headers.iter().filter(|(name, _)| name.starts_with("x-"));
            let own: Vec<String> = own.map(|(name, value)| format!("{name}={value}")).collect();
            json!([{"path": request.path, "query": request.query, "body": request.body, "h": own}])
        }
        ("GET", ["lists"]) => json!([
            {"id": 1, "ids": [1, 2], "o": {"k": [5]}},
            {"id": 2, "ids": [], "o": {"k": []}},
            {"id": 3, "ids": [3], "o": {"k": [7, 8]}},
        ]),
        ("GET", ["people"]) => json!({"data": [
            {"id": 1, "name": "A", "owner": {"id": 10, "tags": ["t1", "t2"]}, "n": null, "f": 1.5, "b": true},
            {"id": 2, "name": "B", "owner": {"id": 20, "tags": ["u"]}, "n": null, "f": 2.0, "b": false},
        ]}),
        ("GET", ["links2"]) => {
            let page = number("page", 1);
            let answer = Answer::json(&json!([{"id": page}]));
            let (path, before, behind) = (request.path, page - 1, page + 1);
            let link = format!("<{path}?page={before}>; rel=\"prev\", <{path}?page={behind}>; rel=\"more\"");
            return Some(if page < 3 { answer.with_header("Link", link) } else { answer });
        }
        ("GET", ["nested_next"]) => {
            let page = number("p", 1);
            let next = if page < 3 { json!({"link": format!("?p={}", page + 1)}) } else { Value::Null };
            json!({"result": {"rows": [{"id": page}], "paging": {"next": next}}})
        }
        ("GET", ["empty_next"]) => json!({"items": [{"id": 1}], "next": ""}),
        ("GET", ["cur"]) => {
            let cursor = number("c", 0);
            let items = if cursor < 3 { json!([{"id": cursor}]) } else { json!([]) };
            let more = match cursor {
                0 => "yes",
                1 => "TRUE",
                2 => "1",
                _ => "0",
            };
            json!({"items": items, "more": more, "c": cursor + 1})
        }
        ("GET", ["cur0"]) => {
            let cursor = number("c", 3);
            json!({"items": [{"id": cursor}], "c": cursor - 1})
        }
        ("GET", ["pages"]) => {
            let page = number("page", 1);
            let items = if page <= 3 { json!([{"id": page}]) } else { json!([]) };
            json!({"items": items, "meta": {"page": {"total": "3"}}})
        }
        ("GET", ["page400"]) => {
            let page = number("page", 1);
            if page > 2 {
                return Some(Answer::json(&json!({"error": "page out of range"})).with_status(400));
            }
            json!({"items": [{"id": page}]})
        }
        ("GET", ["dates"]) => {
            let (since, until) = (request.parameter("since").unwrap_or_default(), request.parameter("until"));
            let day = |id: i64| {
                let day = format!("2024-01-0{id}");
                let asked = day.as_str() >= since && until.is_none_or(|until| day.as_str() < until);
                let record = json!({"id": id, "d": day, "at": format!("{day}T00:00:00+02:00"), "e": 1_704_067_200 + id * 86_400});
                asked.then_some(record)
            };
            (1..=6).filter_map(day).collect()
        }
        // One more record with each call.
        ("GET", ["tick"]) => {
            let calls = i64::try_from(request.memory.count(request.path)).unwrap_or(i64::MAX);
            (1..3 + calls).map(|id| json!({"id": id, "ts": format!("2024-01-0{id}T00:00:00Z")})).collect()
        }
        ("GET", ["status", status]) => {
            return Some(Answer::json(&json!({"error": "e"})).with_status(status.parse().ok()?));
        }
        ("GET", ["text"]) => return Some(Answer::text("text/plain", "plain")),
        ("GET", ["emptybody"]) => return Some(Answer::text("application/json", "")),
        ("GET", ["redir"]) => return Some(Answer::json(&json!({})).with_status(302).with_header("Location", "/data")),
        ("GET", ["deep"]) => json!({"a b": {"x-y": {"items": [{"id": 1, "Ä": 1, "A b": 2}]}}}),
        ("GET", ["mixed"]) => json!({"data": [{"id": 1}, {"id": 2}], "included": [{"id": 9}], "meta": {"total": 2}}),
        _ => return None,
    };
    Some(body.into())
}
