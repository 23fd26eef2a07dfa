//! Resources with `resource_defaults` merged in, as dlt does: a resource's key replaces the default's, a null included;
//! `endpoint` is merged key by key; of its keys only `params` and `json` entry by entry; `columns` column by column.
//!
//! Must never lose where a value was written: defaults keep their own place.

use serde_json::{Map, Value};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::node::{Fields, Node};

/// A resource as it is meant, in the words in which it was written.
pub(super) struct Resource<'a> {
    pub(super) name: &'a str,
    /// The resource itself.
    pub(super) at: String,
    pub(super) name_at: String,
    /// Everything but `endpoint`.
    pub(super) fields: Fields<'a>,
    /// Column hints by name; null hints are left out.
    pub(super) columns: Map<String, Value>,
    pub(super) path: Node<'a>,
    pub(super) endpoint: Fields<'a>,
    pub(super) params: Fields<'a>,
    /// None: there is none, or it is not an object.
    pub(super) json: Option<Fields<'a>>,
}

/// Codes: `duplicate-name`, `empty-name`, `no-resources`.
pub(super) fn resources<'a>(root: &Fields<'a>, diagnostics: &mut Diagnostics) -> Vec<Resource<'a>> {
    let mut defaults = Fields::default();
    for key in ["schema_contract", "max_table_nesting"] {
        if let Some(node) = root.given(key) {
            defaults.entries.push((key, node.clone()));
        }
    }
    let defaults = defaults.overlaid(&root.fields("resource_defaults"));

    let nodes = root.given("resources").map(Node::items).unwrap_or_default();
    if root.given("resources").is_some_and(|node| node.value.as_array().is_some_and(Vec::is_empty)) {
        let at = "/resources";
        diagnostics.push(Diagnostic::warning("no-resources", at, "there is nothing to read"));
    }
    let mut resources: Vec<Resource<'a>> = Vec::new();
    for node in nodes {
        let Some(resource) = read(&node, &defaults, diagnostics) else { continue };
        if let Some(first) = resources.iter().find(|other| other.name == resource.name) {
            let message = format!("there is already a resource `{}`", resource.name);
            let help = format!("the first one stands at {}", first.at);
            diagnostics.push(Diagnostic::error("duplicate-name", &resource.name_at, message).help(help));
        }
        resources.push(resource);
    }
    resources
}

/// The name that dlt falls back to.
const NAMELESS: &str = "paginate_resource";

/// None: it is no resource, or has no name; `check` has said so.
fn read<'a>(node: &Node<'a>, defaults: &Fields<'a>, diagnostics: &mut Diagnostics) -> Option<Resource<'a>> {
    let written = node.fields();
    let name = if node.value.is_string() { node.clone() } else { written.given("name")?.clone() };
    let own = endpoint_fields(written.given("endpoint"));
    let default = endpoint_fields(defaults.given("endpoint"));
    let endpoint = default.overlaid(&own);
    let mut fields = defaults.overlaid(&written);
    fields.remove("endpoint");
    if name.text() == Some("") {
        let message = format!("the name is empty: the resource is called `{NAMELESS}`, as in dlt");
        diagnostics.push(Diagnostic::warning("empty-name", &name.at, message).help("give it a name"));
    }
    Some(Resource {
        name: name.text().map(|name| if name.is_empty() { NAMELESS } else { name })?,
        at: node.at.clone(),
        name_at: name.at.clone(),
        columns: columns(defaults.given("columns"), written.written("columns")),
        fields,
        path: own.given("path").cloned().unwrap_or(name),
        params: merged(&default, &own, "params").unwrap_or_default(),
        json: merged(&default, &own, "json"),
        endpoint,
    })
}

/// A text is short for `{path: TEXT}`.
fn endpoint_fields<'a>(endpoint: Option<&Node<'a>>) -> Fields<'a> {
    match endpoint {
        Some(node) if node.value.is_string() => Fields { entries: vec![("path", node.clone())] },
        Some(node) => node.fields(),
        None => Fields::default(),
    }
}

/// The object under a key, the default's entries first. A null resets.
fn merged<'a>(default: &Fields<'a>, own: &Fields<'a>, key: &str) -> Option<Fields<'a>> {
    let object = |fields: &Fields<'a>| fields.given(key).filter(|node| node.value.is_object()).map(Node::fields);
    match (object(default), own.written(key)) {
        (default, None) => default,
        (Some(default), Some(own)) if own.value.is_object() => Some(default.overlaid(&own.fields())),
        (_, Some(_)) => object(own),
    }
}

/// Columns by name, out of an object or a list. An empty or null `own` replaces the default.
fn columns(default: Option<&Node<'_>>, own: Option<&Node<'_>>) -> Map<String, Value> {
    let mut columns = default.map(|node| columns_by_name(node.value)).unwrap_or_default();
    let Some(own) = own else { return columns };
    let own = columns_by_name(own.value);
    if own.is_empty() {
        return own;
    }
    for (name, hints) in own {
        match (columns.get_mut(&name), hints) {
            (Some(Value::Object(default)), Value::Object(hints)) => default.extend(hints),
            (_, hints) => drop(columns.insert(name, hints)),
        }
    }
    columns
}

/// `{name: hints}` out of that or `[{name, …hints}]`; a hint that is null is as good as none.
pub(super) fn columns_by_name(columns: &Value) -> Map<String, Value> {
    let hints = |hints: &Value| {
        let hints = hints.as_object().into_iter().flatten();
        let hints = hints.filter(|(key, value)| *key != "name" && !value.is_null());
        Value::Object(hints.map(|(key, value)| (key.clone(), value.clone())).collect())
    };
    match columns {
        Value::Object(columns) => columns.iter().map(|(name, column)| (name.clone(), hints(column))).collect(),
        Value::Array(columns) => columns
            .iter()
            .filter_map(|column| Some((column.get("name")?.as_str()?.to_owned(), hints(column))))
            .collect(),
        _ => Map::new(),
    }
}
