//! A connection: a connector, opened with a configuration, given the secrets and the way out that were granted.
//!
//! This is where a program that embeds the host begins: [`Connection::open`], then [`Connection::run`]. Must never
//! give a secret or a way out to a connector before what it asks for was compared with what is granted.

mod accepted;
mod policy;
mod run;
mod run_options;
mod ways;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use self::accepted::Accepted;
pub use self::policy::Policy;
pub use self::run::{Run, RunHandle};
pub use self::run_options::{RunOptions, To, default_dataset, known};
pub use self::ways::{Ways, shown, ways_of_secrets};
use crate::config::secret_binding::bindings;
use crate::config::secret_places::{self, Extracted};
use crate::config::{ConfigFile, Settings};
use crate::egress::{Egress, Grants};
use crate::error::{Error, ErrorKind, Result};
use crate::extract::{Remarks, Source};
use crate::host::Host;
use crate::isolation::Program;
use crate::sandbox::{Connector, Description, GrantRequest, Instance, LogSink, Wasm};
use crate::schema::StreamSpec;
use crate::secret::{SecretSources, Secrets};

/// What to open, and what it may have.
pub struct ConnectionOptions {
    /// The component: compiled once, however many connections it is opened for.
    pub connector: Wasm,
    pub config: ConfigFile,
    pub secrets: SecretSources,
    /// Origins that the connector may reach besides those that stand in the configuration.
    pub allow: Vec<String>,
    /// Secrets that the connector may see in plain text, by name, besides those of the configuration's `host.reveal`.
    pub reveal: Vec<String>,
    /// The minisign key that the connector must be signed for; otherwise the configuration's `host.public_key`.
    pub public_key: Option<String>,
    /// Holds the connector to what was accepted of it before.
    pub lock: Option<Lock>,
    /// Runs the connector, and looks at its pages, in processes of their own; the configuration's `host.isolate` asks for it
    /// too. Needs a host with a program ([`Host::with_program`]).
    pub isolate: bool,
    /// What stands above the configuration.
    pub policy: Policy,
}

impl ConnectionOptions {
    /// A connector and its configuration, and nothing else.
    pub fn new(connector: impl Into<Wasm>, config: ConfigFile) -> Self {
        Self {
            connector: connector.into(),
            config,
            secrets: SecretSources::default(),
            allow: Vec::new(),
            reveal: Vec::new(),
            public_key: None,
            lock: None,
            isolate: false,
            policy: Policy::default(),
        }
    }
}

/// A file that remembers which component was run and what it asked for.
#[derive(Debug, Clone)]
pub struct Lock {
    pub path: PathBuf,
    /// Writes down what has changed instead of stopping.
    pub accept_changes: bool,
}

/// What a connector makes of a configuration, before it gets anything.
pub struct Asked {
    pub description: Description,
    pub extracted: Extracted,
    pub grants: Vec<GrantRequest>,
    pub streams: Vec<StreamSpec>,
}

/// Opens a configuration without any secret and without a way out, and asks what the connector wants. From then on `file`
/// no longer shows what was typed at a secret's place.
///
/// Errors: what is wrong with the configuration (`Config`, all of it, with places); a connector that breaks down.
pub async fn ask(connector: &Connector, file: &mut ConfigFile, log: &LogSink, host: &Host) -> Result<Asked> {
    let description = describe(connector, log, host).await?;
    let extracted = secret_places::extract(&file.value, &description.config_schema, file.settings.limits.schema_steps)?;
    file.know(&description.config_schema);
    file.mask(extracted.places());
    let asked = asked(connector, extracted.config.to_string(), log, host).await;
    let (grants, streams) = asked.map_err(|error| error.located(|found| file.locate(found)))?;
    Ok(Asked { description, extracted, grants, streams })
}

/// What a connector says that it is. Errors: it breaks down.
pub async fn describe(connector: &Connector, log: &LogSink, host: &Host) -> Result<Description> {
    let (connector, log, io) = (connector.clone(), log.clone(), host.io().clone());
    host.with_guests(async move { Instance::new(&connector, None, Arc::default(), log, io).await?.describe().await })
        .await
}

async fn asked(
    connector: &Connector,
    config: String,
    log: &LogSink,
    host: &Host,
) -> Result<(Vec<GrantRequest>, Vec<StreamSpec>)> {
    let (connector, log, io) = (connector.clone(), log.clone(), host.io().clone());
    let asked = async move {
        let mut instance = Instance::new(&connector, None, Arc::default(), log, io).await?;
        instance.open(&config).await?;
        Ok((instance.grants().await?, instance.streams().await?))
    };
    host.with_guests(asked).await
}

/// The connector of a component, compiled or found, for a configuration's settings; and the program for isolated processes,
/// if they are wanted.
///
/// Errors: no such file (`Usage`); no connector, or not signed (`Connector`).
pub async fn load(
    wasm: &Wasm,
    settings: &Settings,
    public_key: Option<String>,
    isolate: bool,
    host: &Host,
) -> Result<(Connector, Option<Program>)> {
    let public_key = public_key.or_else(|| settings.public_key.clone());
    let isolation = host.isolation(isolate || settings.isolate)?;
    let engine = host.engine().limited(&settings.limits).isolated(isolation.clone());
    let wasm = wasm.clone();
    let connector = host.blocking(move || Connector::load(&engine, &wasm, public_key.as_deref())).await?;
    Ok((connector, isolation))
}

