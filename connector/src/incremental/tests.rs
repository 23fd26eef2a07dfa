use serde_json::json;

use super::*;
use crate::plan::WriteDisposition;

fn stream(primary_key: &[&str]) -> Stream {
    let primary_key = primary_key.iter().map(|name| (*name).to_owned()).collect();
    Stream { primary_key, ..Stream::scripted("s") }
}

fn cursor(initial: Value) -> Incremental {
    Incremental {
        cursor_path: "t".to_owned(),
        cursor_format: None,
        initial_value: (!initial.is_null()).then_some(initial),
        end_value: None,
        convert: None,
        last_value: LastValue::Max,
        primary_key: None,
        row_order: None,
        on_cursor_value_missing: OnMissing::Raise,
        lag: None,
        range_start_open: false,
        range_end_closed: false,
        window: None,
        inherited: None,
    }
}

/// Reads one page of records `{"id", "t"}` (a null cursor is left out): the ids kept, whether the range was left, and
/// the state for the next run.
fn run(
    plan: &Incremental,
    key: &[&str],
    memory: Option<Memory>,
    page: &[(i64, Value)],
) -> (Vec<i64>, bool, Option<Memory>) {
    let mut read = IncrementalRead::begin(plan.clone(), &stream(key), memory).unwrap();
    let (ids, left) = page_of(&mut read, page).unwrap();
    (ids, left, read.finished())
}

fn page_of(read: &mut IncrementalRead, page: &[(i64, Value)]) -> Result<(Vec<i64>, bool), Error> {
    let compiled = Compiled::new(&read.plan).unwrap();
    let records = page.iter().map(|(id, t)| match t {
        Value::Null => Cow::Owned(json!({"id": id}).to_string()),
        t => Cow::Owned(json!({"id": id, "t": t}).to_string()),
    });
    let filtered = read.filter(&compiled, records.collect())?;
    let id = |record: &Cow<'_, str>| document::field(record, "id").unwrap().parse().unwrap();
    Ok((filtered.records.iter().map(id).collect(), filtered.left_range))
}

fn numbered(values: &[i64]) -> Vec<(i64, Value)> {
    values.iter().map(|value| (*value, json!(value))).collect()
}

#[test]
fn records_before_the_start_are_dropped() {
    let page = numbered(&[1, 2, 3, 4]);
    assert_eq!(run(&cursor(json!(3)), &[], None, &page).0, [3, 4]);
    assert_eq!(run(&cursor(json!(null)), &[], None, &page).0, [1, 2, 3, 4]);
    let open = Incremental { range_start_open: true, ..cursor(json!(3)) };
    assert_eq!(run(&open, &[], None, &page).0, [4]);
    let least = Incremental { last_value: LastValue::Min, ..cursor(json!(3)) };
    let (ids, _, memory) = run(&least, &[], None, &page);
    assert_eq!((ids, memory.unwrap().last), (vec![1, 2, 3], json!(1)));
}

#[test]
fn a_fixed_range_ends_and_keeps_no_state() {
    let fixed = Incremental { end_value: Some(json!(3)), ..cursor(json!(2)) };
    let page = numbered(&[1, 2, 3, 4]);
    assert_eq!(run(&fixed, &[], None, &page), (vec![2], false, None));
    let closed = Incremental { range_end_closed: true, ..fixed };
    assert_eq!(run(&closed, &[], None, &page).0, [2, 3]);
}

#[test]
fn ordered_records_end_the_reading() {
    let ordered = |order, end: Option<i64>| Incremental {
        row_order: Some(order),
        end_value: end.map(Value::from),
        ..cursor(json!(2))
    };
    let page = numbered(&[3, 2, 1]);
    assert!(run(&ordered(RowOrder::Descending, None), &[], None, &page).1);
    assert!(!run(&ordered(RowOrder::Descending, None), &[], None, &page[..2]).1);
    assert!(!run(&ordered(RowOrder::Ascending, None), &[], None, &page).1);
    assert!(run(&ordered(RowOrder::Ascending, Some(3)), &[], None, &page).1);
}

#[test]
fn known_records_at_the_boundary_are_dropped() {
    let plan = cursor(json!(0));
    for key in [&["id"][..], &[]] {
        let (ids, _, memory) = run(&plan, key, None, &[(1, json!(1)), (2, json!(2)), (3, json!(2))]);
        assert_eq!(ids, [1, 2, 3]);
        let again = [(1, json!(1)), (2, json!(2)), (3, json!(2)), (4, json!(2))];
        let (ids, _, memory) = run(&plan, key, memory, &again);
        assert_eq!(ids, [4]);
        let (ids, _, memory) = run(&plan, key, memory, &again);
        assert_eq!(ids, Vec::<i64>::new());
        let (ids, _, memory) = run(&plan, key, memory, &[(4, json!(2)), (5, json!(3))]);
        assert_eq!((ids, Boundary::unpack(&memory.unwrap().boundary).unwrap().len()), (vec![5], 1));
    }
    let without = Incremental { primary_key: Some(Vec::new()), ..plan };
    let (_, _, memory) = run(&without, &["id"], None, &[(1, json!(1))]);
    assert_eq!(memory.as_ref().unwrap().boundary, "");
    assert_eq!(run(&without, &["id"], memory, &[(1, json!(1))]).0, [1]);
}

