use serde_json::{Value, json};

use super::*;
use crate::expression::tests::PLAIN;
use crate::http::scripted;
use crate::log::recorded;
use crate::plan::{Range as Stops, Target as To, TotalPath};
use crate::request::OutgoingBody;
use crate::selection;
use crate::selector::Selector;

type Api = Box<dyn Fn(usize, &str) -> HttpResponse>;

/// Reads until the end, through a checkpoint between any two pages: the queries asked, and how it ended.
fn read(plan: &plan::Paginator, api: impl Fn(usize, &str) -> HttpResponse) -> (Vec<String>, Result<(), Error>) {
    let (log, _) = recorded::log();
    let mut paginator = Paginator::begin(plan);
    let mut asked = Vec::new();
    let ended = (0..50).try_for_each(|round| {
        let mut request = OutgoingRequest {
            method: "GET".to_owned(),
            url: "http://api/p".to_owned(),
            params: vec![("sort".to_owned(), json!("x"))],
            path_params: Vec::new(),
            headers: Vec::new(),
            body: OutgoingBody::Empty,
            credential: None,
            writer: PLAIN,
        };
        paginator.apply(&mut request).map_err(Some)?;
        let url = request.full_url().map_err(Some)?;
        let body = match &request.body {
            OutgoingBody::Json(body) => format!(" {body}"),
            _ => String::new(),
        };
        asked.push(format!("{}{body}", url.replace("http://api/p", "").replace("?sort=x", "")));
        let response = api(round, &url);
        let document = Document::parse(String::from_utf8(response.body.clone()).unwrap()).unwrap();
        let selector = selection::detect(&document, "s", &log);
        let records = selection::select(&document, &selector, "s", &log);
        let answer =
            Answer { url: &url, response: &response, document: &document, records: &records, place: "s", log: &log };
        let more = paginator.advance(&answer).map_err(Some)?;
        paginator = Paginator::restore(paginator.position()).map_err(Some)?;
        if more { Ok(()) } else { Err(None) }
    });
    (asked, ended.map_or_else(|error| error.map_or(Ok(()), Err), |()| panic!("it does not end")))
}

/// The pages of an API, one after another; the last is repeated.
fn pages(bodies: Vec<Value>) -> impl Fn(usize, &str) -> HttpResponse {
    move |round, _| scripted::json(&bodies[round.min(bodies.len() - 1)].to_string())
}

fn range(total_path: TotalPath, maximum: Option<i64>, has_more_path: Option<&str>) -> Stops {
    Stops { total_path, maximum, stop_after_empty_page: true, has_more_path: has_more_path.map(str::to_owned) }
}

fn page_number(base: i64, range: Stops) -> plan::Paginator {
    plan::Paginator::PageNumber { base_page: base, page: base, target: To::Param("page".to_owned()), range }
}

fn offset(limit: i64, range: Stops) -> plan::Paginator {
    let (offset_target, limit_target) = (To::Param("offset".to_owned()), To::Param("limit".to_owned()));
    plan::Paginator::Offset { limit, offset: 0, offset_target, limit_target, range }
}

fn required(path: &str) -> TotalPath {
    TotalPath::Required(path.to_owned())
}

fn maybe() -> TotalPath {
    TotalPath::IfPresent("total".to_owned())
}

/// `count` records that differ from those of other pages.
fn records(page: i64, count: i64) -> Value {
    (0..count).map(|n| json!({"id": page * 1000 + n})).collect()
}

