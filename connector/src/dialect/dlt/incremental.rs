//! `endpoint.incremental`, or a parameter of type `incremental`, which takes the start value only.
//!
//! A stream has one cursor at most, as in dlt.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::grammar::INCREMENTAL_PARAM;
use super::inherited::OfDlt;
use super::node::{Fields, Node};
use super::relative;
use super::resource::Resource;
use super::response::{jq_program, json_path};
use crate::incremental::{Format, bound, order};
use crate::plan::{Incremental, LastValue, OnMissing, RowOrder};

/// A cursor, and the query parameters that get its bounds.
pub(super) struct Cursor {
    pub(super) incremental: Incremental,
    pub(super) start_param: Option<String>,
    pub(super) end_param: Option<String>,
}

/// Codes: `two-incrementals`, `start-only`, `end-without-start`, `empty-range`, `window-without-range`, `bad-window`,
/// `bad-json-path`, `bad-jq`, `bad-cursor-format`, `bad-moment`, `ambiguous-cursor`, `deprecated`, `no-effect`.
pub(super) fn cursor(resource: &Resource<'_>, diagnostics: &mut Diagnostics) -> Option<Cursor> {
    let own = resource.endpoint.given("incremental").filter(|node| node.value.is_object());
    let params = resource.params.entries.iter();
    let params = params.filter(|(_, node)| node.fields().text("type") == Some(INCREMENTAL_PARAM));
    // A parameter's counts, as in dlt.
    let mut found = params.map(|(name, node)| (Some(*name), node)).chain(own.map(|node| (None, node)));
    let (param, node) = found.next()?;
    for (second_param, second) in found {
        let help = format!("there is already one at {}", node.at);
        diagnostics.push(match second_param {
            Some(_) => {
                let message = "an endpoint has one incremental at most";
                Diagnostic::error("two-incrementals", &second.at, message).help(help)
            }
            None => {
                let message = "this `incremental` is not used: a parameter's counts instead";
                Diagnostic::warning("no-effect", &second.at, message).help(help)
            }
        });
    }
    let fields = node.fields();
    if param.is_some() {
        refuse_end(&fields, diagnostics);
    }
    let cursor_format = cursor_format(&fields, diagnostics);
    let mut moment = |key: &str| fields.given(key).map(|node| moment(node, cursor_format.as_ref(), diagnostics));
    let (initial_value, end_value) = (moment("initial_value"), moment("end_value"));
    let incremental = Incremental {
        cursor_path: json_path(fields.given("cursor_path"), diagnostics).unwrap_or_default(),
        cursor_format,
        initial_value,
        end_value,
        convert: convert(&fields, diagnostics),
        last_value: match fields.text("last_value_func") {
            Some("min") => LastValue::Min,
            _ => LastValue::Max,
        },
        primary_key: fields.given("primary_key").map(Node::texts),
        row_order: match fields.text("row_order") {
            Some("asc") => Some(RowOrder::Ascending),
            Some("desc") => Some(RowOrder::Descending),
            _ => None,
        },
        on_cursor_value_missing: match fields.text("on_cursor_value_missing") {
            Some("include") => OnMissing::Include,
            Some("exclude") => OnMissing::Exclude,
            _ => OnMissing::Raise,
        },
        lag: fields.number("lag"),
        range_start_open: fields.text("range_start") == Some("open"),
        range_end_closed: fields.text("range_end") == Some("closed"),
        window: fields.number("window"),
        inherited: Some(&OfDlt),
    };
    check_range(&incremental, &fields, diagnostics);
    if let Some(node) = fields.given("allow_external_schedulers").filter(|node| node.value.as_bool() == Some(true)) {
        let message = "`allow_external_schedulers` does nothing here";
        diagnostics.push(Diagnostic::warning("no-effect", &format!("{}/~key", node.at), message));
    }
    Some(Cursor {
        incremental,
        start_param: param.or_else(|| fields.text("start_param")).map(str::to_owned),
        end_param: fields.text("end_param").map(str::to_owned),
    })
}

