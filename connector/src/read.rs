//! The loop: request → response → records → page.
//!
//! Each call of `next_page` is one request. Must hand records out as the bytes that came unless something changes them.

use std::borrow::Cow;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::{self, Document};
use crate::error::Error;
use crate::expression::Context;
use crate::format;
use crate::graphql;
use crate::http::{Http, HttpRequest, HttpResponse};
use crate::incremental::{self, Compiled, IncrementalRead, Memory};
use crate::log::Log;
use crate::paginator::{Answer, Paginator};
use crate::parent::{self, Partition, Slice};
use crate::plan;
use crate::plan::{Stream, WriteDisposition};
use crate::request::{self, OutgoingRequest};
use crate::response_action::{self, Verdict};
use crate::selection::{self, Selection};
use crate::selector::Selector;
use crate::step::{self, Step};

/// Records, and where to go on behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// A JSON array.
    pub records: Vec<u8>,
    pub checkpoint: String,
    /// Nothing comes behind it.
    pub last: bool,
}

/// A stream with its programs compiled: made once, read many times.
pub struct Prepared {
    pub stream: Stream,
    steps: Vec<Step>,
    selector: Option<Selector>,
    incremental: Option<Compiled>,
}

impl Prepared {
    pub fn new(stream: Stream) -> Result<Self, Error> {
        let refused = |error: String| Error::Other(format!("{}: {error}", stream.name));
        let steps = stream.steps.iter().map(Step::compile).collect::<Result<_, _>>().map_err(refused)?;
        let selector = match &stream.selector {
            plan::Selector::Auto => None,
            plan::Selector::Path(path) => Some(Selector::parse(path).map_err(refused)?),
        };
        let incremental = stream.incremental.as_ref().map(Compiled::new).transpose().map_err(refused)?;
        Ok(Self { steps, selector, incremental, stream })
    }
}

/// Where a read stands. Without a page: at the end of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Checkpoint {
    /// The last page, behind which it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<LastPage>,
    /// As detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    selector: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    incremental: Option<Memory>,
    /// What another program remembered of the stream, where the host found a dataset of its (dlt's, so far). Read, never
    /// written.
    #[serde(default, rename = "dlt", skip_serializing)]
    inherited: Option<Value>,
}

impl Checkpoint {
    fn parse(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|error| Error::Other(format!("the checkpoint can't be read: {error}")))
    }

    fn print(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|error| Error::Other(error.to_string()))
    }
}

/// The page in front of a checkpoint, so that whoever goes on there can look whether it is still the same: in a list that
/// has moved since, an offset, a number or a token leads to other records.
#[derive(Debug, Serialize, Deserialize)]
struct LastPage {
    /// In front of the page.
    paginator: Paginator,
    /// Of its records.
    fingerprint: String,
}

/// A read in progress.
pub struct Reader<H> {
    prepared: Rc<Prepared>,
    http: Rc<H>,
    log: Rc<Log>,
    /// Filled, in front of the first page.
    request: OutgoingRequest,
    paginator: Paginator,
    selector: Option<Selector>,
    incremental: Option<IncrementalRead>,
    slice: Slice,
    /// The checkpoint that the host has.
    before: String,
    /// What has to stand there still before the read goes on.
    proof: Option<String>,
    /// Nothing has been found so far, in a read that began with the first page.
    nothing_found: bool,
    over: bool,
}

