//! The request of an endpoint: URL, method, headers, parameters, body, credential.
//!
//! Must never name a credential for an origin that it was not written for.

use serde_json::Value;

use super::auth::authentication;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::grants::{CLIENT, Grants};
use super::node::{Fields, Node};
use super::placeholders::Placeholders;
use super::python::python_text;
use super::resource::Resource;
use super::template::{Part, Template};
use super::text::Role;
use crate::address::is_absolute;
use crate::expression::{Expression, Writer};
use crate::plan::{Body, Request};

/// What the endpoints share.
pub(super) struct Client<'a> {
    base_url: String,
    /// None: `base_url` is missing or wrong, which has been said.
    origin: Option<String>,
    headers: Fields<'a>,
    credential: Option<String>,
    pub(super) paginator: Option<Node<'a>>,
}

impl<'a> Client<'a> {
    /// Without a base URL every path is a whole URL; the client's credential is for the first of them.
    pub(super) fn read(
        fields: &Fields<'a>,
        resources: &[Resource<'a>],
        grants: &mut Grants,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let base_url = fields.given("base_url").filter(|node| node.value.is_string());
        let url = base_url.and_then(Node::text).unwrap_or_default();
        let paths = || resources.iter().map(|resource| &resource.path);
        let written = match base_url {
            Some(_) if url.is_empty() => match paths().find(|path| !is_absolute(path.text().unwrap_or_default())) {
                None => paths().next(),
                Some(path) => {
                    let message = "`base_url` is empty, so this path has to be a whole URL";
                    let help = "write `base_url`, such as `https://api.example.com/v1`";
                    diagnostics.push(Diagnostic::error("bad-url", &path.at, message).help(help));
                    None
                }
            },
            written => written,
        };
        let mut placeholders = Diagnostics::default();
        let origin = written.and_then(|node| {
            let url = node.text().unwrap_or_default();
            let end =
                url.find("://").and_then(|start| url[start + 3..].find(['/', '?', '#']).map(|end| start + 3 + end));
            // A path's own mistakes are said where it is read.
            let said = if base_url.is_some_and(|base_url| base_url.at == node.at) {
                &mut *diagnostics
            } else {
                &mut placeholders
            };
            grants.origin(&url[..end.unwrap_or(url.len())], &node.at, said)
        });
        let authentication = fields.given("auth").and_then(|node| authentication(node, grants, diagnostics));
        let credential =
            authentication.and_then(|authentication| grants.credential(origin.as_deref()?, CLIENT, authentication));
        Self {
            base_url: url.to_owned(),
            origin,
            headers: fields.fields("headers"),
            credential,
            paginator: fields.given("paginator").cloned(),
        }
    }
}

/// Codes: those of `Placeholders` and `Grants`; `conflicting-keys`, `unbound-param`, `reserved-header`,
/// `credential-not-sent`, `header-not-sent`.
pub(super) fn request(
    resource: &Resource<'_>,
    client: &Client<'_>,
    grants: &mut Grants,
    placeholders: &mut Placeholders<'_>,
) -> Request {
    let mut params = resource.params.clone();
    let path = placeholders.path(&resource.path, &mut params);
    let own_origin = own_origin(&path, &resource.path.at, grants, placeholders);
    let credential = credential(resource, client, own_origin.as_ref(), grants, placeholders.diagnostics);
    let method = resource.endpoint.text("method").unwrap_or("GET").to_ascii_uppercase();
    Request {
        method,
        base_url: client.base_url.clone(),
        path: placeholders.parts(path),
        headers: headers(resource, client, placeholders),
        params: query(&params, placeholders),
        body: body(resource, placeholders),
        injections: Vec::new(),
        writer: Writer(python_text),
        credential,
    }
}

/// The origin of a path that is a whole URL. Some(None): it is one, but wrong, which has been said.
fn own_origin(
    path: &Template,
    at: &str,
    grants: &mut Grants,
    placeholders: &mut Placeholders<'_>,
) -> Option<Option<String>> {
    let Some(Part::Literal(start)) = path.parts.first() else { return None };
    let scheme = is_absolute(start).then(|| start.find("://").map(|index| index + 3)).flatten()?;
    let end = start[scheme..].find(['/', '?', '#']).map(|index| scheme + index);
    if end.is_none() && path.parts.len() > 1 {
        // A placeholder within the host: refused in the same words as a secret there.
        return Some(grants.origin("${…}", at, placeholders.diagnostics));
    }
    Some(grants.origin(&start[..end.unwrap_or(start.len())], at, placeholders.diagnostics))
}

fn credential(
    resource: &Resource<'_>,
    client: &Client<'_>,
    own_origin: Option<&Option<String>>,
    grants: &mut Grants,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let origin = own_origin.unwrap_or(&client.origin).as_deref();
    if let Some(node) = resource.endpoint.written("auth") {
        if node.value.is_null() {
            // Takes the client's away, as in dlt.
            return None;
        }
        let authentication = authentication(node, grants, diagnostics)?;
        return grants.credential(origin?, resource.name, authentication);
    }
    let credential = client.credential.as_ref()?;
    if origin == client.origin.as_deref() {
        return Some(credential.clone());
    }
    let message = format!("the client's `auth` is not sent to {}", origin?);
    let help = "if it needs one, give the endpoint an `auth` of its own";
    diagnostics.push(Diagnostic::warning("credential-not-sent", &resource.path.at, message).help(help));
    None
}

/// The client's as they stand, the endpoint's with placeholders. The endpoint's take precedence, whatever their case; a
/// null takes the client's away.
fn headers(
    resource: &Resource<'_>,
    client: &Client<'_>,
    placeholders: &mut Placeholders<'_>,
) -> Vec<(Expression, Expression)> {
    let own = resource.endpoint.fields("headers");
    let replaced = |name: &str| own.entries.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let mut headers = Vec::new();
    for (name, node) in client.headers.entries.iter().filter(|(_, node)| !node.value.is_null()) {
        refuse_reserved(name, node, placeholders);
        if !can_be_sent(name, node, placeholders) {
            continue;
        }
        let text = python_text(node.value);
        if !replaced(name) {
            headers.push((Expression::constant(*name), Expression::constant(text)));
        }
    }
    for (name, node) in own.entries.iter().filter(|(_, node)| !node.value.is_null()) {
        refuse_reserved(name, node, placeholders);
        if !can_be_sent(name, node, placeholders) {
            continue;
        }
        let name = placeholders.text(name, &format!("{}/~key", node.at));
        let value = node
            .text()
            .map_or_else(|| Expression::constant(python_text(node.value)), |text| placeholders.text(text, &node.at));
        headers.push((name, value));
    }
    headers
}

/// A name with a space or a colon is none in HTTP: servers drop it, or the request.
fn can_be_sent(name: &str, node: &Node<'_>, placeholders: &mut Placeholders<'_>) -> bool {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~{}".contains(c);
    if !name.trim().is_empty() && name.chars().all(is_token) {
        return true;
    }
    let message = format!("`{name}` can't be the name of a header: it is not sent");
    let help = "names have letters, digits and dashes, no spaces";
    placeholders
        .diagnostics
        .push(Diagnostic::warning("header-not-sent", &format!("{}/~key", node.at), message).help(help));
    false
}

/// Headers that belong to the host, which would drop them.
fn refuse_reserved(name: &str, node: &Node<'_>, placeholders: &mut Placeholders<'_>) {
    let help = match name.to_ascii_lowercase().as_str() {
        "host" | "accept-encoding" | "content-length" | "connection" | "transfer-encoding" => {
            "remove it: the host sets it by itself"
        }
        name if name.starts_with("airlock-") => {
            "remove it: headers that start with `airlock-` are between connector and host"
        }
        _ => return,
    };
    let at = format!("{}/~key", node.at);
    let message = format!("the header `{name}` belongs to the host");
    placeholders.diagnostics.push(Diagnostic::error("reserved-header", &at, message).help(help));
}

/// The parameters that are left for the query. An incremental's are set when its value is known.
fn query(params: &Fields<'_>, placeholders: &mut Placeholders<'_>) -> Vec<(Expression, Expression)> {
    let mut plain = Fields::default();
    for (name, node) in &params.entries {
        match (node.value, node.fields().text("type")) {
            (Value::Object(_), Some("resolve")) => {
                let message = format!("`{name}` is resolved from a parent, but the path does not name it");
                let help = "in a query, write `{resources.RESOURCE.FIELD}` as the value";
                placeholders.diagnostics.push(Diagnostic::error("unbound-param", &node.at, message).help(help));
            }
            (Value::Object(_), _) => {}
            _ => plain.entries.push((name, node.clone())),
        }
    }
    placeholders.entries(&plain, Role::Value)
}

/// `json: {}` is a body, `data: {}` is none.
fn body(resource: &Resource<'_>, placeholders: &mut Placeholders<'_>) -> Body {
    let data = resource.endpoint.given("data").filter(|node| !is_empty(node.value));
    let list = resource.endpoint.given("json").filter(|node| node.value.is_array());
    let json_is_empty = resource.json.as_ref().is_none_or(|fields| fields.entries.is_empty()) && list.is_none();
    if let Some(data) = data.filter(|_| !json_is_empty) {
        let message = "an endpoint has `json` or `data`, not both";
        placeholders.diagnostics.push(Diagnostic::error("conflicting-keys", &format!("{}/~key", data.at), message));
    }
    match (data, &resource.json, list) {
        (Some(data), ..) => form(data, placeholders),
        (None, Some(fields), _) => Body::Json(Expression::Object(placeholders.entries(fields, Role::Json))),
        (None, None, Some(list)) => Body::Json(placeholders.value(list, Role::Json)),
        (None, None, None) => Body::Empty,
    }
}

/// Code: `wrong-type`, for a list that is not one of pairs.
fn form(data: &Node<'_>, placeholders: &mut Placeholders<'_>) -> Body {
    if let Some(text) = data.text() {
        return Body::Raw(placeholders.text(text, &data.at));
    }
    if data.value.is_object() {
        return Body::Form(placeholders.entries(&data.fields(), Role::Value));
    }
    let mut pairs = Vec::new();
    for item in data.items() {
        match item.items().as_slice() {
            [name, value] if name.value.is_string() => {
                pairs.push((
                    placeholders.text(name.text().unwrap_or_default(), &name.at),
                    placeholders.value(value, Role::Value),
                ));
            }
            _ => {
                let message = "expected a pair: a name and a value";
                placeholders.diagnostics.push(Diagnostic::error("wrong-type", &item.at, message));
            }
        }
    }
    Body::Form(pairs)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(entries) => entries.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}
