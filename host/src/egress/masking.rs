//! Puts references in place of the secrets in a text: in JSON only in texts and numbers, in XML only in texts and the
//! values of attributes. Every byte is looked at a few times, however the text is made.

use std::ops::Range;

use memchr::memmem;

use super::references::{References, Repeated, Target};
use super::spelling::{SHORTEST, json_escaped};

/// A body being masked: what was copied so far, and what is still to come.
pub(super) struct Masking<'a> {
    references: &'a References,
    body: &'a [u8],
    repeated: &'a mut Repeated,
    /// Whether there is anything to find as it is written; otherwise only behind escapes.
    pub(super) found: bool,
    masked: Vec<u8>,
    copied: usize,
}

impl<'a> Masking<'a> {
    pub(super) fn new(references: &'a References, body: &'a [u8], repeated: &'a mut Repeated) -> Self {
        Self { references, body, repeated, found: true, masked: Vec::new(), copied: 0 }
    }

    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        if self.copied == 0 {
            return None;
        }
        self.masked.extend_from_slice(&self.body[self.copied..]);
        Some(self.masked)
    }

    fn put(&mut self, range: Range<usize>, target: &Target, as_json: bool, quoted: bool) {
        self.masked.extend_from_slice(&self.body[self.copied..range.start]);
        let quote: &[u8] = if quoted { b"\"" } else { b"" };
        self.masked.extend_from_slice(quote);
        match as_json {
            true => self.masked.extend_from_slice(json_escaped(&target.reference).as_bytes()),
            false => self.masked.extend_from_slice(target.reference.as_bytes()),
        }
        self.masked.extend_from_slice(quote);
        self.copied = range.end;
        if !self.repeated.contains(&target.reference) {
            self.repeated.insert(target.reference.clone());
        }
    }

    pub(super) fn plain(&mut self, range: Range<usize>) {
        self.part(range, false);
    }

    fn part(&mut self, range: Range<usize>, as_json: bool) {
        let (references, body) = (self.references, self.body);
        let Some(finder) = references.finder.as_ref().filter(|_| self.found && range.len() >= SHORTEST) else { return };
        for found in finder.find_iter(&body[range.clone()]) {
            let at = range.start + found.start()..range.start + found.end();
            self.put(at, &references.patterns[found.pattern().as_usize()], as_json, false);
        }
    }

    pub(super) fn json(&mut self) {
        if !self.found && self.references.numbers.is_empty() {
            return self.json_with_escapes();
        }
        let body = self.body;
        // What stands between texts and numbers: of JSON nothing that could be a secret, of anything else all.
        let mut between = 0;
        let mut at = 0;
        while at < body.len() {
            match body[at] {
                b'"' => {
                    self.plain(between..at);
                    let (end, has_escapes) = text_end(body, at + 1);
                    let text = at + 1..end;
                    at = (end + 1).min(body.len());
                    between = at;
                    let next = body[at..].iter().find(|byte| !byte.is_ascii_whitespace());
                    if next != Some(&b':') {
                        if has_escapes { self.escaped(text) } else { self.part(text, true) }
                    }
                }
                b'-' | b'0'..=b'9' if !self.references.numbers.is_empty() => {
                    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
                    let end = body[at..].iter().position(|byte| !is_part(byte)).map_or(body.len(), |count| at + count);
                    let is_number = body[at..end].iter().all(|byte| b"0123456789+-.eE".contains(byte));
                    if is_number {
                        // Whole or not at all: a part of a number is no secret, and a reference in one would be no JSON.
                        self.plain(between..at);
                        let references = self.references;
                        if let Some(target) = references.numbers.get(&body[at..end]) {
                            self.put(at..end, target, true, true);
                        }
                        between = end;
                    }
                    at = end;
                }
                _ => at += 1,
            }
        }
        self.plain(between..body.len());
    }

    /// As `json`, where there is something to find behind escapes only: texts whose escapes stand for nothing that a secret
    /// has are passed over.
    fn json_with_escapes(&mut self) {
        let (body, mut at, mut behind) = (self.body, 0, 0);
        while let Some(count) = memchr::memchr(b'\\', &body[at..]) {
            let escape = at + count;
            let (length, said) = escaped_character(&body[escape..]);
            if !said.is_some_and(|said| self.references.spelled.has(said)) {
                // Of two backslashes the second begins nothing.
                at = (escape + length.max(2)).min(body.len());
                continue;
            }
            let start = text_start(&body[behind..escape]) + behind;
            let (end, _) = text_end(body, escape);
            at = (end + 1).min(body.len());
            behind = at;
            if body[at..].iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b':') {
                self.escaped(start..end);
            }
        }
    }

    /// A JSON text with escapes in it: found is what a parser would see.
    fn escaped(&mut self, range: Range<usize>) {
        let (references, body) = (self.references, self.body);
        let Some(finder) = &references.finder else { return };
        let mut text = Vec::new();
        unescape(&body[range.clone()], |byte, _| text.push(byte));
        if !finder.is_match(&text) {
            return;
        }
        let mut places = Vec::with_capacity(text.len() + 1);
        unescape(&body[range.clone()], |_, at| places.push(range.start + at));
        places.push(range.end);
        for found in finder.find_iter(&text) {
            let at = places[found.start()]..places[found.end()];
            self.put(at, &references.patterns[found.pattern().as_usize()], true, false);
        }
    }

    pub(super) fn xml(&mut self) {
        let body = self.body;
        let mut at = 0;
        while at < body.len() {
            let tag = memchr::memchr(b'<', &body[at..]).map_or(body.len(), |count| at + count);
            self.plain(at..tag);
            let rest = &body[tag..];
            let ends = |mark: &[u8]| memmem::find(rest, mark).map_or(body.len(), |count| tag + count + mark.len());
            at = match rest {
                [b'<', b'!' | b'?', ..] => {
                    let end = if rest.starts_with(b"<![CDATA[") { ends(b"]]>") } else { ends(b">") };
                    self.plain(tag..end);
                    end
                }
                _ => self.attributes(tag),
            };
        }
    }

    /// The values of a tag's attributes; gives the place behind the tag.
    fn attributes(&mut self, tag: usize) -> usize {
        let body = self.body;
        let mut at = tag;
        while at < body.len() {
            match body[at] {
                b'>' => return at + 1,
                quote @ (b'"' | b'\'') => {
                    let start = at + 1;
                    let end = memchr::memchr(quote, &body[start..]).map_or(body.len(), |count| start + count);
                    self.plain(start..end);
                    at = end + 1;
                }
                _ => at += 1,
            }
        }
        body.len()
    }
}

