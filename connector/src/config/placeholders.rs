//! Reads texts with placeholders, and remembers which streams they refer to.
//!
//! Must never let a secret reference through: it would be sent as it stands.

use serde_json::Value;

use super::diagnostic::{Diagnostic, Diagnostics, listing, nearest};
use super::node::{Fields, Node};
use crate::address;
use crate::plan::JsonTemplate;
use crate::selector;
use crate::template::{Part, Piece, Placeholder, Source, Template, TemplateError, pieces, render};

/// What `{incremental.…}` may name.
const ATTRIBUTES: &[&str] =
    &["start_value", "initial_value", "last_value", "end_value", "lag", "cursor_path", "row_order"];

/// A stream that a placeholder names.
pub(super) struct Reference {
    pub(super) stream: String,
    pub(super) at: String,
}

pub(super) struct Placeholders<'d> {
    pub(super) diagnostics: &'d mut Diagnostics,
    has_incremental: bool,
    /// What the paginator writes, into the path if it stands there.
    page_params: Vec<String>,
    references: Vec<Reference>,
}

impl<'d> Placeholders<'d> {
    pub(super) fn new(has_incremental: bool, page_params: Vec<String>, diagnostics: &'d mut Diagnostics) -> Self {
        Self { diagnostics, has_incremental, page_params, references: Vec::new() }
    }

    pub(super) fn finish(self) -> Vec<Reference> {
        self.references
    }

    /// Codes: `bad-placeholder`, `unknown-placeholder`, `bad-json-path`.
    pub(super) fn text(&mut self, text: &str, at: &str) -> Template {
        match Template::parse(text) {
            Ok(template) => {
                template.placeholders().for_each(|placeholder| self.check_source(&placeholder.source, at));
                template
            }
            Err(error) => self.bad(&error, at),
        }
    }

    /// A value whose texts and keys may hold placeholders.
    pub(super) fn json(&mut self, node: &Node<'_>) -> JsonTemplate {
        match node.value {
            Value::String(text) => {
                let template = self.text(text, &node.at);
                template.as_literal().map_or(JsonTemplate::Text(template), |text| JsonTemplate::Literal(text.into()))
            }
            Value::Array(_) => {
                literal_if_all(JsonTemplate::List(node.items().iter().map(|item| self.json(item)).collect()))
            }
            Value::Object(_) => literal_if_all(JsonTemplate::Object(self.entries(&node.fields()))),
            value => JsonTemplate::Literal(value.clone()),
        }
    }

    pub(super) fn entries(&mut self, fields: &Fields<'_>) -> Vec<(Template, JsonTemplate)> {
        let entries = fields.entries.iter();
        entries.map(|(key, node)| (self.text(key, &format!("{}/~key", node.at)), self.json(node))).collect()
    }

