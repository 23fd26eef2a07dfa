//! A page of records of any kind: normalized to rows, or refused. The first byte says which kind.
#![no_main]

use airlock_host::normalize::{Normalizer, Options, Records};
use airlock_host::schema::{Schema, StreamSpec, WriteDisposition};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, page)) = bytes.split_first() else { return };
    let stream = StreamSpec {
        name: "s".to_owned(),
        parent: None,
        selected: true,
        primary_key: vec!["id".to_owned()],
        merge_key: Vec::new(),
        cursor_field: None,
        write_disposition: WriteDisposition::Merge,
        hints: serde_json::Map::new(),
    };
    let Ok(mut normalizer) = Normalizer::new(Schema::default(), &[stream], Options::default()) else { return };
    let records = match kind % 3 {
        0 => Records::JsonArray(page),
        1 => Records::JsonLines(page),
        _ => Records::ArrowIpc(page),
    };
    match normalizer.add("s", &records, "1.0") {
        Ok(_) => drop(normalizer.take().expect("what was taken in makes rows")),
        Err(_) => normalizer.discard(&["s"]),
    }
});
