//! The flags of every command that works with a connection.

use std::path::PathBuf;

use clap::Args;

use crate::config::ConfigFile;
use crate::connection::{Connection, ConnectionOptions, Lock, Policy};
use crate::error::Result;
use crate::host::Host;
use crate::isolation::Program;
use crate::secret::SecretSources;

/// Which connector, with which configuration, secrets and grants.
#[derive(Debug, Args)]
pub(super) struct ConnectionArguments {
    /// The connector: a WebAssembly component
    #[arg(value_name = "CONNECTOR.wasm")]
    connector: PathBuf,
    /// The configuration: YAML, JSON or TOML
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Where a secret comes from: env:VARIABLE, file:PATH, cmd:COMMAND or keyring:SERVICE/USER
    #[arg(long = "secret", value_name = "NAME=SOURCE")]
    secrets: Vec<String>,
    /// A further origin that the connector may reach, as in https://api.example.com
    #[arg(long = "allow", value_name = "ORIGIN")]
    allow: Vec<String>,
    /// Stop unless CONNECTOR.wasm.minisig was made with the other half of this minisign key
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
    /// A secret that the connector may see in plain text; only for a connector that asks for it
    #[arg(long = "reveal", value_name = "NAME")]
    reveal: Vec<String>,
    /// Remember in this file which component this is and what it asks for; stop when that changes
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Write into the lock what has changed
    #[arg(long, requires = "lock")]
    accept_changes: bool,
    /// Run the connector, and look at its pages, in processes of their own without files, network and secrets (Linux)
    #[arg(long)]
    isolate: bool,
}

impl ConnectionArguments {
    /// Errors: whatever is wrong with the connector, the configuration, the secrets or the grants, before any request.
    pub(super) async fn open(&self, host: &Host) -> Result<Connection> {
        let options = ConnectionOptions {
            connector: self.connector.clone().into(),
            config: ConfigFile::load(&self.config)?,
            secrets: SecretSources::new(&self.secrets, &self.config)?,
            allow: self.allow.clone(),
            reveal: self.reveal.clone(),
            public_key: self.public_key.clone(),
            lock: self.lock.clone().map(|path| Lock { path, accept_changes: self.accept_changes }),
            isolate: self.isolate,
            policy: Policy::default(),
        };
        Connection::open(host, options).await
    }
}

/// What every command runs connectors with.
pub(super) fn host() -> Result<Host> {
    Host::with_program(Program::this())
}
