//! The API that the tests read from: a real HTTP server on a port of its own, one per test, so that tests never see
//! each other's requests or counters.
//!
//! Its routes and answers are those of the server that dlt's behaviour was recorded against (`posts`, `oauth`,
//! `extras`, `everyday`), some that misbehave in further ways (`faults`), one that changes from run to run
//! (`ledger`), and one that has to be treated well (`manners`). It must never answer the same request differently, except where a route says that it counts.

mod everyday;
mod extras;
mod faults;
mod ledger;
mod manners;
mod oauth;
mod posts;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response, Uri, header},
};
use serde_json::Value;
use tokio::sync::oneshot;

/// A running server; it ends when this is dropped.
pub(crate) struct MockApi {
    address: SocketAddr,
    memory: Arc<Memory>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl MockApi {
    pub(crate) fn start() -> Self {
        let memory = Arc::new(Memory::default());
        let (stop, stopped) = oneshot::channel();
        let (sender, receiver) = mpsc::channel();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&memory));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                // Connections that a client keeps alive must not keep the test waiting.
                tokio::select! {
                    _ = async { axum::serve(listener, router).await } => {}
                    _ = stopped => {}
                }
            });
        });
        let address = receiver.recv().unwrap();
        Self { address, memory, stop: Some(stop), thread: Some(thread) }
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests seen since the last call, in the order of their arrival.
    pub(crate) fn take_requests(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.memory.log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for MockApi {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It fails only if the server has ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    /// As sent, without the question mark; empty if there was none.
    pub(crate) query: String,
    /// With lower-case names.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// What a server remembers between requests.
#[derive(Default)]
struct Memory {
    log: Mutex<Vec<Seen>>,
    counters: Mutex<BTreeMap<String, u64>>,
}

impl Memory {
    /// How often this was called with that key, this call included.
    fn count(&self, key: &str) -> u64 {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = counters.entry(key.to_owned()).or_default();
        *counter += 1;
        *counter
    }
}

/// What a route sees of a request.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    /// The path between its slashes.
    segments: &'a [&'a str],
    query: &'a str,
    parameters: BTreeMap<String, String>,
    headers: &'a BTreeMap<String, String>,
    body: &'a str,
    memory: &'a Memory,
}

impl Request<'_> {
    /// The server's own base URL, as the client called it.
    fn base_url(&self) -> String {
        format!("http://{}", self.header("host").unwrap_or("127.0.0.1"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// A query parameter as a whole number; what is not one counts as absent.
    fn number(&self, name: &str, default: i64) -> i64 {
        self.parameter(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// The body as JSON; an empty one is an empty object.
    fn json(&self) -> Value {
        serde_json::from_str(if self.body.is_empty() { "{}" } else { self.body }).unwrap_or(Value::Null)
    }

    /// The body as a form: the values of every name.
    fn form(&self) -> BTreeMap<String, Vec<String>> {
        let mut form = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in url::form_urlencoded::parse(self.body.as_bytes()) {
            if !value.is_empty() {
                form.entry(name.into_owned()).or_default().push(value.into_owned());
            }
        }
        form
    }
}

/// What a route answers.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    content_type: &'static str,
    content: Content,
}

enum Content {
    Text(String),
    /// The connection is closed before a byte of an answer.
    Dropped,
    /// The connection is closed after this much of the body; the announced length is twice that.
    CutOff(String),
}

impl Answer {
    fn json(body: &Value) -> Self {
        Self::text("application/json", body.to_string())
    }

    fn text(content_type: &'static str, body: impl Into<String>) -> Self {
        Self { status: 200, headers: Vec::new(), content_type, content: Content::Text(body.into()) }
    }

    fn dropped() -> Self {
        Self { content: Content::Dropped, ..Self::text("", "") }
    }

    fn cut_off(body: &Value) -> Self {
        let text = body.to_string();
        Self { content: Content::CutOff(text), ..Self::text("application/json", "") }
    }

    fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn into_response(self) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        if self.status != 204 && !self.content_type.is_empty() {
            response = response.header(header::CONTENT_TYPE, self.content_type);
        }
        // A body that fails before its first byte makes hyper close the connection before it has written the head.
        let failure: [Result<Bytes, io::Error>; 1] = [Err(io::Error::other("closed on purpose"))];
        let body = match self.content {
            Content::Text(_) if self.status == 204 => Body::empty(),
            Content::Text(text) => Body::from(text),
            Content::Dropped => Body::from_stream(futures::stream::iter(failure)),
            Content::CutOff(text) => {
                response = response.header(header::CONTENT_LENGTH, text.len() * 2);
                Body::from_stream(futures::stream::iter([Ok::<_, io::Error>(Bytes::from(text))]))
            }
        };
        response.body(body).unwrap()
    }
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self::json(&body)
    }
}

async fn answer(
    State(memory): State<Arc<Memory>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response<Body> {
    let headers: BTreeMap<String, String> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let segments: Vec<&str> = uri.path().split('/').skip(1).collect();
    let query = uri.query().unwrap_or_default();
    let mut parameters = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        // The first of several values counts, as in the recorded server.
        parameters.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    let request = Request {
        method: method.as_str(),
        path: uri.path(),
        segments: &segments,
        query,
        parameters,
        headers: &headers,
        body: &body,
        memory: &memory,
    };
    let answer = posts::route(&request)
        .or_else(|| oauth::route(&request))
        .or_else(|| extras::route(&request))
        .or_else(|| everyday::route(&request))
        .or_else(|| faults::route(&request))
        .or_else(|| ledger::route(&request))
        .or_else(|| manners::route(&request))
        .unwrap_or_else(|| Answer::json(&serde_json::json!({"error": "no such route"})).with_status(404));
    let seen = Seen {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: query.to_owned(),
        headers: headers.clone(),
        body: body.clone(),
    };
    memory.log.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    answer.into_response()
}
