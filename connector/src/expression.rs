//! Values that are known only when a request is made. A dialect compiles them, the engine evaluates them.
//!
//! Must never know how a dialect writes one down.

use std::fmt;
use std::rc::Rc;

use serde_json::{Map, Value};

/// A value, or how to come by it.
#[derive(Debug, Clone)]
pub enum Expression {
    Constant(Value),
    Compiled(Rc<dyn Evaluate>),
    List(Vec<Self>),
    /// Keys are expressions too.
    Object(Vec<(Self, Self)>),
}

/// What a dialect makes of a text that is no constant.
pub trait Evaluate: fmt::Debug {
    /// `Ok(None)`: there is no value, and whatever the expression stands in is left out. `Err`: there should be one; the
    /// text says what is missing.
    fn evaluate(&self, context: &Context) -> Result<Option<Value>, String>;

    /// As it stands in the configuration, for people.
    fn written(&self) -> String;
}

/// What names stand for while a request is made.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Of the slice that is read. In a batch each is a list with one value per parent record.
    pub slice: Map<String, Value>,
    /// None: the stream has no cursor.
    pub interval: Option<Interval>,
}

/// What is asked for of a stream with a cursor, converted for requests. A bound may be unknown.
#[derive(Debug, Clone, Default)]
pub struct Interval {
    pub start: Option<Value>,
    /// Where the first run began.
    pub initial: Option<Value>,
    pub end: Option<Value>,
}

/// How a dialect writes a value where a text is needed.
#[derive(Clone, Copy)]
pub struct Writer(pub fn(&Value) -> String);

impl Writer {
    pub fn text(self, value: &Value) -> String {
        (self.0)(value)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Writer")
    }
}

impl Expression {
    pub fn constant(value: impl Into<Value>) -> Self {
        Self::Constant(value.into())
    }

    /// Entries and items without a value are left out; none: the whole has no value.
    pub fn evaluate(&self, context: &Context) -> Result<Option<Value>, String> {
        match self {
            Self::Constant(value) => Ok(Some(value.clone())),
            Self::Compiled(compiled) => compiled.evaluate(context),
            Self::List(items) => {
                let values = items.iter().filter_map(|item| item.evaluate(context).transpose());
                Ok(Some(Value::Array(values.collect::<Result<_, _>>()?)))
            }
            Self::Object(entries) => {
                let mut object = Map::new();
                for (key, value) in entries {
                    if let (Some(key), Some(value)) = (key.evaluate(context)?, value.evaluate(context)?) {
                        let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                        object.insert(key, value);
                    }
                }
                Ok(Some(Value::Object(object)))
            }
        }
    }

    /// The value as a text.
    pub fn text(&self, context: &Context, writer: Writer) -> Result<Option<String>, String> {
        Ok(self.evaluate(context)?.map(|value| writer.text(&value)))
    }

    /// For people: constants as they are, the others as they are written.
    pub fn written(&self) -> Value {
        match self {
            Self::Constant(value) => value.clone(),
            Self::Compiled(compiled) => Value::String(compiled.written()),
            Self::List(items) => items.iter().map(Self::written).collect(),
            Self::Object(entries) => {
                let entries = entries.iter().map(|(key, value)| (key.written_text(), value.written()));
                Value::Object(entries.collect())
            }
        }
    }

    /// The same where a text is needed.
    pub fn written_text(&self) -> String {
        match self.written() {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// A value of the slice by its name, as the smallest dialect would have it.
    #[derive(Debug)]
    struct OfSlice(&'static str);

    impl Evaluate for OfSlice {
        fn evaluate(&self, context: &Context) -> Result<Option<Value>, String> {
            match context.slice.get(self.0) {
                Some(Value::Null) => Ok(None),
                Some(value) => Ok(Some(value.clone())),
                None => Err(format!("`{}` has no value here", self.0)),
            }
        }

        fn written(&self) -> String {
            format!("<{}>", self.0)
        }
    }

    pub fn of_slice(name: &'static str) -> Expression {
        Expression::Compiled(Rc::new(OfSlice(name)))
    }

    /// JSON's own spelling.
    pub const PLAIN: Writer = Writer(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));

    #[test]
    fn what_has_no_value_is_left_out() {
        let body = Expression::Object(vec![
            (of_slice("key"), of_slice("id")),
            (Expression::constant("since"), of_slice("unknown")),
            (Expression::constant("list"), Expression::List(vec![of_slice("unknown"), of_slice("id")])),
            (Expression::constant("null"), Expression::constant(Value::Null)),
        ]);
        let Value::Object(slice) = json!({"id": 42, "key": "k", "unknown": null}) else { return };
        let context = Context { slice, interval: None };
        assert_eq!(body.evaluate(&context), Ok(Some(json!({"k": 42, "list": [42], "null": null}))));
        assert_eq!(of_slice("id").text(&context, PLAIN), Ok(Some("42".to_owned())));
        assert_eq!(of_slice("unknown").text(&context, PLAIN), Ok(None));
        assert!(body.evaluate(&Context::default()).is_err());
        let written = json!({"<key>": "<id>", "since": "<unknown>", "list": ["<unknown>", "<id>"], "null": null});
        assert_eq!(body.written(), written);
    }
}
