//! What to read: the streams of a connection, with every default applied, parents before children.
//!
//! A dialect (`dialect/`) yields a `Plan`; everything after it reads the plan only. Must never name a key of a dialect:
//! each yields the same plan.

use serde_json::{Map, Value};

use crate::expression::{Expression, Writer};
use crate::incremental::{Format, Inherited};

#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Parents before their children.
    pub streams: Vec<Stream>,
    /// What the host is asked to grant, one entry per origin.
    pub grants: Vec<Grant>,
}

impl Plan {
    pub fn stream(&self, name: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.name == name)
    }
}

/// One origin and the credentials that belong to it.
#[derive(Debug, Clone)]
pub struct Grant {
    /// `scheme://host` or `scheme://host:port`.
    pub origin: String,
    /// JSON Pointer to where it stands in the configuration.
    pub at: Option<String>,
    pub credentials: Vec<Credential>,
}

/// A credential under the name that `Request::credential` uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    pub name: String,
    pub authentication: Authentication,
}

/// How a request is authenticated. Every text that may be a secret is a reference, never the secret itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Authentication {
    Bearer { token: String },
    Basic { username: String, password: String },
    ApiKey { name: String, value: String, location: ApiKeyLocation },
    OAuth2(OAuth2),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiKeyLocation {
    Header,
    Query,
    Cookie,
}

#[derive(Debug, Clone, PartialEq)]
pub struct OAuth2 {
    pub grant: OAuth2Grant,
    pub token_url: String,
    pub client_id: String,
    pub client_secret: String,
    pub access_token: Option<String>,
    /// Further fields of the token request.
    pub request_data: Vec<(String, String)>,
    /// Seconds.
    pub default_expiration: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum OAuth2Grant {
    ClientCredentials,
    RefreshToken { refresh_token: String },
    JwtBearer { private_key: String, private_key_passphrase: Option<String>, audience: String, scopes: Vec<String> },
}

/// One stream: what to ask for, how to page through it, what to take out.
#[derive(Debug, Clone)]
pub struct Stream {
    pub name: String,
    /// The stream whose records this one is read for.
    pub parent: Option<Parent>,
    /// Loaded; if not, it is read only for its children.
    pub selected: bool,
    pub primary_key: Vec<String>,
    pub merge_key: Vec<String>,
    pub write_disposition: WriteDisposition,
    /// What the destination should know besides, handed through as it is (see `stream.hints` in the WIT).
    pub hints: Map<String, Value>,
    pub request: Request,
    pub paginator: Paginator,
    pub selector: Selector,
    pub response_actions: Vec<ResponseAction>,
    pub incremental: Option<Incremental>,
    /// Applied to each record, in order, before anything else sees it.
    pub steps: Vec<Step>,
    pub format: ResponseFormat,
    pub words: &'static Words,
}

/// What can be said only in the words in which the configuration was written.
#[derive(Debug)]
pub struct Words {
    /// What to do where a URL needs a bound that nobody knows.
    pub no_bound_in_url: &'static str,
    /// What to do where a record has no cursor.
    pub no_cursor: &'static str,
    /// What to do where a response without records is right.
    pub no_records: &'static str,
    /// A field that a parent's record lacks.
    pub no_parent_field: fn(&MissingField<'_>) -> String,
}

/// A field of a parent's record that a child needs.
#[derive(Debug)]
pub struct MissingField<'a> {
    pub parent: &'a str,
    pub field: &'a str,
    /// The name that a child's records should have it under; none: a request asks for it.
    pub target: Option<&'a str>,
    /// The fields that there are.
    pub available: &'a [String],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteDisposition {
    Append,
    Replace,
    Merge,
    Skip,
}

impl Stream {
    /// Whether a run goes on where the one before stopped. What is replaced as a whole has to be read as a whole.
    pub fn remembers(&self) -> bool {
        let has_open_end = self.incremental.as_ref().is_some_and(|incremental| incremental.end_value.is_none());
        has_open_end && self.write_disposition != WriteDisposition::Replace
    }
}

/// How a child stream hangs on its parent.
#[derive(Debug, Clone)]
pub struct Parent {
    pub stream: String,
    /// What requests need of the parent's record: the values of a slice.
    pub values: Vec<ParentValue>,
    /// What every child record gets of it.
    pub include: Vec<Included>,
    /// How many parent records share one request: each value of their slice is a list then. 1: one request each.
    pub batch_size: usize,
}

/// A value of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentValue {
    /// JSONPath into the parent's record, and the value's name.
    pub path: String,
    /// A list means one slice for each of its elements; if not, it is one value.
    pub spreads: bool,
}

/// A top-level field of the parent's record, and what it is called in the child's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    pub field: String,
    pub target: String,
}

/// A request before its expressions have a value.
#[derive(Debug, Clone)]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// What the path is appended to, unless that is a whole URL.
    pub base_url: String,
    /// May carry a query.
    pub path: Vec<PathPart>,
    pub headers: Vec<(Expression, Expression)>,
    /// Query parameters in order. A null is left out, a list is repeated.
    pub params: Vec<(Expression, Expression)>,
    pub body: Body,
    /// Written over what stands there, if they have a value.
    pub injections: Vec<(Target, Expression)>,
    /// How values become texts.
    pub writer: Writer,
    /// Name of the credential; none: nothing is attached.
    pub credential: Option<String>,
}

impl Request {
    /// The paginator's parameters that stand in the path.
    pub fn path_params(&self) -> Vec<String> {
        let params = self.path.iter().filter_map(|part| match part {
            PathPart::Page(param) => Some(param.clone()),
            PathPart::Literal(_) | PathPart::Value(_) => None,
        });
        params.collect()
    }
}

