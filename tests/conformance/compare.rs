//! Compares what a run did with what it should have done, and says what differs, a line each.
//! Must never depend on the order of requests, of parameters or of rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;

use super::{ExpectedRequest, ExpectedTable, Run};
use crate::support::{mock_api::Seen, warehouse::Table};

/// The headers that a case names; all others are free.
const HEADERS: [&str; 4] = ["authorization", "content-type", "cookie", "x-api-key"];

/// At most so many differences of one kind are said.
const SHOWN: usize = 8;

pub(super) fn requests(expected: &Run, seen: &[Seen]) -> String {
    let mut found = String::new();
    if let Some(count) = expected.request_count
        && count != seen.len()
    {
        writeln!(found, "{} requests instead of {count}", seen.len()).unwrap();
    }
    let Some(listed) = &expected.requests else { return found };
    let mut wanted = BTreeMap::<String, usize>::new();
    for request in listed {
        *wanted.entry(expected_text(request)).or_default() += request.times;
    }
    let complete = expected.request_count.is_none_or(|count| count == wanted.values().sum::<usize>());
    let mut actual = BTreeMap::<String, usize>::new();
    for request in seen {
        *actual.entry(seen_text(request)).or_default() += 1;
    }
    found + &counted(&wanted, &actual, complete, "request")
}

/// `base_url` is shown and compared as `$BASE`.
pub(super) fn tables(
    expected: &BTreeMap<String, ExpectedTable>,
    actual: &BTreeMap<String, Table>,
    base_url: &str,
) -> String {
    let mut found = String::new();
    for name in expected.keys().chain(actual.keys()).collect::<BTreeSet<_>>() {
        match (expected.get(name), actual.get(name)) {
            (Some(_), None) => writeln!(found, "table {name} is missing").unwrap(),
            (None, Some(table)) => {
                writeln!(found, "table {name} is there, with {} rows", table.rows.len()).unwrap();
            }
            (Some(expected), Some(actual)) => found += &table(name, expected, actual, base_url),
            (None, None) => {}
        }
    }
    found
}

fn table(name: &str, expected: &ExpectedTable, actual: &Table, base_url: &str) -> String {
    let mut found = String::new();
    if let Some(columns) = &expected.columns {
        let wanted: Vec<String> =
            columns.iter().map(|(name, kind)| format!("{name} {}", kind.as_str().unwrap_or_default())).collect();
        let columns: Vec<String> = actual.columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        if wanted != columns {
            let (wanted, columns) = (wanted.join(", "), columns.join(", "));
            writeln!(found, "table {name}: columns\n  {columns}\n  instead of\n  {wanted}").unwrap();
        }
    }
    let names: Vec<&str> =
        actual.columns.iter().map(|(name, _)| name.as_str()).filter(|name| !name.starts_with("_dlt_")).collect();
    if let Some(wanted) = &expected.column_names
        && *wanted != names
    {
        writeln!(found, "table {name}: columns {} instead of {}", names.join(", "), wanted.join(", ")).unwrap();
    }
    if expected.count != actual.rows.len() {
        writeln!(found, "table {name}: {} rows instead of {}", actual.rows.len(), expected.count).unwrap();
    }
    let Some(rows) = &expected.rows else { return found };
    // Who called is free, wherever an echo of it was loaded.
    let caller = names.iter().position(|name| *name == "ua");
    let texts = |rows: &[Vec<Value>]| {
        let mut counts = BTreeMap::<String, usize>::new();
        for row in rows {
            let mut row = row.clone();
            if let Some(cell) = caller.and_then(|index| row.get_mut(index)) {
                *cell = Value::Null;
            }
            *counts.entry(serde_json::to_string(&row).unwrap().replace(base_url, "$BASE")).or_default() += 1;
        }
        counts
    };
    found + &counted(&texts(rows), &texts(&actual.rows), rows.len() == expected.count, &format!("table {name}: row"))
}

/// What is missing, and, if what is wanted is the whole, what is too much.
fn counted(
    wanted: &BTreeMap<String, usize>,
    actual: &BTreeMap<String, usize>,
    complete: bool,
    subject: &str,
) -> String {
    let mut lines = Vec::new();
    for (text, count) in wanted {
        let there = actual.get(text).copied().unwrap_or(0);
        if there < *count {
            lines.push(format!("{subject} missing{}: {text}", times(count - there)));
        }
    }
    for (text, count) in actual.iter().filter(|_| complete) {
        let asked = wanted.get(text).copied().unwrap_or(0);
        if *count > asked {
            lines.push(format!("{subject} too much{}: {text}", times(count - asked)));
        }
    }
    if lines.len() > SHOWN {
        let more = lines.len() - SHOWN;
        lines.truncate(SHOWN);
        lines.push(format!("… and {more} more"));
    }
    lines.iter().fold(String::new(), |text, line| text + line + "\n")
}

