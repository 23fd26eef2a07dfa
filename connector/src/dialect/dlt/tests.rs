//! Tables of configurations, with the plans or mistakes that they give.

mod mistakes;
mod plans;
mod schema;

use serde_json::{Value, json};

use super::plan;
use crate::plan::{Plan, Stream};

/// A configuration with these resources and a plain client.
fn with_resources(resources: Value) -> Value {
    json!({"client": {"base_url": "https://api.example.com/v1"}, "resources": resources})
}

fn with_endpoint(endpoint: Value) -> Value {
    with_resources(json!([{"name": "things", "endpoint": endpoint}]))
}

fn planned(config: &Value) -> Plan {
    match plan(config) {
        Ok((plan, _)) => plan,
        Err(diagnostics) => panic!("{config}: {diagnostics:#?}"),
    }
}

fn only_stream(config: &Value) -> Stream {
    planned(config).streams.remove(0)
}
