//! One worker: takes a partition from the queue, reads its pages, lists the children of each, passes both on.
//!
//! It keeps its instance from partition to partition and drops it on any error, and whenever a call is given up because
//! the run is stopped.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use indexmap::IndexMap;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::queue::{Ended, Job, Queue, Reads, Verdict};
use super::{Assignment, Event, Source, StreamActivity, StreamPage, What};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Events, RunEvent};
use crate::sandbox::{Instance, Partition};
use crate::state::{Names, State};
use crate::streams::Streams;

/// Characters of a partition's name in log lines.
const SHOWN: usize = 60;

#[derive(Clone)]
pub(super) struct Worker {
    pub(super) source: Arc<Source>,
    pub(super) streams: Streams,
    pub(super) queue: Arc<Queue>,
    pub(super) state: Arc<State>,
    pub(super) activity: Arc<IndexMap<String, StreamActivity>>,
    pub(super) consumer: mpsc::Sender<Event>,
    pub(super) events: Events,
}

impl Worker {
    pub(super) async fn run(self) {
        // The stream that an instance's requests count for is fixed when it is made.
        let mut idle: Option<(String, Instance)> = None;
        while let Some(mut job) = self.queue.take().await {
            let stream = job.stream.clone();
            let ready = match (job.paused.take(), idle.take()) {
                (Some(instance), _) => Some(Ok((instance, true))),
                (None, Some((of, instance))) if of == stream => Some(Ok((instance, false))),
                _ => {
                    let made = self.source.instance(self.activity[&stream].traffic.clone());
                    self.unless_stopped(async { made.await.map(|instance| (instance, false)) }).await
                }
            };
            let (pass, assignment) = (job.pass, job.assignment.clone());
            let was_resumed = job.checkpoint.is_some();
            let outcome = match ready {
                None => return,
                Some(Ok((instance, begun))) => {
                    let id = &job.assignment.partition.id;
                    let span =
                        tracing::info_span!("partition", %stream, id = id.chars().take(SHOWN).collect::<String>());
                    self.read(job, instance, begun).instrument(span).await
                }
                Some(Err(error)) => Err(error),
            };
            match outcome {
                Ok(free) => idle = free.map(|instance| (stream, instance)),
                Err(error) if error.kind() == ErrorKind::Moved && was_resumed => {
                    self.begin_anew(pass, stream, assignment).await;
                }
                Err(error) => self.fail(pass, stream, error).await,
            }
        }
    }

    /// Fills the queue: with what earlier runs left of a pass, and with the partitions of roots that are not listed yet.
    pub(super) async fn begin(&self, passes: &[u64]) {
        for &number in passes {
            let Some(reads) = self.queue.reads(number) else { continue };
            let stored = self.state.passes.get(&number);
            for name in &reads.streams {
                let progress = stored.and_then(|pass| pass.streams.get(name));
                if let Some(progress) = progress {
                    let jobs = progress.pending.iter().map(|(number, pending)| {
                        let partition = Partition { id: pending.id.clone(), data: pending.data.clone() };
                        let assignment =
                            Assignment { number: *number, partition, consumers: pending.consumers.clone() };
                        (assignment, pending.checkpoint.clone())
                    });
                    self.queue.add(number, name, jobs.collect());
                }
                let is_root = self.streams.get(name).is_some_and(|spec| spec.parent.is_none());
                if !is_root || progress.is_some_and(|progress| progress.listed) {
                    continue;
                }
                match self.unless_stopped(self.roots(name)).await {
                    None => return,
                    Some(Ok(partitions)) => {
                        let consumers = self.streams.served(name, &reads.consumers);
                        let assignments = self.assigned(&reads, name, &consumers, partitions);
                        let jobs = assignments.iter().map(|assignment| (assignment.clone(), None)).collect();
                        self.send_or_stop(number, name, What::Listed(assignments)).await;
                        self.queue.add(number, name, jobs);
                    }
                    Some(Err(error)) => self.fail(number, name.clone(), error).await,
                }
            }
            let ended = self.queue.listed(number);
            self.tell(number, ended).await;
        }
    }

