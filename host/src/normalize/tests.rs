//! Whole records through the normalizer, compared with what dlt 1.31.0 made of them.

use arrow::array::AsArray as _;
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::schema::WriteDisposition;

fn stream(name: &str, disposition: WriteDisposition, keys: &[&str], hints: Value) -> StreamSpec {
    let Value::Object(hints) = hints else { panic!("hints are an object") };
    StreamSpec {
        name: name.to_owned(),
        parent: None,
        selected: true,
        primary_key: keys.iter().map(|key| (*key).to_owned()).collect(),
        merge_key: Vec::new(),
        cursor_field: None,
        write_disposition: disposition,
        hints,
    }
}

fn normalizer(schema: Schema, spec: StreamSpec) -> Normalizer {
    Normalizer::new(schema, &[spec], Options::default()).unwrap()
}

fn append(hints: Value) -> Normalizer {
    normalizer(Schema::default(), stream("t", WriteDisposition::Append, &[], hints))
}

fn add(normalizer: &mut Normalizer, records: &str) -> Result<PageSummary> {
    normalizer.add("t", &Records::JsonArray(records.as_bytes()), "1.5")
}

fn columns(normalizer: &Normalizer, table: &str) -> Vec<String> {
    normalizer.schema().tables[table]
        .columns
        .values()
        .map(|column| format!("{} {}", column.name, column.data_type.name()))
        .collect()
}

/// A value as text; a timestamp without its zone, whose name Arrow can't look up.
fn print(column: &ArrayRef, row: usize) -> String {
    use arrow::datatypes::{DataType as ArrowType, TimeUnit};

    let naive = ArrowType::Timestamp(TimeUnit::Microsecond, None);
    match column.data_type() {
        ArrowType::Timestamp(..) => {
            let long = arrow::compute::cast(column, &ArrowType::Int64).unwrap();
            array_value_to_string(&arrow::compute::cast(&long, &naive).unwrap(), row).unwrap() + "Z"
        }
        _ => array_value_to_string(column, row).unwrap(),
    }
}

/// A table's rows as `column=value`, without nulls and dlt's own columns.
fn rows(normalized: &Normalized, table: &str) -> Vec<String> {
    let Some(table) = normalized.tables.iter().find(|candidate| candidate.table == table) else { return Vec::new() };
    let mut rows = Vec::new();
    for batch in &table.batches {
        for row in 0..batch.num_rows() {
            let mut cells = Vec::new();
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                if !field.name().starts_with("_dlt_") && column.is_valid(row) {
                    cells.push(format!("{}={}", field.name(), print(column, row)));
                }
            }
            rows.push(cells.join(" "));
        }
    }
    rows
}

fn texts(normalized: &Normalized, table: &str, column: &str) -> Vec<String> {
    let table = normalized.tables.iter().find(|candidate| candidate.table == table).unwrap();
    let column = table.batches[0].column_by_name(column).unwrap();
    column.as_string::<i32>().iter().map(|text| text.unwrap_or("null").to_owned()).collect()
}

const TYPES: &str = r#"[
    {"Id": 1, "isActive": true, "price": 1.5, "qty": 3, "createdAt": "2024-01-01T10:00:00Z", "day": "2024-01-02",
     "tm": "10:00:00", "nested": {"Deep": {"x": 1}, "list": [{"k": "v"}, {"k": null}]}, "tags": ["a", "b"],
     "nothing": null, "emptyObj": {}, "emptyList": []},
    {"Id": 2, "isActive": false, "price": 2, "qty": "many", "createdAt": "n/a", "day": "x", "tm": null,
     "nested": {"Deep": {"x": "y"}}, "tags": [], "nothing": null}]"#;

