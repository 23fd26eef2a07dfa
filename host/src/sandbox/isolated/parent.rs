//! The parent's side: starts the child, calls instances there, and answers what they ask for.
//!
//! Must never do for an instance what its own outlet would not.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::super::call::{Answer, Call, Returned};
use super::super::component::{Interfaces, wants_secrets};
use super::super::outlet::{Lent, Outlet as _};
use super::super::{Engine, cache};
use super::{Head, ToChild, ToParent, heard, told};
use crate::config::settings::Limits;
use crate::egress::Request;
use crate::error::{Error, ErrorKind, Result};
use crate::isolation::{Frame, Process, Program, Receiver, Role, Sender, Told, ready};

/// What the child needs besides its guests' memory: compiled code, its compiler, pages under way.
const OWN_MEMORY: u64 = 2 << 30;
/// The child holds calls to their time itself. One that does not is broken.
const GRACE: Duration = Duration::from_secs(10);

/// A child that compiled a component, and runs instances of it.
pub(in super::super) struct Sandbox {
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    last: AtomicU64,
    wants_secrets: bool,
}

struct Shared {
    process: Process,
    sender: Sender,
    instances: Mutex<HashMap<u64, Waiting>>,
    /// Requests of one instance under way: each takes a handle, which a child could forget to count.
    most_requests: usize,
    /// Why nothing more comes.
    ended: Mutex<Option<Told>>,
}

/// What is known here of an instance there.
struct Waiting {
    lent: Arc<Lent>,
    answer: Option<oneshot::Sender<Result<Answer, Told>>>,
    /// Requests under way.
    requests: Vec<tokio::task::AbortHandle>,
}

impl Sandbox {
    /// Errors: no process (`Internal`), or what is wrong with the component.
    pub(in super::super) fn start(
        program: &Program,
        engine: &Engine,
        component: &[u8],
        digest: &str,
    ) -> Result<(Self, Interfaces)> {
        let limits = engine.limits.clone();
        let memory = (limits.total_memory_bytes as u64).saturating_add(OWN_MEMORY);
        let (process, stream) = Process::start(program, Role::Sandbox, memory)?;
        let failed =
            |source: std::io::Error| Error::new(ErrorKind::Internal, "no way to the child").with_source(source);
        let sender = Sender::start(stream.try_clone().map_err(failed)?)?;
        let place = cache::Place::Isolated;
        let kept = cache::find(&engine.wasmtime, digest, place);
        let compiled = kept.is_some();
        let code = kept.map_or_else(|| component.to_vec(), cache::NativeCode::into_bytes);
        sender.send(Frame::new(&ToChild::Load { limits: (*limits).clone(), compiled }, code)?);
        let mut receiver = Receiver::new(stream, largest_frame(&limits));
        ready(receiver.receive()?, &process)?;
        let frame = receiver.receive()?.ok_or_else(|| process.ended())?;
        let ToParent::Loaded(loaded) = frame.message()? else { return Err(process.ended()) };
        let interfaces = loaded?;
        if !compiled {
            cache::keep(&engine.wasmtime, digest, place, || Ok(frame.bytes));
        }
        let shared = Arc::new(Shared {
            process,
            sender,
            instances: Mutex::default(),
            most_requests: limits.handles,
            ended: Mutex::default(),
        });
        let listener = Arc::downgrade(&shared);
        std::thread::Builder::new()
            .name("isolated".to_owned())
            .spawn(move || {
                let mut outcome = Ok(());
                while let Ok(Some(frame)) = receiver.receive().map_err(|error| outcome = Err(error)) {
                    let Some(shared) = listener.upgrade() else { return };
                    if let Err(error) = shared.hear(frame) {
                        outcome = Err(error);
                        break;
                    }
                }
                if let Some(shared) = listener.upgrade() {
                    shared.end(outcome.err());
                }
            })
            .map_err(failed)?;
        let wants_secrets = wants_secrets(&interfaces.imports);
        Ok((Self { shared, limits, last: AtomicU64::new(0), wants_secrets }, interfaces))
    }

    pub(in super::super) async fn instance(&self, lent: Arc<Lent>) -> Result<Remote> {
        let instance = self.last.fetch_add(1, Ordering::Relaxed);
        let revealed = if self.wants_secrets { lent.revealed() } else { BTreeMap::new() };
        let waiting = Waiting { lent, answer: None, requests: Vec::new() };
        self.shared.instances().insert(instance, waiting);
        let time = Duration::from_secs_f64(self.limits.page_secs) + GRACE;
        let remote = Remote { shared: self.shared.clone(), instance, time };
        let begun = remote.ask(&ToChild::Begin { instance, revealed }, Vec::new()).await?;
        drop(begun);
        Ok(remote)
    }
}

/// Records as they are, and words as JSON, in which a character takes up to six.
fn largest_frame(limits: &Limits) -> u64 {
    let words = limits.document_bytes.max(limits.page_bytes).max(limits.request_header_bytes);
    (6 * words + limits.page_bytes + limits.request_bytes + (64 << 20)) as u64
}

/// An instance in the child.
pub(in super::super) struct Remote {
    shared: Arc<Shared>,
    instance: u64,
    time: Duration,
}

impl Remote {
    pub(in super::super) async fn call(&mut self, mut call: Call) -> Result<Answer> {
        let bytes = call.take_bytes();
        self.ask(&ToChild::Call { instance: self.instance, call }, bytes).await
    }

