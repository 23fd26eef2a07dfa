//! What every destination must do, as one list of cases that all of them run.
//!
//! A destination adds a [`Store`]. Must never know which destination it tests, but by its capabilities.

use std::panic::{AssertUnwindSafe, catch_unwind};

use airlock_host::destination::Destination;
use airlock_host::error::ErrorKind;
use airlock_host::schema::{MergeStrategy, Scd2, Schema, WriteDisposition};
use serde_json::{Value, json};

use super::packages::{Disposition, PIPELINE, Package, kids_table, load_id, merged, table, v_table, versioned};

/// A place for a dataset, empty at first.
pub(crate) trait Store {
    /// Opens the dataset; again after the last one is dropped.
    fn open(&self) -> Box<dyn Destination>;

    /// A committed table's rows, with the columns asked for as text: whole numbers in digits, `true` and `false`,
    /// timestamps in microseconds since the epoch, bytes in lower-case hex, null as `null`. None: no such table, or no
    /// such column. Called while nothing is open.
    fn rows(&self, table: &str, columns: &[&str]) -> Option<Vec<Vec<String>>>;
}

struct Case {
    name: &'static str,
    /// Run only where merges can be done.
    merge: bool,
    run: fn(&dyn Store),
}

const CASES: &[Case] = &[
    Case { name: "nothing stored at first", merge: false, run: nothing_stored_at_first },
    Case { name: "append", merge: false, run: append },
    Case { name: "replace", merge: false, run: replace },
    Case { name: "replace over several packages", merge: false, run: replace_over_several_packages },
    Case { name: "replace by nothing", merge: false, run: replace_by_nothing },
    Case { name: "skip", merge: false, run: skip },
    Case { name: "the same package twice", merge: false, run: the_same_package_twice },
    Case { name: "state and schema come back", merge: false, run: state_and_schema_come_back },
    Case { name: "two pipelines share a dataset", merge: false, run: two_pipelines },
    Case { name: "columns come and go", merge: false, run: columns_come_and_go },
    Case { name: "every type", merge: false, run: every_type },
    Case { name: "odd names and values", merge: false, run: odd_names },
    Case { name: "a failing package leaves nothing", merge: false, run: a_failing_package_leaves_nothing },
    Case { name: "what a load brought is taken back", merge: false, run: taken_back },
    Case { name: "what waits is taken back", merge: false, run: taken_back_of_what_waits },
    Case { name: "merge strategies", merge: true, run: merge_strategies },
    Case { name: "one row per key in a package", merge: true, run: one_row_per_key },
    Case { name: "compound key", merge: true, run: compound_key },
    Case { name: "merge key", merge: true, run: merge_key },
    Case { name: "the latest of several rows", merge: true, run: dedup_sort },
    Case { name: "rows marked as deleted", merge: true, run: hard_delete },
    Case { name: "grandchildren follow", merge: true, run: grandchildren },
    Case { name: "scd2 over several packages", merge: true, run: scd2_over_several_packages },
    Case { name: "scd2 with times of its own", merge: true, run: scd2_times },
    Case { name: "upsert needs a key", merge: true, run: upsert_needs_a_key },
];

