//! What a resource tells the destination: keys, write disposition, columns, contract.
//!
//! Must never let a merge through that has nothing to merge by: dlt appends then, silently.

use serde_json::{Map, Value, json};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::grammar::STRATEGY_OPTIONS;
use super::node::{Fields, Node};
use super::resource::{Resource, columns_by_name};
use crate::plan::WriteDisposition;

pub(super) struct Hints {
    pub(super) write_disposition: WriteDisposition,
    pub(super) primary_key: Vec<String>,
    pub(super) merge_key: Vec<String>,
    /// See `stream.hints` in the WIT.
    pub(super) others: Map<String, Value>,
}

/// The column that holds the id of each row, which no response has.
const ROW_ID: &str = "_dlt_id";

/// Handed through under the same name.
const PASSED_ON: &[&str] = &[
    "table_name",
    "schema_contract",
    "max_table_nesting",
    "table_format",
    "file_format",
    "parent_table_name",
    "references",
];

/// Options of a merge that change which rows are there in the end, and that no destination here knows.
const UNKNOWN_TO_DESTINATIONS: &[&str] =
    &["source_filter", "destination_scope", "skip_unchanged_rows", "row_version_column_name"];

/// Keys of dlt's that change nothing here, nor which rows land.
const WITHOUT_EFFECT: &[&str] = &["table_format", "file_format", "parent_table_name", "references"];

/// Codes: `merge-without-key`, `option-without-effect`, `not-supported`.
pub(super) fn hints(resource: &Resource<'_>, diagnostics: &mut Diagnostics) -> Hints {
    let fields = &resource.fields;
    let mut others = Map::new();
    for key in PASSED_ON {
        if let Some(node) = fields.given(key) {
            others.insert((*key).to_owned(), node.value.clone());
            if WITHOUT_EFFECT.contains(key) {
                let message = format!("`{key}` has no effect here");
                diagnostics.push(Diagnostic::warning("without-effect", &format!("{}/~key", node.at), message));
            }
        }
    }
    if !resource.columns.is_empty() {
        others.insert("columns".to_owned(), Value::Object(resource.columns.clone()));
    }
    if let Some(node) = fields.given("nested_hints") {
        others.insert("nested_hints".to_owned(), nested_hints(&node.fields(), diagnostics));
    }
    let mut primary_key = keys(resource, "primary_key");
    let merge_key = keys(resource, "merge_key");
    let key_is_generated = primary_key.iter().any(|name| name == ROW_ID);
    if key_is_generated {
        primary_key.clear();
    }
    let write_disposition = fields.given("write_disposition");
    let disposition = write_disposition.map_or(WriteDisposition::Append, |node| {
        let (disposition, options) = disposition(node, diagnostics);
        let strategy = options.get("strategy").and_then(Value::as_str);
        let is_keyless = key_is_generated && merge_key.is_empty() && strategy != Some("scd2");
        if disposition == WriteDisposition::Merge && is_keyless {
            // Every record is new by such a key.
            return WriteDisposition::Append;
        }
        if disposition == WriteDisposition::Merge {
            check_keys(node, strategy, &primary_key, &merge_key, diagnostics);
        }
        others.extend(options);
        disposition
    });
    if key_is_generated {
        let at = fields.given("primary_key").map_or(&resource.at, |node| &node.at);
        let message = match disposition {
            WriteDisposition::Append if write_disposition.is_some_and(|node| node.text() != Some("append")) => {
                "`_dlt_id` is made anew for each record, so by this key none is the same: records are appended"
            }
            _ => "`_dlt_id` is made anew for each record: it tells none from another",
        };
        let help = "name what tells records apart in the API, such as `primary_key: id`";
        diagnostics.push(Diagnostic::warning("generated-key", at, message).help(help));
    }
    Hints { write_disposition: disposition, primary_key, merge_key, others }
}