/// Where a JSON text ends, and whether it has escapes.
fn text_end(body: &[u8], start: usize) -> (usize, bool) {
    let mut at = start;
    let mut has_escapes = false;
    while let Some(count) = memchr::memchr2(b'"', b'\\', &body[at..]) {
        if body[at + count] == b'"' {
            return (at + count, has_escapes);
        }
        has_escapes = true;
        at = (at + count + 2).min(body.len());
    }
    (body.len(), has_escapes)
}

/// Where the JSON text begins that is not over at the end of these bytes.
fn text_start(bytes: &[u8]) -> usize {
    let mut end = bytes.len();
    while let Some(quote) = memchr::memrchr(b'"', &bytes[..end]) {
        let backslashes = bytes[..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 0 {
            return quote + 1;
        }
        end = quote;
    }
    0
}

/// What a JSON text says: each byte, with the place of what stands for it. What is no escape stays as it is.
fn unescape(text: &[u8], mut push: impl FnMut(u8, usize)) {
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let (length, said) = match text[at] {
            b'\\' => escaped_character(&text[at..]),
            _ => (1, None),
        };
        match said {
            Some(character) => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    push(byte, start);
                }
            }
            None => text[start..start + length].iter().enumerate().for_each(|(more, byte)| push(*byte, start + more)),
        }
        at += length;
    }
}

/// What a backslash and what stands behind it come to: how long they are, and the character; none if they are no escape.
fn escaped_character(text: &[u8]) -> (usize, Option<char>) {
    let said = match text {
        [b'\\', b'u', ..] => return unicode(text),
        [b'\\', b'b', ..] => '\u{8}',
        [b'\\', b'f', ..] => '\u{c}',
        [b'\\', b'n', ..] => '\n',
        [b'\\', b'r', ..] => '\r',
        [b'\\', b't', ..] => '\t',
        [b'\\', plain @ (b'"' | b'\\' | b'/'), ..] => char::from(*plain),
        _ => return (1, None),
    };
    (2, Some(said))
}

/// `\uXXXX`, or two that are one character: their length, and the character.
fn unicode(text: &[u8]) -> (usize, Option<char>) {
    let unit = |at: usize| {
        let digits = std::str::from_utf8(text.get(at..at + 6)?.strip_prefix(b"\\u")?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(0) else { return (1, None) };
    let pair = unit(6).and_then(|second| char::decode_utf16([first, second]).next()?.ok());
    match pair {
        Some(character) if character.len_utf16() == 2 => (12, Some(character)),
        _ => (6, char::from_u32(first.into())),
    }
}
