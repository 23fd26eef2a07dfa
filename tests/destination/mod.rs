//! One suite for every destination: what each must do, and a store of each to do it in.
//!
//! What goes through the command line is in `commands` and `same_rows`.

use airlock_host::destination;
use airlock_host::error::ErrorKind;

mod commands;
mod continue_dlt;
mod layout;
mod packages;
pub(crate) mod postgres_server;
mod refusals;
pub(crate) mod s3_server;
mod same_rows;
mod stores;
mod suite;

use self::suite::Store as _;

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

/// The suite below, in a process of its own: only there can the variables be set that credentials come from.
#[test]
fn object_store() {
    let Some(server) = s3_server::S3Server::start() else { return };
    let mut suite = postgres_server::start(std::env::current_exe().unwrap());
    suite.args(["destination::object_store_suite", "--exact", "--ignored"]).envs(server.environment());
    let output = suite.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "a part of `object_store`"]
fn object_store_suite() {
    for format in ["jsonl", "csv", "parquet"] {
        let mut stores = 0..;
        suite::run(|| stores::ObjectStore::new(format, stores.next().unwrap()));
    }
    // No bucket, no server, a secret where it would be shown.
    let cases = [
        ("parquet:s3://nowhere/x", ErrorKind::Destination),
        ("parquet:gs://nowhere", ErrorKind::Destination),
        ("parquet:ftp://host/x", ErrorKind::Usage),
        ("parquet:s3://key:hunter2@lake/x", ErrorKind::Usage),
        ("parquet:s3://lake/x?secret=hunter2", ErrorKind::Usage),
    ];
    for (url, kind) in cases {
        let Err(error) = destination::open(url, "d", "p") else { panic!("{url} opened") };
        assert!(error.kind() == kind || error.kind() == ErrorKind::Unavailable, "{url}: {:?} {error}", error.kind());
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

/// A run waits for one that is about to end, as the server learns late of an end; and no longer than that.
#[test]
fn postgres_is_claimed_by_one_run_at_a_time() {
    let Some(server) = postgres_server::PostgresServer::start() else { return };
    let store = stores::PostgresStore::new(&server, 0);
    let package = |number| packages::Package::new(number).0;
    let mut first = store.open();
    first.load(&package(1)).unwrap();
    let refused = store.open().load(&package(2)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy, "{refused}");
    let ending = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        drop(first);
    });
    store.open().load(&package(2)).unwrap();
    ending.join().unwrap();
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
        (format!("duckdb:{file}/below/pm.duckdb"), ErrorKind::Usage, "there is no folder"),
        (format!("parquet:{file}"), ErrorKind::Destination, "the folder can't be used"),
        ("postgres://127.0.0.1:1/pm".to_owned(), ErrorKind::Unavailable, "PostgreSQL at 127.0.0.1:1 can't be reached"),
        ("postgres://host:port:name".to_owned(), ErrorKind::Usage, "not a PostgreSQL URL"),
    ];
    for (url, kind, message) in cases {
        let error = destination::open(&url, "pm", "pm").err().unwrap();
        assert!(error.kind() == kind && error.message().contains(message), "{url}: {:?} {error}", error.kind());
    }
}
