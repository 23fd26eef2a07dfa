//! What is taken out of a response: selector, format, actions, steps.
//!
//! Must never guess a selector where the configuration names one.

use serde_json::Value;

use super::diagnostic::{Diagnostic, Diagnostics, listing, nearest};
use super::grammar::ACTIONS;
use super::node::{Fields, Node};
use super::resource::Resource;
use crate::plan::{Action, ResponseAction, ResponseFormat, Selector, Step};
use crate::{selector, step};

/// Code: `bad-json-path`.
pub(super) fn selector(resource: &Resource<'_>, page_params: &[String], diagnostics: &mut Diagnostics) -> Selector {
    match optional_path(resource.endpoint.given("data_selector"), diagnostics) {
        Some(path) => Selector::Path(path),
        None if is_single_entity(resource, page_params) => Selector::Path("$".to_owned()),
        None => Selector::Auto,
    }
}

/// dlt's rule: the last segment of the path, as written, holds a placeholder of letters, digits, dots, dashes and
/// underscores. Then the response is one record, on one page. A placeholder that the paginator fills is none.
pub(super) fn is_single_entity(resource: &Resource<'_>, page_params: &[String]) -> bool {
    let path = resource.path.text().unwrap_or_default().replace("{{", "").replace("}}", "");
    let last = path.split('/').rfind(|segment| !segment.is_empty() && *segment != ".").unwrap_or_default();
    let named = |name: &str| {
        let is_page = page_params.iter().any(|param| param == name) && resource.params.given(name).is_none();
        !is_page
            && !name.is_empty()
            && name.chars().all(|character| character.is_ascii_alphanumeric() || "._-".contains(character))
    };
    last.split('{').skip(1).filter_map(|rest| rest.split_once('}')).any(|(name, _)| named(name))
}

/// A JSONPath that compiles. None: absent, or wrong, which has been said.
pub(super) fn json_path(node: Option<&Node<'_>>, diagnostics: &mut Diagnostics) -> Option<String> {
    let node = node?;
    let path = node.text()?;
    match selector::check(path) {
        Ok(()) => Some(path.to_owned()),
        Err(reason) => {
            let message = format!("this is no JSONPath: {reason}");
            diagnostics.push(Diagnostic::error("bad-json-path", &node.at, message));
            None
        }
    }
}

/// The same, where an empty text means that there is none, as in dlt.
pub(super) fn optional_path(node: Option<&Node<'_>>, diagnostics: &mut Diagnostics) -> Option<String> {
    json_path(node.filter(|node| node.text() != Some("")), diagnostics)
}

/// A jq program that compiles. None: absent, or wrong, which has been said.
///
/// Code: `bad-jq`.
pub(super) fn jq_program(node: Option<&Node<'_>>, diagnostics: &mut Diagnostics) -> Option<String> {
    let node = node?;
    let program = node.text()?;
    match step::check(program) {
        Ok(()) => Some(program.to_owned()),
        Err(reason) => {
            let message = format!("this is no jq program: {reason}");
            diagnostics.push(Diagnostic::error("bad-jq", &node.at, message));
            None
        }
    }
}

/// Codes: `bad-status`, `no-condition`, `unknown-action`.
pub(super) fn actions(resource: &Resource<'_>, diagnostics: &mut Diagnostics) -> Vec<ResponseAction> {
    let nodes = resource.endpoint.given("response_actions").map(Node::items).unwrap_or_default();
    let actions = nodes.iter().filter(|node| node.value.is_object());
    actions.filter_map(|node| action(node, diagnostics)).collect()
}

fn action(node: &Node<'_>, diagnostics: &mut Diagnostics) -> Option<ResponseAction> {
    let fields = node.fields();
    let content = fields.text("content").map(str::to_owned);
    let status = fields.given("status_code").map(|node| status(node, diagnostics));
    if status.is_none() && content.is_none() {
        let message = "an action without `status_code` and `content` never fits a response";
        diagnostics.push(Diagnostic::warning("no-condition", &node.at, message));
        return None;
    }
    let written = fields.given("action")?;
    let action = match written.text()? {
        "ignore" => Action::Ignore,
        "retry" => Action::Retry,
        "raise" => Action::Raise,
        other => {
            let message = format!("there is no action `{other}`: the entry does nothing, as in dlt");
            let help = match nearest(other, ACTIONS.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("one of {}; a function's name is not possible", listing(ACTIONS.iter().copied())),
            };
            diagnostics.push(Diagnostic::warning("unknown-action", &written.at, message).help(help));
            return None;
        }
    };
    Some(ResponseAction { status: status.flatten(), content, action })
}

/// 404 or "404".
fn status(node: &Node<'_>, diagnostics: &mut Diagnostics) -> Option<u16> {
    let number = match node.value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    let status = number.filter(|status| (100..600).contains(status));
    if status.is_none() {
        diagnostics.push(Diagnostic::error("bad-status", &node.at, "a status code is a number from 100 to 599"));
    }
    status
}

/// A step that holds several programs runs them as dlt does: filter, map, yield_map.
pub(super) fn steps(resource: &Resource<'_>, diagnostics: &mut Diagnostics) -> Vec<Step> {
    let nodes = resource.fields.given("processing_steps").map(Node::items).unwrap_or_default();
    let mut steps = Vec::new();
    for fields in nodes.iter().map(Node::fields) {
        steps.extend(jq_program(fields.given("filter"), diagnostics).map(Step::Filter));
        steps.extend(jq_program(fields.given("map"), diagnostics).map(Step::Map));
        steps.extend(jq_program(fields.given("yield_map"), diagnostics).map(Step::YieldMap));
    }
    steps
}

/// Code: `bad-delimiter`.
pub(super) fn format(resource: &Resource<'_>, diagnostics: &mut Diagnostics) -> ResponseFormat {
    let node = resource.endpoint.given("format");
    let fields = node.map(Node::fields).unwrap_or_default();
    match node.and_then(Node::text).or_else(|| fields.text("type")) {
        Some("jsonl") => ResponseFormat::JsonLines,
        Some("csv") => ResponseFormat::Csv { delimiter: delimiter(&fields, diagnostics) },
        Some("xml") => ResponseFormat::Xml { record_path: fields.text("record_path").unwrap_or_default().to_owned() },
        _ => ResponseFormat::Json,
    }
}

fn delimiter(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> char {
    let Some(node) = fields.given("delimiter") else { return ',' };
    let mut characters = node.text().unwrap_or(",").chars();
    if let (Some(delimiter), None) = (characters.next(), characters.next())
        && delimiter.is_ascii()
    {
        return delimiter;
    }
    diagnostics.push(Diagnostic::error("bad-delimiter", &node.at, "a delimiter is one ASCII character"));
    ','
}