#[test]
fn page_numbers_stop_by_dlts_rules() {
    let total = |n: Value| pages((0..4).map(|page| json!({"data": records(page, 2), "total": n})).collect());
    let until_empty = |full: i64| {
        pages((0..=full).map(|page| json!({"data": records(page, if page < full { 2 } else { 0 })})).collect())
    };
    let cases: Vec<(plan::Paginator, Api, &[&str])> = vec![
        (page_number(1, range(required("total"), None, None)), Box::new(total(json!(2))), &["&page=1", "&page=2"]),
        (page_number(0, range(required("total"), None, None)), Box::new(total(json!("2"))), &["&page=0", "&page=1"]),
        (page_number(1, range(TotalPath::Off, Some(3), None)), Box::new(until_empty(9)), &["&page=1", "&page=2"]),
        (
            page_number(1, range(TotalPath::Off, None, None)),
            Box::new(until_empty(2)),
            &["&page=1", "&page=2", "&page=3"],
        ),
        (page_number(1, range(maybe(), None, None)), Box::new(until_empty(1)), &["&page=1", "&page=2"]),
    ];
    for (plan, api, expected) in cases {
        let (asked, ended) = read(&plan, api);
        assert_eq!(ended, Ok(()));
        let asked: Vec<String> = asked.iter().map(|query| query.replace("?sort=x", "")).collect();
        assert_eq!(asked, expected);
    }
    let (asked, ended) = read(&page_number(1, range(required("nope"), None, None)), total(json!(1)));
    assert!(matches!(ended, Err(Error::BadData(text)) if text.contains("no total at `nope`")));
    assert_eq!(asked.len(), 1);
    let endless = Stops { stop_after_empty_page: false, ..range(maybe(), None, None) };
    assert!(read(&page_number(1, endless), until_empty(1)).1.is_err());
}

#[test]
fn has_more_is_read_as_dlt_reads_it() {
    let with =
        |first: Value| pages(vec![json!({"data": records(0, 1), "more": first}), json!({"data": [], "more": 0})]);
    let plan = page_number(0, range(TotalPath::Off, None, Some("more")));
    for more in [json!(true), json!("Yes"), json!("t"), json!("1"), json!(1)] {
        assert_eq!(read(&plan, with(more.clone())).0.len(), 2, "{more}");
    }
    for more in [json!(false), json!("no"), json!("F"), json!(0)] {
        assert_eq!(read(&plan, with(more.clone())).0.len(), 1, "{more}");
    }
    for more in [json!(null), json!("maybe"), json!([])] {
        assert!(read(&plan, with(more.clone())).1.is_err(), "{more}");
    }
    assert!(read(&plan, pages(vec![json!({"data": [1]})])).1.is_err());
}

#[test]
fn an_api_that_ignores_the_page_number_is_noticed() {
    let (asked, ended) = read(&page_number(1, range(maybe(), None, None)), pages(vec![json!([{"id": 1}])]));
    assert!(matches!(ended, Err(Error::BadData(text)) if text.contains("ignore the page number")));
    assert_eq!(asked.len(), 2);
}

#[test]
fn offsets_without_a_total_look_at_the_size_of_pages() {
    let sized = |sizes: &[i64]| {
        pages(sizes.iter().enumerate().map(|(page, size)| json!({"data": records(page as i64, *size)})).collect())
    };
    let cases: [&[i64]; 6] = [&[5, 5, 2, 0], &[5, 0], &[3, 0], &[5, 2, 0], &[3, 2, 4, 0], &[2, 5, 2, 2, 0]];
    for (total, sizes) in cases.into_iter().flat_map(|sizes| [(maybe(), sizes), (TotalPath::Off, sizes)]) {
        let (asked, ended) = read(&offset(5, range(total, None, None)), sized(sizes));
        assert_eq!((asked.len(), ended), (sizes.len(), Ok(())), "{sizes:?}");
    }
    // A server that gives less than the limit each time: what lies between the pages would be lost.
    for total in [maybe(), TotalPath::Off] {
        let (asked, ended) = read(&offset(5, range(total, None, None)), sized(&[3, 3, 3]));
        assert!(matches!(ended, Err(Error::BadData(text)) if text.contains("set `limit: 3`")));
        assert_eq!(asked, ["&offset=0&limit=5", "&offset=5&limit=5"]);
    }
}

