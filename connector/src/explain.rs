//! How a plan will be read, for people. No I/O: expressions are shown as they are written, secrets as
//! references.

use serde_json::{Map, Value, json};

use crate::address;
use crate::error::Error;
use crate::expression::{Expression, Writer};
use crate::incremental;
use crate::paginator::{self, Paginator};
use crate::plan::{
    Action, Body, Parent, PathPart, Plan, Request, ResponseAction, Selector, Step, Stream, WriteDisposition,
};
use crate::request::{OutgoingBody, OutgoingRequest};

/// A JSON array with one object per stream: where its records come from, what is done to them, where they go.
pub fn explain(plan: &Plan) -> Result<String, Error> {
    let streams: Result<Vec<Value>, Error> = plan.streams.iter().map(stream).collect();
    Ok(Value::Array(streams?).to_string())
}

fn stream(stream: &Stream) -> Result<Value, Error> {
    let mut request = shown(&stream.request)?;
    Paginator::begin(&stream.paginator).apply(&mut request)?;
    let headers: Map<String, Value> =
        request.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    Ok(json!({
        "stream": stream.name,
        "parent": stream.parent.as_ref().map(|parent| &parent.stream),
        "parent_fields": stream.parent.as_ref().map(parent_fields),
        "parents_per_request": stream.parent.as_ref().map(|parent| parent.batch_size).filter(|size| *size > 1),
        "request": {
            "method": request.method,
            "url": url(&request),
            "headers": headers,
            "body": match request.body {
                OutgoingBody::Empty => Value::Null,
                OutgoingBody::Json(value) => value,
                OutgoingBody::Form(pairs) => Value::String(pairs_text(&pairs, request.writer)),
                OutgoingBody::Raw(text) => Value::String(text),
            },
        },
        "credential": request.credential,
        "response_actions": stream.response_actions.iter().map(action).collect::<Vec<_>>(),
        "paginator": paginator::name(&stream.paginator),
        "selector": match &stream.selector {
            Selector::Auto => "auto",
            Selector::Path(path) => path,
        },
        "steps": stream.steps.iter().map(step).collect::<Vec<_>>(),
        "cursor": stream.incremental.as_ref().map(|incremental| &incremental.cursor_path),
        "windows": windows(stream)?,
        "write_disposition": disposition(stream.write_disposition),
        "strategy": stream.hints.get("strategy"),
        "primary_key": stream.primary_key,
    }))
}

/// By the names that they get.
fn parent_fields(parent: &Parent) -> Value {
    let fields = parent.include.iter().map(|included| (included.target.clone(), included.field.as_str().into()));
    Value::Object(fields.collect())
}

/// `404, "not found": ignore`
fn action(action: &ResponseAction) -> String {
    let status = action.status.map(|status| status.to_string());
    let content = action.content.as_ref().map(|content| format!("{content:?}"));
    let conditions: Vec<String> = status.into_iter().chain(content).collect();
    let what = match action.action {
        Action::Ignore => "ignore",
        Action::Raise => "raise",
        Action::Retry => "retry",
    };
    format!("{}: {what}", conditions.join(" and "))
}

/// `filter .id > 1`
fn step(step: &Step) -> String {
    match step {
        Step::Filter(program) => format!("filter {program}"),
        Step::Map(program) => format!("map {program}"),
        Step::YieldMap(program) => format!("yield_map {program}"),
    }
}

/// How many partitions the range is split into.
fn windows(stream: &Stream) -> Result<Option<usize>, Error> {
    let incremental = stream.incremental.as_ref().filter(|_| stream.parent.is_none());
    let windows = incremental.map(incremental::windows).transpose()?.flatten();
    Ok(windows.map(|windows| windows.len()))
}

/// The name that the WIT has for it.
pub fn disposition(disposition: WriteDisposition) -> &'static str {
    match disposition {
        WriteDisposition::Append => "append",
        WriteDisposition::Replace => "replace",
        WriteDisposition::Merge => "merge",
        WriteDisposition::Skip => "skip",
    }
}

