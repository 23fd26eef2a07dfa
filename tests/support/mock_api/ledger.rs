//! Accounts, their entries, and events, in two versions of the same API: what changes from one run to the next.

use serde_json::{Value, json};

use super::{Answer, Request};

const ACCOUNTS: i64 = 12;

pub(super) fn route(request: &Request<'_>) -> Option<Answer> {
    let ["ledger", version, rest @ ..] = request.segments else { return None };
    let version: i64 = version.parse().ok()?;
    let items = match rest {
        ["accounts"] => accounts(version),
        ["accounts", id, "entries"] => entries(version, id.parse().ok()?),
        ["events"] => {
            let since = request.parameter("since").unwrap_or_default();
            events(version).into_iter().filter(|event| event["at"].as_str().unwrap() >= since).collect()
        }
        // Fails once, at that request; then it goes on as if nothing had been.
        ["dies", at, "accounts"] if request.memory.count(request.path) == at.parse::<u64>().ok()? => {
            return Some(Answer::json(&json!({"error": "out of order"})).with_status(500));
        }
        ["dies", _, "accounts"] => accounts(version),
        _ => return None,
    };
    let (offset, limit) = (request.number("offset", 0) as usize, request.number("limit", 3) as usize);
    let page: Vec<&Value> = items.iter().skip(offset).take(limit).collect();
    Some(json!({"data": page, "total": items.len()}).into())
}

/// The second version renames every other account and has one less. Account 3 comes twice, the second time without
/// labels.
fn accounts(version: i64) -> Vec<Value> {
    let account = |id: i64, labels: i64| {
        let labels: Vec<Value> =
            (0..labels).map(|label| json!({"name": format!("label {label}"), "on": [id]})).collect();
        json!({"id": id, "name": format!("account {id} of {}", if id % 2 == 0 { 1 } else { version }), "labels": labels})
    };
    let mut accounts: Vec<Value> = (1..=ACCOUNTS + 1 - version).map(|id| account(id, (id + version) % 4)).collect();
    accounts.insert(7, account(3, 0));
    accounts
}

fn entries(version: i64, account: i64) -> Vec<Value> {
    let entry = |number: i64| {
        let tags: Vec<i64> = (0..(number + version) % 3).collect();
        json!({"id": account * 100 + number, "amount": number * version, "tags": tags})
    };
    (0..3 + account % 4).map(entry).collect()
}

/// Two share each moment; the second version has more, the first of them at the moment of the last one before.
fn events(version: i64) -> Vec<Value> {
    let count = if version == 1 { 19 } else { 30 };
    (0..count)
        .map(|id| json!({"id": id, "at": format!("2024-01-{:02}T00:00:00Z", 1 + id / 2), "notes": vec![id; (id % 3) as usize]}))
        .collect()
}
