//! Pages of records: whatever comes, rows come out, or an error that leaves none behind.
#![cfg_attr(fuzzing, no_main)]

use airlock_host::normalize::{Normalizer, Options, Records};
use airlock_host::schema::{Schema, StreamSpec, WriteDisposition};
use serde_json::json;

/// The first byte says what kind of page it is, and how its stream is written.
pub(crate) fn run(data: &[u8]) {
    // Arrow panics on some broken streams, and `normalize` catches that: only what passes it counts.
    #[cfg(fuzzing)]
    std::panic::set_hook(Box::new(|information| {
        if !information.location().is_some_and(|location| location.file().contains("/arrow-")) {
            eprintln!("{information}");
        }
    }));
    let Some((first, page)) = data.split_first() else { return };
    let records = match first % 3 {
        0 => Records::JsonArray(page),
        1 => Records::JsonLines(page),
        _ => Records::ArrowIpc(page),
    };
    let (write_disposition, hints) = match first / 3 % 4 {
        0 => (WriteDisposition::Append, json!({})),
        1 => (
            WriteDisposition::Merge,
            json!({"columns": {"a": {"data_type": "timestamp"}, "b": {"data_type": "decimal"}}}),
        ),
        2 => (WriteDisposition::Replace, json!({"max_table_nesting": 1})),
        _ => (WriteDisposition::Merge, json!({"write_disposition": {"disposition": "merge", "strategy": "scd2"}})),
    };
    let serde_json::Value::Object(hints) = hints else { return };
    let spec = StreamSpec {
        name: "t".to_owned(),
        parent: None,
        selected: true,
        primary_key: vec!["id".to_owned()],
        merge_key: Vec::new(),
        cursor_field: None,
        write_disposition,
        hints,
    };
    let options = Options {
        max_identifier_length: 63,
        max_columns_per_table: 50,
        max_tables_per_stream: 10,
        ..Options::default()
    };
    let mut normalizer = Normalizer::new(Schema::default(), &[spec], options).expect("the hints make sense");
    if normalizer.add("t", &records, "1.5").is_err() {
        normalizer.discard(&["t"]);
        assert_eq!(normalizer.rows(), 0);
        assert!(normalizer.schema().tables.is_empty());
        return;
    }
    // The same page once more: the schema is known now.
    drop(normalizer.add("t", &records, "1.5"));
    let normalized = normalizer.take().expect("rows make batches");
    for table in &normalized.tables {
        assert!(normalizer.schema().tables.contains_key(&table.table));
    }
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));
