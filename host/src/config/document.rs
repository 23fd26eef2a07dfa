//! YAML, JSON and TOML → a JSON value and the place of every key and value in the text.
//!
//! Must never interpret what it reads.

use std::collections::HashMap;
use std::ops::Range;

use jsonc_parser::ast::Value as Json;
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions};
use saphyr::{LoadableYamlNode as _, MarkedYaml, Marker, Scalar, Tag, YamlData};
use saphyr_parser::{Event, Parser};
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Places, pointer_step};

/// Why a text is no document.
pub(super) struct SyntaxMistake {
    pub(super) message: String,
    pub(super) span: Range<usize>,
    /// What to do about it.
    pub(super) help: Option<String>,
}

pub(super) fn parse(text: &str, ending: &str) -> Result<(Value, Places), SyntaxMistake> {
    let mut places = Places::default();
    let value = match ending {
        "toml" => from_toml(text, &mut places)?,
        "json" => from_json(text, &mut places)?,
        _ => from_yaml(text, &mut places)?,
    };
    Ok((value, places))
}

fn from_yaml(text: &str, places: &mut Places) -> Result<Value, SyntaxMistake> {
    let lines = Lines::new(text);
    check_size(text, &lines)?;
    let documents = MarkedYaml::load_from_str(text).map_err(|error| {
        let at = lines.marker(error.marker());
        if let Some(reference) = unquoted_reference(text, at) {
            let quoted = format!("\"{}\"", &text[reference.clone()]);
            return SyntaxMistake {
                message: "a reference inside of `{…}` or `[…]` must be quoted".to_owned(),
                span: reference,
                help: Some(format!("quote it: {quoted}")),
            };
        }
        let (message, help) = explained(error.info());
        SyntaxMistake { message, span: lines.character(at), help }
    })?;
    let mut reader = YamlReader { text, lines, places, merging: 0 };
    match documents.as_slice() {
        [] => Ok(Value::Object(Map::new())),
        [document] => reader.value(document, ""),
        [_, second, ..] => Err(SyntaxMistake {
            message: "one document per file, and here begins a second one".to_owned(),
            span: reader.span(second),
            help: None,
        }),
    }
}

/// How deep a document may nest, and how many values it may have, aliases counted as what they stand for.
const DEEPEST: usize = 64;
const MOST_VALUES: usize = 500_000;

/// Looks for what would be too deep, or too large, to be read into memory: the reader that does so follows the nesting by
/// recursion, and copies what aliases stand for.
fn check_size(text: &str, lines: &Lines<'_>) -> Result<(), SyntaxMistake> {
    /// Values, and levels, in it.
    #[derive(Clone, Copy, Default)]
    struct Size {
        values: usize,
        levels: usize,
    }
    let mut anchors: HashMap<usize, Size> = HashMap::new();
    // What is open, each with its anchor.
    let mut open: Vec<(usize, Size)> = Vec::new();
    for event in Parser::new_from_str(text) {
        // What is wrong with it, the reader says.
        let Ok((event, span)) = event else { return Ok(()) };
        let (anchor, size) = match event {
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                open.push((anchor, Size { values: 1, levels: 1 }));
                (0, Size::default())
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().unwrap_or_default(),
            Event::Scalar(_, _, anchor, _) => (anchor, Size { values: 1, levels: 0 }),
            Event::Alias(anchor) => (0, anchors.get(&anchor).copied().unwrap_or_default()),
            _ => continue,
        };
        if anchor > 0 {
            anchors.insert(anchor, size);
        }
        let mistake = |message: String| {
            let at = lines.marker(&span.start);
            Err(SyntaxMistake { message, span: lines.character(at), help: None })
        };
        if open.len() + size.levels > DEEPEST {
            return mistake(format!("nested deeper than {DEEPEST} levels"));
        }
        if let Some((_, around)) = open.last_mut() {
            around.values = around.values.saturating_add(size.values);
            around.levels = around.levels.max(size.levels + 1);
            if around.values > MOST_VALUES {
                return mistake(format!("more than {MOST_VALUES} values, aliases counted as what they stand for"));
            }
        }
    }
    Ok(())
}

