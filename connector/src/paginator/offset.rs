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
    /// The server honours the limit: a page had as many records as asked for, or two short ones differed.
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
        let count = i64::try_from(answer.records.count()).unwrap_or(i64::MAX);
        if step.more {
            self.refuse_gap(count, answer)?;
        }
        if step.more && step.total.is_some() && count < limit && count > 0 {
            let place = answer.place;
            answer.log.warn(&format!(
                "{place}: the page at offset {begin} has {count} records instead of {limit}, and more follow: if the \
                 API gives at most {count} at once, set the paginator's `limit` to that, or records are lost"
            ));
        }
        Ok(step.more)
    }
}

impl Offset {
    /// A short page is not the last one: servers take records out that nobody may see. But a server that gives the same
    /// small number each time, and never what was asked for, has a limit of its own, and what lies between its pages is
    /// lost.
    fn refuse_gap(&mut self, count: i64, answer: &Answer<'_>) -> Result<(), Error> {
        if self.saw_full_page || count == 0 {
            return Ok(());
        }
        if count >= self.limit {
            self.saw_full_page = true;
        } else if self.short_first_page.is_none() {
            self.short_first_page = Some(count);
        } else if self.short_first_page == Some(count) {
            let (place, limit) = (answer.place, self.limit);
            return Err(Error::BadData(format!(
                "{place}: the server returns at most {count} records per page instead of {limit}: set `limit: {count}`"
            )));
        } else {
            // The sizes differ: it is no limit.
            self.saw_full_page = true;
        }
        Ok(())
    }
}
