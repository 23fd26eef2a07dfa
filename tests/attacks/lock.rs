//! A connector that was accepted, and then is another one, or wants more.

use serde_json::{Value, json};

use super::arena::{TOKEN, guests};
use super::hostile_api::HostileApi;
use crate::support::host_command::{Output, Project};

const LOCK: &str = "connector.lock";

#[test]
fn a_connector_that_wants_more_than_was_accepted() {
    let api = HostileApi::start();
    let component = std::fs::read(guests()).unwrap();
    let project = Project::with_base_url(api.base_url()).bytes("evil.wasm", &component);
    let write = |project: Project, grants: Value| {
        let script = json!({"grants": grants, "named": "${secrets.token}"});
        project.config(&script.to_string().replace("$SECOND", &api.second()))
    };
    let check = |project: &Project, more: &[&str]| -> Output {
        let arguments = ["check", "evil.wasm", "--config", "pipeline.yaml", "--lock", LOCK];
        project.host(arguments).arguments(more.iter().copied()).secret("token", TOKEN).output()
    };
    let credential = |kind: &str| json!([{"name": "main", "kind": kind, "secret": "${secrets.token}"}]);
    let modest = json!([{"origin": "$BASE", "credentials": credential("bearer")}]);

    let project = write(project, modest.clone());
    assert_eq!(check(&project, &[]).code, Some(0), "the first time writes the lock");
    let text = std::fs::read_to_string(project.path(LOCK)).unwrap();
    assert!(
        text.contains("sha256:") && text.contains("bearer token (token)") && text.contains(&api.base_url()),
        "{text}"
    );
    assert!(!text.contains(TOKEN));
    assert_eq!(check(&project, &[]).code, Some(0), "nothing changed");
    let project = write(project, json!([{"origin": "$BASE"}]));
    assert_eq!(check(&project, &[]).code, Some(0), "it asks for less");

    for (grants, word) in [
        (json!([{"origin": "$BASE", "credentials": credential("query")}]), "API key in the query (token)"),
        (json!([{"origin": api.second()}]), api.second().as_str()),
    ] {
        let project =
            write(Project::with_base_url(api.base_url()).bytes("evil.wasm", &component), grants).file(LOCK, &text);
        let output = check(&project, &[]);
        assert_eq!(output.code, Some(2), "{output}");
        assert!(output.stderr.contains(word) && output.stderr.contains("--accept-changes"), "{output}");
        assert_eq!(std::fs::read_to_string(project.path(LOCK)).unwrap(), text, "a refusal changes nothing");
        assert_eq!(check(&project, &["--accept-changes"]).code, Some(0));
        assert_eq!(check(&project, &[]).code, Some(0), "it was accepted");
    }

    // A credential of one kind that would go another way.
    let one = |kind: &str, other: &str| {
        json!([{"origin": "$BASE", "credentials": [
            {"name": "main", "kind": kind, "secret": "${secrets.token}", "other": other},
        ]}])
    };
    for (before, after, word) in [
        (one("header", "x-key"), one("header", "x-other"), "in the header `x-other`"),
        (one("query", "key"), one("query", "q"), "in the query parameter `q`"),
        (one("oauth2", "$BASE/token"), one("oauth2", "$BASE/echo"), "/echo, as `client_secret`"),
    ] {
        let project = write(Project::with_base_url(api.base_url()).bytes("evil.wasm", &component), before);
        assert_eq!(check(&project, &[]).code, Some(0));
        let project = write(project, after);
        let output = check(&project, &[]);
        assert_eq!(output.code, Some(2), "{output}");
        assert!(output.stderr.contains("the secret token would go") && output.stderr.contains(word), "{output}");
    }

    // The same asks by another component: one custom section makes it another.
    let other = [component.as_slice(), &[0, 2, 1, b'x']].concat();
    let project = write(project, modest).bytes("evil.wasm", &other);
    let output = check(&project, &[]);
    assert_eq!(output.code, Some(2), "{output}");
    assert!(output.stderr.contains("another component"), "{output}");
    let project = project.file(LOCK, "{\"version\": 7}");
    let output = check(&project, &[]);
    assert_eq!(output.code, Some(2), "{output}");
    assert!(output.stderr.contains("is no lock"), "{output}");
}

#[test]
fn inspect_shows_what_it_asks_for() {
    let api = HostileApi::start();
    let script = json!({"grants": [{"origin": "$BASE", "credentials": [
        {"name": "main", "kind": "bearer", "secret": "${secrets.token}"},
    ]}]});
    let component = std::fs::read(guests()).unwrap();
    let project = Project::with_base_url(api.base_url()).config(&script.to_string()).bytes("evil.wasm", &component);
    // No secret is given: none is needed to look.
    let output = project.host(["inspect", "evil.wasm", "--config", "pipeline.yaml"]).output();
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stdout.contains(&format!("{} with bearer token (token)", api.base_url())), "{output}");
    let way = format!("  token: at {} in the header `Authorization`, as a bearer token", api.base_url());
    assert!(output.stdout.contains(&way), "{output}");
    assert!(api.requests().is_empty());
}
