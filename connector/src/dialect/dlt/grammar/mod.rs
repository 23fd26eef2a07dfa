//! The grammar of the configuration: dlt's `RESTAPIConfig`, key for key, and our additions, which say so.
//!
//! Both the checks and the JSON Schema come from here. Must never hold logic.

mod auth;
mod endpoint;
mod paginator;
mod resource;

pub(super) use endpoint::{ACTIONS, INCREMENTAL_PARAM};
pub(super) use resource::STRATEGY_OPTIONS;

use super::shape::{Key, Object, Shape, key, required};

pub(super) const CONFIG: Object = Object {
    name: "configuration",
    description: "A REST API to read from: dlt's RESTAPIConfig, key for key. Top-level keys that start with `x-` are \
                  ignored, which gives YAML anchors a place to stand.",
    keys: &[&[
        required("client", Shape::Object(&CLIENT), "How to reach the API."),
        required("resources", Shape::List(&RESOURCE), "What to read. A text is short for `{name: TEXT}`."),
        key("resource_defaults", Shape::Object(&resource::RESOURCE_DEFAULTS), "What every resource starts from."),
        key("name", Shape::Text, "Name of the source."),
        key("schema_contract", resource::SCHEMA_CONTRACT, "The schema contract of resources that have none."),
        key("max_table_nesting", Shape::Integer(0), "The nesting limit of resources that have none."),
        key("parallelized", Shape::Boolean, "Accepted for dlt; the host reads streams side by side anyway."),
    ]],
    free_prefix: Some("x-"),
};

const RESOURCE: Shape = Shape::Either(&[Shape::Text, Shape::Object(&resource::RESOURCE)]);

const CLIENT: Object =
    Object { name: "client", description: "How to reach the API.", keys: &[CLIENT_KEYS], free_prefix: None };

const CLIENT_KEYS: &[Key] = &[
    required("base_url", Shape::Text, "What endpoint paths are appended to, such as `https://api.example.com/v1`."),
    key("headers", Shape::Map(&Shape::Scalar), "Sent with every request, as they stand: placeholders are not filled."),
    key("auth", auth::AUTH, "How requests are authenticated."),
    key("paginator", paginator::PAGINATOR, "How to come from one page to the next."),
    key("session", Shape::Python("remove it: timeouts and retries are settings of the host"), "Python only."),
];
