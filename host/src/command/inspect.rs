//! `host inspect`: what a component is, imports, exports and asks for, without running it against anything.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use crate::config::settings::Limits;
use crate::error::Result;
use crate::output::Printer;
use crate::pipeline::Runtimes;
use crate::sandbox::{Connector, Engine, Instance};

/// Show what a component is, imports, exports and asks for
#[derive(Debug, Args)]
pub struct Inspect {
    /// The connector: a WebAssembly component
    #[arg(value_name = "CONNECTOR.wasm")]
    connector: PathBuf,
}

/// What an import lets a connector do, by the beginning of its name.
const MEANINGS: &[(&str, &str)] = &[
    ("airlock:connector/log", "messages to you"),
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
        let runtimes = Runtimes::new()?;
        let connector = Connector::load(&Engine::new(&Limits::default())?, &self.connector)?;
        let log = Arc::new(|_, _: &str| {});
        let io = runtimes.io.handle().clone();
        let described = async { Instance::new(&connector, None, Arc::default(), log, io).await?.describe().await };
        let description = runtimes.guests.block_on(described)?;
        let surface = connector.surface();
        if printer.json {
            let document = json!({
                "version": 1,
                "name": description.name, "connector_version": description.version, "summary": description.summary,
                "digest": format!("sha256:{}", surface.digest), "bytes": surface.bytes,
                "imports": surface.imports, "exports": surface.exports,
            });
            printer.document(&document.to_string());
            return Ok(0);
        }
        printer.document(&format!("{} {}: {}", description.name, description.version, description.summary));
        printer.document(&format!("sha256:{}, {:.1} MB", surface.digest, surface.bytes as f64 / 1e6));
        printer.document("\nImports");
        let width = surface.imports.iter().map(String::len).max().unwrap_or(0);
        for import in &surface.imports {
            let meaning = MEANINGS
                .iter()
                .find(|(start, _)| import.starts_with(start))
                .map_or("not known", |(_, meaning)| meaning);
            printer.document(&format!("  {import:<width$}  {meaning}"));
        }
        printer.document("\nExports");
        for export in &surface.exports {
            printer.document(&format!("  {export}"));
        }
        printer.document(
            "\nWhich origins and credentials it asks for depends on the configuration: host check shows them.",
        );
        Ok(0)
    }
}
