//! A configuration file, as YAML, JSON and TOML: parsed, its places looked up, its secrets taken out, and planned by the
//! connector. No text may do more than be refused.
#![no_main]

use std::path::Path;

use airlock_host::config::{ConfigFile, secret_places};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for name in ["a.yaml", "a.json", "a.toml"] {
        let Ok(mut file) = ConfigFile::parse(Path::new(name), text) else { continue };
        let extracted = secret_places::extract(&file.value, &connector::config::schema());
        for pointer in extracted.places() {
            assert!(file.place(pointer).span.end <= text.len());
        }
        file.mask(extracted.places());
        let _ = connector::config::plan(&extracted.config);
    }
});
