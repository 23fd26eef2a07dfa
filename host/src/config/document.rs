//! YAML, JSON and TOML → a JSON value and the place of every key and value in the text.
//!
//! Must never interpret what it reads.

use std::ops::Range;

use saphyr::{LoadableYamlNode as _, MarkedYaml, Marker, Scalar, Tag, YamlData};
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
        // JSON is YAML, and the YAML reader keeps places; serde_json is asked first for its stricter verdict.
        "json" => {
            serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| {
                let lines = Lines::new(text);
                let at = lines.offset(error.line(), error.column().saturating_sub(1));
                SyntaxMistake { message: error.to_string(), span: lines.character(at), help: None }
            })?;
            from_yaml(text, &mut places)?
        }
        _ => from_yaml(text, &mut places)?,
    };
    Ok((value, places))
}

fn from_yaml(text: &str, places: &mut Places) -> Result<Value, SyntaxMistake> {
    let lines = Lines::new(text);
    let documents = MarkedYaml::load_from_str(text).map_err(|error| {
        let at = lines.marker(error.marker());
        let (message, help) = explained(error.info());
        SyntaxMistake { message, span: lines.character(at), help }
    })?;
    let mut reader = YamlReader { text, lines, places, depth: 0 };
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
    depth: usize,
}

impl YamlReader<'_> {
    fn value(&mut self, node: &MarkedYaml<'_>, pointer: &str) -> Result<Value, SyntaxMistake> {
        self.depth += 1;
        if self.depth > 64 {
            return Err(self.mistake(node, "nested deeper than 64 levels"));
        }
        let span = self.span(node);
        self.places.values.insert(pointer.to_owned(), span);
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
                    self.places.keys.insert(at.clone(), self.span(key_node));
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
        self.depth -= 1;
        Ok(value)
    }

    fn merge(
        &mut self,
        node: &MarkedYaml<'_>,
        pointer: &str,
        into: &mut Map<String, Value>,
    ) -> Result<(), SyntaxMistake> {
        match self.value(node, pointer)? {
            Value::Object(entries) => into.extend(entries),
            Value::Array(list) => {
                for entries in list.into_iter().rev() {
                    if let Value::Object(entries) = entries {
                        into.extend(entries);
                    }
                }
            }
            _ => return Err(self.mistake(node, "`<<` merges mappings only")),
        }
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

    /// Scalars exactly; of a collection only its first line, which is enough to point at it.
    fn span(&self, node: &MarkedYaml<'_>) -> Range<usize> {
        let start = self.lines.marker(&node.span.start);
        let end = self.lines.marker(&node.span.end).max(start);
        let shown = &self.text[start..end];
        let first_line = shown.find('\n').map_or(shown.len(), |newline| newline);
        start..start + shown[..first_line].trim_end().len()
    }

    fn mistake(&self, node: &MarkedYaml<'_>, message: &str) -> SyntaxMistake {
        SyntaxMistake { message: message.to_owned(), span: self.span(node), help: None }
    }
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
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
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
        let rest = &self.text[*start..];
        rest.char_indices().nth(column).map_or(self.text.len(), |(at, _)| start + at)
    }
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
        places.keys.insert(at.clone(), key.span());
        object.insert(name, toml_value(value, &at, places));
    }
    Value::Object(object)
}

fn toml_value(value: &Spanned<DeValue<'_>>, pointer: &str, places: &mut Places) -> Value {
    places.values.insert(pointer.to_owned(), value.span());
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
