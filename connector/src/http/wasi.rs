//! The exchange itself, over `wasi:http` as it is: every handle is given back, so that a read of any length stays within
//! the handles that an instance may hold.

use url::Url;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::streams::StreamError;

use super::{Http, HttpRequest, HttpResponse};
use crate::error::Error;

#[derive(Debug, Clone, Copy, Default)]
pub struct WasiHttp;

impl Http for WasiHttp {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Error> {
        let said = |error: &dyn std::fmt::Display| format!("{} {}: {error}", request.method, request.url);
        let response = exchange(request).map_err(|failure| match failure {
            Failure::Transport(code) => transport_error(&code, said(&code)),
            Failure::Refused(reason) => Error::Other(said(&reason)),
        })?;
        let status = response.status();
        let headers = response.headers().entries();
        let headers: Vec<(String, String)> =
            headers.into_iter().map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect();
        let expected = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let expected = expected.and_then(|(_, length)| length.parse().ok()).unwrap_or(0);
        let body = read_body(&response, expected)
            .map_err(|error| Error::Unavailable(said(&format_args!("the response broke off ({error})"))))?;
        Ok(HttpResponse { status, headers, body })
    }
}

enum Failure {
    Transport(ErrorCode),
    Refused(String),
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::Transport(code)
    }
}

fn exchange(request: &HttpRequest) -> Result<IncomingResponse, Failure> {
    let fields = Fields::new();
    for (name, value) in &request.headers {
        fields
            .append(name, value.as_bytes())
            .map_err(|_| Failure::Refused(format!("`{name}` can't be a header with this value")))?;
    }
    let url = Url::parse(&request.url).map_err(|error| Failure::Refused(error.to_string()))?;
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let host = url.host_str().unwrap_or_default();
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let outgoing = OutgoingRequest::new(fields);
    outgoing.set_method(&method(&request.method)).map_err(refused("the method"))?;
    outgoing.set_scheme(Some(&scheme)).map_err(refused("the scheme"))?;
    outgoing.set_authority(Some(&authority)).map_err(refused("the host"))?;
    outgoing.set_path_with_query(Some(&path)).map_err(refused("the path"))?;
    let body = outgoing.body().map_err(refused("the body"))?;
    // Without options: the host has timeouts of its own.
    let future = outgoing_handler::handle(outgoing, None)?;
    write_body(body, &request.body)?;
    loop {
        match future.get() {
            Some(result) => return Ok(result.map_err(refused("a second answer"))??),
            None => future.subscribe().block(),
        }
    }
}

fn refused(part: &'static str) -> impl Fn(()) -> Failure {
    move |()| Failure::Refused(format!("{part} of the request is refused"))
}

fn write_body(body: OutgoingBody, bytes: &[u8]) -> Result<(), Failure> {
    /// What one call may write.
    const CHUNK: usize = 4096;
    if !bytes.is_empty() {
        let stream = body.write().map_err(refused("the body"))?;
        for chunk in bytes.chunks(CHUNK) {
            // A request that is refused says why in its answer.
            if stream.blocking_write_and_flush(chunk).is_err() {
                break;
            }
        }
    }
    Ok(OutgoingBody::finish(body, None)?)
}

fn read_body(response: &IncomingResponse, expected: usize) -> Result<Vec<u8>, String> {
    /// Bytes asked for at once.
    const CHUNK: u64 = 1024 * 1024;
    /// A header may lie: it only spares growing step by step.
    const LARGEST_RESERVATION: usize = 16 * 1024 * 1024;
    let taken = || "its body is taken".to_owned();
    let incoming = response.consume().map_err(|()| taken())?;
    let stream = incoming.stream().map_err(|()| taken())?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(CHUNK) {
            // Mostly it comes as one.
            Ok(chunk) if body.is_empty() => body = chunk,
            Ok(chunk) => {
                if body.len() == body.capacity() {
                    body.reserve(expected.saturating_sub(body.len()).clamp(chunk.len(), LARGEST_RESERVATION));
                }
                body.extend_from_slice(&chunk);
            }
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
    drop(stream);
    drop(IncomingBody::finish(incoming));
    Ok(body)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

/// What the host refused is not worth another run; everything else about the way there is.
fn transport_error(code: &ErrorCode, text: String) -> Error {
    match code {
        ErrorCode::HttpRequestDenied
        | ErrorCode::DestinationIpProhibited
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::ConfigurationError => Error::Other(text),
        ErrorCode::HttpResponseBodySize(_) => Error::BadData(text),
        _ => Error::Unavailable(text),
    }
}
