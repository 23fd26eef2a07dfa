//! Connectors that must be signed: what was not signed with the operator's key is not even looked into.

use minisign::KeyPair;
use serde_json::json;

use super::arena::{TOKEN, guests};
use super::hostile_api::HostileApi;
use crate::support::host_command::Project;

fn signature(key: &KeyPair, bytes: &[u8], comment: &str) -> Vec<u8> {
    minisign::sign(None, &key.sk, bytes, Some(comment), None).unwrap().into_string().into_bytes()
}

#[test]
fn only_what_was_signed_runs() {
    let api = HostileApi::start();
    let component = std::fs::read(guests()).unwrap();
    let (own, other) =
        (KeyPair::generate_unencrypted_keypair().unwrap(), KeyPair::generate_unencrypted_keypair().unwrap());
    let key = own.pk.to_base64();
    let good = signature(&own, &component, "version 1\u{1b}[31m");
    let changed = [component.as_slice(), &[0, 2, 1, b'x']].concat();
    let not_wasm = b"not even a component".to_vec();
    for (name, bytes, signature, key, code, words) in [
        ("signed", &component, Some(&good), key.as_str(), 0, &[] as &[&str]),
        ("not signed", &component, None, &key, 1, &["no signature", "evil.wasm.minisig"]),
        ("changed since", &changed, Some(&good), &key, 1, &["not signed with this key"]),
        (
            "another key's",
            &component,
            Some(&signature(&other, &component, "x")),
            &key,
            1,
            &["not signed with this key"],
        ),
        ("a signature of nothing", &component, Some(&b"RW".to_vec()), &key, 1, &["no signature that can be read"]),
        // Checked before anything looks into it.
        ("no component", &not_wasm, Some(&good), &key, 1, &["not signed with this key"]),
        ("no key", &component, Some(&good), "RWnonsense", 2, &["no minisign key"]),
    ] {
        let config = json!({"named": "${secrets.token}", "granted": ["$BASE"]}).to_string();
        let mut project = Project::with_base_url(api.base_url()).config(&config).bytes("evil.wasm", bytes);
        if let Some(signature) = signature {
            project = project.bytes("evil.wasm.minisig", signature);
        }
        let by_flag = project
            .host(["check", "evil.wasm", "--config", "pipeline.yaml", "--public-key", key])
            .secret("token", TOKEN)
            .output();
        assert_eq!(by_flag.code, Some(code), "{name}: {by_flag}");
        assert!(words.iter().all(|word| by_flag.stderr.contains(word)), "{name}: {by_flag}");
        let config = json!({"host": {"public_key": key}}).to_string();
        let project = project.config(&config);
        let inspected = project.host(["inspect", "evil.wasm", "--config", "pipeline.yaml"]).output();
        assert_eq!(inspected.code, Some(code), "{name}: {inspected}");
        assert!(words.iter().all(|word| inspected.stderr.contains(word)), "{name}: {inspected}");
        if code == 0 {
            assert!(inspected.stdout.contains("signed: version 1\\u{1b}[31m"), "{inspected}");
        }
    }
}
