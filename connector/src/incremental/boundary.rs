//! The records at the last cursor value, by which the next run knows them again.
//!
//! They live in the pipeline's state, so they are packed: whole numbers by their distances (a day's records with keys that
//! count up take next to nothing), all others as fingerprints of six bytes.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::document;
use crate::error::Error;

/// More records than this at one cursor value are refused, if they have to be remembered.
const MOST: usize = 1_000_000;

/// More than this are forgotten, if the destination tells records apart by the same key anyway.
const MOST_FOR_COMFORT: usize = 10_000;

/// How much of a hash is kept: with 100,000 records at a boundary, one new record in three thousand million is taken for
/// known.
const HASH_BITS: u32 = 48;

/// By what a record is told from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Top-level fields.
    Fields(Vec<String>),
    WholeRecord,
}

impl Identity {
    pub(super) fn of(&self, record: &str, place: &str) -> Result<Mark, Error> {
        if let Self::Fields(names) = self
            && let [name] = names.as_slice()
            && let Some(number) = document::field(record, name).and_then(|raw| raw.trim_ascii().parse().ok())
        {
            return Ok(Mark::Number(number));
        }
        self.hash(record, place).map(Mark::Hash)
    }

    fn hash(&self, record: &str, place: &str) -> Result<u64, Error> {
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
        Ok(xxh3_64(text.as_bytes()) >> (u64::BITS - HASH_BITS))
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

/// What a record is remembered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A key that is one whole number, as it is.
    Number(i64),
    Hash(u64),
}

/// The records at one cursor value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Boundary {
    numbers: BTreeSet<i64>,
    hashes: BTreeSet<u64>,
    /// There were too many, and they need not be known: none is.
    forgotten: bool,
}

impl Boundary {
    /// `needed`: nothing else keeps a record from being loaded twice.
    pub(super) fn insert(&mut self, mark: Mark, needed: bool, place: &str) -> Result<(), Error> {
        if self.forgotten {
            return Ok(());
        }
        match mark {
            Mark::Number(number) => self.numbers.insert(number),
            Mark::Hash(hash) => self.hashes.insert(hash),
        };
        if !needed && self.len() > MOST_FOR_COMFORT {
            *self = Self { forgotten: true, ..Self::default() };
        } else if self.len() > MOST {
            return Err(Error::BadData(format!(
                "{place}: more than {MOST} records share the last cursor value: choose a finer cursor, or let the \
                 destination tell records apart (`write_disposition: merge` with a `primary_key`)"
            )));
        }
        Ok(())
    }