#[test]
fn the_start_is_fixed_within_a_run_even_through_a_checkpoint() {
    let plan = cursor(json!(5));
    let mut read = IncrementalRead::begin(plan.clone(), &stream(&["id"]), None).unwrap();
    assert_eq!(page_of(&mut read, &numbered(&[9])).unwrap().0, [9]);
    let stored = serde_json::from_value(serde_json::to_value(read.position()).unwrap()).unwrap();
    let mut resumed = IncrementalRead::begin(plan, &stream(&["id"]), Some(stored)).unwrap();
    assert_eq!(page_of(&mut resumed, &numbered(&[6, 4])).unwrap().0, [6]);
    assert_eq!(resumed.finished().unwrap().last, json!(9));
}

#[test]
fn a_lag_reads_again_but_not_behind_the_initial_value() {
    let plan = Incremental { lag: Some(2.0), ..cursor(json!(1)) };
    let (_, _, memory) = run(&plan, &["id"], None, &numbered(&[5]));
    let (ids, _, memory) = run(&plan, &["id"], memory, &numbered(&[2, 3, 4, 5]));
    assert_eq!((ids, memory.unwrap().last), (vec![3, 4, 5], json!(5)));
    let far = Incremental { lag: Some(100.0), ..plan };
    let (_, _, memory) = run(&far, &["id"], None, &numbered(&[5]));
    assert_eq!(run(&far, &["id"], memory, &numbered(&[0, 1])).0, [1]);
}

#[test]
fn missing_cursors_are_handled_as_asked() {
    let page = [(1, json!(5)), (2, json!(null))];
    let with = |handling| Incremental { on_cursor_value_missing: handling, ..cursor(json!(null)) };
    assert_eq!(run(&with(OnMissing::Include), &[], None, &page).0, [1, 2]);
    assert_eq!(run(&with(OnMissing::Exclude), &[], None, &page).0, [1]);
    assert_eq!(run(&with(OnMissing::Exclude), &[], None, &[(1, json!("2024-01-01")), (2, json!(""))]).0, [1]);
    let mut read = IncrementalRead::begin(with(OnMissing::Raise), &stream(&[]), None).unwrap();
    let Err(Error::BadData(text)) = page_of(&mut read, &page) else { panic!("it was read") };
    assert!(text.contains("`t`") && text.contains("it has: id"));
    let mut read = IncrementalRead::begin(cursor(json!(1)), &stream(&[]), None).unwrap();
    assert!(matches!(page_of(&mut read, &[(1, json!("x"))]), Err(Error::BadData(_))));
}

#[test]
fn requests_get_converted_values() {
    let plan = Incremental {
        convert: Some("tostring + \"!\"".to_owned()),
        end_value: Some(json!(9)),
        lag: Some(1.0),
        ..cursor(json!(3))
    };
    let compiled = Compiled::new(&plan).unwrap();
    let read = IncrementalRead::begin(plan, &stream(&[]), None).unwrap();
    let interval = read.interval(&compiled).unwrap();
    assert_eq!((interval.start, interval.end), (Some(json!("3!")), Some(json!("9!"))));
    assert_eq!(interval.initial, Some(json!("3!")));
    let plan = cursor(json!(null));
    let read = IncrementalRead::begin(plan.clone(), &stream(&[]), None).unwrap();
    assert_eq!(read.interval(&Compiled::new(&plan).unwrap()).unwrap().start, None);
}

#[test]
fn a_range_splits_into_windows() {
    let plan = Incremental {
        end_value: Some(json!("2024-01-04")),
        window: Some(2.0),
        range_start_open: true,
        range_end_closed: true,
        ..cursor(json!("2024-01-01"))
    };
    let windows = windows(&plan).unwrap().unwrap();
    let bounds: Vec<(Value, Value)> = windows.iter().map(|window| (window.start.clone(), window.end.clone())).collect();
    assert_eq!(bounds, [(json!("2024-01-01"), json!("2024-01-03")), (json!("2024-01-03"), json!("2024-01-04"))]);
    let (first, second) = (within(&plan, &windows[0]), within(&plan, &windows[1]));
    assert!(first.range_start_open && !first.range_end_closed);
    assert!(!second.range_start_open && second.range_end_closed);
    let backwards = Incremental { window: Some(-1.0), ..plan.clone() };
    assert!(super::windows(&backwards).is_err());
    assert_eq!(super::windows(&Incremental { window: None, ..plan }).unwrap(), None);
}

