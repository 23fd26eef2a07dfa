//! Attacks on secrets: asking for them, sending them elsewhere, having them told back.

use serde_json::{Value, json};

use super::arena::{OTHER, Outcome, TOKEN, attack, spellings};
use Outcome::{NoEffect, Refused, StreamFails};

fn grant(kind: &str, secret: &str, other: &str) -> Value {
    json!([{"origin": "$BASE", "credentials": [{"name": "main", "kind": kind, "secret": secret, "other": other}]}])
}

fn echo(more: Value) -> Value {
    let mut request = json!({"authority": "$AUTHORITY", "path": "/echo"});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

#[test]
fn asking() {
    let asks = |origin: &str, secret: &str| json!({"grants": [{"origin": origin, "credentials": [{"name": "main", "kind": "bearer", "secret": secret}]}]});
    for (name, script) in [
        ("a secret that the configuration does not name", asks("$BASE", "$<secrets.other}")),
        ("a variable", asks("$BASE", "$<secrets.env.OTHER}")),
        ("a secret in a recipe", asks("$BASE", "x $<secrets.other} y")),
        ("an origin that nobody granted", asks("hxxps://evil.example.com", "${secrets.token}")),
        ("the metadata service", asks("hxxp://169.254.169.254", "${secrets.token}")),
        ("every origin", asks("hxxps://*", "${secrets.token}")),
        ("no origin", asks("*", "${secrets.token}")),
    ] {
        // A secret that is not there is the operator's to give; an origin is refused.
        let code = if name.contains("origin") || name.contains("metadata") { 1 } else { 2 };
        let field = attack(name, &script, Refused(code, &["the connector ask"]));
        assert!(field.requests.is_empty(), "{name}");
    }
}

/// The server gets the secret, or the attack would prove nothing; whatever it tells of it, the connector gets references.
#[test]
fn told_back() {
    for (kind, other) in
        [("bearer", ""), ("basic", "user"), ("basic", "us"), ("header", "x-key"), ("query", "key"), ("cookie", "key")]
    {
        let script = json!({"grants": grant(kind, "${secrets.token}", other), "requests": [echo(json!({}))]});
        let field = attack(&format!("{kind} told back"), &script, NoEffect);
        let sent = field.requests.concat();
        let pair = spellings(&format!("{other}:{TOKEN}"));
        let expected = spellings(TOKEN).into_iter().chain(pair.clone()).any(|spelling| sent.contains(&spelling));
        assert!(expected, "{kind}: the credential was not attached: {sent}");
        let table = field.bad.unwrap();
        let cells = format!("{:?}", table.rows);
        assert!(
            cells.contains("${secrets.") && cells.contains("${secrets.".chars().rev().collect::<String>().as_str())
        );
        for spelling in pair {
            assert!(!cells.contains(&spelling), "{kind}: {cells}");
        }
    }
    let script = json!({
        "grants": grant("bearer", "${secrets.token}", ""), "requests": [echo(json!({"path": "/tells-by-name"}))],
    });
    let field = attack("told back in the name of a header", &script, NoEffect);
    let cells = format!("{:?}", field.bad.unwrap().rows);
    assert!(cells.contains("x-plain") && !cells.contains("-y: 1"), "{cells}");
    let placeholder = json!({"requests": [echo(json!({"headers": [["x-mine", "${secrets.token}"]]}))]});
    let field = attack("a placeholder told back", &placeholder, NoEffect);
    assert!(field.requests.concat().contains(TOKEN), "{:?}", field.requests);
}

/// A few words that stand for very many.
#[test]
fn large_ones() {
    let recipe = grant("bearer", &"x ${secrets.token}".repeat(20_000), "");
    let limits = json!({"secret_bytes": 400_000});
    attack("a giant recipe", &json!({"grants": recipe, "limits": limits}), Refused(1, &["host.limits.secret_bytes"]));
    let many: Vec<Value> = (0..900).map(|number| json!({"name": format!("c{number}"), "kind": "bearer", "secret": format!("{number} ${{secrets.token}}")})).collect();
    let grants = json!([{"origin": "$BASE", "credentials": many}]);
    let limits = json!({"secret_bytes": 10_000});
    attack("many recipes", &json!({"grants": grants, "limits": limits}), Refused(1, &["host.limits.secret_bytes"]));
    let named = "${secrets.token}".repeat(50_000);
    let body = json!({"requests": [echo(json!({"method": "POST", "body": named}))]});
    let field = attack("a placeholder filled in again and again", &body, StreamFails(&["host.limits.request_bytes"]));
    assert!(field.requests.is_empty());
    let token = json!({"grants": grant("oauth2", "${secrets.token}", "$BASE/giant-token"), "requests": [echo(json!({}))],
        "limits": {"secret_bytes": 100_000}});
    attack("a giant token", &token, StreamFails(&["host.limits.secret_bytes"]));
}

#[test]
fn sent_elsewhere() {
    let second = |more: Value| {
        let mut request = echo(more);
        request["authority"] = json!("$OTHER_AUTHORITY");
        request
    };
    // The credential belongs to the first origin; the second one is granted, too.
    let bound = |request: Value| json!({"grants": grant("bearer", "${secrets.token}", ""), "requests": [request]});
    let elsewhere = "does not belong to";
    for (name, more) in [
        ("in a header", json!({"headers": [["x-stolen", "${secrets.token}"]]})),
        ("in a path", json!({"path": "/echo?x=${secrets.token}"})),
        ("in an encoded path", json!({"path": "/echo?x=%24%7Bsecrets.token%7D"})),
        ("in a body", json!({"method": "POST", "body": "x=${secrets.token}"})),
    ] {
        let field =
            attack(&format!("a secret {name} to another origin"), &bound(second(more)), StreamFails(&[elsewhere]));
        assert!(field.requests.is_empty(), "{name}: {:?}", field.requests);
    }
    for header in ["main", "MAIN", "none", "x"] {
        let request = second(json!({"headers": [["airlock-credential", header]]}));
        let field = attack("a credential by name to another origin", &bound(request), NoEffect);
        let sent = field.requests.concat();
        assert!(!sent.to_ascii_lowercase().contains("authorization"), "{sent}");
        assert!(!sent.contains("airlock-credential"), "{sent}");
        assert!(spellings(TOKEN).iter().all(|spelling| !sent.contains(spelling)), "{sent}");
    }
    let unnamed = json!({"requests": [echo(json!({"headers": [["x-a", "$<secrets.other}"]]}))]});
    let field = attack("a placeholder of a secret that nobody named", &unnamed, NoEffect);
    assert!(spellings(OTHER).iter().all(|spelling| !field.requests.concat().contains(spelling)));
    let in_host = json!({"requests": [{"authority": "${secrets.token}.example.com", "path": "/"}]});
    attack("a secret as a host", &in_host, StreamFails(&["stream: bad"]));
}

#[test]
fn taken_along_by_a_redirect() {
    let through = |headers: Value, grants: Value| {
        json!({"grants": grants, "requests": [{
            "authority": "$AUTHORITY", "path": "/redirect?$SECOND/echo", "headers": headers,
        }]})
    };
    let field = attack("a credential", &through(json!([]), grant("bearer", "${secrets.token}", "")), NoEffect);
    let (first, second) = (&field.requests[0], &field.requests[1]);
    assert!(first.contains(TOKEN), "{first}");
    assert!(!second.to_ascii_lowercase().contains("authorization"), "{second}");
    let field = attack("a placeholder", &through(json!([["x-mine", "${secrets.token}"]]), json!([])), NoEffect);
    let (first, second) = (&field.requests[0], &field.requests[1]);
    assert!(first.contains(TOKEN), "{first}");
    assert!(!second.contains("x-mine") && !second.contains("SECRET"), "{second}");
    // The server names a secret itself, in the URL that it leads to.
    let asked = json!({"requests": [{"authority": "$AUTHORITY", "path": "/leads-to-a-secret"}]});
    let field = attack("a redirect that names a secret", &asked, StreamFails(&["redirect"]));
    assert!(!field.requests.concat().contains("SECRET"), "{:?}", field.requests);
}

/// The token stands beside the first origin: what the connector wants of it at another one is refused before it is read.
#[test]
fn where_it_does_not_belong() {
    let script = |more: Value| {
        let mut script = json!({"also": "$BASE", "named": {"url": "$BASE/v1", "token": "${secrets.token}"}});
        script.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        script
    };
    let asks = |origin: &str, kind: &str, secret: &str, other: &str| {
        script(json!({"grants": [{"origin": origin, "credentials": [
            {"name": "main", "kind": kind, "secret": secret, "other": other},
        ]}]}))
    };
    let refused = Refused(1, &["does not belong", "host: {secrets:"]);
    let token = "$<secrets.token}";
    let mut typed = asks("$SECOND", "bearer", "$<secrets.config:/typed}", "");
    typed["typed"] = json!("typed-into-the-file");
    for (name, script) in [
        ("a bearer token elsewhere", asks("$SECOND", "bearer", token, "")),
        ("a part of a password elsewhere", asks("$SECOND", "basic", "x-$<secrets.token}", "user")),
        ("a user name elsewhere", asks("$SECOND", "basic", "x", token)),
        ("a header elsewhere", asks("$SECOND", "header", token, "x-key")),
        ("a parameter elsewhere", asks("$SECOND", "query", token, "key")),
        ("a token endpoint elsewhere", asks("$BASE", "oauth2", token, "$SECOND/token")),
        ("a token endpoint of no origin", asks("$BASE", "oauth2", token, "somewhere")),
        ("its access token elsewhere", asks("$SECOND", "oauth2", token, "$BASE/token")),
        ("a typed secret elsewhere", typed),
    ] {
        let field = attack(name, &script, refused);
        assert!(field.requests.is_empty(), "{name}: {:?}", field.requests);
    }
    let placed = script(json!({"requests": [{
        "authority": "$OTHER_AUTHORITY", "path": "/echo", "headers": [["x-mine", "$<secrets.token}"]],
    }]}));
    let field = attack("a placeholder elsewhere", &placed, StreamFails(&["does not belong to", "host: {secrets:"]));
    assert!(field.requests.is_empty(), "{:?}", field.requests);

    let mut at_home = asks("$BASE", "bearer", token, "");
    at_home["requests"] = json!([echo(json!({}))]);
    let field = attack("a bearer token where it belongs", &at_home, NoEffect);
    assert!(field.requests.concat().contains(TOKEN), "{:?}", field.requests);
    // The operator's settings overrule, in both directions.
    at_home["secrets"] = json!({"token": {"origins": ["$SECOND"]}});
    attack("bound elsewhere by the operator", &at_home, Refused(1, &["does not belong"]));
    let mut bound = asks("$SECOND", "bearer", token, "");
    bound["secrets"] = json!({"token": {"origins": ["$SECOND"]}});
    attack("bound here by the operator", &bound, NoEffect);
    // Given by hand, named nowhere: it is nobody's until it is bound.
    let mut unnamed = asks("$BASE", "bearer", token, "");
    unnamed["named"] = json!("nothing");
    attack("named nowhere", &unnamed, Refused(2, &["the connector asks for the secret `token`"]));
    unnamed["secrets"] = json!({"token": {"origins": ["$BASE"]}});
    attack("named by the operator's settings", &unnamed, NoEffect);
}
