//! `host init`: a configuration to begin with.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::output::Printer;

/// Write a commented configuration to begin with
#[derive(Debug, Args)]
pub struct Init {
    /// The file to write; one that is there already is left alone
    #[arg(value_name = "FILE", default_value = "pipeline.yaml")]
    file: PathBuf,
}

const CONFIGURATION: &str = include_str!("init.yaml");

impl Init {
    pub fn execute(self, printer: &Printer) -> Result<u8> {
        let shown = self.file.display();
        let write = || File::create_new(&self.file)?.write_all(CONFIGURATION.as_bytes());
        write().map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Error::new(ErrorKind::Usage, format!("{shown} is there already")).with_help("name another file")
            }
            _ => Error::new(ErrorKind::Usage, format!("{shown} can't be written"))
                .with_source(source)
                .with_help("name a file in a folder that is there and can be written to"),
        })?;
        if printer.json {
            printer.document(&json!({"version": 1, "wrote": self.file}).to_string());
        }
        let name = self.file.file_stem().unwrap_or_default().to_string_lossy();
        printer.message(&format!(
            "Wrote {shown}. Put your API in, then:\n  host check CONNECTOR.wasm --config {shown} --secret api_key=env:API_KEY\n  \
             host run CONNECTOR.wasm --config {shown} --secret api_key=env:API_KEY --to duckdb:{name}.duckdb"
        ));
        Ok(0)
    }
}
