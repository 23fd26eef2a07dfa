//! `host inspect`: what a component is, imports, exports and asks for, without running it against anything.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use crate::config::ConfigFile;
use crate::config::secret_binding::bindings;
use crate::connection::{self, Ways};
use crate::error::{Error, Result};
use crate::output::Printer;
use crate::sandbox::{CredentialRequest, GrantRequest, LogSink, printable};

/// Show what a component is, imports, exports and asks for
#[derive(Debug, Args)]
pub struct Inspect {
    /// The connector: a WebAssembly component
    #[arg(value_name = "CONNECTOR.wasm")]
    connector: PathBuf,
    /// Show what it asks for with this configuration, without reading a secret or making a request
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stop unless CONNECTOR.wasm.minisig was made with the other half of this minisign key
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
    /// Compile and ask the connector in a process of its own (Linux)
    #[arg(long)]
    isolate: bool,
}

/// What an import lets a connector do, by the beginning of its name.
const MEANINGS: &[(&str, &str)] = &[
    ("airlock:connector/log", "messages to you"),
    ("airlock:connector/secrets", "SECRETS IN PLAIN TEXT, those granted with --reveal"),
    ("airlock:connector/types", "types only"),
    ("wasi:http/outgoing-handler", "requests to granted origins, through the egress"),
    ("wasi:http/types", "types of HTTP"),
    ("wasi:clocks", "the time"),
    ("wasi:random", "random numbers"),
    ("wasi:io", "streams of the above"),
    ("wasi:cli", "nothing: linked empty"),
    ("wasi:filesystem", "nothing: linked empty, no folder is granted"),
    ("wasi:sockets", "nothing: linked empty, every address is denied"),
];

impl Inspect {
    pub fn execute(self, printer: &Printer) -> Result<u8> {
        let host = super::connection::host()?;
        let mut file = self.config.as_deref().map(ConfigFile::load).transpose()?;
        let settings = file.as_ref().map(|file| file.settings.clone()).unwrap_or_default();
        let log: LogSink = Arc::new(drop);
        let mut ways = Ways::default();
        let (connector, description, asks) = host.block_on(async {
            let wasm = self.connector.into();
            let (connector, _) = connection::load(&wasm, &settings, self.public_key, self.isolate, &host).await?;
            match &mut file {
                Some(file) => {
                    let asked = connection::ask(&connector, file, &log, &host).await?;
                    let bindings = bindings(&asked.extracted.config, &settings.reveal, &settings.secrets);
                    ways = connection::ways_of_secrets(&asked.grants, &bindings);
                    Ok::<_, Error>((connector, asked.description, Some(asked.grants)))
                }
                None => {
                    let description = connection::describe(&connector, &log, &host).await?;
                    Ok((connector, description, None))
                }
            }
        })?;
        let surface = connector.surface();
        if printer.json {
            let document = json!({
                "version": 1,
                "name": description.name, "connector_version": description.version, "summary": description.summary,
                "digest": format!("sha256:{}", surface.digest), "bytes": surface.bytes, "signed": surface.signed,
                "imports": surface.imports, "exports": surface.exports, "asks": asks.as_deref().map(asks_as_json),
                "secrets": asks.as_ref().map(|_| &ways),
            });
            printer.document(&document.to_string());
            return Ok(0);
        }
        printer.document(&format!("{} {}: {}", description.name, description.version, description.summary));
        printer.document(&format!("sha256:{}, {:.1} MB", surface.digest, surface.bytes as f64 / 1e6));
        if let Some(comment) = &surface.signed {
            printer.document(&format!("signed: {comment}"));
        }
        printer.document("\nImports");
        let width = surface.imports.iter().map(String::len).max().unwrap_or(0);
        for import in &surface.imports {
            let meaning = MEANINGS
                .iter()
                .find(|(start, _)| import.starts_with(start))
                .map_or("not known", |(_, meaning)| meaning);
            printer.document(&format!("  {:<width$}  {meaning}", printable(import)));
        }
        printer.document("\nExports");
        for export in &surface.exports {
            printer.document(&format!("  {}", printable(export)));
        }
        let Some(asks) = asks else {
            printer.document(
                "\nWhich origins and credentials it asks for depends on the configuration: give --config FILE.",
            );
            return Ok(0);
        };
        printer.document("\nAsks for");
        if asks.is_empty() {
            printer.document("  nothing");
        }
        for grant in &asks {
            let credentials: Vec<String> = grant.credentials.iter().map(credential_with_secrets).collect();
            let with = if credentials.is_empty() { "no credential".to_owned() } else { credentials.join(", ") };
            printer.document(&format!("  {} with {with}", grant.origin));
        }
        printer.document("\nWhere secrets go");
        if ways.is_empty() {
            printer.document("  nowhere: there are none");
        }
        for line in connection::shown(&ways) {
            printer.document(&format!("  {line}"));
        }
        Ok(0)
    }
}

fn asks_as_json(asks: &[GrantRequest]) -> Vec<Value> {
    let credential =
        |credential: &CredentialRequest| json!({"kind": credential.kind(), "secrets": credential.secret_names()});
    asks.iter()
        .map(|grant| {
            json!({"origin": grant.origin, "credentials": grant.credentials.iter().map(credential).collect::<Vec<_>>()})
        })
        .collect()
}

/// What is attached, and from which secrets: a name is no secret.
fn credential_with_secrets(credential: &CredentialRequest) -> String {
    format!("{} ({})", credential.kind(), printable(&credential.secret_names().join(", ")))
}
