//! JSONPath as dlt's users write it (the flavour of Python's `jsonpath_ng.ext`), on JSON texts.
//!
//! A plain path of names and indexes is walked through the raw text; anything else is translated to RFC 9535 and asked
//! of `serde_json_path`, and its matches are then found again in the raw text, so that records keep every digit. Must
//! never guess: what it does not understand is refused when the configuration is read.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json_path::{JsonPath, PathElement};

use crate::document::{self, Document};

/// A path, ready for use.
#[derive(Debug, Clone)]
pub struct Selector {
    text: String,
    path: Path,
}

#[derive(Debug, Clone)]
enum Path {
    Keys(Vec<Key>),
    Query(JsonPath),
}

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Name(String),
    /// Negative: from the end.
    Index(i64),
}

/// Longer paths are refused: the parser recurses.
const LONGEST: usize = 2_000;

/// Whether this is a path that `Selector::parse` accepts; if not, why.
pub fn check(path: &str) -> Result<(), String> {
    Selector::parse(path).map(|_| ())
}

impl Selector {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("a JSONPath may have at most {LONGEST} characters"));
        }
        let translated = Translation::of(text)?;
        let path = match translated.keys {
            Some(keys) => Path::Keys(keys),
            None => Path::Query(
                JsonPath::parse(&translated.standard)
                    .map_err(|error| format!("not a JSONPath: {}", error.message()))?,
            ),
        };
        Ok(Self { text: text.trim().to_owned(), path })
    }

    /// The path down these keys.
    pub fn from_keys(keys: Vec<Key>) -> Self {
        let mut text = String::from("$");
        for key in &keys {
            match key {
                Key::Name(name) => push_name(&mut text, name),
                Key::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        Self { text, path: Path::Keys(keys) }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Every match, in order, as it stands in the document.
    pub fn all<'a>(&self, document: &'a Document) -> Vec<&'a str> {
        match &self.path {
            Path::Keys(keys) => walk_document(document, keys).into_iter().collect(),
            Path::Query(query) => locate(query, document.value(), document.text()),
        }
    }

    /// The first match in the document.
    pub fn first<'a>(&self, document: &'a Document) -> Option<&'a str> {
        match &self.path {
            Path::Keys(keys) => walk_document(document, keys),
            Path::Query(_) => self.all(document).into_iter().next(),
        }
    }

    /// The first match in any JSON text, such as a record.
    pub fn first_in<'a>(&self, raw: &'a str) -> Option<&'a str> {
        match &self.path {
            Path::Keys(keys) => walk(raw, keys),
            Path::Query(query) => {
                let value = serde_json::from_str(raw).ok()?;
                locate(query, &value, raw).into_iter().next()
            }
        }
    }

    /// Every match in any JSON text, in order.
    pub fn all_in<'a>(&self, raw: &'a str) -> Vec<&'a str> {
        match &self.path {
            Path::Keys(keys) => walk(raw, keys).into_iter().collect(),
            Path::Query(query) => {
                serde_json::from_str(raw).map_or_else(|_| Vec::new(), |value| locate(query, &value, raw))
            }
        }
    }

    /// Its keys, if it is a plain path.
    pub fn keys(&self) -> Option<&[Key]> {
        match &self.path {
            Path::Keys(keys) => Some(keys),
            Path::Query(_) => None,
        }
    }

    /// As `keys`.
    pub fn into_keys(self) -> Option<Vec<Key>> {
        match self.path {
            Path::Keys(keys) => Some(keys),
            Path::Query(_) => None,
        }
    }

    /// Whether it may have more than one match by the way it is written.
    pub fn is_plural(&self) -> bool {
        matches!(self.path, Path::Query(_))
    }
}

fn walk_document<'a>(document: &'a Document, keys: &[Key]) -> Option<&'a str> {
    match keys {
        [] => Some(document.text()),
        [Key::Name(name), rest @ ..] => walk(document.field(name)?, rest),
        [Key::Index(_), ..] => walk(document.text(), keys),
    }
}

