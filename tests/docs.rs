//! What the documentation shows and lists is true: every YAML block passes the check, every key is described.
//!
//! The second word of a YAML block says what it is (one without a second word is not checked):
//!
//! - `config`: a whole configuration,
//! - `top`: keys beside `client` and `resources`,
//! - `client`: keys of `client`,
//! - `resource`: keys of a resource `tasks`, which stands behind a resource `projects`,
//! - `endpoint`: keys of the endpoint of that resource.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use serde_json::Value;

use crate::support::host_command::{Project, connector};

const CLIENT: &str = "client:\n  base_url: https://api.example.com/v1\n";

#[test]
fn every_configuration_passes_the_check() {
    let project = Project::with_base_url("");
    let mut report = String::new();
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        for block in blocks(&std::fs::read_to_string(&file).unwrap()) {
            let config = block.config();
            let path = project.path("block.yaml");
            std::fs::write(&path, &config).unwrap();
            let mut command = project.host(["check"]).argument(connector()).arguments(["--offline", "--config"]);
            command = command.argument(&path);
            for name in secrets_in(&config) {
                command = command.secret(&name, "some secret");
            }
            let output = command.output();
            if output.code != Some(0) || !output.stderr.is_empty() {
                writeln!(report, "{}:{}\n{output}", file.display(), block.line).unwrap();
            }
            count += 1;
        }
    }
    assert!(report.is_empty(), "{report}");
    assert!(count >= 30, "only {count} blocks were found");
}

#[test]
fn every_key_of_the_connector_is_described() {
    let (_, keys) = keys_of_the_schema();
    assert!(keys.len() > 100, "the schema has {} keys only", keys.len());
    assert_eq!(missing(&keys, "docs/rest-config.md"), BTreeSet::<&str>::new());
}

#[test]
fn every_key_of_the_connector_has_an_example() {
    // dlt has them; here they do nothing, or are refused.
    const WITHOUT_EFFECT: [&str; 25] = [
        "allow_external_schedulers",
        "cardinality",
        "cluster",
        "description",
        "destination_scope",
        "file_format",
        "label",
        "parallelized",
        "parent_key",
        "parent_table_name",
        "partition",
        "private_key_passphrase",
        "referenced_columns",
        "referenced_table",
        "references",
        "root_key",
        "row_key",
        "row_version_column_name",
        "session",
        "skip_unchanged_rows",
        "sort",
        "source_filter",
        "table_format",
        "transform",
        "variant",
    ];
    let (_, keys) = keys_of_the_schema();
    let examples = blocks(&std::fs::read_to_string(root().join("docs/rest-config.md")).unwrap());
    let shown: BTreeSet<String> = examples.iter().flat_map(|block| keys_in(&block.config())).collect();
    let missing: Vec<&String> = keys.difference(&shown).filter(|key| !WITHOUT_EFFECT.contains(&key.as_str())).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

/// Words that a colon follows.
fn keys_in(yaml: &str) -> BTreeSet<String> {
    let words = yaml.split(':').filter_map(|before| before.rsplit([' ', '{', '\n', '"', ',']).next());
    words.map(str::to_owned).collect()
}

#[test]
fn every_setting_of_the_host_is_described() {
    let (mut keys, _) = keys_of_the_schema();
    // Sections are named by their keys: `retry.max_retries`.
    keys.retain(|key| !["retry", "rate_limit", "limits", "tls", "duckdb", "csv"].contains(&key.as_str()));
    assert!(keys.len() > 20, "only {keys:?} were found");
    assert_eq!(missing(&keys, "docs/host.md"), BTreeSet::<&str>::new());
}

#[test]
fn the_embedding_that_is_shown_is_the_example() {
    let shown = std::fs::read_to_string(root().join("docs/embedding.md")).unwrap();
    let example = std::fs::read_to_string(root().join("examples/embedded-host/main.rs")).unwrap();
    let block = shown.split_once("```rust\n").unwrap().1.split_once("```").unwrap().0;
    assert!(example.ends_with(block), "docs/embedding.md shows another program than examples/embedded-host");
}

/// The keys under `host`, and all others.
fn keys_of_the_schema() -> (BTreeSet<String>, BTreeSet<String>) {
    let output = Project::with_base_url("").host(["schema"]).argument(connector()).output();
    assert_eq!(output.code, Some(0), "{output}");
    let mut schema: Value = serde_json::from_str(&output.stdout).unwrap();
    let mut host = vec![schema["properties"].as_object_mut().unwrap().remove("host").unwrap()];
    for section in ["Retry", "RateLimit", "Limits", "Tls", "DuckDb", "Csv"] {
        host.push(schema["$defs"].as_object_mut().unwrap().remove(section).unwrap());
    }
    let mut keys = (BTreeSet::new(), BTreeSet::new());
    collect_keys(&Value::from(host), &mut keys.0);
    collect_keys(&schema, &mut keys.1);
    keys
}

/// Those that no inline code in a file names, alone or behind the section they stand in.
fn missing<'a>(keys: &'a BTreeSet<String>, file: &str) -> BTreeSet<&'a str> {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let named = |key: &&str| !text.contains(&format!("`{key}`")) && !text.contains(&format!(".{key}`"));
    keys.iter().map(String::as_str).filter(named).collect()
}

/// The names of all `properties` anywhere in a schema.
fn collect_keys(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(entries) => {
            if let Some(Value::Object(properties)) = entries.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            entries.values().for_each(|value| collect_keys(value, keys));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_keys(item, keys)),
        _ => {}
    }
}

struct Block {
    /// Where it begins, from 1.
    line: usize,
    kind: String,
    text: String,
}

impl Block {
    fn config(&self) -> String {
        let Self { kind, text, .. } = self;
        let tasks = "resources:\n  - name: projects\n  - name: tasks\n";
        match kind.as_str() {
            "config" => text.clone(),
            "top" => format!("{text}{CLIENT}resources: [projects]\n"),
            "client" => format!("{CLIENT}{}resources: [projects]\n", indented(text, 2)),
            "resource" => format!("{CLIENT}{tasks}{}", indented(text, 4)),
            "endpoint" => format!("{CLIENT}{tasks}    endpoint:\n{}", indented(text, 6)),
            _ => panic!("line {}: a YAML block can't be a `{kind}`", self.line),
        }
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in text.lines().enumerate() {
        match &mut open {
            Some(_) if line == "```" => blocks.extend(open.take()),
            Some(block) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {
                let kind = line.strip_prefix("```yaml ");
                open = kind.map(|kind| Block { line: index + 1, kind: kind.to_owned(), text: String::new() });
            }
        }
    }
    blocks
}

fn indented(text: &str, width: usize) -> String {
    text.lines().map(|line| format!("{:width$}{line}\n", "")).collect()
}

/// The names behind `${secrets.`.
fn secrets_in(config: &str) -> BTreeSet<String> {
    config.split("${secrets.").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect()
}

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
