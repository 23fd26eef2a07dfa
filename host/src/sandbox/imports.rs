//! What an instance is lent: an empty WASI, HTTP through the egress, and a log.
//!
//! Must never lend an environment variable, a file, a socket or the terminal.

use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt as _, Full, Limited};
use secrecy::ExposeSecret as _;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{
    ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::bindings::airlock::connector::{log, secrets, types};
use super::failure::convert_diagnostic;
use super::limits::InstanceLimits;
use super::said::Said;
use super::{Engine, PageRecords, printable};
use crate::diagnostic::Diagnostic;
use crate::egress::{self, Egress, Session, Traffic};
use crate::error::{Error, ErrorKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
}

/// What a connector says to people, already safe to show.
#[derive(Debug, Clone)]
pub enum Remark {
    Message(LogLevel, String),
    /// Doubtful in the configuration; without its place yet.
    Diagnostic(Diagnostic),
}

/// Takes what a connector says.
pub type LogSink = Arc<dyn Fn(Remark) + Send + Sync>;

/// How many messages of one instance are passed on.
const LOG_LINES: u32 = 1000;

/// The state behind one instance.
pub(super) struct InstanceState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    pub(super) limits: InstanceLimits,
    pub(super) gate: Gate,
    log: LogSink,
    log_lines: u32,
    log_bytes_left: usize,
    pub(super) said: Said,
}

/// The connector's side of the egress; it remembers the last failure, of which the connector learns only the kind.
pub(super) struct Gate {
    egress: Option<Arc<Egress>>,
    pub(super) session: Arc<Session>,
    io: tokio::runtime::Handle,
    request_bytes: usize,
    last_error: Arc<Mutex<Option<Error>>>,
}

impl InstanceState {
    /// Without an egress every request is denied. `io`: the runtime that waits for the network, so that a computing
    /// guest does not hold it up.
    pub(super) fn new(
        engine: &Engine,
        egress: Option<Arc<Egress>>,
        traffic: Arc<Traffic>,
        log: LogSink,
        io: tokio::runtime::Handle,
    ) -> Self {
        let said = Said::default();
        let mut table = ResourceTable::new();
        table.set_max_capacity(engine.limits.handles);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(engine.limits.request_header_bytes);
        Self {
            wasi: WasiCtxBuilder::new().stderr(said.clone()).build(),
            http,
            table,
            limits: InstanceLimits::new(engine.limits.memory_bytes, engine.memory.clone()),
            gate: Gate {
                egress,
                session: Arc::new(Session::new(traffic)),
                io,
                request_bytes: engine.limits.request_bytes,
                last_error: Arc::default(),
            },
            log,
            log_lines: 0,
            log_bytes_left: engine.limits.log_bytes,
            said,
        }
    }
}

impl Gate {
    pub(super) fn take_error(&self) -> Option<Error> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A page's records as they are to be loaded, if they differ from what the connector gave.
    pub(super) fn restored(&self, records: &PageRecords) -> Option<PageRecords> {
        let egress = self.egress.as_ref()?;
        match records {
            PageRecords::JsonArray(bytes) | PageRecords::JsonLines(bytes) => {
                egress.restored(bytes, &self.session).map(|bytes| records.with_bytes(bytes))
            }
            // Its bytes have lengths and offsets: what is masked in it stays so.
            PageRecords::ArrowIpc(_) => None,
        }
    }

    pub(super) fn redact(&self, text: &str) -> String {
        self.egress.as_ref().map_or_else(|| text.to_owned(), |egress| egress.redact(text).into_owned())
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.gate, table: &mut self.table, ctx: &mut self.http }
    }
}

impl log::Host for InstanceState {
    fn write(&mut self, level: log::Level, message: String) {
        if self.is_silenced() {
            return;
        }
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warning => LogLevel::Warning,
        };
        let message = self.safe(&message);
        self.say(message.len(), Remark::Message(level, message));
    }

    fn diagnose(&mut self, found: types::Diagnostic) {
        if self.is_silenced() {
            return;
        }
        let found = convert_diagnostic(found, &|text| self.safe(text));
        let more = found.label.iter().chain(&found.help).chain([&found.code, &found.at]);
        let bytes = found.message.len() + more.map(String::len).sum::<usize>();
        self.say(bytes, Remark::Diagnostic(found));
    }
}

impl secrets::Host for InstanceState {
    fn reveal(&mut self, name: String) -> Option<String> {
        Some(self.gate.egress.as_ref()?.reveal(&name)?.expose_secret().to_owned())
    }
}

