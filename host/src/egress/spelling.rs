//! How a secret may be written: as it is, and as URLs, JSON, XML, hexadecimal and Base64 write it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::credential::percent_encoded;

/// Secrets shorter than this are left alone: masking `x` everywhere would destroy data and so tell the secret.
pub(super) const SHORTEST: usize = 6;

/// As it is.
pub(super) const PLAIN: char = '\0';
/// As JSON writes it inside of a text, where that differs.
pub(super) const JSON: char = 'j';
/// A JSON number.
pub(super) const NUMBER: char = 'n';

/// Every spelling once, each with the letter that tells it from the others; the plain one first.
pub(super) fn spellings(secret: &str) -> Vec<(char, String)> {
    if secret.len() < SHORTEST {
        return Vec::new();
    }
    let percent = percent_encoded(secret);
    let mut all = vec![
        (PLAIN, secret.to_owned()),
        (JSON, json_escaped(secret)),
        // As a JSON text within a JSON text often is: with nothing but ASCII.
        ('a', ascii_json(secret)),
        ('p', percent.clone()),
        ('q', lower_percent(&percent)),
        ('f', url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()),
        ('x', secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")),
        ('h', secret.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ('k', secret.bytes().map(|byte| format!("{byte:02X}")).collect()),
        ('b', STANDARD.encode(secret)),
        ('u', URL_SAFE.encode(secret)),
    ];
    let letters = [('c', 'v'), ('d', 'w'), ('e', 'y')];
    for (offset, (standard, safe)) in letters.into_iter().enumerate() {
        let [as_standard, as_safe] = inside_base64(secret, offset);
        all.extend([(standard, as_standard), (safe, as_safe)]);
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|(_, text)| seen.insert(text.clone()));
    all
}

/// What Base64 makes of a secret that stands `offset` bytes behind a group's beginning: the characters that depend on
/// nothing but the secret.
fn inside_base64(secret: &str, offset: usize) -> [String; 2] {
    let padded: Vec<u8> = std::iter::repeat_n(0, offset).chain(secret.bytes()).collect();
    let whole = padded.len() * 8 / 6;
    let own = (offset * 8).div_ceil(6)..whole;
    [STANDARD.encode(&padded)[own.clone()].to_owned(), URL_SAFE.encode(&padded)[own].to_owned()]
}

/// As JSON writes it, without the quotes.
pub(super) fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The same with every other character as `\uXXXX`.
fn ascii_json(text: &str) -> String {
    let mut ascii = String::new();
    for c in json_escaped(text).chars() {
        match c {
            ' '..='~' => ascii.push(c),
            _ => ascii.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
        }
    }
    ascii
}

/// `%2F` → `%2f`.
fn lower_percent(encoded: &str) -> String {
    let mut text = String::with_capacity(encoded.len());
    let mut left = 0_usize;
    for c in encoded.chars() {
        text.push(if left > 0 { c.to_ascii_lowercase() } else { c });
        left = if c == '%' { 2_usize } else { left.saturating_sub(1) };
    }
    text
}
