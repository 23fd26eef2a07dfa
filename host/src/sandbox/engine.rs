//! The wasmtime engine: its settings, and the thread that makes guests yield.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use wasmtime::Config;
use wasmtime::component::Component;

use super::limits::MemoryBudget;
use crate::config::settings::Limits;
use crate::error::{Error, ErrorKind, Result};
use crate::isolation::Program;

/// Length of an epoch: how long a guest computes before others get their turn.
const TICK: Duration = Duration::from_millis(10);

/// Compiles and runs connectors. Cheap to clone; its ticking thread ends with the last one.
#[derive(Clone)]
pub struct Engine {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) limits: Arc<Limits>,
    pub(super) memory: Arc<MemoryBudget>,
    /// Connectors are compiled and run in a child process, and here never.
    pub(super) isolation: Option<Program>,
    /// What was compiled and is in use, by digest.
    pub(super) components: Arc<Mutex<HashMap<String, Weak<Component>>>>,
    _ticker: Arc<Ticker>,
}

impl Engine {
    pub fn new(limits: &Limits) -> Result<Self> {
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .epoch_interruption(true)
            .max_wasm_stack(512 << 10)
            .async_stack_size(2 << 20)
            // A trap is shown with its functions' names. The rest would be a sixth of what is read at every start.
            .generate_address_map(false)
            .native_unwind_info(false)
            .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(20));
        let wasmtime = wasmtime::Engine::new(&config).map_err(|source| {
            Error::new(ErrorKind::Internal, "the WebAssembly engine can't start").with_source(source.to_string())
        })?;
        let ticker = Ticker::start(wasmtime.clone())
            .map_err(|source| Error::new(ErrorKind::Internal, "the epoch thread can't start").with_source(source))?;
        let memory = Arc::new(MemoryBudget::new(limits.total_memory_bytes));
        Ok(Self {
            wasmtime,
            limits: Arc::new(limits.clone()),
            memory,
            isolation: None,
            components: Arc::default(),
            _ticker: Arc::new(ticker),
        })
    }

    /// The same engine under other limits: what runs with it has memory of its own.
    #[must_use]
    pub fn limited(&self, limits: &Limits) -> Self {
        let memory = Arc::new(MemoryBudget::new(limits.total_memory_bytes));
        Self { limits: Arc::new(limits.clone()), memory, ..self.clone() }
    }

    /// With a program: connectors are compiled and run in a child process of it.
    #[must_use]
    pub fn isolated(self, program: Option<Program>) -> Self {
        Self { isolation: program, ..self }
    }
}

/// Counts epochs on a thread of its own: a timer of the async runtime would stand still while a guest computes.
struct Ticker {
    stop: Arc<AtomicBool>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::Builder::new().name("epochs".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                engine.increment_epoch();
            }
        })?;
        Ok(Self { stop })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
