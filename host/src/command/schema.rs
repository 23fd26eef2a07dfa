//! `host schema`: the JSON Schema of a connector's configuration, for editors.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::config::{ConfigFile, Settings, with_host};
use crate::connection::isolation;
use crate::error::{Error, ErrorKind, Result};
use crate::isolation::Program;
use crate::output::Printer;
use crate::pipeline::Runtimes;
use crate::sandbox::{Connector, Engine, Instance};

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
        let runtimes = Runtimes::new()?;
        let settings = match &self.config {
            Some(path) => ConfigFile::load(path)?.settings,
            None => Settings::default(),
        };
        let isolation = isolation(self.isolate || settings.isolate, Some(Program::this()))?;
        let engine = Engine::new(&settings.limits)?.isolated(isolation);
        let connector = Connector::load(&engine, &self.connector, None)?;
        let io = runtimes.io.handle().clone();
        let described =
            async { Instance::new(&connector, None, Arc::default(), Arc::new(drop), io).await?.describe().await };
        let description = runtimes.guests.block_on(described)?;
        let text = serde_json::to_string_pretty(&with_host(description.config_schema))
            .map_err(|source| Error::new(ErrorKind::Internal, "the schema can't be printed").with_source(source))?;
        printer.json_document(&text);
        Ok(0)
    }
}