fn times(count: usize) -> String {
    if count == 1 { String::new() } else { format!(" {count} times") }
}

fn expected_text(request: &ExpectedRequest) -> String {
    let body = match (&request.json, &request.form, &request.text) {
        (Some(json), ..) => sorted_json(json),
        (_, Some(form), _) => sorted_form(form),
        (.., text) => text.clone().unwrap_or_default(),
    };
    let (method, target) = request.line.split_once(' ').unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    text(method, path, query, &request.headers, &body)
}

fn seen_text(request: &Seen) -> String {
    let kind = request.headers.get("content-type").map_or("", String::as_str);
    let body = match serde_json::from_str(&request.body) {
        Ok(json) if kind == "application/json" => sorted_json(&json),
        _ if kind == "application/x-www-form-urlencoded" => sorted_form(&request.body),
        _ => request.body.clone(),
    };
    text(&request.method, &request.path, &request.query, &request.headers, &body)
}

/// One text per request, the same for all that count as the same.
fn text(method: &str, path: &str, query: &str, headers: &BTreeMap<String, String>, body: &str) -> String {
    let mut text = format!("{method} {path}");
    if !query.is_empty() {
        write!(text, "?{}", sorted_form(query)).unwrap();
    }
    for name in HEADERS {
        if let Some(value) = headers.get(name) {
            write!(text, "  {name}: {value}").unwrap();
        }
    }
    if !body.is_empty() {
        write!(text, "  {body}").unwrap();
    }
    text
}

/// Decoded, so that different ways to escape the same text are the same.
fn sorted_form(form: &str) -> String {
    let mut pairs: Vec<String> =
        url::form_urlencoded::parse(form.as_bytes()).map(|(name, value)| format!("{name}={value}")).collect();
    // A stable sort by name: the values of one name keep their order.
    pairs.sort_by_key(|pair| pair.split('=').next().unwrap_or_default().to_owned());
    pairs.join("&")
}

fn sorted_json(json: &Value) -> String {
    let mut json = json.clone();
    json.sort_all_objects();
    json.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(method: &str, path: &str, query: &str, headers: &[(&str, &str)], body: &str) -> Seen {
        Seen {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    #[test]
    fn requests_are_a_multiset_with_free_order() {
        let run: Run = serde_json::from_value(serde_json::json!({
            "outcome": "ok",
            "request_count": 3,
            "requests": [
                {"line": "GET /a?x=1&y=a+b", "times": 2},
                {"line": "POST /b", "headers": {"content-type": "application/json"}, "json": {"p": 1, "q": [2]}},
            ],
        }))
        .unwrap();
        let get = seen("GET", "/a", "y=a%20b&x=1", &[("user-agent", "someone")], "");
        let post = seen("POST", "/b", "", &[("content-type", "application/json")], "{\"q\":[2],  \"p\":1}");
        let cases: [(&[&Seen], &str); 4] = [
            (&[&get, &post, &get], ""),
            (&[&get, &post], "2 requests instead of 3\nrequest missing: GET /a?x=1&y=a b\n"),
            (
                &[&get, &post, &post],
                "request missing: GET /a?x=1&y=a b\n\
                 request too much: POST /b  content-type: application/json  {\"p\":1,\"q\":[2]}\n",
            ),
            (&[&get, &post, &get, &get], "4 requests instead of 3\nrequest too much: GET /a?x=1&y=a b\n"),
        ];
        for (requests, expected) in cases {
            let requests: Vec<Seen> = requests.iter().copied().cloned().collect();
            assert_eq!(super::requests(&run, &requests), expected);
        }
    }

    #[test]
    fn tables_differ_in_columns_counts_and_rows() {
        let expected: BTreeMap<String, ExpectedTable> = serde_json::from_value(serde_json::json!({
            "t": {"columns": {"id": "BIGINT", "ua": "VARCHAR"}, "count": 2, "rows": [[1, "dlt"], [2, "$BASE/x"]]},
        }))
        .unwrap();
        let table = |rows: Value| Table {
            columns: vec![("id".to_owned(), "BIGINT".to_owned()), ("ua".to_owned(), "VARCHAR".to_owned())],
            rows: serde_json::from_value(rows).unwrap(),
        };
        let compared =
            |rows: Value| tables(&expected, &BTreeMap::from([("t".to_owned(), table(rows))]), "http://127.0.0.1:1");
        assert_eq!(compared(serde_json::json!([[2, "http://127.0.0.1:1/x"], [1, "us"]])), "");
        assert_eq!(
            compared(serde_json::json!([[2, "us"], [2, "us"]])),
            "table t: row missing: [1,null]\ntable t: row too much: [2,null]\n",
        );
        assert_eq!(tables(&expected, &BTreeMap::new(), ""), "table t is missing\n");
    }
}
