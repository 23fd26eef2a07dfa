//! Texts with placeholders: `posts/{resources.posts.id}`, `{incremental.start_value}`, `{{` and `}}` for literal braces.
//!
//! Follows Python's `str.format` as dlt uses it (fields, `!r`/`!s` conversions, `:>5` format specs). Must never see a
//! secret: `${secrets.x}` is literal text here.

mod parse;

use serde_json::Value;

pub(super) use parse::{Piece, TemplateError, pieces};

use super::python::render;

/// A parsed text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Template {
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Literal(String),
    Placeholder(Placeholder),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placeholder {
    pub(super) source: Source,
    /// `r`, `s` or `a`.
    pub(super) conversion: Option<char>,
    /// Python's format specification, without the colon.
    pub(super) format: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    /// `{resources.STREAM.FIELD}`; the field is a JSONPath into the parent's record.
    Parent { stream: String, field: String },
    /// `{incremental.ATTRIBUTE}`.
    Incremental { attribute: String },
    /// `{PARAM}` in a path: what the paginator would write into the parameter of that name.
    Page { param: String },
}

/// Where the values of placeholders come from.
pub(super) trait Scope {
    /// `alone`: the placeholder stands for the whole value, which keeps its type. `Ok(None)`: there is no value, and whatever the placeholder stands in is left out. `Err`: there should be one;
    /// the text says what is missing.
    fn lookup(&self, source: &Source, alone: bool) -> Result<Option<Value>, String>;
}

impl Template {
    /// Reads a text with placeholders.
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        let parts = pieces(text)?.into_iter().map(|piece| match piece {
            Piece::Literal(literal) => Ok(Part::Literal(literal)),
            Piece::Field { name, conversion, format } => {
                Ok(Part::Placeholder(Placeholder { source: Source::parse(&name)?, conversion, format }))
            }
        });
        Ok(Self { parts: parts.collect::<Result<_, _>>()? })
    }

    /// Appends literal text; neighbouring literals stay one part.
    pub(super) fn push_literal(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Literal(literal)) => literal.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Literal(text.to_owned())),
        }
    }

    /// The placeholders, in order.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Placeholder(placeholder) => Some(placeholder),
        })
    }

    /// Whether its value keeps its type: exactly one placeholder, without conversion or format.
    pub(super) fn is_one_placeholder(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Placeholder(Placeholder { conversion: None, format: None, .. })])
    }

    /// The text, if it has no placeholders.
    pub(super) fn as_literal(&self) -> Option<String> {
        let literals = self.parts.iter().map(|part| match part {
            Part::Literal(literal) => Some(literal.as_str()),
            Part::Placeholder(_) => None,
        });
        literals.collect()
    }

    /// The text with every placeholder filled, by Python's `str()`: `None`, `True`, `{'a': 1}`. None if one of them has
    /// no value.
    pub(super) fn expand_text(&self, scope: &dyn Scope) -> Result<Option<String>, String> {
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
    pub(super) fn expand_value(&self, scope: &dyn Scope) -> Result<Option<Value>, String> {
        match self.parts.as_slice() {
            [Part::Placeholder(Placeholder { source, conversion: None, format: None })] => scope.lookup(source, true),
            _ => Ok(self.expand_text(scope)?.map(Value::String)),
        }
    }
}

impl Source {
    /// What a placeholder's name refers to.
    pub(super) fn parse(name: &str) -> Result<Self, TemplateError> {
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
    pub(super) fn render(&self, value: &Value) -> Result<String, String> {
        render(value, self.conversion, self.format.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