/// An opened connection: checked, granted, and not yet used.
pub struct Connection {
    pub file: ConfigFile,
    pub settings: Settings,
    pub source: Source,
    pub streams: Vec<StreamSpec>,
    pub grants: Vec<GrantRequest>,
    /// Where secrets go.
    pub ways: Ways,
    /// Digest of the connector and of what it was configured with.
    pub fingerprint: String,
    /// What is started for isolated processes, if it is to be isolated.
    pub isolation: Option<Program>,
    pub host: Host,
}

impl Connection {
    /// Errors: whatever is wrong with the connector, the configuration, the secrets or the grants, before any request.
    pub async fn open(host: &Host, options: ConnectionOptions) -> Result<Self> {
        let ConnectionOptions {
            connector: wasm,
            config: mut file,
            secrets: sources,
            allow,
            reveal,
            public_key,
            lock,
            ..
        } = options;
        let mut settings = options.policy.applied(file.settings.clone());
        settings.allow.extend(allow);
        settings.reveal.extend(reveal);
        let (connector, isolation) = load(&wasm, &settings, public_key, options.isolate, host).await?;
        if connector.surface().wants_secrets() && settings.reveal.is_empty() {
            let error = Error::new(ErrorKind::Denied, "the connector wants to see secrets, which is not granted");
            return Err(about(error, &wasm).with_help(
                "only if you trust it with a secret, to send wherever it may send requests: --reveal NAME",
            ));
        }
        let remarks = Arc::new(Remarks::default());

        // The configuration is opened before secrets are asked for: its own mistakes come first.
        let asked = ask(&connector, &mut file, &remarks.sink(), host).await.map_err(|error| about(error, &wasm))?;
        let Asked { mut extracted, grants: requests, streams, .. } = asked;
        let bound = settings.secrets.keys().filter(|name| asks_for(&requests, name));
        for name in settings.reveal.iter().chain(bound) {
            extracted.named.entry(name.clone()).or_default();
        }
        let bindings = bindings(&extracted.config, &settings.reveal, &settings.secrets);
        let ways = ways_of_secrets(&requests, &bindings);
        if let Some(lock) = lock {
            let accepted = Accepted::new(connector.surface(), &requests);
            accepted.hold(&lock.path, lock.accept_changes).map_err(|error| about(error, &wasm))?;
        }
        let config = extracted.config.to_string();
        let mut grants = Grants::new(placed_origins(&extracted.config, &requests), &settings.allow)?
            .with_bindings(bindings)
            .public_only(options.policy.public_addresses_only);
        let fingerprint = fingerprint(&connector.surface().digest, &config);
        for name in sources.names().filter(|name| !extracted.named.contains_key(*name) && !asks_for(&requests, name)) {
            remarks.warn(format!("--secret {name}=… is not used: the configuration has no ${{secrets.{name}}}"));
        }
        let secrets = sources.collect(extracted, &file).await?;
        ask_for_all(&mut grants, &requests, &secrets)?;
        let egress = Egress::new(settings.clone(), grants, &secrets)?;
        remarks.locate(&file);
        Ok(Self {
            file,
            settings,
            source: Source { connector, config, egress: Arc::new(egress), remarks, io: host.io().clone() },
            streams,
            grants: requests,
            ways,
            fingerprint,
            isolation,
            host: host.clone(),
        })
    }

    /// An instance of the connector with the configuration opened.
    pub async fn instance(&self) -> Result<Instance> {
        let source = self.source.clone();
        self.host.with_guests(async move { source.instance(Arc::default()).await }).await
    }
}

/// The origins that stand where the connector says that it found them: what it asks for elsewhere is not the operator's.
pub fn placed_origins(config: &Value, requests: &[GrantRequest]) -> BTreeSet<String> {
    let origin = |request: &GrantRequest| {
        let written = config.pointer(request.at.as_deref()?)?.as_str()?;
        let asked = secret_places::origin(&request.origin)?;
        (secret_places::origin(written)? == asked).then_some(asked)
    };
    requests.iter().filter_map(origin).collect()
}

/// Adds what the connector asks for to what is granted; refuses what is not.
fn ask_for_all(grants: &mut Grants, requests: &[GrantRequest], secrets: &Secrets) -> Result<()> {
    for request in requests {
        let mut credentials = Vec::new();
        let mut travels = Vec::new();
        for credential in &request.credentials {
            credentials.push((credential.name.clone(), credential.resolve(|reference| secrets.fill(reference))?));
            travels.extend(credential.travels(&request.origin));
        }
        grants.ask(&request.origin, credentials, &travels)?;
    }
    Ok(())
}

fn asks_for(requests: &[GrantRequest], secret: &str) -> bool {
    let mut credentials = requests.iter().flat_map(|request| &request.credentials);
    credentials.any(|credential| credential.secret_names().iter().any(|name| name == secret))
}

/// Mistakes of the configuration have their place; anything else is about the connector.
fn about(error: Error, connector: &Wasm) -> Error {
    match error.kind() {
        ErrorKind::Config => error,
        _ => error.with_context("connector", connector.name()),
    }
}

fn fingerprint(connector: &str, config: &str) -> String {
    let digest = Sha256::new().chain_update(connector).chain_update([0]).chain_update(config).finalize();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