/// The last `${…}` that stands unquoted in a flow collection before a mistake: YAML takes its brace for another
/// mapping.
fn unquoted_reference(text: &str, mistake: usize) -> Option<Range<usize>> {
    // The reader may notice at the end of the line, or at the beginning of the next one.
    let until = text[mistake.min(text.len())..].find('\n').map_or(text.len(), |count| mistake + count);
    let (mut depth, mut quote, mut found) = (0_usize, None, None);
    let mut before = '\n';
    let mut at = 0;
    while let Some(c) = text[at..until].chars().next() {
        let rest = &text[at..until];
        let begins = before.is_whitespace() || "{[,:".contains(before);
        let mut length = c.len_utf8();
        match (quote, c) {
            (Some('"'), '\\') => length += rest[length..].chars().next().map_or(0, char::len_utf8),
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if begins => quote = Some(c),
            (None, '#') if before.is_whitespace() => length = rest.find('\n').unwrap_or(rest.len()),
            (None, '$') if depth > 0 && rest.starts_with("${") => {
                length =
                    rest.find(['}', '\n']).map_or(rest.len(), |end| end + usize::from(rest[end..].starts_with('}')));
                found = Some(at..at + length);
            }
            (None, '{' | '[') if begins || depth > 0 => depth += 1,
            (None, '}' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = text[at..at + length].chars().next_back().unwrap_or(c);
        at += length;
    }
    found
}

/// What the YAML reader says, in the words of who writes a configuration.
fn explained(info: &str) -> (String, Option<String>) {
    let known = [
        ("tabs disallowed", "a tab in the indentation", "YAML indents with spaces"),
        ("quoted scalar", "a quoted text that does not end where it should", "is its closing quote there?"),
        (
            "did not find expected key",
            "not indented like the keys before it",
            "give all keys of one mapping the same indentation",
        ),
        (
            "mapping values are not allowed",
            "a `:` where no key can stand",
            "indent it with its neighbours, or quote the text",
        ),
        ("duplicate", "this key is there twice", "keep one of them"),
    ];
    match known.iter().find(|(part, ..)| info.contains(part)) {
        Some((_, message, help)) => ((*message).to_owned(), Some((*help).to_owned())),
        None => (info.to_owned(), None),
    }
}

struct YamlReader<'a> {
    text: &'a str,
    lines: Lines<'a>,
    places: &'a mut Places,
    /// How many `<<` this stands behind: what a mapping says itself counts.
    merging: usize,
}

impl YamlReader<'_> {
    fn value(&mut self, node: &MarkedYaml<'_>, pointer: &str) -> Result<Value, SyntaxMistake> {
        let span = self.span(node);
        self.places.add_value(pointer, span, self.merging > 0);
        let value = match &node.data {
            YamlData::Value(scalar) => scalar_value(scalar),
            YamlData::Sequence(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    list.push(self.value(item, &format!("{pointer}/{index}"))?);
                }
                Value::Array(list)
            }
            YamlData::Mapping(entries) => {
                let mut object = Map::new();
                let mut merged = Map::new();
                for (key_node, value_node) in entries {
                    let key = match &key_node.data {
                        YamlData::Value(Scalar::String(key)) => key.to_string(),
                        YamlData::Value(scalar) => match scalar_value(scalar) {
                            Value::Null => "null".to_owned(),
                            other => other.to_string(),
                        },
                        _ => return Err(self.mistake(key_node, "a key must be a text")),
                    };
                    if key == "<<" {
                        self.merge(value_node, pointer, &mut merged)?;
                        continue;
                    }
                    let at = pointer_step(pointer, &key);
                    self.places.add_key(&at, self.span(key_node), self.merging > 0);
                    object.insert(key, self.value(value_node, &at)?);
                }
                for (key, value) in merged {
                    object.entry(key).or_insert(value);
                }
                Value::Object(object)
            }
            YamlData::Tagged(tag, inner) => self.tagged(tag, inner, node, pointer)?,
            YamlData::Representation(text, ..) => Value::String(text.to_string()),
            YamlData::Alias(_) => return Err(self.mistake(node, "an alias before its anchor")),
            YamlData::BadValue => return Err(self.mistake(node, "not a value")),
        };
        Ok(value)
    }

    fn merge(
        &mut self,
        node: &MarkedYaml<'_>,
        pointer: &str,
        into: &mut Map<String, Value>,
    ) -> Result<(), SyntaxMistake> {
        self.merging += 1;
        // Of several the first counts, and all stand at this pointer.
        let several = match &node.data {
            YamlData::Sequence(items) => items.iter().collect(),
            _ => vec![node],
        };
        for mapping in several {
            match self.value(mapping, pointer)? {
                Value::Object(entries) => entries.into_iter().for_each(|(key, value)| {
                    into.entry(key).or_insert(value);
                }),
                _ => return Err(self.mistake(node, "`<<` merges mappings only")),
            }
        }
        self.merging -= 1;
        Ok(())
    }

    fn tagged(
        &mut self,
        tag: &Tag,
        inner: &MarkedYaml<'_>,
        node: &MarkedYaml<'_>,
        pointer: &str,
    ) -> Result<Value, SyntaxMistake> {
        if tag.is_yaml_core_schema() {
            self.value(inner, pointer)
        } else {
            Err(self.mistake(node, &format!("unknown tag `{tag}`")))
        }
    }

    /// A scalar whole, however many lines it has; of a collection its first line, which is enough to point at it.
    fn span(&self, node: &MarkedYaml<'_>) -> Range<usize> {
        let start = self.lines.marker(&node.span.start);
        let end = self.lines.marker(&node.span.end).max(start);
        let text = &self.text[start..end];
        let shown = match &node.data {
            YamlData::Sequence(_) | YamlData::Mapping(_) => first_line(text),
            _ => text,
        };
        start..start + shown.trim_end().len()
    }

    fn mistake(&self, node: &MarkedYaml<'_>, message: &str) -> SyntaxMistake {
        SyntaxMistake { message: message.to_owned(), span: self.span(node), help: None }
    }
}

pub(super) fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default().trim_end()
}

