//! One worker: takes a partition from the queue, reads its pages, lists the children of each, passes both on.
//!
//! It keeps its instance from partition to partition and drops it on any error.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use indexmap::IndexMap;
use tokio::sync::mpsc;

use super::queue::{Job, Queue, Verdict};
use super::{Event, Source, StreamActivity, StreamPage};
use crate::error::{Error, Result};
use crate::sandbox::Instance;
use crate::state::State;

pub(super) struct Worker {
    pub(super) source: Arc<Source>,
    pub(super) queue: Arc<Queue>,
    pub(super) state: Arc<State>,
    pub(super) activity: Arc<IndexMap<String, StreamActivity>>,
    pub(super) events: mpsc::Sender<Event>,
}

impl Worker {
    pub(super) async fn run(self) {
        // The stream that an instance's requests count for is fixed when it is made.
        let mut idle: Option<(String, Instance)> = None;
        while let Some(mut job) = self.queue.take().await {
            let stream = job.stream.clone();
            let ready = match (job.paused.take(), idle.take()) {
                (Some(instance), _) => Ok((instance, true)),
                (None, Some((of, instance))) if of == stream => Ok((instance, false)),
                _ => {
                    self.source.instance(self.activity[&stream].traffic.clone()).await.map(|instance| (instance, false))
                }
            };
            let outcome = match ready {
                Ok((instance, begun)) => self.read(job, instance, begun).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(instance) => idle = instance.map(|instance| (stream, instance)),
                Err(error) => {
                    let family = self.queue.give_up(&stream);
                    if !family.is_empty() {
                        let error = error.with_context("stream", stream.clone());
                        let _ = self.events.send(Event::Failed { family, stream, error }).await;
                    }
                }
            }
        }
    }

    /// Reads a partition to its end, or until it has to pause or stop. Gives the instance back if it is free again.
    async fn read(&self, mut job: Job, mut instance: Instance, begun: bool) -> Result<Option<Instance>> {
        if !begun {
            let partition = &job.assignment.partition;
            let checkpoint = job.checkpoint.as_deref().or_else(|| self.state.of_partition(&job.stream, &partition.id));
            instance.read(&job.stream, partition, checkpoint).await?;
        }
        let told = loop {
            match self.queue.goes_on(&job.stream) {
                Verdict::GoOn => {}
                Verdict::Stop => return Ok(None),
                Verdict::Pause => {
                    job.paused = Some(instance);
                    self.queue.pause(job);
                    return Ok(None);
                }
            }
            // A page that is still on its way when the run is stopped is not waited for: the API may be pausing us.
            let page = tokio::select! {
                page = instance.next() => page?,
                () = self.queue.stopped() => return Ok(None),
            };
            let Some(page) = page else { break false };
            let last = page.last;
            let mut children = Vec::new();
            for child in self.queue.children(&job.stream) {
                let partitions =
                    instance.partitions(&child.name, Some(page.masked()), self.state.combined(&child.name)).await;
                let partitions = partitions.map_err(|error| error.with_context("stream", child.name.clone()))?;
                children.push((child.name.clone(), self.queue.number(partitions)));
            }
            self.activity[&job.stream].pages.fetch_add(1, Ordering::Relaxed);
            let jobs = children.clone();
            self.send(Event::Page(StreamPage {
                stream: job.stream.clone(),
                number: job.assignment.number,
                checkpoint: page.checkpoint.clone(),
                records: page.into_whole(),
                last,
                children,
            }))
            .await?;
            // Only after the page: a child's page must not come before it.
            for (child, assignments) in jobs {
                self.queue.add(&child, assignments.into_iter().map(|assignment| (assignment, None)).collect());
            }
            if last {
                break true;
            }
        };
        if !told {
            self.send(Event::PartitionDone { stream: job.stream.clone(), number: job.assignment.number }).await?;
        }
        for stream in self.queue.done(&job.stream) {
            self.activity[&stream].done.store(true, Ordering::Relaxed);
            self.send(Event::StreamDone { stream }).await?;
        }
        Ok(Some(instance))
    }

    async fn send(&self, event: Event) -> Result<()> {
        self.events.send(event).await.map_err(|_| {
            self.queue.stop();
            Error::new(crate::error::ErrorKind::Interrupted, "the run is over")
        })
    }
}
