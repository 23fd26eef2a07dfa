//! The first promise, measured: while a real connection is read with each kind of credential, no linear memory of a
//! connector holds the secret.
//!
//! The library runs in this process, and `/proc/self` shows where its sandboxes' memories lie. The scan has to find what
//! the connector does know, or it proves nothing.
#![cfg(target_os = "linux")]

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use airlock_host::config::{ConfigFile, secret_binding, secret_places};
use airlock_host::connection::placed_origins;
use airlock_host::egress::{Egress, Grants};
use airlock_host::sandbox::{Connector, CredentialRequest, Engine, Instance};
use airlock_host::secret::SecretSources;
use serde_json::{Value, json};

use super::arena::spellings;
use super::hostile_api::HostileApi;
use crate::support::host_command::connector;

const SECRET: &str = "mem-93ac5e-SECRET/value+y=";
/// The connector knows it: it stands in the configuration.
const KNOWN: &str = "known-to-the-connector-4d1f";
/// Wasmtime reserves at least this much address space behind a linear memory that a component uses.
const RESERVED: u64 = 1 << 30;

#[test]
fn no_memory_of_a_connector_holds_a_secret() {
    let oauth = |kind: &str| json!({"type": kind, "access_token_url": "$BASE/token", "client_id": "some-client", "client_secret": SECRET});
    let mut refresh = oauth("oauth2_refresh_token");
    refresh["refresh_token"] = json!(format!("refresh-{SECRET}"));
    for auth in [
        json!({"type": "bearer", "token": SECRET}),
        json!({"type": "http_basic", "username": "user", "password": SECRET}),
        json!({"type": "api_key", "name": "x-key", "api_key": SECRET, "location": "header"}),
        json!({"type": "api_key", "name": "key", "api_key": SECRET, "location": "query"}),
        json!({"type": "api_key", "name": "key", "api_key": SECRET, "location": "cookie"}),
        oauth("oauth2_client_credentials"),
        refresh,
    ] {
        read_and_scan(&auth);
    }
}

fn read_and_scan(auth: &Value) {
    let api = HostileApi::start();
    let config = json!({
        "client": {"base_url": "$BASE", "auth": auth, "headers": {"x-known": KNOWN}},
        "resources": [{"name": "items", "endpoint": {"path": "echo", "data_selector": "$", "paginator": "single_page"}}],
    });
    let text = config.to_string().replace("$BASE", &api.base_url());
    let (guests, io) = (runtime(), runtime());
    let mut instance = guests.block_on(connected(&text, io.handle()));
    let records = guests.block_on(async {
        let partitions = instance.partitions("items", None).await.unwrap();
        instance.read("items", &partitions[0], None).await.unwrap();
        instance.next().await.unwrap().unwrap().whole().bytes().to_vec()
    });
    let sent = api.requests().concat();
    assert!(sent.contains("GET /echo"), "{auth}: {sent}");
    let memories = Memories::of_this_process();
    assert!(memories.hold(KNOWN.as_bytes()), "{auth}: the scan does not see the connector's memory");
    let text = String::from_utf8_lossy(&records);
    assert!(text.contains("${secrets."), "{auth}: the server told nothing back, or it was not masked: {text}");
    let pair = format!("user:{SECRET}");
    for needle in [SECRET, &pair, super::hostile_api::ACCESS_TOKEN].into_iter().flat_map(spellings) {
        assert!(!memories.hold(needle.as_bytes()), "{auth}: a connector's memory holds {needle}");
        assert!(!String::from_utf8_lossy(&records).contains(&needle), "{auth}");
    }
    drop(instance);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// An instance with the configuration opened, as the commands make it.
async fn connected(text: &str, io: &tokio::runtime::Handle) -> Instance {
    let path = Path::new("memory.json");
    let file = ConfigFile::parse(path, text).unwrap();
    let engine = Engine::new(&file.settings.limits).unwrap();
    let connector = Connector::load(&engine, &connector().into(), None).unwrap();
    let new = |egress| Instance::new(&connector, egress, Arc::default(), Arc::new(drop), io.clone());
    let description = new(None).await.unwrap().describe().await.unwrap();
    let extracted = secret_places::extract(&file.value, &description.config_schema, 1_000_000).unwrap();
    let config = extracted.config.to_string();
    let bindings = secret_binding::bindings(&extracted.config, &[], &file.settings.secrets);
    let secrets = SecretSources::new(&[], path).unwrap().collect(extracted, &file).await.unwrap();
    let mut asking = new(None).await.unwrap();
    asking.open(&config).await.unwrap();
    let requests = asking.grants().await.unwrap();
    let placed = placed_origins(&serde_json::from_str(&config).unwrap(), &requests);
    let mut grants = Grants::new(placed, &[]).unwrap().with_bindings(bindings);
    for request in requests {
        let resolve = |credential: &CredentialRequest| {
            (credential.name.clone(), credential.resolve(|reference| secrets.fill(reference)).unwrap())
        };
        let travels: Vec<_> =
            request.credentials.iter().flat_map(|credential| credential.travels(&request.origin)).collect();
        grants.ask(&request.origin, request.credentials.iter().map(resolve).collect(), &travels).unwrap();
    }
    let egress = Egress::new(file.settings.clone(), grants, &secrets).unwrap();
    let mut instance = new(Some(Arc::new(egress))).await.unwrap();
    instance.open(&config).await.unwrap();
    instance
}

/// Copies of every linear memory.
struct Memories(Vec<Vec<u8>>);

impl Memories {
    /// A linear memory is what can be written in front of a large reservation that can't be touched.
    fn of_this_process() -> Self {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let regions: Vec<(u64, u64, &str)> = maps.lines().filter_map(region).collect();
        let mut found = Vec::new();
        for (index, &(_, end, access)) in regions.iter().enumerate() {
            let is_reservation = access.starts_with("---") && end - regions[index].0 >= RESERVED;
            if !is_reservation {
                continue;
            }
            // Everything accessible that stands in one piece in front of it.
            let mut edge = regions[index].0;
            for &(start, end, access) in regions[..index].iter().rev() {
                if end != edge || !access.starts_with("rw") {
                    break;
                }
                edge = start;
                let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
                if memory.read_exact_at(&mut bytes, start).is_ok() {
                    found.push(bytes);
                }
            }
        }
        assert!(!found.is_empty(), "no linear memory was found");
        Self(found)
    }

    fn hold(&self, needle: &[u8]) -> bool {
        let finder = aho_corasick::AhoCorasick::new([needle]).unwrap();
        self.0.iter().any(|memory| finder.is_match(memory))
    }
}

/// `start-end access …`
fn region(line: &str) -> Option<(u64, u64, &str)> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?, words.next()?))
}
