//! `host preview`: the first rows of a stream, as they would be loaded. Loads nothing.

use arrow::array::{Array as _, RecordBatch};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Map, Value, json};

use super::connection::{self, ConnectionArguments};
use super::sample::{self, Sampler};
use crate::connection::known;
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;
use crate::output::{Printer, shown};

/// Show the first rows of a stream, as they would be loaded
#[derive(Debug, Args)]
pub struct Preview {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// The stream [default: the first]
    stream: Option<String>,
    /// How many rows
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl Preview {
    pub fn execute(self, printer: &Printer) -> Result<u8> {
        let host = connection::host()?;
        host.block_on(self.previewed(&host, printer))
    }

    async fn previewed(&self, host: &Host, printer: &Printer) -> Result<u8> {
        let connection = self.connection.open(host).await?;
        let first = connection.streams.first().map(|stream| stream.name.clone());
        let Some(stream) = self.stream.clone().or(first) else {
            return Err(Error::new(ErrorKind::Config, "the configuration has no streams"));
        };
        known(&connection.streams, &stream)?;
        let mut normalizer = sample::normalizer(&connection)?;
        let mut sampler = Sampler::new(connection.instance().await?, &connection.streams);
        if let Some(page) = sampler.page(&stream).await? {
            sample::add(&mut normalizer, &stream, page.whole())?;
        }
        printer.remarks(&connection.source.remarks);
        let tables = normalizer.take()?.tables;
        if tables.is_empty() && !printer.json {
            printer.message(&format!("`{stream}` has no records"));
        }
        let mut documents = Map::new();
        for table in &tables {
            for batch in &table.batches {
                let batch = batch.slice(0, (self.limit as usize).min(batch.num_rows()));
                if printer.json {
                    documents.insert(table.table.clone(), rows(&batch)?);
                } else {
                    printer.document(&format!("{}\n{}", table.table, drawn(&batch)?));
                }
            }
        }
        if printer.json {
            printer.document(&json!({"version": 1, "stream": stream, "tables": documents}).to_string());
        }
        Ok(0)
    }
}

fn drawn(batch: &RecordBatch) -> Result<String> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    let (names, cells) = cells(batch)?;
    table.set_header(names.iter().map(|name| shown(name)));
    for row in cells {
        table.add_row(row.into_iter().map(|cell| shortened(shown(&cell.unwrap_or_default()).into_owned())));
    }
    Ok(table.to_string())
}

/// Enough to recognise a value by; `--json` shows it whole.
fn shortened(cell: String) -> String {
    const LONGEST: usize = 40;
    match cell.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &cell[..end]),
        None => cell,
    }
}

/// The data columns as JSON objects.
fn rows(batch: &RecordBatch) -> Result<Value> {
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::JsonArray>(Vec::new());
    writer.write(&data_columns(batch)?).and_then(|()| writer.finish()).map_err(broken)?;
    serde_json::from_slice(&writer.into_inner())
        .map_err(|source| Error::new(ErrorKind::Internal, "a row can't be shown").with_source(source))
}

/// Without dlt's columns, and timestamps without their zone, which is always UTC and needs a database of zones to be shown.
fn data_columns(batch: &RecordBatch) -> Result<RecordBatch> {
    let mut columns = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if field.name().starts_with("_dlt_") {
            continue;
        }
        let column = match column.data_type() {
            DataType::Timestamp(..) => {
                arrow::compute::cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None)).map_err(broken)?
            }
            _ => column.clone(),
        };
        columns.push((field.name().clone(), column));
    }
    RecordBatch::try_from_iter(columns).map_err(broken)
}

fn broken(source: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Internal, "a row can't be shown").with_source(source)
}

type Cells = (Vec<String>, Vec<Vec<Option<String>>>);

/// The data columns as text, row by row.
fn cells(batch: &RecordBatch) -> Result<Cells> {
    let batch = data_columns(batch)?;
    let mut rows = vec![Vec::new(); batch.num_rows()];
    for column in batch.columns() {
        let options = FormatOptions::default();
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options).map_err(broken)?;
        for (index, row) in rows.iter_mut().enumerate() {
            row.push((!column.is_null(index)).then(|| formatter.value(index).to_string()));
        }
    }
    Ok((batch.schema().fields().iter().map(|field| field.name().clone()).collect(), rows))
}
