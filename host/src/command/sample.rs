//! A first look at streams: the first page of each, for `discover` and `preview`. Loads nothing and keeps no state.

use std::collections::HashMap;

use crate::connection::Connection;
use crate::error::Result;
use crate::normalize::{Normalizing, Options};
use crate::sandbox::{Instance, Page, PageRecords};
use crate::schema::{Schema, StreamSpec, WriteDisposition};

/// Pages without records that are passed over, and partitions of a child that are tried.
const PATIENCE: usize = 5;

/// First pages, by stream. A parent's page is read once for all its children.
pub(super) struct Sampler<'a> {
    instance: Instance,
    streams: &'a [StreamSpec],
    pages: HashMap<String, Option<Page>>,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(instance: Instance, streams: &'a [StreamSpec]) -> Self {
        Self { instance, streams, pages: HashMap::new() }
    }

    /// The first page with records; none where there are none.
    pub(super) async fn page(&mut self, stream: &str) -> Result<Option<&Page>> {
        if !self.pages.contains_key(stream) {
            let page = self.read(stream).await.map_err(|error| error.with_context("stream", stream.to_owned()))?;
            self.pages.insert(stream.to_owned(), page);
        }
        Ok(self.pages.get(stream).and_then(Option::as_ref))
    }

    async fn read(&mut self, stream: &str) -> Result<Option<Page>> {
        let spec = self.streams.iter().find(|spec| spec.name == stream);
        let parents = match spec.and_then(|spec| spec.parent.clone()) {
            Some(parent) => match Box::pin(self.page(&parent)).await? {
                Some(parents) => Some(parents.masked().clone()),
                None => return Ok(None),
            },
            None => None,
        };
        let partitions = self.instance.partitions(stream, parents.as_ref()).await?;
        for partition in partitions.iter().take(PATIENCE) {
            self.instance.read(stream, partition, None).await?;
            for _ in 0..PATIENCE {
                match self.instance.next().await? {
                    Some(page) if is_empty(page.masked()) => {}
                    Some(page) => return Ok(Some(page)),
                    None => break,
                }
            }
        }
        Ok(None)
    }
}

fn is_empty(records: &PageRecords) -> bool {
    match records {
        PageRecords::JsonArray(bytes) => bytes.trim_ascii() == b"[]",
        other => other.bytes().trim_ascii().is_empty(),
    }
}

/// Rows out of one page, as they would be loaded.
pub(super) fn normalizer(connection: &Connection) -> Result<Normalizing> {
    // What is not to be loaded can still be looked at.
    let visible = |stream: &StreamSpec| StreamSpec {
        selected: true,
        write_disposition: match stream.write_disposition {
            WriteDisposition::Skip => WriteDisposition::Append,
            other => other,
        },
        ..stream.clone()
    };
    let streams: Vec<StreamSpec> = connection.streams.iter().map(visible).collect();
    let options = Options { naming: connection.settings.naming, ..Options::default() };
    let limits = &connection.settings.limits;
    Normalizing::new(connection.isolation.as_ref(), Schema::default(), &streams, options, limits)
}

pub(super) fn add(normalizer: &mut Normalizing, stream: &str, records: &PageRecords) -> Result<()> {
    normalizer.add(stream, &records.into(), "preview").map(drop)
}
