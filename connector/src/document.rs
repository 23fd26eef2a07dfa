//! A response's JSON text, parsed only as deep as somebody looks.
//!
//! Everything here hands out slices of the text as it came: it must never print a value again, so that records keep
//! every digit, and a page that nothing changes costs one scan and one copy.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON text whose top-level fields have been found.
#[derive(Debug)]
pub struct Document {
    text: String,
    /// Where each top-level field's value lies; none when the text is not an object.
    fields: Option<Vec<Located>>,
    value: OnceCell<Value>,
}

/// A field's name, and where its value lies.
type Located = (String, Range<usize>);

/// A text that is not JSON, given back to be shown.
#[derive(Debug)]
pub struct NotJson {
    pub error: serde_json::Error,
    pub text: String,
}

impl Document {
    /// Checks that the text is JSON and finds its top-level fields, in one scan.
    pub fn parse(text: String) -> Result<Self, NotJson> {
        match locate(&text) {
            Ok(fields) => Ok(Self { text, fields, value: OnceCell::new() }),
            Err(error) => Err(NotJson { error, text }),
        }
    }

    pub fn text(&self) -> &str {
        self.text.trim_ascii()
    }

    /// Takes the text out without copying it.
    pub fn into_text(self) -> String {
        self.text
    }

    /// A top-level field's value; of equal names the last, as in Python.
    pub fn field(&self, name: &str) -> Option<&str> {
        let (_, range) = self.fields.as_ref()?.iter().rev().find(|(key, _)| key == name)?;
        self.text.get(range.clone())
    }

    /// The top-level fields in order; empty when the text is not an object.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().flatten().filter_map(|(name, range)| Some((name.as_str(), self.text.get(range.clone())?)))
    }

    /// The whole as a value, parsed once, on demand.
    pub fn value(&self) -> &Value {
        self.value.get_or_init(|| serde_json::from_str(&self.text).unwrap_or(Value::Null))
    }
}

fn locate(text: &str) -> Result<Option<Vec<Located>>, serde_json::Error> {
    if kind(text) != Kind::Object {
        serde_json::from_str::<IgnoredAny>(text)?;
        return Ok(None);
    }
    let position = |raw: &str| {
        let start = raw.as_ptr().addr() - text.as_ptr().addr();
        start..start + raw.len()
    };
    let found = serde_json::from_str::<Fields<'_>>(text)?.0;
    Ok(Some(found.into_iter().map(|(name, raw)| (name.into_owned(), position(raw))).collect()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    Null,
    Scalar,
}

/// What a JSON text is, by its first byte.
pub fn kind(raw: &str) -> Kind {
    match raw.trim_ascii_start().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'n') => Kind::Null,
        _ => Kind::Scalar,
    }
}

/// How many bytes have been gone through, for tests that what a response makes us do grows with its size and not faster.
#[cfg(test)]
pub mod effort {
    use std::cell::Cell;

    thread_local!(static BYTES: Cell<usize> = const { Cell::new(0) });

    pub fn add(raw: &str) {
        BYTES.set(BYTES.get() + raw.len());
    }

    pub fn of(work: impl FnOnce()) -> usize {
        BYTES.set(0);
        work();
        BYTES.get()
    }
}

fn goes_through(raw: &str) -> &str {
    #[cfg(test)]
    effort::add(raw);
    raw
}

/// The fields of an object, values as they stand; none when the text is not an object.
pub fn fields(raw: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    if kind(raw) != Kind::Object {
        return None;
    }
    serde_json::from_str::<Fields<'_>>(goes_through(raw)).ok().map(|fields| fields.0)
}

/// One field of an object, without making a list of all of them.
pub fn field<'a>(raw: &'a str, name: &str) -> Option<&'a str> {
    if kind(raw) != Kind::Object {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_str(goes_through(raw));
    deserializer.deserialize_map(FieldNamed(name)).ok().flatten()
}

/// The names of an object's fields, for messages.
pub fn names(raw: &str) -> Vec<String> {
    fields(raw).unwrap_or_default().into_iter().map(|(name, _)| name.into_owned()).collect()
}

