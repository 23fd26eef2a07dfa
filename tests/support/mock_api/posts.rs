//! Posts, their comments and details, in every way that the recorded server pages, selects and refuses them.

use serde_json::{Value, json};

use super::{Answer, Request};

const PAGE_SIZE: i64 = 5;
const PAGE_COUNT: i64 = 5;
const DEFAULT_LIMIT: i64 = 10;
const REACTION_COUNT: i64 = 5;
const COMMENT_COUNT: i64 = 50;

/// Links carry their base URL, or only their path.
#[derive(PartialEq)]
enum Link {
    Absolute,
    Relative,
}

pub(super) fn route(request: &Request<'_>) -> Option<Answer> {
    let answer = match (request.method, request.segments) {
        ("GET", ["posts"]) => by_page(request, posts(), "data", Link::Absolute, 1).into(),
        ("GET", ["posts_no_key"]) => by_page(request, posts(), "null", Link::Absolute, 1).into(),
        ("GET", ["posts_zero_based"]) => by_page(request, posts(), "data", Link::Absolute, 0).into(),
        ("GET", ["posts_header_link"]) => {
            let page = request.number("page", 1);
            let answer = Answer::json(&cut(&posts(), (page - 1) * PAGE_SIZE, PAGE_SIZE));
            if page < PAGE_COUNT {
                let next = format!("<{}{}?page={}>; rel=\"next\"", request.base_url(), request.path, page + 1);
                answer.with_header("Link", next)
            } else {
                answer
            }
        }
        ("GET", ["posts_header_cursor"]) => {
            let page = request.number("page", 1);
            let answer = Answer::json(&cut(&posts(), (page - 1) * PAGE_SIZE, PAGE_SIZE));
            if page < PAGE_COUNT { answer.with_header("cursor", (page + 1).to_string()) } else { answer }
        }
        ("GET", ["posts_relative_next_url"]) => by_page(request, posts(), "data", Link::Relative, 1).into(),
        ("GET", ["posts_offset_limit"]) => {
            by_offset(&posts(), request.number("offset", 0), request.number("limit", DEFAULT_LIMIT)).into()
        }
        ("POST", ["posts_offset_limit_via_json_body"]) => {
            let body = request.json();
            by_offset(&posts(), whole(&body["offset"], 0), whole(&body["limit"], DEFAULT_LIMIT)).into()
        }
        ("GET", ["posts_cursor"]) => {
            let cursor = request.number("cursor", 0);
            let posts = posts();
            let next = cursor + PAGE_SIZE;
            let next = (next < posts.len() as i64).then_some(next);
            json!({"data": cut(&posts, cursor, PAGE_SIZE), "next_cursor": next}).into()
        }
        ("GET", ["posts_cursor_null_terminated"]) => users_by_cursor(request.parameter("cursor")).into(),
        ("GET", ["posts_under_a_different_key"]) => by_page(request, posts(), "many-results", Link::Absolute, 1).into(),
        ("GET", ["posts_with_reactions"]) => by_page(request, posts_with_reactions(), "data", Link::Absolute, 1).into(),
        ("POST", ["posts_form_data_incremental"]) => by_page(request, posts(), "data", Link::Absolute, 1).into(),
        ("POST", ["posts", "search"]) => search(&request.json()).into(),
        ("POST", ["posts", "search_by_id", id]) if number(id).is_some() => search_by_id(&request.json()).into(),
        ("GET", ["posts", id]) => detail(number(id)?).into(),
        ("GET", ["posts", id, "comments"]) => comments_by_page(request, number(id)?).into(),
        ("GET", ["posts", id, "some_details_404"]) => match number(id)? {
            id if id < 1 => detail(id).into(),
            id => not_found(id),
        },
        ("GET", ["posts", id, "some_details_404_others_422"]) => match number(id)? {
            id if id < 1 => detail(id).into(),
            1 => not_found(1),
            _ => Answer::text("application/json", "").with_status(422),
        },
        ("GET", ["posts", id, "some_details_204"]) => match number(id)? {
            id if id < 1 => detail(id).into(),
            _ => Answer::text("", "").with_status(204),
        },
        ("GET", ["post_comments"]) => comments_by_page(request, request.number("post_id", 0)).into(),
        ("POST", ["post_comments"]) => comments_by_page(request, whole(&request.json()["post_id"], 0)).into(),
        ("GET", ["post_comments_via_headers"]) => comments_by_page(request, number(request.header("post_id")?)?).into(),
        ("POST", ["post_comments_via_form_data"]) => match request.header("content-type") {
            Some(kind) if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") => {
                let id = request.form().get("post_id").and_then(|values| number(&values[0])).unwrap_or(0);
                comments_by_page(request, id).into()
            }
            None => comments_by_page(request, number(request.body)?).into(),
            Some(_) => Answer::json(&json!({"error": "Unsupported content type"})).with_status(400),
        },
        ("GET", ["post_detail"]) => detail(request.number("post_id", 0)).into(),
        ("POST", ["post_detail"]) => detail(whole(&request.json()["post_id"], 0)).into(),
        ("GET", ["post_detail_via_headers"]) => detail(number(request.header("post_id")?)?).into(),
        ("POST", ["post_form_data"]) => match request.header("content-type") {
            Some("application/x-www-form-urlencoded") => json!({"data": request.form()}).into(),
            other => {
                let kind = other.unwrap_or("None");
                json!({"error": format!("Unsupported content type: {kind}"), "data": request.body}).into()
            }
        },
        ("POST", ["post_raw_data"]) => json!({"data": request.body}).into(),
        ("GET", ["data"]) => json!([{"id": 1, "data": "test"}]).into(),
        ("GET", ["missing"]) => Answer::text("text/plain", "Resource not found").with_status(404),
        _ => return None,
    };
    Some(answer)
}

