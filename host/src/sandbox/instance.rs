//! One running copy of a connector: the contract's functions as typed calls, each within its limits.
//!
//! After any failure of the sandbox itself the instance is dead and must be dropped; an error that the connector
//! returns leaves it usable.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::ResourceAny;

use super::allowance::{Allowance, Exceeded};
use super::bindings::airlock::connector::types as wit_types;
use super::bindings::exports::airlock::connector::source as wit;
use super::imports::InstanceState;
use super::spec;
use super::{Connector, GrantRequest, LogSink, Page, PageRecords, Partition, bindings, failure, printable};
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
    store: Store<InstanceState>,
    bindings: bindings::ConnectorWithSecrets,
    connection: Option<ResourceAny>,
    reader: Option<ResourceAny>,
    /// Of the reader's last page, and how many pages in a row it stood still.
    last_checkpoint: Option<String>,
    stalled: usize,
    allowance: Allowance,
    limits: Arc<Limits>,
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
        let engine = &connector.engine;
        let mut store = Store::new(&engine.wasmtime, InstanceState::new(engine, egress, traffic, log, io));
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let limits = engine.limits.clone();
        store.set_hostcall_fuel(limits.document_bytes);
        store.set_max_component_handles(limits.handles);
        let allowance = Allowance::new(&limits);
        let outcome = allowance.hold(connector.pre.instantiate_async(&mut store)).await;
        match outcome {
            Ok(Ok(bindings)) => Ok(Self {
                store,
                bindings,
                connection: None,
                reader: None,
                last_checkpoint: None,
                stalled: 0,
                allowance,
                limits,
            }),
            Ok(Err(trap)) => Err(failure::trapped(store.data(), "start", &trap)),
            Err(exceeded) => Err(failure::exceeded("start", exceeded)),
        }
    }

    pub async fn describe(&mut self) -> Result<Description> {
        self.begin();
        let call = self.bindings.airlock_connector_source().call_describe(&mut self.store);
        let outcome = self.allowance.hold(call).await;
        let description = self.end("describe", outcome)?;
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
        let config = config.to_owned();
        self.begin();
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_open(&mut self.store, &config);
        let outcome = self.allowance.hold(call).await;
        let opened = self.end("open", outcome)?;
        self.connection = Some(self.returned(opened)?);
        Ok(())
    }

    pub async fn grants(&mut self) -> Result<Vec<GrantRequest>> {
        let connection = self.begin_connected()?;
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_grants(&mut self.store, connection);
        let outcome = self.allowance.hold(call).await;
        let grants = self.end("grants", outcome)?;
        let asked: usize = grants.iter().map(|grant| 1 + grant.credentials.len()).sum();
        let most = self.limits.grants;
        if asked > most {
            let message = format!("the connector asks for {asked} origins and credentials, more than {most}");
            return Err(Error::new(ErrorKind::LimitExceeded, message).with_help("raise host.limits.grants"));
        }
        Ok(grants.into_iter().map(GrantRequest::from).collect())
    }

    pub async fn streams(&mut self) -> Result<Vec<StreamSpec>> {
        let connection = self.begin_connected()?;
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_streams(&mut self.store, connection);
        let outcome = self.allowance.hold(call).await;
        let streams = self.end("streams", outcome)?;
        spec::streams(self.returned(streams)?, self.limits.streams)
    }

    pub async fn check(&mut self) -> Result<()> {
        let connection = self.begin_connected()?;
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_check(&mut self.store, connection);
        let outcome = self.allowance.hold(call).await;
        let checked = self.end("check", outcome)?;
        self.returned(checked)
    }

    pub async fn explain(&mut self) -> Result<serde_json::Value> {
        let connection = self.begin_connected()?;
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_explain(&mut self.store, connection);
        let outcome = self.allowance.hold(call).await;
        let explained = self.end("explain", outcome)?;
        serde_json::from_str(&self.returned(explained)?)
            .map_err(|source| Error::new(ErrorKind::Connector, "its explanation is no JSON").with_source(source))
    }

    pub async fn partitions(&mut self, stream: &str, parents: Option<&PageRecords>) -> Result<Vec<Partition>> {
        let connection = self.begin_connected()?;
        self.take_pages();
        let parents = parents.map(PageRecords::to_wit);
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_partitions(&mut self.store, connection, stream, parents.as_ref());
        let outcome = self.allowance.hold(call).await;
        let partitions = self.end("partitions", outcome)?;
        let partitions = self.returned(partitions)?;
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
        let session = &self.store.data().gate.session;
        let handed_on =
            |partition: wit::Partition| Partition { id: partition.id, data: session.hand_on(partition.data) };
        Ok(partitions.into_iter().map(handed_on).collect())
    }

    /// Begins to read a partition; the one before is given up.
    pub async fn read(&mut self, stream: &str, partition: &Partition, checkpoint: Option<&str>) -> Result<()> {
        let connection = self.begin_connected()?;
        self.drop_reader().await?;
        let checkpoint = checkpoint.map(str::to_owned);
        let data = self.store.data().gate.session.take_up(&partition.data).to_owned();
        let partition = wit::Partition { id: partition.id.clone(), data };
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_read(&mut self.store, connection, stream, &partition, checkpoint.as_ref());
        let outcome = self.allowance.hold(call).await;
        let reader = self.end("read", outcome)?;
        self.reader = Some(self.returned(reader)?);
        self.last_checkpoint = None;
        self.stalled = 0;
        Ok(())
    }

    /// The next page of the partition being read; none at its end.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        self.begin();
        self.take_pages();
        let Some(reader) = self.reader else { return Ok(None) };
        let source = self.bindings.airlock_connector_source();
        let resource = source.reader();
        let call = resource.call_next(&mut self.store, reader);
        let outcome = self.allowance.hold(call).await;
        let page = self.end("next", outcome)?;
        let Some(page) = self.returned(page)? else {
            self.drop_reader().await?;
            return Ok(None);
        };
        let records = match page.records {
            wit_types::Records::JsonArray(bytes) => PageRecords::JsonArray(bytes),
            wit_types::Records::JsonLines(bytes) => PageRecords::JsonLines(bytes),
            wit_types::Records::ArrowIpc(bytes) => PageRecords::ArrowIpc(bytes),
        };
        let most = self.limits.page_bytes;
        if records.bytes().len() > most {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("a page of {} bytes, more than {most}", records.bytes().len()),
            )
            .with_help("raise host.limits.page_bytes"));
        }
        if let Some(checkpoint) = &page.checkpoint {
            self.check_checkpoint("checkpoint", checkpoint)?;
        }
        self.check_progress(&page.checkpoint, &records)?;
        let whole = self.store.data().gate.restored(&records);
        Ok(Some(Page::new(records, whole, page.checkpoint, page.last)))
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

    async fn drop_reader(&mut self) -> Result<()> {
        let Some(reader) = self.reader.take() else { return Ok(()) };
        self.begin();
        let outcome = self.allowance.hold(reader.resource_drop_async(&mut self.store)).await;
        self.end("drop", outcome)
    }

    fn begin(&mut self) {
        self.store.set_hostcall_fuel(self.limits.document_bytes);
        // What an earlier call went through is of no concern to this one.
        drop(self.store.data().gate.take_error());
    }

    /// A call may hand over records, or partitions, which are as many.
    fn take_pages(&mut self) {
        self.store.set_hostcall_fuel(self.limits.page_bytes.max(self.limits.document_bytes));
    }

    fn begin_connected(&mut self) -> Result<ResourceAny> {
        self.begin();
        self.connection.ok_or_else(|| Error::new(ErrorKind::Internal, "the connection is not open"))
    }

    fn end<T>(&self, function: &str, outcome: Result<wasmtime::Result<T>, Exceeded>) -> Result<T> {
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(trap)) => Err(failure::trapped(self.store.data(), function, &trap)),
            Err(exceeded) => Err(failure::exceeded(function, exceeded)),
        }
    }

    /// The connector's own error. Where the egress knows better why, its error counts.
    fn returned<T>(&self, result: Result<T, wit_types::Error>) -> Result<T> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let gate = &self.store.data().gate;
        if let Some(cause) = gate.take_error() {
            return Err(cause);
        }
        Err(failure::returned(error, &|message| printable(&gate.redact(message))))
    }
}
