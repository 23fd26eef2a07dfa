//! The child's side: compiles a component, makes instances, calls them, and asks the parent for all else.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::super::Engine;
use super::super::cache::NativeCode;
use super::super::call::Call;
use super::super::compile;
use super::super::component::{Compiled, Interfaces};
use super::super::inside::Inside;
use super::super::outlet::{Heard, Outlet, Patience, Saying, Sending};
use super::{Head, ToChild, ToParent, heard, told};
use crate::config::settings::Limits;
use crate::egress::{Request, Response};
use crate::error::{Error, ErrorKind, Result};
use crate::isolation::{Frame, Receiver, Sender, Told};

/// Serves one sandbox until the parent has enough.
///
/// Errors: the parent said something that is none of the protocol.
pub(crate) fn serve(stream: UnixStream) -> Result<()> {
    let failed = |source: std::io::Error| Error::new(ErrorKind::Internal, "no way to the parent").with_source(source);
    let sender = Sender::start(stream.try_clone().map_err(failed)?)?;
    let mut receiver = Receiver::new(stream, u64::MAX);
    let Some(frame) = receiver.receive()? else { return Ok(()) };
    let ToChild::Load { limits, compiled } = frame.message()? else { return Ok(()) };
    let loaded = load(&limits, compiled, frame.bytes);
    let (compiled, interfaces, native) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            sender.send(Frame::new(&ToParent::Loaded(Err(error.into())), Vec::new())?);
            // Stays until the parent has read it.
            return receiver.receive().map(drop);
        }
    };
    sender.send(Frame::new(&ToParent::Loaded(Ok(interfaces)), native)?);
    let cores = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores)
        .thread_name("guests")
        // Nothing here waits for anything but time and the parent.
        .enable_time()
        .build()
        .map_err(failed)?;
    let mut instances: HashMap<u64, (mpsc::UnboundedSender<Call>, tokio::task::AbortHandle)> = HashMap::new();
    let pending = Arc::new(Pending::default());
    while let Some(frame) = receiver.receive()? {
        match frame.message()? {
            ToChild::Load { .. } => {}
            ToChild::Begin { instance, revealed } => {
                let (calls, called) = mpsc::unbounded_channel();
                let outlet = Piped {
                    instance,
                    sender: sender.clone(),
                    pending: pending.clone(),
                    patience: Patience::new(&limits),
                    revealed,
                };
                let task = runtime.spawn(live(compiled.clone(), Arc::new(outlet), called));
                instances.insert(instance, (calls, task.abort_handle()));
            }
            ToChild::Call { instance, mut call } => {
                call.put_bytes(frame.bytes);
                if let Some((calls, _)) = instances.get(&instance) {
                    let _ = calls.send(call);
                }
            }
            ToChild::Drop { instance } => {
                if let Some((_, task)) = instances.remove(&instance) {
                    task.abort();
                }
            }
            ToChild::Answered { request, answer } => pending.answer(request, answer, frame.bytes)?,
        }
    }
    runtime.shutdown_background();
    Ok(())
}

/// With the native code, if it was compiled here.
fn load(limits: &Limits, is_compiled: bool, bytes: Vec<u8>) -> Result<(Compiled, Interfaces, Vec<u8>)> {
    let engine = Engine::new(limits)?;
    let (component, native) = if is_compiled {
        let component = NativeCode::from_parent(bytes).load(&engine.wasmtime);
        let unusable = || Error::new(ErrorKind::Internal, "what was compiled can't be loaded");
        (component.ok_or_else(unusable)?, Vec::new())
    } else {
        let component = compile::compile(&engine, bytes)?;
        let native = component.serialize().unwrap_or_default();
        (component, native)
    };
    let (compiled, interfaces) = Compiled::new(&engine, Arc::new(component))?;
    Ok((compiled, interfaces, native))
}

/// One instance, call by call, until it dies or is dropped.
async fn live(compiled: Compiled, outlet: Arc<Piped>, mut calls: mpsc::UnboundedReceiver<Call>) {
    let instance = outlet.instance;
    let begun = Inside::new(&compiled, outlet.clone()).await;
    let (mut inside, outcome) = match begun {
        Ok(inside) => (Some(inside), Ok(())),
        Err(error) => (None, Err(Told::from(error))),
    };
    outlet.tell(&ToParent::Begun { instance, outcome }, Vec::new());
    while let (Some(copy), Some(call)) = (&mut inside, calls.recv().await) {
        let (outcome, bytes) = match copy.call(call).await {
            Ok(Ok(mut returned)) => {
                let bytes = returned.take_bytes();
                (Ok(Ok(returned)), bytes)
            }
            Ok(Err(error)) => (Ok(Err(error)), Vec::new()),
            Err(error) => {
                inside = None;
                (Err(error.into()), Vec::new())
            }
        };
        outlet.tell(&ToParent::Returned { instance, outcome }, bytes);
    }
}

/// Requests whose answers have not come yet.
#[derive(Default)]
struct Pending {
    last: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<Response, ErrorKind>>>>,
}

impl Pending {
    fn answer(&self, request: u64, answer: Result<Head, ErrorKind>, body: Vec<u8>) -> Result<()> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&request);
        // Nobody waits any more when the guest gave it up.
        let Some(waiting) = waiting else { return Ok(()) };
        let response = match answer {
            Ok(head) => Ok(Response {
                status: http::StatusCode::from_u16(head.status).unwrap_or_default(),
                headers: heard(head.headers)?,
                body: body.into(),
            }),
            Err(kind) => Err(kind),
        };
        let _ = waiting.send(response);
        Ok(())
    }
}

/// The outlet of an instance here: whatever it asks for, the parent is asked.
struct Piped {
    instance: u64,
    sender: Sender,
    pending: Arc<Pending>,
    patience: Patience,
    revealed: BTreeMap<String, String>,
}

impl Piped {
    fn tell(&self, message: &ToParent, bytes: Vec<u8>) {
        if let Ok(frame) = Frame::new(message, bytes) {
            self.sender.send(frame);
        }
    }
}

impl Outlet for Piped {
    fn send(&self, sent: Request) -> Sending {
        let request = self.pending.last.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.pending.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(request, answer);
        let (method, url) = (sent.method.to_string(), sent.url.to_string());
        let headers = told(&sent.headers);
        let message = ToParent::Request { instance: self.instance, request, method, url, headers };
        self.tell(&message, sent.body.to_vec());
        Box::pin(async move { answered.await.unwrap_or(Err(ErrorKind::Interrupted)) })
    }

    fn failed(&self, error: Error) {
        self.tell(&ToParent::Failed { instance: self.instance, error: error.into() }, Vec::new());
    }

    fn say(&self, saying: Saying) {
        if !matches!(self.patience.hear(&saying), Heard::No) {
            self.tell(&ToParent::Said { instance: self.instance, saying }, Vec::new());
        }
    }

    fn reveal(&self, name: &str) -> Option<String> {
        self.revealed.get(name).cloned()
    }
}
