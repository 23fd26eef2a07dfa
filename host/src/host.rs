//! What runs share: the WebAssembly engine with its ticking thread, and the threads that guests compute on and requests are
//! waited for on. A program makes one of these, and opens any number of connections with it.

use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::config::settings::Limits;
use crate::error::{Error, ErrorKind, Result};
use crate::isolation::Program;
use crate::sandbox::Engine;

/// Cheap to clone; may be dropped anywhere, also by a task of an async runtime.
#[derive(Clone)]
pub struct Host(Arc<Shared>);

struct Shared {
    engine: Engine,
    program: Option<Program>,
    /// Guests compute here, and hold nothing else up.
    guests: Handle,
    /// The network is waited for here.
    io: Handle,
    runtimes: Vec<Runtime>,
}

impl Host {
    /// Errors (`Internal`): no threads, no memory.
    pub fn new() -> Result<Self> {
        Self::made(None)
    }

    /// With a program that isolated processes are started from: one whose `main` begins with [`crate::isolated::serve`].
    ///
    /// Errors: as of [`Host::new`].
    pub fn with_program(program: Program) -> Result<Self> {
        Self::made(Some(program))
    }

    fn made(program: Option<Program>) -> Result<Self> {
        let failed = |source: std::io::Error| Error::new(ErrorKind::Internal, "no runtime").with_source(source);
        let cores = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
        let runtime = |name: &'static str, threads: usize| {
            Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build().map_err(failed)
        };
        let (guests, io) = (runtime("guests", cores)?, runtime("io", 2)?);
        Ok(Self(Arc::new(Shared {
            engine: Engine::new(&Limits::default())?,
            program,
            guests: guests.handle().clone(),
            io: io.handle().clone(),
            runtimes: vec![guests, io],
        })))
    }

    /// Waits for something, on a thread that belongs to no async runtime.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.guests().block_on(work)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The program for isolated processes, if they are wanted.
    ///
    /// Errors (`Usage`): they are wanted, and there is none.
    pub(crate) fn isolation(&self, is_wanted: bool) -> Result<Option<Program>> {
        match (is_wanted, &self.0.program) {
            (true, None) => Err(Error::new(ErrorKind::Usage, "there is no program to start isolated processes from")
                .with_help("make the host with Host::with_program")),
            (true, program) => Ok(program.clone()),
            (false, _) => Ok(None),
        }
    }

    pub(crate) fn guests(&self) -> &Handle {
        &self.0.guests
    }

    pub(crate) fn io(&self) -> &Handle {
        &self.0.io
    }

    /// Does this where guests compute, whatever runtime the caller has.
    pub(crate) async fn with_guests<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        done(self.guests().spawn(work).await)
    }

    /// Does what blocks on a thread of its own.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        done(self.io().spawn_blocking(work).await)
    }
}

fn done<T>(outcome: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    outcome.map_err(|source| Error::new(ErrorKind::Internal, "a task broke down").with_source(source))?
}

impl Drop for Shared {
    /// A runtime may not wait for its threads where others wait for it.
    fn drop(&mut self) {
        self.runtimes.drain(..).for_each(Runtime::shutdown_background);
    }
}
