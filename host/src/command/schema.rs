//! `host schema`: the JSON Schema of a connector's configuration, for editors.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::config::{ConfigFile, Settings, with_host};
use crate::connection;
use crate::error::{Error, ErrorKind, Result};
use crate::output::Printer;
use crate::sandbox::LogSink;

/// Print the JSON Schema of a connector's configuration
#[derive(Debug, Args)]
pub struct Schema {
    /// The connector: a WebAssembly component
    #[arg(value_name = "CONNECTOR.wasm")]
    connector: PathBuf,

    /// A configuration whose `host.limits` and `host.isolate` hold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Compile and ask the connector in a process of its own (Linux)
    #[arg(long)]
    isolate: bool,
}

impl Schema {
    pub fn execute(self, printer: &Printer) -> Result<u8> {
        let settings = match &self.config {
            Some(path) => ConfigFile::load(path)?.settings,
            None => Settings::default(),
        };
        let host = super::connection::host()?;
        let description = host.block_on(async {
            let wasm = self.connector.into();
            let (connector, _) = connection::load(&wasm, &settings, None, self.isolate, &host).await?;
            let log: LogSink = Arc::new(drop);
            connection::describe(&connector, &log, &host).await
        })?;
        let text = serde_json::to_string_pretty(&with_host(description.config_schema))
            .map_err(|source| Error::new(ErrorKind::Internal, "the schema can't be printed").with_source(source))?;
        printer.json_document(&text);
        Ok(0)
    }
}
