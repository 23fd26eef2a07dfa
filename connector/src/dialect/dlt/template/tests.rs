//! Expected texts were made with Python 3's `str.format`.

use serde_json::{Value, json};

use super::{Scope, Source, Template};

/// `resources.p.X` is the key X of a record, `incremental.start_value` may be missing.
struct Record(Value);

impl Scope for Record {
    fn lookup(&self, source: &Source, _: bool) -> Result<Option<Value>, String> {
        match source {
            Source::Parent { field, .. } => self.0.get(field).cloned().map(Some).ok_or_else(|| format!("no {field}")),
            Source::Incremental { attribute } => Ok(self.0.get(attribute).cloned()),
            Source::Page { .. } => Ok(None),
        }
    }
}

fn record() -> Record {
    Record(json!({
        "id": 42, "minus": -7, "name": "é'x", "none": null, "yes": true, "f": 1.5, "big": 1e16, "small": 0.00001,
        "ten": 10.0, "list": [1, "a", null], "dict": {"a": {"b": 2.0}}, "text": "abc", "half": 2.5, "million": 1_234_567,
        "a.b[0]": "path", "a[?(@.x > 1)]:": "odd", "tab": "a\tb\"", "min": 0.0001, "two": 123_456_789.125
    }))
}

#[test]
fn texts_expand_as_in_python() {
    for (template, expected) in [
        ("plain", "plain"),
        ("posts/{resources.p.id}", "posts/42"),
        ("{{{resources.p.id}}}", "{42}"),
        ("{{x}}", "{x}"),
        ("${secrets.x}/{resources.p.id}", "${secrets.x}/42"),
        ("$5 ${{x}}", "$5 ${x}"),
        ("{resources.p.none}", "None"),
        ("{resources.p.yes}", "True"),
        (
            "{resources.p.f} {resources.p.ten} {resources.p.big} {resources.p.small} {resources.p.min}",
            "1.5 10.0 1e+16 1e-05 0.0001",
        ),
        ("{resources.p.list}", "[1, 'a', None]"),
        ("{resources.p.dict}", "{'a': {'b': 2.0}}"),
        ("{resources.p.name!r}", "\"é'x\""),
        ("{resources.p.name!a}", "\"\\xe9'x\""),
        ("{resources.p.tab!r}", "'a\\tb\"'"),
        ("{resources.p.id!r:>5}", "   42"),
        ("{resources.p.id:>5}", "   42"),
        ("{resources.p.id:05d}", "00042"),
        ("{resources.p.minus:05d}", "-0007"),
        ("{resources.p.minus:+}", "-7"),
        ("{resources.p.id:+}", "+42"),
        ("{resources.p.id:x}{resources.p.id:X}", "2a2A"),
        ("{resources.p.id:*^7}", "**42***"),
        ("{resources.p.id:.2f}", "42.00"),
        ("{resources.p.half:.0f}", "2"),
        ("{resources.p.two:,.2f}", "123,456,789.12"),
        ("{resources.p.million:,}", "1,234,567"),
        ("{resources.p.yes:>3}", "  1"),
        ("{resources.p.text:>5}{resources.p.text:<5}{resources.p.text:.2}|", "  abcabc  ab|"),
        ("{resources.p.text:05}", "abc00"),
        ("{resources.p.a.b[0]}", "path"),
        ("{resources.p.a[?(@.x > 1)]:}", "!"),
    ] {
        let parsed = Template::parse(template).unwrap();
        if expected == "!" {
            assert!(parsed.expand_text(&record()).is_err(), "{template}");
        } else {
            assert_eq!(parsed.expand_text(&record()).unwrap().unwrap(), expected, "{template}");
        }
    }
}

#[test]
fn wrong_texts_say_what_is_wrong() {
    for (template, expression, unknown) in [
        ("{", "{", false),
        ("a}", "}", false),
        ("{}", "", false),
        ("{id}", "id", true),
        ("{secrets.x}", "secrets.x", true),
        ("{resources}", "resources", true),
        ("{resources.posts}", "resources.posts", false),
        ("{incremental.a.b}", "incremental.a.b", true),
        ("{resources.p.id!z}", "resources.p.id!z", false),
        ("{resources.p.id:%Y}", "resources.p.id:%Y", false),
        ("{resources.p.id:>99999999999}", "resources.p.id:>99999999999", false),
        (r#"{"a": 1}"#, "\"a\"", true),
    ] {
        let error = Template::parse(template).unwrap_err();
        assert_eq!((error.expression.as_str(), error.unknown_name), (expression, unknown), "{template}: {error:?}");
    }
}

#[test]
fn formats_that_do_not_fit_fail() {
    for template in [
        "{resources.p.none:>5}",
        "{resources.p.list:d}",
        "{resources.p.text:d}",
        "{resources.p.f:d}",
        "{resources.p.nope}",
    ] {
        assert!(Template::parse(template).unwrap().expand_text(&record()).is_err(), "{template}");
    }
}

#[test]
fn values_keep_their_type_and_leave_out_what_is_missing() {
    for (template, expected) in [
        ("{resources.p.id}", Some(json!(42))),
        ("{resources.p.none}", Some(json!(null))),
        ("{resources.p.list}", Some(json!([1, "a", null]))),
        ("{resources.p.id}!", Some(json!("42!"))),
        ("{resources.p.id!s}", Some(json!("42"))),
        ("{incremental.start_value}", None),
        ("from {incremental.start_value}", None),
        ("", Some(json!(""))),
    ] {
        assert_eq!(Template::parse(template).unwrap().expand_value(&record()).unwrap(), expected, "{template}");
    }
}
