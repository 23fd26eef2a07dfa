//! The smallest connector that is worth running: one stream, read page by page, resumable, with a credential.
//!
//! It reads `GET BASE_URL/posts?page=N`, which answers `{"data": [...], "total_pages": T}`. It must never hold a secret:
//! the token in its configuration is a reference, which it hands back in a credential.

use std::cell::Cell;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

wit_bindgen::generate!({ path: "../../wit", world: "connector" });

use airlock::connector::types::{Diagnostic, Error, Records, Severity};
use exports::airlock::connector::source::{
    Authentication, Connection, Credential, Description, Grant, Guest, GuestConnection, GuestReader, Page, Partition,
    Reader, Stream, WriteDisposition,
};

struct Component;

export!(Component);

impl Guest for Component {
    type Connection = Posts;
    type Reader = Pages;

    fn describe() -> Description {
        // `writeOnly` marks the place of a secret: the host takes the value out and leaves a reference.
        let schema = serde_json::json!({
            "type": "object",
            "properties": {
                "base_url": {"type": "string", "description": "Where the API is, such as https://api.example.com"},
                "token": {"type": "string", "writeOnly": true, "description": "Sent as a bearer token."},
            },
            "required": ["base_url"],
            "additionalProperties": false,
        });
        Description {
            name: "posts".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Reads the posts of a blog.".to_owned(),
            config_schema: schema.to_string(),
        }
    }
}

/// The configuration, as the user writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posts {
    base_url: String,
    token: Option<String>,
}

impl GuestConnection for Posts {
    fn open(config: String) -> Result<Connection, Error> {
        // The host does not check the configuration against the schema: the connector says what is wrong, with a place.
        let posts: Self = serde_json::from_str(&config).map_err(|error| mistake("", error.to_string()))?;
        if origin(&posts.base_url).is_none() {
            return Err(mistake("/base_url", "no URL with http or https".to_owned()));
        }
        Ok(Connection::new(posts))
    }

    fn grants(&self) -> Vec<Grant> {
        let credential = |token: &String| Credential {
            name: "token".to_owned(),
            authentication: Authentication::Bearer(token.clone()),
        };
        vec![Grant {
            origin: origin(&self.base_url).unwrap_or_default().to_owned(),
            at: Some("/base_url".to_owned()),
            credentials: self.token.iter().map(credential).collect(),
        }]
    }

    fn streams(&self) -> Result<Vec<Stream>, Error> {
        Ok(vec![Stream {
            name: "posts".to_owned(),
            parent: None,
            selected: true,
            primary_key: vec!["id".to_owned()],
            merge_key: Vec::new(),
            cursor_field: None,
            write_disposition: WriteDisposition::Merge,
            hints: "{}".to_owned(),
        }])
    }

    fn check(&self) -> Result<(), Error> {
        fetch(&self.base_url, 1).map(|_| ())
    }

    fn explain(&self) -> Result<String, Error> {
        Ok(serde_json::json!([{"stream": "posts", "request": format!("GET {}/posts?page=1", self.base_url)}])
            .to_string())
    }

    fn partitions(
        &self,
        _stream: String,
        _parents: Option<Records>,
    ) -> Result<Vec<Partition>, Error> {
        Ok(vec![Partition { id: String::new(), data: "{}".to_owned() }])
    }

    fn read(&self, _stream: String, _partition: Partition, checkpoint: Option<String>) -> Result<Reader, Error> {
        let checkpoint = match checkpoint {
            None => Checkpoint::default(),
            Some(text) => serde_json::from_str(&text).map_err(|error| Error::Other(error.to_string()))?,
        };
        // The checkpoint of a finished run says nothing of where to start: every run begins at the first page.
        let next = checkpoint.next.unwrap_or(1);
        Ok(Reader::new(Pages { base_url: self.base_url.clone(), next: Cell::new(Some(next)) }))
    }
}

/// Where to resume. The host stores it with the rows, in one transaction.
#[derive(Default, Serialize, Deserialize)]
struct Checkpoint {
    /// The page to read next; none behind the last one.
    next: Option<u64>,
}

struct Pages {
    base_url: String,
    next: Cell<Option<u64>>,
}

impl GuestReader for Pages {
    fn next(&self) -> Result<Option<Page>, Error> {
        let Some(number) = self.next.get() else { return Ok(None) };
        let answer = fetch(&self.base_url, number)?;
        let next = (number < answer.total_pages).then_some(number + 1);
        let checkpoint =
            serde_json::to_string(&Checkpoint { next }).map_err(|error| Error::Other(error.to_string()))?;
        self.next.set(next);
        Ok(Some(Page {
            // The records cross as they came: nothing is parsed that is not looked at.
            records: Records::JsonArray(answer.data.get().as_bytes().to_vec()),
            checkpoint: Some(checkpoint),
            last: next.is_none(),
        }))
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Box<RawValue>,
    total_pages: u64,
}

/// One request. The host grants or refuses it, adds the credential, paces it, retries it, and decompresses the answer.
fn fetch(base_url: &str, page: u64) -> Result<Answer, Error> {
    let url = format!("{}/posts?page={page}", base_url.trim_end_matches('/'));
    let unreachable = |error: &dyn std::fmt::Display| Error::Unavailable(format!("GET {url}: {error}"));
    let response = waki::Client::new().get(&url).send().map_err(|error| unreachable(&error))?;
    let status = response.status_code();
    let body = response.body().map_err(|error| unreachable(&error))?;
    match status {
        200..=299 => serde_json::from_slice(&body).map_err(|error| Error::BadData(format!("GET {url}: {error}"))),
        401 | 403 => Err(Error::Unauthorized(format!("GET {url}: {status}"))),
        429 | 500..=599 => Err(Error::Unavailable(format!("GET {url}: {status}"))),
        _ => Err(Error::BadData(format!("GET {url}: {status}"))),
    }
}

/// `https://api.example.com/v1` → `https://api.example.com`.
fn origin(url: &str) -> Option<&str> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let end = host.find(['/', '?', '#']).unwrap_or(host.len());
    (end > 0).then(|| &url[..url.len() - host.len() + end])
}

fn mistake(at: &str, message: String) -> Error {
    Error::InvalidConfig(vec![Diagnostic {
        severity: Severity::Error,
        code: "wrong-value".to_owned(),
        at: at.to_owned(),
        message,
        label: None,
        help: None,
    }])
}
