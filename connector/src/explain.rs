//! How a plan will be read, for people. No I/O: placeholders are shown as they are written, secrets as references.

use serde_json::{Map, Value, json};

use crate::address;
use crate::error::Error;
use crate::incremental;
use crate::paginator::{self, Paginator};
use crate::plan::{
    Action, Body, JsonTemplate, Plan, Request, ResponseAction, Selector, Step, Stream, WriteDisposition,
};
use crate::request::{OutgoingBody, OutgoingRequest};
use crate::template::{Part, Source, Template, python_text};

/// A JSON array with one object per stream: where its records come from, what is done to them, where they go.
pub fn explain(plan: &Plan) -> Result<String, Error> {
    let streams: Result<Vec<Value>, Error> = plan.streams.iter().map(stream).collect();
    Ok(Value::Array(streams?).to_string())
}

fn stream(stream: &Stream) -> Result<Value, Error> {
    let mut request = shown(&stream.request);
    if let Some(incremental) = &stream.incremental {
        for (param, attribute) in [(&incremental.start_param, "start_value"), (&incremental.end_param, "end_value")] {
            if let Some(param) = param {
                request.set_param(param, Value::String(format!("{{incremental.{attribute}}}")));
            }
        }
    }
    Paginator::begin(&stream.paginator).apply(&mut request)?;
    let headers: Map<String, Value> =
        request.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    Ok(json!({
        "stream": stream.name,
        "parent": stream.parent.as_ref().map(|parent| &parent.stream),
        "include_from_parent": stream.parent.as_ref().map(|parent| &parent.include),
        "batch_parents": stream.parent.as_ref().map(|parent| parent.batch_size).filter(|size| *size > 1),
        "request": {
            "method": request.method,
            "url": url(&request),
            "headers": headers,
            "body": match request.body {
                OutgoingBody::Empty => Value::Null,
                OutgoingBody::Json(value) => value,
                OutgoingBody::Form(pairs) => Value::String(pairs_text(&pairs)),
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
        "processing_steps": stream.steps.iter().map(step).collect::<Vec<_>>(),
        "cursor": stream.incremental.as_ref().map(|incremental| &incremental.cursor_path),
        "windows": windows(stream)?,
        "write_disposition": disposition(stream.write_disposition),
        "strategy": stream.hints.get("strategy"),
        "primary_key": stream.primary_key,
    }))
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

/// The name that the configuration and the WIT have for it.
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
    let query = pairs_text(&request.params);
    let separator = match (query.is_empty(), request.url.contains('?')) {
        (true, _) => "",
        (false, true) => "&",
        (false, false) => "?",
    };
    format!("{}{separator}{query}", request.url)
}

fn pairs_text(pairs: &[(String, Value)]) -> String {
    let mut texts = Vec::new();
    for (name, value) in pairs {
        match value {
            Value::Null => {}
            Value::Array(values) => texts.extend(values.iter().map(|value| format!("{name}={}", python_text(value)))),
            value => texts.push(format!("{name}={}", python_text(value))),
        }
    }
    texts.join("&")
}

fn shown(request: &Request) -> OutgoingRequest {
    let pairs = |templates: &[(Template, JsonTemplate)]| {
        templates.iter().map(|(name, value)| (text(name), json_text(value))).collect()
    };
    OutgoingRequest {
        method: request.method.clone(),
        url: address::join(&request.base_url, &text(&request.path)),
        params: pairs(&request.params),
        path_params: request.path_params(),
        headers: request.headers.iter().map(|(name, value)| (text(name), text(value))).collect(),
        body: match &request.body {
            Body::Empty => OutgoingBody::Empty,
            Body::Json(value) => OutgoingBody::Json(json_text(value)),
            Body::Form(templates) => OutgoingBody::Form(pairs(templates)),
            Body::Raw(template) => OutgoingBody::Raw(text(template)),
        },
        credential: request.credential.clone(),
    }
}

fn text(template: &Template) -> String {
    let mut text = String::new();
    for part in &template.parts {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            Part::Placeholder(placeholder) => match &placeholder.source {
                Source::Parent { stream, field } => text.push_str(&format!("{{resources.{stream}.{field}}}")),
                Source::Page { param } => text.push_str(&address::page_marker(param)),
                Source::Incremental { attribute } => text.push_str(&format!("{{incremental.{attribute}}}")),
            },
        }
    }
    text
}

fn json_text(template: &JsonTemplate) -> Value {
    match template {
        JsonTemplate::Literal(value) => value.clone(),
        JsonTemplate::Text(template) => Value::String(text(template)),
        JsonTemplate::List(items) => items.iter().map(json_text).collect(),
        JsonTemplate::Object(entries) => {
            Value::Object(entries.iter().map(|(name, value)| (text(name), json_text(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

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
        let (plan, _) = config::plan(&config).unwrap();
        let explained: Value = serde_json::from_str(&explain(&plan).unwrap()).unwrap();
        let facts = [
            ("/0/windows", json!(3)),
            ("/1/include_from_parent", json!(["id"])),
            ("/1/processing_steps", json!(["filter .id > 1", "yield_map .x[]"])),
            ("/1/response_actions", json!(["404: ignore", "400 and \"late\": retry"])),
            ("/1/strategy", json!("upsert")),
            ("/1/request/url", json!("http://h/v1/{resources.p.id}/x")),
            ("/2/batch_parents", json!(5)),
        ];
        for (pointer, expected) in facts {
            assert_eq!(explained.pointer(pointer), Some(&expected), "{pointer}");
        }
    }
}
