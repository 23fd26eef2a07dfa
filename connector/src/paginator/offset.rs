//! Records are counted: each request says where to begin and how many to give.
//!
//! A server may give fewer than asked for, because it is the end or because it has a limit of its own; taking the one for
//! the other would lose records, so the difference is found out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::range::Range;
use super::{Answer, Paginate};
use crate::error::Error;
use crate::plan::{self, Target};
use crate::request::OutgoingRequest;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offset {
    limit: i64,
    offset: i64,
    #[serde(with = "super::Target")]
    offset_target: Target,
    #[serde(with = "super::Target")]
    limit_target: Target,
    range: Range,
    /// A page had as many records as asked for: the server honours the limit.
    saw_full_page: bool,
    /// How many records the first page had, if fewer than asked for.
    short_first_page: Option<i64>,
}

impl Offset {
    pub fn new(limit: i64, offset: i64, offset_target: Target, limit_target: Target, range: plan::Range) -> Self {
        let range = Range::new(range);
        Self { limit, offset, offset_target, limit_target, range, saw_full_page: false, short_first_page: None }
    }
}

impl Paginate for Offset {
    fn apply(&self, request: &mut OutgoingRequest) -> Result<(), Error> {
        request.set(&self.offset_target, Value::from(self.offset))?;
        request.set(&self.limit_target, Value::from(self.limit))
    }

    fn advance(&mut self, answer: &Answer<'_>) -> Result<bool, Error> {
        let (limit, begin) = (self.limit, self.offset);
        let step = self.range.advance("offset", &mut self.offset, limit, 0, answer)?;
        if !step.more {
            return Ok(false);
        }
        let count = i64::try_from(answer.records.count()).unwrap_or(i64::MAX);
        if self.range.only_pages_tell(&step) {
            return self.more_behind(count, answer);
        }
        if step.total.is_some() && count < limit && count > 0 {
            let place = answer.place;
            answer.log.warn(&format!(
                "{place}: the page at offset {begin} has {count} records instead of {limit}, and more follow: if the \
                 API gives at most {count} at once, set the paginator's `limit` to that, or records are lost"
            ));
        }
        Ok(true)
    }
}

impl Offset {
    fn capped(&self, count: i64, answer: &Answer<'_>) -> Error {
        let (place, limit) = (answer.place, self.limit);
        Error::BadData(format!(
            "{place}: the server returns at most {count} records per page instead of {limit}: set `limit: {count}`"
        ))
    }

    /// No total says where the end is: the pages have to. Either the first short page ends the reading, or, if the
    /// configuration says so, only an empty one does.
    fn more_behind(&mut self, count: i64, answer: &Answer<'_>) -> Result<bool, Error> {
        let until_empty = self.range.reads_until_empty();
        if count == 0 {
            return Ok(until_empty);
        }
        let is_short = count < self.limit;
        let first = self.short_first_page.take();
        if let Some(first) = first.filter(|first| !until_empty || *first == count) {
            return Err(self.capped(first, answer));
        }
        if is_short && !self.saw_full_page && first.is_none() {
            self.short_first_page = Some(count);
            return Ok(true);
        }
        self.saw_full_page = true;
        Ok(until_empty || !is_short)
    }
}
