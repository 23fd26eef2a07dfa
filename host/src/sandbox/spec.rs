//! What a connector says of its streams, checked once for everything behind: names that can be shown, no two alike,
//! parents before their children.
//!
//! Must never be gone around: the rest of the host trusts that these names are unique, short and printable, and leaves
//! what they become in a destination to the naming convention and to quoting.

use std::collections::BTreeMap;

use super::bindings::exports::airlock::connector::source as wit;
use super::printable;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{StreamSpec, WriteDisposition};

const LONGEST_NAME: usize = 200;
/// Streams below one another: each page of one is asked about by all above it.
const DEEPEST: usize = 50;

/// Errors: too many streams (`LimitExceeded`); a name that no stream can have, twice the same one, a parent that does
/// not stand before its child, too many of them below one another (`Connector`).
pub(super) fn streams(streams: Vec<wit::Stream>, most: usize) -> Result<Vec<StreamSpec>> {
    if streams.len() > most {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            format!("the connector offers {} streams, more than {most}", streams.len()),
        )
        .with_help("raise host.limits.streams"));
    }
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    for stream in &streams {
        check_name(&stream.name)?;
        let about = |message: String| {
            Err(Error::new(ErrorKind::Connector, message).with_context("stream", printable(&stream.name)))
        };
        // A cycle of parents can't pass, either: one of them would have to stand before itself.
        let depth = match stream.parent.as_deref().map(|parent| (parent, depths.get(parent))) {
            None => 1,
            Some((_, Some(depth))) => depth + 1,
            Some((parent, None)) => {
                return about(format!("its parent `{}` does not stand before it", printable(parent)));
            }
        };
        if depth > DEEPEST {
            return about(format!("more than {DEEPEST} streams below one another"));
        }
        if depths.insert(&stream.name, depth).is_some() {
            return about("two streams of that name".to_owned());
        }
    }
    streams.into_iter().map(stream_spec).collect()
}

fn check_name(name: &str) -> Result<()> {
    let wrong = if name.trim().is_empty() {
        "it is empty"
    } else if name.len() > LONGEST_NAME {
        "it is longer than 200 bytes"
    } else if printable(name) != name {
        "it has characters that can't be shown"
    } else {
        return Ok(());
    };
    let shown: String = printable(name).chars().take(LONGEST_NAME).collect();
    Err(Error::new(ErrorKind::Connector, format!("no stream can have this name: {wrong}"))
        .with_context("stream", shown))
}

fn stream_spec(stream: wit::Stream) -> Result<StreamSpec> {
    let hints = serde_json::from_str(&stream.hints).map_err(|source| {
        Error::new(ErrorKind::Connector, "a stream's hints are no JSON object")
            .with_context("stream", stream.name.clone())
            .with_source(source)
    })?;
    Ok(StreamSpec {
        name: stream.name,
        parent: stream.parent,
        selected: stream.selected,
        primary_key: stream.primary_key,
        merge_key: stream.merge_key,
        cursor_field: stream.cursor_field,
        write_disposition: match stream.write_disposition {
            wit::WriteDisposition::Append => WriteDisposition::Append,
            wit::WriteDisposition::Replace => WriteDisposition::Replace,
            wit::WriteDisposition::Merge => WriteDisposition::Merge,
            wit::WriteDisposition::Skip => WriteDisposition::Skip,
        },
        hints,
    })
}
