//! The host inside a service: tenants bring configurations and secrets, the service brings everything else.
//!
//! `cargo run --release --workspace --example embedded-host -- connector.wasm FOLDER [ORIGIN…]`, where origins are private
//! ones that tenants may reach. Then:
//!
//! - `PUT /tenants/TENANT/secrets/NAME`, the secret as body
//! - `POST /tenants/TENANT/pipelines/NAME`, the configuration as body: begins a run, and gives its number
//! - `GET /runs/N/events`: what happens, as server-sent events
//! - `GET /runs/N`: waits for its report
//! - `DELETE /runs/N`: stops it after the pages that it holds
#![expect(clippy::print_stdout, reason = "the example's own output")]

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use airlock_host::config::settings::Limits;
use airlock_host::config::{ConfigFile, Reach};
use airlock_host::connection::{Connection, ConnectionOptions, Policy, RunHandle, RunOptions};
use airlock_host::error::Error;
use airlock_host::host::Host;
use airlock_host::report::Report;
use airlock_host::sandbox::Wasm;
use airlock_host::secret::{SecretSources, SecretStore, SecretString};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures::future::BoxFuture;
use futures::{Stream, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;

struct Service {
    host: Host,
    connector: Wasm,
    folder: PathBuf,
    origins: Vec<String>,
    vaults: Mutex<HashMap<String, Arc<Vault>>>,
    runs: Mutex<Vec<Begun>>,
}

#[derive(Clone)]
struct Begun {
    handle: RunHandle,
    report: watch::Receiver<Option<Value>>,
}

/// One tenant's secrets. A real service asks its vault here.
#[derive(Default)]
struct Vault(Mutex<BTreeMap<String, SecretString>>);

impl SecretStore for Vault {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretString>, Error>> {
        Box::pin(async move { Ok(locked(&self.0).get(name).cloned()) })
    }

    fn rotated<'a>(&'a self, name: &'a str, new: SecretString) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            locked(&self.0).insert(name.to_owned(), new);
            Ok(())
        })
    }
}

type Refused = (StatusCode, Json<Value>);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(connector), Some(folder)) = (arguments.next(), arguments.next()) else {
        println!("usage: embedded-host CONNECTOR.wasm FOLDER [ORIGIN…]");
        return Ok(());
    };
    let service = Service {
        host: Host::new()?,
        connector: Wasm::from_bytes("connector.wasm", std::fs::read(connector)?),
        folder: folder.into(),
        origins: arguments.collect(),
        vaults: Mutex::default(),
        runs: Mutex::default(),
    };
    let router = Router::new()
        .route("/tenants/{tenant}/secrets/{name}", put(keep_secret))
        .route("/tenants/{tenant}/pipelines/{name}", post(begin))
        .route("/runs/{run}", get(report).delete(stop))
        .route("/runs/{run}/events", get(events))
        .with_state(Arc::new(service));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}

async fn keep_secret(
    State(service): State<Arc<Service>>,
    Path((tenant, name)): Path<(String, String)>,
    secret: String,
) {
    let vault = locked(&service.vaults).entry(tenant).or_default().clone();
    locked(&vault.0).insert(name, secret.into());
}

async fn begin(
    State(service): State<Arc<Service>>,
    Path((tenant, name)): Path<(String, String)>,
    text: String,
) -> Result<Json<Value>, Refused> {
    if !tenant.chars().all(char::is_alphanumeric) {
        return Err((StatusCode::NOT_FOUND, Json(json!({"error": "there is no such tenant"}))));
    }
    let vault = locked(&service.vaults).entry(tenant.clone()).or_default().clone();
    // Somebody else wrote it: it reads no variable of ours, and has no say in how it is run.
    let config = ConfigFile::parse_within(FilePath::new(&format!("{name}.yaml")), &text, &Reach::tenant());
    let options = ConnectionOptions {
        secrets: SecretSources::default().with_store(vault),
        allow: service.origins.clone(),
        policy: Policy {
            public_addresses_only: service.origins.is_empty(),
            most: Some(Limits { memory_bytes: 128 << 20, run_secs: Some(3600.0), ..Limits::default() }),
        },
        ..ConnectionOptions::new(service.connector.clone(), config.map_err(refused)?)
    };
    let connection = Connection::open(&service.host, options).await.map_err(refused)?;
    let to = format!("duckdb:{}", service.folder.join(format!("{tenant}-{name}.duckdb")).display());
    // State and tables of one tenant are no other's, whatever they are called.
    let options =
        RunOptions { pipeline: Some(format!("{tenant}-{name}")), to: Some(to.into()), ..RunOptions::default() };
    let run = connection.run(options).await.map_err(refused)?;
    let (sender, report) = watch::channel(None);
    let begun = Begun { handle: run.handle(), report };
    tokio::spawn(async move { sender.send_replace(Some(told(&run.finished().await))) });
    let mut runs = locked(&service.runs);
    runs.push(begun);
    Ok(Json(json!({"run": runs.len() - 1})))
}

async fn events(
    State(service): State<Arc<Service>>,
    Path(run): Path<usize>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refused> {
    let events = begun(&service, run)?.handle.events();
    Ok(Sse::new(events.map(|event| Ok(Event::default().data(format!("{event:?}"))))))
}

async fn report(State(service): State<Arc<Service>>, Path(run): Path<usize>) -> Result<Json<Value>, Refused> {
    let mut report = begun(&service, run)?.report;
    let report = report.wait_for(Option::is_some).await.map(|report| report.clone());
    Ok(Json(report.ok().flatten().unwrap_or_default()))
}

async fn stop(State(service): State<Arc<Service>>, Path(run): Path<usize>) -> Result<StatusCode, Refused> {
    begun(&service, run)?.handle.stop();
    Ok(StatusCode::ACCEPTED)
}

fn begun(service: &Service, run: usize) -> Result<Begun, Refused> {
    let missing = || (StatusCode::NOT_FOUND, Json(json!({"error": "there is no such run"})));
    locked(&service.runs).get(run).cloned().ok_or_else(missing)
}

fn told(report: &Report) -> Value {
    let tables: BTreeMap<&str, u64> = report.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect();
    let failed = report.streams.iter().filter_map(|stream| Some((&stream.name, stream.error.as_ref()?.to_string())));
    json!({
        "exit_code": report.exit_code(), "interrupted": report.interrupted, "tables": tables,
        "failed": failed.collect::<BTreeMap<_, _>>(), "failure": report.failure.as_ref().map(Error::to_string),
    })
}

/// Every mistake of a configuration is told at once; none holds a secret.
fn refused(error: Error) -> Refused {
    let mistakes: Vec<&str> = error.diagnostics().iter().map(|found| found.message.as_str()).collect();
    (StatusCode::BAD_REQUEST, Json(json!({"error": error.to_string(), "mistakes": mistakes})))
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
