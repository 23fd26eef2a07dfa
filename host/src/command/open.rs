//! What every command does that works with a connection: load the connector, read the configuration, take the secrets
//! out, open it, ask what it wants to reach, and grant that or refuse.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use sha2::{Digest as _, Sha256};

use super::accepted::Accepted;
use crate::config::secret_places::{self, Extracted};
use crate::config::{ConfigFile, Settings};
use crate::egress::{Egress, Grants};
use crate::error::{Error, ErrorKind, Result};
use crate::extract::Source;
use crate::output::Printer;
use crate::pipeline::Runtimes;
use crate::sandbox::{Connector, CredentialRequest, Description, Engine, GrantRequest, Instance, LogLevel, LogSink};
use crate::schema::StreamSpec;
use crate::secret::{SecretSources, Secrets};

/// Which connector, with which configuration, secrets and grants.
#[derive(Debug, Args)]
pub(super) struct ConnectionArguments {
    /// The connector: a WebAssembly component
    #[arg(value_name = "CONNECTOR.wasm")]
    pub(super) connector: PathBuf,
    /// The configuration: YAML, JSON or TOML
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Where a secret comes from: env:VARIABLE, file:PATH, cmd:COMMAND or keyring:SERVICE/USER
    #[arg(long = "secret", value_name = "NAME=SOURCE")]
    pub(super) secrets: Vec<String>,
    /// A further origin that the connector may reach, as in https://api.example.com
    #[arg(long = "allow", value_name = "ORIGIN")]
    pub(super) allow: Vec<String>,
    /// Stop unless CONNECTOR.wasm.minisig was made with the other half of this minisign key
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
    /// Remember in this file which component this is and what it asks for; stop when that changes
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Write into the lock what has changed
    #[arg(long, requires = "lock")]
    accept_changes: bool,
}

/// What a connector makes of a configuration, before it gets anything.
pub(super) struct Asked {
    pub(super) description: Description,
    pub(super) extracted: Extracted,
    pub(super) grants: Vec<GrantRequest>,
    pub(super) streams: Vec<StreamSpec>,
}

/// Opens a configuration without any secret and without a way out, and asks what the connector wants. From then on `file`
/// no longer shows what was typed at a secret's place.
pub(super) fn ask(connector: &Connector, file: &mut ConfigFile, log: &LogSink, runtimes: &Runtimes) -> Result<Asked> {
    let instance = || Instance::new(connector, None, Arc::default(), log.clone(), runtimes.io.handle().clone());
    let description = runtimes.guests.block_on(async { instance().await?.describe().await })?;
    let extracted = secret_places::extract(&file.value, &description.config_schema);
    file.mask(extracted.places());
    let config = extracted.config.to_string();
    let asked = runtimes.guests.block_on(async {
        let mut instance = instance().await?;
        instance.open(&config).await?;
        Ok((instance.grants().await?, instance.streams().await?))
    });
    let (grants, streams) = asked.map_err(|error| located(error, file))?;
    Ok(Asked { description, extracted, grants, streams })
}

/// An opened connection.
pub(super) struct Connection {
    pub(super) file: ConfigFile,
    pub(super) settings: Settings,
    pub(super) source: Source,
    pub(super) streams: Vec<StreamSpec>,
    pub(super) grants: Vec<GrantRequest>,
    /// Digest of the connector and of what it was configured with.
    pub(super) fingerprint: String,
    pub(super) warnings: Arc<Mutex<Vec<String>>>,
}

impl ConnectionArguments {
    /// Errors: whatever is wrong with the connector, the configuration, the secrets or the grants, before any request.
    pub(super) fn open(&self, runtimes: &Runtimes) -> Result<Connection> {
        let mut file = ConfigFile::load(&self.config)?;
        let settings = file.settings.clone();
        let sources = SecretSources::new(&self.secrets, &self.config)?;
        let engine = Engine::new(&settings.limits)?;
        let public_key = self.public_key.as_deref().or(settings.public_key.as_deref());
        let connector = Connector::load(&engine, &self.connector, public_key)?;
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let log = log_sink(warnings.clone());
        let io = runtimes.io.handle().clone();

        // The configuration is opened before secrets are asked for: its own mistakes come first.
        let asked = ask(&connector, &mut file, &log, runtimes).map_err(|error| self.about(error))?;
        let Asked { extracted, grants: requests, streams, .. } = asked;
        if let Some(lock) = &self.lock {
            let accepted = Accepted::new(connector.surface(), &requests);
            accepted.hold(lock, self.accept_changes).map_err(|error| self.about(error))?;
        }
        let config = extracted.config.to_string();
        let origins = extracted.origins.clone();
        let fingerprint = fingerprint(&connector.surface().digest, &config);
        let secrets = sources.collect(extracted, &file)?;
        let mut allow = settings.allow.clone();
        allow.extend(self.allow.iter().cloned());
        let egress = Egress::new(settings.clone(), granted(origins, &allow, &requests, &secrets)?, &secrets)?;
        // What was said while opening is said again by every instance.
        let mut said = warnings.lock().unwrap_or_else(PoisonError::into_inner);
        said.dedup();
        drop(said);
        Ok(Connection {
            file,
            settings,
            source: Source { connector, config, egress: Arc::new(egress), log, io },
            streams,
            grants: requests,
            fingerprint,
            warnings,
        })
    }

    fn about(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::Config {
            error
        } else {
            error.with_context("connector", self.connector.display().to_string())
        }
    }
}

/// Puts the operator's grants and the connector's asks together; refuses what is asked for and not granted.
fn granted(
    origins: std::collections::BTreeSet<String>,
    allow: &[String],
    requests: &[GrantRequest],
    secrets: &Secrets,
) -> Result<Grants> {
    let mut grants = Grants::new(origins, allow)?;
    for request in requests {
        let credentials = request
            .credentials
            .iter()
            .map(|credential| Ok((credential.name.clone(), credential.resolve(|reference| secrets.fill(reference))?)))
            .collect::<Result<_>>()?;
        let names: Vec<String> = request.credentials.iter().flat_map(CredentialRequest::secret_names).collect();
        grants.ask(&request.origin, credentials, &names)?;
    }
    Ok(grants)
}

/// Gives diagnostics of a connector their places in the file.
fn located(error: Error, file: &ConfigFile) -> Error {
    if error.diagnostics().is_empty() {
        error
    } else {
        Error::from_diagnostics(file.locate(error.diagnostics().to_vec()))
    }
}

fn log_sink(warnings: Arc<Mutex<Vec<String>>>) -> LogSink {
    Arc::new(move |level, message| match level {
        LogLevel::Warning => {
            let mut warnings = warnings.lock().unwrap_or_else(PoisonError::into_inner);
            if warnings.len() < 100 && !warnings.iter().any(|known| known == message) {
                warnings.push(message.to_owned());
            }
        }
        LogLevel::Info => tracing::info!("connector: {message}"),
        LogLevel::Debug => tracing::debug!("connector: {message}"),
    })
}

fn fingerprint(connector: &str, config: &str) -> String {
    let digest = Sha256::new().chain_update(connector).chain_update([0]).chain_update(config).finalize();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Connection {
    /// An instance of the connector with the configuration opened.
    pub(super) fn instance(&self, runtimes: &Runtimes) -> Result<Instance> {
        runtimes.guests.block_on(self.source.instance(Arc::default()))
    }

    /// Shows what was said while opening.
    pub(super) fn tell_warnings(&self, printer: &Printer) {
        for warning in self.warnings.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            printer.warning(&warning);
        }
    }
}