fn walk<'a>(mut raw: &'a str, keys: &[Key]) -> Option<&'a str> {
    for key in keys {
        raw = match key {
            Key::Name(name) => document::field(raw, name)?,
            Key::Index(index) => {
                let items = document::items(raw)?;
                let position = if *index < 0 { index.checked_add_unsigned(items.len() as u64)? } else { *index };
                items.get(usize::try_from(position).ok()?).copied()?
            }
        };
    }
    Some(raw.trim_ascii())
}

/// Finds the matches of a query in the raw text, in the query's order.
fn locate<'a>(query: &JsonPath, value: &Value, raw: &'a str) -> Vec<&'a str> {
    let mut wanted: Vec<(Vec<Key>, usize)> = Vec::new();
    for (order, node) in query.query_located(value).iter().enumerate() {
        let keys = node.location().iter().map(|element| match element {
            PathElement::Name(name) => Key::Name((*name).to_owned()),
            PathElement::Index(index) => Key::Index(i64::try_from(*index).unwrap_or(i64::MAX)),
        });
        wanted.push((keys.collect(), order));
    }
    let mut found = vec![None; wanted.len()];
    // Sorted, matches below one parent stand together: each level of the text is taken apart once.
    wanted.sort();
    descend(raw, &wanted, 0, &mut found);
    found.into_iter().flatten().collect()
}

fn descend<'a>(raw: &'a str, wanted: &[(Vec<Key>, usize)], depth: usize, found: &mut [Option<&'a str>]) {
    let mut rest = wanted;
    let (mut fields, mut items) = (None, None);
    while let Some((keys, order)) = rest.first() {
        let Some(key) = keys.get(depth) else {
            if let Some(place) = found.get_mut(*order) {
                *place = Some(raw.trim_ascii());
            }
            rest = &rest[1..];
            continue;
        };
        let same = rest.iter().take_while(|(other, _)| other.get(depth) == Some(key)).count();
        let (group, others) = rest.split_at(same);
        rest = others;
        let child = match key {
            Key::Name(name) => {
                // Of equal names the last, as in Python.
                let fields = fields.get_or_insert_with(|| {
                    document::fields(raw).unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>()
                });
                fields.get(name.as_str()).copied()
            }
            Key::Index(index) => {
                let items = items.get_or_insert_with(|| document::items(raw).unwrap_or_default());
                usize::try_from(*index).ok().and_then(|index| items.get(index).copied())
            }
        };
        if let Some(child) = child {
            descend(child, group, depth + 1, found);
        }
    }
}

/// A path in RFC 9535's words, and as plain keys if it is that simple.
struct Translation {
    standard: String,
    keys: Option<Vec<Key>>,
}

