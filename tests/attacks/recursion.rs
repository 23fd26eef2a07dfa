//! Whatever others nest deeply must not be followed by calls of a function to itself: a stack is small. Where the host does,
//! what it follows has a depth that was counted before, and it stands here with who counts. What two
//! functions follow in turn is met by the deep records of `data`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::arena::{Outcome, attack};
use crate::layers::rust_files;

/// File, function, and what bounds the depth of what it follows.
const BOUNDED: &[(&str, &str, &str)] = &[
    ("config/document.rs", "json_value", "jsonc-parser's own limit"),
    ("config/document.rs", "toml_value", "toml's own limit"),
    ("config/document.rs", "value", "counted by the scanner of YAML"),
    ("config/environment.rs", "walk", "a configuration's depth"),
    ("config/host_section.rs", "read", "the settings' own depth"),
    ("config/quoting.rs", "value", "a configuration's depth"),
    ("config/secret_binding.rs", "value", "a configuration's depth"),
    ("config/secret_places.rs", "walk", "a configuration's depth"),
    ("destination/files/folder.rs", "files", "the folders that the host makes"),
    ("destination/sql/merge.rs", "below", "a record's depth"),
    ("normalize/flatten.rs", "row", "a record's depth"),
    ("normalize/tape.rs", "value", "MAX_DEPTH of a record"),
    ("normalize/tape.rs", "write", "MAX_DEPTH of a record"),
    ("schema/stored.rs", "sorted", "serde_json's own limit"),
    ("secret/mod.rs", "flatten", "toml's own limit"),
];

#[test]
fn functions_that_call_themselves_know_how_deep_it_goes() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut found = BTreeSet::new();
    for path in files {
        let file = path.strip_prefix(&source).unwrap().to_str().unwrap().to_owned();
        if !file.ends_with("tests.rs") {
            search(&file, &std::fs::read_to_string(&path).unwrap(), &mut found);
        }
    }
    let known = BOUNDED.iter().map(|(file, function, _)| ((*file).to_owned(), (*function).to_owned())).collect();
    assert_eq!(found, known, "found, and those of which a bound is known");
}

fn search(file: &str, text: &str, found: &mut BTreeSet<(String, String)>) {
    let code = text.split("#[cfg(test)]").next().unwrap();
    for (place, _) in code.match_indices("fn ") {
        let rest = &code[place + 3..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let line = code[..place].rfind('\n').map_or(0, |end| end + 1);
        let indent: String = code[line..].chars().take_while(|c| *c == ' ').collect();
        // As rustfmt has it, a function ends where its first line began.
        let end = rest.find(&format!("\n{indent}}}")).unwrap_or(rest.len());
        let Some((head, body)) = rest[..end].split_once("{\n") else { continue };
        if !name.is_empty() && !head.contains(';') && calls(body, &name, head.contains("self")) {
            found.insert((file.to_owned(), name));
        }
    }
}

/// A function by its bare name, a method of itself; `other.name()` is another's.
fn calls(body: &str, name: &str, is_method: bool) -> bool {
    body.match_indices(&format!("{name}(")).any(|(place, _)| {
        let before = &body[..place];
        if is_method || before.ends_with("Self::") {
            return before.ends_with("self.") || before.ends_with("Self::");
        }
        let is_bare = !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '|'));
        is_bare && !body.contains(&format!("let {name} ="))
    })
}

/// A connector may hang each of its streams on the one before.
#[test]
fn streams_below_one_another() {
    let chain = |length: usize| -> Value {
        let stream = |number: usize| {
            let parent = number.checked_sub(1).map(|parent| format!("s{parent}"));
            json!({"name": format!("s{number}"), "parent": parent})
        };
        let mut streams: Vec<Value> = (0..length).map(stream).collect();
        streams.push(json!({"name": "bad"}));
        json!({"streams": streams, "limits": {"streams": 10_000}})
    };
    attack("a chain of 50 streams", &chain(50), Outcome::NoEffect);
    let refused = Outcome::Refused(1, &["more than 50 streams below one another", "stream: s50"]);
    attack("a chain of 5,000 streams", &chain(5000), refused);
}
