//! Routes beyond the recorded server: an API of any size, and one that answers nonsense.

use serde_json::{Value, json};

use super::{Answer, Request};

pub(super) fn route(request: &Request<'_>) -> Option<Answer> {
    let answer = match (request.method, request.segments) {
        // That many records, by offset and limit: nested, so that child tables fill too.
        ("GET", ["bulk", total]) => {
            let total: i64 = total.parse().ok()?;
            let offset = request.number("offset", 0).max(0);
            let end = total.min(offset + request.number("limit", 100));
            json!({"data": (offset..end).map(bulk_record).collect::<Vec<_>>(), "total": total}).into()
        }
        ("GET", ["html"]) => Answer::text("text/html", "<!doctype html><title>Sign in</title><h1>Please sign in</h1>"),
        ("GET", ["truncated"]) => Answer::cut_off(&json!({"data": [{"id": 1}, {"id": 2}]})),
        ("GET", ["half_json"]) => Answer::text("application/json", "{\"data\": [{\"id\": 1}, {\"id\": "),
        ("GET", ["unauthorized"]) => Answer::json(&json!({"error": "invalid api key"})).with_status(401),
        // To where the query says; the credential must stay behind if that is another origin.
        ("GET", ["redirect"]) => {
            Answer::text("text/plain", "").with_status(302).with_header("Location", request.parameter("to")?)
        }
        _ => return None,
    };
    Some(answer)
}

fn bulk_record(id: i64) -> Value {
    let labels: Vec<Value> =
        (0..id % 3).map(|label| json!({"name": format!("label {label}"), "weight": label})).collect();
    json!({
        "id": id,
        "title": format!("Record {id}"),
        "amount": id as f64 / 4.0,
        "updated_at": format!("2024-01-{:02}T{:02}:00:00Z", 1 + id % 28, id % 24),
        "labels": labels,
    })
}
