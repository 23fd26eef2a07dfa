//! JSONPaths and the documents they are asked of: what is found is a part of the document.
#![cfg_attr(fuzzing, no_main)]

use connector::document::Document;
use connector::selector::Selector;

/// The path is the first line, the document what follows.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (path, document) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(selector) = Selector::parse(path) else { return };
    let Ok(document) = Document::parse(document.to_owned()) else { return };
    let all = selector.all(&document);
    assert_eq!(selector.first(&document), all.first().copied());
    for found in all {
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(found).is_ok(), "{path}: {found}");
    }
    selector.first_in(document.text());
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));
