//! Attacks by requests: to places that nobody granted, in forms that slip past a gate, and answers that are weapons.

use serde_json::{Value, json};

use super::arena::{Outcome, attack, guests};
use super::hostile_api::HostileApi;
use crate::support::host_command::Project;
use Outcome::StreamFails;

/// One request by its parts.
fn request(authority: &str, path: &str) -> Value {
    json!({"requests": [{"authority": authority, "path": path}]})
}

#[test]
fn places_that_nobody_granted() {
    for authority in [
        // The metadata service in every notation.
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "metadata.google.internal",
        // This machine and its neighbours.
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost:1",
        "127.1:22",
        "0.0.0.0:22",
        "[::1]:22",
        "[::]:22",
        "0:22",
        "10.0.0.1",
        "172.16.0.1:80",
        "192.168.1.1",
        "100.64.0.1",
        "[fe80::1]",
        "[fd12::1]",
        "[fe80::1%25lo]:22",
        "[::1%lo]:22",
        "localhost.:1",
        // Names.
        "example.com",
        "localtest.me",
        // Granted, and something more.
        "$AUTHORITY.example.com",
        "\u{ff11}27.0.0.1:1",
        "$AUTHORITY@example.com",
        "$AUTHORITY#@example.com",
        "example.com\\@$AUTHORITY",
    ] {
        let name = format!("a request to {authority}");
        let script = request(authority, "/latest/meta-data/iam/security-credentials/");
        let field = attack(&name, &script, StreamFails(&["stream: bad"]));
        assert!(field.requests.is_empty(), "{name}: {:?}", field.requests);
        let known = ["not granted", "user name", "no URL", "authority is refused", "loopback"];
        assert!(known.iter().any(|word| field.output.stderr.contains(word)), "{name}: {}", field.output);
    }
}

#[test]
fn schemes_and_methods() {
    let requests = |more: Value| {
        let mut request = json!({"authority": "$AUTHORITY", "path": "/echo"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"requests": [request]})
    };
    for (name, more) in [
        ("https where http is granted", json!({"scheme": "https"})),
        ("ftp", json!({"scheme": "ftp"})),
        ("file", json!({"scheme": "file"})),
        ("gopher", json!({"scheme": "gopher"})),
        ("CONNECT", json!({"method": "CONNECT"})),
        ("TRACE", json!({"method": "TRACE"})),
        ("a method with a line break", json!({"method": "GET / HTTP/1.1\r\nX: y\r\n\r\nGET"})),
        ("a path with a line break", json!({"path": "/a HTTP/1.1\r\nX-Smuggled: 1\r\n\r\n"})),
        ("an absolute path", json!({"path": "http://169.254.169.254/"})),
        ("a header with a line break", json!({"headers": [["x-a", "b\r\nX-Smuggled: 1"]]})),
        ("a header name with a line break", json!({"headers": [["x-a\r\nX-Smuggled", "1"]]})),
        (":authority", json!({"headers": [[":authority", "169.254.169.254"]]})),
        ("Host", json!({"headers": [["Host", "169.254.169.254"]]})),
        ("Content-Length", json!({"method": "POST", "body": "abc", "headers": [["Content-Length", "1"]]})),
        ("Transfer-Encoding", json!({"method": "POST", "body": "abc", "headers": [["Transfer-Encoding", "chunked"]]})),
        ("Connection", json!({"headers": [["Connection", "upgrade"]]})),
        ("Upgrade", json!({"headers": [["Upgrade", "h2c"]]})),
        ("Proxy-Authorization", json!({"headers": [["Proxy-Authorization", "x"]]})),
        ("Accept-Encoding", json!({"headers": [["Accept-Encoding", "gzip"]]})),
        ("Expect", json!({"headers": [["Expect", "100-continue"]]})),
        ("a header of 100 KiB", json!({"headers": [["x-a", "x".repeat(100 << 10)]]})),
        ("a body of 2 MiB", json!({"method": "POST", "body": "x".repeat(2 << 20)})),
    ] {
        let field = attack(name, &requests(more), StreamFails(&["stream: bad"]));
        let seen = field.requests.concat();
        assert!(!seen.contains("X-Smuggled") && !seen.contains("169.254"), "{name}: {seen}");
        assert!(seen.is_empty(), "{name}: {seen}");
    }
    let field = attack("an honest request", &requests(json!({})), Outcome::NoEffect);
    assert_eq!(field.requests.len(), 1, "{:?}", field.requests);
}

