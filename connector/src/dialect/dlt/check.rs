//! Checks the configuration, as written, against the grammar: unknown and missing keys, wrong types, unknown words.
//!
//! Goes on after each mistake, so that all are said at once. Must never repeat a written value: it may be a secret that
//! slipped into the wrong place.

use serde_json::Value;

use super::diagnostic::{Diagnostic, Diagnostics, listing, nearest};
use super::node::{Node, escape};
use super::shape::{Object, Shape, Tagged};

/// Codes: `unknown-key`, `missing-key`, `wrong-type`, `out-of-range`, `unknown-value`, `not-supported`.
pub(super) fn check(node: &Node<'_>, shape: &Shape, diagnostics: &mut Diagnostics) {
    if !fits(node.value, shape) {
        diagnostics.push(
            Diagnostic::error(
                "wrong-type",
                &node.at,
                format!("expected {}, found {}", expected(shape), found(node.value)),
            )
            .label(format!("expected {}", expected(shape))),
        );
        return;
    }
    match shape {
        Shape::Integer(minimum) if node.value.as_i64().is_none_or(|value| value < *minimum) => {
            diagnostics.push(Diagnostic::error("out-of-range", &node.at, format!("must be at least {minimum}")));
        }
        Shape::Choice(words) => check_word(node, words, false, diagnostics),
        Shape::Method(words) => check_word(node, words, true, diagnostics),
        Shape::Nullable(shape) if !node.value.is_null() => check(node, shape, diagnostics),
        Shape::List(item) => node.items().iter().for_each(|node| check(node, item, diagnostics)),
        Shape::Map(value) => {
            let fields = node.fields();
            let given = fields.entries.iter().filter(|(_, node)| !node.value.is_null());
            given.for_each(|(_, node)| check(node, value, diagnostics));
        }
        Shape::Object(object) => check_object(node, object, None, diagnostics),
        Shape::Tagged(tagged) => check_tagged(node, tagged, diagnostics),
        Shape::Either(shapes) => {
            if let Some(shape) = shapes.iter().find(|shape| fits(node.value, shape)) {
                check(node, shape, diagnostics);
            }
        }
        Shape::Python(instead) => {
            diagnostics
                .push(Diagnostic::error("not-supported", &node.at, "takes a Python object in dlt").help(*instead));
        }
        _ => {}
    }
}

fn check_object(node: &Node<'_>, object: &Object, tag: Option<&str>, diagnostics: &mut Diagnostics) {
    let fields = node.fields();
    for (name, value) in &fields.entries {
        if tag.is_some() && *name == "type" {
            continue;
        }
        match object.key(name) {
            Some(key) if value.value.is_null() && !key.required => {}
            Some(key) => check(value, &key.shape, diagnostics),
            None if object.free_prefix.is_some_and(|prefix| name.starts_with(prefix)) => {}
            None => diagnostics.push(unknown_key(node, name, object, tag)),
        }
    }
    for key in object.all_keys().filter(|key| key.required && fields.written(key.name).is_none()) {
        let message = match tag {
            Some(tag) => format!("`{}` is missing, {tag} needs it", key.name),
            None => format!("`{}` is missing", key.name),
        };
        diagnostics.push(
            Diagnostic::error("missing-key", &node.at, message).help(format!("`{}`: {}", key.name, key.description)),
        );
    }
}

fn check_tagged(node: &Node<'_>, tagged: &Tagged, diagnostics: &mut Diagnostics) {
    let fields = node.fields();
    let tag = match (fields.given("type"), tagged.default) {
        (Some(written), _) if written.text().is_none() => return check(written, &Shape::Text, diagnostics),
        (Some(written), _) => {
            check_word(written, &tagged.tags().collect::<Vec<_>>(), false, diagnostics);
            written.text()
        }
        (None, Some(default)) => Some(default),
        (None, None) => {
            let help = format!("one of {}", listing(tagged.tags()));
            diagnostics.push(Diagnostic::error("missing-key", &node.at, "`type` is missing").help(help));
            None
        }
    };
    if let Some((tag, variant)) = tag.and_then(|tag| Some((tag, tagged.variant(tag)?))) {
        check_object(node, &variant.object, Some(tag), diagnostics);
    }
}

