//! SECURITY.md names the tests that hold its promises: each of them exists.

use std::path::Path;

#[test]
fn every_promise_has_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let table = text.split("## Promises").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 10, "the promises are gone");
    for row in rows {
        let column = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let mut file = None;
        // Every second piece stands between backticks.
        for name in column.split('`').skip(1).step_by(2) {
            if name.ends_with(".rs") {
                let folders = ["tests", "host/src"].map(|folder| root.join(folder).join(name));
                let found = folders.iter().find_map(|path| std::fs::read_to_string(path).ok());
                file = Some(found.unwrap_or_else(|| panic!("{name} does not exist: {row}")));
            } else if let Some(file) = &file {
                assert!(
                    file.contains(&format!("#[test]\nfn {name}(")) || file.contains(&format!("    fn {name}(")),
                    "there is no test `{name}`: {row}"
                );
            }
        }
        assert!(file.is_some(), "no test holds this promise: {row}");
    }
}
