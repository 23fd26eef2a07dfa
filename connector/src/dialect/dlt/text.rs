//! Texts with placeholders, as expressions of the plan.
//!
//! Must never change what a placeholder that stands alone is worth: it keeps its type.

use std::rc::Rc;

use serde_json::Value;

use super::python::python_text;
use super::template::{Part, Scope, Source, Template};
use crate::address;
use crate::expression::{Context, Evaluate, Expression};

/// What a resource's placeholders stand for besides the context.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    /// Given: a batch's values are joined by it.
    pub(super) separator: Option<String>,
    pub(super) lag: Option<Value>,
    pub(super) cursor_path: Option<Value>,
    pub(super) row_order: Option<Value>,
}

/// What becomes of a text that is exactly one placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A text, as all others.
    Text,
    /// The value; of a batch a text.
    Value,
    /// The value; of a batch the list.
    Json,
}

/// The text's expression; a constant if it has no placeholders.
pub(super) fn expression(template: Template, role: Role, settings: &Rc<Settings>) -> Expression {
    match template.as_literal() {
        Some(literal) => Expression::constant(literal),
        None => Expression::Compiled(Rc::new(Text { template, role, settings: Rc::clone(settings) })),
    }
}

#[derive(Debug)]
struct Text {
    template: Template,
    role: Role,
    settings: Rc<Settings>,
}

impl Evaluate for Text {
    fn evaluate(&self, context: &Context) -> Result<Option<Value>, String> {
        let values = Values { context, settings: &self.settings, keeps_lists: self.role == Role::Json };
        match self.role {
            Role::Text => Ok(self.template.expand_text(&values)?.map(Value::String)),
            Role::Value | Role::Json => self.template.expand_value(&values),
        }
    }

    fn written(&self) -> String {
        let parts = self.template.parts.iter().map(|part| match part {
            Part::Literal(literal) => literal.clone(),
            Part::Placeholder(placeholder) => match &placeholder.source {
                Source::Parent { stream, field } => format!("{{resources.{stream}.{field}}}"),
                Source::Page { param } => address::page_marker(param),
                Source::Incremental { attribute } => format!("{{incremental.{attribute}}}"),
            },
        });
        parts.collect()
    }
}

struct Values<'a> {
    context: &'a Context,
    settings: &'a Settings,
    /// A placeholder that stands alone keeps a batch's list.
    keeps_lists: bool,
}

impl Scope for Values<'_> {
    fn lookup(&self, source: &Source, alone: bool) -> Result<Option<Value>, String> {
        match source {
            Source::Parent { stream, field } => {
                let value = self.context.slice.get(field);
                let value = value.ok_or_else(|| format!("`resources.{stream}.{field}` has no value here"))?;
                Ok(Some(match (&self.settings.separator, value) {
                    (Some(separator), Value::Array(values)) if !(alone && self.keeps_lists) => {
                        let texts: Vec<String> = values.iter().map(python_text).collect();
                        Value::String(texts.join(separator))
                    }
                    _ => value.clone(),
                }))
            }
            Source::Incremental { attribute } => {
                let absent = || format!("`incremental.{attribute}` does not exist");
                let interval = self.context.interval.as_ref().ok_or_else(absent)?;
                Ok(match attribute.as_str() {
                    "start_value" | "last_value" => interval.start.clone(),
                    "initial_value" => interval.initial.clone(),
                    "end_value" => interval.end.clone(),
                    "lag" => self.settings.lag.clone(),
                    "cursor_path" => self.settings.cursor_path.clone(),
                    "row_order" => self.settings.row_order.clone(),
                    _ => return Err(absent()),
                })
            }
            Source::Page { param } => Err(format!("`{param}` is the paginator's, which writes into the path only")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::expression::Interval;

    fn evaluated(text: &str, role: Role, separator: Option<&str>) -> Result<Option<Value>, String> {
        let settings = Settings { separator: separator.map(str::to_owned), ..Settings::default() };
        let expression = expression(Template::parse(text).unwrap(), role, &Rc::new(settings));
        let slice = json!({"id": [1, 2], "n": null}).as_object().cloned().unwrap_or_default();
        let interval = Interval { end: Some(json!(9)), ..Interval::default() };
        expression.evaluate(&Context { slice, interval: Some(interval) })
    }

    #[test]
    fn a_batch_is_a_text_or_a_list() {
        for (text, role, separator, expected) in [
            ("{resources.p.id}", Role::Text, None, json!("[1, 2]")),
            ("{resources.p.id}", Role::Value, None, json!([1, 2])),
            ("{resources.p.id}", Role::Text, Some(","), json!("1,2")),
            ("{resources.p.id}", Role::Value, Some("|"), json!("1|2")),
            ("{resources.p.id}", Role::Json, Some(","), json!([1, 2])),
            ("id in ({resources.p.id})", Role::Json, Some(","), json!("id in (1,2)")),
            ("{resources.p.n}", Role::Text, None, json!("None")),
            ("{resources.p.n}", Role::Value, None, json!(null)),
            ("{incremental.end_value}", Role::Value, None, json!(9)),
            ("{incremental.end_value}", Role::Text, None, json!("9")),
        ] {
            assert_eq!(evaluated(text, role, separator), Ok(Some(expected)), "{text} {role:?}");
        }
        assert_eq!(evaluated("since {incremental.start_value}", Role::Text, None), Ok(None));
        assert!(evaluated("{resources.p.gone}", Role::Json, None).is_err());
    }

    #[test]
    fn texts_are_shown_as_they_are_written() {
        let shown = |text: &str| expression(Template::parse(text).unwrap(), Role::Text, &Rc::default()).written_text();
        assert_eq!(
            shown("{{x}}/{resources.p.a.b[0]}?since={incremental.start_value:>5}"),
            "{x}/{resources.p.a.b[0]}?since={incremental.start_value}"
        );
    }
}