impl InstanceState {
    fn safe(&self, text: &str) -> String {
        printable(&self.gate.redact(text))
    }

    /// Whether the connector has said too much: the rest costs nothing.
    fn is_silenced(&self) -> bool {
        self.log_lines >= LOG_LINES || self.log_bytes_left == 0
    }

    fn say(&mut self, bytes: usize, remark: Remark) {
        self.log_lines += 1;
        self.log_bytes_left = self.log_bytes_left.saturating_sub(bytes);
        (self.log)(remark);
        if self.is_silenced() {
            let limit = if self.log_bytes_left == 0 { "host.limits.log_bytes" } else { "1000 messages" };
            let message = format!("the connector says too much ({limit}): the rest is dropped");
            (self.log)(Remark::Message(LogLevel::Warning, message));
        }
    }
}

/// `wasi:http/outgoing-handler.handle` as wasmtime implements it, but that keeps the options of every request for ever: an
/// instance that sends thousands of requests would run out of handles.
pub(super) fn handle(
    state: &mut InstanceState,
    request: Resource<HostOutgoingRequest>,
    options: Option<Resource<RequestOptions>>,
) -> wasmtime::Result<Result<Resource<HostFutureIncomingResponse>, ErrorCode>> {
    let kept = options.as_ref().map(Resource::rep);
    let handled = outgoing_handler::Host::handle(&mut state.http(), request, options);
    if let Some(kept) = kept {
        let kept: Resource<RequestOptions> = Resource::new_own(kept);
        // Not when a later wasmtime deletes them itself, and the place holds something else.
        if state.table.get(&kept).is_ok() {
            let _ = state.table.delete(kept);
        }
    }
    match handled {
        Ok(pending) => Ok(Ok(pending)),
        Err(error) => Ok(Err(error.downcast()?)),
    }
}

type Sent = Result<
    (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>),
    wasmtime_wasi_http::Error,
>;

impl WasiHttpHooks for Gate {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name| egress::forbidden_headers().contains(name))
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn default_scheme(&mut self) -> Option<http::uri::Scheme> {
        None
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let (egress, session, io) = (self.egress.clone(), self.session.clone(), self.io.clone());
        let (last_error, request_bytes) = (self.last_error.clone(), self.request_bytes);
        Box::new(async move {
            let outcome = match collected(request, request_bytes).await {
                Ok(request) => {
                    // Aborted with the guest's call: `AbortOnDrop` cancels what nobody waits for.
                    let task = AbortOnDrop(io.spawn(async move {
                        match egress {
                            Some(egress) => egress.send(request, &session).await,
                            None => {
                                Err(Error::new(ErrorKind::Denied, "the connector made a request where none is allowed"))
                            }
                        }
                    }));
                    task.await.unwrap_or_else(|source| {
                        Err(Error::new(ErrorKind::Internal, "a request was given up").with_source(source))
                    })
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(answer) => {
                    let mut response =
                        http::Response::new(Full::new(answer.body).map_err(|never| match never {}).boxed_unsync());
                    *response.status_mut() = answer.status;
                    *response.headers_mut() = answer.headers;
                    let done: Box<dyn Future<Output = _> + Send> = Box::new(std::future::ready(Ok(())));
                    Ok((response, done))
                }
                Err(error) => {
                    let code = code_for_guest(&error);
                    *last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Err(code)
                }
            }
        })
    }
}

/// The request with its whole body: it may be sent more than once, and a denial must not come before the body is
/// drained.
async fn collected(request: http::Request<WasiBody>, limit: usize) -> Result<egress::Request, Error> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, limit).collect().await.map_err(|source| {
        Error::new(ErrorKind::LimitExceeded, format!("a request's body is larger than {limit} bytes, or broke off"))
            .with_source(source.to_string())
            .with_help("raise host.limits.request_bytes")
    })?;
    let url = url::Url::parse(&parts.uri.to_string()).map_err(|source| {
        Error::new(ErrorKind::Denied, "the connector asked for something that is no URL").with_source(source)
    })?;
    Ok(egress::Request { method: parts.method, url, headers: parts.headers, body: body.to_bytes() })
}

fn code_for_guest(error: &Error) -> wasmtime_wasi_http::Error {
    use wasmtime_wasi_http::Error as Code;
    match error.kind() {
        ErrorKind::Denied => Code::HttpRequestDenied,
        ErrorKind::LimitExceeded => Code::HttpResponseBodySize(None),
        ErrorKind::Unavailable => Code::DestinationUnavailable,
        _ => Code::InternalError(None),
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
