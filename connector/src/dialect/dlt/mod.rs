//! dlt's REST API configuration (`RESTAPIConfig`), read into a `Plan`.
//!
//! First as written: `grammar`, in the words of `shape`, checked by `check` and printed by `schema`. Then as meant: one
//! module per part of a stream. Every mistake is said at once. Must never do I/O, and never see a secret's value.

mod auth;
mod check;
mod grammar;
mod grants;
mod hints;
mod incremental;
mod inherited;
mod paginator;
mod parents;
mod placeholders;
mod python;
mod relative;
mod request;
mod resource;
mod response;
mod schema;
mod shape;
mod template;
mod text;

use serde_json::Value;

use super::diagnostic::{self, Diagnostic, Diagnostics};
use super::node::{self, Node};
use crate::plan::{Grant, MissingField, Plan, Stream, Words};
use grants::Grants;
use parents::Child;
use placeholders::Placeholders;
use request::Client;
use resource::Resource;
use shape::Shape;

/// The plan, with warnings; or what is wrong: all errors and warnings.
pub fn plan(config: &Value) -> Result<(Plan, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut diagnostics = Diagnostics::default();
    let root = Node::root(config);
    check::check(&root, &Shape::Object(&grammar::CONFIG), &mut diagnostics);

    let mut grants = Grants::default();
    let resources = resource::resources(&root.fields(), &mut diagnostics);
    let client = Client::read(&root.fields().fields("client"), &resources, &mut grants, &mut diagnostics);
    let children: Vec<Child> =
        resources.iter().map(|resource| child(resource, &client, &mut grants, &mut diagnostics)).collect();
    let streams = parents::sorted(children, &mut diagnostics);

    let grants: Vec<Grant> = grants.finish();
    diagnostics.finish().map(|warnings| (Plan { streams, grants }, warnings))
}

/// JSON Schema (2020-12) of the configuration. Every place that may hold a secret says `"writeOnly": true`.
pub fn schema() -> Value {
    schema::schema(&grammar::CONFIG)
}

/// dlt's own words, which users look for, and its keys.
const WORDS: Words = Words {
    no_bound_in_url: "a placeholder in the path has no value: give the incremental an `initial_value`",
    no_cursor: "Set `on_cursor_value_missing` to `include` or `exclude` if that is right",
    no_records: "say so with `response_actions`: `content` of it, `action: ignore`",
    no_parent_field: |missing| {
        let MissingField { parent, field, target, available } = missing;
        let purpose = match target {
            Some(target) => format!("include it in child records under `{target}`"),
            None => format!("bind it to `{{resources.{parent}.{field}}}`"),
        };
        let available = available.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        format!(
            "Resource expects a field `{field}` to be present in the incoming data from resource `{parent}` in order to \
             {purpose}. Available parent fields are: [{available}]"
        )
    },
};

/// One stream, and where it refers to other streams.
fn child(resource: &Resource<'_>, client: &Client<'_>, grants: &mut Grants, diagnostics: &mut Diagnostics) -> Child {
    let cursor = incremental::cursor(resource, diagnostics);
    let page_params = paginator::page_params(resource, client.paginator.as_ref());
    let separator = parents::separator(resource);
    let mut placeholders = Placeholders::new(cursor.as_ref(), separator, page_params.clone(), diagnostics);
    let mut request = request::request(resource, client, grants, &mut placeholders);
    request.injections = cursor.as_ref().map(|cursor| placeholders.injections(cursor)).unwrap_or_default();
    let references = placeholders.finish();
    let hints = hints::hints(resource, diagnostics);
    let stream = Stream {
        name: resource.name.to_owned(),
        parent: None,
        selected: resource.fields.boolean("selected").unwrap_or(true),
        primary_key: hints.primary_key,
        merge_key: hints.merge_key,
        write_disposition: hints.write_disposition,
        hints: hints.others,
        request,
        paginator: paginator::paginator(resource, client.paginator.as_ref(), diagnostics),
        selector: response::selector(resource, &page_params, diagnostics),
        response_actions: response::actions(resource, diagnostics),
        incremental: cursor.map(|cursor| cursor.incremental),
        steps: response::steps(resource, diagnostics),
        format: response::format(resource, diagnostics),
        words: &WORDS,
    };
    Child::new(stream, resource, references)
}

#[cfg(test)]
mod tests;
