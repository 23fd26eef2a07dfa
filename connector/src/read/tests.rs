use serde_json::json;

use super::*;
use crate::connection::{Connection, Records};
use crate::dialect;
use crate::http::scripted::{Script, json as answer, status};
use crate::log::recorded;

/// The connection that a configuration's `resources` make, against `http://api`.
fn open(resources: Value, script: &Script) -> (Connection<Script>, Rc<std::cell::RefCell<Vec<String>>>) {
    let config = json!({"client": {"base_url": "http://api"}, "resources": resources});
    let (plan, _) = dialect::plan(&config).unwrap_or_else(|found| panic!("{found:?}"));
    let (log, messages) = recorded::log();
    (Connection::new(plan, script.clone(), log), messages)
}

fn read_all(reader: &mut Reader<Script>) -> Result<Vec<(String, String)>, Error> {
    let mut pages = Vec::new();
    while let Some(page) = reader.next_page()? {
        pages.push((String::from_utf8(page.records).unwrap(), page.checkpoint));
    }
    assert_eq!(reader.next_page(), Ok(None));
    Ok(pages)
}

/// Reads the first stream's only partition.
fn read(resources: Value, script: &Script, checkpoint: Option<&str>) -> Result<Vec<(String, String)>, Error> {
    let (connection, _) = open(resources, script);
    let name = connection.plan().streams[0].name.clone();
    let partition = connection.partitions(&name, None)?.remove(0);
    read_all(&mut connection.read(&name, &partition, checkpoint)?)
}

fn records(pages: &[(String, String)]) -> Vec<&str> {
    pages.iter().map(|(records, _)| records.as_str()).collect()
}