impl Translation {
    fn of(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("a JSONPath must not be empty; `$` is the whole".to_owned());
        }
        let mut translation = Self { standard: "$".to_owned(), keys: Some(Vec::new()) };
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let mut first = rest.len() == text.len();
        while !rest.is_empty() {
            let descends = rest.starts_with("..");
            let dotted = rest.trim_start_matches('.');
            if rest.len() - dotted.len() > 2 {
                return Err(format!("too many dots before `{dotted}`"));
            }
            if descends {
                translation.standard.push_str("..");
                translation.keys = None;
            }
            rest = if let Some(inner) = dotted.strip_prefix('[') {
                let end = closing_bracket(inner).ok_or("a `[` has no `]`")?;
                translation.bracket(inner[..end].trim())?;
                &inner[end + 1..]
            } else if first || dotted.len() < rest.len() {
                translation.bare(dotted, descends)?
            } else {
                return Err(format!("`.` or `[` expected before `{rest}`"));
            };
            first = false;
        }
        Ok(translation)
    }

    /// `name`, `*` or `'name'` behind a dot.
    fn bare<'a>(&mut self, text: &'a str, descends: bool) -> Result<&'a str, String> {
        if let Some(quote @ ('\'' | '"')) = text.chars().next() {
            let end = closing_quote(&text[1..], quote).ok_or("a quote is not closed")?;
            self.name(&unescape(&text[1..=end]), descends);
            return Ok(&text[end + 2..]);
        }
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        match name.trim() {
            "" => return Err("a name is missing".to_owned()),
            "*" => {
                self.standard.push_str(if descends { "*" } else { ".*" });
                self.keys = None;
            }
            name if name.contains(['`', '|', '(', ')', '?', ',', ']', '$']) => {
                return Err(format!("`{name}` is not supported; a key with special characters is written ['…']"));
            }
            name => self.name(name, descends),
        }
        Ok(rest)
    }

    fn name(&mut self, name: &str, _descends: bool) {
        push_name(&mut self.standard, name);
        if let Some(keys) = &mut self.keys {
            keys.push(Key::Name(name.to_owned()));
        }
    }

    /// What stands between brackets.
    fn bracket(&mut self, inner: &str) -> Result<(), String> {
        if let Some(quote @ ('\'' | '"')) = inner.chars().next()
            && closing_quote(&inner[1..], quote) == Some(inner.len() - 2)
        {
            self.name(&unescape(&inner[1..inner.len() - 1]), false);
            return Ok(());
        }
        if let Ok(index) = inner.parse::<i64>() {
            self.standard.push_str(&format!("[{index}]"));
            if let Some(keys) = &mut self.keys {
                keys.push(Key::Index(index));
            }
            return Ok(());
        }
        if let Some(names) = bare_names(inner) {
            match names.as_slice() {
                [name] => self.name(name, false),
                names => {
                    self.keys = None;
                    let quoted = names.iter().map(|name| {
                        let mut text = String::new();
                        push_name(&mut text, name);
                        text.trim_start_matches('[').trim_end_matches(']').to_owned()
                    });
                    self.standard.push_str(&format!("[{}]", quoted.collect::<Vec<_>>().join(",")));
                }
            }
            return Ok(());
        }
        self.keys = None;
        match inner.strip_prefix('?') {
            Some(filter) => self.standard.push_str(&format!("[?{}]", translate_filter(filter))),
            None => self.standard.push_str(&format!("[{inner}]")),
        }
        Ok(())
    }
}

/// `a` or `a, b`: names in brackets without quotes, which `jsonpath_ng` takes.
fn bare_names(inner: &str) -> Option<Vec<&str>> {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '@'))
            && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '@'))
    };
    let names: Vec<&str> = inner.split(',').map(str::trim).collect();
    names.iter().all(|name| is_name(name)).then_some(names)
}

fn push_name(text: &mut String, name: &str) {
    text.push_str("['");
    for character in name.chars() {
        match character {
            '\'' | '\\' => text.extend(['\\', character]),
            control if control.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => text.push(other),
        }
    }
    text.push_str("']");
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    plain
}

/// Where the quote closes, counted in bytes from behind the opening one.
fn closing_quote(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(position, character)| {
        let closes = character == quote && !escaped;
        escaped = character == '\\' && !escaped;
        closes.then_some(position)
    })
}

/// Where the bracket closes, counted in bytes from behind the opening one; quoted brackets don't count.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut depth, mut position) = (0_usize, 0);
    while let Some(character) = text[position..].chars().next() {
        match character {
            '\'' | '"' => position += 1 + closing_quote(&text[position + 1..], character)?,
            '[' => depth += 1,
            ']' if depth == 0 => return Some(position),
            ']' => depth -= 1,
            _ => {}
        }
        position += character.len_utf8();
    }
    None
}

