//! One running copy of a connector: the contract's functions as typed calls, each within its limits.
//!
//! After any failure of the sandbox itself the instance is dead and must be dropped; an error that the connector
//! returns leaves it usable.

use std::sync::Arc;

use super::bindings::airlock::connector::types;
use super::bindings::exports::airlock::connector::source;
use super::call::{Answer, Call, Returned};
use super::component::Code;
use super::inside::Inside;
use super::isolated;
use super::outlet::Lent;
use super::spec;
use super::{Connector, GrantRequest, LogSink, Page, PageRecords, Partition, failure, printable};
use crate::config::settings::Limits;
use crate::egress::{Egress, Traffic};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::StreamSpec;

/// What a connector says of itself.
#[derive(Debug, Clone)]
pub struct Description {
    pub name: String,
    pub version: String,
    pub summary: String,
    /// JSON Schema.
    pub config_schema: serde_json::Value,
}

pub struct Instance {
    copy: Copy,
    lent: Arc<Lent>,
    /// Of the reader's last page, and how many pages in a row it stood still.
    last_checkpoint: Option<String>,
    stalled: usize,
    limits: Arc<Limits>,
}

/// Where it runs.
enum Copy {
    Inside(Box<Inside>),
    Isolated(isolated::Remote),
}

impl Instance {
    /// `egress`: none where no request is allowed. `io`: the runtime that waits for the network.
    pub async fn new(
        connector: &Connector,
        egress: Option<Arc<Egress>>,
        traffic: Arc<Traffic>,
        log: LogSink,
        io: tokio::runtime::Handle,
    ) -> Result<Self> {
        let limits = connector.limits.clone();
        let lent = Arc::new(Lent::new(egress, traffic, log, io, &limits));
        let copy = match &connector.code {
            Code::Here(compiled) => {
                Inside::new(compiled, lent.clone()).await.map(|inside| Copy::Inside(Box::new(inside)))
            }
            Code::Isolated(sandbox) => sandbox.instance(lent.clone()).await.map(Copy::Isolated),
        };
        match copy {
            Ok(copy) => Ok(Self { copy, lent, last_checkpoint: None, stalled: 0, limits }),
            Err(error) => Err(safe(error, &lent)),
        }
    }

    pub async fn describe(&mut self) -> Result<Description> {
        let Returned::Description(description) = self.call(Call::Describe).await? else { return Err(nonsense()) };
        let config_schema = serde_json::from_str(&description.config_schema).map_err(|source| {
            Error::new(ErrorKind::Connector, "its configuration schema is no JSON").with_source(source)
        })?;
        Ok(Description {
            name: printable(&description.name),
            version: printable(&description.version),
            summary: printable(&description.summary),
            config_schema,
        })
    }

    /// Opens the configuration, from which secrets were taken out.
    pub async fn open(&mut self, config: &str) -> Result<()> {
        self.call(Call::Open(config.to_owned())).await.map(drop)
    }

    pub async fn grants(&mut self) -> Result<Vec<GrantRequest>> {
        let Returned::Grants(grants) = self.call(Call::Grants).await? else { return Err(nonsense()) };
        let asked: usize = grants.iter().map(|grant| 1 + grant.credentials.len()).sum();
        let most = self.limits.grants;
        if asked > most {
            let message = format!("the connector asks for {asked} origins and credentials, more than {most}");
            return Err(Error::new(ErrorKind::LimitExceeded, message).with_help("raise host.limits.grants"));
        }
        Ok(grants.into_iter().map(GrantRequest::from).collect())
    }

    pub async fn streams(&mut self) -> Result<Vec<StreamSpec>> {
        let Returned::Streams(streams) = self.call(Call::Streams).await? else { return Err(nonsense()) };
        spec::streams(streams, self.limits.streams)
    }

    pub async fn check(&mut self) -> Result<()> {
        self.call(Call::Check).await.map(drop)
    }

    pub async fn explain(&mut self) -> Result<serde_json::Value> {
        let Returned::Explanation(explanation) = self.call(Call::Explain).await? else { return Err(nonsense()) };
        serde_json::from_str(&explanation)
            .map_err(|source| Error::new(ErrorKind::Connector, "its explanation is no JSON").with_source(source))
    }

