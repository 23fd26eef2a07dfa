//! What happens in a run, for whoever watches it: a stream of events that nobody has to read, and that nobody can hold up.

use futures::Stream;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::error::ErrorKind;

/// How many are kept for a slow reader.
const KEPT: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEvent {
    /// A page was read.
    Page { stream: String, partition: String, bytes: u64 },
    /// Nothing is left of a partition.
    PartitionDone { stream: String, partition: String },
    /// Nothing is left of a stream; its last rows may still be on their way.
    StreamDone { stream: String },
    /// A stream failed, and with it its family.
    StreamFailed { stream: String, kind: ErrorKind, message: String },
    /// A package was loaded: its rows are there to stay.
    Loaded { load_id: String, rows: u64 },
    /// The reader was too slow for so many.
    Missed(u64),
}

/// Where a run tells what happens.
#[derive(Debug, Clone)]
pub struct Events(broadcast::Sender<RunEvent>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }
}

impl Events {
    /// `event` is asked for only if somebody listens.
    pub(crate) fn tell(&self, event: impl FnOnce() -> RunEvent) {
        if self.0.receiver_count() > 0 {
            // Whoever listened may have left since.
            let _ = self.0.send(event());
        }
    }

    pub(crate) fn watchers(&self) -> Watchers {
        Watchers(self.0.downgrade())
    }
}

/// Whoever listens may do so longer than the run is there.
#[derive(Debug, Clone)]
pub(crate) struct Watchers(broadcast::WeakSender<RunEvent>);

impl Watchers {
    /// From now on, until the run is over.
    pub(crate) fn listen(&self) -> impl Stream<Item = RunEvent> + Send + use<> {
        let receiver = self.0.upgrade().map(|events| events.subscribe());
        futures::stream::unfold(receiver, |receiver| async move {
            let mut receiver = receiver?;
            let event = match receiver.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(missed)) => RunEvent::Missed(missed),
                Err(RecvError::Closed) => return None,
            };
            Some((event, Some(receiver)))
        })
    }
}
