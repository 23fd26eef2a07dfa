//! What an instance is lent of the world: requests, messages, and secrets that were granted in plain text.
//!
//! `Lent` is the host's own. An instance in a child process has one that asks its parent, whose answers are `Lent`'s.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use tracing::Instrument as _;

use super::bindings::airlock::connector::types;
use super::failure::convert_diagnostic;
use super::{LogLevel, LogSink, PageRecords, Remark, printable};
use crate::config::settings::Limits;
use crate::egress::{self, Egress, Session, Traffic};
use crate::error::{Error, ErrorKind};

/// A request under way. Of a failure the connector learns only the kind.
pub(super) type Sending = Pin<Box<dyn Future<Output = Result<egress::Response, ErrorKind>> + Send>>;

pub(super) trait Outlet: Send + Sync {
    fn send(&self, request: egress::Request) -> Sending;

    /// A request failed before it was sent.
    fn failed(&self, error: Error);

    fn say(&self, saying: Saying);

    fn reveal(&self, name: &str) -> Option<String>;
}

/// What a connector says to people, as it said it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Saying {
    Message(LogLevel, String),
    Diagnostic(types::Diagnostic),
}

impl Saying {
    fn bytes(&self) -> usize {
        match self {
            Self::Message(_, message) => message.len(),
            Self::Diagnostic(found) => {
                let more = found.label.iter().chain(&found.help).chain([&found.code, &found.at]);
                found.message.len() + more.map(String::len).sum::<usize>()
            }
        }
    }
}

/// How much an instance may still say: the rest costs nothing.
#[derive(Debug)]
pub(super) struct Patience(Mutex<(u32, usize)>);

/// How many messages of one instance are passed on.
const LOG_LINES: u32 = 1000;

/// What a message comes to.
pub(super) enum Heard {
    Yes,
    /// And nothing more; with the limit that was reached.
    Last(&'static str),
    No,
}

impl Patience {
    pub(super) fn new(limits: &Limits) -> Self {
        Self(Mutex::new((LOG_LINES, limits.log_bytes)))
    }

    pub(super) fn hear(&self, saying: &Saying) -> Heard {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.0 == 0 || left.1 == 0 {
            return Heard::No;
        }
        *left = (left.0 - 1, left.1.saturating_sub(saying.bytes()));
        match *left {
            (_, 0) => Heard::Last("host.limits.log_bytes"),
            (0, _) => Heard::Last("1000 messages"),
            _ => Heard::Yes,
        }
    }
}

/// The host's side: the egress, what this instance has of it, and the last failure.
pub(super) struct Lent {
    egress: Option<Arc<Egress>>,
    session: Arc<Session>,
    /// The runtime that waits for the network, so that a computing guest does not hold it up.
    io: tokio::runtime::Handle,
    log: LogSink,
    patience: Patience,
    last_error: Arc<Mutex<Option<Error>>>,
}

impl Lent {
    /// Without an egress every request is denied.
    pub(super) fn new(
        egress: Option<Arc<Egress>>,
        traffic: Arc<Traffic>,
        log: LogSink,
        io: tokio::runtime::Handle,
        limits: &Limits,
    ) -> Self {
        let (session, patience) = (Arc::new(Session::new(traffic)), Patience::new(limits));
        Self { egress, session, io, log, patience, last_error: Arc::default() }
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn io(&self) -> &tokio::runtime::Handle {
        &self.io
    }

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

    /// A foreign text, made safe to show.
    pub(super) fn safe(&self, text: &str) -> String {
        match &self.egress {
            Some(egress) => printable(&egress.redact(text)),
            None => printable(text),
        }
    }

    /// All that may be seen in plain text.
    pub(super) fn revealed(&self) -> BTreeMap<String, String> {
        let Some(egress) = &self.egress else { return BTreeMap::new() };
        let reveal = |name: &String| Some((name.clone(), egress.reveal(name)?.expose_secret().to_owned()));
        egress.reveals().iter().filter_map(reveal).collect()
    }
}

impl Outlet for Lent {
    fn send(&self, request: egress::Request) -> Sending {
        let (egress, session, last_error) = (self.egress.clone(), self.session.clone(), self.last_error.clone());
        // Aborted with the guest's call: `AbortOnDrop` cancels what nobody waits for.
        let sending = async move {
            match egress {
                Some(egress) => egress.send(request, &session).await,
                None => Err(Error::new(ErrorKind::Denied, "the connector made a request where none is allowed")),
            }
        };
        let task = AbortOnDrop(self.io.spawn(sending.in_current_span()));
        Box::pin(async move {
            let outcome = task.await.unwrap_or_else(|source| {
                Err(Error::new(ErrorKind::Internal, "a request was given up").with_source(source))
            });
            outcome.map_err(|error| {
                let kind = error.kind();
                *last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                kind
            })
        })
    }

    fn failed(&self, error: Error) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn say(&self, saying: Saying) {
        let heard = self.patience.hear(&saying);
        if matches!(heard, Heard::No) {
            return;
        }
        (self.log)(match saying {
            Saying::Message(level, message) => Remark::Message(level, self.safe(&message)),
            Saying::Diagnostic(found) => Remark::Diagnostic(convert_diagnostic(found, &|text| self.safe(text))),
        });
        if let Heard::Last(limit) = heard {
            let message = format!("the connector says too much ({limit}): the rest is dropped");
            (self.log)(Remark::Message(LogLevel::Warning, message));
        }
    }

    fn reveal(&self, name: &str) -> Option<String> {
        Some(self.egress.as_ref()?.reveal(name)?.expose_secret().to_owned())
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