    pub async fn partitions(&mut self, stream: &str, parents: Option<&PageRecords>) -> Result<Vec<Partition>> {
        let call = Call::Partitions { stream: stream.to_owned(), parents: parents.cloned() };
        let Returned::Partitions(partitions) = self.call(call).await? else { return Err(nonsense()) };
        let most = self.limits.partitions_per_call;
        if partitions.len() > most {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("the connector listed {} partitions at once, more than {most}", partitions.len()),
            )
            .with_context("stream", printable(stream))
            .with_help("raise host.limits.partitions_per_call"));
        }
        for partition in &partitions {
            let most = self.limits.partition_id_bytes;
            failure::check_size("name of a partition", &partition.id, most, "host.limits.partition_id_bytes")?;
            self.check_checkpoint("partition", &partition.data)?;
        }
        let session = self.lent.session();
        let handed_on =
            |partition: source::Partition| Partition { id: partition.id, data: session.hand_on(partition.data) };
        Ok(partitions.into_iter().map(handed_on).collect())
    }

    /// Begins to read a partition; the one before is given up.
    pub async fn read(&mut self, stream: &str, partition: &Partition, checkpoint: Option<&str>) -> Result<()> {
        let data = self.lent.session().take_up(&partition.data).to_owned();
        let partition = source::Partition { id: partition.id.clone(), data };
        let (stream, checkpoint) = (stream.to_owned(), checkpoint.map(str::to_owned));
        self.call(Call::Read { stream, partition, checkpoint }).await?;
        self.last_checkpoint = None;
        self.stalled = 0;
        Ok(())
    }

    /// The next page of the partition being read; none at its end.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        let (records, checkpoint, last) = match self.call(Call::Next).await? {
            Returned::Page { records, checkpoint, last } => (records, checkpoint, last),
            Returned::End => return Ok(None),
            _ => return Err(nonsense()),
        };
        let most = self.limits.page_bytes;
        if records.bytes().len() > most {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("a page of {} bytes, more than {most}", records.bytes().len()),
            )
            .with_help("raise host.limits.page_bytes"));
        }
        if let Some(checkpoint) = &checkpoint {
            self.check_checkpoint("checkpoint", checkpoint)?;
        }
        self.check_progress(&checkpoint, &records)?;
        let whole = self.lent.restored(&records);
        Ok(Some(Page::new(records, whole, checkpoint, last)))
    }

    /// State is stored with every package: it must not become a second destination.
    fn check_checkpoint(&self, what: &str, text: &str) -> Result<()> {
        failure::check_size(what, text, self.limits.checkpoint_bytes, "host.limits.checkpoint_bytes")
    }

    /// A reader that goes round in circles would never end.
    fn check_progress(&mut self, checkpoint: &Option<String>, records: &PageRecords) -> Result<()> {
        let moved = match checkpoint {
            Some(_) => *checkpoint != self.last_checkpoint,
            None => !records.is_empty(),
        };
        self.stalled = if moved { 0 } else { self.stalled + 1 };
        if checkpoint.is_some() {
            self.last_checkpoint.clone_from(checkpoint);
        }
        let most = self.limits.pages_without_progress;
        if self.stalled < most {
            return Ok(());
        }
        Err(Error::new(ErrorKind::LimitExceeded, format!("the connector gave {most} pages without any progress"))
            .with_help("its paginator may go round in circles; or raise host.limits.pages_without_progress"))
    }

    /// Calls a function of the contract. What the connector says was not looked at.
    async fn call(&mut self, call: Call) -> Result<Returned> {
        // What an earlier call went through is of no concern to this one.
        drop(self.lent.take_error());
        let answer = match &mut self.copy {
            Copy::Inside(inside) => inside.call(call).await,
            Copy::Isolated(remote) => remote.call(call).await,
        };
        self.returned(answer.map_err(|error| safe(error, &self.lent))?)
    }

    /// The connector's own error. Where the egress knows better why, its error counts.
    fn returned(&self, answer: Answer) -> Result<Returned> {
        let error: types::Error = match answer {
            Ok(returned) => return Ok(returned),
            Err(error) => error,
        };
        match self.lent.take_error() {
            Some(cause) => Err(cause),
            None => Err(failure::returned(error, &|message| self.lent.safe(message))),
        }
    }
}

/// The cause of a failure is the connector's word.
fn safe(error: Error, lent: &Lent) -> Error {
    match error.causes() {
        causes if causes.is_empty() => error,
        causes => error.with_source(lent.safe(&causes.join(": "))),
    }
}

fn nonsense() -> Error {
    Error::new(ErrorKind::Connector, "the isolated process answers something that was not asked")
}