#[test]
fn without_nesting_objects_and_lists_stay_json() {
    let mut normalizer = append(json!({"max_table_nesting": 0}));
    add(&mut normalizer, TYPES).unwrap();
    assert_eq!(
        columns(&normalizer, "t"),
        [
            "id bigint",
            "is_active bool",
            "price double",
            "qty bigint",
            "created_at timestamp",
            "day text",
            "tm text",
            "nested json",
            "tags json",
            "empty_obj json",
            "empty_list json",
            "_dlt_load_id text",
            "_dlt_id text",
            "qty__v_text text",
            "created_at__v_text text",
        ]
    );
    let normalized = normalizer.take().unwrap();
    assert_eq!(
        rows(&normalized, "t"),
        [
            r#"id=1 is_active=true price=1.5 qty=3 created_at=2024-01-01T10:00:00Z day=2024-01-02 tm=10:00:00 nested={"Deep":{"x":1},"list":[{"k":"v"},{"k":null}]} tags=["a","b"] empty_obj={} empty_list=[]"#,
            r#"id=2 is_active=false price=2.0 day=x nested={"Deep":{"x":"y"}} tags=[] qty__v_text=many created_at__v_text=n/a"#,
        ]
    );
}

#[test]
fn objects_are_flattened_and_lists_become_tables() {
    let mut normalizer = append(json!({}));
    add(&mut normalizer, TYPES).unwrap();
    let normalized = normalizer.take().unwrap();
    assert_eq!(normalizer.schema().tables.keys().collect::<Vec<_>>(), ["t", "t__tags", "t__nested__list"]);
    assert_eq!(rows(&normalized, "t__nested__list"), ["k=v", ""]);
    assert_eq!(rows(&normalized, "t__tags"), ["value=a", "value=b"]);
    assert_eq!(
        columns(&normalizer, "t__tags"),
        ["value text", "_dlt_parent_id text", "_dlt_list_idx bigint", "_dlt_id text"]
    );
    assert_eq!(
        columns(&normalizer, "t")[7..],
        [
            "nested__deep__x bigint",
            "_dlt_load_id text",
            "_dlt_id text",
            "qty__v_text text",
            "created_at__v_text text",
            "nested__deep__x__v_text text",
        ]
    );
}

/// Ids and column order of a run of dlt 1.31.0.
#[test]
fn an_upsert_has_the_ids_of_dlt() {
    let hints = json!({"strategy": "upsert", "columns": {"k": {"data_type": "text"}}});
    let mut normalizer = normalizer(Schema::default(), stream("t", WriteDisposition::Merge, &["id", "k"], hints));
    add(
        &mut normalizer,
        r#"[{"b":1,"n":{"x":1,"l":[1,[2,3]]},"m":{"z":1},"id":5,"k":"é","q":null,"c":2.5},
            {"id":6,"k":"b","q":"2024-01-01T10:00:00Z","tags":["a"]}]"#,
    )
    .unwrap();
    assert_eq!(
        columns(&normalizer, "t"),
        [
            "k text",
            "b bigint",
            "id bigint",
            "c double",
            "m__z bigint",
            "n__x bigint",
            "_dlt_load_id text",
            "_dlt_id text",
            "q timestamp",
        ]
    );
    assert_eq!(
        columns(&normalizer, "t__n__l"),
        ["value bigint", "_dlt_root_id text", "_dlt_parent_id text", "_dlt_list_idx bigint", "_dlt_id text"]
    );
    let normalized = normalizer.take().unwrap();
    assert_eq!(texts(&normalized, "t", "_dlt_id"), ["z0B24uIB8SzQPw", "ddSf6fEie1eDfg"]);
    assert_eq!(texts(&normalized, "t__n__l", "_dlt_id"), ["itjvSWO2J0M1Uw", "A8wyipG241D2jg"]);
    assert_eq!(texts(&normalized, "t__n__l__list", "_dlt_id"), ["vHJGtYJvbyiLGQ", "JtEgQlXBNe7q9Q"]);
    assert_eq!(texts(&normalized, "t__n__l__list", "_dlt_root_id"), ["z0B24uIB8SzQPw", "z0B24uIB8SzQPw"]);
    assert_eq!(texts(&normalized, "t__tags", "_dlt_id"), ["bX8JxYG9yD+rzA"]);
}

