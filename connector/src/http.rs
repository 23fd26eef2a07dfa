//! One HTTP exchange.
//!
//! The only file that knows the HTTP library (waki, over `wasi:http`). It follows no redirect, retries nothing, decodes
//! nothing and attaches no credential: the host does.

#[cfg(target_family = "wasm")]
use waki::header::{HeaderName, HeaderValue};

use crate::error::Error;

/// A request as it goes to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    pub method: String,
    /// Absolute, percent-encoded.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A response, whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    /// In order; names in any case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Sends requests. An error means that there was no response at all; a status is never an error here.
pub trait Http {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Error>;
}

/// Over `wasi:http/outgoing-handler`.
#[cfg(target_family = "wasm")]
#[derive(Debug, Clone, Copy, Default)]
pub struct Waki;

#[cfg(target_family = "wasm")]
impl Http for Waki {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Error> {
        let failed = |error: &dyn std::fmt::Display| format!("{} {}: {error}", request.method, request.url);
        let mut builder = waki::RequestBuilder::new(method(&request.method), &request.url);
        for (name, value) in &request.headers {
            let (Ok(key), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes())) else {
                return Err(Error::Other(failed(&format_args!("`{name}` can't be a header with this value"))));
            };
            builder = builder.header(key, value);
        }
        if !request.body.is_empty() {
            builder = builder.body(request.body.clone());
        }
        let response = builder.send().map_err(|error| match error.downcast_ref::<waki::ErrorCode>() {
            Some(code) => transport_error(code, failed(code)),
            None => Error::other(failed(&error)),
        })?;
        let status = response.status_code();
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let expected = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, v)| v.parse().ok());
        // A header may lie: it only spares growing step by step.
        let mut body = Vec::with_capacity(expected.unwrap_or(0).min(LARGEST_RESERVATION));
        while let Some(chunk) = response
            .chunk(CHUNK)
            .map_err(|error| Error::Unavailable(failed(&format_args!("the response broke off ({error})"))))?
        {
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, headers, body })
    }
}

/// Bytes asked for at once.
#[cfg(target_family = "wasm")]
const CHUNK: u64 = 1024 * 1024;

#[cfg(target_family = "wasm")]
const LARGEST_RESERVATION: usize = 16 * 1024 * 1024;

#[cfg(target_family = "wasm")]
fn method(name: &str) -> waki::Method {
    match name {
        "GET" => waki::Method::Get,
        "HEAD" => waki::Method::Head,
        "POST" => waki::Method::Post,
        "PUT" => waki::Method::Put,
        "DELETE" => waki::Method::Delete,
        "OPTIONS" => waki::Method::Options,
        "PATCH" => waki::Method::Patch,
        other => waki::Method::Other(other.to_owned()),
    }
}

/// What the host refused is not worth another run; everything else about the way there is.
#[cfg(target_family = "wasm")]
fn transport_error(code: &waki::ErrorCode, text: String) -> Error {
    use waki::ErrorCode as Code;
    match code {
        Code::HttpRequestDenied
        | Code::DestinationIpProhibited
        | Code::DestinationIpUnroutable
        | Code::HttpRequestMethodInvalid
        | Code::HttpRequestUriInvalid
        | Code::HttpRequestUriTooLong
        | Code::ConfigurationError => Error::Other(text),
        Code::HttpResponseBodySize(_) => Error::BadData(text),
        _ => Error::Unavailable(text),
    }
}

#[cfg(test)]
pub mod scripted {
    //! An API that answers from a script and remembers what it was asked.

    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    type Answer = dyn Fn(&HttpRequest) -> HttpResponse;

    #[derive(Clone)]
    pub struct Script {
        answer: Rc<Answer>,
        pub requests: Rc<RefCell<Vec<HttpRequest>>>,
    }

    impl Script {
        pub fn new(answer: impl Fn(&HttpRequest) -> HttpResponse + 'static) -> Self {
            Self { answer: Rc::new(answer), requests: Rc::default() }
        }

        /// Answers with these bodies, one after another.
        pub fn bodies(bodies: &[&str]) -> Self {
            let bodies: Vec<String> = bodies.iter().map(|body| (*body).to_owned()).collect();
            let position = RefCell::new(0);
            Self::new(move |_| {
                let mut position = position.borrow_mut();
                *position += 1;
                bodies.get(*position - 1).map_or_else(|| status(500, "the script is over"), |body| json(body))
            })
        }

        /// `METHOD /path?query`, one per request.
        pub fn lines(&self) -> Vec<String> {
            let requests = self.requests.borrow();
            requests.iter().map(|sent| format!("{} {}", sent.method, sent.url.replace("http://api", ""))).collect()
        }
    }

    impl Http for Script {
        fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Error> {
            self.requests.borrow_mut().push(request.clone());
            Ok((self.answer)(request))
        }
    }

    pub fn json(body: &str) -> HttpResponse {
        status(200, body)
    }

    pub fn status(status: u16, body: &str) -> HttpResponse {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        HttpResponse { status, headers, body: body.as_bytes().to_vec() }
    }
}
