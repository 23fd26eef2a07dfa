//! Runs the transcripts in the documentation: what a reader types must do what the text says.
//!
//! A fenced block marked `console` holds commands, each behind `$ `; below a command stands what it prints (stdout, then
//! stderr). A line of `…` there stands for any lines, and a `…` within a line for any text. Only commands that begin
//! with `host ` are run; they run one after another in one folder per file, with the examples in it, the connector as
//! `connector.wasm`, and the mock API behind `$BASE`.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use crate::support::{
    host_command::{Project, connector},
    mock_api::MockApi,
};

#[test]
fn every_transcript_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = vec![root.join("README.md")];
    files.extend(files_in(&root.join("docs"), "md"));
    let mut report = String::new();
    for file in files.iter().filter(|file| file.exists()) {
        let transcripts = transcripts(&std::fs::read_to_string(file).unwrap());
        if transcripts.is_empty() {
            continue;
        }
        let api = MockApi::start();
        let mut project = Project::new(&api).bytes("connector.wasm", &std::fs::read(connector()).unwrap());
        for example in files_in(&root.join("examples"), "yaml") {
            let name = example.file_name().unwrap().to_string_lossy().into_owned();
            project = project.file(&name, &std::fs::read_to_string(&example).unwrap());
        }
        for Transcript { line, arguments, expected } in transcripts {
            let output = project
                .host(arguments.split_whitespace())
                .environment("PM_BASE_URL", &api.base_url())
                .environment("POSTS_BASE_URL", &api.base_url())
                .environment("EVENTS_BASE_URL", &api.base_url())
                .environment("PM_API_KEY", "test-api-key")
                .output();
            let printed = format!("{}{}", output.stdout, output.stderr).replace(&api.base_url(), "$BASE");
            let printed: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            if !lines_match(&expected, &printed) {
                let printed = printed.join("\n  ");
                writeln!(report, "{}:{line}: `host {arguments}` prints\n  {printed}", file.display()).unwrap();
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}

struct Transcript {
    /// Of the command in its file, from 1.
    line: usize,
    /// Behind `host `.
    arguments: String,
    expected: Vec<String>,
}

fn transcripts(text: &str) -> Vec<Transcript> {
    let mut transcripts = Vec::<Transcript>::new();
    let mut in_block = false;
    let mut printing = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            in_block = !in_block && line.trim_end() == "```console";
            printing = false;
        } else if !in_block {
            continue;
        } else if let Some(command) = line.strip_prefix("$ ") {
            printing = false;
            if let Some(arguments) = command.strip_prefix("host ") {
                transcripts.push(Transcript { line: index + 1, arguments: arguments.to_owned(), expected: Vec::new() });
                printing = true;
            }
        } else if printing && let Some(transcript) = transcripts.last_mut() {
            transcript.expected.push(line.trim_end().to_owned());
        }
    }
    for transcript in &mut transcripts {
        while transcript.expected.last().is_some_and(String::is_empty) {
            transcript.expected.pop();
        }
    }
    transcripts
}

fn lines_match(expected: &[&str], printed: &[&str]) -> bool {
    match (expected, printed) {
        ([], []) => true,
        (["…"], _) => true,
        (["…", rest @ ..], [_, after @ ..]) => lines_match(rest, printed) || lines_match(expected, after),
        ([line, rest @ ..], [other, after @ ..]) => line_matches(line, other) && lines_match(rest, after),
        _ => false,
    }
}

fn line_matches(expected: &str, printed: &str) -> bool {
    let Some((before, rest)) = expected.split_once('…') else { return expected == printed };
    let Some(printed) = printed.strip_prefix(before) else { return false };
    printed
        .char_indices()
        .map(|(index, _)| index)
        .chain([printed.len()])
        .any(|index| line_matches(rest, &printed[index..]))
}

fn files_in(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

#[test]
fn finds_commands_and_what_they_print() {
    let text = "```sh\n$ host no\n```\n```console\n$ ls\nx\n$ host check a.yaml\nfine in 3ms\n\nreally\n\n$ host -h\n```\n$ host no\n";
    let found: Vec<_> = transcripts(text)
        .into_iter()
        .map(|transcript| (transcript.line, transcript.arguments, transcript.expected))
        .collect();
    let lines = ["fine in 3ms", "", "really"].map(str::to_owned).to_vec();
    assert_eq!(found, [(7, "check a.yaml".to_owned(), lines), (12, "-h".to_owned(), Vec::new())]);
}

#[test]
fn ellipses_stand_for_anything() {
    for (expected, printed, matches) in [
        (vec!["a", "b"], vec!["a", "b"], true),
        (vec!["a"], vec!["a", "b"], false),
        (vec!["a", "…"], vec!["a", "b", "c"], true),
        (vec!["…", "c"], vec!["a", "b", "c"], true),
        (vec!["…", "c"], vec!["a", "b"], false),
        (vec!["in … ms, … rows"], vec!["in 3.5 ms, 7 rows"], true),
        (vec!["in …ms"], vec!["in 3s"], false),
        (vec![], vec!["a"], false),
    ] {
        assert_eq!(lines_match(&expected, &printed), matches, "{expected:?} and {printed:?}");
    }
}
