//! A project-management API to try the host on, and `run`, which reads it with the host and shows what was loaded.
//!
//! It is the API that a connector's author meets: a key, pages, nested records, and now and then a failure. Must never
//! need the network or the host's library: it drives the binary, as a user does.

mod api;
mod records;
mod run;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use tokio::net::TcpListener;

#[derive(Parser)]
#[command(about = "A project-management API to try the host on")]
struct Demo {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve the API until interrupted
    Serve {
        #[command(flatten)]
        size: Size,
        /// Port on 127.0.0.1; 0 picks a free one
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
    /// Serve the API on a free port, read it with the host, and show the first rows
    Run {
        #[command(flatten)]
        size: Size,
        /// The host's binary [default: beside this one]
        #[arg(long)]
        host: Option<PathBuf>,
        /// The REST connector [default: beside the host's binary]
        #[arg(long)]
        connector: Option<PathBuf>,
        #[arg(long, default_value = "examples/project-management.yaml")]
        config: PathBuf,
        /// The DuckDB file to load into
        #[arg(long, default_value = "project-management.duckdb")]
        database: PathBuf,
    },
}

/// What the API has to offer.
#[derive(Args, Clone, Copy)]
struct Size {
    #[arg(long, default_value_t = 2_000)]
    tasks: u64,
    /// Fail every so many requests, with 429 and 503 in turn; 0: never
    #[arg(long, default_value_t = 20)]
    fail_every: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Demo::parse().verb {
        Verb::Serve { size, port } => {
            let listener = TcpListener::bind(("127.0.0.1", port)).await?;
            run::say(&format!("http://{}  api_key={}", listener.local_addr()?, api::KEY))?;
            axum::serve(listener, api::router(size)).await?;
            Ok(())
        }
        Verb::Run { size, host, connector, config, database } => {
            run::run(size, &run::Paths::new(host, connector, config, database)?).await
        }
    }
}
