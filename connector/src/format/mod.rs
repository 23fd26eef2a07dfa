//! A response's body as one JSON text, whatever it was sent as.
//!
//! JSON stays the very text that came. JSON lines, CSV and XML become an array of records. A gzip'd file (not to be
//! confused with a compressed transfer, which the host undoes) is known by its magic number. Must bound what it unpacks.

mod charset;
mod xml;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};

use crate::document::Document;
use crate::error::{Error, excerpt};
use crate::http::{HttpRequest, HttpResponse};
use crate::plan::ResponseFormat;
use crate::selector::Key;

/// Bytes that an unpacked body may have.
const LARGEST: u64 = 512 * 1024 * 1024;

/// Reads a response's body; `place` names the stream in errors. `records`: where the records are, if nobody looks into
/// them here; whether those are JSON is then left to who does.
pub fn read(
    format: &ResponseFormat,
    request: &HttpRequest,
    response: &mut HttpResponse,
    place: &str,
    records: Option<&[Key]>,
) -> Result<Document, Error> {
    let content_type = response.header("content-type").unwrap_or("nothing").to_owned();
    let bytes = unpack(std::mem::take(&mut response.body)).map_err(|error| said(request, place, &error))?;
    let declared = matches!(format, ResponseFormat::Xml { .. }).then(|| charset::of_prolog(&bytes)).flatten();
    let declared = declared.map(str::to_owned);
    let text =
        charset::decode(bytes, &content_type, declared.as_deref()).map_err(|error| said(request, place, &error))?;
    let status = response.status;
    let refused = |expected: &str, error: &str, text: &str| {
        let shown = excerpt(text);
        let shown = if shown.is_empty() { "an empty body".to_owned() } else { format!("`{shown}`") };
        said(request, place, &format!("not {expected} ({error}) but {content_type}, status {status}: {shown}"))
    };
    let json = match format {
        ResponseFormat::Json => text,
        ResponseFormat::JsonLines => json_lines(&text).map_err(|(error, line)| refused("JSON lines", &error, line))?,
        ResponseFormat::Csv { delimiter } => {
            csv(&text, *delimiter).map_err(|error| refused("CSV", &error.to_string(), &text))?
        }
        ResponseFormat::Xml { record_path } => {
            xml::records(&text, record_path).map_err(|error| refused("XML", &error, &text))?
        }
    };
    let parsed = match records {
        Some(keys) => Document::parse_around(json, keys),
        None => Document::parse(json),
    };
    parsed.map_err(|failed| refused("JSON", &failed.error.to_string(), &failed.text))
}

fn said(request: &HttpRequest, place: &str, error: &str) -> Error {
    Error::BadData(format!("{place}: {} {}: {error}", request.method, request.url))
}

fn unpack(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    let mut reader = MultiGzDecoder::new(bytes.as_slice()).take(LARGEST + 1);
    reader.read_to_end(&mut unpacked).map_err(|error| format!("the gzip'd body is broken: {error}"))?;
    if unpacked.len() as u64 > LARGEST {
        return Err(format!("the gzip'd body unpacks to more than {LARGEST} bytes"));
    }
    Ok(unpacked)
}

/// One record a line; empty lines are nothing.
fn json_lines(text: &str) -> Result<String, (String, &str)> {
    let mut array = String::with_capacity(text.len() + 2);
    array.push('[');
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(line) {
            return Err((format!("line {}: {error}", number + 1), line));
        }
        if array.len() > 1 {
            array.push(',');
        }
        array.push_str(line);
    }
    array.push(']');
    Ok(array)
}

/// Every field is a text under its column's name; an empty one is null.
fn csv(text: &str, delimiter: char) -> Result<String, csv::Error> {
    let delimiter = u8::try_from(delimiter).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let columns = columns(reader.headers()?.iter());
    let mut records = Vec::new();
    for row in reader.records() {
        let row = row?;
        let fields = columns.iter().zip(row.iter()).map(|(column, field)| {
            let value = if field.is_empty() { Value::Null } else { Value::from(field) };
            (column.clone(), value)
        });
        records.push(Value::Object(fields.collect::<Map<_, _>>()));
    }
    Ok(Value::Array(records).to_string())
}

