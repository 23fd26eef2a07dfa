//! A response's JSON text, parsed only as deep as somebody looks.
//!
//! Everything here hands out slices of the text as it came: it must never print a value again, so that records keep
//! every digit. A page that nothing changes costs a look at its brackets and one copy: that its records are JSON is for the
//! host to see, which reads them anyway.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::scan::{self, Members, Shape};
use crate::selector::Key;

/// A JSON text whose top-level fields have been found.
#[derive(Debug)]
pub struct Document {
    text: String,
    /// Where each top-level field's value lies; none when the text is not an object.
    fields: Option<Vec<Located>>,
    /// Of the array that was looked for, with where it begins.
    shape: Option<(usize, Shape)>,
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
            Ok(fields) => Ok(Self { text, fields, shape: None, value: OnceCell::new() }),
            Err(error) => Err(NotJson { error, text }),
        }
    }

    /// As `parse`, but of the array down these keys only the end is looked for: whether it is JSON is checked by who takes
    /// it.
    pub fn parse_around(text: String, keys: &[Key]) -> Result<Self, NotJson> {
        match Around::of(&text, keys) {
            Some(Around { fields, shape }) => Ok(Self { text, fields, shape, value: OnceCell::new() }),
            None => Self::parse(text),
        }
    }

    /// The shape of an array in here, if it is known.
    pub fn shape(&self, array: &str) -> Option<Shape> {
        self.shape.filter(|(start, _)| *start == place(array, &self.text)).map(|(_, shape)| shape)
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

/// Where a part of a text begins.
fn place(part: &str, text: &str) -> usize {
    part.as_ptr().addr().wrapping_sub(text.as_ptr().addr())
}

/// What is found around an array whose items are not looked at.
#[derive(Default)]
struct Around {
    fields: Option<Vec<Located>>,
    shape: Option<(usize, Shape)>,
}

impl Around {
    /// None: it is not that simple, or no JSON.
    fn of(text: &str, keys: &[Key]) -> Option<Self> {
        let json = text.trim_ascii();
        let mut around = Self::default();
        if keys.is_empty() {
            let (end, shape) = scan::array(goes_through(json)).filter(|_| kind(json) == Kind::Array)?;
            around.shape = Some((place(json, text), shape));
            return (end == json.len()).then_some(around);
        }
        let mut fields = Vec::new();
        let mut members = Members::of(goes_through(json));
        while let Some((key, value)) = members.next() {
            around.check(text, key, value, members.shape, keys)?;
            let at = place(value, text);
            fields.push((key.to_owned(), at..at + value.len()));
        }
        around.fields = Some(fields);
        (members.end == Some(json.len())).then_some(around)
    }

    /// Checks a member, but for the array down these keys.
    fn check(&mut self, text: &str, key: &str, value: &str, shape: Option<Shape>, keys: &[Key]) -> Option<()> {
        if key.bytes().any(|byte| byte == b'\\' || byte < b' ') {
            return None;
        }
        match (keys, shape) {
            ([Key::Name(name)], Some(shape)) if name == key => {
                self.shape = Some((place(value, text), shape));
                return Some(());
            }
            ([Key::Name(name), inner @ ..], None)
                if name == key && !inner.is_empty() && kind(value) == Kind::Object =>
            {
                let mut members = Members::of(value);
                while let Some((key, value)) = members.next() {
                    self.check(text, key, value, members.shape, inner)?;
                }
                return members.end.map(drop);
            }
            _ => {}
        }
        serde_json::from_str::<IgnoredAny>(value).ok().map(drop)
    }
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
    let is_name = |key: &str| key == name || (key.contains('\\') && unescaped(key).as_deref() == Some(name));
    Members::of(goes_through(raw)).filter(|(key, _)| is_name(key)).last().map(|(_, value)| value)
}

/// What a key says that has escapes in it.
fn unescaped(key: &str) -> Option<String> {
    serde_json::from_str(&format!("\"{key}\"")).ok()
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
    let mut items = Vec::new();
    scan::each_item(goes_through(raw), |item| items.push(item)).then_some(items)
}

/// How many items an array has, and whether nulls are among them, without making a list of them.
pub fn shape(raw: &str) -> Shape {
    scan::array(goes_through(raw)).filter(|_| kind(raw) == Kind::Array).map(|(_, shape)| shape).unwrap_or_default()
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
    fn all_but_the_records_is_checked() {
        let keys = |names: &[&str]| names.iter().map(|name| Key::Name((*name).to_owned())).collect::<Vec<_>>();
        let cases: [(&str, &[&str], bool); 13] = [
            (r#" {"a": [1, 2], "data": [{"x": 1}, {}], "n": null} "#, &["data"], true),
            (r#"{"data": [nope], "n": 1}"#, &["data"], true),
            (r#"{"o": {"data": [nope]}, "n": 1}"#, &["o", "data"], true),
            ("[nope]", &[], true),
            (r#"{"data": [1], "n": nope}"#, &["data"], false),
            (r#"{"o": {"data": [1], "n": nope}}"#, &["o", "data"], false),
            (r#"{"other": [nope], "data": []}"#, &["data"], false),
            (r#"{"data": {"x": nope}}"#, &["data"], false),
            (r#"{"data": [1] "n": 1}"#, &["data"], false),
            (r#"{"data": [1]}}"#, &["data"], false),
            (r#"{"data": [{"x": 1}"#, &["data"], false),
            ("[1] 2", &[], false),
            ("nope", &[], false),
        ];
        for (text, path, expected) in cases {
            let found = Document::parse_around(text.to_owned(), &keys(path));
            assert_eq!(found.is_ok(), expected, "{text}");
            if let (Ok(found), Ok(parsed)) = (found, Document::parse(text.to_owned())) {
                assert_eq!(found.fields().collect::<Vec<_>>(), parsed.fields().collect::<Vec<_>>(), "{text}");
            }
        }
    }

    #[test]
    fn arrays_and_objects_come_apart_without_parsing_their_values() {
        assert_eq!(items("[ {\"a\":1.0} ,2,\"x,y\"]"), Some(vec!["{\"a\":1.0}", "2", "\"x,y\""]));
        assert_eq!(items("{}"), None);
        assert_eq!(shape("[1,[2,3],{}]"), Shape { count: 3, has_nulls: false });
        assert!(is_empty_array(" [ ] ") && !is_empty_array("[0]") && !is_empty_array("{}"));
        assert_eq!(field(r#"{"a":1,"b":{"a":2},"a":3}"#, "a"), Some("3"));
        assert_eq!(names(r#"{"x":1,"y":2}"#), ["x", "y"]);
        assert_eq!(shown_names(r#"{"x":1,"y":2}"#), "x, y");
        let many: String = (0..100).map(|n| format!("\"{n}\":0,")).collect();
        assert!(shown_names(&format!("{{{}}}", many.trim_end_matches(','))).ends_with("39 and 60 more"));
        assert_eq!(field(r#"{"a":1,"\u0062\"":2}"#, "b\""), Some("2"));
        assert!(shape("[1, null]").has_nulls && shape("[ null]").has_nulls);
        assert!(!shape(r#"[{"a": null}, [null]]"#).has_nulls);
    }

    #[test]
    fn numbers_beyond_64_bits_keep_their_digits() {
        assert_eq!(value("12345678901234567890123"), json!("12345678901234567890123"));
        assert_eq!(value(" 18446744073709551615 "), json!(18_446_744_073_709_551_615_u64));
        assert_eq!(value("1.5"), json!(1.5));
    }
}
