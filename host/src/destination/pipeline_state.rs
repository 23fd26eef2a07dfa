//! State and schema as dlt stores them: zlib-compressed JSON in base64, and a versioned schema document.
//!
//! Must never fail on what dlt itself wrote: its schema counts, and what it remembered of a resource is handed to the
//! connector as it is.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::state::{Position, Positions, State, VERSION};

/// dlt's number for the layout of its state.
pub(crate) const STATE_ENGINE_VERSION: u32 = 4;
/// dlt's number for the layout of its schema.
pub(crate) const SCHEMA_ENGINE_VERSION: u32 = 11;
/// Larger than any state that is kept; a stored one that unpacks to more is broken.
const STATE_LIMIT: u64 = 1 << 30;

/// What a state column holds.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct StoredState {
    /// Ours, or what dlt remembered of its resources.
    pub(crate) state: Option<State>,
    /// The schema that dlt's pipeline writes with; ours has the pipeline's name.
    pub(crate) schema_name: Option<String>,
}

/// The value of `_dlt_pipeline_state.state`.
pub(crate) fn encode(pipeline: &str, version: u64, state: &State) -> Result<String> {
    let document = json!({
        "version": version,
        "engine_version": STATE_ENGINE_VERSION,
        "pipeline_name": pipeline,
        "default_schema_name": pipeline,
        "schema_names": [pipeline],
        "sources": {},
        "airlock": state,
    });
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let packed = encoder.write_all(document.to_string().as_bytes()).and_then(|()| encoder.finish());
    match packed {
        Ok(packed) => Ok(STANDARD.encode(packed)),
        Err(error) => Err(Error::new(ErrorKind::Internal, "the pipeline's state can't be packed").with_source(error)),
    }
}

/// Reads what [`encode`] or dlt wrote.
pub(crate) fn decode(text: &str) -> Result<StoredState> {
    let broken = || {
        Error::new(ErrorKind::Destination, "the pipeline's state in the destination is broken")
            .with_help("start over with --full-refresh")
    };
    let packed = STANDARD.decode(text.trim()).map_err(|error| broken().with_source(error))?;
    let mut document = String::new();
    ZlibDecoder::new(packed.as_slice())
        .take(STATE_LIMIT)
        .read_to_string(&mut document)
        .map_err(|error| broken().with_source(error))?;
    let mut document: Value = serde_json::from_str(&document).map_err(|error| broken().with_source(error))?;
    let schema_name = document.get("default_schema_name").and_then(Value::as_str).map(str::to_owned);
    let state = match document.get_mut("airlock").map(Value::take) {
        Some(state) if state.get("version") != Some(&Value::from(VERSION)) => {
            return Err(Error::new(
                ErrorKind::Destination,
                "the pipeline's state was written by another version of the host",
            )
            .with_help("run it with that version, or begin with another --dataset"));
        }
        Some(state) => Some(serde_json::from_value(state).map_err(|error| broken().with_source(error))?),
        None => of_dlt(&document),
    };
    Ok(StoredState { state, schema_name })
}

/// Each resource of dlt's with an incremental, as a checkpoint `{"dlt": …}` which a connector may understand.
fn of_dlt(document: &Value) -> Option<State> {
    let sources = document.get("sources").and_then(Value::as_object)?;
    let mut state = State::default();
    for (name, resource) in
        sources.values().filter_map(|source| source.get("resources").and_then(Value::as_object)).flatten()
    {
        if resource.get("incremental").is_some() {
            let checkpoint = json!({"dlt": resource}).to_string();
            let position = Position { shared: Some(checkpoint), ..Position::default() };
            state.streams.entry(name.clone()).or_insert_with(|| Positions(vec![position]));
        }
    }
    (!state.streams.is_empty()).then_some(state)
}

/// A short stable digest of a text.
pub(crate) fn digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(text.as_bytes())[..24])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_as_it_was() {
        let mut state = State::default();
        let position = Position { shared: Some("{\"last\":\"ü\"}".to_owned()), ..Position::default() };
        state.streams.insert("tasks".to_owned(), Positions(vec![position]));
        let text = encode("pm", 7, &state).unwrap();
        let read = decode(&text).unwrap();
        assert_eq!(read, StoredState { state: Some(state), schema_name: Some("pm".to_owned()) });
    }

    #[test]
    fn a_state_of_dlts_own_names_its_schema_only() {
        let document = json!({"version": 3, "engine_version": 4, "default_schema_name": "src", "sources": {"src": {}}});
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(document.to_string().as_bytes()).unwrap();
        let read = decode(&STANDARD.encode(encoder.finish().unwrap())).unwrap();
        assert_eq!(read, StoredState { state: None, schema_name: Some("src".to_owned()) });
    }

    #[test]
    fn a_broken_state_is_an_error() {
        for text in ["", "not base64!", "aGVsbG8=", "eJwDAAAAAAE="] {
            assert_eq!(decode(text).unwrap_err().kind(), ErrorKind::Destination, "{text}");
        }
    }
}
