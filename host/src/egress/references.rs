//! The mask is a reference: where a response repeats a secret, the connector sees `${secrets.NAME}`. In a request to
//! the secret's origins that becomes the secret again; so it does in records on their way to the destination, unless
//! the secret is a credential's.
//!
//! A spelling other than the plain one has a letter: `${secrets.NAME~p}` is the percent-encoded one. What a server
//! wrote itself that looks like a reference is one to those very characters (`LITERAL`), so that nobody but the
//! configuration and the connector can name a secret in a request.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem;
use percent_encoding::{AsciiSet, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};

use super::credential::{RESERVED, percent_encoded};
use super::masking::Masking;
use super::spelling::{JSON, NUMBER, PLAIN, SHORTEST, json_escaped, spellings};

/// A secret that the egress knows.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: String,
    /// The newest value; the earlier ones are masked as well.
    pub(super) values: Vec<SecretString>,
    /// Where it may be sent.
    pub(super) origins: BTreeSet<String>,
    /// Part of a credential, or sent in a header, which is as good as one: it stays masked in data.
    is_credential: AtomicBool,
}

impl Known {
    pub(super) fn new(name: String, value: SecretString, origins: BTreeSet<String>, is_credential: bool) -> Self {
        Self { name, values: vec![value], origins, is_credential: AtomicBool::new(is_credential) }
    }

    pub(super) fn is_credential(&self) -> bool {
        self.is_credential.load(Ordering::Relaxed)
    }

    /// The same secret with a newer value.
    pub(super) fn renewed(&self, value: SecretString) -> Self {
        let mut values = vec![value];
        values.extend(self.values.iter().take(EARLIER_VALUES).cloned());
        let is_credential = AtomicBool::new(self.is_credential.load(Ordering::Relaxed));
        Self { name: self.name.clone(), values, origins: self.origins.clone(), is_credential }
    }

    pub(super) fn bytes(&self) -> usize {
        self.values.iter().map(|value| value.expose_secret().len()).sum()
    }

    pub(super) fn has_value(&self, value: &SecretString) -> bool {
        self.values.iter().any(|known| known.expose_secret() == value.expose_secret())
    }
}

/// Tokens that a run has gone through and that are still masked.
const EARLIER_VALUES: usize = 8;

/// How a reference begins, as a server may have written it: behind these six spellings stands no secret.
const LITERAL: [(char, &str); 6] = [
    ('1', "${secrets."),
    ('2', "$%7Bsecrets."),
    ('3', "$%7bsecrets."),
    ('4', "%24{secrets."),
    ('5', "%24%7Bsecrets."),
    ('6', "%24%7bsecrets."),
];

/// One spelling of one secret.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// None: `LITERAL`.
    known: Option<Arc<Known>>,
    spelling: char,
    text: SecretString,
    /// The reference itself.
    pub(super) reference: Arc<str>,
}

/// References that stand for what responses to one instance really repeated.
pub(super) type Repeated = BTreeSet<Arc<str>>;

/// A set of bytes.
#[derive(Debug)]
pub(super) struct ByteSet([bool; 256]);

impl Default for ByteSet {
    fn default() -> Self {
        Self([false; 256])
    }
}

impl ByteSet {
    /// Whether any byte of a character is in it.
    pub(super) fn has(&self, character: char) -> bool {
        character.encode_utf8(&mut [0; 4]).bytes().any(|byte| self.0[usize::from(byte)])
    }
}

/// All secrets of a run, and how to find them and their references.
#[derive(Debug, Default)]
pub(super) struct References {
    pub(super) known: Vec<Arc<Known>>,
    pub(super) finder: Option<AhoCorasick>,
    /// By the finder's pattern.
    pub(super) patterns: Vec<Target>,
    /// What the patterns are made of.
    pub(super) spelled: ByteSet,
    /// Secrets that are JSON numbers, as JSON writes them.
    pub(super) numbers: HashMap<Vec<u8>, Target>,
    /// By reference.
    by_reference: HashMap<Arc<str>, Target>,
    /// By the reference as JSON writes it.
    by_json: HashMap<String, Arc<str>>,
    /// For texts on their way to people: the secrets' spellings only.
    redactor: Option<AhoCorasick>,
}

