//! `host check`: is the configuration right, are the secrets there, does the API take them?

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::connection::{self, ConnectionArguments};
use crate::error::Result;
use crate::host::Host;
use crate::normalize::{Normalizer, Options};
use crate::output::{self, Printer};
use crate::sandbox::printable;
use crate::schema::Schema;

/// Check the configuration, the secrets and the connection
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Make no request: check configuration and secrets only
    #[arg(long)]
    offline: bool,
    /// Show how each stream will be read: first request, paginator, selector, parent, cursor
    #[arg(long)]
    explain: bool,
}

impl Check {
    pub fn execute(self, printer: &Printer) -> Result<u8> {
        let host = connection::host()?;
        host.block_on(self.checked(&host, printer))
    }

    async fn checked(&self, host: &Host, printer: &Printer) -> Result<u8> {
        let connection = self.connection.open(host).await?;
        printer.remarks(&connection.source.remarks);
        // What a run would refuse before it reads anything: hints that make no sense, streams that share a table.
        let options = Options { naming: connection.settings.naming, ..Options::default() };
        Normalizer::new(Schema::default(), &connection.streams, options)?;
        let mut instance = connection.instance().await?;
        let explained = if self.explain { Some(instance.explain().await?) } else { None };
        let streams = connection.streams.len();
        if !printer.json {
            printer.document(&format!(
                "ok  configuration: {}, {streams} {}",
                self.connection.config.display(),
                if streams == 1 { "stream" } else { "streams" }
            ));
            for grant in &connection.grants {
                let kinds: Vec<&str> = grant.credentials.iter().map(|credential| credential.kind()).collect();
                let with = if kinds.is_empty() { "no credential".to_owned() } else { kinds.join(", ") };
                printer.document(&format!("ok  grant: {} with {with}", grant.origin));
            }
        }
        if !self.offline {
            instance.check().await?;
            if !printer.json {
                printer.document("ok  connection: the API answers");
            }
        }
        match (printer.json, explained) {
            (true, explained) => {
                let grants: Vec<&str> = connection.grants.iter().map(|grant| grant.origin.as_str()).collect();
                let names: Vec<&str> = connection.streams.iter().map(|stream| stream.name.as_str()).collect();
                let document = json!({
                    "version": 1, "ok": true, "connected": !self.offline, "streams": names, "grants": grants, "plan": explained,
                    "warnings": connection.source.remarks.take_warnings(),
                    "diagnostics": output::diagnostics(&connection.source.remarks.diagnostics()),
                });
                printer.document(&document.to_string());
            }
            (false, Some(plan)) => printer.document(&readable(&plan)),
            (false, None) => {}
        }
        Ok(0)
    }
}

/// The plan as text: a heading per stream, one line per fact.
fn readable(plan: &Value) -> String {
    let mut text = String::new();
    for stream in plan.as_array().into_iter().flatten() {
        let Some(facts) = stream.as_object() else { continue };
        let _ = writeln!(text, "\n{}", printable(facts.get("stream").and_then(Value::as_str).unwrap_or("?")));
        for (name, value) in facts.iter().filter(|(name, _)| *name != "stream") {
            match value {
                Value::Null => {}
                Value::Object(parts) => {
                    for (part, value) in parts.iter().filter(|(_, value)| !is_empty(value)) {
                        let _ = writeln!(text, "  {}.{}: {}", printable(name), printable(part), plain(value));
                    }
                }
                value if is_empty(value) => {}
                value => {
                    let _ = writeln!(text, "  {}: {}", printable(name), plain(value));
                }
            }
        }
    }
    text.trim_end().to_owned()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

fn plain(value: &Value) -> String {
    // The connector's own words, which may hold anything.
    printable(&match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    })
}
