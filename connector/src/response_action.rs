//! What to do with a response, before anybody looks for records in it.
//!
//! The rules are dlt's `response_actions`, in their order; a status of 400 or more that none covers is an error. Must
//! never retry by status: the host does, told by the reserved headers.

use std::borrow::Cow;

use crate::error::{Error, excerpt};
use crate::http::{HttpRequest, HttpResponse};
use crate::plan::{Action, ResponseAction};

/// Says that a request repeats one that was answered, and how often it has been: the host waits before it sends it.
pub const ATTEMPT_HEADER: &str = "airlock-attempt";

/// In a response: the host has repeated the request often enough, and this is the last answer again.
pub const GIVEN_UP_HEADER: &str = "airlock-given-up";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Look for records.
    Proceed,
    /// End this pagination, without records and without an error.
    Ignore,
    /// Send the request again: the host could not know.
    Retry,
}

/// Judges a response.
pub fn judge(actions: &[ResponseAction], request: &HttpRequest, response: &HttpResponse) -> Result<Verdict, Error> {
    let text = if actions.iter().any(|action| action.content.is_some()) { text(response) } else { Cow::Borrowed("") };
    let fits = |action: &&ResponseAction| {
        action.status.is_none_or(|status| status == response.status)
            && action.content.as_ref().is_none_or(|content| text.contains(content.as_str()))
    };
    match actions.iter().find(fits) {
        Some(action) => match (action.action, &action.content) {
            (Action::Ignore, _) => Ok(Verdict::Ignore),
            (Action::Raise, _) => Err(refused(request, response)),
            (Action::Retry, Some(_)) => Ok(Verdict::Retry),
            // By status alone: the host has retried already.
            (Action::Retry, None) => Err(Error::Unavailable(refused(request, response).message().to_owned())),
        },
        None if response.status >= 400 => Err(refused(request, response)),
        None => Ok(Verdict::Proceed),
    }
}

/// Tells the host which statuses are final and which it should retry besides those it retries anyway. Actions that also
/// look at the content are left to `judge`: the host can't see it.
pub fn reserved_headers(actions: &[ResponseAction]) -> Vec<(String, String)> {
    let statuses = |wanted: fn(Action) -> bool| {
        let mut seen: Vec<u16> = Vec::new();
        let mut texts: Vec<String> = Vec::new();
        for action in actions {
            // Of two actions for one status the first counts.
            if let (Some(status), None) = (action.status, &action.content)
                && !seen.contains(&status)
            {
                seen.push(status);
                if wanted(action.action) {
                    texts.push(status.to_string());
                }
            }
        }
        texts.join(",")
    };
    let headers = [
        ("airlock-final-statuses", statuses(|action| matches!(action, Action::Ignore | Action::Raise))),
        ("airlock-retry-statuses", statuses(|action| action == Action::Retry)),
    ];
    headers.into_iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| (name.to_owned(), list)).collect()
}

/// The error that a refused request is: method, URL, status and the body's beginning.
fn refused(request: &HttpRequest, response: &HttpResponse) -> Error {
    let status = response.status;
    let reason = reason(status);
    let shown = excerpt(&text(response));
    let said = if shown.is_empty() { String::new() } else { format!(": {shown}") };
    let message = format!("{} {}: {status} {reason}{said}", request.method, request.url);
    match status {
        401 | 403 => Error::Unauthorized(message),
        429 | 500..=599 => Error::Unavailable(message),
        _ => Error::BadData(message),
    }
}

fn text(response: &HttpResponse) -> Cow<'_, str> {
    String::from_utf8_lossy(&response.body)
}

/// The usual reason phrases (RFC 9110, section 15); HTTP/2 does not send one.
fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => match status / 100 {
            2 => "Success",
            3 => "Redirection",
            4 => "Client Error",
            _ => "Server Error",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::scripted::status as answer;

    fn action(status: Option<u16>, content: Option<&str>, action: Action) -> ResponseAction {
        ResponseAction { status, content: content.map(str::to_owned), action }
    }

    fn judged(actions: &[ResponseAction], status: u16, body: &str) -> Result<Verdict, Error> {
        let url = "http://h/p".to_owned();
        let request = HttpRequest { method: "GET".to_owned(), url, headers: Vec::new(), body: Vec::new() };
        judge(actions, &request, &answer(status, body))
    }

    #[test]
    fn the_first_action_that_fits_decides() {
        let actions = [
            action(Some(404), None, Action::Ignore),
            action(Some(200), Some("nothing"), Action::Ignore),
            action(None, Some("busy"), Action::Retry),
            action(Some(202), None, Action::Retry),
            action(None, Some("bad"), Action::Raise),
        ];
        let cases = [
            (404, "busy", Ok(Verdict::Ignore)),
            (200, "[nothing]", Ok(Verdict::Ignore)),
            (200, "busy", Ok(Verdict::Retry)),
            (200, "[]", Ok(Verdict::Proceed)),
            (202, "", Err(Error::Unavailable("GET http://h/p: 202 Success".to_owned()))),
            (200, "bad", Err(Error::BadData("GET http://h/p: 200 Success: bad".to_owned()))),
        ];
        for (status, body, expected) in cases {
            assert_eq!(judged(&actions, status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn statuses_without_an_action_are_errors_by_what_to_do_next() {
        assert!(matches!(judged(&[], 401, ""), Err(Error::Unauthorized(_))));
        assert!(matches!(judged(&[], 403, ""), Err(Error::Unauthorized(_))));
        assert!(matches!(judged(&[], 429, ""), Err(Error::Unavailable(_))));
        assert!(matches!(judged(&[], 503, ""), Err(Error::Unavailable(_))));
        let message = "GET http://h/p: 422 Unprocessable Content: no";
        assert_eq!(judged(&[], 422, "no"), Err(Error::BadData(message.to_owned())));
        assert_eq!(judged(&[], 204, ""), Ok(Verdict::Proceed));
    }

    #[test]
    fn the_host_is_told_about_statuses() {
        let actions = [
            action(Some(404), None, Action::Ignore),
            action(Some(503), Some("x"), Action::Ignore),
            action(Some(500), None, Action::Raise),
            action(Some(409), None, Action::Retry),
            action(Some(404), None, Action::Retry),
        ];
        let headers = reserved_headers(&actions);
        assert_eq!(headers[0], ("airlock-final-statuses".to_owned(), "404,500".to_owned()));
        assert_eq!(headers[1], ("airlock-retry-statuses".to_owned(), "409".to_owned()));
        assert!(reserved_headers(&[]).is_empty());
    }
}
