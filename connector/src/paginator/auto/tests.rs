//! What is detected in responses of many APIs: the shapes of dlt's own table, and some more.

use serde_json::{Value, json};

use super::*;
use crate::document::Document;
use crate::http::HttpResponse;
use crate::log::recorded;
use crate::selection;

/// The paginator's name, and the path that it goes by.
fn detected(body: &Value, headers: &[(&str, &str)]) -> (String, Option<String>) {
    let (log, _) = recorded::log();
    let document = Document::parse(body.to_string()).unwrap();
    let selector = selection::detect(&document, "s", &log);
    let records = selection::select(&document, &selector, "s", &log);
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let response = HttpResponse { headers, ..HttpResponse::default() };
    let answer = Answer {
        url: "http://api/p",
        response: &response,
        document: &document,
        records: &records,
        place: "s",
        log: &log,
    };
    let paginator = detect(&answer).position();
    let (name, fields) = paginator.as_object().unwrap().iter().next().unwrap();
    let path = ["/next_url_path", "/cursor_path", "/range/total_path"].iter().find_map(|path| fields.pointer(path));
    let path = path.and_then(Value::as_str);
    (name.clone(), path.map(|path| path.replace("']['", ".").replace("$['", "").replace("']", "")))
}

#[test]
fn shapes_are_told_apart_as_dlt_does() {
    let records = json!([{"id": 1}, {"id": 2}]);
    let cases: Vec<(Value, &str, Option<&str>)> = vec![
        (
            json!({"items": records, "page_info": {"current_page": 1, "total_pages": 50}}),
            "page_number",
            Some("page_info.total_pages"),
        ),
        (json!({"products": records, "next_cursor": "eyJpZCI6MTAyfQ=="}), "cursor", Some("next_cursor")),
        (json!({"results": records, "cursors": {"next": "NjM=", "previous": "MTk="}}), "cursor", Some("cursors.next")),
        (json!({"entries": records, "next_id": 33, "limit": 2}), "cursor", Some("next_id")),
        (json!({"comments": records, "page_number": 3, "total_pages": 15}), "page_number", Some("total_pages")),
        (
            json!({"count": 9, "next": "https://api/?page=5", "previous": "https://api/?page=3", "results": records}),
            "json_link",
            Some("next"),
        ),
        (
            json!({
                "_embedded": {"items": records},
                "_links": {"self": {"href": "http://api/p?page=1"}, "next": {"href": "http://api/p?page=2"}},
                "page": {"size": 2, "totalPages": 50, "number": 1},
            }),
            "json_link",
            Some("_links.next.href"),
        ),
        (
            json!({"items": records, "meta": {"totalPages": 50}, "links": {"nextPage": "/items?page=2"}}),
            "json_link",
            Some("links.nextPage"),
        ),
        (
            json!({"data": records, "pagination": {"currentPage": 1, "totalPages": 5}}),
            "page_number",
            Some("pagination.totalPages"),
        ),
        (
            json!({"items": records, "pagination": {"page": 1, "total": 10, "totalPages": 5}}),
            "page_number",
            Some("pagination.totalPages"),
        ),
        (
            json!({"data": records, "meta": {"totalPages": 5}, "links": {"previous": null, "next": "/p?page=2"}}),
            "json_link",
            Some("links.next"),
        ),
        (json!({"page": 2, "total": 100, "pages": 10, "data": records}), "page_number", Some("pages")),
        (json!({"currentPage": 1, "totalPages": 5, "items": records}), "page_number", Some("totalPages")),
        (json!({"data": records, "pagination": {"offset": 0, "limit": 2, "total": 100}}), "single_page", None),
        (json!({"articles": records, "paging": {"current": 3, "size": 2, "total": 60}}), "single_page", None),
        (json!({"feed": records, "offset": 40, "limit": 2, "total_count": 200}), "single_page", None),
        (
            json!({"results": records, "page_details": {"number": 1, "total_pages": 25}}),
            "page_number",
            Some("page_details.total_pages"),
        ),
        (
            json!({"catalog": records, "page_metadata": {"index": 1, "total_pages": 10}}),
            "page_number",
            Some("page_metadata.total_pages"),
        ),
        (records.clone(), "single_page", None),
        (json!([]), "single_page", None),
        (json!({"id": 1, "name": "one"}), "single_page", None),
        (json!({"data": records, "next": null}), "single_page", None),
        (json!({"data": records, "pages": ["a"], "next": ["b"]}), "single_page", None),
        (json!({"data": records, "total_pages": "7"}), "page_number", Some("total_pages")),
        (json!({"data": records, "next": "?page=2"}), "json_link", Some("next")),
        // Keys within records say nothing.
        (json!({"data": [{"next": "http://api/p"}]}), "single_page", None),
    ];
    for (body, name, path) in cases {
        assert_eq!(detected(&body, &[]), (name.to_owned(), path.map(str::to_owned)), "{body}");
    }
    let odata = detected(&json!({"value": records, "@odata.nextLink": "http://api/p?2"}), &[]);
    assert_eq!(odata.0, "json_link");
}

#[test]
fn a_link_header_comes_first() {
    let link = [("Link", "</p?page=2>; rel=\"next\"")];
    assert_eq!(detected(&json!({"data": [1], "next": "/p?page=3"}), &link).0, "header_link");
    let other = [("Link", "</p?page=2>; rel=\"last\"")];
    assert_eq!(detected(&json!({"data": [1], "next": "/p?page=3"}), &other).0, "json_link");
}
