//! A run under way: watched, stopped, waited for. It stops when it is dropped.

use std::sync::{Arc, Mutex, PoisonError};

use futures::Stream;
use tokio::sync::oneshot;

use super::{Connection, RunOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Events, RunEvent, Watchers};
use crate::extract::Control;
use crate::pipeline::{Activity, UnderWay};
use crate::report::Report;

pub struct Run {
    handle: RunHandle,
    begun: Option<oneshot::Receiver<UnderWay>>,
    report: oneshot::Receiver<Report>,
}

/// Watches and stops a run from elsewhere. Cheap to clone; keeps nothing of the run alive.
#[derive(Clone)]
pub struct RunHandle {
    stopping: Arc<Mutex<Stopping>>,
    watchers: Watchers,
}

#[derive(Default)]
struct Stopping {
    wanted: bool,
    control: Option<Control>,
}

impl RunHandle {
    /// What happens from now on, until the run is over.
    pub fn events(&self) -> impl Stream<Item = RunEvent> + Send + use<> {
        self.watchers.listen()
    }

    /// Ends the run after the pages that it holds. What is loaded is whole, and the next run goes on from there.
    pub fn stop(&self) {
        let mut stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        stopping.wanted = true;
        if let Some(control) = &stopping.control {
            control.stop();
        }
    }

    fn takes(&self, control: Control) {
        let mut stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        if stopping.wanted {
            control.stop();
        }
        stopping.control = Some(control);
    }
}

impl Connection {
    /// Begins a run on threads of its own. No other run of the pipeline into this destination can begin on this machine
    /// before it is over.
    ///
    /// Errors: a name, stream or destination that is none (`Usage`); a destination that can't do what the streams want
    /// (`Config`) or can't be reached (`Unavailable`); another run under way (`Busy`).
    pub async fn run(self, options: RunOptions) -> Result<Run> {
        let host = self.host.clone();
        let pipeline = host.blocking(move || self.pipeline(options)).await?;
        let events = Events::default();
        let handle = RunHandle { stopping: Arc::default(), watchers: events.watchers() };
        let (begins, begun) = oneshot::channel();
        let (done, report) = oneshot::channel();
        let stops = handle.clone();
        let work = move || {
            let report = pipeline.run(&host, &events, |under_way| {
                stops.takes(under_way.control.clone());
                // Not everybody wants to see it.
                drop(begins.send(under_way));
            });
            drop(events);
            // Whoever asked for it may be gone.
            drop(done.send(report));
        };
        std::thread::Builder::new()
            .name("run".to_owned())
            .spawn(work)
            .map_err(|source| Error::new(ErrorKind::Internal, "no thread for the run").with_source(source))?;
        Ok(Run { handle, begun: Some(begun), report })
    }
}

impl Run {
    pub fn handle(&self) -> RunHandle {
        self.handle.clone()
    }

    /// What each stream did so far, from when reading begins. None: it never began, or was asked for already.
    pub async fn activity(&mut self) -> Option<Arc<Activity>> {
        self.begun.take()?.await.ok().map(|under_way| under_way.activity)
    }

    /// Its report. It comes also when streams fail: look at `exit_code()`, `failure`, and each stream's `error`.
    pub async fn finished(mut self) -> Report {
        let broken = || Report {
            failure: Some(Error::new(ErrorKind::Internal, "the thread of the run broke down")),
            ..Report::default()
        };
        (&mut self.report).await.unwrap_or_else(|_| broken())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.handle.stop();
    }
}
