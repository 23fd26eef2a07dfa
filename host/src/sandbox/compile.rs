//! From a component's bytes to native code, within a time limit.
//!
//! Nothing can stop a compiler from the outside, so it works on a thread of its own, and who waits too long gives up:
//! the error ends the program, and the thread with it. Must never be given bytes whose size nobody has checked.

use std::sync::{Arc, PoisonError, Weak, mpsc};
use std::time::Duration;

use wasmtime::component::Component;

use super::{Engine, cache};
use crate::error::{Error, ErrorKind, Result};

/// The component of `bytes`: in use already, or kept, or compiled.
pub(super) fn compiled(engine: &Engine, bytes: &[u8], digest: &str) -> Result<Arc<Component>> {
    let in_use = || engine.components.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(component) = in_use().get(digest).and_then(Weak::upgrade) {
        return Ok(component);
    }
    let component = Arc::new(kept_or_compiled(engine, bytes, digest)?);
    let mut in_use = in_use();
    in_use.retain(|_, component| component.strong_count() > 0);
    in_use.insert(digest.to_owned(), Arc::downgrade(&component));
    Ok(component)
}

fn kept_or_compiled(engine: &Engine, bytes: &[u8], digest: &str) -> Result<Component> {
    let place = cache::Place::Here;
    if let Some(code) = cache::find(&engine.wasmtime, digest, place)
        && let Some(component) = code.load(&engine.wasmtime)
    {
        return Ok(component);
    }
    let component = compile(engine, bytes.to_owned())?;
    cache::keep(&engine.wasmtime, digest, place, || component.serialize());
    Ok(component)
}

/// Errors: it takes too long (`LimitExceeded`), or is no component (`Connector`).
pub(super) fn compile(engine: &Engine, bytes: Vec<u8>) -> Result<Component> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let compiler = engine.wasmtime.clone();
    std::thread::Builder::new()
        .name("compiler".to_owned())
        // Nobody receives what comes too late.
        .spawn(move || drop(sender.send(Component::new(&compiler, &bytes))))
        .map_err(|source| Error::new(ErrorKind::Internal, "the compiler can't start").with_source(source))?;
    let limit = engine.limits.compile_secs;
    let outcome = receiver.recv_timeout(Duration::from_secs_f64(limit)).map_err(|given_up| match given_up {
        mpsc::RecvTimeoutError::Timeout => {
            Error::new(ErrorKind::LimitExceeded, format!("the component takes longer than {limit} s to compile"))
                .with_help("raise host.limits.compile_secs, if you trust where it comes from")
        }
        mpsc::RecvTimeoutError::Disconnected => Error::new(ErrorKind::Connector, "the component crashes the compiler"),
    })?;
    outcome.map_err(|source| {
        Error::new(ErrorKind::Connector, "the component can't be compiled").with_source(source.to_string())
    })
}