#[derive(Debug, Clone)]
pub enum PathPart {
    Literal(String),
    Value(Expression),
    /// What the paginator would write into the parameter of that name.
    Page(String),
}

#[derive(Debug, Clone)]
pub enum Body {
    Empty,
    Json(Expression),
    /// `application/x-www-form-urlencoded`, as ordered pairs.
    Form(Vec<(Expression, Expression)>),
    /// As it stands, without a content type.
    Raw(Expression),
}

/// How to come from one page to the next.
#[derive(Debug, Clone)]
pub enum Paginator {
    /// Find out from the first response.
    Auto,
    SinglePage,
    JsonLink {
        next_url_path: String,
    },
    HeaderLink {
        rel: String,
    },
    HeaderCursor {
        header: String,
        cursor: Target,
    },
    Cursor {
        cursor_path: String,
        cursor: Target,
        stop_after_empty_page: bool,
        has_more_path: Option<String>,
    },
    PageNumber {
        base_page: i64,
        page: i64,
        target: Target,
        range: Range,
    },
    Offset {
        limit: i64,
        offset: i64,
        offset_target: Target,
        limit_target: Target,
        range: Range,
    },
}

/// Where a value is written into a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A query parameter.
    Param(String),
    /// A dotted path into the JSON body, a key with a dot as `['a.b']`; missing objects are made.
    Body(String),
}

/// When a counting paginator stops.
#[derive(Debug, Clone)]
pub struct Range {
    pub total_path: TotalPath,
    /// Exclusive.
    pub maximum: Option<i64>,
    pub stop_after_empty_page: bool,
    pub has_more_path: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TotalPath {
    /// Written in the configuration: missing in the response is an error.
    Required(String),
    /// A guess: used when the response has it.
    IfPresent(String),
    Off,
}

/// Where the records are in a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Find out from the first response.
    Auto,
    /// JSONPath.
    Path(String),
}

/// What to do with a response that fits. Both conditions given: both must fit.
#[derive(Debug, Clone)]
pub struct ResponseAction {
    pub status: Option<u16>,
    /// A part of the body's text.
    pub content: Option<String>,
    pub action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// End this pagination without records and without an error.
    Ignore,
    /// Fail.
    Raise,
    /// Try again, by the host's retry rule.
    Retry,
}

/// How new records are told from known ones.
#[derive(Debug, Clone)]
pub struct Incremental {
    /// JSONPath into the record.
    pub cursor_path: String,
    /// How the cursor is written, where that is not beyond doubt.
    pub cursor_format: Option<Format>,
    pub initial_value: Option<Value>,
    /// Exclusive unless `range_end_closed`. Given: the stream reads a fixed range and keeps no state.
    pub end_value: Option<Value>,
    /// jq program applied to values on their way into a request.
    pub convert: Option<String>,
    pub last_value: LastValue,
    /// Fields by which records at the boundary are told apart; `None`: the stream's primary key, or else the whole
    /// record; empty: no deduplication.
    pub primary_key: Option<Vec<String>>,
    pub row_order: Option<RowOrder>,
    pub on_cursor_value_missing: OnMissing,
    /// Seconds for timestamps, days for dates, a plain number for numbers.
    pub lag: Option<f64>,
    pub range_start_open: bool,
    pub range_end_closed: bool,
    /// Splits `initial_value..end_value` into windows of this size (same units as `lag`), each a partition of its own.
    pub window: Option<f64>,
    /// Who else may have remembered this cursor before.
    pub inherited: Option<&'static dyn Inherited>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastValue {
    Max,
    Min,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    Ascending,
    Descending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    Raise,
    Include,
    Exclude,
}

/// One change to a record: a jq program.
#[derive(Debug, Clone)]
pub enum Step {
    /// Keeps the record when the program's first output is neither false nor null.
    Filter(String),
    /// The program's first output takes the record's place.
    Map(String),
    /// Every output becomes a record.
    YieldMap(String),
}

/// What the response's body is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseFormat {
    Json,
    JsonLines,
    /// With a header line.
    Csv {
        delimiter: char,
    },
    /// Each element at this path (`/rss/channel/item`) is a record.
    Xml {
        record_path: String,
    },
}

#[cfg(test)]
impl Stream {
    /// The plainest stream, for tests to change.
    pub fn scripted(name: &str) -> Self {
        const WORDS: &Words = &Words {
            no_bound_in_url: "no bound",
            no_cursor: "no cursor",
            no_records: "no records",
            no_parent_field: |missing| {
                let MissingField { parent, field, target, available } = missing;
                format!("{parent}: {field} for {target:?}, not {}", available.join(", "))
            },
        };
        Self {
            name: name.to_owned(),
            parent: None,
            selected: true,
            primary_key: Vec::new(),
            merge_key: Vec::new(),
            write_disposition: WriteDisposition::Append,
            hints: Map::new(),
            request: Request {
                method: "GET".to_owned(),
                base_url: String::new(),
                path: Vec::new(),
                headers: Vec::new(),
                params: Vec::new(),
                body: Body::Empty,
                injections: Vec::new(),
                writer: Writer(Value::to_string),
                credential: None,
            },
            paginator: Paginator::Auto,
            selector: Selector::Auto,
            response_actions: Vec::new(),
            incremental: None,
            steps: Vec::new(),
            format: ResponseFormat::Json,
            words: WORDS,
        }
    }
}
