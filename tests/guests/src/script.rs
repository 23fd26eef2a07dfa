//! What the configuration tells the malicious connector to do.
//!
//! An origin is granted by a URL at the place that a connector names: it names those of `granted` and `also`, and of each
//! grant itself. So that a connector can ask for what no operator wrote down, `hxxp` is read as `http` and `$<` as `${`.

use serde::Deserialize;
use serde_json::Value;

use crate::bindings::airlock::connector::types;
use crate::bindings::exports::airlock::connector::source;
use crate::{request, strike};

#[derive(Deserialize)]
#[serde(default)]
pub(crate) struct Script {
    /// `EXPORT:BEHAVIOUR`.
    strike: String,
    /// From which page on `next` strikes.
    pub(crate) strike_at_page: usize,
    /// What `EXPORT:error` answers.
    error: Failure,
    grants: Vec<Grant>,
    /// Further origins that it asks for, without credentials.
    granted: Vec<String>,
    also: Option<String>,
    /// Besides `good`; `bad` unless given.
    streams: Vec<Stream>,
    /// That many more streams.
    stream_count: usize,
    pub(crate) partitions: Option<usize>,
    pub(crate) partition_id: Text,
    /// Sent when the first page is asked for, whose records are the answers.
    requests: Vec<request::Request>,
    /// A request that fails is no reason to fail.
    lenient: bool,
    pages: Vec<Page>,
    /// How often all pages come.
    rounds: usize,
    pub(crate) log: Vec<String>,
    pub(crate) explain: Option<String>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            strike: String::new(),
            strike_at_page: 0,
            error: Failure::default(),
            grants: Vec::new(),
            granted: Vec::new(),
            also: None,
            streams: vec![Stream { name: "bad".to_owned(), ..Stream::default() }],
            stream_count: 0,
            partitions: None,
            partition_id: Text::default(),
            requests: Vec::new(),
            lenient: false,
            pages: Vec::new(),
            rounds: 1,
            log: Vec::new(),
            explain: None,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Failure {
    kind: String,
    message: String,
    /// The place of a diagnostic, with that many slashes behind it.
    at: String,
    slashes: usize,
    /// How many diagnostics, if not one.
    times: usize,
}

#[derive(Deserialize)]
struct Grant {
    origin: String,
    /// Where it says that the origin stands; else where `granted` has it, or where it stands in the grant itself.
    at: Option<String>,
    #[serde(default)]
    credentials: Vec<Credential>,
}

#[derive(Deserialize)]
struct Credential {
    name: String,
    kind: String,
    secret: String,
    #[serde(default)]
    other: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Stream {
    name: String,
    parent: Option<String>,
    primary_key: Vec<String>,
    merge: bool,
    hints: Value,
}

/// A page, or a text in it: `before`, then `fill` as often as `times` says, then `after`. `#` in them is the page's number.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub(crate) struct Text {
    before: String,
    fill: String,
    times: usize,
    after: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Page {
    /// `array` unless given; `lines`, `arrow`.
    kind: String,
    #[serde(flatten)]
    text: Text,
    /// Instead of a text.
    bytes: Vec<u8>,
    checkpoint: Option<Text>,
}

impl Script {
    pub(crate) fn parse(config: &str) -> Self {
        serde_json::from_str(&config.replace("hxxp", "http").replace("$<", "${")).unwrap()
    }

