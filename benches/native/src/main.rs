//! The floor: downloads the demo API's tasks and writes them as they are, with nothing between but a parser.
//!
//! `native jsonl|parquet|duckdb HOST:PORT FILE`. It knows the API and its types beforehand, checks nothing, takes no list
//! apart, and could not go on after an interruption: what the host does more is what it costs more.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::Deserialize;
use serde_json::value::RawValue;

const PAGE: usize = 1000;
const ROWS_AT_ONCE: usize = 8192;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, server, file] = arguments.as_slice() else { bail!("native jsonl|parquet|duckdb HOST:PORT FILE") };
    match format.as_str() {
        "jsonl" => {
            let mut lines = BufWriter::with_capacity(1 << 18, File::create(file)?);
            each_record(server, |record| Ok(lines.write_all(record).and_then(|()| lines.write_all(b"\n"))?))?;
            Ok(lines.flush()?)
        }
        "parquet" => {
            let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
            let mut writer = ArrowWriter::try_new(File::create(file)?, tasks(), Some(properties))?;
            each_batch(server, |batch| Ok(writer.write(&batch)?))?;
            writer.close()?;
            Ok(())
        }
        "duckdb" => {
            let connection = duckdb::Connection::open(file)?;
            let columns: Vec<String> = tasks().fields().iter().map(|field| column(field)).collect();
            connection.execute_batch(&format!("CREATE TABLE tasks ({}); BEGIN", columns.join(", ")))?;
            each_batch(server, |batch| {
                let mut appender = connection.appender("tasks")?;
                appender.append_record_batch(batch)?;
                Ok(appender.flush()?)
            })?;
            Ok(connection.execute_batch("COMMIT; CHECKPOINT")?)
        }
        other => bail!("no format is called {other}"),
    }
}

fn tasks() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let whole = |name| Field::new(name, DataType::Int64, true);
    let double = |name| Field::new(name, DataType::Float64, true);
    let moment = |name| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), true);
    let list = |name, item: DataType| Field::new_list(name, Field::new_list_field(item, true), true);
    let object = |fields: Vec<Field>| DataType::Struct(fields.into());
    Arc::new(Schema::new(vec![
        whole("id"),
        text("key"),
        whole("project_id"),
        text("title"),
        text("description"),
        text("status"),
        text("priority"),
        double("progress"),
        Field::new("due_date", DataType::Date32, true),
        moment("created_at"),
        moment("updated_at"),
        moment("completed_at"),
        Field::new("estimate", object(vec![double("hours"), double("confidence"), whole("estimated_by")]), true),
        list("assignees", object(vec![whole("user_id"), text("name"), text("role"), double("share")])),
        list("labels", DataType::Utf8),
        list("custom_fields", object(vec![text("name"), text("text"), double("number")])),
    ]))
}

/// A column as DuckDB declares it.
fn column(field: &Field) -> String {
    fn sql(data_type: &DataType) -> String {
        match data_type {
            DataType::Int64 => "BIGINT".to_owned(),
            DataType::Float64 => "DOUBLE".to_owned(),
            DataType::Date32 => "DATE".to_owned(),
            DataType::Timestamp(..) => "TIMESTAMPTZ".to_owned(),
            DataType::List(item) => format!("{}[]", sql(item.data_type())),
            DataType::Struct(fields) => {
                format!("STRUCT({})", fields.iter().map(|field| column(field)).collect::<Vec<_>>().join(", "))
            }
            _ => "VARCHAR".to_owned(),
        }
    }
    format!("\"{}\" {}", field.name(), sql(field.data_type()))
}

fn each_batch(server: &str, mut take: impl FnMut(RecordBatch) -> Result<()>) -> Result<()> {
    let mut decoder = ReaderBuilder::new(tasks()).with_batch_size(ROWS_AT_ONCE).build_decoder()?;
    let mut flush = |decoder: &mut Decoder| decoder.flush()?.map_or(Ok(()), &mut take);
    each_record(server, |record| {
        let mut rest = record;
        while !rest.is_empty() {
            rest = &rest[decoder.decode(rest)?..];
            if !rest.is_empty() {
                flush(&mut decoder)?;
            }
        }
        Ok(())
    })?;
    flush(&mut decoder)
}

/// Every record's own text, page by page, over one connection.
fn each_record(server: &str, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut sender = TcpStream::connect(server)?;
    sender.set_nodelay(true)?;
    let mut receiver = BufReader::with_capacity(1 << 16, sender.try_clone()?);
    let (mut body, mut line) = (Vec::new(), String::new());
    for number in 0.. {
        let target = format!("/api/v1/tasks?offset={}&limit={PAGE}&api_key=demo-key-4f6c1d", number * PAGE);
        write!(sender, "GET {target} HTTP/1.1\r\nHost: {server}\r\n\r\n")?;
        let mut length = None;
        loop {
            line.clear();
            receiver.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = Some(value.trim().parse()?);
                }
                _ if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        body.resize(length.context("no content-length")?, 0);
        receiver.read_exact(&mut body)?;
        let page: Page = serde_json::from_slice(&body)?;
        if page.data.is_empty() {
            break;
        }
        page.data.iter().try_for_each(|record| take(record.get().as_bytes()))?;
    }
    Ok(())
}