    async fn ask(&self, message: &ToChild, bytes: Vec<u8>) -> Result<Answer> {
        let (answer, answered) = oneshot::channel();
        if let Some(waiting) = self.shared.instances().get_mut(&self.instance) {
            waiting.answer = Some(answer);
        }
        self.shared.sender.send(Frame::new(message, bytes)?);
        if self.shared.has_ended() {
            return Err(self.shared.why());
        }
        match tokio::time::timeout(self.time, answered).await {
            Ok(Ok(outcome)) => Ok(outcome?),
            Ok(Err(_)) => Err(self.shared.why()),
            Err(_) => {
                self.shared.process.kill();
                Err(Error::new(ErrorKind::LimitExceeded, "the isolated process does not answer in time")
                    .with_help("raise host.limits.page_secs"))
            }
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(waiting) = self.shared.instances().remove(&self.instance) {
            waiting.requests.iter().for_each(tokio::task::AbortHandle::abort);
        }
        if let Ok(frame) = Frame::new(&ToChild::Drop { instance: self.instance }, Vec::new()) {
            self.shared.sender.send(frame);
        }
    }
}

impl Shared {
    fn instances(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Waiting>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the child said. Of instances that are gone nothing is heard.
    fn hear(self: &Arc<Self>, frame: Frame) -> Result<()> {
        match frame.message()? {
            ToParent::Loaded(_) => {}
            ToParent::Begun { instance, outcome } => {
                let outcome = outcome.map(|()| Ok(Returned::Done));
                self.answer(instance, outcome);
            }
            ToParent::Returned { instance, mut outcome } => {
                if let Ok(Ok(returned)) = &mut outcome {
                    returned.put_bytes(frame.bytes);
                }
                self.answer(instance, outcome);
            }
            ToParent::Request { instance, request, method, url, headers } => {
                let unfit =
                    || Error::new(ErrorKind::Connector, "an isolated process asks for something that is no request");
                let sent = Request {
                    method: http::Method::from_bytes(method.as_bytes()).map_err(|_| unfit())?,
                    url: url::Url::parse(&url).map_err(|_| unfit())?,
                    headers: heard(headers)?,
                    body: Bytes::from(frame.bytes),
                };
                self.request(instance, request, sent);
            }
            ToParent::Failed { instance, error } => {
                if let Some(lent) = self.lent(instance) {
                    lent.failed(error.into());
                }
            }
            ToParent::Said { instance, saying } => {
                if let Some(lent) = self.lent(instance) {
                    lent.say(saying);
                }
            }
        }
        Ok(())
    }

    fn lent(&self, instance: u64) -> Option<Arc<Lent>> {
        self.instances().get(&instance).map(|waiting| waiting.lent.clone())
    }

    fn answer(&self, instance: u64, outcome: Result<Answer, Told>) {
        let answer = self.instances().get_mut(&instance).and_then(|waiting| waiting.answer.take());
        if let Some(answer) = answer {
            let _ = answer.send(outcome);
        }
    }

    fn request(self: &Arc<Self>, instance: u64, request: u64, sent: Request) {
        let mut instances = self.instances();
        let Some(waiting) = instances.get_mut(&instance) else { return };
        let (lent, sender) = (waiting.lent.clone(), self.sender.clone());
        waiting.requests.retain(|request| !request.is_finished());
        if waiting.requests.len() >= self.most_requests {
            let message = format!("more than {} requests of one instance at once", self.most_requests);
            lent.failed(Error::new(ErrorKind::LimitExceeded, message).with_help("raise host.limits.handles"));
            let answer = Err(ErrorKind::LimitExceeded);
            if let Ok(frame) = Frame::new(&ToChild::Answered { request, answer }, Vec::new()) {
                sender.send(frame);
            }
            return;
        }
        let sending = lent.send(sent);
        let task = lent.io().spawn(async move {
            let (answer, body) = match sending.await {
                Ok(response) => {
                    let head = Head { status: response.status.as_u16(), headers: told(&response.headers) };
                    (Ok(head), Vec::from(response.body))
                }
                Err(kind) => (Err(kind), Vec::new()),
            };
            if let Ok(frame) = Frame::new(&ToChild::Answered { request, answer }, body) {
                sender.send(frame);
            }
        });
        waiting.requests.push(task.abort_handle());
    }

    /// Nothing more comes: whoever waits is told.
    fn end(&self, error: Option<Error>) {
        let error = error.unwrap_or_else(|| self.process.ended());
        self.process.kill();
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.into());
        for waiting in self.instances().values_mut() {
            drop(waiting.answer.take());
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn why(&self) -> Error {
        match &*self.ended.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(told) => told.clone().into(),
            None => Error::new(ErrorKind::Connector, "the isolated process gave no answer"),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The child's own limit on handles is only as good as the child.
    #[test]
    fn a_child_that_counts_no_requests_is_counted_here() {
        // Nobody drives it, so that no request ends.
        let idle = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (process, stream) = Process::start(&Program::new("/bin/true"), Role::Sandbox, 0).unwrap();
        let shared = Arc::new(Shared {
            process,
            sender: Sender::start(stream).unwrap(),
            instances: Mutex::default(),
            most_requests: 2,
            ended: Mutex::default(),
        });
        let io = idle.handle().clone();
        let lent = Arc::new(Lent::new(None, Arc::default(), Arc::new(drop), io, &Limits::default()));
        let waiting = Waiting { lent: lent.clone(), answer: None, requests: Vec::new() };
        shared.instances().insert(7, waiting);
        let request = |number| {
            let url = url::Url::parse("http://127.0.0.1/").unwrap();
            let sent = Request { method: http::Method::GET, url, headers: http::HeaderMap::new(), body: Bytes::new() };
            shared.request(7, number, sent);
            lent.take_error().map(|error| error.kind())
        };
        let errors: Vec<_> = (0..4).map(request).collect();
        assert_eq!(errors, [None, None, Some(ErrorKind::LimitExceeded), Some(ErrorKind::LimitExceeded)]);
        assert_eq!(shared.instances()[&7].requests.len(), 2);
    }
}