impl References {
    /// `known`: of two with one value, the first counts. A secret that is part of `origins` is not masked: the
    /// connector is told those.
    pub(super) fn new(known: Vec<Arc<Known>>, origins: &BTreeSet<String>) -> Self {
        let mut all = Self::default();
        let mut texts = Vec::new();
        for secret in &known {
            for (age, value) in secret.values.iter().enumerate() {
                let value = value.expose_secret();
                let is_told = origins.iter().any(|origin| origin.contains(value));
                let spelled = spellings(value);
                for (spelling, text) in spelled {
                    let target = Target::new(Some(secret.clone()), spelling, &text);
                    // An earlier token's reference stands for the newest one.
                    if age == 0 {
                        all.by_reference.insert(target.reference.clone(), target.clone());
                    }
                    if !is_told {
                        texts.push(text);
                        all.patterns.push(target);
                    }
                }
                if value.len() >= SHORTEST && is_number(value) && !is_told {
                    let target = Target::new(Some(secret.clone()), NUMBER, value);
                    all.by_reference.insert(target.reference.clone(), target.clone());
                    all.numbers.entry(value.into()).or_insert(target);
                }
                // Too short to be masked, it is still filled into requests.
                if age == 0 && value.len() < SHORTEST {
                    let target = Target::new(Some(secret.clone()), PLAIN, value);
                    all.by_reference.insert(target.reference.clone(), target);
                }
            }
        }
        let finder = |texts: &[String]| {
            let build = || AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts).ok();
            (!texts.is_empty()).then(build).flatten()
        };
        all.redactor = finder(&texts);
        for (spelling, text) in LITERAL {
            let target = Target::new(None, spelling, text);
            all.by_reference.insert(target.reference.clone(), target.clone());
            texts.push(text.to_owned());
            all.patterns.push(target);
        }
        all.finder = finder(&texts);
        texts.iter().flat_map(|text| text.bytes()).for_each(|byte| all.spelled.0[usize::from(byte)] = true);
        all.by_json = all.by_reference.keys().map(|reference| (json_escaped(reference), reference.clone())).collect();
        all.known = known;
        all
    }

    /// Takes secrets out of a text on its way to people.
    pub(super) fn redacted<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.redactor {
            Some(finder) if finder.is_match(text) => {
                finder.replace_all(text, &vec!["***"; finder.patterns_len()]).into()
            }
            _ => text.into(),
        }
    }

    /// Whether a text tells a secret.
    pub(super) fn tells(&self, text: &str) -> bool {
        self.redactor.as_ref().is_some_and(|finder| finder.is_match(text))
    }

    /// Masks whatever stands in there, of any shape. None: nothing does.
    pub(super) fn mask_text(&self, text: &[u8], repeated: &mut Repeated) -> Option<Vec<u8>> {
        let mut masking = Masking::new(self, text, repeated);
        masking.plain(0..text.len());
        masking.finish()
    }

    /// Masks a response's body: the texts and numbers of JSON, texts and attributes of XML, the lines of CSV but for
    /// the first one. Keys are never touched. None: there is nothing to mask.
    pub(super) fn mask_body(&self, body: &[u8], content_type: &str, repeated: &mut Repeated) -> Option<Vec<u8>> {
        let finder = self.finder.as_ref()?;
        let found = finder.is_match(body);
        if !found && self.numbers.is_empty() && memchr::memchr(b'\\', body).is_none() {
            return None;
        }
        let mut masking = Masking::new(self, body, repeated);
        masking.found = found;
        let start = body.iter().position(|byte| !byte.is_ascii_whitespace() && !b"\xef\xbb\xbf".contains(byte));
        match start.map(|at| body[at]) {
            Some(b'{' | b'[') => masking.json(),
            _ if content_type.contains("json") => masking.json(),
            Some(b'<') => masking.xml(),
            _ => {
                let has_names = content_type.contains("csv") || content_type.contains("tab-separated");
                let names = if has_names { memchr::memchr(b'\n', body).unwrap_or(body.len()) } else { 0 };
                masking.plain(names..body.len());
            }
        }
        masking.finish()
    }

    /// Puts back what is no credential's in a page's records, which are JSON. None: nothing is put back. Counts the
    /// values that stay masked.
    pub(super) fn restore(&self, records: &[u8], repeated: &Repeated, masked: &mut u64) -> Option<Vec<u8>> {
        if repeated.is_empty() {
            return None;
        }
        let mut restored = Vec::new();
        let mut copied = 0;
        for start in memmem::find_iter(records, b"${secrets.") {
            let window = &records[start..records.len().min(start + LONGEST_NAME)];
            let Some(length) = memchr::memchr(b'}', window) else { continue };
            let mut range = start..start + length + 1;
            if range.start < copied {
                continue;
            }
            let reference = std::str::from_utf8(&records[range.clone()]).ok();
            let reference = reference.and_then(|text| self.by_json.get(text)).filter(|known| repeated.contains(*known));
            let Some(target) = reference.and_then(|reference| self.by_reference.get(reference)) else { continue };
            if target.is_credential() {
                *masked += 1;
                continue;
            }
            let quotes = [range.start.checked_sub(1), Some(range.end)];
            let is_whole = quotes.iter().all(|at| at.and_then(|at| records.get(at)) == Some(&b'"'));
            if target.spelling == NUMBER && is_whole {
                range = range.start - 1..range.end + 1;
            }
            restored.extend_from_slice(&records[copied..range.start]);
            restored.extend_from_slice(json_escaped(target.text.expose_secret()).as_bytes());
            copied = range.end;
        }
        if copied == 0 {
            return None;
        }
        restored.extend_from_slice(&records[copied..]);
        Some(restored)
    }

    /// Fills references into a text of a request. `allowed` refuses what may not go there; none: nothing is filled.
    pub(super) fn fill<E>(
        &self,
        text: &str,
        place: Place,
        allowed: &mut impl FnMut(&Known) -> Result<(), E>,
    ) -> Result<Option<String>, E> {
        let mut filled = String::new();
        let mut copied = 0;
        for named in named(text) {
            let Some(target) = self.by_reference.get(named.reference.as_str()) else { continue };
            if let Some(known) = &target.known {
                allowed(known)?;
                if place == Place::Header {
                    known.is_credential.store(true, Ordering::Relaxed);
                }
            }
            let value = target.text.expose_secret();
            // What another spelling of a response was goes back as it came.
            let as_it_came = !matches!(target.spelling, PLAIN | JSON | NUMBER);
            filled.push_str(&text[copied..named.range.start]);
            match place {
                _ if named.is_encoded => filled.push_str(&percent_encoded(value)),
                Place::Path if !as_it_came => filled.extend(utf8_percent_encode(value, PATH)),
                Place::Query if !as_it_came => filled.extend(utf8_percent_encode(value, QUERY)),
                Place::Json => filled.push_str(&json_escaped(value)),
                _ => filled.push_str(value),
            }
            copied = named.range.end;
        }
        if copied == 0 {
            return Ok(None);
        }
        filled.push_str(&text[copied..]);
        Ok(Some(filled))
    }

    /// Whether a text names a secret that is known.
    pub(super) fn names_secret(&self, text: &str) -> bool {
        named(text).any(|named| self.by_reference.contains_key(named.reference.as_str()))
    }
}

