//! What an instance sees of the world: an empty WASI, HTTP through its outlet, and a log.
//!
//! Must never lend an environment variable, a file, a socket or the terminal.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{
    ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::bindings::airlock::connector::{log, secrets, types};
use super::limits::InstanceLimits;
use super::outlet::{Outlet, Saying};
use super::said::Said;
use super::{Engine, LogLevel};
use crate::egress;
use crate::error::{Error, ErrorKind};

/// The state behind one instance.
pub(super) struct InstanceState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    pub(super) limits: InstanceLimits,
    gate: Gate,
    pub(super) said: Said,
}

/// The connector's side of its outlet.
struct Gate {
    outlet: Arc<dyn Outlet>,
    request_bytes: usize,
}

impl InstanceState {
    pub(super) fn new(engine: &Engine, outlet: Arc<dyn Outlet>) -> Self {
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
            gate: Gate { outlet, request_bytes: engine.limits.request_bytes },
            said,
        }
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
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warning => LogLevel::Warning,
        };
        self.gate.outlet.say(Saying::Message(level, message));
    }

    fn diagnose(&mut self, found: types::Diagnostic) {
        self.gate.outlet.say(Saying::Diagnostic(found));
    }
}

impl secrets::Host for InstanceState {
    fn reveal(&mut self, name: String) -> Option<String> {
        self.gate.outlet.reveal(&name)
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
        let (outlet, request_bytes) = (self.outlet.clone(), self.request_bytes);
        Box::new(async move {
            let outcome = match collected(request, request_bytes).await {
                Ok(request) => outlet.send(request).await,
                Err(error) => {
                    let kind = error.kind();
                    outlet.failed(error);
                    Err(kind)
                }
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
                Err(kind) => Err(code_for_guest(kind)),
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

fn code_for_guest(kind: ErrorKind) -> wasmtime_wasi_http::Error {
    use wasmtime_wasi_http::Error as Code;
    match kind {
        ErrorKind::Denied => Code::HttpRequestDenied,
        ErrorKind::LimitExceeded => Code::HttpResponseBodySize(None),
        ErrorKind::Unavailable => Code::DestinationUnavailable,
        _ => Code::InternalError(None),
    }
}
