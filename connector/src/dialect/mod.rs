//! Dialects: how somebody writes an API down. Each reads a configuration into a `Plan`, or says what is wrong with it.
//!
//! What stands behind the plan knows no dialect. Must do no I/O, and never see a secret's value.

pub mod diagnostic;
pub mod dlt;
mod node;

use serde_json::Value;

pub use diagnostic::{Diagnostic, Severity};

use crate::plan::Plan;

/// The plan, with warnings; or what is wrong: all errors and warnings.
pub fn plan(config: &Value) -> Result<(Plan, Vec<Diagnostic>), Vec<Diagnostic>> {
    dlt::plan(config)
}

/// JSON Schema (2020-12) of the configuration. Every place that may hold a secret says `"writeOnly": true`.
pub fn schema() -> Value {
    dlt::schema()
}