/// The same as one text, cut where it gets long.
pub fn shown_names(raw: &str) -> String {
    const MOST: usize = 40;
    let names = names(raw);
    let more = names.len().saturating_sub(MOST);
    let shown = names.into_iter().take(MOST).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// The items of an array as they stand; none when the text is not an array.
pub fn items(raw: &str) -> Option<Vec<&str>> {
    if kind(raw) != Kind::Array {
        return None;
    }
    serde_json::from_str::<Vec<&RawValue>>(goes_through(raw))
        .ok()
        .map(|items| items.into_iter().map(RawValue::get).collect())
}

/// How many items an array has, without making a list of them.
pub fn count(raw: &str) -> usize {
    serde_json::from_str::<Count>(goes_through(raw)).map_or(0, |count| count.0)
}

/// Whether a null may stand among the items of an array, looked for without taking it apart: lists within the items count
/// too.
pub fn may_hold_null_items(raw: &str) -> bool {
    raw.match_indices("null").any(|(position, _)| {
        let before = raw.as_bytes().get(..position).unwrap_or_default();
        matches!(before.trim_ascii_end().last(), Some(b'[' | b','))
    })
}

/// Whether an array has no items.
pub fn is_empty_array(raw: &str) -> bool {
    let inner = raw.trim_ascii().strip_prefix('[').unwrap_or_default();
    inner.trim_ascii_start().starts_with(']')
}

/// A value on its way into a request. A whole number that 64 bits can't hold becomes its digits as a text: as a float it
/// would name another record.
pub fn value(raw: &str) -> Value {
    let raw = raw.trim_ascii();
    match serde_json::from_str(raw) {
        Ok(Value::Number(number)) if number.is_f64() && raw.bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
            Value::String(raw.to_owned())
        }
        Ok(value) => value,
        Err(_) => Value::Null,
    }
}

/// Whether brackets nest deeper than `limit`, for parsers that recurse without a bound of their own.
pub fn nests_deeper_than(raw: &str, limit: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in raw.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

struct Fields<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Vec<(Cow<'de, str>, &'de str)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some((Name(name), raw)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    found.push((name, raw.get()));
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(All).map(Self)
    }
}

struct FieldNamed<'n>(&'n str);

impl<'de> Visitor<'de> for FieldNamed<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
            if name == self.0 {
                found = Some(map.next_value::<&RawValue>()?.get());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A field's name, borrowed unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Text).map(Self)
    }
}

struct Count(usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = usize;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<usize, A::Error> {
                let mut count = 0;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(count)
            }
        }
        deserializer.deserialize_seq(Items).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_slices_of_the_text() {
        let document = Document::parse(r#" {"a": [1, 2.50 ],"b\n":{"c":null},"a": 1e400} "#.to_owned()).unwrap();
        assert_eq!(document.field("a"), Some("1e400"));
        assert_eq!(document.field("b\n"), Some(r#"{"c":null}"#));
        assert_eq!(document.field("c"), None);
        assert_eq!(document.fields().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b\n", "a"]);
        assert_eq!(document.text(), r#"{"a": [1, 2.50 ],"b\n":{"c":null},"a": 1e400}"#);
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in ["", "<html>", "{\"a\":1", "[1,]", "{} {}", "nul"] {
            assert!(Document::parse(text.to_owned()).is_err(), "{text}");
        }
        for text in ["[]", "null", "1", "\"x\"", " {} "] {
            assert!(Document::parse(text.to_owned()).is_ok(), "{text}");
        }
    }

    #[test]
    fn arrays_and_objects_come_apart_without_parsing_their_values() {
        assert_eq!(items("[ {\"a\":1.0} ,2,\"x,y\"]"), Some(vec!["{\"a\":1.0}", "2", "\"x,y\""]));
        assert_eq!(items("{}"), None);
        assert_eq!(count("[1,[2,3],{}]"), 3);
        assert!(is_empty_array(" [ ] ") && !is_empty_array("[0]") && !is_empty_array("{}"));
        assert_eq!(field(r#"{"a":1,"b":{"a":2},"a":3}"#, "a"), Some("3"));
        assert_eq!(names(r#"{"x":1,"y":2}"#), ["x", "y"]);
        assert_eq!(shown_names(r#"{"x":1,"y":2}"#), "x, y");
        let many: String = (0..100).map(|n| format!("\"{n}\":0,")).collect();
        assert!(shown_names(&format!("{{{}}}", many.trim_end_matches(','))).ends_with("39 and 60 more"));
        assert!(may_hold_null_items("[1, null]") && may_hold_null_items("[ null]"));
        assert!(!may_hold_null_items(r#"[{"a": null}]"#));
    }

    #[test]
    fn numbers_beyond_64_bits_keep_their_digits() {
        assert_eq!(value("12345678901234567890123"), json!("12345678901234567890123"));
        assert_eq!(value(" 18446744073709551615 "), json!(18_446_744_073_709_551_615_u64));
        assert_eq!(value("1.5"), json!(1.5));
    }

    #[test]
    fn nesting_is_measured_outside_of_texts() {
        assert!(!nests_deeper_than(r#"{"[[[[":"\"[[["}"#, 1));
        assert!(nests_deeper_than("[[[]]]", 2));
        assert!(!nests_deeper_than("[[],[],[]]", 2));
    }
}
