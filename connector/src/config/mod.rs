//! dlt's REST API configuration (`RESTAPIConfig`), read into a `Plan`.
//!
//! First as written: `grammar`, in the words of `shape`, checked by `check` and printed by `schema`. Then as meant: one
//! module per part of a stream. Every mistake is said at once. Must never do I/O, and never see a secret's value.

mod auth;
mod check;
mod diagnostic;
mod grammar;
mod grants;
mod hints;
mod incremental;
mod node;
mod paginator;
mod parents;
mod placeholders;
mod request;
mod resource;
mod response;
mod schema;
mod shape;

use serde_json::Value;

pub use diagnostic::{Diagnostic, Severity};

use crate::plan::{Grant, Plan, Stream};
use diagnostic::Diagnostics;
use grants::Grants;
use node::Node;
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

/// One stream, and where it refers to other streams.
fn child(resource: &Resource<'_>, client: &Client<'_>, grants: &mut Grants, diagnostics: &mut Diagnostics) -> Child {
    let incremental = incremental::incremental(resource, diagnostics);
    let page_params = paginator::page_params(resource, client.paginator.as_ref());
    let mut placeholders = Placeholders::new(incremental.is_some(), page_params.clone(), diagnostics);
    let request = request::request(resource, client, grants, &mut placeholders);
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
        incremental,
        steps: response::steps(resource, diagnostics),
        format: response::format(resource, diagnostics),
    };
    Child::new(stream, resource, references)
}

#[cfg(test)]
mod tests;