/// Where in a request a reference stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
    Json,
    Text,
}

/// What a path, or a query, can hold stays as it is: a `/` in a name such as `owner/repository` is meant to.
const PATH: &AsciiSet = &RESERVED
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/');
const QUERY: &AsciiSet = &PATH.remove(b'?').add(b'&').add(b'+').add(b'=');

/// A reference in a request.
struct Named {
    range: Range<usize>,
    /// As it would be written plainly.
    reference: String,
    /// The whole of it was percent-encoded, and so must be what takes its place.
    is_encoded: bool,
}

/// Beyond this it is no reference.
const LONGEST_NAME: usize = 512;

fn named(text: &str) -> impl Iterator<Item = Named> {
    let mut behind = 0;
    memmem::find_iter(text.as_bytes(), b"secrets.").filter_map(move |at| {
        let before = &text[..at];
        let opened = ["{", "%7B", "%7b"].into_iter().find(|brace| before.ends_with(brace))?;
        let before = &before[..before.len() - opened.len()];
        let dollar = ["$", "%24"].into_iter().find(|dollar| before.ends_with(dollar))?;
        let start = before.len() - dollar.len();
        if start < behind {
            return None;
        }
        let rest = &text.as_bytes()[at..text.len().min(at + LONGEST_NAME)];
        let end = memchr::memchr2(b'}', b'%', rest).and_then(|first| {
            // Other percent signs belong to the name.
            (first..rest.len()).find_map(|at| match rest[at] {
                b'}' => Some((at, at + 1)),
                b'%' if rest[at..].len() > 2 && rest[at..at + 3].eq_ignore_ascii_case(b"%7d") => Some((at, at + 3)),
                _ => None,
            })
        })?;
        let name = text.get(at..at + end.0)?;
        let name = if opened == "{" { name.into() } else { percent_decode_str(name).decode_utf8_lossy() };
        behind = at + end.1;
        Some(Named { range: start..behind, reference: format!("${{{name}}}"), is_encoded: dollar == "%24" })
    })
}

