//! One HTTP exchange.
//!
//! It follows no redirect, retries nothing, decodes nothing and attaches no credential: the host does.

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
pub use wasi::WasiHttp;

#[cfg(target_family = "wasm")]
mod wasi;

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
