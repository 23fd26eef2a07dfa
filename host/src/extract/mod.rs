//! Extraction: streams → partitions → readers → pages, several at once, no faster than the consumer takes them.
//!
//! Every worker is an instance of the connector. Children are read before further pages of their parents, so that what is
//! pending stays small. Must never look into a record: pages pass through as bytes.

mod queue;
mod remarks;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use indexmap::IndexMap;
use tokio::sync::mpsc;

use crate::egress::{Egress, Traffic};
use crate::error::{Error, Result};
use crate::sandbox::{Connector, Instance, PageRecords, Partition};
use crate::schema::StreamSpec;
use crate::state::State;
use queue::Queue;
pub use remarks::Remarks;

/// What happens to a stream, in the order in which it must be applied.
#[derive(Debug)]
pub enum Event {
    /// The partitions of a root stream that are to be read.
    Listed {
        stream: String,
        partitions: Vec<Assignment>,
    },
    Page(StreamPage),
    /// Nothing is left of a partition whose last page did not say so. Its last checkpoint is its state.
    PartitionDone {
        stream: String,
        number: u64,
    },
    /// Nothing is left of a stream.
    StreamDone {
        stream: String,
    },
    /// A stream failed, and with it all of its family: the root, and whatever hangs on it.
    Failed {
        family: Vec<String>,
        stream: String,
        error: Error,
    },
}

#[derive(Debug)]
pub struct StreamPage {
    pub stream: String,
    /// Of the assignment that it was read for.
    pub number: u64,
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

/// Asked between pages whether the run goes on, and told of streams that the consumer gave up.
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

    /// Gives up a stream and its family. Says which streams these are; empty if they were given up before.
    pub fn give_up(&self, stream: &str) -> Vec<String> {
        self.queue.give_up(stream)
    }
}

/// An extraction about to begin.
pub struct Extraction {
    source: Arc<Source>,
    queue: Arc<Queue>,
    state: Arc<State>,
    pub activity: Arc<IndexMap<String, StreamActivity>>,
}

impl Extraction {
    /// `streams`: those to be read, parents before children. `state`: as the destination has it.
    pub fn new(source: Source, streams: Vec<StreamSpec>, state: State) -> Self {
        let activity = streams.iter().map(|stream| (stream.name.clone(), StreamActivity::default())).collect();
        Self {
            source: Arc::new(source),
            queue: Arc::new(Queue::new(streams, state.next_number())),
            state: Arc::new(state),
            activity: Arc::new(activity),
        }
    }

    pub fn control(&self) -> Control {
        Control { queue: self.queue.clone() }
    }

    /// Reads everything; ends when all streams are done, given up or stopped. An error is one of the host's own: those of
    /// a stream are events.
    pub async fn run(self, concurrency: usize, events: mpsc::Sender<Event>) -> Result<()> {
        self.list(&events).await?;
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..concurrency.max(1) {
            let worker = worker::Worker {
                source: self.source.clone(),
                queue: self.queue.clone(),
                state: self.state.clone(),
                activity: self.activity.clone(),
                events: events.clone(),
            };
            workers.spawn(worker.run());
        }
        while let Some(outcome) = workers.join_next().await {
            if let Err(panic) = outcome {
                self.queue.stop();
                return Err(Error::new(crate::error::ErrorKind::Internal, "a worker broke down").with_source(panic));
            }
        }
        Ok(())
    }

    /// Fills the queue: what an unfinished run left, and for every other root stream its partitions.
    async fn list(&self, events: &mpsc::Sender<Event>) -> Result<()> {
        let mut instance = None;
        for stream in self.queue.streams() {
            if let Some(progress) = self.state.run.as_ref().and_then(|run| run.streams.get(&stream.name)) {
                let jobs = progress.pending.iter().map(|pending| {
                    let partition = Partition { id: pending.id.clone(), data: pending.data.clone() };
                    (Assignment { number: pending.number, partition }, pending.checkpoint.clone())
                });
                self.queue.add(&stream.name, jobs.collect());
                continue;
            }
            if stream.parent.is_some() {
                continue;
            }
            let listed = async {
                let instance = match &mut instance {
                    Some(instance) => instance,
                    None => instance.insert(self.source.instance(Arc::default()).await?),
                };
                instance.partitions(&stream.name, None, self.state.combined(&stream.name)).await
            }
            .await;
            match listed {
                Ok(partitions) => {
                    let partitions = self.queue.number(partitions);
                    let jobs = partitions.iter().map(|assignment| (assignment.clone(), None)).collect();
                    let _ = events.send(Event::Listed { stream: stream.name.clone(), partitions }).await;
                    self.queue.add(&stream.name, jobs);
                }
                Err(error) => {
                    let error = error.with_context("stream", stream.name.clone());
                    instance = None;
                    let family = self.queue.give_up(&stream.name);
                    let _ = events.send(Event::Failed { family, stream: stream.name.clone(), error }).await;
                }
            }
        }
        for done in self.queue.listed() {
            self.activity[&done].done.store(true, Ordering::Relaxed);
            let _ = events.send(Event::StreamDone { stream: done }).await;
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