fn check_word(node: &Node<'_>, words: &[&str], either_case: bool, diagnostics: &mut Diagnostics) {
    let Some(written) = node.text() else { return };
    if words.iter().any(|word| *word == written || either_case && word.eq_ignore_ascii_case(written)) {
        return;
    }
    let words = || words.iter().copied();
    let diagnostic = Diagnostic::error("unknown-value", &node.at, format!("expected one of {}", listing(words())));
    diagnostics.push(match nearest(written, words()) {
        Some(word) => diagnostic.help(format!("did you mean `{word}`?")),
        None => diagnostic,
    });
}

fn unknown_key(node: &Node<'_>, name: &str, object: &Object, tag: Option<&str>) -> Diagnostic {
    let place = tag.map_or_else(|| object.name.replace('_', " "), |tag| format!("`{tag}`"));
    let at = format!("{}/{}/~key", node.at, escape(name));
    let diagnostic = Diagnostic::error("unknown-key", &at, format!("unknown key `{name}` in {place}"));
    let known = || object.all_keys().map(|key| key.name);
    let deeper = || object.all_keys().find(|key| holds(&key.shape, name));
    if let Some(key) = nearest(name, known()) {
        diagnostic.help(format!("did you mean `{key}`?"))
    } else if let Some(key) = deeper() {
        diagnostic.help(format!("`{name}` belongs under `{}`", key.name))
    } else {
        diagnostic.help(format!("known keys: {}", listing(known())))
    }
}

/// Whether an object of this shape has such a key.
fn holds(shape: &Shape, name: &str) -> bool {
    match shape {
        Shape::Object(object) => object.key(name).is_some(),
        Shape::Either(shapes) => shapes.iter().any(|shape| holds(shape, name)),
        _ => false,
    }
}

/// Whether the JSON type is right.
fn fits(value: &Value, shape: &Shape) -> bool {
    match shape {
        Shape::Any | Shape::Python(_) => true,
        Shape::Text | Shape::Secret | Shape::Choice(_) | Shape::Word(_) | Shape::Method(_) => value.is_string(),
        Shape::Nullable(shape) => value.is_null() || fits(value, shape),
        Shape::Scalar | Shape::SecretScalar => value.is_string() || value.is_number() || value.is_boolean(),
        Shape::Integer(_) => value.is_i64() || value.is_u64(),
        Shape::Number => value.is_number(),
        Shape::Boolean => value.is_boolean(),
        Shape::List(_) => value.is_array(),
        Shape::Map(_) | Shape::Object(_) | Shape::Tagged(_) => value.is_object(),
        Shape::Either(shapes) => shapes.iter().any(|shape| fits(value, shape)),
    }
}

fn expected(shape: &Shape) -> String {
    match shape {
        Shape::Any | Shape::Python(_) => "anything".to_owned(),
        Shape::Text | Shape::Secret | Shape::Word(_) | Shape::Method(_) => "a text".to_owned(),
        Shape::Choice(words) => format!("one of {}", listing(words.iter().copied())),
        Shape::Nullable(shape) => expected(shape),
        Shape::Scalar | Shape::SecretScalar => "a text, number or boolean".to_owned(),
        Shape::Integer(_) => "a whole number".to_owned(),
        Shape::Number => "a number".to_owned(),
        Shape::Boolean => "true or false".to_owned(),
        Shape::List(_) => "a list".to_owned(),
        Shape::Map(_) | Shape::Object(_) | Shape::Tagged(_) => "an object".to_owned(),
        Shape::Either(shapes) => shapes.iter().map(expected).collect::<Vec<_>>().join(" or "),
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
