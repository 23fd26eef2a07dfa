//! An opened configuration: its streams, their partitions, and reading them.
//!
//! The contract's `connection` without the contract's types, so that it runs natively against a scripted API. Must do no
//! I/O except in `check` and through readers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde::de::IgnoredAny;

use crate::document;
use crate::error::Error;
use crate::explain;
use crate::http::Http;
use crate::incremental;
use crate::log::Log;
use crate::parent::{self, Partition, Slice};
use crate::plan::{Plan, Stream};
use crate::read::{Prepared, Reader};

pub struct Connection<H> {
    plan: Plan,
    http: Rc<H>,
    log: Rc<Log>,
    /// By stream, made on first use.
    prepared: RefCell<BTreeMap<String, Rc<Prepared>>>,
}

/// A parent page's records, as the host hands them over.
#[derive(Debug, Clone, Copy)]
pub enum Records<'a> {
    JsonArray(&'a str),
    JsonLines(&'a str),
}

impl<'a> Records<'a> {
    fn items(self) -> Result<Vec<&'a str>, Error> {
        match self {
            Self::JsonArray(text) => serde_json::from_str::<IgnoredAny>(text)
                .ok()
                .and_then(|_| document::items(text))
                .ok_or_else(|| Error::other("the parent's records are not a JSON array")),
            Self::JsonLines(text) => Ok(text.lines().map(str::trim_ascii).filter(|line| !line.is_empty()).collect()),
        }
    }
}

impl<H: Http> Connection<H> {
    pub fn new(plan: Plan, http: H, log: Rc<Log>) -> Self {
        Self { plan, http: Rc::new(http), log, prepared: RefCell::default() }
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Sends the first request of the first stream that needs no parent.
    pub fn check(&self) -> Result<(), Error> {
        let Some(stream) = self.plan.streams.iter().find(|stream| stream.parent.is_none()) else { return Ok(()) };
        let partitions = self.partitions(&stream.name, None)?;
        match partitions.first() {
            Some(partition) => self.read(&stream.name, partition, None)?.check(),
            None => Ok(()),
        }
    }

    /// A JSON array with one object per stream.
    pub fn explain(&self) -> Result<String, Error> {
        explain::explain(&self.plan)
    }

    pub fn partitions(&self, stream: &str, parents: Option<Records<'_>>) -> Result<Vec<Partition>, Error> {
        let stream = self.stream(stream)?;
        match (&stream.parent, parents) {
            (Some(parent), Some(parents)) => parent::partitions(stream, parent, &parents.items()?),
            (Some(parent), None) => {
                Err(Error::Other(format!("{}: the records of `{}` are needed", stream.name, parent.stream)))
            }
            (None, _) => {
                let windows = stream.incremental.as_ref().map(incremental::windows).transpose()?.flatten();
                match windows {
                    None => Ok(vec![Slice::default().into_partition(String::new())?]),
                    Some(windows) => windows
                        .into_iter()
                        .map(|window| {
                            let id =
                                [&window.start, &window.end].map(|bound| stream.request.writer.text(bound)).join("..");
                            Slice { window: Some(window), ..Slice::default() }.into_partition(id)
                        })
                        .collect(),
                }
            }
        }
    }

    pub fn read(&self, stream: &str, partition: &Partition, checkpoint: Option<&str>) -> Result<Reader<H>, Error> {
        let prepared = self.prepare(stream)?;
        Reader::begin(prepared, Rc::clone(&self.http), Rc::clone(&self.log), partition, checkpoint)
    }

    fn stream(&self, name: &str) -> Result<&Stream, Error> {
        self.plan.stream(name).ok_or_else(|| Error::Other(format!("there is no stream `{name}`")))
    }

    fn prepare(&self, name: &str) -> Result<Rc<Prepared>, Error> {
        if let Some(prepared) = self.prepared.borrow().get(name) {
            return Ok(Rc::clone(prepared));
        }
        let prepared = Rc::new(Prepared::new(self.stream(name)?.clone())?);
        self.prepared.borrow_mut().insert(name.to_owned(), Rc::clone(&prepared));
        Ok(prepared)
    }
}

#[cfg(test)]
mod tests;