#[test]
fn offsets_with_a_total_or_a_maximum() {
    let total = pages((0..3).map(|page| json!({"data": records(page, 5), "total": 12})).collect());
    let (asked, ended) = read(&offset(5, range(maybe(), None, None)), total);
    assert_eq!(ended, Ok(()));
    assert_eq!(asked, ["&offset=0&limit=5", "&offset=5&limit=5", "&offset=10&limit=5"]);
    let endless = |round: usize, _: &str| scripted::json(&records(round as i64, 5).to_string());
    assert_eq!(read(&offset(5, range(TotalPath::Off, Some(12), None)), endless).0.len(), 3);
    let body = |path: &str| To::Body(path.to_owned());
    let plan = plan::Paginator::Offset {
        limit: 5,
        offset: 0,
        offset_target: body("page.offset"),
        limit_target: body("page.limit"),
        range: range(TotalPath::Off, Some(5), None),
    };
    assert_eq!(read(&plan, endless).0, [r#" {"page":{"offset":0,"limit":5}}"#]);
}

#[test]
fn links_drop_the_parameters_and_are_resolved() {
    let plan = plan::Paginator::JsonLink { next_url_path: "next".to_owned() };
    let cases: [(Value, &[&str]); 8] = [
        (json!(false), &[""]),
        (json!({}), &[""]),
        (json!("?page=2"), &["", "?page=2"]),
        (json!("/p?page=2#top"), &["", "?page=2"]),
        (json!("http://api/p/2"), &["", "/2"]),
        (json!(""), &[""]),
        (json!(null), &[""]),
        (json!("p/2"), &["", "/2"]),
    ];
    for (next, expected) in cases {
        let api = pages(vec![json!({"data": [], "next": next}), json!({"data": []})]);
        let (asked, ended) = read(&plan, api);
        assert_eq!((asked, ended), (expected.iter().map(|text| (*text).to_owned()).collect(), Ok(())), "{next}");
    }
    assert!(read(&plan, pages(vec![json!({"next": 5})])).1.is_err());
    let (asked, ended) = read(&plan, pages(vec![json!({"next": "http://api/p?sort=x"})]));
    assert!(matches!(ended, Err(Error::BadData(text)) if text.contains("came back")));
    assert_eq!(asked.len(), 1);
    let header = plan::Paginator::HeaderLink { rel: "next".to_owned() };
    let api = |round: usize, _: &str| {
        let mut response = scripted::json("[]");
        if round < 2 {
            response.headers.push(("Link".to_owned(), format!("</p?page={}>; rel=\"next\"", round + 2)));
        }
        response
    };
    assert_eq!(read(&header, api).0, ["", "?page=2", "?page=3"]);
}

#[test]
fn cursors_go_on_until_they_are_false() {
    let plan = |path: &str, target: To, stop: bool| plan::Paginator::Cursor {
        cursor_path: path.to_owned(),
        cursor: target,
        stop_after_empty_page: stop,
        has_more_path: None,
    };
    let query = || To::Param("after".to_owned());
    for last in [json!(null), json!(""), json!(0), json!(false), json!({}), json!([])] {
        let api =
            pages(vec![json!({"data": [1], "c": 5}), json!({"data": [1], "c": "x"}), json!({"data": [1], "c": last})]);
        assert_eq!(
            read(&plan("c", query(), false), api),
            (["", "&after=5", "&after=x"].map(str::to_owned).into(), Ok(()))
        );
    }
    let body = plan("c", To::Body("q.after".to_owned()), false);
    let api = pages(vec![json!({"data": [1], "c": 5}), json!({"data": []})]);
    assert_eq!(read(&body, api).0, ["", r#" {"q":{"after":5}}"#]);
    let empty = pages(vec![json!({"data": [], "c": 5})]);
    assert_eq!(read(&plan("c", query(), true), empty).0.len(), 1);
    let scroll = |round: usize, _: &str| {
        scripted::json(&json!({"data": records(round as i64, if round < 5 { 2 } else { 0 }), "c": "same"}).to_string())
    };
    assert_eq!(
        (read(&plan("c", query(), false), scroll).0.len(), read(&plan("c", query(), false), scroll).1),
        (6, Ok(()))
    );
    let list = pages(vec![json!({"data": [1], "c": [1, "k"]}), json!({"data": [2], "c": null})]);
    assert_eq!(read(&plan("c", To::Body("after".to_owned()), false), list).0, ["", r#" {"after":[1,"k"]}"#]);
    let several = pages(vec![json!({"data": [1], "c": {"x": "1", "y": 2}}), json!({"data": [2], "c": {}})]);
    assert_eq!(read(&plan("c", query(), false), several).0, ["", "&x=1&y=2"]);
    let stuck = read(&plan("c", query(), false), pages(vec![json!({"data": [1], "c": 5})]));
    assert!(stuck.0.len() == 2 && stuck.1.is_err());
    let header = plan::Paginator::HeaderCursor { header: "X-Next".to_owned(), cursor: query() };
    let api = |round: usize, _: &str| {
        let mut response = scripted::json("[]");
        if round == 0 {
            response.headers.push(("x-next".to_owned(), "7".to_owned()));
        }
        response
    };
    assert_eq!(read(&header, api).0, ["", "&after=7"]);
}

#[test]
fn the_way_of_paging_is_detected() {
    let one = records(0, 2);
    let cases: [(Value, &[&str]); 10] = [
        (json!({"data": one, "next_page": "/p?page=2"}), &["", "?page=2"]),
        (json!({"data": one, "_links": {"next": {"href": "/p?page=2"}}}), &["", "?page=2"]),
        (json!({"value": one, "@odata.nextLink": "http://api/p?page=2"}), &["", "?page=2"]),
        (json!({"data": one, "page": 1, "total_pages": 2}), &["", "&page=2"]),
        (json!({"data": one, "meta": {"page": 0, "pages": 2}}), &["", "&page=1"]),
        (json!({"data": one, "totalPages": 2}), &["", "&page=2"]),
        (json!({"data": one, "page": 1, "total_pages": 1}), &[""]),
        (json!({"data": one, "next_cursor": 5}), &["", "&cursor=5"]),
        (json!({"data": one, "next": null}), &[""]),
        (json!({"data": one, "rows": {"nested": 1}}), &[""]),
    ];
    for (body, expected) in cases {
        let meta = json!({"page": 1, "pages": 2});
        let last =
            json!({"data": records(1, 1), "meta": meta, "page": 2, "total_pages": 2, "pages": 2, "totalPages": 2});
        let (asked, ended) = read(&plan::Paginator::Auto, pages(vec![body.clone(), last]));
        assert_eq!(ended, Ok(()), "{body}");
        assert_eq!(asked, expected, "{body}");
    }
}

#[test]
fn an_assumed_first_page_must_not_come_again() {
    let api = pages(vec![json!({"data": records(0, 2), "total_pages": 3})]);
    let (asked, ended) = read(&plan::Paginator::Auto, api);
    assert_eq!(asked, ["", "&page=2"]);
    assert!(matches!(ended, Err(Error::BadData(text)) if text.contains("base_page")));
}

#[test]
fn detection_says_what_it_guesses() {
    let warnings = |body: Value| {
        let (log, messages) = recorded::log();
        let document = Document::parse(body.to_string()).unwrap();
        let selector = Selector::parse("data").unwrap();
        let records = selection::select(&document, &selector, "s", &log);
        let response = HttpResponse::default();
        let place = "s";
        let answer = Answer {
            url: "http://api/p",
            response: &response,
            document: &document,
            records: &records,
            place,
            log: &log,
        };
        Paginator::Auto.advance(&answer).unwrap();
        messages.borrow().join("\n")
    };
    assert!(warnings(json!({"data": [1]})).contains("no paginator detected"));
    assert!(warnings(json!({"data": [1], "nextToken": "x"})).contains("a guess"));
    assert_eq!(warnings(json!({"data": [1], "next": null})), "");
    assert_eq!(warnings(json!({"data": {"id": 1}})), "");
}
