//! The API's manners: a key in the query, offset and limit, and a failure now and then.
//! Must never be the bottleneck of a measurement: a page is one copy out of what was written at the start.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};

use crate::{
    Size,
    records::{Collection, comment, project, task, user},
};

/// The only key that is let in.
pub(crate) const KEY: &str = "demo-key-4f6c1d";

const DEFAULT_LIMIT: usize = 50;
const MAXIMUM_LIMIT: usize = 1000;

struct Api {
    projects: Collection,
    tasks: Collection,
    users: Collection,
    comments: Collection,
    requests: AtomicU64,
    fail_every: u64,
}

/// `/api/v1/{projects,tasks,users,comments}`, of that size.
pub(crate) fn router(size: Size) -> Router {
    let users = (size.tasks / 50).max(5);
    let projects = (size.tasks / 200).max(3);
    let api = Api {
        projects: Collection::write(projects, |id| project(id, users)),
        tasks: Collection::write(size.tasks, |id| task(id, projects, users)),
        users: Collection::write(users, user),
        comments: Collection::write(size.tasks * 2, |id| comment(id, size.tasks.max(1), users)),
        requests: AtomicU64::new(0),
        fail_every: size.fail_every,
    };
    Router::new().route("/api/v1/{collection}", get(page)).with_state(Arc::new(api))
}

async fn page(
    State(api): State<Arc<Api>>,
    Path(collection): Path<String>,
    Query(parameters): Query<HashMap<String, String>>,
) -> Response {
    match parameters.get("api_key").map(String::as_str) {
        Some(KEY) => {}
        Some(_) => return failure(StatusCode::UNAUTHORIZED, "invalid_api_key", "This API key is not known."),
        None => return failure(StatusCode::UNAUTHORIZED, "missing_api_key", "Pass your key as `api_key`."),
    }
    let request = api.requests.fetch_add(1, Ordering::Relaxed) + 1;
    if api.fail_every > 0 && request.is_multiple_of(api.fail_every) {
        return if (request / api.fail_every) % 2 == 1 {
            let answer = failure(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests, come back soon.");
            ([(header::RETRY_AFTER, "1")], answer).into_response()
        } else {
            failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Back in a moment.")
        };
    }
    let collection = match collection.as_str() {
        "projects" => &api.projects,
        "tasks" => &api.tasks,
        "users" => &api.users,
        "comments" => &api.comments,
        _ => return failure(StatusCode::NOT_FOUND, "not_found", "There is no such collection."),
    };
    let number = |name: &str, default: usize| match parameters.get(name) {
        Some(text) => text.parse::<usize>().map_err(|_| name.to_owned()),
        None => Ok(default),
    };
    match (number("offset", 0), number("limit", DEFAULT_LIMIT)) {
        (Ok(offset), Ok(limit)) => {
            let body = collection.page(offset, limit.min(MAXIMUM_LIMIT));
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        (Err(name), _) | (_, Err(name)) => {
            failure(StatusCode::BAD_REQUEST, "invalid_parameter", &format!("`{name}` is not a whole number."))
        }
    }
}

fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    let body = serde_json::json!({"error": {"code": code, "message": message}});
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