    pub(super) fn contains(&self, mark: Mark) -> bool {
        match mark {
            Mark::Number(number) => self.numbers.contains(&number),
            Mark::Hash(hash) => self.hashes.contains(&hash),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len() + self.hashes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.numbers.extend(&other.numbers);
        self.hashes.extend(&other.hashes);
        self.forgotten |= other.forgotten;
    }

    /// `NUMBERS.HASHES`, both sorted and in Base64: numbers as the compressed distances from one to the next, hashes one
    /// after another.
    pub(super) fn pack(&self) -> String {
        if self.forgotten {
            return FORGOTTEN.to_owned();
        }
        if self.is_empty() {
            return String::new();
        }
        let mut distances = Vec::new();
        let mut last = 0_i64;
        for number in &self.numbers {
            push_varint(&mut distances, number.wrapping_sub(last) as u64);
            last = *number;
        }
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        let compressed = encoder.write_all(&distances).and_then(|()| encoder.finish());
        // Writing into memory does not fail.
        let numbers = compressed.unwrap_or_default();
        let hashes: Vec<u8> =
            self.hashes.iter().flat_map(|hash| hash.to_le_bytes().into_iter().take(HASH_BYTES)).collect();
        format!("{}.{}", STANDARD_NO_PAD.encode(numbers), STANDARD_NO_PAD.encode(hashes))
    }

    pub(super) fn unpack(text: &str) -> Result<Self, Error> {
        match text {
            "" => return Ok(Self::default()),
            FORGOTTEN => return Ok(Self { forgotten: true, ..Self::default() }),
            _ => {}
        }
        let unreadable = || Error::other("the checkpoint's known records can't be read");
        let (numbers, hashes) = text.split_once('.').ok_or_else(unreadable)?;
        let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| unreadable());
        let mut distances = Vec::new();
        let most = 10 * MOST as u64;
        DeflateDecoder::new(decode(numbers)?.as_slice())
            .take(most)
            .read_to_end(&mut distances)
            .map_err(|_| unreadable())?;
        let mut boundary = Self::default();
        let (mut rest, mut last) = (distances.as_slice(), 0_i64);
        while !rest.is_empty() {
            last = last.wrapping_add(take_varint(&mut rest).ok_or_else(unreadable)? as i64);
            boundary.numbers.insert(last);
        }
        let hashes = decode(hashes)?;
        let (hashes, cut) = hashes.as_chunks::<HASH_BYTES>();
        if !cut.is_empty() {
            return Err(unreadable());
        }
        for hash in hashes {
            let mut bytes = [0; 8];
            bytes[..HASH_BYTES].copy_from_slice(hash);
            boundary.hashes.insert(u64::from_le_bytes(bytes));
        }
        Ok(boundary)
    }
}

const HASH_BYTES: usize = HASH_BITS as usize / 8;

/// Stands for a boundary that was too large to be worth remembering.
const FORGOTTEN: &str = "*";

/// Seven bits a byte, the last one without its highest bit (LEB128).
fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
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
        assert_eq!(key.of(r#"{"id": 7}"#, "s"), Ok(Mark::Number(7)));
        assert!(matches!(key.of(r#"{"id":"7"}"#, "s"), Ok(Mark::Hash(_))));
    }

    fn of(numbers: impl IntoIterator<Item = i64>, hashes: impl IntoIterator<Item = u64>) -> Boundary {
        Boundary { numbers: numbers.into_iter().collect(), hashes: hashes.into_iter().collect(), forgotten: false }
    }

    #[test]
    fn boundaries_survive_packing() {
        let cases = [
            Boundary::default(),
            of([i64::MIN, -5, 0, 7, i64::MAX], []),
            of([], [1, (1 << HASH_BITS) - 1, 7]),
            of(0..1000, 0..1000),
            Boundary { forgotten: true, ..Boundary::default() },
        ];
        for boundary in cases {
            assert_eq!(Boundary::unpack(&boundary.pack()).unwrap(), boundary);
        }
        for text in ["AAAA", "?.", ".AAAA", "."] {
            let read = Boundary::unpack(text);
            assert!(read.is_err() || read == Ok(Boundary::default()), "{text}: {read:?}");
        }
    }

    #[test]
    fn a_day_of_records_fits_into_a_checkpoint() {
        assert!(of(4_000_000..4_110_000, []).pack().len() < 2_000);
        assert!(of((0..110_000).map(|n| n * 13 + n % 7), []).pack().len() < 200_000);
        let scattered = (0..110_000_u64).map(|n| xxh3_64(&n.to_le_bytes()) >> 16);
        assert!(of([], scattered).pack().len() < 900_000);
    }

    #[test]
    fn what_need_not_be_known_is_forgotten_instead_of_refused() {
        let mut boundary = Boundary::default();
        (0..60_000).for_each(|n| boundary.insert(Mark::Number(n), false, "s").unwrap());
        assert_eq!(boundary.pack(), "*");
        assert!(!boundary.contains(Mark::Number(1)));
        let mut needed = Boundary::default();
        (0..110_000).for_each(|n| needed.insert(Mark::Number(n), true, "s").unwrap());
        assert!(needed.contains(Mark::Number(109_999)));
    }
}
