//! Requests as a malicious connector makes them: every part as it likes, not as a client library would.

use serde::Deserialize;
use serde_json::{Value, json};
use waki::bindings::wasi::http::outgoing_handler;
use waki::bindings::wasi::http::types::{
    Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use waki::bindings::wasi::io::streams::StreamError;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Request {
    method: String,
    /// `http` unless given.
    scheme: Option<String>,
    authority: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    /// How often it is sent.
    times: Option<usize>,
    /// Does not wait for the answers.
    abandoned: bool,
}

/// One record per answer, with everything that can be seen of it, also spelt backwards: a host that masks only what it
/// writes, and not what a connector gets, can't see a secret in that.
pub(crate) fn send_all(requests: &[Request], lenient: bool) -> Result<Vec<u8>, String> {
    let mut records = Vec::new();
    let mut hoard = Vec::new();
    for request in requests {
        for _ in 0..request.times.unwrap_or(1) {
            let answer = match send(request) {
                Ok(pending) if request.abandoned => {
                    hoard.push(pending);
                    continue;
                }
                Ok(pending) => receive(&pending),
                Err(error) => Err(error),
            };
            match answer {
                Ok(record) => records.push(record),
                Err(error) if lenient => records.push(json!({"error": error})),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(serde_json::to_vec(&records).unwrap())
}

/// A request to where nobody may go.
pub(crate) fn refused() {
    let request = Request { authority: "refused.example.com".to_owned(), path: "/".to_owned(), ..Request::default() };
    let _ = send_all(&[request], true);
}

fn send(request: &Request) -> Result<outgoing_handler::FutureIncomingResponse, String> {
    let headers = Fields::new();
    for (name, value) in &request.headers {
        headers.append(name, &value.clone().into_bytes()).map_err(|error| format!("header {name}: {error:?}"))?;
    }
    let outgoing = OutgoingRequest::new(headers);
    let method = match request.method.as_str() {
        "" | "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    };
    outgoing.set_method(&method).map_err(|()| "the method is refused".to_owned())?;
    let scheme = match request.scheme.as_deref() {
        None | Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(other) => Scheme::Other(other.to_owned()),
    };
    outgoing.set_scheme(Some(&scheme)).map_err(|()| "the scheme is refused".to_owned())?;
    outgoing.set_authority(Some(&request.authority)).map_err(|()| "the authority is refused".to_owned())?;
    outgoing.set_path_with_query(Some(&request.path)).map_err(|()| "the path is refused".to_owned())?;
    let body = outgoing.body().map_err(|()| "no body".to_owned())?;
    let pending = outgoing_handler::handle(outgoing, None).map_err(|error| format!("{error:?}"))?;
    if !request.body.is_empty() {
        let stream = body.write().map_err(|()| "no stream".to_owned())?;
        for part in request.body.as_bytes().chunks(4096) {
            stream.blocking_write_and_flush(part).map_err(|error| format!("{error:?}"))?;
        }
    }
    OutgoingBody::finish(body, None).map_err(|error| format!("{error:?}"))?;
    Ok(pending)
}

fn receive(pending: &outgoing_handler::FutureIncomingResponse) -> Result<Value, String> {
    pending.subscribe().block();
    let response: IncomingResponse =
        pending.get().ok_or("no answer")?.map_err(|()| "taken")?.map_err(|error| format!("{error:?}"))?;
    let headers: Vec<String> = response
        .headers()
        .entries()
        .into_iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(&value)))
        .collect();
    let status = response.status();
    let body = response.consume().map_err(|()| "no body")?;
    let bytes = read(&body)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let reversed: String = text.chars().chain(headers.join("\n").chars()).rev().collect();
    Ok(json!({"status": status, "headers": headers.join("\n"), "body": text, "reversed": reversed}))
}

fn read(body: &IncomingBody) -> Result<Vec<u8>, String> {
    let stream = body.stream().map_err(|()| "no stream")?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(1 << 20) {
            Ok(part) => bytes.extend_from_slice(&part),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(error) => return Err(format!("{error:?}")),
        }
    }
}
