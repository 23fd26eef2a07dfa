//! Every configuration in `examples/` is accepted by the host as it stands, and the connector there is built and run.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    host_command::{Project, connector},
    mock_api::MockApi,
};

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
            .environment("POSTS_BASE_URL", "http://127.0.0.1:9")
            .environment("EVENTS_BASE_URL", "http://127.0.0.1:9");
        for name in secrets_in(&std::fs::read_to_string(&example).unwrap()) {
            command = command.secret(&name, "some secret");
        }
        let output = command.output();
        assert_eq!(output.code, Some(0), "{}:\n{output}", example.display());
    }
}

#[test]
fn the_minimal_connector_reads_every_page() {
    let component = built("minimal-connector");
    let api = MockApi::start();
    let project = Project::new(&api).file("posts.yaml", "base_url: $BASE\ntoken: ${secrets.token}\n");
    let output = project
        .host(["run"])
        .argument(component)
        .arguments(["--config", "posts.yaml", "--to", "sqlite:posts.sqlite", "--json"])
        .secret("token", "some secret")
        .output();
    assert_eq!(output.code, Some(0), "{output}");
    let report: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(report["tables"][0]["rows"], 25, "{output}");
    assert_eq!(report["streams"][0]["requests"], 5, "{output}");
}

#[test]
fn the_signing_connector_runs_only_with_the_secret_granted() {
    let component = built("signing-connector");
    let api = MockApi::start();
    let project = Project::new(&api).file("signed.yaml", "base_url: $BASE\npath: /signed/posts\n");
    let run = |arguments: &[&str]| {
        project
            .host(["run"])
            .argument(&component)
            .arguments(["--config", "signed.yaml", "--to", "sqlite:signed.sqlite", "-vv"])
            .arguments(arguments.iter().copied())
            .secret("signing_key", "signing-secret-1")
            .output()
    };
    let refused = run(&[]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("--reveal NAME"), "{refused}");
    let another = run(&["--reveal", "another", "--secret", "another=env:PATH"]);
    assert_eq!(another.code, Some(1), "{another}");
    assert!(another.stderr.contains("`signing_key` was not granted"), "{another}");
    assert_eq!(api.take_requests().len(), 0, "a request went out without a signature");
    let granted = run(&["--reveal", "signing_key"]);
    assert_eq!(granted.code, Some(0), "{granted}");
    assert!(granted.stderr.contains("2 rows"), "{granted}");
    for output in [refused, another, granted] {
        assert!(!output.to_string().contains("signing-secret-1"), "a secret is on the screen:\n{output}");
    }
}

/// What is installed runs by itself: from another folder, under a link, and without a variable that says where its library is.
#[test]
fn what_is_installed_stands_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (place, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = Path::new(env!("CARGO_BIN_EXE_host")).ancestors().nth(2).unwrap();
    let install = |arguments: &[&str]| {
        let mut script = Command::new(root.join("scripts/install.sh"));
        let output = script.args(arguments).arg(place.path()).env("CARGO_TARGET_DIR", target).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    install(&[]);
    let archive = install(&["--tarball"]);
    let unpacked = Command::new("tar").args(["-xzf", archive.trim(), "-C"]).arg(elsewhere.path()).status().unwrap();
    assert!(unpacked.success());
    let folder = std::fs::read_dir(elsewhere.path()).unwrap().next().unwrap().unwrap().path();
    for folder in [place.path().to_owned(), folder] {
        let output = Command::new(folder.join("bin/host"))
            .args(["inspect", "../lib/airlock/connector.wasm"])
            .current_dir(folder.join("bin"))
            .env_clear()
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("Imports"));
    }
}

/// Builds a connector of `examples/`; gives the path of the component.
fn built(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let target = Path::new(env!("CARGO_BIN_EXE_host")).ancestors().nth(2).unwrap().join(name);
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    target.join("wasm32-wasip2/release").join(name.replace('-', "_")).with_extension("wasm")
}

/// The names behind `${secrets.`.
fn secrets_in(config: &str) -> BTreeSet<String> {
    config.split("${secrets.").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect()
}
