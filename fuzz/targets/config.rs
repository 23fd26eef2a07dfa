//! A configuration file: every mistake in it stands at a place that can be shown.
#![cfg_attr(fuzzing, no_main)]

use std::path::Path;

use airlock_host::config::{ConfigFile, secret_places};

/// The first byte says how the file ends.
pub(crate) fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let path = ["a.yaml", "a.json", "a.toml"][usize::from(*first) % 3];
    match ConfigFile::parse(Path::new(path), text) {
        Ok(mut file) => {
            let schema = serde_json::json!({"properties": {"a": {"writeOnly": true}}});
            let Ok(extracted) = secret_places::extract(&file.value, &schema, 10_000) else { return };
            file.mask(extracted.places());
            let place = file.place("/a/b/~key");
            assert!(place.source.get(place.span.clone()).is_some(), "{place:?}");
        }
        Err(error) => {
            for place in error.diagnostics().iter().filter_map(|diagnostic| diagnostic.place.as_ref()) {
                place.line_and_column();
                let end = place.span.end.min(place.source.len());
                assert!(place.source.get(place.span.start..end).is_some(), "{:?} in {text:?}", place.span);
            }
        }
    }
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));
