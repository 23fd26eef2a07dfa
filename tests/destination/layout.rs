//! How the files of a dataset lie: small ones become one, and rows go into folders by a column with the hint `partition`.
//!
//! Must never look only at what the destination says: files are read as their users read them, with DuckDB.

use std::collections::BTreeSet;
use std::path::Path;

use airlock_host::error::ErrorKind;
use airlock_host::schema::TableSchema;
use serde_json::{Value, json};

use super::packages::{Package, table};
use super::stores::FilesStore;
use super::suite::Store as _;

const PACKAGES: u32 = 20;

/// The files below a folder, by their paths from there.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            found.extend(files(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.insert(name);
        }
    }
    found
}

fn scalar(query: &str) -> String {
    let connection = duckdb::Connection::open_in_memory().unwrap();
    connection.query_row(&format!("SELECT CAST(({query}) AS VARCHAR)"), [], |row| row.get(0)).unwrap()
}

#[test]
fn many_small_files_become_one() {
    for (format, at_most) in [("jsonl", 8), ("parquet", 8), ("csv", PACKAGES as usize)] {
        let store = FilesStore::new(format);
        for number in 1..=PACKAGES {
            let mut columns = vec!["id:bigint", "_dlt_id"];
            let mut row = json!({"id": number, "_dlt_id": format!("{number}")});
            if number > 5 {
                columns.push("extra");
                row["extra"] = json!("x");
            }
            store.open().load(&Package::new(number).rows(&table("t", None, &columns), &[row]).0).unwrap();
        }
        let mut rows = store.rows("t", &["id", "extra"]).unwrap();
        rows.sort_by_key(|row| row[0].parse::<u32>().unwrap());
        let expected = |number: u32| vec![number.to_string(), if number > 5 { "x" } else { "null" }.to_owned()];
        assert_eq!(rows, (1..=PACKAGES).map(expected).collect::<Vec<_>>(), "{format}");

        let dataset = store.dataset();
        let visible: BTreeSet<String> = files(&dataset.join("t")).iter().map(|name| format!("t/{name}")).collect();
        assert!(visible.len() <= at_most, "{visible:?}");
        // The commit log says the same.
        let (mut counted, mut removed) = (BTreeSet::new(), BTreeSet::new());
        for commit in files(&dataset.join("_dlt_loads")) {
            let commit = std::fs::read(dataset.join("_dlt_loads").join(commit)).unwrap();
            let commit: Value = serde_json::from_slice(&commit).unwrap();
            let names = |key: &str| {
                commit[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            counted.extend(names("files"));
            removed.extend(names("removed"));
        }
        assert_eq!(counted.difference(&removed).cloned().collect::<BTreeSet<_>>(), visible);
    }
}

fn partitioned(columns: &[&str], by: &[&str]) -> TableSchema {
    let mut table = table("t", None, columns);
    for name in by {
        table.columns[*name].hints.insert("partition".to_owned(), json!(true));
    }
    table
}

#[test]
fn a_column_makes_folders() {
    let store = FilesStore::new("parquet");
    let schema = partitioned(&["country", "seen:timestamp", "n:bigint", "_dlt_id"], &["country", "seen"]);
    let row = |n: i64, country: Option<&str>| json!({"country": country, "seen": format!("2024-01-0{n}T12:00:00Z"), "n": n, "_dlt_id": format!("{n}")});
    store
        .open()
        .load(&Package::new(1).rows(&schema, &[row(1, Some("a/b")), row(2, None), row(1, Some("a/b"))]).0)
        .unwrap();
    store.open().load(&Package::new(2).rows(&schema, &[row(3, Some("c"))]).0).unwrap();
    let dataset = store.dataset();
    let folders: Vec<String> =
        files(&dataset.join("t")).iter().map(|path| path.rsplit_once('/').unwrap().0.to_owned()).collect();
    let expected = [
        "country=__HIVE_DEFAULT_PARTITION__/seen_day=2024-01-02",
        "country=a%2Fb/seen_day=2024-01-01",
        "country=c/seen_day=2024-01-03",
    ];
    assert_eq!(folders, expected);
    let read = |how: &str, what: &str| {
        scalar(&format!("SELECT {what} FROM read_parquet('{}/t/**/*.parquet', {how})", dataset.display()))
    };
    for how in ["hive_partitioning = true", "hive_partitioning = false"] {
        let listed =
            read(how, "string_agg(n || coalesce(country, '-') || epoch(seen)::BIGINT, ' ' ORDER BY n, country)");
        assert_eq!(listed, "1a/b1704110400 1a/b1704110400 2-1704196800 3c1704283200", "{how}");
    }
    assert_eq!(read("hive_partitioning = true", "count(*) FILTER (seen_day = DATE '2024-01-01')"), "2");

    let unfit = partitioned(&["price:double", "_dlt_id"], &["price"]);
    let error =
        store.open().load(&Package::new(3).rows(&unfit, &[json!({"price": 1.5, "_dlt_id": "9"})]).0).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Destination, "files can't be partitioned by `price`, a column of type double")
    );
}

/// A table that is replaced shows nothing of its old folders.
#[test]
fn folders_are_replaced_together() {
    use airlock_host::schema::WriteDisposition;
    let store = FilesStore::new("jsonl");
    let mut schema = partitioned(&["country", "_dlt_id"], &["country"]);
    schema.write_disposition = WriteDisposition::Replace;
    for (number, country) in [(1, "a"), (2, "b")] {
        let rows = [json!({"country": country, "_dlt_id": "1"})];
        store.open().load(&Package::new(number).rows(&schema, &rows).replaces("t", true, true).0).unwrap();
    }
    assert_eq!(files(&store.dataset().join("t")), ["country=b/1795345602.5.0.jsonl".to_owned()].into());
}