impl<H: Http> Reader<H> {
    /// Begins to read a partition, goes on behind a page of it, or begins a new run behind an earlier one.
    pub fn begin(
        prepared: Rc<Prepared>,
        http: Rc<H>,
        log: Rc<Log>,
        partition: &Partition,
        checkpoint: Option<&str>,
    ) -> Result<Self, Error> {
        let stream = &prepared.stream;
        let slice = Slice::of(partition)?;
        let before = checkpoint.unwrap_or("{}").to_owned();
        let mut stored = Checkpoint::parse(&before)?;
        if let (Some(plan), Some(memory)) = (&stream.incremental, &stored.incremental)
            && !memory.is_of(plan)
        {
            stored = Checkpoint::default();
        }
        let selector = match &stored.selector {
            Some(path) => Some(Selector::parse(path).map_err(Error::Other)?),
            None => prepared.selector.clone(),
        };
        let mut context = Context { slice: slice.values.clone(), interval: None };
        let mut incremental = None;
        if let (Some(plan), Some(compiled)) = (&stream.incremental, &prepared.incremental) {
            let plan = slice.window.as_ref().map_or_else(|| plan.clone(), |window| incremental::within(plan, window));
            let inherited = || stored.inherited.as_ref().and_then(|state| Memory::inherited(&plan, state));
            let memory =
                stored.incremental.or_else(inherited).filter(|memory| stream.remembers() || memory.is_of_this_run());
            let read = IncrementalRead::begin(plan, stream, memory)?;
            context.interval = Some(read.interval(compiled)?);
            incremental = Some(read);
        }
        let filled = request::fill(&stream.request, &context, stream.words.no_bound_in_url);
        let request = filled.map_err(|error| error.within(&stream.name))?;
        let nothing_found = stored.page.is_none();
        let (paginator, proof) = match stored.page {
            Some(page) => (page.paginator, Some(page.fingerprint)),
            None => (Paginator::begin(&stream.paginator), None),
        };
        Ok(Self {
            http,
            log,
            request,
            paginator,
            selector,
            incremental,
            slice,
            before,
            proof,
            nothing_found,
            over: false,
            prepared,
        })
    }

    /// The next page; none at the end, and ever after, and after an error.
    pub fn next_page(&mut self) -> Result<Option<Page>, Error> {
        if self.over {
            return Ok(None);
        }
        self.over = true;
        if let Some(fingerprint) = self.proof.take()
            && !self.prove(&fingerprint)?
        {
            return self.last_page(b"[]".to_vec());
        }
        self.read_page()
    }

    /// Reads the page before the checkpoint again. Says whether anything comes behind it.
    ///
    /// Errors: it is another page, or none (`Moved`). Whether the API can't be reached just now says nothing of that.
    fn prove(&mut self, fingerprint: &str) -> Result<bool, Error> {
        let prepared = Rc::clone(&self.prepared);
        let stream = &prepared.stream;
        let moved = |error: Error| match error {
            Error::BadData(text) => Error::Moved(text),
            error => error,
        };
        if let Some(fetched) = self.fetch().map_err(moved)? {
            let selection = selection::select(&fetched.document, &fetched.selector, &stream.name, &self.log);
            if selection.identity(&stream.primary_key) == fingerprint {
                let answer = fetched.answer(&selection, &stream.name, &self.log);
                return self.paginator.advance(&answer).map_err(moved);
            }
        }
        Err(Error::Moved(format!("{}: the last page that was read is no longer the same", stream.name)))
    }

    /// The next page of the list.
    fn read_page(&mut self) -> Result<Option<Page>, Error> {
        let Some(fetched) = self.fetch()? else {
            return self.last_page(b"[]".to_vec());
        };
        let prepared = Rc::clone(&self.prepared);
        let stream = &prepared.stream;
        let selection = selection::select(&fetched.document, &fetched.selector, &stream.name, &self.log);
        self.nothing_found &= selection == Selection::Missing;
        let in_front = self.paginator.clone();
        let mut more = self.paginator.advance(&fetched.answer(&selection, &stream.name, &self.log))?;
        let changed = self.change(&selection)?;
        if changed.as_ref().is_some_and(|changed| changed.left_range) {
            more = false;
        }
        let page = more.then(|| LastPage { paginator: in_front, fingerprint: selection.identity(&stream.primary_key) });
        let records = match (changed.and_then(|changed| changed.records), &selection) {
            (Some(records), _) => Some(records),
            (None, Selection::Array(_)) if selection.has_nulls() => Some(array(&records_of(&selection))),
            // The whole body is handed on without a copy.
            (None, Selection::Array(array)) if array.raw.len() == fetched.document.text().len() => None,
            (None, Selection::Array(array)) => Some(array.raw.as_bytes().to_vec()),
            (None, Selection::Items(_) | Selection::Missing) => Some(array(&records_of(&selection))),
        };
        if !more && self.nothing_found {
            self.refuse_to_empty(&fetched.selector, &fetched.document)?;
        }
        let records = records.unwrap_or_else(|| fetched.document.into_text().into_bytes());
        let Some(page) = page else { return self.last_page(records) };
        let checkpoint = Checkpoint {
            page: Some(page),
            selector: self.prepared.selector.is_none().then(|| fetched.selector.text().to_owned()),
            incremental: self.incremental.as_ref().map(IncrementalRead::position),
            inherited: None,
        };
        self.over = false;
        self.before = checkpoint.print()?;
        Ok(Some(Page { records, checkpoint: self.before.clone(), last: false }))
    }