impl Target {
    fn new(known: Option<Arc<Known>>, spelling: char, text: &str) -> Self {
        let name = known.as_ref().map(|known| known.name.as_str()).unwrap_or_default();
        let reference = match spelling {
            PLAIN => format!("${{secrets.{name}}}"),
            letter => format!("${{secrets.{name}~{letter}}}"),
        };
        Self { known, spelling, text: SecretString::from(text.to_owned()), reference: reference.into() }
    }

    fn is_credential(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.is_credential())
    }
}

/// Whether a text is a JSON number, as JSON may write it.
fn is_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(secrets: &[(&str, &str, bool)]) -> References {
        let known = |(name, value, bound): &(&str, &str, bool)| {
            Arc::new(Known::new((*name).to_owned(), SecretString::from((*value).to_owned()), BTreeSet::new(), *bound))
        };
        References::new(
            secrets.iter().map(known).collect(),
            &BTreeSet::from(["https://told-origin.example".to_owned()]),
        )
    }

    fn masked(references: &References, body: &str, content_type: &str) -> (String, Repeated) {
        let mut repeated = Repeated::new();
        let masked = references.mask_body(body.as_bytes(), content_type, &mut repeated);
        (masked.map_or_else(|| body.to_owned(), |masked| String::from_utf8(masked).unwrap()), repeated)
    }

    #[test]
    fn bodies_are_masked_where_values_stand() {
        let known = references(&[
            ("org", "acme-corp", false),
            ("key", "s3cr&t/\"x\"", true),
            ("account", "123456789", false),
            ("told", "told-origin", false),
        ]);
        for (body, content_type, expected) in [
            (r#"{"note": "acme-corporation"}"#, "", r#"{"note": "${secrets.org}oration"}"#),
            (r#"{"acme-corp": 1, "a": ["acme-corp"]}"#, "", r#"{"acme-corp": 1, "a": ["${secrets.org}"]}"#),
            (r#"{"a": "acm\u0065-corp\u00e9\ud83d"}"#, "", r#"{"a": "${secrets.org}\u00e9\ud83d"}"#),
            (r#"["s3cr&t\/\"x\"", "\\acme-corp\\"]"#, "", r#"["${secrets.key}", "\\${secrets.org}\\"]"#),
            (r#"[123456789, 1234567890, -123456789]"#, "", r#"["${secrets.account~n}", 1234567890, -123456789]"#),
            (r#"{"acme-corp": 123456789, "b": null}"#, "", r#"{"acme-corp": "${secrets.account~n}", "b": null}"#),
            ("[123456789, acme-corp]", "", "[\"${secrets.account~n}\", ${secrets.org}]"),
            (r#"["s3cr%26t%2F%22x%22", "s3cr%26t%2f%22x%22"]"#, "", r#"["${secrets.key~p}", "${secrets.key~q}"]"#),
            (r#"["YWNtZS1jb3Jw"]"#, "", r#"["${secrets.org~b}"]"#),
            (r#"["${secrets.org}", "%24%7Bsecrets.x"]"#, "", r#"["${secrets.~1}org}", "${secrets.~5}x"]"#),
            ("[acme-corp] \"", "text/plain", "[${secrets.org}] \""),
            ("acme-corp,x\nacme-corp,1\n", "text/csv", "acme-corp,x\n${secrets.org},1\n"),
            ("acme-corp", "text/plain", "${secrets.org}"),
            (
                "<acme-corp a='acme-corp'>acme-corp<![CDATA[<acme-corp]]><!-- acme-corp --></acme-corp>",
                "text/xml",
                "<acme-corp a='${secrets.org}'>${secrets.org}<![CDATA[<${secrets.org}]]><!-- ${secrets.org} --></acme-corp>",
            ),
            (r#"["https://told-origin.example/x"]"#, "", r#"["https://told-origin.example/x"]"#),
            (r#"{"a": "not ended acme-corp"#, "", r#"{"a": "not ended ${secrets.org}"#),
        ] {
            assert_eq!(masked(&known, body, content_type).0, expected, "{body}");
        }
    }

    #[test]
    fn data_is_put_back_and_credentials_are_not() {
        let known = references(&[("org", "acme \"corp\"", false), ("key", "s3cr&t-key", true), ("n", "123456", false)]);
        for body in [
            r#"[{"a": "acme \"corp\"oration", "b": 123456, "c": ["acme%20%22corp%22"]}]"#,
            r#"[{"a": "${secrets.org}", "b": "${secrets.", "c": "%24%7bsecrets.org%7d", "d": "123456789"}]"#,
            r#"[{"a": "{\"inner\": \"acme \\\"corp\\\"\"}"}]"#,
        ] {
            let (masked, repeated) = masked(&known, body, "");
            assert_ne!(masked, body);
            let mut count = 0;
            let restored = known.restore(masked.as_bytes(), &repeated, &mut count).unwrap();
            let json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
            assert_eq!((json(&restored), count), (json(body.as_bytes()), 0), "{masked}");
        }
        let (credential, repeated) = masked(&known, r#"["s3cr&t-key", "${secrets.key}", "s3cr%26t-key"]"#, "");
        let mut count = 0;
        let restored = known.restore(credential.as_bytes(), &repeated, &mut count).unwrap();
        let expected = r#"["${secrets.key}", "${secrets.key}", "${secrets.key~p}"]"#;
        assert_eq!((String::from_utf8(restored).unwrap().as_str(), count), (expected, 2));
        // What no response repeated is a text of the connector's own.
        assert_eq!(known.restore(br#"["${secrets.org}"]"#, &Repeated::new(), &mut 0), None);
        assert_eq!(known.restore(br#"["${secrets.org}"]"#, &repeated, &mut 0), None);
    }

    #[test]
    fn requests_get_the_secret_in_the_spelling_of_their_place() {
        let known =
            references(&[("org", "acme/a&b", false), ("config:/client/auth/k", "tok en", true), ("s", "x", false)]);
        for (text, place, expected) in [
            ("/orgs/$%7Bsecrets.org%7D/items", Place::Path, "/orgs/acme/a&b/items"),
            ("a=${secrets.org}&b=%24%7Bsecrets.org%7D", Place::Query, "a=acme/a%26b&b=acme%2Fa%26b"),
            ("c=${secrets.org~p}&d=%24%7bsecrets.org%7Ep%7d", Place::Query, "c=acme%2Fa%26b&d=acme%252Fa%2526b"),
            ("k=%24%7Bsecrets.config%3A%2Fclient%2Fauth%2Fk%7D", Place::Query, "k=tok%20en"),
            ("Token ${secrets.s}${secrets.unknown}", Place::Header, "Token x${secrets.unknown}"),
            ("${secrets.~1}org} ${secrets.~5}org%7D", Place::Text, "${secrets.org} %24%7Bsecrets.org%7D"),
        ] {
            let filled = known.fill(text, place, &mut |_| Ok::<_, ()>(())).unwrap();
            assert_eq!(filled.as_deref(), Some(expected), "{text}");
        }
        assert_eq!(known.fill("${secrets.nobody}", Place::Text, &mut |_| Ok::<_, ()>(())).unwrap(), None);
        assert!(known.fill("${secrets.org}", Place::Text, &mut |_| Err(())).is_err());
    }

    #[test]
    fn people_see_stars() {
        let known = references(&[("key", "s3cr&t \"x\"", true), ("short", "short", true)]);
        for text in ["a s3cr&t \"x\" b", "a s3cr%26t%20%22x%22 b", "a s3cr&t \\\"x\\\" b", "a czNjciZ0ICJ4Ig== b"] {
            assert_eq!(known.redacted(text), "a *** b");
        }
        assert_eq!(known.redacted("short ${secrets.key}"), "short ${secrets.key}");
        for prefix in ["", "u", "us", "user:"] {
            use base64::Engine as _;
            for engine in [&base64::engine::general_purpose::STANDARD, &base64::engine::general_purpose::URL_SAFE] {
                let encoded = engine.encode(format!("{prefix}s3cr&t \"x\"~~suffix"));
                let own = &engine.encode("s3cr&t \"x\"")[..12];
                assert!(
                    known.redacted(&encoded).contains("***") && !known.redacted(&encoded).contains(own),
                    "{prefix}"
                );
            }
        }
    }

    /// Counted, not timed: each byte is looked at a few times, however the body is made.
    #[test]
    fn masking_copies_no_more_than_the_body() {
        let known = references(&[("org", "acme-corp", false)]);
        for piece in [r#""acme-corp","#, r#""\u0061cme-corp","#, "          ", r#""","#, r#"\\"#, "${secrets."] {
            let body = format!("[{}", piece.repeat(200_000));
            let (masked, repeated) = masked(&known, &body, "");
            assert!(masked.len() <= body.len() * 3, "{piece}");
            known.restore(masked.as_bytes(), &repeated, &mut 0);
        }
    }
}
