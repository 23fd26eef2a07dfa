//! A selector (the first line) applied to a response (the rest).
#![no_main]

use connector::document::Document;
use connector::selector::Selector;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (path, body) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(selector) = Selector::parse(path) else { return };
    let Ok(document) = Document::parse(body.to_owned()) else { return };
    let all = selector.all(&document);
    assert_eq!(selector.first(&document), all.first().copied());
});
