//! Which paginator an endpoint gets, with dlt's defaults.
//!
//! Precedence: endpoint (defaults merged in) > single entity > client > auto. `auto` and null mean "none given". Must
//! never build a paginator that cannot end.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::node::{Fields, Node};
use super::resource::Resource;
use super::response::{is_single_entity, json_path, optional_path};
use crate::plan::{Paginator, Range, Target, TotalPath};
use crate::request::body_keys;

/// Codes: `conflicting-keys`, `empty-text`, `no-stop-condition`, `missing-key`, `bad-json-path`, `deprecated`,
/// `no-effect`.
pub(super) fn paginator(
    resource: &Resource<'_>,
    client: Option<&Node<'_>>,
    diagnostics: &mut Diagnostics,
) -> Paginator {
    let own = resource.endpoint.given("paginator");
    if own.is_none() && is_single_entity(resource, &page_params(resource, client)) {
        if let Some(node) = client {
            // Not used here, but its mistakes are to be said all the same.
            build(node, diagnostics);
        }
        return Paginator::SinglePage;
    }
    let client = client.map(|node| build(node, diagnostics));
    match own.map(|node| (node, build(node, diagnostics))) {
        Some((node, Paginator::Auto)) => {
            if client.as_ref().is_some_and(|client| !matches!(client, Paginator::Auto)) {
                let message = "`auto` means that none is given: the client's paginator is used";
                let help = "remove it, or name a paginator";
                diagnostics.push(Diagnostic::warning("no-effect", &node.at, message).help(help));
            }
            client.unwrap_or(Paginator::Auto)
        }
        Some((_, paginator)) => paginator,
        None => client.unwrap_or(Paginator::Auto),
    }
}

/// The parameters that a paginator writes, which may stand in the path instead of the query.
pub(super) fn page_params(resource: &Resource<'_>, client: Option<&Node<'_>>) -> Vec<String> {
    let is_auto = |node: &&Node<'_>| node.text().or_else(|| node.fields().text("type")) != Some("auto");
    let Some(node) = resource.endpoint.given("paginator").filter(is_auto).or(client) else { return Vec::new() };
    let fields = node.fields();
    let names: &[&str] = match node.text().or_else(|| fields.text("type")) {
        Some("page_number") => &["page"],
        Some("offset") => &["offset", "limit"],
        Some("cursor" | "header_cursor") => &["cursor"],
        _ => &[],
    };
    let written = |name: &&str| fields.text(&format!("{name}_param")).unwrap_or(name).to_owned();
    names.iter().map(written).collect()
}

fn build(node: &Node<'_>, diagnostics: &mut Diagnostics) -> Paginator {
    let fields = node.fields();
    let mut path =
        |key: &str, default: &str| json_path(fields.given(key), diagnostics).unwrap_or_else(|| default.to_owned());
    let text = |key: &str, default: &str| fields.text(key).unwrap_or(default).to_owned();
    match node.text().or_else(|| fields.text("type")).unwrap_or("auto") {
        "single_page" => Paginator::SinglePage,
        "json_link" => Paginator::JsonLink { next_url_path: path("next_url_path", "next") },
        "json_response" => {
            let next_url_path = path("next_url_path", "next");
            let message = "`json_response` is an old name";
            diagnostics.push(Diagnostic::warning("deprecated", &node.at, message).help("write `json_link`"));
            Paginator::JsonLink { next_url_path }
        }
        "header_link" => Paginator::HeaderLink { rel: text("links_next_key", "next") },
        "header_cursor" => Paginator::HeaderCursor {
            header: text("cursor_key", "next"),
            cursor: Target::Param(text("cursor_param", "cursor")),
        },
        "cursor" => Paginator::Cursor {
            cursor_path: path("cursor_path", "cursors.next"),
            cursor: target(&fields, "cursor", diagnostics),
            stop_after_empty_page: fields.boolean("stop_after_empty_page").unwrap_or(false),
            has_more_path: optional_path(fields.given("has_more_path"), diagnostics),
        },
        "page_number" => {
            let base_page = fields.integer("base_page").unwrap_or(0);
            Paginator::PageNumber {
                base_page,
                page: fields.integer("page").unwrap_or(base_page),
                target: target(&fields, "page", diagnostics),
                range: range(node, &fields, "maximum_page", diagnostics),
            }
        }
        "offset" => {
            if node.value.is_string() {
                let message = "`limit` is missing, offset needs it";
                let help = "write `{type: offset, limit: 100}`";
                diagnostics.push(Diagnostic::error("missing-key", &node.at, message).help(help));
            }
            Paginator::Offset {
                limit: fields.integer("limit").unwrap_or(1),
                offset: fields.integer("offset").unwrap_or(0),
                offset_target: target(&fields, "offset", diagnostics),
                limit_target: target(&fields, "limit", diagnostics),
                range: range(node, &fields, "maximum_offset", diagnostics),
            }
        }
        _ => Paginator::Auto,
    }
}

/// `NAME_param` or `NAME_body_path`; by default a parameter called NAME.
fn target(fields: &Fields<'_>, name: &str, diagnostics: &mut Diagnostics) -> Target {
    let (param_key, body_key) = (format!("{name}_param"), format!("{name}_body_path"));
    let (param, body) = (fields.given(&param_key), fields.given(&body_key));
    for node in [param, body].into_iter().flatten().filter(|node| node.text() == Some("")) {
        diagnostics.push(Diagnostic::error("empty-text", &node.at, "must not be empty"));
    }
    match (param.and_then(Node::text), body) {
        (Some(_), Some(body)) => {
            let message = format!("a paginator has `{param_key}` or `{body_key}`, not both");
            diagnostics.push(Diagnostic::error("conflicting-keys", &format!("{}/~key", body.at), message));
            Target::Param(name.to_owned())
        }
        (None, Some(body)) => {
            let path = body.text().unwrap_or_default();
            if let Err(reason) = body_keys(path) {
                let message = format!("this is no path into a body: {reason}");
                let help = "a dotted path such as `page.cursor`; a key with a dot is written `['page.cursor']`";
                diagnostics.push(Diagnostic::error("bad-json-path", &body.at, message).help(help));
            }
            Target::Body(path.to_owned())
        }
        (Some(param), None) => Target::Param(param.to_owned()),
        (None, None) => Target::Param(name.to_owned()),
    }
}

fn range(node: &Node<'_>, fields: &Fields<'_>, maximum: &str, diagnostics: &mut Diagnostics) -> Range {
    let total_path = match fields.written("total_path") {
        None => TotalPath::IfPresent("total".to_owned()),
        Some(_) => optional_path(fields.given("total_path"), diagnostics).map_or(TotalPath::Off, TotalPath::Required),
    };
    // Null is falsy in dlt.
    let stop_after_empty_page = match fields.written("stop_after_empty_page") {
        None => true,
        Some(node) => node.value.as_bool().unwrap_or(false),
    };
    let range = Range {
        total_path,
        maximum: fields.integer(maximum),
        stop_after_empty_page,
        has_more_path: optional_path(fields.given("has_more_path"), diagnostics),
    };
    let total_is_known = matches!(range.total_path, TotalPath::Required(_));
    if !total_is_known && range.maximum.is_none() && range.has_more_path.is_none() && !range.stop_after_empty_page {
        let message = "nothing ends this paginator";
        let help = format!("write one of `total_path`, `{maximum}`, `has_more_path`, `stop_after_empty_page: true`");
        diagnostics.push(Diagnostic::error("no-stop-condition", &node.at, message).help(help));
    }
    range
}
