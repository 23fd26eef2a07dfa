//! Attacks by the component itself: before, or without, a configuration.

use serde_json::json;

use super::arena::{Outcome, attack_with, guests};
use Outcome::Refused;

/// The component with another word in the place that `describe` reads.
fn in_describe(word: &str) -> Vec<u8> {
    let mut component = std::fs::read(guests()).unwrap();
    let label = b"in describe: ";
    let found: Vec<usize> =
        (0..component.len() - label.len()).filter(|at| component[*at..].starts_with(label)).collect();
    let at = *found.iter().find(|at| component[**at + label.len()..].starts_with(b"nothing   ")).unwrap() + label.len();
    component[at..at + 19].copy_from_slice(format!("{word:<19}").as_bytes());
    component
}

#[test]
fn describe() {
    let describe = |word: &str, words: &[&str]| {
        let name = format!("{word} in describe");
        attack_with(&name, &in_describe(word), &json!({}), Refused(1, words));
    };
    // The sandbox's own settings stand in the configuration, which is read first: they hold here, too.
    describe("loop", &["in: describe", "host.limits.cpu_secs"]);
    for how in ["random", "clock", "refused requests"] {
        describe(how, &["in: describe", "host.limits.cpu_secs"]);
    }
    describe("panic", &["in: describe", "crashed"]);
    describe("recurse", &["in: describe", "stack"]);
    describe("memory", &["in: describe", "host.limits.memory_bytes"]);
    let roomy = json!({"limits": {"memory_bytes": 512 << 20}});
    attack_with("a huge schema", &in_describe("a huge"), &roomy, Refused(1, &["host.limits.document_bytes"]));
    describe("a deep", &["schema"]);
}

/// Naming its own root three times over, a schema would take more steps than there are atoms.
#[test]
fn a_schema_that_branches_into_itself() {
    attack_with("a branching schema", &in_describe("a branching"), &json!({}), Outcome::NoEffect);
}

/// Followed by recursion, or without a count of steps, they would end the host.
#[test]
fn schemas_that_lead_far() {
    attack_with("a chain of references", &in_describe("a chain"), &json!({}), Outcome::NoEffect);
    let mut wide = json!({});
    for number in 0..1000 {
        wide[format!("key{number}")] = json!([1]);
    }
    for word in ["a wide", "a far"] {
        attack_with(word, &in_describe(word), &wide, Refused(1, &["steps", "host.limits.schema_steps"]));
    }
}

#[test]
fn not_connectors() {
    let module = |text: &str| wat::parse_str(text).unwrap();
    let exports = "(instance $source) (export \"airlock:connector/source@0.1.0\" (instance $source))";
    let component = |inside: &str| module(&format!("(component {inside} {exports})"));
    for (name, bytes, words) in [
        ("an empty file", Vec::new(), &["not a WebAssembly file"] as &[&str]),
        ("something else", b"#!/bin/sh\nrm -rf /\n".to_vec(), &["not a WebAssembly file"]),
        ("a core module", module("(module)"), &["a core WebAssembly module"]),
        ("a cut component", module("(component)")[..7].to_vec(), &["not a WebAssembly file"]),
        ("a broken component", [&module("(component)")[..], &[1, 255, 255, 255]].concat(), &["can't be compiled"]),
        ("an empty component", module("(component)"), &["not a connector"]),
        (
            "another contract",
            module("(component (instance $s) (export \"airlock:connector/source@0.2.0\" (instance $s)))"),
            &["0.2.0", "0.1"],
        ),
        ("no functions", component(""), &["asks for something that no connector gets"]),
        (
            "an import of its own making",
            component("(import \"host:shell/exec\" (instance (export \"run\" (func))))"),
            &["no connector gets"],
        ),
        (
            "more memories than anybody needs",
            module(&format!(
                "(component (core module $m {}) (core instance (instantiate $m)))",
                "(memory 1)".repeat(200)
            )),
            &[""],
        ),
    ] {
        // What is no WebAssembly at all is a mistake of the command line.
        let code = if words == ["not a WebAssembly file"] { 2 } else { 1 };
        attack_with(name, &bytes, &json!({}), Refused(code, words));
    }
}