/// Runs every case on a store of its own; fails with the names of those that failed.
pub(crate) fn run<S: Store>(mut fresh: impl FnMut() -> S) {
    let mut failed = Vec::new();
    for case in CASES {
        let store = fresh();
        if case.merge && !store.open().capabilities().merge {
            continue;
        }
        if catch_unwind(AssertUnwindSafe(|| (case.run)(&store))).is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}

fn load(store: &dyn Store, package: &Package) {
    let receipt = store.open().load(&package.0).unwrap_or_else(|error| panic!("{error}: {:?}", error.causes()));
    assert!(!receipt.already_loaded);
}

/// Rows sorted, each as its columns with `|` between.
fn rows(store: &dyn Store, table: &str, columns: &[&str]) -> Vec<String> {
    let rows = store.rows(table, columns).unwrap_or_else(|| panic!("no table {table} with {columns:?}"));
    let mut rows: Vec<String> = rows.into_iter().map(|row| row.join("|")).collect();
    rows.sort();
    rows
}

fn v(store: &dyn Store) -> Vec<String> {
    rows(store, "v", &["id", "name"])
}

fn kids(store: &dyn Store) -> Vec<String> {
    rows(store, "v__kids", &["k"])
}

const V1: &[(i64, &str, &[i64])] = &[(1, "a", &[1, 2]), (2, "b", &[3])];
const V2: &[(i64, &str, &[i64])] = &[(1, "a2", &[9]), (3, "c", &[])];

fn two_versions(store: &dyn Store, disposition: &Disposition) {
    load(store, &versioned(1, disposition, V1));
    assert_eq!((v(store), kids(store)), (strings(&["1|a", "2|b"]), strings(&["1", "2", "3"])));
    load(store, &versioned(2, disposition, V2));
}

fn strings(rows: &[&str]) -> Vec<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

fn nothing_stored_at_first(store: &dyn Store) {
    let stored = store.open().read(PIPELINE).unwrap();
    assert!(stored.schema.tables.is_empty());
    assert_eq!(stored.state, Default::default());
}

fn append(store: &dyn Store) {
    two_versions(store, &Disposition::of(WriteDisposition::Append));
    assert_eq!(v(store), ["1|a", "1|a2", "2|b", "3|c"]);
    assert_eq!(kids(store), ["1", "2", "3", "9"]);
    assert_eq!(rows(store, "v", &["_dlt_load_id"]).len(), 4);
}

fn replace(store: &dyn Store) {
    let disposition = Disposition::of(WriteDisposition::Replace);
    two_versions(store, &disposition);
    assert_eq!((v(store), kids(store)), (strings(&["1|a2", "3|c"]), strings(&["9"])));
    // A child table without new rows is emptied too.
    load(store, &versioned(3, &disposition, &[(4, "d", &[])]));
    assert_eq!((v(store), kids(store)), (strings(&["4|d"]), strings(&[])));
}

fn replace_over_several_packages(store: &dyn Store) {
    let disposition = Disposition::of(WriteDisposition::Replace);
    let package = |number, records, begins, ends| {
        let mut package = versioned(number, &disposition, records);
        package.0.replaced.clear();
        package.replaces("v", begins, ends)
    };
    load(store, &versioned(1, &disposition, V1));
    // A run that never ends: the old rows stay.
    load(store, &package(2, &[(7, "lost", &[70])], true, false));
    assert_eq!((v(store), kids(store)), (strings(&["1|a", "2|b"]), strings(&["1", "2", "3"])));
    // The next run forgets what that one left, and goes on over three packages, the last without rows.
    load(store, &package(3, &[(1, "x", &[10])], true, false));
    store.open().read(PIPELINE).unwrap();
    load(store, &package(4, &[(2, "y", &[])], false, false));
    assert_eq!(v(store), ["1|a", "2|b"]);
    load(store, &package(5, &[], false, true));
    assert_eq!((v(store), kids(store)), (strings(&["1|x", "2|y"]), strings(&["10"])));
    // And once more, to see that nothing is left over.
    load(store, &package(6, &[(5, "z", &[])], true, true));
    assert_eq!((v(store), kids(store)), (strings(&["5|z"]), strings(&[])));
}

fn replace_by_nothing(store: &dyn Store) {
    let disposition = Disposition::of(WriteDisposition::Replace);
    load(store, &versioned(1, &disposition, V1));
    load(store, &versioned(2, &disposition, &[]));
    assert_eq!((v(store), kids(store)), (strings(&[]), strings(&[])));
    // A stream that never had rows.
    load(store, &Package::new(3).replaces("other", true, true));
}

fn skip(store: &dyn Store) {
    load(store, &versioned(1, &Disposition::of(WriteDisposition::Skip), V1));
    assert_eq!(store.rows("v", &["id"]).unwrap_or_default(), Vec::<Vec<String>>::new());
}

fn the_same_package_twice(store: &dyn Store) {
    let package = versioned(1, &Disposition::of(WriteDisposition::Append), V1);
    let mut destination = store.open();
    let receipt = destination.load(&package.0).unwrap();
    assert_eq!(receipt.rows, [("v".to_owned(), 2), ("v__kids".to_owned(), 3)]);
    let receipt = destination.load(&package.0).unwrap();
    assert!(receipt.already_loaded && receipt.rows.is_empty());
    drop(destination);
    assert!(store.open().load(&package.0).unwrap().already_loaded);
    assert_eq!((v(store).len(), kids(store).len()), (2, 3));
}

fn state_and_schema_come_back(store: &dyn Store) {
    let disposition = Disposition::of(WriteDisposition::Append);
    for number in 1..4 {
        load(store, &versioned(number, &disposition, V1));
    }
    let package = versioned(4, &disposition, V2);
    load(store, &package);
    let stored = store.open().read(PIPELINE).unwrap();
    assert_eq!(stored.state, package.0.state);
    let names = |schema: &Schema| {
        let tables = schema.tables.values();
        tables.map(|table| (table.name.clone(), table.columns.keys().cloned().collect::<Vec<_>>())).collect::<Vec<_>>()
    };
    assert_eq!(names(&stored.schema), names(&package.0.schema));
    assert_eq!(store.open().read("another").unwrap().state, Default::default());
}

fn two_pipelines(store: &dyn Store) {
    let disposition = Disposition::of(WriteDisposition::Append);
    let mine = versioned(1, &disposition, V1);
    let mut theirs = Package::new(1).rows(
        &table("w", None, &["id:bigint", "_dlt_load_id", "_dlt_id"]),
        &[json!({"id": 1, "_dlt_load_id": load_id(1), "_dlt_id": "w1"})],
    );
    theirs.0.pipeline = "other".to_owned();
    load(store, &mine);
    load(store, &theirs);
    assert_eq!((v(store).len(), rows(store, "w", &["id"]).len()), (2, 1));
    assert_eq!(store.open().read(PIPELINE).unwrap().schema.tables.len(), 2);
    assert_eq!(store.open().read("other").unwrap().schema.tables.len(), 1);
}

fn columns_come_and_go(store: &dyn Store) {
    let first = table("t", None, &["id:bigint:required", "_dlt_id"]);
    load(store, &Package::new(1).rows(&first, &[json!({"id": 1, "_dlt_id": "1"})]));
    let second = table("t", None, &["id:bigint", "_dlt_id", "extra:double", "never"]);
    // In another order, without `id`, and with one column that has no value.
    load(store, &Package::new(2).rows(&second, &[json!({"extra": 1.5, "_dlt_id": "2"}), json!({"_dlt_id": "3"})]));
    load(store, &Package::new(3).rows(&second, &[json!({"_dlt_id": "4", "id": 4})]));
    let expected = ["1|null|1", "4|null|4", "null|1.5|2", "null|null|3"];
    assert_eq!(rows(store, "t", &["id", "extra", "_dlt_id"]), expected);
}

fn every_type(store: &dyn Store) {
    let columns = [
        "text",
        "double:double",
        "bool:bool",
        "timestamp:timestamp",
        "bigint:bigint",
        "binary:binary",
        "json:json",
        "decimal:decimal",
        "wei:wei",
        "date:date",
        "time:time",
        "_dlt_id",
    ];
    let schema = table("types", None, &columns);
    let row = json!({
        "text": "ü'\"\n", "double": -0.125, "bool": true, "timestamp": "2024-01-02T03:04:05.000006Z",
        "bigint": i64::MIN, "binary": "00ff10", "json": "{\"a\":[1,null]}", "decimal": "12345678901234567890.123456789",
        "wei": "12345678901234567890123456789012345678", "date": "2024-02-29", "time": "23:59:59.000001", "_dlt_id": "1",
    });
    load(store, &Package::new(1).rows(&schema, &[row, json!({"_dlt_id": "2"})]));
    let names: Vec<&str> = schema.columns.keys().map(String::as_str).collect();
    let expected = [
        "null|null|null|null|null|null|null|null|null|null|null|2",
        "ü'\"\n|-0.125|true|1704164645000006|-9223372036854775808|00ff10|{\"a\":[1,null]}|12345678901234567890.123456789|\
         12345678901234567890123456789012345678|2024-02-29|23:59:59.000001|1",
    ];
    assert_eq!(rows(store, "types", &names), expected);
}

fn odd_names(store: &dyn Store) {
    let schema = table("select", None, &["from", "a\"b", "it's", "_dlt_id"]);
    let row = json!({"from": "'; DROP TABLE \"select\"; --", "a\"b": "2", "it's": "\\", "_dlt_id": "1"});
    load(store, &Package::new(1).rows(&schema, &[row]));
    let expected = ["'; DROP TABLE \"select\"; --|2|\\"];
    assert_eq!(rows(store, "select", &["from", "a\"b", "it's"]), expected);
}

fn a_failing_package_leaves_nothing(store: &dyn Store) {
    let disposition = Disposition::of(WriteDisposition::Append);
    load(store, &versioned(1, &disposition, V1));
    let mut package = versioned(2, &disposition, V2);
    let orphan = Package::new(2).rows(&table("lost", None, &["_dlt_id"]), &[json!({"_dlt_id": "1"})]);
    package.0.tables.extend(orphan.0.tables);
    let mut destination = store.open();
    assert_eq!(destination.load(&package.0).unwrap_err().kind(), ErrorKind::Internal);
    drop(destination);
    assert_eq!(v(store), ["1|a", "2|b"]);
    // The same load id again, mended.
    load(store, &versioned(2, &disposition, V2));
    assert_eq!((v(store).len(), kids(store).len()), (4, 4));
}

fn taken_back(store: &dyn Store) {
    let disposition = Disposition::of(WriteDisposition::Append);
    let other = table("w", None, &["id:bigint", "_dlt_load_id", "_dlt_id"]);
    // Many small loads, so that files were joined; one of another stream too.
    for number in 1..=12 {
        let id = i64::from(number);
        let row = json!({"id": id, "_dlt_load_id": load_id(number), "_dlt_id": format!("w{id}")});
        load(store, &versioned(number, &disposition, &[(id, "x", &[id, id + 100])]).rows(&other, &[row]));
    }
    let again = versioned(13, &disposition, &[(2, "again", &[20])]).takes_back("v", &[2, 4, 12]);
    load(store, &again);
    assert!(store.open().load(&again.0).unwrap().already_loaded);
    let ids = ["1", "2", "3", "5", "6", "7", "8", "9", "10", "11"];
    let sorted = |rows: Vec<String>| {
        let mut rows = rows;
        rows.sort();
        rows
    };
    let expected = ids.iter().map(|id| if *id == "2" { "2|again".to_owned() } else { format!("{id}|x") });
    assert_eq!(v(store), sorted(expected.collect()));
    let expected = ids.iter().flat_map(|id| match id.parse::<i64>().unwrap() {
        2 => vec!["20".to_owned()],
        id => vec![id.to_string(), (id + 100).to_string()],
    });
    assert_eq!(kids(store), sorted(expected.collect()));
    assert_eq!(rows(store, "w", &["id"]).len(), 12);
    // All that there is, of a load that is not known as well, and of a stream without a table.
    let loads: Vec<u32> = (1..=14).collect();
    load(store, &versioned(15, &disposition, &[(1, "new", &[])]).takes_back("v", &loads).takes_back("other", &[1]));
    assert_eq!((v(store), rows(store, "w", &["id"]).len()), (strings(&["1|new"]), 12));
    assert_eq!(store.rows("v__kids", &["k"]).unwrap_or_default(), Vec::<Vec<String>>::new());
}

fn taken_back_of_what_waits(store: &dyn Store) {
    let disposition = Disposition::of(WriteDisposition::Replace);
    let package = |number, records, begins, ends| {
        let mut package = versioned(number, &disposition, records);
        package.0.replaced.clear();
        package.replaces("v", begins, ends)
    };
    load(store, &versioned(1, &disposition, V1));
    load(store, &package(2, &[(5, "kept", &[50])], true, false));
    load(store, &package(3, &[(6, "gone", &[60])], false, false));
    assert_eq!(v(store), ["1|a", "2|b"]);
    load(store, &package(4, &[(7, "z", &[70])], false, true).takes_back("v", &[3]));
    assert_eq!((v(store), kids(store)), (strings(&["5|kept", "7|z"]), strings(&["50", "70"])));
}

fn merge_strategies(store: &dyn Store) {
    let cases: &[(MergeStrategy, &[&str], &[&str])] = &[
        (MergeStrategy::DeleteInsert, &["1|a2", "2|b", "3|c"], &["3", "9"]),
        (MergeStrategy::Upsert, &["1|a2", "2|b", "3|c"], &["3", "9"]),
        (MergeStrategy::InsertOnly, &["1|a", "2|b", "3|c"], &["1", "2", "3"]),
        (Disposition::scd2().strategy, &["1|a", "1|a2", "2|b", "3|c"], &["1", "2", "3", "9"]),
    ];
    for (number, (strategy, root, children)) in cases.iter().enumerate() {
        let disposition = Disposition::merge(strategy.clone());
        // One after the other in the same dataset: what a replacement leaves is the first version.
        let number = u32::try_from(number * 10).unwrap();
        let replace = Disposition::of(WriteDisposition::Replace);
        load(store, &versioned(number + 1, &replace, &[]));
        load(store, &versioned(number + 2, &disposition, V1));
        load(store, &versioned(number + 3, &disposition, V2));
        assert_eq!((v(store), kids(store)), (strings(root), strings(children)), "{strategy:?}");
    }
    let valid = rows(store, "v", &["id", "name", "_dlt_valid_from", "_dlt_valid_to"]);
    let (first, second) = ("1795345632500000", "1795345633500000");
    let expected = [
        format!("1|a2|{second}|null"),
        format!("1|a|{first}|{second}"),
        format!("2|b|{first}|{second}"),
        format!("3|c|{second}|null"),
    ];
    assert_eq!(valid, expected);
}

/// The same key several times in one package, with ever fewer children, and with none at last.
fn one_row_per_key(store: &dyn Store) {
    let kids = |kids: &[i64]| kids.iter().map(|kid| json!({"k": kid, "toys": [kid * 10]})).collect::<Vec<_>>();
    let record = |id: i64, name: &str, of: &[i64]| json!({"id": id, "name": name, "kids": kids(of)});
    let fewer = json!([record(1, "old", &[1, 2, 3]), record(2, "b", &[4]), record(1, "newest", &[5])]);
    let none = json!([record(1, "old", &[1, 2, 3]), record(2, "b", &[4]), record(1, "newest", &[])]);
    let cases: &[(&str, &Value, &[&str], &[&str])] = &[
        ("delete-insert", &fewer, &["1|newest", "2|b"], &["4", "5"]),
        ("delete-insert", &none, &["1|newest", "2|b"], &["4"]),
        ("upsert", &fewer, &["1|newest", "2|b"], &["4", "5"]),
        ("upsert", &none, &["1|newest", "2|b"], &["4"]),
        ("insert-only", &none, &["1|old", "2|b"], &["1", "2", "3", "4"]),
        ("scd2", &json!([record(1, "a", &[1, 2]), record(1, "a", &[1, 2])]), &["1|a"], &["1", "2"]),
    ];
    let mut known = Schema::default();
    for (number, (strategy, records, root, children)) in cases.iter().enumerate() {
        let number = u32::try_from(number * 10).unwrap();
        // The tables are those of the strategy before.
        let package = merged(number + 2, strategy, std::mem::take(&mut known), records);
        known.tables.clone_from(&package.0.schema.tables);
        // What the case before left goes.
        let mut empty = Package::new(number + 1).replaces("v", true, true);
        for table in package.0.schema.tables.values() {
            empty = empty.table(&Disposition::of(WriteDisposition::Replace).apply(table.clone()));
        }
        load(store, &empty);
        load(store, &package);
        assert_eq!((v(store), self::kids(store)), (strings(root), strings(children)), "{strategy}");
        let toys: Vec<String> = children.iter().map(|kid| format!("{kid}0")).collect();
        assert_eq!(rows(store, "v__kids__toys", &["value"]), toys, "{strategy}");
    }
}

fn compound_key(store: &dyn Store) {
    let merge = Disposition::merge(MergeStrategy::Upsert);
    let schema = merge.apply(table("t", None, &["a:bigint:pk", "b:text:pk", "n:bigint", "_dlt_id"]));
    let row = |a: i64, b: &str, n: i64| json!({"a": a, "b": b, "n": n, "_dlt_id": format!("{a}{b}")});
    load(store, &Package::new(1).rows(&schema, &[row(1, "x", 1), row(1, "y", 2), row(2, "x", 3)]));
    load(store, &Package::new(2).rows(&schema, &[row(1, "y", 4), row(2, "y", 5)]));
    assert_eq!(rows(store, "t", &["a", "b", "n"]), ["1|x|1", "1|y|4", "2|x|3", "2|y|5"]);
}

fn merge_key(store: &dyn Store) {
    let merge = Disposition::merge(MergeStrategy::DeleteInsert);
    let schema = merge.apply(table("t", None, &["day:text:mk", "id:bigint:pk", "_dlt_id"]));
    let row = |day: &str, id: i64, load: i64| json!({"day": day, "id": id, "_dlt_id": format!("{day}{id}{load}")});
    load(
        store,
        &Package::new(1).rows(&schema, &[row("mon", 1, 1), row("mon", 2, 1), row("tue", 3, 1), row("tue", 4, 1)]),
    );
    // All of Monday goes, and row 3 by its primary key.
    load(store, &Package::new(2).rows(&schema, &[row("mon", 5, 2), row("wed", 3, 2)]));
    assert_eq!(rows(store, "t", &["day", "id"]), ["mon|5", "tue|4", "wed|3"]);
    // Collected over two packages, Monday's rows of the first one survive the second.
    load(store, &Package::new(3).rows(&schema, &[row("mon", 6, 3)]).replaces("t", true, false));
    load(store, &Package::new(4).rows(&schema, &[row("mon", 7, 4)]).replaces("t", false, true));
    assert_eq!(rows(store, "t", &["day", "id"]), ["mon|6", "mon|7", "tue|4", "wed|3"]);
}

fn dedup_sort(store: &dyn Store) {
    let merge = Disposition::merge(MergeStrategy::DeleteInsert);
    let schema = merge.apply(table("t", None, &["id:bigint:pk", "at:bigint:latest", "_dlt_id"]));
    let row = |id: i64, at: Option<i64>| json!({"id": id, "at": at, "_dlt_id": format!("{id}{at:?}")});
    let all = [row(1, Some(5)), row(1, Some(9)), row(1, Some(7)), row(2, Some(1)), row(2, None)];
    load(store, &Package::new(1).rows(&schema, &all));
    assert_eq!(rows(store, "t", &["id", "at"]), ["1|9", "2|1"]);
}

fn hard_delete(store: &dyn Store) {
    for (number, strategy) in [MergeStrategy::DeleteInsert, MergeStrategy::Upsert].into_iter().enumerate() {
        let merge = Disposition::merge(strategy);
        let schema =
            merge.apply(table("t", None, &["id:bigint:pk", "gone:bool:deleted", "went:timestamp:deleted", "_dlt_id"]));
        let replace = Disposition::of(WriteDisposition::Replace);
        let number = u32::try_from(number * 10).unwrap();
        let row = |id: i64, gone: Option<bool>, went: Option<&str>| json!({"id": id, "gone": gone, "went": went, "_dlt_id": format!("{id}")});
        load(store, &Package::new(number + 1).table(&replace.apply(schema.clone())).replaces("t", true, true));
        load(
            store,
            &Package::new(number + 2)
                .rows(&schema, &[row(1, None, None), row(2, Some(false), None), row(3, None, None)]),
        );
        assert_eq!(rows(store, "t", &["id"]), ["1", "2", "3"]);
        let gone = [row(1, Some(true), None), row(3, None, Some("2024-01-01T00:00:00Z")), row(4, Some(true), None)];
        load(store, &Package::new(number + 3).rows(&schema, &gone));
        assert_eq!(rows(store, "t", &["id"]), ["2"]);
    }
}

fn grandchildren(store: &dyn Store) {
    for (number, strategy) in [MergeStrategy::DeleteInsert, MergeStrategy::Upsert].into_iter().enumerate() {
        let merge = Disposition::merge(strategy);
        let toys = merge.apply(table(
            "v__kids__toys",
            Some("v__kids"),
            &["t", "_dlt_parent_id", "_dlt_list_idx:bigint", "_dlt_id"],
        ));
        let toy = |parent: &str, name: &str| json!({"t": name, "_dlt_parent_id": parent, "_dlt_list_idx": 0, "_dlt_id": format!("{parent}/{name}")});
        let number = u32::try_from(number * 10).unwrap();
        let mut clear = versioned(number + 1, &Disposition::of(WriteDisposition::Replace), &[]);
        clear = clear.table(&Disposition::of(WriteDisposition::Replace).apply(toys.clone()));
        load(store, &clear);
        let first = versioned(number + 2, &merge, V1);
        let kid = |package: &Package, row: usize| {
            let ids = package.0.tables[1].batches[0].column_by_name("_dlt_id").unwrap().clone();
            arrow::util::display::array_value_to_string(&ids, row).unwrap()
        };
        let (one, three) = (kid(&first, 0), kid(&first, 2));
        load(store, &first.rows(&toys, &[toy(&one, "ball"), toy(&three, "car")]));
        assert_eq!(rows(store, "v__kids__toys", &["t"]), ["ball", "car"]);
        load(store, &versioned(number + 3, &merge, V2).table(&toys));
        assert_eq!(rows(store, "v__kids__toys", &["t"]), ["car"]);
    }
}

fn scd2_over_several_packages(store: &dyn Store) {
    let disposition = Disposition::scd2();
    let package = |number, records, begins, ends| {
        let mut package = versioned(number, &disposition, records);
        package.0.replaced.clear();
        package.replaces("v", begins, ends)
    };
    load(store, &package(1, &[(1, "a", &[1])], true, false));
    load(store, &package(2, &[(2, "b", &[])], false, true));
    load(store, &package(3, &[(1, "a", &[1])], true, false));
    load(store, &package(4, &[(2, "b2", &[])], false, true));
    let retired = "1795345604500000";
    assert_eq!(
        rows(store, "v", &["id", "name", "_dlt_valid_to"]),
        ["1|a|null".to_owned(), "2|b2|null".to_owned(), format!("2|b|{retired}"),]
    );
    assert_eq!(kids(store), ["1"]);
    // What is absent is retired, and may come back.
    load(store, &versioned(5, &disposition, &[(1, "a", &[1])]));
    load(store, &versioned(6, &disposition, &[(1, "a", &[1]), (2, "b2", &[])]));
    assert_eq!(v(store), ["1|a", "2|b", "2|b2", "2|b2"]);
}

fn scd2_times(store: &dyn Store) {
    let disposition = Disposition::merge(MergeStrategy::Scd2(Scd2 {
        valid_from: "since".to_owned(),
        valid_to: "until".to_owned(),
        active_record_timestamp: Some("9999-12-31".to_owned()),
        boundary_timestamp: Some("2024-01-02T00:00:00+01:00".to_owned()),
    }));
    let schema = disposition.apply(table("t", None, &["since:timestamp", "until:timestamp", "n:bigint", "_dlt_id"]));
    let package = |number, n: i64| {
        Package::new(number).rows(&schema, &[json!({"n": n, "_dlt_id": format!("{n}")})]).replaces("t", true, true)
    };
    load(store, &package(1, 1));
    load(store, &package(2, 2));
    let (boundary, active) = ("1704150000000000", "253402214400000000");
    let expected = [format!("1|{boundary}|{boundary}"), format!("2|{boundary}|{active}")];
    assert_eq!(rows(store, "t", &["n", "since", "until"]), expected);
}

fn upsert_needs_a_key(store: &dyn Store) {
    for strategy in [MergeStrategy::Upsert, MergeStrategy::InsertOnly] {
        let mut package = versioned(1, &Disposition::merge(strategy), V1);
        package.0.schema.tables["v"].columns["id"].primary_key = false;
        let error = store.open().load(&package.0).unwrap_err();
        assert!(error.message().contains("no primary key"), "{error}");
    }
    // Nor does a failed package stand in the way of the next.
    load(store, &versioned(1, &Disposition::merge(MergeStrategy::Upsert), V1));
    assert_eq!(v_table(&Disposition::scd2()).columns.len(), 6);
    assert_eq!(kids_table(&Disposition::scd2()).columns.len(), 4);
}
