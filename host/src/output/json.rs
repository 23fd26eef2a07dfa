//! Documents for programs. Each carries `version`, which changes only when a key changes its meaning or goes.

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Severity};
use crate::error::Error;
use crate::report::Report;

const VERSION: u32 = 1;

pub(super) fn report(report: &Report) -> Value {
    let streams: Vec<Value> = report
        .streams
        .iter()
        .map(|stream| {
            json!({
                "name": stream.name, "pages": stream.pages, "records": stream.records, "requests": stream.requests,
                "retries": stream.retries, "bytes": stream.bytes, "masked": stream.masked, "loaded": stream.loaded,
                "finished": stream.error.is_none() && !stream.unfinished, "error": stream.error.as_ref().map(inner),
            })
        })
        .collect();
    let tables: Vec<Value> = report
        .tables
        .iter()
        .map(|table| json!({"name": table.name, "rows": table.rows, "write_disposition": table.write_disposition.name(), "new": table.is_new, "waits": table.waits}))
        .collect();
    let changes: Vec<Value> = report
        .changes
        .iter()
        .map(|change| json!({"table": change.table, "new_column": change.column, "data_type": change.data_type.name()}))
        .collect();
    json!({
        "version": VERSION,
        "pipeline": report.pipeline,
        "destination": report.destination,
        "dataset": report.dataset,
        "exit_code": report.exit_code(),
        "load_ids": report.load_ids,
        "streams": streams,
        "tables": tables,
        "schema_changes": changes,
        "warnings": report.warnings,
        "diagnostics": diagnostics(&report.diagnostics),
        "resumed": report.resumed,
        "interrupted": report.interrupted,
        "error": report.failure.as_ref().map(inner),
        "seconds": report.duration.as_secs_f64(),
    })
}

pub(super) fn error(error: &Error) -> Value {
    json!({"version": VERSION, "exit_code": error.kind().exit_code(), "error": inner(error)})
}

fn inner(error: &Error) -> Value {
    let context: serde_json::Map<String, Value> =
        error.context().iter().map(|(key, value)| (key.to_string(), Value::from(value.as_str()))).collect();
    json!({
        "kind": error.kind().code(),
        "message": error.message(),
        "context": context,
        "causes": error.causes(),
        "help": error.help(),
        "diagnostics": diagnostics(error.diagnostics()),
    })
}

/// As in an error.
pub fn diagnostics(found: &[Diagnostic]) -> Vec<Value> {
    found.iter().map(diagnostic).collect()
}

fn diagnostic(diagnostic: &Diagnostic) -> Value {
    let place = diagnostic.place.as_ref().map(|place| {
        let (line, column) = place.line_and_column();
        json!({"file": place.file, "line": line, "column": column})
    });
    json!({
        "severity": match diagnostic.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "code": diagnostic.code,
        "at": diagnostic.at,
        "message": diagnostic.message,
        "help": diagnostic.help,
        "place": place,
    })
}
