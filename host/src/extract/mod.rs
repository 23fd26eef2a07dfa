//! Extraction: streams → partitions → readers → pages, several at once, no faster than the consumer takes them.
//!
//! Every worker is an instance of the connector. Children are read before further pages of their parents, so that what is
//! pending stays small. Pages pass through as bytes.

mod queue;
mod remarks;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use indexmap::IndexMap;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use crate::egress::{Egress, Traffic};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Events;
use crate::mode::Beginning;
use crate::sandbox::{Connector, Instance, PageRecords, Partition};
use crate::state::{Names, State};
use crate::streams::Streams;
use queue::Queue;
pub use remarks::Remarks;

/// What happens to a pass, in the order in which it must be applied.
#[derive(Debug)]
pub struct Event {
    /// The number of the pass.
    pub pass: u64,
    /// What it happens to.
    pub stream: String,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    /// The partitions of a root stream that are to be read.
    Listed(Vec<Assignment>),
    Page(StreamPage),
    /// Nothing is left of a partition whose last page did not say so. Its last checkpoint is its state.
    PartitionDone {
        number: u64,
    },
    /// A partition is read from its beginning again: what its checkpoint pointed at is no longer there.
    PartitionAnew {
        number: u64,
    },
    /// Nothing is left of the stream.
    StreamDone,
    /// Nothing is left of the pass.
    PassDone,
    /// The pass is given up, and this one begins in its place: what a checkpoint of the stream pointed at is no longer
    /// there.
    Anew {
        pass: u64,
    },
    /// The stream failed, and with it its pass.
    Failed(Error),
}

#[derive(Debug)]
pub struct StreamPage {
    /// Of the assignment that it was read for.
    pub number: u64,
    /// Whether its records are wanted, and not only its children.
    pub wanted: bool,
    pub records: PageRecords,
    pub checkpoint: Option<String>,
    /// Nothing is left of the partition behind this page.
    pub last: bool,
    /// What is to be read of each child stream for this page's records.
    pub children: Vec<(String, Vec<Assignment>)>,
}

/// A partition to be read. Two may have one id, where a parent's record came twice: the number tells them apart within a
/// run.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub number: u64,
    pub partition: Partition,
    /// For whom it is read: consumers who have come equally far with it.
    pub consumers: Names,
}

/// What one stream did so far; read by progress and report.
#[derive(Debug, Default)]
pub struct StreamActivity {
    pub traffic: Arc<Traffic>,
    pub pages: AtomicU64,
    pub records: AtomicU64,
    pub done: AtomicBool,
}

/// What it takes to make an instance. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    pub connector: Connector,
    /// The configuration without secrets, as JSON.
    pub config: String,
    pub egress: Arc<Egress>,
    /// What its instances say.
    pub remarks: Arc<Remarks>,
    /// Where requests are waited for.
    pub io: tokio::runtime::Handle,
}

/// Asked between pages whether the run goes on, and told of passes that the consumer gave up.
#[derive(Clone)]
pub struct Control {
    queue: Arc<Queue>,
}

impl Control {
    /// Lets every worker stop after its page.
    pub fn stop(&self) {
        self.queue.stop();
    }

    pub fn is_stopped(&self) -> bool {
        self.queue.is_stopped()
    }

    pub fn give_up(&self, pass: u64) {
        self.queue.give_up(pass);
    }

    /// Gives up the passes of these consumers.
    pub fn give_up_consumers(&self, consumers: &Names) {
        for pass in self.queue.passes_of(consumers) {
            self.queue.give_up(pass);
        }
    }
}

/// An extraction about to begin.
pub struct Extraction {
    source: Arc<Source>,
    streams: Streams,
    queue: Arc<Queue>,
    state: Arc<State>,
    passes: Vec<u64>,
    events: Events,
    pub activity: Arc<IndexMap<String, StreamActivity>>,
}

impl Extraction {
    pub fn new(source: Source, streams: &Streams, beginning: &Beginning, events: Events) -> Self {
        let queue = Queue::new(streams.clone(), &beginning.state, &beginning.passes);
        let reads: Vec<_> = beginning.passes.iter().filter_map(|pass| queue.reads(*pass)).collect();
        let is_read = |name: &String| reads.iter().any(|reads| reads.streams.contains(name));
        let read = streams.iter().map(|spec| spec.name.clone()).filter(is_read);
        Self {
            source: Arc::new(source),
            streams: streams.clone(),
            queue: Arc::new(queue),
            state: Arc::new(beginning.state.clone()),
            passes: beginning.passes.clone(),
            events,
            activity: Arc::new(read.map(|name| (name, StreamActivity::default())).collect()),
        }
    }

    pub fn control(&self) -> Control {
        Control { queue: self.queue.clone() }
    }

    /// Reads everything; ends when all passes are done, given up or stopped. An error is one of the host's own: those of a
    /// stream are events.
    pub async fn run(self, concurrency: usize, consumer: mpsc::Sender<Event>) -> Result<()> {
        let worker = worker::Worker {
            source: self.source,
            streams: self.streams,
            queue: self.queue.clone(),
            state: self.state,
            activity: self.activity,
            consumer,
            events: self.events,
        };
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..concurrency.max(1) {
            workers.spawn(worker.clone().run().in_current_span());
        }
        worker.begin(&self.passes).await;
        drop(worker);
        while let Some(outcome) = workers.join_next().await {
            if let Err(panic) = outcome {
                self.queue.stop();
                return Err(Error::new(ErrorKind::Internal, "a worker broke down").with_source(panic));
            }
        }
        Ok(())
    }
}

impl Source {
    /// A fresh instance with the configuration opened. Its requests count for `traffic`.
    pub async fn instance(&self, traffic: Arc<Traffic>) -> Result<Instance> {
        let mut instance =
            Instance::new(&self.connector, Some(self.egress.clone()), traffic, self.remarks.sink(), self.io.clone())
                .await?;
        instance.open(&self.config).await?;
        Ok(instance)
    }
}
