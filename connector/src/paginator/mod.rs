//! How to come from one page to the next.
//!
//! A paginator writes its position into the next request (`apply`) and moves on by what the response says (`advance`);
//! the stop rules, and their order, are dlt's. It is serializable as a whole, so that a checkpoint can go on with what
//! was detected. It must end: a link or cursor that comes back, or a page that repeats, is an error.

mod auto;
mod cursor;
mod header_cursor;
pub mod header_link;
mod json_link;
mod loop_guard;
mod offset;
mod page_number;
mod range;
mod single_page;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::Document;
use crate::error::Error;
use crate::http::HttpResponse;
use crate::log::Log;
use crate::plan;
use crate::request::OutgoingRequest;
use crate::selection::Selection;

/// A response, as far as paginators look at it.
pub struct Answer<'a> {
    /// The URL that was asked, with its query.
    pub url: &'a str,
    pub response: &'a HttpResponse,
    pub document: &'a Document,
    pub records: &'a Selection<'a>,
    /// Names the stream in messages.
    pub place: &'a str,
    pub log: &'a Log,
}

trait Paginate {
    /// Writes the position into a request.
    fn apply(&self, request: &mut OutgoingRequest) -> Result<(), Error>;

    /// Moves behind the answer's page; false: it was the last.
    fn advance(&mut self, answer: &Answer<'_>) -> Result<bool, Error>;
}

/// Any paginator, at its position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paginator {
    Auto,
    SinglePage(single_page::SinglePage),
    JsonLink(json_link::JsonLink),
    HeaderLink(header_link::HeaderLink),
    HeaderCursor(header_cursor::HeaderCursor),
    Cursor(cursor::Cursor),
    PageNumber(page_number::PageNumber),
    Offset(offset::Offset),
}

impl Paginator {
    /// In front of the first page.
    pub fn begin(plan: &plan::Paginator) -> Self {
        use plan::Paginator as Plan;
        match plan.clone() {
            Plan::Auto => Self::Auto,
            Plan::SinglePage => Self::SinglePage(single_page::SinglePage {}),
            Plan::JsonLink { next_url_path } => Self::JsonLink(json_link::JsonLink::new(next_url_path)),
            Plan::HeaderLink { rel } => Self::HeaderLink(header_link::HeaderLink::new(rel)),
            Plan::HeaderCursor { header, cursor } => {
                Self::HeaderCursor(header_cursor::HeaderCursor::new(header, cursor))
            }
            Plan::Cursor { cursor_path, cursor, stop_after_empty_page, has_more_path } => {
                Self::Cursor(cursor::Cursor::new(cursor_path, cursor, stop_after_empty_page, has_more_path))
            }
            Plan::PageNumber { base_page, page, target, range } => {
                Self::PageNumber(page_number::PageNumber::new(base_page, page, target, range))
            }
            Plan::Offset { limit, offset, offset_target, limit_target, range } => {
                Self::Offset(offset::Offset::new(limit, offset, offset_target, limit_target, range))
            }
        }
    }

    /// Writes the position into a request.
    pub fn apply(&self, request: &mut OutgoingRequest) -> Result<(), Error> {
        match self {
            Self::Auto => Ok(()),
            Self::SinglePage(paginator) => paginator.apply(request),
            Self::JsonLink(paginator) => paginator.apply(request),
            Self::HeaderLink(paginator) => paginator.apply(request),
            Self::HeaderCursor(paginator) => paginator.apply(request),
            Self::Cursor(paginator) => paginator.apply(request),
            Self::PageNumber(paginator) => paginator.apply(request),
            Self::Offset(paginator) => paginator.apply(request),
        }
    }

    /// Moves behind the answer's page; false: it was the last.
    pub fn advance(&mut self, answer: &Answer<'_>) -> Result<bool, Error> {
        if matches!(self, Self::Auto) {
            *self = auto::detect(answer);
        }
        match self {
            Self::Auto => Ok(false),
            Self::SinglePage(paginator) => paginator.advance(answer),
            Self::JsonLink(paginator) => paginator.advance(answer),
            Self::HeaderLink(paginator) => paginator.advance(answer),
            Self::HeaderCursor(paginator) => paginator.advance(answer),
            Self::Cursor(paginator) => paginator.advance(answer),
            Self::PageNumber(paginator) => paginator.advance(answer),
            Self::Offset(paginator) => paginator.advance(answer),
        }
    }

    /// For a checkpoint.
    pub fn position(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// From a checkpoint.
    pub fn restore(position: Value) -> Result<Self, Error> {
        serde_json::from_value(position).map_err(|error| Error::other(format!("the checkpoint can't be read: {error}")))
    }
}

/// The name that people know a paginator by.
pub fn name(plan: &plan::Paginator) -> &'static str {
    match plan {
        plan::Paginator::Auto => "auto",
        plan::Paginator::SinglePage => "single_page",
        plan::Paginator::JsonLink { .. } => "json_link",
        plan::Paginator::HeaderLink { .. } => "header_link",
        plan::Paginator::HeaderCursor { .. } => "header_cursor",
        plan::Paginator::Cursor { .. } => "cursor",
        plan::Paginator::PageNumber { .. } => "page_number",
        plan::Paginator::Offset { .. } => "offset",
    }
}

/// `plan::Target` in a checkpoint.
#[derive(Serialize, Deserialize)]
#[serde(remote = "plan::Target", rename_all = "snake_case")]
enum Target {
    Param(String),
    Body(String),
}

#[cfg(test)]
mod tests;
