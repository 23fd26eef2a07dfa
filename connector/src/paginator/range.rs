//! When a counting paginator stops: dlt's rules, in dlt's order.
//!
//! An empty page; a total that is reached; a maximum that is reached; the response's own word. Must never count on
//! without anything that ends it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Answer;
use crate::document;
use crate::error::{Error, excerpt};
use crate::plan;
use crate::selector::Selector;

/// The rules and what they need to remember.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Range {
    total_path: Option<String>,
    /// A missing total is an error.
    total_required: bool,
    maximum: Option<i64>,
    stop_after_empty_page: bool,
    has_more_path: Option<String>,
    /// The last page's fingerprint, kept while only an empty page can end the reading.
    previous: Option<u64>,
}

/// How a counter goes on.
pub(super) struct Step {
    pub(super) more: bool,
    /// As the response says, if it does.
    pub(super) total: Option<i64>,
}

impl Range {
    pub(super) fn new(range: plan::Range) -> Self {
        let (total_path, total_required) = match range.total_path {
            plan::TotalPath::Required(path) => (Some(path), true),
            plan::TotalPath::IfPresent(path) => (Some(path), false),
            plan::TotalPath::Off => (None, false),
        };
        Self {
            total_path,
            total_required,
            maximum: range.maximum,
            stop_after_empty_page: range.stop_after_empty_page,
            has_more_path: range.has_more_path,
            previous: None,
        }
    }

    /// Moves a counter on: `base` is the number of the first page, or 0 for an offset; `what` is its name.
    pub(super) fn advance(
        &mut self,
        what: &str,
        value: &mut i64,
        step: i64,
        base: i64,
        answer: &Answer<'_>,
    ) -> Result<Step, Error> {
        if self.stop_after_empty_page && answer.records.is_empty() {
            return Ok(Step { more: false, total: None });
        }
        let total = self.total(answer)?;
        *value = value.saturating_add(step);
        let mut more = total.is_none_or(|total| *value < total.saturating_add(base));
        more &= self.maximum.is_none_or(|maximum| *value < maximum);
        more = more && has_more(self.has_more_path.as_deref(), answer)?;
        if more && total.is_none() && self.has_more_path.is_none() {
            self.refuse_repetition(what, answer)?;
        }
        Ok(Step { more, total })
    }

    fn total(&self, answer: &Answer<'_>) -> Result<Option<i64>, Error> {
        let Some(path) = &self.total_path else { return Ok(None) };
        let selector = Selector::parse(path).map_err(Error::Other)?;
        let found = selector.first(answer.document).map(document::value).filter(|value| !value.is_null());
        let place = answer.place;
        match found.as_ref().map(|value| (whole_number(value), value)) {
            Some((Some(total), _)) => Ok(Some(total)),
            Some((None, value)) if self.total_required => {
                let shown = excerpt(&value.to_string());
                Err(Error::BadData(format!("{place}: the total at `{path}` is not a whole number but `{shown}`")))
            }
            None if self.total_required || !self.ends_without_total() => {
                let names = document::shown_names(answer.document.text());
                Err(Error::BadData(format!("{place}: no total at `{path}`; the response has: {names}")))
            }
            _ => Ok(None),
        }
    }

    fn ends_without_total(&self) -> bool {
        self.maximum.is_some() || self.stop_after_empty_page || self.has_more_path.is_some()
    }

    /// An API that does not know the parameter answers every request with the same page.
    fn refuse_repetition(&mut self, what: &str, answer: &Answer<'_>) -> Result<(), Error> {
        let fingerprint = answer.records.fingerprint();
        if fingerprint.is_some() && fingerprint == self.previous {
            let (place, url) = (answer.place, answer.url);
            return Err(Error::BadData(format!(
                "{place}: {url} answered the same page again: the API seems to ignore the {what}"
            )));
        }
        self.previous = fingerprint;
        Ok(())
    }
}

/// What the response itself says about another page; true if nobody asks.
pub(super) fn has_more(path: Option<&str>, answer: &Answer<'_>) -> Result<bool, Error> {
    let Some(path) = path else { return Ok(true) };
    let place = answer.place;
    let selector = Selector::parse(path).map_err(Error::Other)?;
    let Some(raw) = selector.first(answer.document) else {
        return Err(Error::BadData(format!("{place}: the response has no `{path}`")));
    };
    let value = document::value(raw);
    let text = match &value {
        Value::Bool(more) => return Ok(*more),
        Value::String(text) => text.trim().to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    match text.as_str() {
        "yes" | "true" | "t" | "y" | "1" => Ok(true),
        "no" | "false" | "f" | "n" | "0" => Ok(false),
        _ => Err(Error::BadData(format!("{place}: `{path}` is neither true nor false but `{}`", excerpt(raw)))),
    }
}

/// What Python's `int` makes a number of.
pub(super) fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|float| float as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}
