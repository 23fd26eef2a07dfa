//! What records make of a schema, whatever order they come in; and what it costs.

use serde_json::{Value, json};

use super::*;
use crate::schema::{Convention, TableSchema, WriteDisposition};

fn stream(name: &str, hints: Value) -> StreamSpec {
    let Value::Object(hints) = hints else { panic!("hints are an object") };
    StreamSpec {
        name: name.to_owned(),
        parent: None,
        selected: true,
        primary_key: Vec::new(),
        merge_key: Vec::new(),
        cursor_field: None,
        write_disposition: WriteDisposition::Append,
        hints,
    }
}

fn append(schema: Schema) -> Normalizer {
    Normalizer::new(schema, &[stream("t", json!({}))], Options::default()).unwrap()
}

fn add(normalizer: &mut Normalizer, records: &Value) -> Result<()> {
    normalizer.add("t", &Records::JsonArray(records.to_string().as_bytes()), "1.5").map(drop)
}

/// Each key's column, by the hint that remembers it.
fn columns(table: &TableSchema) -> Vec<(String, String)> {
    let key = |column: &crate::schema::Column| Some(column.hints.get(names::ORIGINAL_KEY)?.as_str()?.to_owned());
    let mut columns: Vec<_> =
        table.columns.values().filter_map(|column| Some((key(column)?, column.name.clone()))).collect();
    columns.sort();
    columns
}

/// Pairs of records whose keys come to one name.
fn colliding() -> Vec<(Value, Value)> {
    vec![
        (json!({"Price ($)": 10.0}), json!({"Price (€)": 9.0})),
        (json!({"a": {"b": "inner"}}), json!({"a__b": "flat"})),
        (json!({"a": {"b": "inner"}}), json!({"a.b": "flat"})),
        (json!({"名前": "a"}), json!({"住所": "b"})),
        (json!({"userId": 1}), json!({"user_id": 2})),
        (json!({"q": 1, "q__v_text": "own"}), json!({"q": "variant"})),
        (json!({"_dlt_id": "mine"}), json!({"_dlt_ID": "mine too"})),
    ]
}

#[test]
fn keys_keep_their_columns_in_whatever_order_and_run_they_come() {
    for (one, other) in colliding() {
        let both = |first: &Value, second: &Value| {
            let mut all = first.as_object().unwrap().clone();
            all.extend(second.as_object().unwrap().clone());
            Value::Object(all)
        };
        for (first, second) in [(&one, &other), (&other, &one)] {
            let mut normalizer = append(Schema::default());
            add(&mut normalizer, &json!([first])).unwrap();
            add(&mut normalizer, &json!([second, both(first, second), both(second, first)])).unwrap();
            normalizer.take().unwrap();
            let known = columns(&normalizer.schema().tables["t"]);
            let names: HashSet<&String> = known.iter().map(|(_, name)| name).collect();
            assert_eq!(names.len(), known.len(), "{known:?}");
            assert!(known.len() >= 2, "{known:?}");
            // As it is stored and read again by a later run, in which the other one comes first.
            let stored = normalizer.schema().to_stored(None).content;
            let mut later = append(Schema::from_stored(&stored).unwrap());
            add(&mut later, &json!([second, first, both(second, first)])).unwrap();
            assert!(later.take().unwrap().changes.is_empty(), "{first} {second}");
            assert_eq!(columns(&later.schema().tables["t"]), known);
        }
    }
}

#[test]
fn lists_keep_their_tables() {
    let cases = [
        (json!({"L x": [1]}), json!({"l_x": ["a"]})),
        (json!({"a": {"b": [1]}}), json!({"a__b": ["a"]})),
        (json!({"名前": [1]}), json!({"住所": ["a"]})),
    ];
    for (one, other) in cases {
        let mut normalizer = append(Schema::default());
        add(&mut normalizer, &json!([one, other, one])).unwrap();
        let normalized = normalizer.take().unwrap();
        let mut rows: Vec<usize> = normalized.tables.iter().map(TableBatch::rows).collect();
        rows.sort_unstable();
        assert_eq!(rows, [1, 2, 3], "{one} {other}");
        let stored = normalizer.schema().to_stored(None).content;
        let mut later = append(Schema::from_stored(&stored).unwrap());
        add(&mut later, &json!([other, one])).unwrap();
        assert!(later.take().unwrap().changes.is_empty(), "{one} {other}");
    }
}