/// The names given, or else the columns that say so.
fn keys(resource: &Resource<'_>, key: &str) -> Vec<String> {
    if resource.fields.given(key).is_some() {
        return resource.fields.texts(key);
    }
    let columns = resource.columns.iter().filter(|(_, hints)| hints.get(key) == Some(&Value::Bool(true)));
    columns.map(|(name, _)| name.clone()).collect()
}

/// The disposition, and of an object the strategy and its options.
fn disposition(node: &Node<'_>, diagnostics: &mut Diagnostics) -> (WriteDisposition, Map<String, Value>) {
    let fields = node.fields();
    let disposition = match node.text().or_else(|| fields.text("disposition")) {
        Some("replace") => WriteDisposition::Replace,
        Some("merge") => WriteDisposition::Merge,
        Some("skip") => WriteDisposition::Skip,
        _ => WriteDisposition::Append,
    };
    let strategy = fields.text("strategy").unwrap_or("delete-insert");
    let mut options = Map::new();
    for (key, node) in fields.entries.iter().filter(|(key, _)| *key != "disposition") {
        let strategies = STRATEGY_OPTIONS.iter().find(|(option, _)| option == key).map(|(_, strategies)| *strategies);
        let at = format!("{}/~key", node.at);
        if disposition != WriteDisposition::Merge && !node.value.is_null() {
            let message = format!("`{key}` is for `disposition: merge`");
            diagnostics.push(Diagnostic::error("option-without-effect", &at, message));
        } else if strategies.is_some_and(|strategies| !strategies.contains(&strategy)) {
            let message = format!("the strategy `{strategy}` knows no `{key}`");
            diagnostics.push(Diagnostic::error("option-without-effect", &at, message));
        } else if UNKNOWN_TO_DESTINATIONS.contains(key) {
            let message = format!("`{key}` is not supported: other rows would be there in the end than in dlt");
            diagnostics.push(Diagnostic::error("not-supported", &at, message).help("leave it out"));
        } else {
            // A null counts: `active_record_timestamp: null` is a choice.
            options.insert((*key).to_owned(), node.value.clone());
        }
    }
    if options.get("strategy").is_some_and(Value::is_null) {
        options.remove("strategy");
    }
    (disposition, options)
}

fn check_keys(
    node: &Node<'_>,
    strategy: Option<&str>,
    primary_key: &[String],
    merge_key: &[String],
    diagnostics: &mut Diagnostics,
) {
    let (missing, needed) = match strategy {
        Some("scd2") => (false, ""),
        Some("upsert" | "insert-only") => (primary_key.is_empty(), "a `primary_key`"),
        _ => (primary_key.is_empty() && merge_key.is_empty(), "a `primary_key` or `merge_key`"),
    };
    if missing {
        let strategy = strategy.unwrap_or("merge");
        let help = "name the columns that tell records apart, such as `primary_key: id`";
        diagnostics.push(match strategy {
            // The destination says so, as in dlt; without a word from here a merge would append in silence.
            "upsert" | "insert-only" => {
                let message = format!("{strategy} needs {needed}: the destination will refuse the records");
                Diagnostic::warning("merge-without-key", &node.at, message).help(help)
            }
            _ => {
                let message = format!("{strategy} needs {needed}");
                Diagnostic::error("merge-without-key", &node.at, message).help(help)
            }
        });
    }
}

/// As written, with names of columns as lists, columns by name, and the disposition checked.
fn nested_hints(tables: &Fields<'_>, diagnostics: &mut Diagnostics) -> Value {
    let tables = tables.entries.iter().map(|(table, node)| {
        let mut hints = Map::new();
        for (key, node) in node.fields().entries.iter().filter(|(_, node)| !node.value.is_null()) {
            let hint = match *key {
                "primary_key" | "merge_key" => json!(node.texts()),
                "columns" => Value::Object(columns_by_name(node.value)),
                "write_disposition" => {
                    disposition(node, diagnostics);
                    node.value.clone()
                }
                _ => node.value.clone(),
            };
            hints.insert((*key).to_owned(), hint);
        }
        ((*table).to_owned(), Value::Object(hints))
    });
    Value::Object(tables.collect())
}