    /// Reads a partition to its end, or until it has to pause or stop. Gives the instance back if it is free again.
    async fn read(&self, mut job: Job, mut instance: Instance, begun: bool) -> Result<Option<Instance>> {
        let Assignment { number, partition, consumers } = job.assignment.clone();
        let Some(reads) = self.queue.reads(job.pass) else { return Ok(Some(instance)) };
        if !begun {
            let checkpoint = job.checkpoint.as_deref().or_else(|| self.position(&reads, &job.stream, &job.assignment));
            let begins = instance.read(&job.stream, &partition, checkpoint);
            match self.unless_stopped(begins).await {
                None => return Ok(None),
                Some(outcome) => outcome?,
            }
        }
        let told = loop {
            match self.queue.goes_on(job.pass, &job.stream) {
                Verdict::GoOn => {}
                Verdict::Stop => return Ok(None),
                Verdict::Pause => {
                    job.paused = Some(instance);
                    self.queue.put_back(job);
                    return Ok(None);
                }
            }
            // A page that is still on its way when the run is stopped is not waited for: the API may be pausing us.
            let Some(page) = self.unless_stopped(instance.next()).await else { return Ok(None) };
            let Some(page) = page? else { break false };
            let mut children = Vec::new();
            for child in self.streams.children(&job.stream) {
                let served = self.streams.served(&child.name, &consumers);
                if served.is_empty() {
                    continue;
                }
                let listed = instance.partitions(&child.name, Some(page.masked()));
                let Some(listed) = self.unless_stopped(listed).await else { return Ok(None) };
                let listed = listed.map_err(|error| error.with_context("stream", child.name.clone()))?;
                children.push((child.name.clone(), self.assigned(&reads, &child.name, &served, listed)));
            }
            self.activity[&job.stream].pages.fetch_add(1, Ordering::Relaxed);
            let (last, jobs) = (page.last, children.clone());
            self.events.tell(|| RunEvent::Page {
                stream: job.stream.clone(),
                partition: partition.id.clone(),
                bytes: page.whole().bytes().len() as u64,
            });
            let page = StreamPage {
                number,
                wanted: consumers.contains(&job.stream),
                checkpoint: page.checkpoint.clone(),
                records: page.into_whole(),
                last,
                children,
            };
            self.send(job.pass, &job.stream, What::Page(page)).await?;
            // Only after the page: a child's page must not come before it.
            for (child, assignments) in jobs {
                let jobs = assignments.into_iter().map(|assignment| (assignment, None)).collect();
                self.queue.add(job.pass, &child, jobs);
            }
            if last {
                break true;
            }
        };
        if !told {
            self.send(job.pass, &job.stream, What::PartitionDone { number }).await?;
        }
        self.events.tell(|| RunEvent::PartitionDone { stream: job.stream.clone(), partition: partition.id.clone() });
        let ended = self.queue.done(job.pass, &job.stream);
        self.tell(job.pass, ended).await;
        Ok(Some(instance))
    }

    /// What a checkpoint pointed at is no longer there. Where records may come twice, the partition begins again; else the
    /// whole pass, so that what it has appended can be taken back.
    async fn begin_anew(&self, pass: u64, stream: String, assignment: Assignment) {
        let Some(reads) = self.queue.reads(pass) else { return };
        let twice = |consumer: &String| self.streams.get(consumer).is_some_and(|spec| spec.may_be_read_twice());
        if !reads.full_refresh && assignment.consumers.iter().all(twice) {
            self.send_or_stop(pass, &stream, What::PartitionAnew { number: assignment.number }).await;
            self.queue.put_back(Job { pass, stream, assignment, checkpoint: None, paused: None });
            return;
        }
        let Some(anew) = self.queue.begin_anew(pass) else { return };
        self.send_or_stop(pass, &stream, What::Anew { pass: anew }).await;
        self.begin(&[anew]).await;
    }

    /// The partitions of a root stream.
    async fn roots(&self, stream: &str) -> Result<Vec<Partition>> {
        let mut instance = self.source.instance(self.activity[stream].traffic.clone()).await?;
        instance.partitions(stream, None).await
    }

    /// Consumers who have come to different places in a partition get it each for themselves.
    fn assigned(&self, reads: &Reads, stream: &str, consumers: &Names, partitions: Vec<Partition>) -> Vec<Assignment> {
        let mut assignments = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let mut groups: Vec<(Option<&str>, Names)> = Vec::new();
            for consumer in consumers {
                let position = (!reads.full_refresh).then(|| self.state.position(stream, consumer, &partition.id));
                let position = position.flatten();
                match groups.iter_mut().find(|(other, _)| *other == position) {
                    Some((_, group)) => drop(group.insert(consumer.clone())),
                    None => groups.push((position, Names::from([consumer.clone()]))),
                }
            }
            assignments.extend(groups.into_iter().map(|(_, consumers)| Assignment {
                number: self.queue.next_number(),
                partition: partition.clone(),
                consumers,
            }));
        }
        assignments
    }

    /// Where its consumers, all of them, have come to.
    fn position(&self, reads: &Reads, stream: &str, assignment: &Assignment) -> Option<&str> {
        let consumer = assignment.consumers.first().filter(|_| !reads.full_refresh)?;
        self.state.position(stream, consumer, &assignment.partition.id)
    }

    async fn fail(&self, pass: u64, stream: String, error: Error) {
        if self.queue.give_up(pass) {
            let error = error.with_context("stream", stream.clone());
            self.events.tell(|| RunEvent::StreamFailed {
                stream: stream.clone(),
                kind: error.kind(),
                message: error.message().to_owned(),
            });
            self.send_or_stop(pass, &stream, What::Failed(error)).await;
        }
    }

    async fn tell(&self, pass: u64, ended: Ended) {
        for stream in &ended.streams {
            self.activity[stream].done.store(true, Ordering::Relaxed);
            self.events.tell(|| RunEvent::StreamDone { stream: stream.clone() });
            self.send_or_stop(pass, stream, What::StreamDone).await;
        }
        if let Some(stream) = ended.streams.last().filter(|_| ended.pass) {
            self.send_or_stop(pass, stream, What::PassDone).await;
        }
    }

    /// None: the run was stopped before.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.queue.stopped() => None,
        }
    }

    async fn send_or_stop(&self, pass: u64, stream: &str, what: What) {
        // Nobody listens any more: the queue is stopped, and everybody will see it.
        let _ = self.send(pass, stream, what).await;
    }

    async fn send(&self, pass: u64, stream: &str, what: What) -> Result<()> {
        let event = Event { pass, stream: stream.to_owned(), what };
        self.consumer.send(event).await.map_err(|_| {
            self.queue.stop();
            Error::new(ErrorKind::Interrupted, "the run is over")
        })
    }
}
