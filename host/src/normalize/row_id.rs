//! Row ids, as dlt makes them: 10 bytes in unpadded base64, random or derived from what makes the row itself.
//!
//! Must never use a guessable source where ids are random: they tell rows of different runs apart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha3::Shake128;
use sha3::digest::{ExtendableOutput as _, Update as _, XofReader as _};

use crate::error::{Error, ErrorKind, Result};

const BYTES: usize = 10;
const CHARACTERS: usize = 14;

/// A row's `_dlt_id`: 14 ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowId([u8; CHARACTERS]);

impl RowId {
    fn encode(bytes: [u8; BYTES]) -> Self {
        let mut text = [b'A'; CHARACTERS];
        // 10 bytes always take 14 characters, so this can't fail.
        let _ = STANDARD_NO_PAD.encode_slice(bytes, &mut text);
        Self(text)
    }

    /// The same for the same content.
    pub(super) fn of(content: &[u8]) -> Self {
        let mut hasher = Shake128::default();
        hasher.update(content);
        let mut digest = [0_u8; BYTES];
        hasher.finalize_xof().read(&mut digest);
        Self::encode(digest)
    }

    /// Of a child row: the same for the same place under the same parent. `scratch` is reused between calls.
    pub(super) fn of_child(parent: Self, table: &str, index: usize, scratch: &mut Vec<u8>) -> Self {
        use std::io::Write as _;

        scratch.clear();
        scratch.extend_from_slice(&parent.0);
        scratch.push(b'_');
        scratch.extend_from_slice(table.as_bytes());
        // Writing to a vector can't fail.
        let _ = write!(scratch, "_{index}");
        Self::of(scratch)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Random ids from the system's source, fetched in blocks.
#[derive(Debug)]
pub(super) struct RandomIds {
    block: Vec<u8>,
    used: usize,
}

impl RandomIds {
    pub(super) fn new() -> Self {
        let block = vec![0; BYTES * 512];
        Self { used: block.len(), block }
    }

    pub(super) fn next(&mut self) -> Result<RowId> {
        if self.used == self.block.len() {
            getrandom::fill(&mut self.block).map_err(|cause| {
                Error::new(ErrorKind::Internal, "the system has no random bytes").with_source(cause.to_string())
            })?;
            self.used = 0;
        }
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&self.block[self.used..self.used + BYTES]);
        self.used += BYTES;
        Ok(RowId::encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(id: RowId) -> String {
        String::from_utf8(id.as_bytes().to_vec()).unwrap()
    }

    /// Values that dlt 1.31.0 made.
    #[test]
    fn ids_are_those_of_dlt() {
        let parent = RowId::of(r#"{"id":5,"k":"é"}"#.as_bytes());
        assert_eq!(text(parent), "z0B24uIB8SzQPw");
        assert_eq!(text(RowId::of_child(parent, "t__n__l", 1, &mut Vec::new())), "A8wyipG241D2jg");
    }

    #[test]
    fn random_ids_differ() {
        let mut ids = RandomIds::new();
        let made: std::collections::HashSet<String> = (0..2000).map(|_| text(ids.next().unwrap())).collect();
        assert_eq!(made.len(), 2000);
        assert!(made.iter().all(|id| id.len() == 14));
    }
}
