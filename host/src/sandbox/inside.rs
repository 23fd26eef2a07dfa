//! One running copy of a connector in this process: each call within its limits.
//!
//! Must never look at what a connector says: who called does.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::ResourceAny;

use super::allowance::{Allowance, Exceeded};
use super::bindings::ConnectorWithSecrets;
use super::call::{Answer, Call, Returned};
use super::component::Compiled;
use super::failure;
use super::imports::InstanceState;
use super::outlet::Outlet;
use crate::config::settings::Limits;
use crate::error::{Error, ErrorKind, Result};

pub(super) struct Inside {
    store: Store<InstanceState>,
    bindings: ConnectorWithSecrets,
    connection: Option<ResourceAny>,
    reader: Option<ResourceAny>,
    allowance: Allowance,
    limits: Arc<Limits>,
}

/// Why a call gave nothing.
enum Stopped {
    Trap(wasmtime::Error),
    Exceeded(Exceeded),
    NotOpen,
}

impl Inside {
    pub(super) async fn new(compiled: &Compiled, outlet: Arc<dyn Outlet>) -> Result<Self> {
        let engine = &compiled.engine;
        let limits = engine.limits.clone();
        let mut store = Store::new(&engine.wasmtime, InstanceState::new(engine, outlet));
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store.set_hostcall_fuel(limits.document_bytes);
        store.set_max_component_handles(limits.handles);
        let allowance = Allowance::new(&limits);
        let started = held(allowance, compiled.pre.instantiate_async(&mut store)).await;
        let bindings = started.map_err(|stopped| stopped.into_error(&store, "start"))?;
        Ok(Self { store, bindings, connection: None, reader: None, allowance, limits })
    }

    /// After an error the instance is dead and must be dropped; an error that the connector returns leaves it usable.
    pub(super) async fn call(&mut self, call: Call) -> Result<Answer> {
        let function = call.function();
        if matches!(call, Call::Read { .. }) {
            self.drop_reader().await?;
        }
        // A call may hand over records, or partitions, which are as many.
        let fuel = match call {
            Call::Next | Call::Partitions { .. } => self.limits.page_bytes.max(self.limits.document_bytes),
            _ => self.limits.document_bytes,
        };
        self.store.set_hostcall_fuel(fuel);
        let outcome = self.run(call).await;
        let answer = outcome.map_err(|stopped| stopped.into_error(&self.store, function))?;
        if matches!(answer, Ok(Returned::End)) {
            self.drop_reader().await?;
        }
        Ok(answer)
    }

    async fn run(&mut self, call: Call) -> Result<Answer, Stopped> {
        let Self { store, bindings, connection, reader, allowance, .. } = self;
        let (source, allowance) = (bindings.airlock_connector_source(), *allowance);
        let (functions, opened) = (source.connection(), connection.ok_or(Stopped::NotOpen));
        Ok(match call {
            Call::Describe => Ok(Returned::Description(held(allowance, source.call_describe(store)).await?)),
            Call::Open(config) => held(allowance, functions.call_open(store, &config)).await?.map(|opened| {
                *connection = Some(opened);
                Returned::Done
            }),
            Call::Grants => Ok(Returned::Grants(held(allowance, functions.call_grants(store, opened?)).await?)),
            Call::Streams => held(allowance, functions.call_streams(store, opened?)).await?.map(Returned::Streams),
            Call::Check => held(allowance, functions.call_check(store, opened?)).await?.map(|()| Returned::Done),
            Call::Explain => held(allowance, functions.call_explain(store, opened?)).await?.map(Returned::Explanation),
            Call::Partitions { stream, parents } => {
                let parents = parents.map(Into::into);
                let listed = functions.call_partitions(store, opened?, &stream, parents.as_ref());
                held(allowance, listed).await?.map(Returned::Partitions)
            }
            Call::Read { stream, partition, checkpoint } => {
                let begun = functions.call_read(store, opened?, &stream, &partition, checkpoint.as_ref());
                held(allowance, begun).await?.map(|begun| {
                    *reader = Some(begun);
                    Returned::Done
                })
            }
            Call::Next => {
                let Some(reader) = *reader else { return Ok(Ok(Returned::End)) };
                held(allowance, source.reader().call_next(store, reader)).await?.map(|page| match page {
                    Some(page) => {
                        Returned::Page { records: page.records.into(), checkpoint: page.checkpoint, last: page.last }
                    }
                    None => Returned::End,
                })
            }
        })
    }

    async fn drop_reader(&mut self) -> Result<()> {
        let Some(reader) = self.reader.take() else { return Ok(()) };
        self.store.set_hostcall_fuel(self.limits.document_bytes);
        let dropped = held(self.allowance, reader.resource_drop_async(&mut self.store)).await;
        dropped.map_err(|stopped| stopped.into_error(&self.store, "drop"))
    }
}

async fn held<T>(allowance: Allowance, call: impl Future<Output = wasmtime::Result<T>>) -> Result<T, Stopped> {
    match allowance.hold(call).await {
        Ok(outcome) => outcome.map_err(Stopped::Trap),
        Err(exceeded) => Err(Stopped::Exceeded(exceeded)),
    }
}

impl Stopped {
    fn into_error(self, store: &Store<InstanceState>, function: &str) -> Error {
        match self {
            Self::Trap(trap) => failure::trapped(store.data(), function, &trap),
            Self::Exceeded(exceeded) => failure::exceeded(function, exceeded),
            Self::NotOpen => Error::new(ErrorKind::Internal, "the connection is not open"),
        }
    }
}
