//! One suite for every destination: what each must do, and a store of each to do it in.
//!
//! Must never test through the command line: that is the conformance cases' part.

mod packages;
mod postgres_server;
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
