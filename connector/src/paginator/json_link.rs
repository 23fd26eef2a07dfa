//! The next page's URL stands in the response's body.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::cursor::is_end;
use super::loop_guard::LoopGuard;
use super::{Answer, Paginate};
use crate::document;
use crate::error::{Error, excerpt};
use crate::request::OutgoingRequest;
use crate::selection::Selection;
use crate::selector::Selector;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JsonLink {
    next_url_path: String,
    #[serde(flatten)]
    link: Link,
}

impl JsonLink {
    pub fn new(next_url_path: String) -> Self {
        Self { next_url_path, link: Link::default() }
    }
}

impl Paginate for JsonLink {
    fn apply(&self, request: &mut OutgoingRequest) -> Result<(), Error> {
        self.link.apply(request);
        Ok(())
    }

    fn advance(&mut self, answer: &Answer<'_>) -> Result<bool, Error> {
        let selector = Selector::parse(&self.next_url_path).map_err(Error::Other)?;
        match selector.first(answer.document).map(document::value) {
            None => Ok(false),
            Some(end) if is_end(&end) => Ok(false),
            Some(Value::String(next)) => self.link.advance(&next, answer),
            Some(other) => {
                let (place, path, shown) = (answer.place, &self.next_url_path, excerpt(&other.to_string()));
                Err(Error::BadData(format!("{place}: `{path}` is not a next link but `{shown}`")))
            }
        }
    }
}

/// A next link, wherever it stood.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Link {
    next: Option<String>,
    guard: LoopGuard,
}

impl Link {
    /// The link carries its own query: the parameters are dropped.
    pub(super) fn apply(&self, request: &mut OutgoingRequest) {
        if let Some(next) = &self.next {
            request.follow(next);
        }
    }

    /// Resolves the link against the URL just asked (RFC 3986, section 5).
    pub(super) fn advance(&mut self, next: &str, answer: &Answer<'_>) -> Result<bool, Error> {
        if next.trim().is_empty() {
            return Ok(false);
        }
        // A link says everything of its page, so the page itself does not count.
        let page = &Selection::Missing;
        if self.next.is_none() {
            self.guard.check("next link", answer.url, page, answer.place)?;
        }
        let bad = |error| Error::BadData(format!("{}: the next link `{}`: {error}", answer.place, excerpt(next)));
        let mut url = Url::parse(answer.url).and_then(|base| base.join(next.trim())).map_err(bad)?;
        url.set_fragment(None);
        let url = String::from(url);
        self.guard.check("next link", &url, page, answer.place)?;
        self.next = Some(url);
        Ok(true)
    }
}
