//! One record as a flat list of nodes, so that nothing is allocated per value and a row can be walked twice.
//!
//! Must never copy what can be pointed at: texts and numbers stay in the page, only unescaped texts are kept aside.

use std::collections::HashMap;

use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, Peek};

use super::reading::{self, Reading};
use super::steps;

/// How deep a record may nest.
pub(super) const MAX_DEPTH: usize = 128;
/// The largest page: positions take 31 bits.
pub(super) const MAX_PAGE: usize = (1 << 31) - 1;

const KEPT_ASIDE: u32 = 1 << 31;
const FEW_KEYS: usize = 16;

/// A piece of text, in the page or kept aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    length: u32,
}

impl Span {
    pub(super) fn in_page(start: usize, length: usize) -> Self {
        Self { start: position(start), length: position(length) }
    }

    pub(super) fn aside(start: usize, length: usize) -> Self {
        Self { start: position(start), length: position(length) | KEPT_ASIDE }
    }
}

/// A container's `end` is the position behind its last node. In an object, keys and values take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    /// A whole number beyond 64 bits, digit by digit.
    Big(Span),
    /// A number with a fraction or an exponent, as written.
    Float(Span),
    Text(Span),
    Key(Span),
    /// A key that comes again later in the same object: the last one wins.
    Overridden,
    List {
        end: u32,
    },
    Object {
        end: u32,
    },
}

#[derive(Debug, Default)]
pub(super) struct Tape {
    nodes: Vec<Node>,
    /// Texts that had escapes in them.
    aside: String,
}

/// A tape with the page it points into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) nodes: &'a [Node],
    aside: &'a str,
    page: &'a str,
}

impl Tape {
    /// Reads the value at `start`, and says where it ends. An error's place counts from `start`.
    pub(super) fn read(&mut self, page: &str, start: usize) -> Result<usize, JiterError> {
        let mut reading = Reading::new(page, start, &mut self.nodes, &mut self.aside);
        match reading.value(0) {
            Some(()) => Ok(reading.at),
            None => self.read_anything(page, start),
        }
    }

    /// As `read`, for what is unusual, or wrong.
    fn read_anything(&mut self, page: &str, start: usize) -> Result<usize, JiterError> {
        self.nodes.clear();
        self.aside.clear();
        let mut jiter = Jiter::new(&page.as_bytes()[start..]);
        let peek = jiter.peek()?;
        self.value(&mut jiter, page, peek, 0)?;
        Ok(start + jiter.current_index())
    }

    pub(super) fn record<'a>(&'a self, page: &'a str) -> Record<'a> {
        Record { nodes: &self.nodes, aside: &self.aside, page }
    }

    /// Marks every key of the value at `position` that comes again later in the same object, in all objects in it.
    pub(super) fn override_repeated(&mut self, page: &str, position: usize) {
        let mut overridden = Vec::new();
        let record = self.record(page);
        let end = record.skip(position);
        for object in position..end {
            steps::count(1);
            let Node::Object { end } = record.nodes[object] else { continue };
            let mut places: HashMap<&str, usize> = HashMap::new();
            let mut next = object + 1;
            while next < end as usize {
                steps::count(1);
                if let Node::Key(span) = record.nodes[next] {
                    overridden.extend(places.insert(record.text(span), next));
                }
                next = record.skip(next + 1);
            }
        }
        for place in overridden {
            self.nodes[place] = Node::Overridden;
        }
    }

    fn value(&mut self, jiter: &mut Jiter<'_>, page: &str, peek: Peek, depth: usize) -> Result<(), JiterError> {
        match peek {
            Peek::Null => {
                jiter.known_null()?;
                self.nodes.push(Node::Null);
            }
            Peek::True | Peek::False => {
                let value = jiter.known_bool(peek)?;
                self.nodes.push(Node::Bool(value));
            }
            Peek::String => {
                let text = jiter.known_str()?;
                let span = self.span(text, page);
                self.nodes.push(Node::Text(span));
            }
            Peek::Array => {
                let list = self.open(jiter, depth)?;
                let mut next = jiter.known_array()?;
                while let Some(peek) = next {
                    self.value(jiter, page, peek, depth + 1)?;
                    next = jiter.array_step()?;
                }
                self.nodes[list] = Node::List { end: position(self.nodes.len()) };
            }
            Peek::Object => {
                let object = self.open(jiter, depth)?;
                let mut next = jiter.known_object()?.map(|key| self.span(key, page));
                while let Some(key) = next {
                    self.nodes.push(Node::Key(key));
                    let peek = jiter.peek()?;
                    self.value(jiter, page, peek, depth + 1)?;
                    next = jiter.next_key()?.map(|key| self.span(key, page));
                }
                self.nodes[object] = Node::Object { end: position(self.nodes.len()) };
            }
            _ => self.number(jiter, page, peek)?,
        }
        Ok(())
    }

