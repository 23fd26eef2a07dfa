//! Reads texts with placeholders, and remembers which streams they refer to.
//!
//! Must never let a secret reference through: it would be sent as it stands.

use std::rc::Rc;

use serde_json::Value;

use super::diagnostic::{Diagnostic, Diagnostics, listing, nearest};
use super::incremental::Cursor;
use super::node::{Fields, Node};
use super::python::render;
use super::template::{Part, Piece, Placeholder, Source, Template, TemplateError, pieces};
use super::text::{Role, Settings, expression};
use crate::address;
use crate::expression::Expression;
use crate::plan::{PathPart, RowOrder, Target};
use crate::selector;

/// What `{incremental.…}` may name.
const ATTRIBUTES: &[&str] =
    &["start_value", "initial_value", "last_value", "end_value", "lag", "cursor_path", "row_order"];

/// A field of another stream that a placeholder names.
pub(super) struct Reference {
    pub(super) stream: String,
    pub(super) field: String,
    /// It becomes text there.
    pub(super) in_text: bool,
    pub(super) at: String,
}

pub(super) struct Placeholders<'d> {
    pub(super) diagnostics: &'d mut Diagnostics,
    has_incremental: bool,
    settings: Rc<Settings>,
    /// What the paginator writes, into the path if it stands there.
    page_params: Vec<String>,
    references: Vec<Reference>,
}

impl<'d> Placeholders<'d> {
    /// `separator`: what joins a batch's values.
    pub(super) fn new(
        cursor: Option<&Cursor>,
        separator: Option<String>,
        page_params: Vec<String>,
        diagnostics: &'d mut Diagnostics,
    ) -> Self {
        let incremental = cursor.map(|cursor| &cursor.incremental);
        let order = incremental.and_then(|incremental| incremental.row_order).map(|order| match order {
            RowOrder::Ascending => "asc",
            RowOrder::Descending => "desc",
        });
        let settings = Rc::new(Settings {
            separator,
            lag: incremental.and_then(|incremental| incremental.lag).map(plain_number),
            cursor_path: incremental.map(|incremental| incremental.cursor_path.as_str().into()),
            row_order: order.map(Value::from),
        });
        Self { diagnostics, has_incremental: cursor.is_some(), settings, page_params, references: Vec::new() }
    }

    pub(super) fn finish(self) -> Vec<Reference> {
        self.references
    }

    /// Codes: `bad-placeholder`, `unknown-placeholder`, `bad-json-path`.
    pub(super) fn text(&mut self, text: &str, at: &str) -> Expression {
        self.expression(text, at, Role::Text)
    }

    fn expression(&mut self, text: &str, at: &str, role: Role) -> Expression {
        match Template::parse(text) {
            Ok(template) => {
                let in_text = role != Role::Json || !template.is_one_placeholder();
                template.placeholders().for_each(|placeholder| self.check_source(&placeholder.source, at, in_text));
                expression(template, role, &self.settings)
            }
            Err(error) => {
                self.bad(&error, at);
                Expression::constant("")
            }
        }
    }

    /// A value whose texts and keys may hold placeholders.
    pub(super) fn value(&mut self, node: &Node<'_>, role: Role) -> Expression {
        match node.value {
            Value::String(text) => self.expression(text, &node.at, role),
            Value::Array(_) => {
                constant_if_all(Expression::List(node.items().iter().map(|item| self.value(item, role)).collect()))
            }
            Value::Object(_) => constant_if_all(Expression::Object(self.entries(&node.fields(), role))),
            value => Expression::Constant(value.clone()),
        }
    }

    pub(super) fn entries(&mut self, fields: &Fields<'_>, role: Role) -> Vec<(Expression, Expression)> {
        let entries = fields.entries.iter();
        entries.map(|(key, node)| (self.text(key, &format!("{}/~key", node.at)), self.value(node, role))).collect()
    }

    /// A path as the plan has it.
    pub(super) fn parts(&self, path: Template) -> Vec<PathPart> {
        let parts = path.parts.into_iter().map(|part| match part {
            Part::Literal(literal) => PathPart::Literal(literal),
            Part::Placeholder(Placeholder { source: Source::Page { param }, .. }) => PathPart::Page(param),
            placeholder => {
                PathPart::Value(expression(Template { parts: vec![placeholder] }, Role::Text, &self.settings))
            }
        });
        parts.collect()
    }

    /// The bounds that go into query parameters of their own.
    pub(super) fn injections(&self, cursor: &Cursor) -> Vec<(Target, Expression)> {
        let bounds = [(&cursor.start_param, "start_value"), (&cursor.end_param, "end_value")];
        let injections = bounds.into_iter().filter_map(|(param, attribute)| {
            let source = Source::Incremental { attribute: attribute.to_owned() };
            let part = Part::Placeholder(Placeholder { source, conversion: None, format: None });
            let value = expression(Template { parts: vec![part] }, Role::Value, &self.settings);
            Some((Target::Param(param.clone()?), value))
        });
        injections.collect()
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
                    self.check_source(&source, &node.at, true);
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

    fn check_source(&mut self, source: &Source, at: &str, in_text: bool) {
        match source {
            Source::Parent { stream, field } => {
                if let Err(reason) = selector::check(field) {
                    let message = format!("`{field}` is no JSONPath: {reason}");
                    self.diagnostics.push(Diagnostic::error("bad-json-path", at, message));
                }
                let (stream, field) = (stream.clone(), field.clone());
                self.references.push(Reference { stream, field, in_text, at: at.to_owned() });
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
fn constant_if_all(expression: Expression) -> Expression {
    match &expression {
        Expression::List(items) => {
            let values = items.iter().map(constant).collect::<Option<Vec<Value>>>();
            values.map_or(expression, |values| Expression::Constant(values.into()))
        }
        Expression::Object(entries) => {
            let values =
                entries.iter().map(|(key, value)| Some((constant(key)?.as_str()?.to_owned(), constant(value)?)));
            let values = values.collect::<Option<serde_json::Map<_, _>>>();
            values.map_or(expression, |values| Expression::Constant(values.into()))
        }
        _ => expression,
    }
}

fn constant(expression: &Expression) -> Option<Value> {
    match expression {
        Expression::Constant(value) => Some(value.clone()),
        _ => None,
    }
}

/// As it was probably written: a whole number without a fraction.
fn plain_number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 { Value::from(number as i64) } else { Value::from(number) }
}