/// Table names by stream, with the streams that run and those that only are there.
fn tables(schema: &Schema, specs: &[StreamSpec], others: &[&str]) -> Vec<String> {
    let options =
        Options { other_streams: others.iter().map(|name| (*name).to_owned()).collect(), ..Options::default() };
    let normalizer = Normalizer::new(schema.clone(), specs, options).unwrap();
    normalizer.streams.values().map(|rows| rows.plan.table.clone()).collect()
}

#[test]
fn streams_share_a_table_only_if_they_say_so() {
    let (camel, snake) = (stream("userData", json!({})), stream("user_data", json!({})));
    let named = stream("people", json!({"table_name": "user_data"}));
    let none = Schema::default();
    let apart = tables(&none, &[camel.clone(), snake.clone()], &[]);
    assert!(apart[0] == "user_data" && apart[1].starts_with("user_data_"), "{apart:?}");
    assert_eq!(tables(&none, &[camel.clone(), named], &[]), ["user_data", "user_data"]);
    // A table that an earlier run made stays its stream's, even while that one is not selected.
    let mut normalizer = Normalizer::new(none, std::slice::from_ref(&camel), Options::default()).unwrap();
    normalizer.add("userData", &Records::JsonArray(b"[{\"a\":[1]}]"), "1").unwrap();
    let known = normalizer.schema().clone();
    assert_eq!(tables(&known, std::slice::from_ref(&snake), &["userData"])[0], apart[1]);
    assert_eq!(tables(&known, &[snake.clone(), camel.clone()], &[]), [apart[1].clone(), "user_data".to_owned()]);
    // Renamed: the table goes on.
    assert_eq!(tables(&known, &[snake], &[]), ["user_data"]);
    // Named like another one's child table, which is there already, or is to come.
    let child = stream("user_data__a", json!({}));
    assert_ne!(tables(&known, &[camel.clone(), child.clone()], &[])[1], "user_data__a");
    let mut normalizer = Normalizer::new(Schema::default(), &[camel, child], Options::default()).unwrap();
    normalizer.add("userData", &Records::JsonArray(b"[{\"a\":[1]}]"), "1").unwrap();
    normalizer.add("user_data__a", &Records::JsonArray(b"[{\"b\":1}]"), "1").unwrap();
    let normalized = normalizer.take().unwrap();
    assert_eq!(normalized.tables.len(), 3);
    assert!(normalizer.schema().tables["user_data__a"].parent.is_none());
}

#[test]
fn direct_names_differ_by_more_than_case() {
    let options = Options { naming: Convention::Direct, reserved_columns: &["rowid"], ..Options::default() };
    let mut normalizer = Normalizer::new(Schema::default(), &[stream("Täsks", json!({}))], options).unwrap();
    let record =
        json!([{"ID": 1, "id": 2, "rowId": 3, "Price ($)": 4, "in": {"Ner": 5}, "Tags": ["a"], "tags": ["b"]}]);
    normalizer.add("Täsks", &Records::JsonArray(record.to_string().as_bytes()), "1").unwrap();
    let normalized = normalizer.take().unwrap();
    let names: Vec<&str> = normalizer.schema().tables["Täsks"].columns.keys().map(String::as_str).collect();
    assert!(names.starts_with(&["ID"]) && names[1].starts_with("id_"), "{names:?}");
    assert_eq!(names[2..5], ["rowId_", "Price ($)", "in__Ner"]);
    let tables: Vec<&String> = normalized.tables.iter().map(|table| &table.table).collect();
    assert!(tables[1] == "Täsks__Tags" && tables[2].starts_with("Täsks__tags_"), "{tables:?}");
}

