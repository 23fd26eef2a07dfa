//! Fingerprints of the records at the last cursor value, by which the next run knows them again.
//!
//! Eight bytes each, packed: they live in the pipeline's state. Must stay bounded.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::document;
use crate::error::Error;

/// More records than this at one cursor value are refused.
const MOST: usize = 100_000;

/// By what a record is told from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// Top-level fields.
    Fields(Vec<String>),
    WholeRecord,
}

impl Identity {
    pub(super) fn hash(&self, record: &str, place: &str) -> Result<u64, Error> {
        let mut text = String::new();
        match self {
            Self::WholeRecord => canonical(&document::value(record), &mut text),
            Self::Fields(names) => {
                for name in names {
                    let Some(raw) = document::field(record, name) else {
                        let available = document::names(record).join(", ");
                        return Err(Error::BadData(format!(
                            "{place}: the record has no `{name}`, which is its primary key for the incremental; it \
                             has: {available}"
                        )));
                    };
                    canonical(&document::value(raw), &mut text);
                    text.push('\n');
                }
            }
        }
        Ok(xxh3_64(text.as_bytes()))
    }
}

/// Keys sorted, so that their order does not matter.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(object) => {
            let mut fields: Vec<(&String, &Value)> = object.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in fields {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for value in values {
                canonical(value, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// A set of fingerprints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hashes(pub(super) BTreeSet<u64>);

impl Hashes {
    pub(super) fn insert(&mut self, hash: u64, place: &str) -> Result<(), Error> {
        self.0.insert(hash);
        if self.0.len() > MOST {
            return Err(Error::BadData(format!(
                "{place}: more than {MOST} records share the last cursor value: choose a finer cursor, or let the \
                 destination deduplicate (`write_disposition: merge` with a `primary_key`, and `primary_key: []` or \
                 `lag` in the incremental)"
            )));
        }
        Ok(())
    }

    /// Base64 of the fingerprints, one after another, little-endian, sorted.
    pub(super) fn pack(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        STANDARD_NO_PAD.encode(bytes)
    }

    pub(super) fn unpack(text: &str) -> Result<Self, Error> {
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| Error::other("the checkpoint's hashes can't be read"))?;
        let (hashes, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(Error::other("the checkpoint's hashes are cut off"));
        }
        Ok(Self(hashes.iter().map(|hash| u64::from_le_bytes(*hash)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_known_by_their_key_or_as_a_whole() {
        let key = Identity::Fields(vec!["id".to_owned()]);
        let hash = |identity: &Identity, record: &str| identity.hash(record, "s");
        assert_eq!(hash(&key, r#"{"id":1,"x":2}"#), hash(&key, r#"{"x":3, "id": 1}"#));
        assert_ne!(hash(&key, r#"{"id":1}"#), hash(&key, r#"{"id":"1"}"#));
        assert!(hash(&key, r#"{"x":1}"#).is_err());
        let whole = Identity::WholeRecord;
        assert_eq!(
            hash(&whole, r#"{"a":{"c":1,"b":[2]},"d":null}"#),
            hash(&whole, r#"{"d": null,"a":{"b":[2],"c":1}}"#)
        );
        assert_ne!(hash(&whole, r#"{"a":[1,2]}"#), hash(&whole, r#"{"a":[2,1]}"#));
    }

    #[test]
    fn hashes_survive_packing() {
        let hashes = Hashes([1, u64::MAX, 7].into());
        assert_eq!(Hashes::unpack(&hashes.pack()).unwrap(), hashes);
        assert_eq!(Hashes::unpack("").unwrap(), Hashes::default());
        assert!(Hashes::unpack("AAAA").is_err() && Hashes::unpack("?").is_err());
    }
}
