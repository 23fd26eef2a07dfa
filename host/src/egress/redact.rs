//! Takes secrets out of texts: errors and logs on their way to people, responses on their way to the connector.
//!
//! It finds a secret as it is, percent-encoded, as a form writes it, as JSON writes it, in hexadecimal, and in Base64 of
//! either alphabet, also inside of something longer. It can't find one that a server changed in another way (a hash, half
//! of it), and it leaves secrets shorter than `SHORTEST` alone: masking `x` everywhere would destroy data and so tell the
//! secret.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;

use super::credential::percent_encoded;

pub(super) const SHORTEST: usize = 6;
const MASK: &str = "***";

pub(super) struct Redactor {
    patterns: Option<AhoCorasick>,
    masks: Vec<&'static str>,
}

impl Redactor {
    pub(super) fn new<'a>(secrets: impl Iterator<Item = &'a str>) -> Self {
        let mut patterns = std::collections::BTreeSet::new();
        for secret in secrets.filter(|secret| secret.len() >= SHORTEST) {
            let json = serde_json::Value::from(secret).to_string();
            patterns.insert(json[1..json.len() - 1].to_owned());
            patterns.insert(percent_encoded(secret));
            patterns.insert(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
            patterns.insert(secret.to_owned());
            patterns.insert(secret.bytes().map(|byte| format!("{byte:02x}")).collect());
            patterns.insert(secret.bytes().map(|byte| format!("{byte:02X}")).collect());
            patterns.insert(STANDARD.encode(secret));
            patterns.insert(URL_SAFE.encode(secret));
            patterns.extend((0..3).flat_map(|offset| inside_base64(secret, offset)));
        }
        let masks = vec![MASK; patterns.len()];
        let patterns = (!patterns.is_empty())
            .then(|| AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns).ok())
            .flatten();
        Self { patterns, masks }
    }

    pub(super) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.patterns {
            Some(patterns) if patterns.is_match(text) => patterns.replace_all(text, &self.masks).into(),
            _ => text.into(),
        }
    }

    pub(super) fn body(&self, body: Bytes) -> Bytes {
        match &self.patterns {
            Some(patterns) if patterns.is_match(body.as_ref()) => patterns.replace_all_bytes(&body, &self.masks).into(),
            _ => body,
        }
    }
}

/// What Base64 makes of a secret that stands `offset` bytes behind a group's beginning: the characters that depend on
/// nothing but the secret.
fn inside_base64(secret: &str, offset: usize) -> [String; 2] {
    let padded: Vec<u8> = std::iter::repeat_n(0, offset).chain(secret.bytes()).collect();
    let whole = padded.len() * 8 / 6;
    let own = (offset * 8).div_ceil(6)..whole;
    [STANDARD.encode(&padded)[own.clone()].to_owned(), URL_SAFE.encode(&padded)[own].to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plain_form_is_found() {
        let redactor = Redactor::new(["s3cr&t \"x\"", "short"].into_iter());
        for text in ["a s3cr&t \"x\" b", "a s3cr%26t%20%22x%22 b", "a s3cr&t \\\"x\\\" b", "a czNjciZ0ICJ4Ig== b"] {
            assert_eq!(redactor.text(text), "a *** b");
            assert_eq!(redactor.body(Bytes::from(text)), "a *** b");
        }
        assert_eq!(redactor.text("short"), "short");
        for prefix in ["", "u", "us", "user:"] {
            for engine in [&STANDARD, &URL_SAFE] {
                let encoded = engine.encode(format!("{prefix}s3cr&t \"x\"~~suffix"));
                let masked = redactor.text(&encoded);
                assert!(masked.contains(MASK), "{prefix}: {masked}");
                let own = &engine.encode("s3cr&t \"x\"")[..12];
                assert!(!masked.contains(own), "{prefix}: {masked}");
            }
        }
    }
}
