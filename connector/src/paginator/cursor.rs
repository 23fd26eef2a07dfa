//! The next page's cursor stands in the response's body.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::loop_guard::LoopGuard;
use super::{Answer, Paginate, range};
use crate::document;
use crate::error::Error;
use crate::plan::Target;
use crate::request::OutgoingRequest;
use crate::selector::Selector;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    cursor_path: String,
    #[serde(with = "super::Target")]
    target: Target,
    stop_after_empty_page: bool,
    has_more_path: Option<String>,
    next: Option<Value>,
    guard: LoopGuard,
}

impl Cursor {
    pub fn new(
        cursor_path: String,
        target: Target,
        stop_after_empty_page: bool,
        has_more_path: Option<String>,
    ) -> Self {
        Self { cursor_path, target, stop_after_empty_page, has_more_path, next: None, guard: LoopGuard::default() }
    }
}

impl Paginate for Cursor {
    fn apply(&self, request: &mut OutgoingRequest) -> Result<(), Error> {
        match &self.next {
            Some(next) => request.set(&self.target, next.clone()),
            None => Ok(()),
        }
    }

    /// An empty page ends it if asked for; else a cursor that Python calls false; else the response's own word.
    fn advance(&mut self, answer: &Answer<'_>) -> Result<bool, Error> {
        if self.stop_after_empty_page && answer.records.is_empty() {
            return Ok(false);
        }
        let more = range::has_more(self.has_more_path.as_deref(), answer)?;
        let selector = Selector::parse(&self.cursor_path).map_err(Error::Other)?;
        let next = selector.first(answer.document).map_or(Value::Null, document::value);
        if !more || is_end(&next) {
            return Ok(false);
        }
        // A cursor that stays the same is a scroll: it has come to its end where it gives nothing.
        if self.next.as_ref() == Some(&next) && answer.records.is_empty() {
            return Ok(false);
        }
        let text = match &next {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.guard.check("cursor", &text, answer.records, answer.place)?;
        self.next = Some(next);
        Ok(true)
    }
}

/// What Python calls false: there is no further page.
pub(super) fn is_end(next: &Value) -> bool {
    match next {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}