#[test]
fn answers_that_are_weapons() {
    let fetch = |path: &str| request("$AUTHORITY", path);
    for (name, path, words) in [
        ("64 MiB", "/huge", &["host.limits.response_bytes"] as &[&str]),
        ("a gzip bomb", "/gzip", &["host.limits.response_bytes"]),
        ("a Brotli bomb", "/br", &["host.limits.response_bytes"]),
        ("a Zstandard bomb", "/zstd", &["host.limits.response_bytes"]),
        ("a length that lies", "/lying-length", &["broke off"]),
        ("a byte now and then", "/slow", &["127.0.0.1"]),
        ("no answer", "/silent", &["did not answer in time"]),
        ("20 000 headers", "/many-headers", &["127.0.0.1"]),
        ("a header of 4 MiB", "/long-header", &["127.0.0.1"]),
        ("something else than HTTP", "/no-http", &["127.0.0.1"]),
    ] {
        let script = fetch(path);
        attack(name, &script, StreamFails(&[words, &["stream: bad"]].concat()));
    }
}

#[test]
fn redirects() {
    for target in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://127.0.0.1:1/",
        "http://localhost:1/",
        "//example.com/",
        "https://$AUTHORITY/",
    ] {
        let path = format!("/redirect?{}", url::form_urlencoded::byte_serialize(target.as_bytes()).collect::<String>());
        let path = path.replace("%24AUTHORITY", "$AUTHORITY");
        let field =
            attack(&format!("a redirect to {target}"), &request("$AUTHORITY", &path), StreamFails(&["not granted"]));
        assert_eq!(field.requests.len(), 1, "{target}: {:?}", field.requests);
    }
    for target in ["file:///etc/passwd", "ftp://example.com/", "javascript:alert(1)"] {
        let path = format!("/redirect?{target}");
        let field =
            attack(&format!("a redirect to {target}"), &request("$AUTHORITY", &path), StreamFails(&["stream: bad"]));
        assert_eq!(field.requests.len(), 1, "{target}: {:?}", field.requests);
    }
    let circle = request("$AUTHORITY", "/redirect?/redirect");
    attack("redirects in a circle", &circle, StreamFails(&["redirects"]));
}

#[test]
fn floods_of_requests() {
    let many = |more: Value| {
        let mut request = json!({"authority": "$AUTHORITY", "path": "/echo"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"requests": [request], "limits": {"requests": 100}})
    };
    let field = attack("a flood of requests", &many(json!({"times": 200})), StreamFails(&["host.limits.requests"]));
    assert!(field.requests.len() <= 100, "{}", field.requests.len());
    // None is waited for: what the connector leaves behind ends with it.
    let abandoned = many(json!({"times": 50, "abandoned": true}));
    attack("requests that nobody waits for", &abandoned, Outcome::NoEffect);
}

/// The name is granted; what it resolves to is not.
#[test]
fn a_name_that_leads_inside() {
    for name in ["ip6-localhost", "localhost.localdomain"] {
        let script = json!({
            "requests": [{"authority": format!("{name}:9"), "path": "/"}], "also": format!("http://{name}:9"),
        });
        let field = attack(name, &script, StreamFails(&["stream: bad"]));
        // Where the name is not known at all, it is not reached either.
        let known = ["which is not granted", "can't be reached", "address, which"];
        assert!(known.iter().any(|word| field.output.stderr.contains(word)), "{}", field.output);
    }
}

/// What a server sets goes back to it, and no connector sees it.
#[test]
fn cookies() {
    let script = json!({"requests": [
        {"authority": "$AUTHORITY", "path": "/cookie"}, {"authority": "$AUTHORITY", "path": "/many-cookies"},
    ]});
    let field = attack("a cookie", &script, Outcome::NoEffect);
    assert_eq!(field.requests.len(), 2);
    assert!(field.requests[1].contains("cookie: session=1"), "{:?}", field.requests);
    let answers = format!("{:?}", field.bad.unwrap().rows);
    assert!(!answers.to_ascii_lowercase().contains("set-cookie"), "{answers}");
}

