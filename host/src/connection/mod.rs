//! A connection: a connector, opened with a configuration, given the secrets and the way out that were granted.
//!
//! This is where a program that embeds the host begins: [`Connection::open`], then [`Connection::pipeline`]. Must never
//! give a secret or a way out to a connector before what it asks for was compared with what is granted.

mod accepted;
mod run_options;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use self::accepted::Accepted;
pub use self::run_options::{RunOptions, default_dataset, known};
use crate::config::secret_binding::bindings;
use crate::config::secret_places::{self, Extracted};
use crate::config::{ConfigFile, Settings};
use crate::egress::{Egress, Grants};
use crate::error::{Error, ErrorKind, Result};
use crate::extract::{Remarks, Source};
use crate::isolation::Program;
use crate::pipeline::Runtimes;
use crate::sandbox::{Connector, Description, Engine, GrantRequest, Instance, LogSink};
use crate::schema::StreamSpec;
use crate::secret::{SecretSources, Secrets};

/// What to open, and what it may have.
#[derive(Debug)]
pub struct ConnectionOptions {
    /// The component's file.
    pub connector: PathBuf,
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
    /// too.
    pub isolate: bool,
    /// What is started for them. None: not possible.
    pub program: Option<Program>,
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
pub fn ask(connector: &Connector, file: &mut ConfigFile, log: &LogSink, runtimes: &Runtimes) -> Result<Asked> {
    let instance = || Instance::new(connector, None, Arc::default(), log.clone(), runtimes.io.handle().clone());
    let description = runtimes.guests.block_on(async { instance().await?.describe().await })?;
    let extracted = secret_places::extract(&file.value, &description.config_schema, file.settings.limits.schema_steps)?;
    file.know(&description.config_schema);
    file.mask(extracted.places());
    let config = extracted.config.to_string();
    let asked = runtimes.guests.block_on(async {
        let mut instance = instance().await?;
        instance.open(&config).await?;
        Ok((instance.grants().await?, instance.streams().await?))
    });
    let (grants, streams) = asked.map_err(|error: Error| error.located(|found| file.locate(found)))?;
    Ok(Asked { description, extracted, grants, streams })
}

/// An opened connection: checked, granted, and not yet used.
pub struct Connection {
    pub file: ConfigFile,
    pub settings: Settings,
    pub source: Source,
    pub streams: Vec<StreamSpec>,
    pub grants: Vec<GrantRequest>,
    /// Digest of the connector and of what it was configured with.
    pub fingerprint: String,
    /// What is started for isolated processes, if it is to be isolated.
    pub isolation: Option<Program>,
}

impl Connection {
    /// Errors: whatever is wrong with the connector, the configuration, the secrets or the grants, before any request.
    pub fn open(options: ConnectionOptions, runtimes: &Runtimes) -> Result<Self> {
        let ConnectionOptions {
            connector: path,
            config: mut file,
            secrets: sources,
            allow,
            reveal,
            public_key,
            lock,
            ..
        } = options;
        let mut settings = file.settings.clone();
        settings.allow.extend(allow);
        settings.reveal.extend(reveal);
        let public_key = public_key.or_else(|| settings.public_key.clone());
        let isolation = isolation(options.isolate || settings.isolate, options.program)?;
        let engine = Engine::new(&settings.limits)?.isolated(isolation.clone());
        let connector = Connector::load(&engine, &path, public_key.as_deref())?;
        if connector.surface().wants_secrets() && settings.reveal.is_empty() {
            let error = Error::new(ErrorKind::Denied, "the connector wants to see secrets, which is not granted");
            return Err(about(error, &path).with_help(
                "only if you trust it with a secret, to send wherever it may send requests: --reveal NAME",
            ));
        }
        let remarks = Arc::new(Remarks::default());

        // The configuration is opened before secrets are asked for: its own mistakes come first.
        let asked = ask(&connector, &mut file, &remarks.sink(), runtimes).map_err(|error| about(error, &path))?;
        let Asked { mut extracted, grants: requests, streams, .. } = asked;
        let bound = settings.secrets.keys().filter(|name| asks_for(&requests, name));
        for name in settings.reveal.iter().chain(bound) {
            extracted.named.entry(name.clone()).or_default();
        }
        let bindings = bindings(&extracted.config, &settings.reveal, &settings.secrets);
        if let Some(lock) = lock {
            let accepted = Accepted::new(connector.surface(), &requests);
            accepted.hold(&lock.path, lock.accept_changes).map_err(|error| about(error, &path))?;
        }
        let config = extracted.config.to_string();
        let mut grants =
            Grants::new(placed_origins(&extracted.config, &requests), &settings.allow)?.with_bindings(bindings);
        let fingerprint = fingerprint(&connector.surface().digest, &config);
        for name in sources.names().filter(|name| !extracted.named.contains_key(*name) && !asks_for(&requests, name)) {
            remarks.warn(format!("--secret {name}=… is not used: the configuration has no ${{secrets.{name}}}"));
        }
        let secrets = sources.collect(extracted, &file)?;
        ask_for_all(&mut grants, &requests, &secrets)?;
        let egress = Egress::new(settings.clone(), grants, &secrets)?;
        remarks.locate(&file);
        Ok(Self {
            file,
            settings,
            source: Source { connector, config, egress: Arc::new(egress), remarks, io: runtimes.io.handle().clone() },
            streams,
            grants: requests,
            fingerprint,
            isolation,
        })
    }

    /// An instance of the connector with the configuration opened.
    pub fn instance(&self, runtimes: &Runtimes) -> Result<Instance> {
        runtimes.guests.block_on(self.source.instance(Arc::default()))
    }
}

/// Errors (`Usage`): isolation is wanted, and there is no program for it.
pub fn isolation(is_wanted: bool, program: Option<Program>) -> Result<Option<Program>> {
    match (is_wanted, program) {
        (true, None) => Err(Error::new(ErrorKind::Usage, "there is no program to start isolated processes from")
            .with_help("give ConnectionOptions::program, whose main calls airlock_host::isolated::serve first")),
        (true, program) => Ok(program),
        (false, _) => Ok(None),
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
fn about(error: Error, connector: &Path) -> Error {
    match error.kind() {
        ErrorKind::Config => error,
        _ => error.with_context("connector", connector.display().to_string()),
    }
}

fn fingerprint(connector: &str, config: &str) -> String {
    let digest = Sha256::new().chain_update(connector).chain_update([0]).chain_update(config).finalize();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
