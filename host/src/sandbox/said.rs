//! What a guest prints to its standard error: the end of it is kept, for the error that a crash becomes.
//!
//! Must never refuse: who prints a lot is no criminal. Must never reach a terminal as it is (`text` is safe to show).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::printable;

/// A crash's message stands at the end of what was said.
const KEPT: usize = 4096;
/// What a guest may write at once.
const PERMIT: usize = 64 << 10;

#[derive(Clone, Default)]
pub(super) struct Said(Arc<Mutex<VecDeque<u8>>>);

impl Said {
    /// None: nothing was said.
    pub(super) fn text(&self) -> Option<String> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(kept.make_contiguous());
        let said = said.trim();
        (!said.is_empty()).then(|| printable(said))
    }
}

#[async_trait]
impl OutputStream for Said {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(&bytes[bytes.len().saturating_sub(KEPT)..]);
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[async_trait]
impl Pollable for Said {
    async fn ready(&mut self) {}
}

impl IsTerminal for Said {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Said {
    /// Of WASI 0.3, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}
