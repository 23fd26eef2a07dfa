//! What an operator accepted of a connector, kept in a file: which component it is, what it imports, which origins it asks
//! for, with which credentials, and which way each secret goes.
//!
//! The first run writes it; from then on another component, or one that asks for more, stops before any secret is read.
//! Must never hold a secret, only names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::sandbox::{GrantRequest, Surface};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Accepted {
    version: u32,
    /// `sha256:…` of the file.
    connector: String,
    imports: BTreeSet<String>,
    /// By origin: the credentials it asks for there, as `bearer token (api_key)`.
    origins: BTreeMap<String, BTreeSet<String>>,
    /// By secret: `at https://… in the header x-key`, token endpoints with their whole URL.
    #[serde(default)]
    secrets: BTreeMap<String, BTreeSet<String>>,
}

const VERSION: u32 = 2;

impl Accepted {
    pub(super) fn new(surface: &Surface, grants: &[GrantRequest]) -> Self {
        let mut origins: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut secrets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for grant in grants {
            let credentials = grant.credentials.iter().map(|credential| {
                let names: BTreeSet<String> = credential.secret_names().into_iter().collect();
                format!("{} ({})", credential.kind(), names.into_iter().collect::<Vec<_>>().join(", "))
            });
            for travel in grant.credentials.iter().flat_map(|credential| credential.travels(&grant.origin)) {
                secrets.entry(travel.secret.clone()).or_default().insert(travel.shown());
            }
            origins.entry(grant.origin.clone()).or_default().extend(credentials);
        }
        Self {
            version: VERSION,
            connector: format!("sha256:{}", surface.digest),
            imports: surface.imports.iter().cloned().collect(),
            origins,
            secrets,
        }
    }

    /// Compares with the file; writes it if there is none yet, or if changes are accepted.
    ///
    /// Errors (`Config`): what changed, and how to accept it; the file can't be read or written.
    pub(super) fn hold(&self, path: &Path, accept_changes: bool) -> Result<()> {
        let before = match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(error("can't be read", path).with_source(source)),
        };
        if let Some(text) = before.filter(|_| !accept_changes) {
            let before: Self = serde_json::from_str(&text)
                .map_err(|source| error("is no lock of a connector", path).with_source(source))?;
            let changes = self.beyond(&before);
            if changes.is_empty() {
                return Ok(());
            }
            let error = Error::new(ErrorKind::Config, "the connector is not the one that was accepted")
                .with_context("lock", path.display().to_string());
            return Err(changes
                .into_iter()
                .fold(error, Error::with_help)
                .with_help("look at it with `host inspect`; then accept it with --accept-changes"));
        }
        let text = serde_json::to_string_pretty(self)
            .map_err(|source| Error::new(ErrorKind::Internal, "the lock can't be printed").with_source(source))?;
        std::fs::write(path, text + "\n").map_err(|source| error("can't be written", path).with_source(source))
    }

    /// What this one is or asks for beyond what was accepted, one line each.
    fn beyond(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.version != before.version {
            changes.push(format!("the lock is of version {}, this host knows {VERSION}", before.version));
        }
        if self.connector != before.connector {
            changes.push(format!("another component: {}, it was {}", self.connector, before.connector));
        }
        for import in self.imports.difference(&before.imports) {
            changes.push(format!("it imports {import}"));
        }
        for (origin, credentials) in &self.origins {
            match before.origins.get(origin) {
                None => changes.push(format!("it asks for {origin}{}", with(credentials))),
                Some(known) => {
                    for credential in credentials.difference(known) {
                        changes.push(format!("at {origin} it asks for the credential {credential}"));
                    }
                }
            }
        }
        for (secret, ways) in &self.secrets {
            let known = before.secrets.get(secret);
            for way in ways.iter().filter(|way| known.is_none_or(|known| !known.contains(*way))) {
                changes.push(format!("the secret {secret} would go {way}"));
            }
        }
        changes
    }
}

fn with(credentials: &BTreeSet<String>) -> String {
    match credentials.is_empty() {
        true => String::new(),
        false => format!(" with {}", credentials.iter().cloned().collect::<Vec<_>>().join(", ")),
    }
}

fn error(what: &str, path: &Path) -> Error {
    Error::new(ErrorKind::Config, format!("the lock {} {what}", path.display()))
}
