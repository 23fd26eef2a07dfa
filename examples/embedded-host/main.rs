//! The host as a library: a service that holds its users' secrets itself, and shows what a run did in its own way.
//!
//! `cargo run --release --workspace --example embedded-host -- connector.wasm pm.yaml sqlite:pm.sqlite`
#![expect(clippy::print_stdout, reason = "the example's own output")]

use std::path::Path;
use std::process::ExitCode;

use airlock_host::config::ConfigFile;
use airlock_host::connection::{Connection, ConnectionOptions, RunOptions};
use airlock_host::error::Result;
use airlock_host::pipeline::Runtimes;
use airlock_host::secret::{SecretSource, SecretSources, SecretString};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [connector, config, to] = arguments.as_slice() else {
        println!("usage: embedded-host CONNECTOR.wasm CONFIG DESTINATION");
        return Ok(ExitCode::from(2));
    };

    // One of these serves any number of connections.
    let runtimes = Runtimes::new()?;
    let options = ConnectionOptions {
        connector: connector.into(),
        config: ConfigFile::load(Path::new(config))?,
        // A real service asks its vault here. The connector never sees the value.
        secrets: SecretSources::default().with("api_key", SecretSource::Value(SecretString::from("demo-key-4f6c1d"))),
        allow: Vec::new(),
        reveal: Vec::new(),
        public_key: None,
        lock: None,
        isolate: false,
        program: None,
    };
    let connection = Connection::open(options, &runtimes)?;
    println!("streams: {:?}", connection.streams.iter().map(|stream| &stream.name).collect::<Vec<_>>());

    let run = RunOptions { to: Some(to.clone()), ..RunOptions::default() };
    let report = connection.pipeline(run)?.run(&runtimes, |under_way| {
        // `under_way.activity` counts while it runs; `under_way.control.stop()` ends it cleanly from another thread.
        drop(under_way);
    });
    for table in &report.tables {
        println!("{}: {} rows", table.name, table.rows);
    }
    Ok(ExitCode::from(report.exit_code()))
}