#[test]
fn a_text_becomes_a_number_only_if_it_is_that_numbers_text() {
    let cases = [
        (json!(1), vec!["1.10", "007", "1e5", "+5", " 5", "5.", "-0", "1.0", "0x10"], vec!["5", "-7"]),
        (json!(1.5), vec!["1.10", "007", "1e5", "+5", ".5", "5.", "-0.0"], vec!["5", "1.0", "-2.25"]),
    ];
    for (first, kept, taken) in cases {
        for (texts, variants) in [(kept, 1), (taken, 0)] {
            for text in texts {
                let mut normalizer = append(Schema::default());
                add(&mut normalizer, &json!([{"n": first}, {"n": text}])).unwrap();
                let names = normalizer.schema().tables["t"].columns.keys().filter(|name| name.contains("__v_text"));
                assert_eq!(names.count(), variants, "{text} after {first}");
            }
        }
    }
    // Who hints a number gets numbers.
    let hints = json!({"columns": {"n": {"data_type": "double"}}});
    let mut normalizer = Normalizer::new(Schema::default(), &[stream("t", hints)], Options::default()).unwrap();
    add(&mut normalizer, &json!([{"n": "19.90"}])).unwrap();
    assert!(!normalizer.schema().tables["t"].columns.contains_key("n__v_text"));
}

#[test]
fn what_does_not_fit_a_precision_is_a_variant() {
    let hints =
        json!({"columns": {"n": {"data_type": "bigint", "precision": 16}, "t": {"data_type": "text", "precision": 3}}});
    for (limits_text, expected) in [(true, 2), (false, 1)] {
        let options = Options { limits_text, ..Options::default() };
        let mut normalizer = Normalizer::new(Schema::default(), &[stream("t", hints.clone())], options).unwrap();
        add(&mut normalizer, &json!([{"n": 32767, "t": "üüü"}, {"n": 32768, "t": "long"}])).unwrap();
        let columns = &normalizer.schema().tables["t"].columns;
        assert_eq!(columns.keys().filter(|name| name.contains("__v_")).count(), expected);
        let normalized = normalizer.take().unwrap();
        let field = normalized.tables[0].batches[0].schema().field_with_name("n").unwrap().clone();
        assert_eq!(*field.data_type(), arrow::datatypes::DataType::Int16);
    }
}

#[test]
fn a_key_that_does_not_fit_says_so() {
    let spec = StreamSpec {
        primary_key: vec!["id".to_owned()],
        write_disposition: WriteDisposition::Merge,
        ..stream("t", json!({}))
    };
    let mut normalizer = Normalizer::new(Schema::default(), &[spec], Options::default()).unwrap();
    let error = add(&mut normalizer, &json!([{"id": 1}, {"id": "u-3"}])).unwrap_err();
    assert!(error.message().contains("does not fit its column"), "{error}");
    assert!(error.context().contains(&("value".into(), "u-3".to_owned())), "{error}");
}

#[test]
fn a_record_that_is_deleted_needs_only_its_key() {
    let hints = json!({"columns": {"gone": {"data_type": "bool", "hard_delete": true},
        "name": {"data_type": "text", "nullable": false}}});
    let spec = StreamSpec {
        primary_key: vec!["id".to_owned()],
        write_disposition: WriteDisposition::Merge,
        ..stream("t", hints)
    };
    for (record, fits) in [
        (json!({"id": 1, "gone": true}), true),
        (json!({"gone": true, "id": 1}), true),
        (json!({"id": 1, "gone": false}), false),
        (json!({"id": 1}), false),
        (json!({"gone": true}), false),
    ] {
        let mut normalizer =
            Normalizer::new(Schema::default(), std::slice::from_ref(&spec), Options::default()).unwrap();
        assert_eq!(add(&mut normalizer, &json!([record])).is_ok(), fits, "{record}");
    }
}

#[test]
fn a_hinted_key_is_the_one_that_is_spelt_like_it() {
    let spec = StreamSpec { primary_key: vec!["id".to_owned()], ..stream("t", json!({})) };
    for record in [json!({"ID": "x", "id": 1}), json!({"id": 1, "ID": "x"})] {
        let mut normalizer =
            Normalizer::new(Schema::default(), std::slice::from_ref(&spec), Options::default()).unwrap();
        add(&mut normalizer, &json!([record])).unwrap();
        assert_eq!(normalizer.schema().tables["t"].columns["id"].data_type, DataType::Bigint, "{record}");
    }
}