    /// Asks for the page at the paginator's position; none: an action says to ignore the response.
    fn fetch(&mut self) -> Result<Option<Fetched>, Error> {
        let request = self.request()?;
        let Some(mut response) = self.exchange(&request)? else { return Ok(None) };
        let stream = &self.prepared.stream;
        let unseen = self.slice.include.is_empty() && self.incremental.is_none();
        let known = self.selector.as_ref().filter(|_| unseen).and_then(Selector::keys);
        let document = format::read(&stream.format, &request, &mut response, &stream.name, known)?;
        graphql::refuse_errors(&self.request, &document).map_err(|error| error.within(&stream.name))?;
        let detect = || selection::detect(&document, &stream.name, &self.log);
        let selector = self.selector.get_or_insert_with(detect).clone();
        Ok(Some(Fetched { request, response, document, selector }))
    }

    /// Sends the first request and looks whether its answer can be read.
    pub fn check(&mut self) -> Result<(), Error> {
        let request = self.request()?;
        let Some(mut response) = self.exchange(&request)? else { return Ok(()) };
        let stream = &self.prepared.stream;
        format::read(&stream.format, &request, &mut response, &stream.name, None).map(|_| ())
    }

    /// Whether anything is taken out of records, or changed in them; otherwise they go to the host as they came.
    fn looks_into_records(&self) -> bool {
        !(self.slice.include.is_empty() && self.prepared.steps.is_empty() && self.incremental.is_none())
    }

    fn request(&self) -> Result<HttpRequest, Error> {
        let mut request = self.request.clone();
        self.paginator.apply(&mut request)?;
        request.encode(&self.prepared.stream.response_actions)
    }

    /// A `replace` whose selector found nothing at all would empty the table: more likely the response is an error, or
    /// the selector wrong.
    fn refuse_to_empty(&self, selector: &Selector, document: &Document) -> Result<(), Error> {
        let stream = &self.prepared.stream;
        let is_written = matches!(stream.selector, plan::Selector::Path(_)) && !selector.is_plural();
        if !is_written || stream.parent.is_some() || stream.write_disposition != WriteDisposition::Replace {
            return Ok(());
        }
        let (place, path) = (&stream.name, selector.text());
        Err(Error::BadData(format!(
            "{place}: the selector `{path}` found nothing, and replacing the table by nothing would empty it; the response \
             has: {}. If such a response means that there are no records, {}",
            document::shown_names(document.text()),
            stream.words.no_records
        )))
    }

    /// Sends a request, again while an action says so; none: an action says to ignore the response.
    ///
    /// The host knows how long to wait and when to give up: it is told which repetition this is, and hands out the last
    /// answer again when there have been enough.
    fn exchange(&self, request: &HttpRequest) -> Result<Option<HttpResponse>, Error> {
        /// In case that the host never gives up.
        const MOST: usize = 100;
        let stream = &self.prepared.stream;
        let mut repeated = request.clone();
        for attempt in 1..=MOST {
            let response = self.http.send(&repeated).map_err(|error| error.within(&stream.name))?;
            let verdict = response_action::judge(&stream.response_actions, request, &response);
            match verdict.map_err(|error| error.within(&stream.name))? {
                Verdict::Proceed => return Ok(Some(response)),
                Verdict::Ignore => return Ok(None),
                Verdict::Retry if response.header(response_action::GIVEN_UP_HEADER).is_some() => break,
                Verdict::Retry => {
                    repeated.headers = request.headers.clone();
                    repeated.headers.push((response_action::ATTEMPT_HEADER.to_owned(), attempt.to_string()));
                }
            }
        }
        Err(Error::Unavailable(format!(
            "{}: {} {}: a response action says to retry, and the response stays the same",
            stream.name, request.method, request.url
        )))
    }