/// For reading, not for sending: nothing is percent-encoded.
fn url(request: &OutgoingRequest) -> String {
    let query = pairs_text(&request.params, request.writer);
    let separator = match (query.is_empty(), request.url.contains('?')) {
        (true, _) => "",
        (false, true) => "&",
        (false, false) => "?",
    };
    format!("{}{separator}{query}", request.url)
}

fn pairs_text(pairs: &[(String, Value)], writer: Writer) -> String {
    let mut texts = Vec::new();
    for (name, value) in pairs {
        match value {
            Value::Null => {}
            Value::Array(values) => texts.extend(values.iter().map(|value| format!("{name}={}", writer.text(value)))),
            value => texts.push(format!("{name}={}", writer.text(value))),
        }
    }
    texts.join("&")
}

fn shown(request: &Request) -> Result<OutgoingRequest, Error> {
    let pairs = |expressions: &[(Expression, Expression)]| {
        expressions.iter().map(|(name, value)| (name.written_text(), value.written())).collect()
    };
    let path = request.path.iter().map(|part| match part {
        PathPart::Literal(literal) => literal.clone(),
        PathPart::Value(expression) => expression.written_text(),
        PathPart::Page(param) => address::page_marker(param),
    });
    let mut shown = OutgoingRequest {
        method: request.method.clone(),
        url: address::join(&request.base_url, &path.collect::<String>()),
        params: pairs(&request.params),
        path_params: request.path_params(),
        headers: request.headers.iter().map(|(name, value)| (name.written_text(), value.written_text())).collect(),
        body: match &request.body {
            Body::Empty => OutgoingBody::Empty,
            Body::Json(expression) => OutgoingBody::Json(expression.written()),
            Body::Form(expressions) => OutgoingBody::Form(pairs(expressions)),
            Body::Raw(expression) => OutgoingBody::Raw(expression.written_text()),
        },
        credential: request.credential.clone(),
        writer: request.writer,
    };
    for (target, expression) in &request.injections {
        shown.set(target, expression.written())?;
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect;

    #[test]
    fn what_happens_to_records_is_said() {
        let config = json!({
            "client": {"base_url": "http://h/v1"},
            "resources": [
                {"name": "p", "endpoint": {"incremental": {
                    "cursor_path": "d", "initial_value": "2024-01-01", "end_value": "2024-01-10", "window": 3,
                }}},
                {
                    "name": "c",
                    "include_from_parent": ["id"],
                    "processing_steps": [{"filter": ".id > 1"}, {"yield_map": ".x[]"}],
                    "primary_key": "id",
                    "write_disposition": {"disposition": "merge", "strategy": "upsert"},
                    "endpoint": {"path": "{resources.p.id}/x", "response_actions": [
                        {"status_code": 404, "action": "ignore"},
                        {"status_code": 400, "content": "late", "action": "retry"},
                    ]},
                },
                {"name": "b", "batch_parents": 5, "endpoint": {"path": "{resources.p.url}"}},
            ],
        });
        let (plan, _) = dialect::plan(&config).unwrap();
        let explained: Value = serde_json::from_str(&explain(&plan).unwrap()).unwrap();
        let facts = [
            ("/0/windows", json!(3)),
            ("/1/parent_fields", json!({"_p_id": "id"})),
            ("/1/steps", json!(["filter .id > 1", "yield_map .x[]"])),
            ("/1/response_actions", json!(["404: ignore", "400 and \"late\": retry"])),
            ("/1/strategy", json!("upsert")),
            ("/1/request/url", json!("http://h/v1/{resources.p.id}/x")),
            ("/2/parents_per_request", json!(5)),
        ];
        for (pointer, expected) in facts {
            assert_eq!(explained.pointer(pointer), Some(&expected), "{pointer}");
        }
    }
}
