//! Who may use whom: what stands behind the plan names no dialect. Reads the source; must never need it to compile.

use std::path::{Path, PathBuf};

/// The dialects themselves, and the contract, which opens a configuration of any.
const IN_FRONT_OF_THE_PLAN: [&str; 4] = ["dialect", "contract.rs", "lib.rs", "layers.rs"];

/// What only a dialect may say: its module, the languages that it comes from, the keys that it is written with.
const WORDS: [&str; 6] =
    ["dialect::", "python", "resources.", "incremental.start", "`on_cursor_value", "`response_actions"];

#[test]
fn what_stands_behind_the_plan_knows_no_dialect() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    assert!(files.len() > 20, "the source of the connector is gone");
    let mut report = Vec::new();
    for file in files {
        let name = file.strip_prefix(&source).unwrap();
        let first = name.components().next().unwrap().as_os_str().to_string_lossy();
        // Tests may write down what they read in a dialect.
        let is_test = name.file_name().is_some_and(|name| name == "tests.rs");
        if is_test || IN_FRONT_OF_THE_PLAN.contains(&first.as_ref()) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            if WORDS.iter().any(|word| line.to_lowercase().contains(word)) {
                report.push(format!("{}: {}", name.display(), line.trim()));
            }
        }
    }
    assert!(report.is_empty(), "these belong into a dialect:\n{}", report.join("\n"));
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