fn cursor_format(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Format> {
    let node = fields.given("cursor_format")?;
    match Format::new(node.text()?) {
        Ok(format) => Some(format),
        Err(reason) => {
            let message = format!("this is no format of a date: {reason}");
            let help = "strftime's letters such as `%d/%m/%Y %H:%M`; `%s` or `%ms` for epochs; `text` for neither";
            diagnostics.push(Diagnostic::error("bad-cursor-format", &node.at, message).help(help));
            None
        }
    }
}

/// A bound as the API writes it: relative to now, or another way of writing an instant than the cursor's format.
fn moment(node: &Node<'_>, format: Option<&Format>, diagnostics: &mut Diagnostics) -> Value {
    let relative = node.text().and_then(|text| relative::value(text, format, Timestamp::now()));
    match relative {
        Some(Ok(value)) => return value,
        Some(Err(reason)) => {
            let help = "such as `${now - 30d}`, `${today - 1mo}` or `${today | %d/%m/%Y}`";
            diagnostics.push(Diagnostic::error("bad-moment", &node.at, reason).help(help));
            return node.value.clone();
        }
        None => {}
    }
    match bound(node.value, format) {
        Ok(value) => value,
        Err(reason) => {
            diagnostics.push(Diagnostic::warning("ambiguous-cursor", &node.at, reason));
            node.value.clone()
        }
    }
}

fn refuse_end(fields: &Fields<'_>, diagnostics: &mut Diagnostics) {
    if let Some(node) = fields.given("end_value") {
        let message = "a parameter of type `incremental` takes the start value only";
        let help = "use `endpoint.incremental` with `start_param` and `end_param`";
        diagnostics.push(Diagnostic::error("start-only", &format!("{}/~key", node.at), message).help(help));
    }
}

/// `transform` is the old name of `convert`, and wins in dlt.
fn convert(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let old = fields.given("transform");
    if let Some(node) = old {
        let message = "`transform` is an old name";
        let at = format!("{}/~key", node.at);
        diagnostics.push(Diagnostic::warning("deprecated", &at, message).help("write `convert`"));
    }
    jq_program(old.or_else(|| fields.given("convert")), diagnostics)
}

fn check_range(incremental: &Incremental, fields: &Fields<'_>, diagnostics: &mut Diagnostics) {
    if let Some(end) = fields.given("end_value") {
        let wrong_way = match incremental.last_value {
            LastValue::Max => Ordering::Less,
            LastValue::Min => Ordering::Greater,
        };
        match &incremental.initial_value {
            None => {
                let message = "`end_value` needs an `initial_value`";
                diagnostics.push(Diagnostic::error("end-without-start", &end.at, message));
            }
            Some(initial) if compared(incremental, initial) == Some(wrong_way) => {
                let message = "the range is empty: it ends before `initial_value`";
                diagnostics.push(Diagnostic::error("empty-range", &end.at, message));
            }
            Some(_) => {}
        }
    }
    let Some(window) = fields.given("window") else { return };
    if incremental.window.is_some_and(|size| size <= 0.0) {
        diagnostics.push(Diagnostic::error("bad-window", &window.at, "a window must be larger than 0"));
    }
    if incremental.last_value == LastValue::Min {
        let message = "`window` goes up from `initial_value` to `end_value`, which `last_value_func: min` does not";
        let help = "swap the two values and leave `last_value_func` out: the same records are read";
        diagnostics.push(Diagnostic::error("bad-window", &window.at, message).help(help));
    }
    if incremental.initial_value.is_none() || incremental.end_value.is_none() {
        let message = "`window` needs `initial_value` and `end_value`";
        diagnostics.push(Diagnostic::error("window-without-range", &window.at, message));
    }
}

/// How the end stands to the start.
fn compared(incremental: &Incremental, initial: &Value) -> Option<Ordering> {
    order(incremental.end_value.as_ref()?, initial, incremental.cursor_format.as_ref())
}
