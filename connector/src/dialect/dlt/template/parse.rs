//! Splits a text at its placeholders, by the grammar of Python's format strings (PEP 3101).

use jiff::Timestamp;

use crate::dialect::dlt::python::{Format, python_text};
use crate::dialect::dlt::relative;

/// A part of a text, before it is known what names refer to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Literal(String),
    Field { name: String, conversion: Option<char>, format: Option<String> },
}

/// A text that is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateError {
    /// The part of the text that is wrong, without its braces.
    pub(crate) expression: String,
    /// What is wrong with it.
    pub(crate) reason: String,
    /// It is well-formed, but nobody knows the name.
    pub(crate) unknown_name: bool,
}

impl TemplateError {
    pub(crate) fn new(expression: &str, reason: String) -> Self {
        Self { expression: expression.to_owned(), reason, unknown_name: false }
    }

    pub(super) fn unknown(expression: &str) -> Self {
        let reason = "expected a name that starts with `resources.` or `incremental.`".to_owned();
        Self { expression: expression.to_owned(), reason, unknown_name: true }
    }
}

/// Literal texts and placeholders, in order; neighbouring literals are one piece.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(index) = rest.find(['{', '}', '$']) {
        literal.push_str(&rest[..index]);
        rest = &rest[index..];
        if let Some(end) = secret_reference(rest) {
            literal.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if let Some(end) = relative::reference(rest) {
            let written = &rest[..end];
            let value = relative::value(written, None, Timestamp::now()).unwrap_or_else(|| Err(String::new()));
            literal.push_str(&python_text(&value.map_err(|reason| TemplateError::new(written, reason))?));
            rest = &rest[end..];
        } else if let Some(after) = rest.strip_prefix('$') {
            literal.push('$');
            rest = after;
        } else if rest.starts_with("{{") || rest.starts_with("}}") {
            literal.push_str(&rest[..1]);
            rest = &rest[2..];
        } else if rest.starts_with('}') {
            return Err(TemplateError::new("}", "a single `}`; a literal one is written `}}`".to_owned()));
        } else {
            let end = closing_brace(rest).ok_or_else(|| {
                TemplateError::new(rest, "`{` is not closed; a literal one is written `{{`".to_owned())
            })?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(field(&rest[1..end])?);
            rest = &rest[end + 1..];
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// The length of a `${secrets.NAME}` at the start.
fn secret_reference(text: &str) -> Option<usize> {
    text.starts_with("${secrets.").then(|| text.find('}').map(|end| end + 1)).flatten()
}

/// The brace that closes the one at the start, nested ones counted.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (index, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

/// `NAME`, `NAME!r`, `NAME:>5`, `NAME!r:>5`; in a name, whatever stands in brackets belongs to it.
fn field(inside: &str) -> Result<Piece, TemplateError> {
    let mut bracketed = false;
    let end = inside.char_indices().find(|(_, character)| {
        match character {
            '[' => bracketed = true,
            ']' => bracketed = false,
            _ => {}
        }
        !bracketed && matches!(character, '!' | ':')
    });
    let (name, rest) = inside.split_at(end.map_or(inside.len(), |(index, _)| index));
    if name.trim().is_empty() {
        return Err(TemplateError::new(inside, "an empty placeholder; literal braces are written `{{}}`".to_owned()));
    }
    if name.contains(['{', '}']) {
        return Err(TemplateError::new(inside, "braces in a placeholder; literal ones are written twice".to_owned()));
    }
    let (conversion, rest) = match rest.strip_prefix('!') {
        None => (None, rest),
        Some(after) => {
            let conversion = after.chars().next().filter(|character| "rsa".contains(*character));
            let rest = conversion.map(|_| &after[1..]).filter(|rest| rest.is_empty() || rest.starts_with(':'));
            let rest = rest.ok_or_else(|| TemplateError::new(inside, "expected `!r`, `!s` or `!a`".to_owned()))?;
            (conversion, rest)
        }
    };
    let format = rest.strip_prefix(':').filter(|format| !format.is_empty());
    if let Some(format) = format {
        Format::parse(format).map_err(|reason| TemplateError::new(inside, reason))?;
    }
    Ok(Piece::Field { name: name.trim().to_owned(), conversion, format: format.map(str::to_owned) })
}