/// Steps for data of one size and of four times that.
fn grows(name: &str, work: impl Fn(usize)) {
    let (small, large) = (steps::of(|| work(500)), steps::of(|| work(2000)));
    assert!(small > 0 && large <= small * 5, "{name}: {small} steps, and {large} for four times as much");
}

#[test]
fn no_data_costs_more_than_its_size() {
    let page = |normalizer: &mut Normalizer, text: &str| {
        normalizer.add("t", &Records::JsonArray(text.as_bytes()), "1").unwrap();
    };
    grows("equal keys in an object", |size| {
        let keys = vec!["\"k\":1"; size].join(",");
        page(&mut append(Schema::default()), &format!("[{{{keys}}}]"));
    });
    grows("equal keys in objects of equal keys", |size| {
        let keys = vec!["\"k\":{\"j\":1,\"j\":2}"; size].join(",");
        page(&mut append(Schema::default()), &format!("[{{\"o\":{{{keys}}}}}]"));
    });
    grows("pairs of equal keys", |size| {
        let keys: Vec<String> = (0..size).map(|key| format!("\"k{key}\":1,\"k{key}\":2")).collect();
        page(&mut append(Schema::default()), &format!("[{{{}}}]", keys.join(",")));
    });
    grows("columns", |size| {
        let keys: Vec<String> = (0..size).map(|key| format!("\"k{key}\":1")).collect();
        page(&mut append(Schema::default()), &format!("[{{{}}}]", keys.join(",")));
    });
    grows("a key in each record", |size| {
        let records: Vec<String> = (0..size).map(|key| format!("{{\"k{key}\":1}}")).collect();
        page(&mut append(Schema::default()), &format!("[{}]", records.join(",")));
    });
    let discards = |mode: &str| {
        let known = {
            let mut normalizer = append(Schema::default());
            page(&mut normalizer, "[{\"id\":1}]");
            normalizer.schema().clone()
        };
        let hints = json!({"schema_contract": {"columns": mode}});
        Normalizer::new(known, &[stream("t", hints)], Options::default()).unwrap()
    };
    for mode in ["discard_row", "discard_value"] {
        grows(mode, |size| {
            let records: Vec<String> = (0..size).map(|key| format!("{{\"id\":1,\"k{key}\":1}}")).collect();
            let mut normalizer = discards(mode);
            page(&mut normalizer, &format!("[{}]", records.join(",")));
            assert_eq!(normalizer.take().unwrap().warnings.len(), 101);
        });
    }
    grows("child tables", |size| {
        let keys: Vec<String> = (0..size / 4).map(|key| format!("\"k{key}\":[1]")).collect();
        page(&mut append(Schema::default()), &format!("[{{{}}}]", keys.join(",")));
    });
    grows("pages of few keys in a wide table", |size| {
        let mut normalizer = append(Schema::default());
        let keys: Vec<String> = (0..size).map(|key| format!("\"k{key}\":1")).collect();
        page(&mut normalizer, &format!("[{{{}}}]", keys.join(",")));
        for _ in 0..size {
            page(&mut normalizer, "[{\"k1\":1}]");
            assert!(normalizer.bytes() > 0 && normalizer.rows() > 0);
        }
    });
}

#[test]
fn keys_that_never_have_a_value_are_not_remembered() {
    let mut normalizer = append(Schema::default());
    for key in 0..100 {
        add(&mut normalizer, &json!([{"id": 1, format!("k{key}"): null}])).unwrap();
    }
    assert_eq!(normalizer.streams["t"].tables[0].keys, 1);
}

#[test]
fn what_is_held_is_what_is_taken() {
    let mut normalizer = append(Schema::default());
    add(&mut normalizer, &json!([{"a": "x".repeat(1000), "l": [{"b": "y".repeat(500)}]}])).unwrap();
    assert!(normalizer.bytes() >= 1500 && normalizer.rows() == 2, "{}", normalizer.bytes());
    normalizer.discard(&["t"]);
    assert_eq!((normalizer.bytes(), normalizer.rows()), (0, 0));
    add(&mut normalizer, &json!([{"a": 1}])).unwrap();
    normalizer.take().unwrap();
    assert_eq!((normalizer.bytes(), normalizer.rows()), (0, 0));
}