#[test]
fn a_value_that_is_not_certain_stops_before_anything_is_loaded() {
    for value in ["1/5/2024", "31.12.2023"] {
        let mut read = IncrementalRead::begin(cursor(json!(null)), &stream(&["id"]), None).unwrap();
        let Err(Error::BadData(text)) = page_of(&mut read, &[(1, json!(value))]) else { panic!("{value} was read") };
        assert!(text.contains(value) && text.contains("cursor_format: \"%"), "{text}");
    }
    let day_first = Incremental { cursor_format: Some(Format::new("%d/%m/%Y").unwrap()), ..cursor(json!(null)) };
    let (ids, _, memory) = run(&day_first, &["id"], None, &[(1, json!("31/12/2023")), (2, json!("1/5/2024"))]);
    assert_eq!((ids, &memory.as_ref().unwrap().last), (vec![1, 2], &json!("1/5/2024")));
    let (ids, ..) = run(&day_first, &["id"], memory, &[(1, json!("31/12/2023")), (3, json!("2/5/2024"))]);
    assert_eq!(ids, [3]);
}

#[test]
fn another_cursor_begins_anew() {
    let created = Incremental { cursor_path: "created".to_owned(), ..cursor(json!(null)) };
    let memory = Memory { path: "created".to_owned(), last: json!(100), ..Memory::default() };
    assert!(memory.is_of(&created));
    let (ids, _, memory) = run(&cursor(json!(null)), &["id"], Some(memory), &numbered(&[5, 6]));
    assert_eq!(ids, [5, 6]);
    assert_eq!(memory.unwrap().path, "t");
}

#[test]
fn a_changed_type_says_how_to_begin_anew() {
    let (_, _, memory) = run(&cursor(json!(null)), &["id"], None, &numbered(&[5]));
    let mut read = IncrementalRead::begin(cursor(json!(null)), &stream(&["id"]), memory).unwrap();
    let Err(Error::BadData(text)) = page_of(&mut read, &[(6, json!("2024-01-01"))]) else { panic!("it was read") };
    assert!(text.contains("ended at 5") && text.contains("--full-refresh"), "{text}");
}

#[test]
fn a_merge_by_the_same_key_forgets_what_it_need_not_know() {
    let many: Vec<(i64, Value)> = (0..20_000).map(|id| (id, json!("2024-05-01"))).collect();
    let memory_of = |disposition, strategy: Option<&str>| {
        let mut stream = Stream { write_disposition: disposition, ..stream(&["id"]) };
        stream.hints.extend(strategy.map(|strategy| ("strategy".to_owned(), Value::from(strategy))));
        let mut read = IncrementalRead::begin(cursor(json!(null)), &stream, None).unwrap();
        page_of(&mut read, &many).unwrap();
        read.finished().unwrap().boundary
    };
    assert_eq!(memory_of(WriteDisposition::Merge, None), "*");
    assert_eq!(memory_of(WriteDisposition::Merge, Some("upsert")), "*");
    for (disposition, strategy) in [(WriteDisposition::Append, None), (WriteDisposition::Merge, Some("scd2"))] {
        let kept = memory_of(disposition, strategy);
        assert!(kept.len() > 1 && kept.len() < 2_000, "{} bytes", kept.len());
    }
}

#[test]
fn the_boundary_survives_a_checkpoint_while_no_record_is_behind_the_start() {
    let plan = cursor(json!(null));
    let (_, _, memory) = run(&plan, &["id"], None, &[(1, json!(7)), (2, json!(7))]);
    let mut read = IncrementalRead::begin(plan.clone(), &stream(&["id"]), memory).unwrap();
    assert_eq!(page_of(&mut read, &[(1, json!(7)), (3, json!(7))]).unwrap().0, [3]);
    let stored = serde_json::from_value(serde_json::to_value(read.position()).unwrap()).unwrap();
    let mut resumed = IncrementalRead::begin(plan.clone(), &stream(&["id"]), Some(stored)).unwrap();
    assert_eq!(page_of(&mut resumed, &[(2, json!(7)), (4, json!(7))]).unwrap().0, [4]);
    let every: Vec<(i64, Value)> = (1..=5).map(|id| (id, json!(7))).collect();
    assert_eq!(run(&plan, &["id"], resumed.finished(), &every).0, [5]);
}
