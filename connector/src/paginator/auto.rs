//! Finds out from the first response how an API pages.
//!
//! dlt's order: a `Link` header; a next link in the body; a number of pages; a cursor; none. What is a guess is said.

use serde_json::Value;

use super::cursor::Cursor;
use super::header_link::{self, HeaderLink};
use super::json_link::JsonLink;
use super::page_number::PageNumber;
use super::single_page::SinglePage;
use super::{Answer, Paginator, range};
use crate::document::{self, Kind};
use crate::plan::{Range, Target, TotalPath};
use crate::selection::Selection;
use crate::selector::{Key, Selector};

/// How deep keys are looked for; lists are not looked into.
const DEPTH: usize = 8;

/// Keys that hold the number of pages, in lower case.
const TOTALS: [&str; 3] = ["total_pages", "pages", "totalpages"];

/// Keys that hold the number of the page at hand, in lower case.
const PAGES: [&str; 6] = ["page", "current_page", "currentpage", "page_number", "pagenumber", "page_index"];

pub(super) fn detect(answer: &Answer<'_>) -> Paginator {
    if header_link::link(answer.response, "next").is_some() {
        return Paginator::HeaderLink(HeaderLink::new("next".to_owned()));
    }
    let next = find(answer.document.text(), &mut |name, raw| next_key(name, raw));
    if let Some(Found { keys, value: Value::String(text), .. }) = &next
        && (text.starts_with("http") || text.starts_with('/') || text.starts_with('?'))
    {
        return Paginator::JsonLink(JsonLink::new(Selector::from_keys(keys.clone()).text().to_owned()));
    }
    let total = find(answer.document.text(), &mut |name, raw| {
        let known = TOTALS.contains(&name.to_lowercase().as_str());
        known.then(|| document::value(raw)).filter(|value| range::whole_number(value).is_some()).map(|v| (None, v))
    });
    if let Some(total) = total {
        return page_number(&total, answer);
    }
    if let Some(Found { keys, value: Value::String(_) | Value::Number(_), .. }) = &next {
        let path = Selector::from_keys(keys.clone()).text().to_owned();
        answer.log.warn(&format!(
            "{}: the response has a cursor at `{path}`; it is sent back as `cursor`, which is a guess: set the \
             paginator to be sure",
            answer.place
        ));
        return Paginator::Cursor(Cursor::new(path, Target::Param("cursor".to_owned()), false, None));
    }
    // A next link or cursor that is null says that there is one page.
    if next.is_none() && matches!(answer.records, Selection::Array(_)) && !answer.records.is_empty() {
        answer.log.warn(&format!(
            "{}: no paginator detected, so this one page is taken for all there is: set `paginator: single_page` if \
             that is right",
            answer.place
        ));
    }
    Paginator::SinglePage(SinglePage {})
}

/// Counts from the page that the first response says it is. If it does not, the first page is taken for page 1: asking
/// without a number and asking for page 1 is the same with almost every API, and a repeated page is an error.
fn page_number(total: &Found<'_>, answer: &Answer<'_>) -> Paginator {
    let said = total.siblings.iter().find_map(|(name, raw)| {
        let known = PAGES.contains(&name.to_lowercase().as_str());
        known.then(|| range::whole_number(&document::value(raw))).flatten()
    });
    let page = said.unwrap_or(1);
    let base = page.min(1);
    let range = Range {
        total_path: TotalPath::Required(Selector::from_keys(total.keys.clone()).text().to_owned()),
        maximum: None,
        stop_after_empty_page: true,
        has_more_path: None,
    };
    let paginator = PageNumber::new(base, page, Target::Param("page".to_owned()), range);
    Paginator::PageNumber(if said.is_some() { paginator } else { paginator.assume_first(answer.records) })
}

/// A value and where it stood.
struct Found<'a> {
    keys: Vec<Key>,
    value: Value,
    siblings: Vec<(String, &'a str)>,
}

/// What a search makes of a field: a further key below it, if any, and the value.
type Match = Option<(Option<String>, Value)>;

/// The first field that fits, in document order, parents before children.
fn find<'a>(raw: &'a str, fits: &mut dyn FnMut(&str, &'a str) -> Match) -> Option<Found<'a>> {
    fn search<'a>(
        raw: &'a str,
        keys: &mut Vec<Key>,
        fits: &mut dyn FnMut(&str, &'a str) -> Match,
    ) -> Option<Found<'a>> {
        let fields = document::fields(raw)?;
        for (name, raw) in &fields {
            keys.push(Key::Name(name.clone().into_owned()));
            if let Some((below, value)) = fits(name, raw) {
                keys.extend(below.map(Key::Name));
                let siblings = fields.iter().map(|(name, raw)| (name.clone().into_owned(), *raw)).collect();
                return Some(Found { keys: keys.clone(), value, siblings });
            }
            if keys.len() < DEPTH
                && document::kind(raw) == Kind::Object
                && let Some(found) = search(raw, keys, fits)
            {
                return Some(found);
            }
            keys.pop();
        }
        None
    }
    search(raw, &mut Vec::new(), fits)
}

/// `next`, `next_page`, `nextPageToken`, `@odata.nextLink`; below an object its `href` or `url`.
fn next_key(name: &str, raw: &str) -> Match {
    let name = name.to_lowercase();
    if !name.rsplit(['.', '@', '-', ':']).any(|part| part.starts_with("next")) {
        return None;
    }
    match document::kind(raw) {
        Kind::Object => document::fields(raw)?.into_iter().find_map(|(key, raw)| {
            let lower = key.to_lowercase();
            let holds = lower.starts_with("href") || lower.starts_with("url");
            holds.then(|| (Some(key.into_owned()), document::value(raw)))
        }),
        Kind::Array => None,
        Kind::Null | Kind::Scalar => Some((None, document::value(raw))),
    }
}

#[cfg(test)]
mod tests;
