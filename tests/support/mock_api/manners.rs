//! The routes under `/manners/`: an API with sessions, rate limits and a token endpoint of its own mind, one that
//! repeats what it was told, and one of as many pages as are asked for.

use std::sync::PoisonError;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Answer, Request};

const CLIENT: &str = "Basic aWQ6czNjcmV0LXMzY3JldA==";

pub(super) fn route(request: &Request<'_>) -> Option<Answer> {
    let ["manners", rest @ ..] = request.segments else { return None };
    let answer = match (request.method, rest) {
        // The second page is there for those who bring the first one's cookie.
        ("GET", ["session"]) => match request.parameter("cursor") {
            None => Answer::json(&json!({"data": [{"id": 1}], "next": "n"}))
                .with_header("Set-Cookie", "SESSION=abc123; Path=/; HttpOnly"),
            Some(_) if request.header("cookie") == Some("own=1; SESSION=abc123") => {
                json!({"data": [{"id": 2, "cookie": request.header("set-cookie")}], "next": null}).into()
            }
            Some(_) => Answer::json(&json!({"error": "no session"})).with_status(440),
        },
        ("GET", ["parents"]) => json!((1..=8).map(|id| json!({"id": id})).collect::<Vec<_>>()).into(),
        // Refuses everybody for two seconds, and names the time in a header.
        ("GET", ["limited", status, _]) => {
            let reset = {
                let mut counters = request.memory.counters.lock().unwrap_or_else(PoisonError::into_inner);
                *counters.entry("limited".to_owned()).or_insert(now() + 2)
            };
            if now() >= reset {
                json!([{"id": 1}]).into()
            } else {
                Answer::json(&json!({"error": "slow down"}))
                    .with_status(status.parse().ok()?)
                    .with_header("X-RateLimit-Remaining", "0")
                    .with_header("X-RateLimit-Reset", reset.to_string())
            }
        }
        // Knows its clients by a header, and by nothing else.
        ("POST", ["token"]) if request.header("authorization") == Some(CLIENT) => {
            json!({"access_token": "handed-out-token", "expires_in": "3600"}).into()
        }
        ("POST", ["token"]) => Answer::json(&json!({"error": "invalid_client"})).with_status(401),
        // Repeats the key that it was told, in every value of the answer and in its links.
        ("GET", ["orgs", organisation, "items"]) => {
            let key =
                request.parameter("api_key").or_else(|| request.header("authorization")?.strip_prefix("Bearer "))?;
            match request.parameter("page") {
                None => json!({
                    "data": [{
                        "id": 1, "url": format!("https://{organisation}.example.com/x"), "note": format!("{organisation}oration"),
                        "literal": "${secrets.org}", "account": 123_456_789, key: "a key of this name", "told": key,
                        "inner": json!({"told": key, "org": organisation}).to_string(),
                    }],
                    "next": format!(
                        "{}/manners/orgs/{organisation}/items?api_key={}&page=2&by={organisation}", request.base_url(),
                        url::form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>(),
                    ),
                })
                .into(),
                Some(_) => json!({"data": [{"id": 2, "note": request.parameter("by")}], "next": null}).into(),
            }
        }
        ("GET", ["orgs", organisation, "items", id]) => json!([{"id": id, "child_of": organisation.len()}]).into(),
        // That many pages of one record.
        ("GET", ["pages", total]) => {
            let total: i64 = total.parse().ok()?;
            let page = request.number("cursor", 1);
            let next = if page < total { json!((page + 1).to_string()) } else { Value::Null };
            json!({"data": [{"id": page}], "next": next}).into()
        }
        _ => return None,
    };
    Some(answer)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
