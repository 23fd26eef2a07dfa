//! A connector for an API that wants each request signed: `X-Signature` is the HMAC-SHA-256 of the path, in hexadecimal.
//!
//! No credential of the host's makes that, so it imports `secrets`, and runs only if its operator grants the secret:
//! `host run … --secret signing_key=env:KEY --reveal signing_key`. It must ask for that one secret and keep it nowhere.

use std::cell::Cell;

use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

wit_bindgen::generate!({ path: "../../wit", world: "connector-with-secrets" });

use airlock::connector::secrets;
use airlock::connector::types::{Diagnostic, Error, Records, Severity};
use exports::airlock::connector::source::{
    Connection, Description, Grant, Guest, GuestConnection, GuestReader, Page, Partition, Reader, Stream,
    WriteDisposition,
};

struct Component;

export!(Component);

impl Guest for Component {
    type Connection = Signed;
    type Reader = OnePage;

    fn describe() -> Description {
        let schema = json!({
            "type": "object",
            "properties": {
                "base_url": {"type": "string", "description": "`https://HOST`, with no path"},
                "path": {"type": "string", "description": "What to read: a JSON array"},
            },
            "required": ["base_url", "path"],
            "additionalProperties": false,
        });
        Description {
            name: "signed".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Reads one path of an API that wants requests signed.".to_owned(),
            config_schema: schema.to_string(),
        }
    }
}

struct Signed {
    base_url: String,
    path: String,
}

impl GuestConnection for Signed {
    fn open(config: String) -> Result<Connection, Error> {
        let config: Value = serde_json::from_str(&config).map_err(|error| Error::Other(error.to_string()))?;
        let text = |key: &str| match config[key].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(Error::InvalidConfig(vec![Diagnostic {
                severity: Severity::Error,
                code: "missing-key".to_owned(),
                at: String::new(),
                message: format!("`{key}` is missing"),
                label: None,
                help: None,
            }])),
        };
        Ok(Connection::new(Self { base_url: text("base_url")?, path: text("path")? }))
    }

    fn grants(&self) -> Vec<Grant> {
        vec![Grant { origin: self.base_url.clone(), at: Some("/base_url".to_owned()), credentials: Vec::new() }]
    }

    fn streams(&self) -> Result<Vec<Stream>, Error> {
        Ok(vec![Stream {
            name: "records".to_owned(),
            parent: None,
            selected: true,
            primary_key: Vec::new(),
            merge_key: Vec::new(),
            cursor_field: None,
            write_disposition: WriteDisposition::Replace,
            hints: "{}".to_owned(),
        }])
    }

    fn check(&self) -> Result<(), Error> {
        fetch(&self.base_url, &self.path).map(drop)
    }

    fn explain(&self) -> Result<String, Error> {
        Ok(json!([{"stream": "records", "request": format!("GET {}{} (signed)", self.base_url, self.path)}]).to_string())
    }

    fn partitions(&self, _: String, _: Option<Records>) -> Result<Vec<Partition>, Error> {
        Ok(vec![Partition { id: String::new(), data: "{}".to_owned() }])
    }

    fn read(&self, _: String, _: Partition, _: Option<String>) -> Result<Reader, Error> {
        Ok(Reader::new(OnePage { base_url: self.base_url.clone(), path: self.path.clone(), read: Cell::new(false) }))
    }
}

struct OnePage {
    base_url: String,
    path: String,
    read: Cell<bool>,
}

impl GuestReader for OnePage {
    fn next(&self) -> Result<Option<Page>, Error> {
        if self.read.replace(true) {
            return Ok(None);
        }
        let records = Records::JsonArray(fetch(&self.base_url, &self.path)?);
        Ok(Some(Page { records, checkpoint: Some("{}".to_owned()), last: true }))
    }
}

fn fetch(base_url: &str, path: &str) -> Result<Vec<u8>, Error> {
    let signature = signature(path)?;
    let response = waki::Client::new()
        .get(&format!("{base_url}{path}"))
        .header("x-signature", signature)
        .send()
        .map_err(|error| Error::Unavailable(format!("GET {path}: {error}")))?;
    match response.status_code() {
        200 => response.body().map_err(|error| Error::Unavailable(format!("GET {path}: {error}"))),
        401 | 403 => Err(Error::Unauthorized(format!("GET {path}: the signature was refused"))),
        status => Err(Error::BadData(format!("GET {path}: {status}"))),
    }
}

fn signature(path: &str) -> Result<String, Error> {
    let key = secrets::reveal("signing_key")
        .ok_or_else(|| Error::Unauthorized("the secret `signing_key` was not granted: --reveal signing_key".to_owned()))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|error| Error::Other(error.to_string()))?;
    mac.update(path.as_bytes());
    Ok(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}