/// The columns' names, each its own: a name that comes again is numbered (`amount`, `amount_2`), one that is missing says
/// where it is (`column_3`).
fn columns<'a>(header: impl Iterator<Item = &'a str>) -> Vec<String> {
    let written: Vec<&str> = header.map(str::trim).collect();
    // What is written as it is keeps its name, wherever it stands.
    let mut taken: BTreeSet<String> = written.iter().map(|name| (*name).to_owned()).collect();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names = Vec::with_capacity(written.len());
    for (position, name) in written.iter().enumerate() {
        let count = seen.entry(name).or_insert(0);
        *count += 1;
        if *count == 1 && !name.is_empty() {
            names.push((*name).to_owned());
            continue;
        }
        let (stem, mut number) = if name.is_empty() { ("column", (position + 1).max(*count)) } else { (*name, *count) };
        while !taken.insert(format!("{stem}_{number}")) {
            number += 1;
        }
        *count = number.max(*count);
        names.push(format!("{stem}_{number}"));
    }
    names
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn reads(format: &ResponseFormat, body: &[u8], content_type: &str) -> Result<String, Error> {
        let url = "http://h/p".to_owned();
        let request = HttpRequest { method: "GET".to_owned(), url, headers: Vec::new(), body: Vec::new() };
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        let mut response = HttpResponse { status: 200, headers, body: body.to_vec() };
        read(format, &request, &mut response, "s", None).map(Document::into_text)
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn columns_of_one_name_stay_apart() {
        let cases: [(&[&str], &[&str]); 4] = [
            (&["id", "a", " a", "", ""], &["id", "a", "a_2", "column_4", "column_5"]),
            (&["a", "a", "a_2", "a"], &["a", "a_3", "a_2", "a_4"]),
            (&["", "column_1"], &["column_2", "column_1"]),
            (&[], &[]),
        ];
        for (header, expected) in cases {
            assert_eq!(columns(header.iter().copied()), expected, "{header:?}");
        }
    }

    #[test]
    fn every_format_becomes_json() {
        let csv = |delimiter| ResponseFormat::Csv { delimiter };
        let lines = "{\"a\":1.0}\r\n\n [2] \n";
        let cases: [(ResponseFormat, Vec<u8>, &str); 8] = [
            (ResponseFormat::Json, b" {\"a\": 1.0} ".to_vec(), " {\"a\": 1.0} "),
            (ResponseFormat::Json, "\u{feff}[]".into(), "[]"),
            (ResponseFormat::Json, gzip("[1]"), "[1]"),
            (ResponseFormat::JsonLines, lines.into(), "[{\"a\":1.0},[2]]"),
            (ResponseFormat::JsonLines, Vec::new(), "[]"),
            (csv(','), b"a,b\n1,\"x,\"\"y\"\n,2\n".to_vec(), r#"[{"a":"1","b":"x,\"y"},{"a":null,"b":"2"}]"#),
            (csv(';'), gzip("a;b\n1;2"), r#"[{"a":"1","b":"2"}]"#),
            (csv(','), b"a,b\n".to_vec(), "[]"),
        ];
        for (format, body, expected) in cases {
            assert_eq!(reads(&format, &body, "text/plain").unwrap(), expected);
        }
        assert_eq!(reads(&ResponseFormat::Json, b"\"\xfc\"", "application/json; charset=ISO-8859-1").unwrap(), "\"ü\"");
        let feed = b"<?xml version='1.0' encoding=\"ISO-8859-1\"?><r><i><t>Z\xfcrich</t></i></r>";
        let xml = ResponseFormat::Xml { record_path: "/r/i".to_owned() };
        assert_eq!(reads(&xml, feed, "text/xml").unwrap(), r#"[{"t":"Zürich"}]"#);
    }

    #[test]
    fn what_does_not_fit_is_shown() {
        let cases: [(ResponseFormat, &[u8], &[&str]); 5] = [
            (ResponseFormat::Json, b"<html>\n<b>Log in", &["GET http://h/p", "text/html", "<html> <b>Log in", "200"]),
            (ResponseFormat::Json, b"", &["an empty body"]),
            (ResponseFormat::Json, b"\xff", &["not UTF-8"]),
            (ResponseFormat::JsonLines, b"{}\n{", &["line 2"]),
            (ResponseFormat::Csv { delimiter: ',' }, b"a,b\n1\n", &["not CSV"]),
        ];
        for (format, body, parts) in cases {
            let Err(Error::BadData(text)) = reads(&format, body, "text/html") else { panic!("{body:?} was read") };
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
        assert!(reads(&ResponseFormat::Json, &[0x1f, 0x8b, 0, 0], "x").is_err());
    }
}