    /// The last page carries what the next run needs. Without records it is only worth a page if the host does not know
    /// that yet.
    fn last_page(&mut self, records: Vec<u8>) -> Result<Option<Page>, Error> {
        let remembers = self.prepared.stream.remembers();
        let incremental = self.incremental.as_ref().filter(|_| remembers).and_then(IncrementalRead::finished);
        let checkpoint = Checkpoint { incremental, ..Checkpoint::default() }.print()?;
        let known = same_json(&self.before, &checkpoint);
        let nothing = std::str::from_utf8(&records).is_ok_and(document::is_empty_array);
        Ok((!nothing || !known).then_some(Page { records, checkpoint, last: true }))
    }

    /// What parent fields, steps and the incremental make of the records; none if nothing looks at them.
    fn change(&mut self, selection: &Selection<'_>) -> Result<Option<Changed>, Error> {
        if !self.looks_into_records() {
            return Ok(None);
        }
        let Self { prepared, slice, incremental, .. } = self;
        let place = &prepared.stream.name;
        let items = records_of(selection);
        let count = selection.count();
        let mut records: Vec<Cow<'_, str>> = items.into_iter().map(Cow::Borrowed).collect();
        if !slice.include.is_empty() {
            for record in &mut records {
                *record = Cow::Owned(parent::append(record, &slice.include, place)?);
            }
        }
        if !prepared.steps.is_empty() {
            records = step::apply(&prepared.steps, records).map_err(|error| error.within(place))?;
        }
        let mut left_range = false;
        if let (Some(incremental), Some(compiled)) = (incremental, &prepared.incremental) {
            let filtered = incremental.filter(compiled, records)?;
            records = filtered.records;
            // A child's partitions are ranges of their own, but each is read to the end.
            left_range = filtered.left_range && prepared.stream.parent.is_none();
        }
        let untouched = records.len() == count && records.iter().all(|record| matches!(record, Cow::Borrowed(_)));
        let records = (!untouched).then(|| array(&records));
        Ok(Some(Changed { records, left_range }))
    }
}

/// A response that may hold records.
struct Fetched {
    request: HttpRequest,
    response: HttpResponse,
    document: Document,
    selector: Selector,
}

impl Fetched {
    fn answer<'a>(&'a self, records: &'a Selection<'a>, place: &'a str, log: &'a Log) -> Answer<'a> {
        let (url, response, document) = (self.request.url.as_str(), &self.response, &self.document);
        Answer { url, response, document, records, place, log }
    }
}

/// A null is no record.
fn records_of<'a>(selection: &Selection<'a>) -> Vec<&'a str> {
    let mut records = selection.items();
    records.retain(|raw| document::kind(raw) != document::Kind::Null);
    records
}

struct Changed {
    /// None: as they came.
    records: Option<Vec<u8>>,
    left_range: bool,
}

fn array(records: &[impl AsRef<str>]) -> Vec<u8> {
    let length: usize = records.iter().map(|record| record.as_ref().len() + 1).sum();
    let mut bytes = Vec::with_capacity(length + 2);
    bytes.push(b'[');
    for (position, record) in records.iter().enumerate() {
        if position > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(record.as_ref().as_bytes());
    }
    bytes.push(b']');
    bytes
}

fn same_json(left: &str, right: &str) -> bool {
    let parsed = |text| serde_json::from_str::<Value>(text).ok();
    left == right || parsed(left) == parsed(right)
}

#[cfg(test)]
mod tests;
