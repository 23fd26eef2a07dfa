//! What stands under `host:` in a configuration: how the host treats the connector. Every key has a safe default.
//!
//! Must never hold a secret.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::Convention;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Further origins that the connector may reach.
    pub allow: Vec<String>,
    /// Secrets that the connector may see in plain text, by name.
    pub reveal: Vec<String>,
    /// Where secrets may go, by their names; otherwise where they stand in the configuration says it.
    pub secrets: BTreeMap<String, SecretSettings>,
    /// The connector must be signed with the other half of this minisign key.
    pub public_key: Option<String>,
    /// Run the connector, and look at its pages, in processes of their own (Linux). The flag `--isolate` asks for it too.
    pub isolate: bool,
    pub retry: Retry,
    pub rate_limit: RateLimit,
    pub limits: Limits,
    pub tls: Tls,
    pub proxy: Option<String>,
    /// How keys become names of tables and columns.
    pub naming: Convention,
    /// Streams and partitions read at once. The flag `--concurrency` wins.
    pub concurrency: Option<usize>,
    /// A load package is committed once it has this many rows …
    pub package_rows: usize,
    /// … or this many bytes. Large enough for bulk loading, small enough for two of them in memory.
    pub package_bytes: usize,
    pub duckdb: DuckDb,
    pub csv: Csv,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            reveal: Vec::new(),
            secrets: BTreeMap::new(),
            public_key: None,
            isolate: false,
            retry: Retry::default(),
            rate_limit: RateLimit::default(),
            limits: Limits::default(),
            tls: Tls::default(),
            proxy: None,
            naming: Convention::SnakeCase,
            concurrency: None,
            package_rows: 250_000,
            package_bytes: 48 << 20,
            duckdb: DuckDb::default(),
            csv: Csv::default(),
        }
    }
}

/// The destination DuckDB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DuckDb {
    /// What it may hold in memory before it spills.
    pub memory_bytes: u64,
}

impl Default for DuckDb {
    fn default() -> Self {
        Self { memory_bytes: 96 << 20 }
    }
}

/// Files of CSV.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Csv {
    /// Put an apostrophe in front of texts that a spreadsheet would take for formulas.
    pub escape_formulas: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct SecretSettings {
    /// The only origins that it may be sent to.
    pub origins: Vec<String>,
}

/// Which failed requests are sent again, and when. Connection failures always count as failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    pub max_retries: u32,
    /// Besides 429 and 500 to 599.
    pub statuses: Vec<u16>,
    pub initial_delay_secs: f64,
    pub backoff_factor: f64,
    /// Of one wait, and of a `Retry-After` that is honoured.
    pub max_delay_secs: f64,
    /// Adds up to this share of a wait at random, so that many clients do not come back at once.
    pub jitter: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_retries: 3,
            statuses: Vec::new(),
            initial_delay_secs: 1.0,
            backoff_factor: 2.0,
            max_delay_secs: 300.0,
            jitter: true,
        }
    }
}

/// How fast one origin is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// None: as fast as it answers.
    pub requests_per_second: Option<f64>,
    /// Requests under way at once.
    pub concurrent_requests: usize,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { requests_per_second: None, concurrent_requests: 16 }
    }
}

/// How much a connector, and what it fetches, may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The connector's file.
    pub component_bytes: u64,
    /// Time to compile it.
    pub compile_secs: f64,
    /// Linear memory of one instance.
    pub memory_bytes: usize,
    /// Linear memory of all instances together.
    pub total_memory_bytes: usize,
    /// Processor time of one call into the connector.
    pub cpu_secs: f64,
    /// Time for one page, waits for the API included.
    pub page_secs: f64,
    /// One response, after decompression.
    pub response_bytes: u64,
    /// One page of records.
    pub page_bytes: usize,
    /// What the connector says at once besides records: its schema, grants, streams with their hints, an explanation, an
    /// error.
    pub document_bytes: usize,
    /// One page of records as text: what its Arrow columns stand for.
    pub decoded_bytes: usize,
    /// Steps to find the places of secrets: the connector's schema, followed through the configuration.
    pub schema_steps: usize,
    /// Origins, and credentials, that the connector may ask for.
    pub grants: usize,
    /// All secrets of a run together, and what credentials make of them; tokens included.
    pub secret_bytes: usize,
    /// One request's body.
    pub request_bytes: usize,
    pub connect_secs: f64,
    /// From the request to the last byte of the response.
    pub response_secs: f64,
    /// One run: then it stops as with Ctrl-C, and the next one goes on.
    pub run_secs: Option<f64>,
    /// Of one run, retries included.
    pub requests: u64,
    /// All header fields of one request.
    pub request_header_bytes: usize,
    pub streams: usize,
    pub records_per_stream: u64,
    /// Partitions that one call may list: of a stream, or of a child for one page of its parent.
    pub partitions_per_call: usize,
    /// The id of one.
    pub partition_id_bytes: usize,
    /// One checkpoint, and what a partition needs to be read.
    pub checkpoint_bytes: usize,
    /// All checkpoints and partitions that a run remembers.
    pub state_bytes: usize,
    /// Partitions of a stream whose cursors are remembered one by one.
    pub partition_states: usize,
    /// Pages of a partition in a row that bring neither a record nor a new checkpoint, or records under one checkpoint.
    pub pages_without_progress: usize,
    /// Rows held because no checkpoint says how to go on behind them.
    pub bytes_without_checkpoint: usize,
    /// What one instance may say.
    pub log_bytes: usize,
    /// Resources (requests, bodies, streams) that one instance may hold at once.
    pub handles: usize,
    pub columns_per_table: usize,
    pub tables_per_stream: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes: 100 << 20,
            compile_secs: 300.0,
            memory_bytes: 512 << 20,
            total_memory_bytes: 4 << 30,
            cpu_secs: 60.0,
            page_secs: 3600.0,
            response_bytes: 256 << 20,
            page_bytes: 256 << 20,
            document_bytes: 16 << 20,
            decoded_bytes: 1 << 30,
            schema_steps: 1_000_000,
            grants: 1000,
            secret_bytes: 1 << 20,
            request_bytes: 16 << 20,
            connect_secs: 30.0,
            response_secs: 120.0,
            run_secs: None,
            requests: 1_000_000,
            request_header_bytes: 64 << 10,
            streams: 10_000,
            records_per_stream: u64::MAX,
            partitions_per_call: 100_000,
            partition_id_bytes: 4096,
            checkpoint_bytes: 4 << 20,
            state_bytes: 256 << 20,
            partition_states: 200_000,
            pages_without_progress: 1000,
            bytes_without_checkpoint: 1 << 30,
            log_bytes: 1 << 20,
            handles: 10_000,
            columns_per_table: 4000,
            tables_per_stream: 200,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// PEM file of further certificate authorities.
    pub ca_file: Option<String>,
    /// PEM file of a certificate, with its chain, for servers that ask for one.
    pub client_certificate: Option<String>,
    /// PEM file of its private key.
    pub client_key: Option<String>,
    /// Where it is shown; empty: to every granted origin that asks.
    pub client_origins: Vec<String>,
}
