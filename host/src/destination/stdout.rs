//! Rows on the way to another program: as JSON Lines `{"table": …, "row": {…}}`, or as Arrow IPC streams, one after the
//! other, each of one table, whose name is in the schema's metadata.
//!
//! Nothing is kept: every run is a full one. Must never write anything else to where rows go.

use std::io::{self, Write};

use std::sync::Arc;

use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;

use super::json_lines;
use super::layout;
use super::{Capabilities, Destination, Stored, root_table};
use crate::error::{Error, ErrorKind, Result};
use crate::package::{LoadPackage, LoadReceipt, TableBatch};
use crate::schema::{TableSchema, WriteDisposition};
use crate::state::State;

const MAX_IDENTIFIER_LENGTH: usize = 65_536;

#[derive(Debug, Clone, Copy)]
pub(super) enum Format {
    JsonLines,
    Arrow,
}

pub(super) struct Stdout {
    writer: Box<dyn Write + Send>,
    format: Format,
}

/// Writes to where the caller says.
pub(super) fn open(writer: Box<dyn Write + Send>, format: Format) -> Stdout {
    Stdout { writer, format }
}

impl Destination for Stdout {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "standard output",
            merge: false,
            max_identifier_length: MAX_IDENTIFIER_LENGTH,
            reserved_columns: &[],
            reserved_tables: &[],
            max_columns: usize::MAX,
            limits_text: false,
            keeps_state: false,
        }
    }

    fn read(&mut self, _pipeline: &str) -> Result<Stored> {
        Ok(Stored::default())
    }

    /// Writes the rows of a package as they are, whatever their disposition: who reads them decides.
    fn load(&mut self, package: &LoadPackage) -> Result<LoadReceipt> {
        let mut rows = Vec::new();
        for table in &package.tables {
            let schema = package.schema.tables.get(&table.table);
            let root = schema.map(|schema| root_table(&package.schema, schema));
            if root.is_some_and(|root| root.write_disposition == WriteDisposition::Skip) {
                continue;
            }
            let written = match (self.format, schema) {
                (Format::Arrow, Some(schema)) => write_stream(&mut self.writer, schema, table),
                _ => table.batches.iter().try_for_each(|batch| write_lines(&mut self.writer, &table.table, batch)),
            };
            written.map_err(|error| refused(error).with_context("table", table.table.clone()))?;
            rows.push((table.table.clone(), table.rows() as u64));
        }
        self.writer.flush().map_err(|error| refused(error.into()))?;
        Ok(LoadReceipt { rows, already_loaded: false })
    }

    fn write_state(&mut self, _pipeline: &str, _state: &State) -> Result<()> {
        Ok(())
    }
}

/// Every stream of a table has all its columns: those of later packages may have more.
fn write_stream(writer: &mut dyn Write, table: &TableSchema, rows: &TableBatch) -> Result<(), ArrowError> {
    let metadata = [("table".to_owned(), table.name.clone())].into();
    let schema = Arc::new(layout::arrow_schema(table).as_ref().clone().with_metadata(metadata));
    let mut stream = StreamWriter::try_new(writer, &schema)?;
    for batch in &rows.batches {
        stream.write(&layout::whole(batch, &schema)?)?;
    }
    stream.finish()
}

fn write_lines(writer: &mut dyn Write, table: &str, batch: &RecordBatch) -> Result<(), ArrowError> {
    let before = format!("{{\"table\":{},\"row\":", serde_json::Value::from(table));
    json_lines::write(batch, before.as_bytes(), b"}\n", writer)
}

fn refused(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, cause) if cause.kind() == io::ErrorKind::BrokenPipe => {
            Error::new(ErrorKind::Destination, "the program that reads the rows has stopped").with_source(cause)
        }
        other => Error::new(ErrorKind::Destination, "the rows can't be written").with_source(other),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;
    use crate::package::TableBatch;
    use crate::schema::Schema;
    use crate::state::State;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_table_s_rows_are_written_with_its_name() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a\n\"b\"", "c"]));
        let root = RecordBatch::try_from_iter([("id", numbers), ("name", texts)]).unwrap();
        let moment: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_500_000]).with_timezone("UTC"));
        let child = RecordBatch::try_from_iter([("at", moment)]).unwrap();
        let table = |name: &str, batch| TableBatch { table: name.to_owned(), batches: vec![batch] };
        let package = LoadPackage {
            pipeline: "pm".to_owned(),
            load_id: "1.5".to_owned(),
            tables: vec![table("t", root), table("t__kids", child)],
            schema: Schema::default(),
            state: State::default(),
            replaced: Vec::new(),
            taken_back: Vec::new(),
        };
        let written = Shared::default();
        open(Box::new(written.clone()), Format::JsonLines).load(&package).unwrap();
        let expected = "{\"table\":\"t\",\"row\":{\"id\":1,\"name\":\"a\\n\\\"b\\\"\"}}\n{\"table\":\"t\",\"row\":{\"name\":\
                        \"c\"}}\n{\"table\":\"t__kids\",\"row\":{\"at\":\"1970-01-01T00:00:01.500Z\"}}\n";
        assert_eq!(String::from_utf8(written.0.lock().unwrap().clone()).unwrap(), expected);
    }
}
