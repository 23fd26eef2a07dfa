//! Pages are numbered.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::range::Range;
use super::{Answer, Paginate};
use crate::error::Error;
use crate::plan::{self, Target};
use crate::request::OutgoingRequest;
use crate::selection::Selection;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageNumber {
    base: i64,
    page: i64,
    #[serde(with = "super::Target")]
    target: Target,
    range: Range,
    /// Nothing is known about the page of the first response but its first record: it must not come again.
    #[serde(default)]
    first_record: Option<String>,
}

impl PageNumber {
    pub fn new(base: i64, page: i64, target: Target, range: plan::Range) -> Self {
        Self { base, page, target, range: Range::new(range), first_record: None }
    }

    /// Remembers the first page, for when its number was only assumed.
    pub(super) fn assume_first(mut self, records: &Selection<'_>) -> Self {
        self.first_record = first_record(records);
        self
    }
}

impl Paginate for PageNumber {
    fn apply(&self, request: &mut OutgoingRequest) -> Result<(), Error> {
        request.set(&self.target, Value::from(self.page))
    }

    fn advance(&mut self, answer: &Answer<'_>) -> Result<bool, Error> {
        if self.page > self.base
            && let Some(first) = self.first_record.take()
            && first_record(answer.records).as_ref() == Some(&first)
        {
            let (place, page) = (answer.place, self.page);
            return Err(Error::BadData(format!(
                "{place}: page {page} begins with the first page's first record: how pages are counted could not be \
                 detected, so set the paginator: `type: page_number` with its `base_page`"
            )));
        }
        let step = self.range.advance("page number", &mut self.page, 1, self.base, answer)?;
        Ok(step.more)
    }
}

fn first_record(records: &Selection<'_>) -> Option<String> {
    const LONGEST: usize = 4096;
    records.items().first().filter(|raw| raw.len() <= LONGEST).map(|raw| (*raw).to_owned())
}
