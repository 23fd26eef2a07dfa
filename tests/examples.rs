//! Every file in `examples/` is a configuration that the host accepts as it stands.

use std::{collections::BTreeSet, path::Path};

use crate::support::host_command::{Project, connector};

#[test]
fn every_example_passes_the_check() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut examples: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    examples.sort();
    assert!(examples.len() >= 4, "the examples are gone");
    let project = Project::with_base_url("");
    for example in examples {
        let mut command = project
            .host(["check"])
            .argument(connector())
            .argument("--offline")
            .argument("--config")
            .argument(&example)
            .environment("PM_BASE_URL", "http://127.0.0.1:9")
            .environment("EVENTS_BASE_URL", "http://127.0.0.1:9");
        for name in secrets_in(&std::fs::read_to_string(&example).unwrap()) {
            command = command.secret(&name, "some secret");
        }
        let output = command.output();
        assert_eq!(output.code, Some(0), "{}:\n{output}", example.display());
    }
}

/// The names behind `${secrets.`.
fn secrets_in(config: &str) -> BTreeSet<String> {
    config.split("${secrets.").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect()
}
