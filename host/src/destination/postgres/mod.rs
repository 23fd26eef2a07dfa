//! A dataset in a PostgreSQL schema: rows go in by binary COPY, one transaction per package.
//!
//! Must never show the URL it was given, which holds a password.

mod encryption;
mod types;

use std::error::Error as _;
use std::str::FromStr as _;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::config::Host;
use postgres::error::SqlState;
use postgres::types::{ToSql, Type};
use postgres::{Client, Config, SimpleQueryMessage};
use sha2::{Digest as _, Sha256};

use self::encryption::Roots;
use super::cells::{self, Cell};
use super::sql::dialect::{Dialect, TableName, identifiers};
use super::sql::{Database, SqlDestination};
use crate::error::{Error, ErrorKind, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a package waits for others that use its tables.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '60s'";
/// How long a run waits for one that has just ended: the server learns of that a little later.
const CLAIM_TIMEOUT: &str = "SET lock_timeout = '10s'";
/// Where the server can, it stops working for a process that was killed.
const CHECK_CONNECTION: &str =
    "SELECT set_config(name, '1s', false) FROM pg_settings WHERE name = 'client_connection_check_interval'";

/// Connects. Every mode of `sslmode` but `disable` checks the server's certificate.
pub(super) fn open(url: &str, dataset: &str) -> Result<SqlDestination<Postgres>> {
    let longest = types::Postgres.max_identifier_length();
    if dataset.len() > longest {
        let message = format!("the dataset's name is {} bytes long, PostgreSQL takes {longest}", dataset.len());
        return Err(Error::new(ErrorKind::Usage, message).with_help("give a shorter one with --dataset NAME"));
    }
    let (url, roots) = encryption::of_url(url);
    let mut config = Config::from_str(&url).map_err(|error| {
        Error::new(ErrorKind::Usage, "this is not a PostgreSQL URL")
            .with_source(error)
            .with_help("write postgres://USER:PASSWORD@HOST:PORT/DATABASE")
    })?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_application_name().is_none() {
        config.application_name("airlock");
    }
    let client = connect(&config, &roots)?;
    Ok(SqlDestination::new(Postgres { config, roots, client }, dataset))
}

pub(super) struct Postgres {
    config: Config,
    roots: Roots,
    client: Client,
}

fn connect(config: &Config, roots: &Roots) -> Result<Client> {
    let mut client = config.connect(encryption::connector(roots)?).map_err(|error| unreachable(error, config))?;
    client.batch_execute(LOCK_TIMEOUT).and_then(|()| client.batch_execute(CHECK_CONNECTION)).map_err(refused)?;
    Ok(client)
}

/// `db.example.com:5432`, of every server that the URL names.
fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let place = |(index, host): (usize, &Host)| {
        let port = ports.get(index).or_else(|| ports.first()).unwrap_or(&5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(folder) => format!("{}, port {port}", folder.display()),
        }
    };
    config.get_hosts().iter().enumerate().map(place).collect::<Vec<_>>().join(" or ")
}

/// Why there is no connection.
fn unreachable(error: postgres::Error, config: &Config) -> Error {
    let place = place(config);
    if let Some(code) = error.code() {
        let (kind, help) = match *code {
            SqlState::TOO_MANY_CONNECTIONS | SqlState::CANNOT_CONNECT_NOW => {
                (ErrorKind::Unavailable, "try again later")
            }
            SqlState::INVALID_CATALOG_NAME => (ErrorKind::Destination, "make the database first: CREATE DATABASE"),
            _ => (ErrorKind::Destination, "are user, password and database in --to right?"),
        };
        return Error::new(kind, format!("PostgreSQL at {place} refused the connection"))
            .with_source(error)
            .with_help(help);
    }
    let certificate = error.source().is_some_and(|cause| cause.to_string().contains("certificate"));
    let failed =
        Error::new(ErrorKind::Unavailable, format!("PostgreSQL at {place} can't be reached")).with_source(error);
    if certificate {
        return failed
            .with_help("for a certificate of your own: add ?sslrootcert=FILE to the URL, with its issuer's certificate")
            .with_help("without encryption, on a network that you trust: add ?sslmode=disable");
    }
    failed.with_help("are host and port in --to right, and does a server listen there?")
}