#[test]
fn a_slowly_changing_row_has_the_id_of_its_content() {
    let hints = json!({"strategy": "scd2"});
    let mut normalizer = normalizer(Schema::default(), stream("t", WriteDisposition::Merge, &[], hints));
    add(&mut normalizer, r#"[{"id":5,"k":"é","f":1.0,"l":[{"x":1}]}]"#).unwrap();
    assert_eq!(columns(&normalizer, "t")[..2], ["_dlt_valid_from timestamp", "_dlt_valid_to timestamp"]);
    let normalized = normalizer.take().unwrap();
    assert_eq!(texts(&normalized, "t", "_dlt_id"), ["9+TEBs/4+szKXQ"]);
    assert_eq!(columns(&normalizer, "t__l")[1], "_dlt_parent_id text");
}

#[test]
fn shapes_that_apis_send() {
    let cases = [
        ("[1, null, \"a\"]", vec!["value=1", "", "value__v_text=a"], vec![]),
        ("[[1,2]]", vec![""], vec![("t__value", vec!["value=1", "value=2"])]),
        (r#"[{"a":[[1],[]]}]"#, vec![""], vec![("t__a", vec!["", ""]), ("t__a__list", vec!["value=1"])]),
        (r#"[{"a":[{}, null]}]"#, vec![""], vec![("t__a", vec!["", ""])]),
        (r#"[{"a":1},{"a":{"b":2}},{"a":[3]}]"#, vec!["a=1", "a__b=2", ""], vec![("t__a", vec!["value=3"])]),
        (r#"[{"":1}]"#, vec!["_empty=1"], vec![]),
        (
            r#"[{"a":1,"a":2,"o":{"x":1},"o":{"y":2},"l":[1],"l":[2]}]"#,
            vec!["a=2 o__y=2"],
            vec![("t__l", vec!["value=2"])],
        ),
        (r#"[{"x":[{"y":[{"z":1,"z":2}]}]}]"#, vec![""], vec![("t__x", vec![""]), ("t__x__y", vec!["z=2"])]),
        ("[]", vec![], vec![]),
        (r#"[{"id":18446744073709551617},{"id":1}]"#, vec!["id=18446744073709551617", "id=1"], vec![]),
        (r#"[{"id":1},{"id":18446744073709551617}]"#, vec!["id=1", "id__v_decimal=18446744073709551617"], vec![]),
        (r#"[{"t":"x"},{"t":true},{"t":1.5},{"t":1}]"#, vec!["t=x", "t=True", "t=1.5", "t=1"], vec![]),
        (
            r#"[{"q":1},{"q":1.5},{"q":true},{"q":"2"},{"q":3.0}]"#,
            vec!["q=1", "q__v_double=1.5", "q__v_bool=true", "q=2", "q=3"],
            vec![],
        ),
        (
            r#"[{"q":1},{"q":"2024-01-01T00:00:00Z"},{"q":"x"}]"#,
            vec!["q=1", "q__v_text=2024-01-01T00:00:00Z", "q__v_text__v_text=x"],
            vec![],
        ),
    ];
    for (records, root, children) in cases {
        let mut normalizer = append(json!({}));
        add(&mut normalizer, records).unwrap();
        let normalized = normalizer.take().unwrap();
        assert_eq!(rows(&normalized, "t"), root, "{records}");
        assert_eq!(normalized.tables.len(), children.len() + usize::from(!root.is_empty()), "{records}");
        for (table, expected) in children {
            assert_eq!(rows(&normalized, table), expected, "{records} {table}");
        }
    }
}

#[test]
fn colliding_keys_keep_both_values_and_their_columns() {
    let mut normalizer = append(json!({}));
    add(&mut normalizer, r#"[{"A b":1,"a_b":2,"L x":[1],"l_x":[2],"_dlt_id":"mine"},{"a_b":3}]"#).unwrap();
    let first = normalizer.take().unwrap();
    let row = &rows(&first, "t")[0];
    assert!(row.starts_with("a_b=1 a_b_") && row.ends_with("=2"), "{row}");
    let tagged = row.split(['=', ' ']).nth(2).unwrap().to_owned();
    assert_eq!(rows(&first, "t")[1], format!("{tagged}=3"));
    assert_eq!(rows(&first, "t__l_x"), ["value=1"]);
    assert_eq!(first.tables.iter().filter(|table| table.table.starts_with("t__l_x_")).count(), 1);
    assert_eq!(first.warnings.len(), 3, "{:?}", first.warnings);
    let schema = normalizer.schema().clone();
    // The next run finds the column of each key again, whatever comes first.
    let mut normalizer = append(json!({}));
    normalizer.schema = schema.clone();
    normalizer.settled = schema;
    add(&mut normalizer, r#"[{"a_b":4,"A b":5}]"#).unwrap();
    assert_eq!(rows(&normalizer.take().unwrap(), "t"), [format!("a_b=5 {tagged}=4")]);
}

#[test]
fn contracts_are_kept() {
    let known = {
        let mut normalizer = append(json!({}));
        add(&mut normalizer, r#"[{"id":1}]"#).unwrap();
        normalizer.schema().clone()
    };
    let grown = r#"[{"id":2,"extra":"e"},{"id":"x"},{"id":3,"kids":[1]},{"id":4}]"#;
    let all = vec!["id=2 extra=e", "id__v_text=x", "id=3", "id=4"];
    let cases = [
        (json!("evolve"), Some((all.clone(), 1))),
        (json!({"columns": "freeze"}), None),
        (json!({"data_type": "freeze"}), None),
        (json!({"tables": "freeze"}), None),
        (json!({"columns": "discard_value"}), Some((vec!["id=2", "id__v_text=x", "id=3", "id=4"], 1))),
        (json!({"columns": "discard_row"}), Some((vec!["id__v_text=x", "id=3", "id=4"], 1))),
        (json!({"data_type": "discard_value"}), Some((vec!["id=2 extra=e", "", "id=3", "id=4"], 1))),
        (json!({"data_type": "discard_row"}), Some((vec!["id=2 extra=e", "id=3", "id=4"], 1))),
        (json!({"tables": "discard_row"}), Some((all, 0))),
    ];
    for (contract, expected) in cases {
        let spec = stream("t", WriteDisposition::Append, &[], json!({ "schema_contract": contract }));
        let mut normalizer = normalizer(known.clone(), spec);
        let added = add(&mut normalizer, grown);
        match expected {
            None => {
                assert_eq!(added.unwrap_err().kind(), ErrorKind::Contract, "{contract}");
                normalizer.discard(&["t"]);
                assert_eq!(*normalizer.schema(), known, "{contract}");
                assert_eq!(normalizer.rows(), 0);
            }
            Some((root, children)) => {
                added.unwrap();
                let normalized = normalizer.take().unwrap();
                assert_eq!(rows(&normalized, "t"), root, "{contract}");
                assert_eq!(rows(&normalized, "t__kids").len(), children, "{contract}");
                let evolves = contract == json!("evolve");
                assert_eq!(normalized.warnings.is_empty(), evolves, "{contract}");
            }
        }
    }
}

#[test]
fn a_new_table_may_have_any_column_until_it_is_taken() {
    let mut normalizer = append(json!({"schema_contract": {"columns": "freeze"}}));
    add(&mut normalizer, r#"[{"id":1},{"id":2,"x":1}]"#).unwrap();
    normalizer.take().unwrap();
    let error = add(&mut normalizer, r#"[{"id":1},{"id":2,"y":1}]"#).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Contract);
    assert!(error.context().contains(&("column".into(), "y".to_owned())), "{error}");
    assert!(error.context().contains(&("record".into(), "2".to_owned())), "{error}");
}

#[test]
fn keys_and_required_columns_must_have_values() {
    let cases = [
        (stream("t", WriteDisposition::Append, &["id"], json!({})), ErrorKind::BadData),
        (stream("t", WriteDisposition::Merge, &["id"], json!({})), ErrorKind::BadData),
        (
            stream(
                "t",
                WriteDisposition::Append,
                &[],
                json!({"columns": {"id": {"data_type": "bigint", "nullable": false}}}),
            ),
            ErrorKind::Contract,
        ),
    ];
    for (spec, kind) in cases {
        for records in [r#"[{"a":1}]"#, r#"[{"id":null}]"#] {
            let mut normalizer = normalizer(Schema::default(), spec.clone());
            assert_eq!(add(&mut normalizer, records).unwrap_err().kind(), kind, "{records}");
        }
        let mut normalizer = normalizer(Schema::default(), spec);
        add(&mut normalizer, "[]").unwrap();
        assert!(normalizer.take().unwrap().tables.is_empty());
    }
}

#[test]
fn hinted_types_win() {
    let hints = json!({"columns": {"d": {"data_type": "date"}, "n": {"data_type": "decimal"}, "o": {"data_type": "json"},
        "never": {"data_type": "text"}}});
    let mut normalizer = append(hints);
    add(&mut normalizer, r#"[{"o":{"A":[1]},"n":0.1,"d":"2024-01-02"},{"n":"0.30","d":"soon"}]"#).unwrap();
    assert_eq!(
        columns(&normalizer, "t"),
        ["d date", "n decimal", "o json", "never text", "_dlt_load_id text", "_dlt_id text", "d__v_text text"]
    );
    let expected = [r#"d=2024-01-02 n=0.100000000 o={"A":[1]}"#, "n=0.300000000 d__v_text=soon"];
    assert_eq!(rows(&normalizer.take().unwrap(), "t"), expected);
}

#[test]
fn what_is_no_page_is_refused_with_its_place() {
    let cases: [(Records<'_>, &str, &str); 5] = [
        (Records::JsonArray(b"[{\"a\":1},{\"a\":NaN}]"), "14", "2"),
        (Records::JsonArray(b"[1] x"), "4", "2"),
        (Records::JsonLines(b"{\"a\":1}\n\n{\"a\":}\n"), "14", "2"),
        (Records::JsonArray(b"{}"), "0", "1"),
        (Records::JsonArray(b"[\"\xff\"]"), "2", ""),
    ];
    for (records, byte, record) in cases {
        let mut normalizer = append(json!({}));
        let error = normalizer.add("t", &records, "1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadData);
        assert!(error.context().contains(&("byte".into(), byte.to_owned())), "{error}");
        assert!(record.is_empty() || error.context().contains(&("record".into(), record.to_owned())), "{error}");
    }
}

#[test]
fn limits_are_said() {
    let options =
        Options { max_columns_per_table: 3, max_tables_per_stream: 2, max_value_bytes: 10, ..Options::default() };
    for records in [r#"[{"a":1,"b":2,"c":3,"d":4}]"#, r#"[{"a":[1],"b":[1]}]"#, r#"[{"a":"12345678901"}]"#] {
        let spec = stream("t", WriteDisposition::Append, &[], json!({}));
        let mut normalizer = Normalizer::new(Schema::default(), &[spec], options.clone()).unwrap();
        assert_eq!(add(&mut normalizer, records).unwrap_err().kind(), ErrorKind::LimitExceeded, "{records}");
    }
}

#[test]
fn a_take_begins_anew() {
    let mut normalizer = append(json!({}));
    add(&mut normalizer, r#"[{"a":1,"l":[1]}]"#).unwrap();
    assert_eq!(normalizer.rows(), 2);
    assert!(normalizer.bytes() > 0);
    let first = normalizer.take().unwrap();
    assert_eq!(first.changes.iter().filter(|change| change.kind == ChangeKind::Table).count(), 2);
    add(&mut normalizer, r#"[{"b":2}]"#).unwrap();
    let second = normalizer.take().unwrap();
    assert_eq!(rows(&second, "t"), ["b=2"]);
    assert_eq!(second.tables.len(), 1);
    assert_eq!(second.changes.len(), 1);
}

#[test]
fn arrow_columns_keep_their_types() {
    use arrow::array::{BinaryArray, Date32Array, Decimal128Array, Int32Array, StringArray, TimestampSecondArray};

    let columns: Vec<(&str, ArrayRef)> = vec![
        ("Id", Arc::new(Int32Array::from(vec![1]))),
        ("Text", Arc::new(StringArray::from(vec!["2024-01-01T00:00:00Z"]))),
        ("bytes", Arc::new(BinaryArray::from_vec(vec![b"\x01\xff"]))),
        ("day", Arc::new(Date32Array::from(vec![1]))),
        ("n", Arc::new(Decimal128Array::from(vec![150]).with_precision_and_scale(10, 2).unwrap())),
        ("at", Arc::new(TimestampSecondArray::from(vec![1]).with_timezone("+02:00"))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    let mut normalizer = append(json!({}));
    assert_eq!(normalizer.add("t", &Records::ArrowIpc(&bytes), "1").unwrap().records, 1);
    let normalized = normalizer.take().unwrap();
    assert_eq!(
        rows(&normalized, "t"),
        ["id=1 text=2024-01-01T00:00:00Z bytes=01ff day=1970-01-02 n=1.50 at=1970-01-01T00:00:01Z"]
    );
    assert_eq!(normalizer.schema().tables["t"].columns["text"].data_type, DataType::Text);
}

/// JSON values of every kind, a few levels deep.
fn json_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| if number.is_finite() { json!(number) } else { json!(0.5) }),
        "[a-z0-9 .:-]{0,12}".prop_map(Value::from),
        Just(json!("2024-01-01T10:00:00.5Z")),
        Just(json!("12")),
    ];
    scalar.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[aAbB_ ]{1,3}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn count_scalars(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(count_scalars).sum(),
        Value::Object(members) => members.values().map(count_scalars).sum(),
        Value::Null => 0,
        _ => 1,
    }
}

fn count_cells(normalized: &Normalized) -> usize {
    let mut cells = 0;
    for batch in normalized.tables.iter().flat_map(|table| &table.batches) {
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let system = ["_dlt_load_id", "_dlt_id", "_dlt_parent_id", "_dlt_list_idx"];
            if !system.contains(&field.name().as_str()) {
                cells += column.len() - column.null_count();
            }
        }
    }
    cells
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_value_lands_in_one_cell(records in prop::collection::vec(json_value(), 1..6)) {
        let mut normalizer = append(json!({}));
        let text = Value::from(records.clone()).to_string();
        let summary = add(&mut normalizer, &text).unwrap();
        prop_assert_eq!(summary.records as usize, records.len());
        let normalized = normalizer.take().unwrap();
        prop_assert_eq!(count_cells(&normalized), records.iter().map(count_scalars).sum::<usize>(), "{}", text);
    }

    #[test]
    fn every_number_comes_back(numbers in prop::collection::vec(prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        "-?[1-9][0-9]{15,45}",
        any::<f64>().prop_filter("JSON has no other", |number| number.is_finite()).prop_map(|number| format!("{number:?}")),
    ], 1..8)) {
        let mut normalizer = append(json!({}));
        add(&mut normalizer, &format!("[{}]", numbers.join(","))).unwrap();
        let normalized = normalizer.take().unwrap();
        for (row, number) in rows(&normalized, "t").iter().zip(&numbers) {
            let cell = row.split('=').nth(1).unwrap();
            let double = |text: &str| text.parse::<f64>().unwrap().to_bits();
            let is_same = match number.contains(['.', 'e']) {
                true => double(cell) == double(number) || (number == "-0.0" && double(cell) == 0),
                // A whole number in a column of doubles: only if that holds it.
                false => cell == number || cell.parse::<f64>().is_ok_and(|cell| format!("{cell:.0}") == *number),
            };
            prop_assert!(is_same, "{} became {}", number, row);
        }
    }

    #[test]
    fn no_page_makes_it_panic(page in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut normalizer = append(json!({}));
        let _ = normalizer.add("t", &Records::JsonArray(&page), "1");
        let _ = normalizer.add("t", &Records::JsonLines(&page), "1");
        let _ = normalizer.add("t", &Records::ArrowIpc(&page), "1");
    }
}
