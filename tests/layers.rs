//! Who may use whom: a module of the host names only modules below it. Reads the source; must never need it to compile.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// From the top down; modules on one line do not know each other.
const LAYERS: [&[&str]; 20] = [
    &["command"],
    &["isolated"],
    &["output"],
    &["connection"],
    &["pipeline"],
    &["packaging"],
    &["progress", "refused"],
    &["extract", "normalize", "destination"],
    &["mode"],
    &["host", "package"],
    &["sandbox"],
    &["egress"],
    &["secret"],
    &["config"],
    &["streams"],
    &["report", "state"],
    &["event", "isolation", "lock", "schema"],
    &["error"],
    &["diagnostic"],
    &["failpoint", "private_folder"],
];

#[test]
fn no_module_uses_one_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    assert!(files.len() > 10, "the source of the host is gone");
    let mut report = String::new();
    for file in files {
        let from = module_of(file.strip_prefix(&source).unwrap());
        if from == "lib" || from == "main" {
            continue;
        }
        let Some(layer) = layer_of(&from) else {
            writeln!(report, "{}: module `{from}` has no layer in tests/layers.rs", file.display()).unwrap();
            continue;
        };
        let text = std::fs::read_to_string(&file).unwrap();
        for to in used_modules(&text) {
            if to != from && layer_of(&to).is_some_and(|other| other <= layer) {
                writeln!(report, "{}: `{from}` uses `{to}`", file.display()).unwrap();
            }
        }
    }
    assert!(report.is_empty(), "the lower may not know the higher:\n{report}");
}

/// Those of a folder, and of all below it.
pub(crate) fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// `egress/retry.rs` and `egress.rs` both belong to `egress`.
fn module_of(file: &Path) -> String {
    let first = file.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// The first names behind `crate::`, wherever it stands outside of comments; `use crate::{a::X, b}` names both. Tests
/// inside a file may use what they like.
fn used_modules(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut modules = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            modules.extend(first_names(group));
        } else {
            modules.insert(identifier(rest));
        }
    }
    modules
}

/// The names at the first level of a `{…}` group whose opening brace is already taken off.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut at_start = true;
    for (index, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            _ if at_start && !character.is_whitespace() => {
                names.push(identifier(&group[index..]));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

#[test]
fn finds_every_module_that_is_named() {
    let text = "use crate::{config::{a, b}, error::Error,\n    state};\n// crate::output\nfn f() -> crate::schema::X {}\n\
                #[cfg(test)]\nmod tests { use crate::pipeline; }";
    assert_eq!(used_modules(text).into_iter().collect::<Vec<_>>(), ["config", "error", "schema", "state"]);
}