#[test]
fn records_are_handed_out_as_they_came() {
    let cases = [
        (
            json!({"data_selector": "data"}),
            r#"{"data": [ {"a":1.0 } ,{"a":1e400}],"n":1}"#,
            r#"[ {"a":1.0 } ,{"a":1e400}]"#,
        ),
        (json!({}), " [1,\n2] ", " [1,\n2] "),
        (json!({"data_selector": "x[*].y[*]"}), r#"{"x":[{"y":[1.0]},{"y":[2.0]}]}"#, "[1.0,2.0]"),
        (json!({"data_selector": "$"}), r#"{"id": 1}"#, r#"[{"id": 1}]"#),
    ];
    for (mut endpoint, body, expected) in cases {
        endpoint["paginator"] = json!("single_page");
        let pages = read(json!([{"name": "s", "endpoint": endpoint}]), &Script::bodies(&[body]), None).unwrap();
        assert_eq!(pages, [(expected.to_owned(), "{}".to_owned())]);
    }
}

#[test]
fn a_read_goes_on_behind_any_checkpoint() {
    let api = || {
        Script::new(|request| match request.url.rsplit_once("page=").map_or("1", |(_, page)| page) {
            "3" => answer(r#"{"data":[{"id":5}],"page":3,"total_pages":3}"#),
            "2" => answer(r#"{"data":[{"id":3},{"id":4}],"page":2,"total_pages":3}"#),
            _ => answer(r#"{"data":[{"id":1},{"id":2}],"page":1,"total_pages":3}"#),
        })
    };
    let resources = json!([{"name": "s", "endpoint": {"incremental": {"cursor_path": "id", "initial_value": 2}}}]);
    let whole = read(resources.clone(), &api(), None).unwrap();
    assert_eq!(records(&whole), [r#"[{"id":2}]"#, r#"[{"id":3},{"id":4}]"#, r#"[{"id":5}]"#]);
    for (position, (_, checkpoint)) in whole.iter().enumerate().take(2) {
        let rest = read(resources.clone(), &api(), Some(checkpoint)).unwrap();
        assert_eq!(rest, whole[position + 1..]);
    }
    let script = api();
    read(resources.clone(), &script, Some(&whole[1].1)).unwrap();
    assert_eq!(script.lines(), ["GET /s?page=2", "GET /s?page=3"]);
    let script = api();
    let again = read(resources, &script, Some(&whole[2].1)).unwrap();
    assert_eq!(script.lines(), ["GET /s", "GET /s?page=2", "GET /s?page=3"]);
    assert_eq!(records(&again), ["[]", "[]", "[]"]);
}

#[test]
fn a_read_does_not_go_on_in_a_list_that_has_moved() {
    let list = |ids: &'static [i64]| {
        Script::new(move |request| {
            let offset = request.url.split("offset=").nth(1).and_then(|text| text.split('&').next()?.parse().ok());
            let page: Vec<Value> =
                ids.iter().skip(offset.unwrap_or(0)).take(2).map(|id| json!({"id": id, "at": ids})).collect();
            answer(&json!({"data": page, "total": ids.len()}).to_string())
        })
    };
    let paginator = json!({"type": "offset", "limit": 2, "total_path": "total"});
    for key in [json!("id"), json!(null)] {
        let resources = || json!([{"name": "s", "primary_key": key, "endpoint": {"data_selector": "data", "paginator": paginator}}]);
        let whole = read(resources(), &list(&[1, 2, 3, 4, 5]), None).unwrap();
        let go_on = |script: Script| read(resources(), &script, Some(&whole[1].1)).map(|pages| pages.len());
        assert_eq!(go_on(list(&[1, 2, 3, 4, 5])), Ok(1));
        for moved in [&[1, 3, 4, 5][..], &[0, 1, 2, 3, 4, 5], &[1, 2, 3], &[]] {
            assert!(matches!(go_on(list(moved)), Err(Error::Moved(_))), "{key} {moved:?}");
        }
        // What is told by a key may have changed otherwise.
        let grown = go_on(list(&[1, 2, 3, 4, 5, 6, 7]));
        assert!(if key.is_null() { matches!(grown, Err(Error::Moved(_))) } else { grown == Ok(2) }, "{grown:?}");
        let refused = |code: u16| go_on(Script::new(move |_| status(code, "who?")));
        assert!(matches!(refused(400), Err(Error::Moved(_))));
        assert!(matches!(refused(401), Err(Error::Unauthorized(_))));
        assert!(matches!(refused(503), Err(Error::Unavailable(_))));
    }
}

#[test]
fn the_last_page_is_left_out_if_it_says_nothing_new() {
    let resources = json!([{"name": "s", "endpoint": {"incremental": {"cursor_path": "id"}}}]);
    let first = read(resources.clone(), &Script::bodies(&["[]"]), None).unwrap();
    assert_eq!(first, []);
    let found = read(resources.clone(), &Script::bodies(&[r#"[{"id":1}]"#]), None).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(read(resources, &Script::bodies(&[r#"[{"id":1}]"#]), Some(&found[0].1)).unwrap(), []);
}

#[test]
fn requests_carry_the_incremental() {
    let resources = json!([{"name": "s", "endpoint": {
        "params": {"since": "{incremental.start_value}", "x": 1},
        "incremental": {"cursor_path": "t", "initial_value": "a", "start_param": "from", "end_value": "c", "end_param": "to"},
    }}]);
    let script = Script::bodies(&[r#"[{"t":"a"},{"t":"b"},{"t":"c"}]"#]);
    let pages = read(resources, &script, None).unwrap();
    assert_eq!(script.lines(), ["GET /s?since=a&x=1&from=a&to=c"]);
    assert_eq!(pages, [(r#"[{"t":"a"},{"t":"b"}]"#.to_owned(), "{}".to_owned())]);
    let without = json!([{"name": "s", "endpoint": {"params": {"since": "{incremental.start_value}"},
        "incremental": {"cursor_path": "t"}}}]);
    let script = Script::bodies(&["[]"]);
    read(without, &script, None).unwrap();
    assert_eq!(script.lines(), ["GET /s"]);
}

#[test]
fn ordered_records_end_the_reading_early() {
    let resources = json!([{"name": "s", "endpoint": {"incremental":
        {"cursor_path": "t", "initial_value": 5, "row_order": "desc"}}}]);
    let page = |a: i64, b: i64| json!({"items": [{"t": a}, {"t": b}], "next": format!("/s?before={b}")}).to_string();
    let script = Script::bodies(&[&page(8, 7), &page(6, 4), &page(3, 2)]);
    let pages = read(resources, &script, None).unwrap();
    assert_eq!(script.lines(), ["GET /s", "GET /s?before=7"]);
    assert_eq!(records(&pages), [r#"[{"t":8},{"t":7}]"#, r#"[{"t":6}]"#]);
}

#[test]
fn steps_see_included_fields_and_the_incremental_sees_what_steps_made() {
    let resources = json!([
        {"name": "posts", "endpoint": {"paginator": "single_page"}},
        {"name": "co", "include_from_parent": ["id"],
         "processing_steps": [{"filter": "._posts_id == 1"}, {"map": ".t = .n * 10"}],
         "endpoint": {"path": "posts/{resources.posts.id}/co", "incremental": {"cursor_path": "t", "initial_value": 20}}},
    ]);
    let script = Script::new(|_| answer(r#"[{"n":1},{"n":2}]"#));
    let (connection, _) = open(resources, &script);
    let parents = r#"[{"id":1},{"id":2}]"#;
    let partitions = connection.partitions("co", Some(Records::JsonArray(parents))).unwrap();
    let read = |partition| read_all(&mut connection.read("co", partition, None).unwrap()).unwrap();
    assert_eq!(records(&read(&partitions[0])), [r#"[{"n":2,"_posts_id":1,"t":20}]"#]);
    assert_eq!(records(&read(&partitions[1])), ["[]"]);
    assert_eq!(script.lines(), ["GET /posts/1/co", "GET /posts/2/co"]);
}

#[test]
fn response_actions_end_or_repeat_a_request() {
    let with = |actions: Value| json!([{"name": "s", "endpoint": {"response_actions": actions}}]);
    let ignore = with(json!([{"status_code": 404, "action": "ignore"}]));
    assert_eq!(read(ignore, &Script::new(|_| status(404, "gone")), None), Ok(vec![]));
    let retry = with(json!([{"content": "busy", "action": "retry"}]));
    let script = Script::bodies(&["\"busy\"", "\"busy\"", "[1]"]);
    assert_eq!(records(&read(retry.clone(), &script, None).unwrap()), ["[1]"]);
    let attempts = |script: &Script| -> Vec<String> {
        let requests = script.requests.borrow();
        let attempt = |sent: &HttpRequest| sent.headers.iter().find(|(name, _)| name == "airlock-attempt").cloned();
        requests.iter().filter_map(attempt).map(|(_, attempt)| attempt).collect()
    };
    assert_eq!(attempts(&script), ["1", "2"]);
    // The host waits, and says when it has been enough.
    let count = std::cell::Cell::new(0);
    let script = Script::new(move |_| {
        count.set(count.get() + 1);
        let mut response = answer("busy");
        response.headers.extend((count.get() == 5).then(|| ("airlock-given-up".to_owned(), "1".to_owned())));
        response
    });
    assert!(matches!(read(retry.clone(), &script, None), Err(Error::Unavailable(_))));
    assert_eq!(attempts(&script), ["1", "2", "3", "4"]);
    let script = Script::new(|_| answer("busy"));
    assert!(matches!(read(retry, &script, None), Err(Error::Unavailable(_))));
    assert_eq!(script.lines().len(), 100);
}

#[test]
fn errors_say_where_and_end_the_reading() {
    let resources = || json!([{"name": "s", "endpoint": {}}]);
    let cases = [
        (status(500, "oops"), "s: GET http://api/s: 500 Internal Server Error: oops"),
        (status(204, ""), "status 204: an empty body"),
        (answer("<html>Log in"), "`<html>Log in`"),
    ];
    for (response, part) in cases {
        let script = Script::new(move |_| response.clone());
        let (connection, _) = open(resources(), &script);
        let partition = connection.partitions("s", None).unwrap().remove(0);
        let mut reader = connection.read("s", &partition, None).unwrap();
        let error = reader.next_page().unwrap_err();
        assert!(error.message().contains(part), "{error}");
        assert_eq!(reader.next_page(), Ok(None));
        assert!(connection.check().is_err());
    }
}

#[test]
fn what_is_replaced_is_not_emptied_by_a_response_without_records() {
    let with = |disposition: &str, selector: &str| json!([{"name": "s", "write_disposition": disposition, "endpoint": {"data_selector": selector}}]);
    let failed = read(with("replace", "data.rows"), &Script::bodies(&[r#"{"status":"error"}"#]), None).unwrap_err();
    assert!(failed.message().contains("would empty it; the response has: status"), "{failed}");
    for (disposition, selector, body) in [
        ("append", "data.rows", r#"{"status":"ok"}"#),
        ("replace", "data.rows", r#"{"data":{"rows":[]}}"#),
        ("replace", "data.rows", r#"{"data":{"rows":null}}"#),
        ("replace", "data[*].rows", r#"{"data":[]}"#),
    ] {
        assert!(read(with(disposition, selector), &Script::bodies(&[body]), None).is_ok(), "{selector} {body}");
    }
}

#[test]
fn a_null_is_no_record() {
    for (body, expected) in [
        ("[null,{\"id\":1},null]", "[{\"id\":1}]"),
        (r#"[{"id":1,"l":[null,1]}]"#, r#"[{"id":1,"l":[null,1]}]"#),
        ("[null]", "[]"),
    ] {
        for extra in [json!({}), json!({"incremental": {"cursor_path": "id"}})] {
            let mut endpoint = json!({"paginator": "single_page", "data_selector": "$"});
            endpoint.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            let pages = read(json!([{"name": "s", "endpoint": endpoint}]), &Script::bodies(&[body]), None).unwrap();
            let found = records(&pages);
            assert!(found == [expected] || (expected == "[]" && found.is_empty()), "{body}: {found:?}");
        }
    }
}

#[test]
fn a_page_number_in_the_path() {
    let endpoint =
        json!({"path": "list/{page}", "data_selector": "d", "paginator": {"type": "page_number", "base_page": 1}});
    let script = Script::bodies(&[r#"{"d":[{"id":1}]}"#, r#"{"d":[{"id":2}]}"#, r#"{"d":[]}"#]);
    read(json!([{"name": "s", "endpoint": endpoint}]), &script, None).unwrap();
    assert_eq!(script.lines(), ["GET /list/1", "GET /list/2", "GET /list/3"]);
}

#[test]
fn a_selector_that_matches_nothing_is_said_once() {
    let resources = json!([{"name": "s", "endpoint": {"data_selector": "nope", "paginator":
        {"type": "page_number", "maximum_page": 3, "total_path": null, "stop_after_empty_page": false}}}]);
    let script = Script::new(|_| answer("{\"data\": [], \"total\": 0}"));
    let (connection, messages) = open(resources, &script);
    let partition = connection.partitions("s", None).unwrap().remove(0);
    read_all(&mut connection.read("s", &partition, None).unwrap()).unwrap();
    assert_eq!(script.lines().len(), 3);
    assert_eq!(*messages.borrow(), ["Warning: s: the selector `nope` matched nothing; the response has: data, total"]);
}

#[test]
fn other_formats_are_records_too() {
    let resources = |format: Value| json!([{"name": "s", "endpoint": {"paginator": "single_page", "format": format}}]);
    let script = Script::bodies(&["a,b\n1,x\n", "{\"a\":1}\n{\"a\":2}\n", "<r><i><a>1</a></i></r>"]);
    assert_eq!(records(&read(resources(json!("csv")), &script, None).unwrap()), [r#"[{"a":"1","b":"x"}]"#]);
    assert_eq!(records(&read(resources(json!("jsonl")), &script, None).unwrap()), [r#"[{"a":1},{"a":2}]"#]);
    let xml = json!({"type": "xml", "record_path": "/r/i"});
    assert_eq!(records(&read(resources(xml), &script, None).unwrap()), [r#"[{"a":"1"}]"#]);
}

#[test]
fn effort_grows_with_a_response_and_not_faster() {
    let many = |n: usize, each: &dyn Fn(usize) -> String| (0..n).map(each).collect::<Vec<_>>().join(",");
    let bodies: [(&str, &dyn Fn(usize) -> String); 4] = [
        ("records", &|n| format!("{{\"data\":[{}]}}", many(n, &|i| format!("{{\"id\":{i},\"a\":{{\"b\":null}}}}")))),
        ("keys", &|n| format!("{{\"data\":[{{{},\"id\":1}}]}}", many(n, &|i| format!("\"k{i}\":{i}")))),
        ("equal keys", &|n| format!("{{\"data\":[{{{},\"id\":1}}]}}", many(n, &|_| "\"k\":1".to_owned()))),
        ("lists", &|n| format!("{{{},\"data\":[{{\"id\":1}}]}}", many(n, &|i| format!("\"l{i}\":[{{\"x\":[]}}]")))),
    ];
    let endpoints = [
        json!({}),
        json!({"data_selector": "data[*]", "paginator": "single_page"}),
        json!({"data_selector": "$..id", "paginator": "single_page"}),
        json!({"incremental": {"cursor_path": "id"}, "paginator": {"type": "offset", "limit": 5, "maximum_offset": 1}}),
    ];
    for (what, body) in bodies {
        for endpoint in &endpoints {
            let effort = |n: usize| {
                let script = Script::bodies(&[&body(n)]);
                let resources = json!([{"name": "s", "endpoint": endpoint}]);
                document::effort::of(|| drop(read(resources, &script, None)))
            };
            let (once, four_times) = (effort(500), effort(2000));
            assert!(four_times < 5 * once + 10_000, "{what} {endpoint}: {once} and {four_times}");
        }
    }
}

#[test]
fn a_selection_of_every_key_takes_each_once() {
    let body = |n: usize| format!("{{{}}}", (0..n).map(|i| format!("\"k{i}\":{i}")).collect::<Vec<_>>().join(","));
    let document = Document::parse(body(20_000)).unwrap();
    // With a look at every key for every key this would be 400 million.
    assert_eq!(Selector::parse("$.*").unwrap().all(&document).len(), 20_000);
}
