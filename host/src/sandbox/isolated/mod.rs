//! The sandbox in a process of its own: what its two sides say to each other, in order, on one socket.
//!
//! The child compiles and runs; it looks at no word. The parent holds what instances are lent, and looks at every word as it
//! does when there is no child.

mod child;
mod parent;

pub(crate) use child::serve;
pub(super) use parent::{Remote, Sandbox};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bindings::airlock::connector::types;
use super::call::{Call, Returned};
use super::component::Interfaces;
use super::outlet::Saying;
use crate::config::settings::Limits;
use crate::error::{Error, ErrorKind, Result};
use crate::isolation::Told;

#[derive(Debug, Serialize, Deserialize)]
enum ToChild {
    /// Comes first. Beside it: a component, or what was compiled of one.
    Load {
        limits: Limits,
        compiled: bool,
    },
    /// Begins an instance; what may be seen in plain text.
    Begin {
        instance: u64,
        revealed: BTreeMap<String, String>,
    },
    /// Beside it: records.
    Call {
        instance: u64,
        call: Call,
    },
    Drop {
        instance: u64,
    },
    /// What came of a request. Beside it: the response's body.
    Answered {
        request: u64,
        answer: Result<Head, ErrorKind>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
enum ToParent {
    /// Beside it, if it was compiled just now: the native code.
    Loaded(Result<Interfaces, Told>),
    Begun {
        instance: u64,
        outcome: Result<(), Told>,
    },
    /// Beside it: records.
    Returned {
        instance: u64,
        outcome: Result<Result<Returned, types::Error>, Told>,
    },
    /// Beside it: the request's body.
    Request {
        instance: u64,
        request: u64,
        method: String,
        url: String,
        headers: Headers,
    },
    /// A request that failed before it was one.
    Failed {
        instance: u64,
        error: Told,
    },
    Said {
        instance: u64,
        saying: Saying,
    },
}

/// The head of a response.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    status: u16,
    headers: Headers,
}

type Headers = Vec<(String, Vec<u8>)>;

fn told(headers: &http::HeaderMap) -> Headers {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

fn heard(headers: Headers) -> Result<http::HeaderMap> {
    let wrong = || Error::new(ErrorKind::Connector, "an isolated process speaks of a header that is none");
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        let name = http::HeaderName::try_from(name).map_err(|_| wrong())?;
        map.append(name, http::HeaderValue::from_bytes(&value).map_err(|_| wrong())?);
    }
    Ok(map)
}