/// Why a statement failed.
fn refused(error: postgres::Error) -> Error {
    let (kind, message) = match error.code() {
        Some(code) if *code == SqlState::DISK_FULL => (ErrorKind::Destination, "the server's disk is full"),
        Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => {
            (ErrorKind::Busy, "another session holds a lock on the tables")
        }
        // 08: connection, 57P: the server shuts down.
        Some(code) if code.code().starts_with("08") || code.code().starts_with("57P") => {
            (ErrorKind::Unavailable, "the connection to PostgreSQL broke")
        }
        Some(_) => (ErrorKind::Destination, "PostgreSQL refused"),
        None if error.is_closed() || error.source().is_some_and(|cause| cause.is::<std::io::Error>()) => {
            (ErrorKind::Unavailable, "the connection to PostgreSQL broke")
        }
        None => (ErrorKind::Destination, "PostgreSQL could not take this"),
    };
    Error::new(kind, message).with_source(error)
}

impl Database for Postgres {
    fn dialect(&self) -> &'static dyn Dialect {
        &types::Postgres
    }

    fn reconnect(&mut self) -> Result<bool> {
        let broken = self.client.is_closed();
        if broken {
            self.client = connect(&self.config, &self.roots)?;
        }
        Ok(broken)
    }

    fn execute(&mut self, sql: &str) -> Result<u64> {
        let messages = self.client.simple_query(sql).map_err(refused)?;
        Ok(messages.iter().fold(0, |changed, message| match message {
            SimpleQueryMessage::CommandComplete(count) => changed + count,
            _ => changed,
        }))
    }

    fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let messages = self.client.simple_query(sql).map_err(refused)?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    fn append(&mut self, table: &TableName, batch: &RecordBatch) -> Result<()> {
        let columns = cells::columns(batch)
            .map_err(|error| Error::new(ErrorKind::Internal, "columns of an unknown type").with_source(error))?;
        let schema = batch.schema();
        let names = identifiers(schema.fields().iter().map(|field| field.name().as_str()));
        let table = table.quoted();
        let mut append = || {
            // The types of the table that is there, which may be older than this program.
            let statement = self.client.prepare(&format!("SELECT {names} FROM {table}"))?;
            let types: Vec<Type> = statement.columns().iter().map(|column| column.type_().clone()).collect();
            let copy = self.client.copy_in(&format!("COPY {table} ({names}) FROM STDIN (FORMAT binary)"))?;
            let mut writer = BinaryCopyInWriter::new(copy, &types);
            let mut cells: Vec<Cell<'_>> = Vec::with_capacity(columns.len());
            for row in 0..batch.num_rows() {
                cells.clear();
                cells.extend(columns.iter().map(|column| column.cell(row)));
                let values: Vec<&(dyn ToSql + Sync)> = cells.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect();
                writer.write(&values)?;
            }
            writer.finish()
        };
        append().map(drop).map_err(refused)
    }

    /// By an advisory lock, which the server takes back when the connection ends.
    fn claim(&mut self, dataset: &str, pipeline: &str) -> Result<()> {
        let digest = Sha256::digest(format!("airlock/{dataset}/{pipeline}").as_bytes());
        let key = digest.iter().take(8).fold(0_i64, |key, byte| (key << 8) | i64::from(*byte));
        self.execute(CLAIM_TIMEOUT)?;
        let claimed = self.query(&format!("SELECT pg_advisory_lock({key})"));
        self.execute(LOCK_TIMEOUT)?;
        match claimed {
            Err(error) if error.kind() == ErrorKind::Busy => {
                let message = format!("another run of the pipeline `{pipeline}` writes to this dataset");
                Err(Error::new(ErrorKind::Busy, message)
                    .with_help("wait for it, or give this one another --pipeline name"))
            }
            claimed => claimed.map(drop),
        }
    }
}
