//! The next page's cursor stands in a header of the response.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::loop_guard::LoopGuard;
use super::{Answer, Paginate};
use crate::error::Error;
use crate::plan::Target;
use crate::request::OutgoingRequest;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeaderCursor {
    header: String,
    #[serde(with = "super::Target")]
    target: Target,
    next: Option<String>,
    guard: LoopGuard,
}

impl HeaderCursor {
    pub fn new(header: String, target: Target) -> Self {
        Self { header, target, next: None, guard: LoopGuard::default() }
    }
}

impl Paginate for HeaderCursor {
    fn apply(&self, request: &mut OutgoingRequest) -> Result<(), Error> {
        match &self.next {
            Some(next) => request.set(&self.target, Value::String(next.clone())),
            None => Ok(()),
        }
    }

    fn advance(&mut self, answer: &Answer<'_>) -> Result<bool, Error> {
        let Some(next) = answer.response.header(&self.header).filter(|next| !next.is_empty()) else {
            return Ok(false);
        };
        if self.next.as_deref() == Some(next) && answer.records.is_empty() {
            return Ok(false);
        }
        self.guard.check("cursor", next, answer.records, answer.place)?;
        self.next = Some(next.to_owned());
        Ok(true)
    }
}
