//! One suite for every destination: what each must do, and a store of each to do it in.
//!
//! Must never test through the command line: that is the conformance cases' part.

use airlock_host::destination;
use airlock_host::error::ErrorKind;

mod continue_dlt;
mod packages;
pub(crate) mod postgres_server;
mod stores;
mod suite;

#[test]
fn duckdb() {
    suite::run(stores::DuckDbStore::new);
}

#[test]
fn sqlite() {
    suite::run(stores::SqliteStore::new);
}

#[test]
fn postgres() {
    // Where PostgreSQL is not installed, there is nothing to test with.
    let Some(server) = postgres_server::PostgresServer::start() else { return };
    let mut stores = 0..;
    suite::run(|| stores::PostgresStore::new(&server, stores.next().unwrap()));
}

#[test]
fn files() {
    for format in ["jsonl", "csv", "parquet"] {
        suite::run(|| stores::FilesStore::new(format));
    }
}

/// What stands in the way of opening a destination is said by its kind.
#[test]
fn a_destination_that_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to be read as the header of one\n".repeat(200)).unwrap();
    let file = text.display();
    let cases = [
        (format!("duckdb:{file}"), ErrorKind::Destination, "is not a DuckDB file"),
        (format!("sqlite:{file}"), ErrorKind::Destination, "not an SQLite file"),
        (format!("duckdb:{file}/below/pm.duckdb"), ErrorKind::Destination, "can't make the folder"),
        (format!("parquet:{file}"), ErrorKind::Destination, "the folder can't be used"),
        ("postgres://127.0.0.1:1/pm".to_owned(), ErrorKind::Unavailable, "PostgreSQL can't be reached"),
        ("postgres://host:port:name".to_owned(), ErrorKind::Usage, "not a PostgreSQL URL"),
    ];
    for (url, kind, message) in cases {
        let error = destination::open(&url, "pm", "pm").err().unwrap();
        assert!(error.kind() == kind && error.message().contains(message), "{url}: {:?} {error}", error.kind());
    }
}
