//! `host discover`: the streams of a connection, and the tables that their first records make.

use clap::Args;
use serde_json::{Value, json};

use super::connection::{self, ConnectionArguments};
use super::sample::{self, Sampler};
use crate::error::Result;
use crate::host::Host;
use crate::output::Printer;
use crate::schema::{Column, Schema, StreamSpec};

/// Show the streams, and the tables that their first records make
#[derive(Debug, Args)]
pub struct Discover {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Make no request: show what the configuration says only
    #[arg(long)]
    offline: bool,
}

impl Discover {
    pub fn execute(self, printer: &Printer) -> Result<u8> {
        let host = connection::host()?;
        host.block_on(self.discovered(&host, printer))
    }

    async fn discovered(&self, host: &Host, printer: &Printer) -> Result<u8> {
        let connection = self.connection.open(host).await?;
        let mut normalizer = sample::normalizer(&connection)?;
        if !self.offline {
            let mut sampler = Sampler::new(connection.instance().await?, &connection.streams);
            for stream in &connection.streams {
                if let Some(page) = sampler.page(&stream.name).await? {
                    sample::add(&mut normalizer, &stream.name, page.whole())?;
                }
            }
        }
        printer.remarks(&connection.source.remarks);
        let schema = normalizer.schema();
        if printer.json {
            let streams: Vec<Value> = connection.streams.iter().map(|stream| document(stream, schema)).collect();
            printer.document(&json!({"version": 1, "streams": streams}).to_string());
        } else {
            for stream in &connection.streams {
                show(stream, schema, printer);
            }
        }
        Ok(0)
    }
}

fn show(stream: &StreamSpec, schema: &Schema, printer: &Printer) {
    let mut facts = vec![stream.write_disposition.name().to_owned()];
    if !stream.primary_key.is_empty() {
        facts.push(format!("primary key {}", stream.primary_key.join(", ")));
    }
    if let Some(cursor) = &stream.cursor_field {
        facts.push(format!("cursor {cursor}"));
    }
    if let Some(parent) = &stream.parent {
        facts.push(format!("for each of {parent}"));
    }
    if !stream.selected {
        facts.push("not loaded".to_owned());
    }
    printer.document(&format!("{}: {}", stream.name, facts.join(", ")));
    for table in schema.tables.values().filter(|table| table.stream == stream.name) {
        printer.document(&format!("  {}", table.name));
        let width = table.columns.keys().map(|name| name.chars().count()).max().unwrap_or(0);
        for column in table.columns.values() {
            printer.document(&format!("    {:<width$}  {}", column.name, describe(column)));
        }
    }
}

fn describe(column: &Column) -> String {
    let mut text = column.data_type.name().to_owned();
    if column.primary_key {
        text.push_str(", primary key");
    } else if !column.nullable {
        text.push_str(", not null");
    }
    text
}

fn document(stream: &StreamSpec, schema: &Schema) -> Value {
    let tables: Vec<Value> = schema
        .tables
        .values()
        .filter(|table| table.stream == stream.name)
        .map(|table| {
            let columns: Vec<Value> = table
                .columns
                .values()
                .map(|column| {
                    json!({"name": column.name, "data_type": column.data_type.name(), "nullable": column.nullable, "primary_key": column.primary_key})
                })
                .collect();
            json!({"name": table.name, "parent": table.parent, "columns": columns})
        })
        .collect();
    json!({
        "name": stream.name, "parent": stream.parent, "selected": stream.selected, "primary_key": stream.primary_key,
        "merge_key": stream.merge_key, "cursor_field": stream.cursor_field,
        "write_disposition": stream.write_disposition.name(), "tables": tables,
    })
}