fn scalar_value(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(*value),
        Scalar::Integer(value) => Value::Number((*value).into()),
        Scalar::FloatingPoint(value) => {
            Number::from_f64(value.into_inner()).map_or_else(|| Value::String(value.to_string()), Value::Number)
        }
        Scalar::String(value) => Value::String(value.to_string()),
    }
}

/// Where lines begin: the YAML reader counts lines from 1 and columns in characters from 0.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    /// Where each character begins; empty where each is a byte. A file may be one long line.
    characters: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let is_plain = text.is_ascii();
        let characters = if is_plain { Vec::new() } else { text.char_indices().map(|(at, _)| at).collect() };
        Self { text, starts, characters }
    }

    fn marker(&self, marker: &Marker) -> usize {
        self.offset(marker.line(), marker.col())
    }

    /// The whole character that begins there; nothing at the end of the text.
    fn character(&self, at: usize) -> Range<usize> {
        at..at + self.text[at..].chars().next().map_or(0, char::len_utf8)
    }

    fn offset(&self, line: usize, column: usize) -> usize {
        let Some(start) = self.starts.get(line.saturating_sub(1)) else { return self.text.len() };
        if self.characters.is_empty() {
            return (start + column).min(self.text.len());
        }
        let first = self.characters.binary_search(start).unwrap_or_else(|next| next);
        self.characters.get(first + column).copied().unwrap_or(self.text.len())
    }
}

fn from_json(text: &str, places: &mut Places) -> Result<Value, SyntaxMistake> {
    let mistake = |message: String, span: Range<usize>| SyntaxMistake { message, span, help: None };
    // serde_json has the stricter verdict, and the better words; and it stops at 128 levels, where the other recurses.
    serde_json::from_str::<Value>(text).map_err(|error| {
        let lines = Lines::new(text);
        let at = lines.offset(error.line(), error.column().saturating_sub(1));
        mistake(error.to_string(), lines.character(at))
    })?;
    let parsed = jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &ParseOptions::default());
    let value = parsed
        .map_err(|error| {
            let range = error.range();
            mistake(error.kind().to_string(), range.start..range.end)
        })?
        .value;
    match value {
        Some(value) => json_value(&value, "", places, text),
        None => Ok(Value::Object(Map::new())),
    }
}

fn json_value(node: &Json<'_>, pointer: &str, places: &mut Places, text: &str) -> Result<Value, SyntaxMistake> {
    let range = node.range();
    let span = match node {
        Json::Object(_) | Json::Array(_) => range.start..range.start + first_line(&text[range.start..range.end]).len(),
        _ => range.start..range.end,
    };
    places.add_value(pointer, span, false);
    Ok(match node {
        Json::Object(object) => {
            let mut entries = Map::new();
            for property in &object.properties {
                let name = property.name.as_str();
                let at = pointer_step(pointer, name);
                let key = property.name.range();
                if entries.contains_key(name) {
                    let (message, help) = explained("duplicate");
                    return Err(SyntaxMistake { message, span: key.start..key.end, help });
                }
                places.add_key(&at, key.start..key.end, false);
                entries.insert(name.to_owned(), json_value(&property.value, &at, places, text)?);
            }
            Value::Object(entries)
        }
        Json::Array(array) => {
            let items = array.elements.iter().enumerate();
            Value::Array(
                items
                    .map(|(index, item)| json_value(item, &format!("{pointer}/{index}"), places, text))
                    .collect::<Result<_, _>>()?,
            )
        }
        Json::StringLit(literal) => Value::String(literal.value.to_string()),
        Json::BooleanLit(literal) => Value::Bool(literal.value),
        Json::NumberLit(literal) => serde_json::from_str(literal.value).unwrap_or_default(),
        Json::NullKeyword(_) => Value::Null,
    })
}

fn from_toml(text: &str, places: &mut Places) -> Result<Value, SyntaxMistake> {
    let table = DeTable::parse(text).map_err(|error| SyntaxMistake {
        message: error.message().to_owned(),
        span: error.span().unwrap_or(0..0),
        help: None,
    })?;
    Ok(toml_table(table.get_ref(), "", places))
}

fn toml_table(table: &DeTable<'_>, pointer: &str, places: &mut Places) -> Value {
    let mut object = Map::new();
    for (key, value) in table {
        let name = key.get_ref().to_string();
        let at = pointer_step(pointer, &name);
        places.add_key(&at, key.span(), false);
        object.insert(name, toml_value(value, &at, places));
    }
    Value::Object(object)
}

fn toml_value(value: &Spanned<DeValue<'_>>, pointer: &str, places: &mut Places) -> Value {
    places.add_value(pointer, value.span(), false);
    match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::String(number.as_str().to_owned()), |number| Value::Number(number.into())),
        DeValue::Float(number) => {
            let parsed = number.as_str().parse().ok().and_then(Number::from_f64);
            parsed.map_or_else(|| Value::String(number.as_str().to_owned()), Value::Number)
        }
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(value) => Value::String(value.to_string()),
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| toml_value(item, &format!("{pointer}/{index}"), places))
                .collect(),
        ),
        DeValue::Table(table) => toml_table(table, pointer, places),
    }
}