/// Who controls the environment of a service is not who wrote its configuration.
#[test]
fn a_proxy_of_the_environment() {
    let api = HostileApi::start();
    let script = json!({"requests": [{"authority": "$AUTHORITY", "path": "/echo"}], "granted": ["$BASE"]});
    let text = script.to_string().replace("$AUTHORITY", &api.authority());
    let project =
        Project::with_base_url(api.base_url()).config(&text).bytes("evil.wasm", &std::fs::read(guests()).unwrap());
    let run = ["run", "evil.wasm", "--config", "pipeline.yaml", "--to", "duckdb:warehouse.duckdb"];
    let mut command = project.host(run);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command = command.environment(name, &api.second());
    }
    let output = command.output();
    assert_eq!(output.code, Some(0), "{output}");
    let requests = api.requests();
    let port = format!("to :{}\nGET /echo", api.authority().rsplit(':').next().unwrap());
    assert!(requests.len() == 1 && requests[0].starts_with(&port), "{requests:?}");
}

/// A connector says where in the configuration an origin stands: what does not begin with it there grants nothing.
#[test]
fn places_that_are_no_urls_of_requests() {
    let script = |seen: &str, at: &str| {
        json!({
            "granted": ["$BASE"], "seen": seen, "grants": [{"origin": "$SECOND", "at": at}],
            "requests": [{"authority": "$OTHER_AUTHORITY", "path": "/echo"}],
        })
    };
    for (name, seen, at) in [
        ("in a User-Agent", "my-app/1.0 (+$SECOND/)", "/seen"),
        ("in a parameter", "callback=$SECOND", "/seen"),
        ("in a description", "See $SECOND for more", "/seen"),
        ("without slashes", "http:$OTHER_AUTHORITY", "/seen"),
        ("with turned slashes", "http:\\\\$OTHER_AUTHORITY", "/seen"),
        ("of a longer host", "$SECOND.example.com/", "/seen"),
        ("of a longer port", "$SECOND0/", "/seen"),
        ("as a user name", "$SECOND@example.com/", "/seen"),
        ("with another scheme", "https://$OTHER_AUTHORITY/", "/seen"),
        ("at another place", "$SECOND/x", "/granted/0"),
        ("at no place", "$SECOND/x", "/nowhere/~1/0"),
        ("at the whole", "$SECOND/x", ""),
    ] {
        let field = attack(name, &script(seen, at), Outcome::Refused(1, &["which is not granted"]));
        assert!(field.requests.is_empty(), "{name}: {:?}", field.requests);
    }
    let mut not_asked = script("$SECOND/x", "/seen");
    not_asked.as_object_mut().unwrap().remove("grants");
    let field = attack("a URL that nobody asked for", &not_asked, StreamFails(&["which is not granted"]));
    assert!(field.requests.is_empty(), "{:?}", field.requests);
    let field = attack("a URL where it stands", &script("$SECOND/x", "/seen"), Outcome::NoEffect);
    assert_eq!(field.requests.len(), 1);
}

/// Written down as the place of an API, which is not enough: nobody's API is there.
#[test]
fn special_addresses_in_the_configuration() {
    for host in [
        "0.0.0.0",
        "0x0",
        "0",
        "0.0",
        "[::]",
        "[::ffff:0.0.0.0]",
        "[::ffff:0:0]",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "[fe80::1]",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let script = json!({"also": format!("http://{host}:81/x"), "grants": [{"origin": format!("http://{host}:81"), "at": "/also"}]});
        attack(host, &script, Outcome::Refused(1, &["not granted", "--allow"]));
    }
}

#[test]
fn allowing_what_is_no_origin() {
    let api = HostileApi::start();
    let component = std::fs::read(guests()).unwrap();
    let project = Project::with_base_url(api.base_url()).config("{}").bytes("evil.wasm", &component);
    let base = api.base_url();
    for (allowed, code) in [
        (base.clone(), 0),
        ("http://0.0.0.0:81".to_owned(), 0),
        (base.replace("//", "//user:password@"), 2),
        (base.replace("//", "//:password@"), 2),
        (base.replace("//", "//@"), 2),
        (format!("{base}#x"), 2),
        (format!("{base}/?"), 2),
        (base.replace("//", ""), 2),
        ("https://*.com".to_owned(), 2),
        ("https://*.co.uk".to_owned(), 2),
        ("https://*.github.io".to_owned(), 2),
        ("https://*.example.com".to_owned(), 0),
    ] {
        let output = project
            .host(["check", "evil.wasm", "--config", "pipeline.yaml", "--offline", "--allow", &allowed])
            .output();
        assert_eq!(output.code, Some(code), "{allowed}: {output}");
    }
}
