//! Several tenants, several pipelines at once: each gets its own rows, with its own secrets, and nothing of another's.

#![expect(clippy::disallowed_types, reason = "a client of its own, byte by byte")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::host_command::connector;
use crate::support::mock_api::MockApi;

struct Service {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Service {
    /// `origins`: private ones that tenants may reach.
    fn start(origins: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_host")).with_file_name("examples").join("embedded-host");
        let mut child = Command::new(program)
            .arg(connector())
            .arg(folder.path())
            .args(origins)
            .current_dir(folder.path())
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .env("XDG_STATE_HOME", folder.path())
            .env("AIRLOCK_SECRET_TOKEN", "of-the-service")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().trim_start_matches("http://").to_owned(), _folder: folder }
    }

    /// Status and body, once the server has said everything.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.0\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn keep(&self, tenant: &str, name: &str, secret: &str) {
        assert_eq!(self.ask("PUT", &format!("/tenants/{tenant}/secrets/{name}"), secret).0, 200);
    }

    /// The number of the run.
    fn begin(&self, tenant: &str, pipeline: &str, config: &str) -> u64 {
        let (status, answer) = self.ask("POST", &format!("/tenants/{tenant}/pipelines/{pipeline}"), config);
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<Value>(&answer).unwrap()["run"].as_u64().unwrap()
    }

    fn refusal(&self, tenant: &str, config: &str) -> String {
        let (status, answer) = self.ask("POST", &format!("/tenants/{tenant}/pipelines/p"), config);
        assert_eq!(status, 400, "{answer}");
        answer
    }

    fn report(&self, run: u64) -> Value {
        serde_json::from_str(&self.ask("GET", &format!("/runs/{run}"), "").1).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(base_url: &str, records: usize, limit: usize) -> String {
    json!({
        "client": {
            "base_url": base_url, "auth": {"type": "bearer", "token": "${secrets.token}"},
            "paginator": {"type": "offset", "limit": limit, "total_path": "total"},
        },
        "resources": [{
            "name": "records", "primary_key": "id", "write_disposition": "merge",
            "endpoint": {"path": format!("bulk/{records}"), "data_selector": "data"},
        }],
    })
    .to_string()
}

#[test]
fn tenants_run_at_once_and_know_nothing_of_each_other() {
    let api = MockApi::start();
    let service = Service::start(&[&api.base_url()]);
    let tenants = ["red", "blue", "green"];
    for tenant in tenants {
        service.keep(tenant, "token", &format!("token-of-{tenant}"));
    }
    thread::scope(|scope| {
        for (index, tenant) in tenants.iter().enumerate() {
            for pipeline in 0..4 {
                let (service, api) = (&service, &api);
                scope.spawn(move || {
                    // A path of its own tells the requests of each apart.
                    let records = 500 + 100 * index + pipeline;
                    let run = service.begin(tenant, &format!("p{pipeline}"), &config(&api.base_url(), records, 50));
                    let report = service.report(run);
                    assert_eq!(report["exit_code"], 0, "{tenant}: {report}");
                    assert_eq!(report["tables"]["records"], records, "{tenant}: {report}");
                });
            }
        }
    });
    let requests = api.take_requests();
    assert!(requests.len() > 100, "{}", requests.len());
    for request in requests {
        let records: usize = request.path.trim_start_matches("/bulk/").parse().unwrap();
        let tenant = tenants[(records - 500) / 100];
        assert_eq!(request.headers["authorization"], format!("Bearer token-of-{tenant}"), "{}", request.path);
    }
}

#[test]
fn a_tenant_gets_only_what_is_its_own() {
    let api = MockApi::start();
    let service = Service::start(&[&api.base_url()]);
    service.keep("red", "token", "token-of-red");
    let config = config(&api.base_url(), 10, 10);
    let refusal = service.refusal("blue", &config);
    assert!(refusal.contains("the secret `token` is not given"), "{refusal}");
    let mut greedy: Value = serde_json::from_str(&config).unwrap();
    greedy["host"] = json!({"limits": {"memory_bytes": 1}});
    greedy["client"]["headers"] = json!({"x-path": "${env.PATH}"});
    let refusal = service.refusal("red", &greedy.to_string());
    assert!(refusal.contains("not for this configuration to say"), "{refusal}");
    assert!(refusal.contains("there is no variable `PATH` here"), "{refusal}");
    assert!(api.take_requests().is_empty());
    // Where no private origin is lent, none is reached, however it is written.
    let public = Service::start(&[]);
    public.keep("red", "token", "token-of-red");
    let refusal = public.refusal("red", &config);
    assert!(refusal.contains("is a loopback address, which nobody is granted here"), "{refusal}");
    let named = config.replace("127.0.0.1", "localhost");
    let report = public.report(public.begin("red", "p", &named));
    assert_eq!(report["exit_code"], 1, "{report}");
    assert!(report["failed"]["records"].as_str().unwrap().contains("loopback address"), "{report}");
    assert!(api.take_requests().is_empty());
}

#[test]
fn a_run_is_watched_and_stopped_and_goes_on() {
    let api = MockApi::start();
    let service = Service::start(&[&api.base_url()]);
    service.keep("red", "token", "token-of-red");
    let config = config(&api.base_url(), 20_000, 20);
    let run = service.begin("red", "long", &config);
    let events = thread::scope(|scope| {
        let watching = scope.spawn(|| service.ask("GET", &format!("/runs/{run}/events"), "").1);
        let mut seen = 0;
        while seen < 50 {
            seen += api.take_requests().len();
            thread::sleep(std::time::Duration::from_millis(2));
        }
        assert_eq!(service.ask("DELETE", &format!("/runs/{run}"), "").0, 202);
        watching.join().unwrap()
    });
    assert!(events.contains("data: Page { stream: \"records\""), "{events}");
    let report = service.report(run);
    assert_eq!(report["interrupted"], true, "{report}");
    let loaded = report["tables"]["records"].as_u64().unwrap();
    assert!(0 < loaded && loaded < 20_000, "{report}");
    assert!(events.contains("data: Loaded { load_id: "), "{events}");
    // Nobody waits for a stream of a run that is over.
    assert_eq!(service.ask("GET", &format!("/runs/{run}/events"), "").1, "");
    let report = service.report(service.begin("red", "long", &config));
    assert_eq!(report["exit_code"], 0, "{report}");
    assert_eq!(report["tables"]["records"].as_u64().unwrap() + loaded, 20_000, "{report}");
    assert_eq!(service.ask("GET", "/runs/99", "").0, 404);
}