    /// A path: placeholders may also name parameters, which are taken out of `params` and filled in.
    ///
    /// Codes: those of `text`, and `missing-path-param`.
    pub(super) fn path(&mut self, node: &Node<'_>, params: &mut Fields<'_>) -> Template {
        let text = node.text().unwrap_or_default();
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(error) => return self.bad(&error, &node.at),
        };
        let mut template = Template::default();
        let mut bound = Vec::new();
        for piece in pieces {
            let Piece::Field { name, conversion, format } = piece else {
                if let Piece::Literal(literal) = piece {
                    template.push_literal(&literal);
                }
                continue;
            };
            match self.path_field(&name, &node.at, params) {
                Some(PathField::Source(source)) => {
                    self.check_source(&source, &node.at);
                    template.parts.push(Part::Placeholder(Placeholder { source, conversion, format }));
                }
                Some(PathField::Value(value)) => {
                    match render(&value, conversion, format.as_deref().unwrap_or_default()) {
                        Ok(text) => match value_in(&template, &text) {
                            Ok(text) => template.push_literal(&text),
                            Err(reason) => drop(self.bad(&TemplateError::new(&name, reason), &node.at)),
                        },
                        Err(reason) => drop(self.bad(&TemplateError::new(&name, reason), &node.at)),
                    }
                }
                // Keeps the URL whole, so that one mistake is not said twice.
                None => template.push_literal(&name),
            }
            bound.push(name);
        }
        bound.iter().for_each(|name| params.remove(name));
        template
    }

    /// What a name in a path stands for. None: nothing, which has been said.
    fn path_field(&mut self, name: &str, at: &str, params: &Fields<'_>) -> Option<PathField> {
        if let Some(param) = params.given(name) {
            let fields = param.fields();
            return match (fields.text("type"), fields.text("resource"), fields.text("field")) {
                (Some("resolve"), Some(stream), Some(field)) => {
                    Some(PathField::Source(Source::Parent { stream: stream.to_owned(), field: field.to_owned() }))
                }
                _ if !param.value.is_object() => Some(PathField::Value(param.value.clone())),
                (Some("incremental"), ..) => {
                    let message = format!("`{name}` is an incremental parameter, which a path cannot take");
                    let help = "write `{incremental.start_value}` in the path";
                    self.diagnostics.push(Diagnostic::error("missing-path-param", at, message).help(help));
                    None
                }
                _ => None,
            };
        }
        match Source::parse(name) {
            Err(_) if self.page_params.iter().any(|param| param == name) => {
                Some(PathField::Source(Source::Page { param: name.to_owned() }))
            }
            Ok(source) => Some(PathField::Source(source)),
            Err(error) if error.unknown_name && !name.contains('.') => {
                let message = format!("the path names `{name}`, which is not among `params`");
                let diagnostic = Diagnostic::error("missing-path-param", at, message);
                let known = params.entries.iter().map(|(name, _)| *name);
                self.diagnostics.push(match nearest(name, known) {
                    Some(near) => diagnostic.help(format!("did you mean `{{{near}}}`?")),
                    None => diagnostic
                        .help(format!("add `{name}` to `params`, or write `{{{{{name}}}}}` for literal braces")),
                });
                None
            }
            Err(error) => {
                self.bad(&error, at);
                None
            }
        }
    }

    fn check_source(&mut self, source: &Source, at: &str) {
        match source {
            Source::Parent { stream, field } => {
                if let Err(reason) = selector::check(field) {
                    let message = format!("`{field}` is no JSONPath: {reason}");
                    self.diagnostics.push(Diagnostic::error("bad-json-path", at, message));
                }
                self.references.push(Reference { stream: stream.clone(), at: at.to_owned() });
            }
            Source::Incremental { attribute } if !ATTRIBUTES.contains(&attribute.as_str()) => {
                let message = format!("an incremental has no `{attribute}`");
                let help = format!("it has {}", listing(ATTRIBUTES.iter().copied()));
                self.diagnostics.push(Diagnostic::error("unknown-placeholder", at, message).help(help));
            }
            Source::Incremental { .. } if !self.has_incremental => {
                let message = "a placeholder takes a value of an incremental, but the endpoint has none";
                let help = "add `incremental` to the endpoint";
                self.diagnostics.push(Diagnostic::error("unknown-placeholder", at, message).help(help));
            }
            Source::Incremental { .. } | Source::Page { .. } => {}
        }
    }

    fn bad(&mut self, error: &TemplateError, at: &str) -> Template {
        let code = if error.unknown_name { "unknown-placeholder" } else { "bad-placeholder" };
        let message = format!("in the placeholder `{}`: {}", error.expression, error.reason);
        let help = "literal braces are written twice: `{{` and `}}`";
        self.diagnostics.push(Diagnostic::error(code, at, message).help(help));
        Template::default()
    }
}

/// A parameter's value as it can stand behind what there is of a path. In front it may be a whole URL.
fn value_in(path: &Template, value: &str) -> Result<String, String> {
    if path.parts.is_empty() && address::is_absolute(value) {
        return Ok(value.to_owned());
    }
    let literals = path.parts.iter().filter_map(|part| match part {
        Part::Literal(literal) => Some(literal.as_str()),
        Part::Placeholder(_) => None,
    });
    address::value_behind(&literals.collect::<String>(), value)
}

enum PathField {
    Source(Source),
    Value(Value),
}

/// A list or object without placeholders is a plain value.
fn literal_if_all(template: JsonTemplate) -> JsonTemplate {
    match &template {
        JsonTemplate::List(items) => {
            let values = items.iter().map(literal).collect::<Option<Vec<Value>>>();
            values.map_or(template, |values| JsonTemplate::Literal(values.into()))
        }
        JsonTemplate::Object(entries) => {
            let values = entries.iter().map(|(key, value)| Some((key.as_literal()?, literal(value)?)));
            let values = values.collect::<Option<serde_json::Map<_, _>>>();
            values.map_or(template, |values| JsonTemplate::Literal(values.into()))
        }
        _ => template,
    }
}

fn literal(template: &JsonTemplate) -> Option<Value> {
    match template {
        JsonTemplate::Literal(value) => Some(value.clone()),
        _ => None,
    }
}