    /// Takes the container's place on the tape; its end is filled in when it is known.
    fn open(&mut self, jiter: &Jiter<'_>, depth: usize) -> Result<usize, JiterError> {
        if depth >= MAX_DEPTH {
            let error_type = JiterErrorType::JsonError(JsonErrorType::RecursionLimitExceeded);
            return Err(JiterError { error_type, index: jiter.current_index() });
        }
        self.nodes.push(Node::Null);
        Ok(self.nodes.len() - 1)
    }

    fn number(&mut self, jiter: &mut Jiter<'_>, page: &str, peek: Peek) -> Result<(), JiterError> {
        let bytes = jiter.known_number_bytes(peek)?;
        let digits = std::str::from_utf8(bytes).unwrap_or_default();
        let node = match digits.parse::<i64>() {
            Ok(number) => Node::Int(number),
            Err(_) if bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') => {
                Node::Big(self.span(digits, page))
            }
            Err(_) => Node::Float(self.span(digits, page)),
        };
        self.nodes.push(node);
        Ok(())
    }

    /// The parser hands out a part of the page itself unless there was an escape to resolve.
    fn span(&mut self, text: &str, page: &str) -> Span {
        let start = (text.as_ptr() as usize).wrapping_sub(page.as_ptr() as usize);
        if start < page.len() {
            return Span::in_page(start, text.len());
        }
        let start = self.aside.len();
        self.aside.push_str(text);
        Span::aside(start, text.len())
    }
}

/// Pages are no longer than `MAX_PAGE`, and a tape has fewer nodes than its page has bytes.
pub(super) fn position(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX >> 1)
}

impl<'a> Record<'a> {
    pub(super) fn text(&self, span: Span) -> &'a str {
        let source = if span.length & KEPT_ASIDE == 0 { self.page } else { self.aside };
        let start = span.start as usize;
        source.get(start..start + (span.length & !KEPT_ASIDE) as usize).unwrap_or_default()
    }

    /// Whether the object at `position` has a key.
    pub(super) fn has_key(&self, position: usize, key: &str) -> bool {
        let Node::Object { end } = self.nodes[position] else { return false };
        let mut next = position + 1;
        while next < end as usize {
            steps::count(1);
            if matches!(self.nodes[next], Node::Key(span) if self.text(span) == key) {
                return true;
            }
            next = self.skip(next + 1);
        }
        false
    }

    /// The position behind the value at `position`.
    pub(super) fn skip(&self, position: usize) -> usize {
        match self.nodes[position] {
            Node::List { end } | Node::Object { end } => end as usize,
            _ => position + 1,
        }
    }

    /// Writes the value at `position` as compact JSON, numbers as they came.
    pub(super) fn write_json(&self, position: usize, out: &mut String) {
        self.write(position, out, false);
    }

    /// Writes what dlt hashes: keys sorted, numbers in their shortest form; at the top without dlt's own keys.
    pub(super) fn write_canonical(&self, position: usize, out: &mut String) {
        self.write(position, out, true);
    }

    fn write(&self, position: usize, out: &mut String, canonical: bool) {
        match self.nodes[position] {
            Node::Null | Node::Overridden => out.push_str("null"),
            Node::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Node::Int(number) => push_int(number, out),
            Node::Float(span) if canonical => match self.text(span).parse::<f64>() {
                Ok(number) if number.is_finite() => out.push_str(&serde_json::Value::from(number).to_string()),
                _ => out.push_str(self.text(span)),
            },
            Node::Big(span) | Node::Float(span) => out.push_str(self.text(span)),
            Node::Text(span) | Node::Key(span) => push_json_text(self.text(span), out),
            Node::List { end } => {
                out.push('[');
                let mut next = position + 1;
                while next < end as usize {
                    if next > position + 1 {
                        out.push(',');
                    }
                    self.write(next, out, canonical);
                    next = self.skip(next);
                }
                out.push(']');
            }
            Node::Object { .. } => {
                out.push('{');
                for (index, (key, value)) in self.members(position, canonical).into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    push_json_text(key, out);
                    out.push(':');
                    self.write(value, out, canonical);
                }
                out.push('}');
            }
        }
    }

    /// Keys and the positions of their values, each key once with its last value.
    fn members(&self, position: usize, canonical: bool) -> Vec<(&'a str, usize)> {
        let end = self.skip(position);
        let mut members: Vec<(&str, usize)> = Vec::new();
        // Looked for one by one as long as there are few.
        let mut places: Option<HashMap<&str, usize>> = None;
        let mut next = position + 1;
        while next < end {
            if let Node::Key(span) = self.nodes[next] {
                let key = self.text(span);
                if !(canonical && position == 0 && key.starts_with("_dlt_")) {
                    if members.len() == FEW_KEYS && places.is_none() {
                        places = Some(members.iter().enumerate().map(|(place, (key, _))| (*key, place)).collect());
                    }
                    let known = match &places {
                        Some(places) => places.get(key).copied(),
                        None => members.iter().position(|(known, _)| *known == key),
                    };
                    match known {
                        Some(place) => members[place] = (key, next + 1),
                        None => {
                            places.as_mut().map(|places| places.insert(key, members.len()));
                            members.push((key, next + 1));
                        }
                    }
                }
            }
            next = self.skip(next + 1);
        }
        if canonical {
            members.sort_unstable();
        }
        members
    }
}