    /// Strikes if this is the place.
    pub(crate) fn at(&self, export: &str) -> Result<(), types::Error> {
        match self.strike.split_once(':') {
            Some((place, "error")) if place == export => Err(self.error.to_wit()),
            Some((place, behaviour)) if place == export => {
                strike::strike(behaviour);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn grants(&self) -> Vec<source::Grant> {
        let mut grants: Vec<source::Grant> = Vec::new();
        for (index, grant) in self.grants.iter().enumerate() {
            let known = self.granted.iter().position(|known| *known == grant.origin);
            let place = known.map_or(format!("/grants/{index}/origin"), |known| format!("/granted/{known}"));
            grants.push(grant.to_wit(grant.at.clone().unwrap_or(place)));
        }
        let plain = |origin: &String, at: String| source::Grant {
            origin: origin.clone(),
            at: Some(at),
            credentials: Vec::new(),
        };
        for (index, origin) in self.granted.iter().enumerate() {
            if grants.iter().all(|grant| grant.origin != *origin) {
                grants.push(plain(origin, format!("/granted/{index}")));
            }
        }
        grants.extend(self.also.iter().map(|origin| plain(origin, "/also".to_owned())));
        grants
    }

    pub(crate) fn streams(&self) -> Vec<source::Stream> {
        let more = (0..self.stream_count).map(|number| Stream { name: format!("s{number}"), ..Stream::default() });
        let good = Stream { name: "good".to_owned(), ..Stream::default() };
        let to_wit = |stream: &Stream| source::Stream {
            name: stream.name.clone(),
            parent: stream.parent.clone(),
            selected: true,
            primary_key: stream.primary_key.clone(),
            merge_key: Vec::new(),
            cursor_field: None,
            write_disposition: if stream.merge {
                source::WriteDisposition::Merge
            } else {
                source::WriteDisposition::Append
            },
            hints: if stream.hints.is_null() { "{}".to_owned() } else { stream.hints.to_string() },
        };
        let mut streams: Vec<source::Stream> = self.streams.iter().map(to_wit).collect();
        streams.extend(more.map(|stream| to_wit(&stream)));
        streams.push(to_wit(&good));
        streams
    }

    pub(crate) fn page(&self, position: usize) -> Result<Option<source::Page>, types::Error> {
        let checkpoint = || Some(format!(r#"{{"page": {position}}}"#));
        if !self.requests.is_empty() {
            if position > 0 {
                return Ok(None);
            }
            let answers = request::send_all(&self.requests, self.lenient).map_err(types::Error::Other)?;
            return Ok(Some(source::Page {
                records: types::Records::JsonArray(answers),
                checkpoint: checkpoint(),
                last: false,
            }));
        }
        if self.pages.is_empty() {
            let records = br#"[{"id": 1}]"#.to_vec();
            return Ok((position == 0).then(|| source::Page {
                records: types::Records::JsonArray(records),
                checkpoint: checkpoint(),
                last: false,
            }));
        }
        if position >= self.pages.len().saturating_mul(self.rounds) {
            return Ok(None);
        }
        let page = &self.pages[position % self.pages.len()];
        let bytes = if page.bytes.is_empty() { page.text.build(position).into_bytes() } else { page.bytes.clone() };
        Ok(Some(source::Page {
            records: match page.kind.as_str() {
                "lines" => types::Records::JsonLines(bytes),
                "arrow" => types::Records::ArrowIpc(bytes),
                _ => types::Records::JsonArray(bytes),
            },
            checkpoint: page.checkpoint.as_ref().map(|text| text.build(position)),
            last: false,
        }))
    }
}

impl Text {
    pub(crate) fn build(&self, number: usize) -> String {
        format!("{}{}{}", self.before, self.fill.repeat(self.times), self.after).replace('#', &number.to_string())
    }
}

impl Failure {
    fn to_wit(&self) -> types::Error {
        let message = self.message.clone();
        match self.kind.as_str() {
            "invalid-config" => {
                let diagnostic = types::Diagnostic {
                    severity: types::Severity::Error,
                    code: message.clone(),
                    at: self.at.clone() + &"/".repeat(self.slashes),
                    message: message.clone(),
                    label: Some(message.clone()),
                    help: Some(message),
                };
                types::Error::InvalidConfig(vec![diagnostic; self.times.max(1)])
            }
            "unauthorized" => types::Error::Unauthorized(message),
            "unavailable" => types::Error::Unavailable(message),
            "bad-data" => types::Error::BadData(message),
            _ => types::Error::Other(message),
        }
    }
}

impl Grant {
    fn to_wit(&self, at: String) -> source::Grant {
        let credential = |credential: &Credential| source::Credential {
            name: credential.name.clone(),
            authentication: credential.to_wit(),
        };
        source::Grant {
            origin: self.origin.clone(),
            at: Some(at),
            credentials: self.credentials.iter().map(credential).collect(),
        }
    }
}

impl Credential {
    fn to_wit(&self) -> source::Authentication {
        let secret = self.secret.clone();
        let key = |location| source::ApiKey { name: self.other.clone(), value: secret.clone(), location };
        match self.kind.as_str() {
            "basic" => source::Authentication::Basic(source::Basic { username: self.other.clone(), password: secret }),
            "header" => source::Authentication::ApiKey(key(source::ApiKeyLocation::Header)),
            "query" => source::Authentication::ApiKey(key(source::ApiKeyLocation::Query)),
            "cookie" => source::Authentication::ApiKey(key(source::ApiKeyLocation::Cookie)),
            "oauth2" => source::Authentication::Oauth2(source::Oauth2 {
                grant: source::Oauth2Grant::ClientCredentials,
                token_url: self.other.clone(),
                client_id: "id".to_owned(),
                client_secret: secret,
                access_token: None,
                request_data: Vec::new(),
                default_expiration: 60,
            }),
            _ => source::Authentication::Bearer(secret),
        }
    }
}
