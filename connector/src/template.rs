//! Texts with placeholders: `posts/{resources.posts.id}`, `{incremental.start_value}`, `{{` and `}}` for literal braces.
//!
//! Follows Python's `str.format` as dlt uses it (fields, `!r`/`!s` conversions, `:>5` format specs). Must never see a
//! secret: `${secrets.x}` is literal text here.

mod parse;
mod python;

use serde_json::{Map, Value};

pub use parse::{Piece, TemplateError, pieces};
pub use python::python_text;
pub(crate) use python::render;

use crate::plan::JsonTemplate;

/// A parsed text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Template {
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Literal(String),
    Placeholder(Placeholder),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Placeholder {
    pub source: Source,
    /// `r`, `s` or `a`.
    pub conversion: Option<char>,
    /// Python's format specification, without the colon.
    pub format: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// `{resources.STREAM.FIELD}`; the field is a JSONPath into the parent's record.
    Parent { stream: String, field: String },
    /// `{incremental.ATTRIBUTE}`.
    Incremental { attribute: String },
    /// `{PARAM}` in a path: what the paginator would write into the parameter of that name.
    Page { param: String },
}

/// Where the values of placeholders come from.
pub trait Scope {
    /// `alone`: the placeholder stands for the whole value, which keeps its type. `Ok(None)`: there is no value, and whatever the placeholder stands in is left out. `Err`: there should be one;
    /// the text says what is missing.
    fn lookup(&self, source: &Source, alone: bool) -> Result<Option<Value>, String>;
}

impl Template {
    /// Reads a text with placeholders.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let parts = pieces(text)?.into_iter().map(|piece| match piece {
            Piece::Literal(literal) => Ok(Part::Literal(literal)),
            Piece::Field { name, conversion, format } => {
                Ok(Part::Placeholder(Placeholder { source: Source::parse(&name)?, conversion, format }))
            }
        });
        Ok(Self { parts: parts.collect::<Result<_, _>>()? })
    }

    /// A text that stands for itself, braces included.
    pub fn literal(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { parts: if text.is_empty() { Vec::new() } else { vec![Part::Literal(text)] } }
    }

    /// Appends literal text; neighbouring literals stay one part.
    pub(crate) fn push_literal(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Literal(literal)) => literal.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Literal(text.to_owned())),
        }
    }

    /// The placeholders, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Placeholder(placeholder) => Some(placeholder),
        })
    }

    /// Whether its value keeps its type: exactly one placeholder, without conversion or format.
    pub fn is_one_placeholder(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Placeholder(Placeholder { conversion: None, format: None, .. })])
    }

    /// The text, if it has no placeholders.
    pub fn as_literal(&self) -> Option<String> {
        let literals = self.parts.iter().map(|part| match part {
            Part::Literal(literal) => Some(literal.as_str()),
            Part::Placeholder(_) => None,
        });
        literals.collect()
    }

    /// The text with every placeholder filled, by Python's `str()`: `None`, `True`, `{'a': 1}`. None if one of them has
    /// no value.
    pub fn expand_text(&self, scope: &dyn Scope) -> Result<Option<String>, String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Placeholder(placeholder) => match scope.lookup(&placeholder.source, false)? {
                    Some(value) => text.push_str(&placeholder.render(&value)?),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(text))
    }

    /// Like `expand_text`, but a text that is exactly one placeholder, without conversion or format, keeps its value's
    /// type.
    pub fn expand_value(&self, scope: &dyn Scope) -> Result<Option<Value>, String> {
        match self.parts.as_slice() {
            [Part::Placeholder(Placeholder { source, conversion: None, format: None })] => scope.lookup(source, true),
            _ => Ok(self.expand_text(scope)?.map(Value::String)),
        }
    }
}

impl Source {
    /// What a placeholder's name refers to.
    pub(crate) fn parse(name: &str) -> Result<Self, TemplateError> {
        let mut parts = name.splitn(3, '.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("resources"), Some(stream), Some(field)) if !stream.is_empty() && !field.is_empty() => {
                Ok(Self::Parent { stream: stream.to_owned(), field: field.to_owned() })
            }
            (Some("resources"), Some(_), _) => {
                Err(TemplateError::new(name, "expected `resources.RESOURCE.FIELD`".to_owned()))
            }
            (Some("incremental"), Some(attribute), None) if !attribute.is_empty() => {
                Ok(Self::Incremental { attribute: attribute.to_owned() })
            }
            _ => Err(TemplateError::unknown(name)),
        }
    }
}

impl Placeholder {
    /// The value as text, converted and formatted.
    pub fn render(&self, value: &Value) -> Result<String, String> {
        render(value, self.conversion, self.format.as_deref().unwrap_or_default())
    }
}

impl JsonTemplate {
    /// The value with every placeholder filled. Entries and items without a value are left out; None if nothing is
    /// left because the whole has no value.
    pub fn expand(&self, scope: &dyn Scope) -> Result<Option<Value>, String> {
        match self {
            Self::Literal(value) => Ok(Some(value.clone())),
            Self::Text(template) => template.expand_value(scope),
            Self::List(items) => {
                let values = items.iter().filter_map(|item| item.expand(scope).transpose());
                Ok(Some(Value::Array(values.collect::<Result<_, _>>()?)))
            }
            Self::Object(entries) => {
                let mut object = Map::new();
                for (key, value) in entries {
                    if let (Some(key), Some(value)) = (key.expand_text(scope)?, value.expand(scope)?) {
                        object.insert(key, value);
                    }
                }
                Ok(Some(Value::Object(object)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