pub(super) fn push_int(number: i64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// A JSON string, with as few escapes as JSON allows.
pub(super) fn push_json_text(text: &str, out: &mut String) {
    if reading::is_plain(text) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        // Printing a string can't fail.
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tape: &mut Tape, page: &str) -> Result<(), JiterError> {
        let end = tape.read(page, 0)?;
        Jiter::new(&page.as_bytes()[end..]).finish()
    }

    #[test]
    fn json_comes_back_compact_with_every_digit() {
        let cases = [
            (r#" { "a" : [ 1 , 2.50, -3 ] , "b" : null } "#, r#"{"a":[1,2.50,-3],"b":null}"#),
            (
                r#"{"b":12345678901234567890123,"x":1.00000000000000000001}"#,
                r#"{"b":12345678901234567890123,"x":1.00000000000000000001}"#,
            ),
            (r#"["\u00e9\n\"", "日本"]"#, r#"["é\n\"","日本"]"#),
            (r#"{"a":1,"a":2,"b":{"c":[],"c":{}}}"#, r#"{"a":2,"b":{"c":{}}}"#),
            ("-0", "0"),
        ];
        for (page, printed) in cases {
            let mut tape = Tape::default();
            read(&mut tape, page).unwrap();
            let mut out = String::new();
            tape.record(page).write_json(0, &mut out);
            assert_eq!(out, printed);
        }
    }

    #[test]
    fn what_is_hashed_does_not_depend_on_order() {
        let page = r#"{"b":1.50,"_dlt_id":"x","a":{"z":1,"y":1e400}}"#;
        let mut tape = Tape::default();
        read(&mut tape, page).unwrap();
        let mut out = String::new();
        tape.record(page).write_canonical(0, &mut out);
        assert_eq!(out, r#"{"a":{"y":1e400,"z":1},"b":1.5}"#);
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for page in
            ["{", r#"{"a":NaN}"#, "[1,]", "01", r#""\ud800""#, "1 2", &deep, "{\"a\":\"\u{1}\"}", "nul", "-", "1e"]
        {
            assert!(read(&mut Tape::default(), page).is_err(), "{page}");
        }
    }

    /// Both ways of reading put the same on the tape, and refuse the same.
    fn agree(page: &str) {
        let (mut fast, mut slow) = (Tape::default(), Tape::default());
        let mut reading = Reading::new(page, 0, &mut fast.nodes, &mut fast.aside);
        let end = reading.value(0).map(|()| reading.at);
        let expected = slow.read_anything(page, 0).ok();
        if let Some(end) = end {
            assert_eq!(Some(end), expected, "{page}");
            assert_eq!((fast.nodes, fast.aside), (slow.nodes, slow.aside), "{page}");
        }
    }

    #[test]
    fn both_ways_of_reading_agree() {
        let cases = [
            r#" { "a" : [ 1 , 2.50, -3, -0, 0, true, false, null ] , "b" : { } , "c":[ ] } "#,
            r#"[1234567890123456789,-9223372036854775808,9223372036854775808,999999999999999999,1e5,-1.5E-3,0.0]"#,
            r#"["\u00e9\n\"\\\/\b\f\r\t", "日本語日本語", "\ud83d\ude00x", "\u0000", ""]"#,
        ];
        for page in cases {
            agree(page);
            let mut tape = Tape::default();
            assert!(Reading::new(page, 0, &mut tape.nodes, &mut tape.aside).value(0).is_some(), "{page}");
            for end in (0..page.len()).filter(|end| page.is_char_boundary(*end)) {
                agree(&page[..end]);
            }
        }
        for page in [
            "01",
            "-",
            "1.",
            "1e",
            "-01",
            ".5",
            "+1",
            "tru",
            "nul",
            "{\"a\"}",
            "{\"a\":1,}",
            "{,}",
            "[1,]",
            "[1 2]",
            "[,]",
            "{1:2}",
            r#""\x""#,
            r#""\u12"#,
            r#""\ud800""#,
            r#""\ud800\u0041""#,
            r#""\udc00""#,
            "\"\u{1}\"",
            "\"a\nb\"",
            "{\"a\":1 \"b\":2}",
        ] {
            agree(page);
            let mut tape = Tape::default();
            assert!(read(&mut tape, page).is_err(), "{page}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn both_ways_agree_on_anything(page in r#"[\[\]{},:"\\a0-9.eE+\- \nunl日\x01]{0,24}"#, text in "\\PC{0,24}") {
            agree(&page);
            let text = serde_json::Value::from(text).to_string();
            agree(&text);
            agree(&format!("{{{text}:[{text},{{{text}:{page}}}]}}"));
        }
    }
}