/// The first page of posts and all that follow, for whoever may see them.
pub(super) fn posts_by_page(request: &Request<'_>) -> Value {
    by_page(request, posts(), "data", Link::Absolute, 1)
}

/// A page of records with its number and the total; the last one has no `next_page`. The link carries no other
/// parameter of the request.
fn by_page(request: &Request<'_>, records: Vec<Value>, key: &str, link: Link, first_page: i64) -> Value {
    let page = request.number("page", first_page);
    let total = (records.len() as i64 + PAGE_SIZE - 1) / PAGE_SIZE;
    let data = cut(&records, (page - first_page) * PAGE_SIZE, PAGE_SIZE);
    let mut body = json!({key: data, "page": page, "total_pages": total});
    if page + 1 < total + first_page {
        let base_url = if link == Link::Absolute { request.base_url() } else { String::new() };
        body["next_page"] = format!("{base_url}{}?page={}", request.path, page + 1).into();
    }
    body
}

fn by_offset(records: &[Value], offset: i64, limit: i64) -> Value {
    json!({
        "data": cut(records, offset, limit),
        "total_records": records.len(),
        "offset": offset,
        "limit": limit,
    })
}

fn comments_by_page(request: &Request<'_>, post_id: i64) -> Value {
    let comments = (0..COMMENT_COUNT)
        .map(|id| json!({"id": id, "post_id": post_id, "body": format!("Comment {id} for post {post_id}")}))
        .collect();
    by_page(request, comments, "data", Link::Absolute, 1)
}

fn users_by_cursor(cursor: Option<&str>) -> Value {
    let users = |ids: std::ops::Range<i64>| -> Vec<Value> {
        ids.map(|id| json!({"id": id, "name": format!("User {id}")})).collect()
    };
    match cursor {
        None => json!({"users": users(0..10), "next_token": "cursor_page_2"}),
        Some("cursor_page_2") => json!({"users": users(10..14), "next_token": "cursor_final"}),
        Some(_) => json!({"users": null, "next_token": null}),
    }
}

/// Without a lower bound post 0 is left out, as in the recorded server.
fn search(body: &Value) -> Value {
    let page_size = whole(&body["page_size"], PAGE_SIZE).max(1);
    let page_count = whole(&body["page_count"], PAGE_COUNT);
    let page = whole(&body["page"], 1);
    let above = whole(&body["ids_greater_than"], 0);
    let records: Vec<Value> = some_posts(page_size * page_count).filter(|post| whole(&post["id"], 0) > above).collect();
    let total = (records.len() as i64 + page_size - 1) / page_size;
    json!({
        "data": cut(&records, (page - 1) * page_size, page_size),
        "next_page": (page < total).then_some(page + 1),
        "total_pages": page_count,
    })
}

fn search_by_id(body: &Value) -> Value {
    let id = whole(&body["post_id"], 0);
    let title = body["more"].get("title").cloned().unwrap_or_else(|| json!(0));
    let more = match &body["more_array"][0] {
        Value::Null => "0".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    json!({"id": id, "title": title, "body": format!("Post body {id}"), "more": format!("More is equale to id: {more}")})
}

fn posts() -> Vec<Value> {
    some_posts(PAGE_SIZE * PAGE_COUNT).collect()
}

fn some_posts(count: i64) -> impl Iterator<Item = Value> {
    (0..count).map(|id| json!({"id": id, "title": format!("Post {id}")}))
}

fn posts_with_reactions() -> Vec<Value> {
    let reactions = |post: i64| -> Vec<Value> {
        (0..REACTION_COUNT).map(|id| json!({"id": id, "title": format!("Reaction {id} for post {post}")})).collect()
    };
    (0..PAGE_SIZE * PAGE_COUNT)
        .map(|id| json!({"id": id, "title": format!("Post {id}"), "reactions": reactions(id)}))
        .collect()
}

fn detail(id: i64) -> Value {
    json!({"id": id, "body": format!("Post body {id}")})
}

fn not_found(id: i64) -> Answer {
    Answer::json(&json!({"error": format!("Post with id {id} not found")})).with_status(404)
}

fn cut(records: &[Value], from: i64, count: i64) -> Value {
    let skip = usize::try_from(from).unwrap_or(0);
    let take = usize::try_from(count).unwrap_or(0);
    records.iter().skip(skip).take(take).cloned().collect()
}

/// Digits only: a path with anything else in that place is another path.
fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A whole number that came as a number or, from a filled-in template, as a text.
fn whole(value: &Value, default: i64) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(default)
}