/// `jsonpath_ng` writes `&` for and, `|` for or, `=` for equal, `id` for `@.id`, and allows hyphens in names.
fn translate_filter(filter: &str) -> String {
    let mut standard = String::new();
    let mut rest = filter;
    while let Some(character) = rest.chars().next() {
        let mut taken = character.len_utf8();
        match character {
            '\'' | '"' => {
                taken = closing_quote(&rest[1..], character).map_or(rest.len(), |end| end + 2);
                standard.push_str(&rest[..taken]);
            }
            '&' | '|' => {
                taken = if rest[1..].starts_with(character) { 2 } else { 1 };
                standard.extend([character, character]);
            }
            '=' => {
                taken = if rest[1..].starts_with('=') { 2 } else { 1 };
                standard.push_str("==");
            }
            '!' | '<' | '>' => {
                taken = if rest[1..].starts_with('=') { 2 } else { 1 };
                standard.push_str(&rest[..taken]);
            }
            letter if letter.is_alphabetic() || letter == '_' => {
                taken = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').unwrap_or(rest.len());
                let word = &rest[..taken];
                let below = standard.ends_with('.');
                if !below && (matches!(word, "true" | "false" | "null") || rest[taken..].starts_with('(')) {
                    standard.push_str(word);
                } else {
                    if below {
                        standard.pop();
                    } else {
                        standard.push('@');
                    }
                    push_name(&mut standard, word);
                }
            }
            digit if digit.is_ascii_digit() => {
                taken = rest.find(|c: char| !c.is_alphanumeric() && c != '.').unwrap_or(rest.len());
                standard.push_str(&rest[..taken]);
            }
            other => standard.push(other),
        }
        rest = &rest[taken..];
    }
    standard
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"data":[{"id":1.00},{"id":2}],"a":{"b":[[1],[2]]},"many-results":[1],
        "@odata.value":[5],"groups":[{"rows":[{"id":1},{"id":2}]},{"rows":[{"id":12345678901234567890123}]}],"it's":0}"#;

    #[test]
    fn paths_find_raw_texts() {
        let document = Document::parse(BODY.to_owned()).unwrap();
        let cases: [(&str, &[&str]); 28] = [
            ("data", &[r#"[{"id":1.00},{"id":2}]"#]),
            ("$.data", &[r#"[{"id":1.00},{"id":2}]"#]),
            ("$['data']", &[r#"[{"id":1.00},{"id":2}]"#]),
            ("data[0].id", &["1.00"]),
            ("data.[1].id", &["2"]),
            ("data[-1].id", &["2"]),
            ("data[9]", &[]),
            ("data[*].id", &["1.00", "2"]),
            ("data[*]", &[r#"{"id":1.00}"#, r#"{"id":2}"#]),
            ("data[1:]", &[r#"{"id":2}"#]),
            ("a.b[1][0]", &["2"]),
            ("a.*", &["[[1],[2]]"]),
            ("many-results", &["[1]"]),
            ("['@odata.value']", &["[5]"]),
            ("$[\"it's\"]", &["0"]),
            ("'it\\'s'", &["0"]),
            ("nope", &[]),
            ("groups[*].rows[*].id", &["1", "2", "12345678901234567890123"]),
            ("$..rows[*].id", &["1", "2", "12345678901234567890123"]),
            ("$..rows[0].id", &["1", "12345678901234567890123"]),
            ("groups[0].rows[?(@.id > 1)]", &[r#"{"id":2}"#]),
            ("groups[0].rows[?(id = 1)].id", &["1"]),
            ("groups[?(@.rows[0].id == 1 & @.rows)].rows[0].id", &["1"]),
            ("data[0,1].id", &["1.00", "2"]),
            ("a[b][1][0]", &["2"]),
            ("$[many-results]", &["[1]"]),
            ("$[a, many-results][*]", &["[[1],[2]]", "1"]),
            ("$[many-results,groups][0]", &["1", r#"{"rows":[{"id":1},{"id":2}]}"#]),
        ];
        for (path, expected) in cases {
            let selector = Selector::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(selector.all(&document), expected, "{path}");
            assert_eq!(selector.first(&document), expected.first().copied(), "{path}");
            assert_eq!(selector.first_in(BODY), expected.first().copied(), "{path}");
        }
        assert_eq!(Selector::parse("$").unwrap().all(&document), [document.text()]);
    }

    #[test]
    fn keys_print_as_a_path_that_parses() {
        let document = Document::parse(BODY.to_owned()).unwrap();
        for name in ["it's", "@odata.value", "many-results"] {
            let made = Selector::from_keys(vec![Key::Name(name.to_owned())]);
            let parsed = Selector::parse(made.text()).unwrap();
            assert_eq!(parsed.first(&document), document.field(name), "{name}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in ["", "a[", "a..", "a...b", "a.'b", "a.`parent`", "a[?(@.b >)]", "a[x y]", "$a[0]b"] {
            assert!(check(path).is_err(), "{path}");
        }
        assert!(check(&"[?(".repeat(1_000)).is_err());
    }
}
