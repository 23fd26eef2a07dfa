//! Where a request goes: the base URL and a path, joined, with the values of expressions in it.
//!
//! What is encoded already stays as it is. Must never let a value lead elsewhere than the path says: within
//! a path it can't begin a query or go up, within a query it can't begin another parameter. Only a path that begins with
//! a value is taken as the value says: a link.

use crate::expression::{Context, Writer};
use crate::plan::PathPart;

/// The address, filled. None: an expression has no value.
pub fn fill(base_url: &str, path: &[PathPart], context: &Context, writer: Writer) -> Result<Option<String>, String> {
    let mut filled = String::new();
    for (position, part) in path.iter().enumerate() {
        match part {
            PathPart::Literal(literal) => filled.push_str(&quoted(literal, "")),
            PathPart::Page(param) => filled.push_str(&page_marker(param)),
            PathPart::Value(expression) => {
                let Some(text) = expression.text(context, writer)? else { return Ok(None) };
                let is_link = position == 0 && (path.len() == 1 || is_absolute(&text));
                filled.push_str(&if is_link { text } else { value_behind(&filled, &text)? });
            }
        }
    }
    Ok(Some(join(base_url, &filled)))
}

/// Stands in an address for a paginator's value. Nothing else leaves braces there.
pub fn page_marker(param: &str) -> String {
    format!("{{{param}}}")
}

/// `base.rstrip('/') + '/' + path.lstrip('/')`; an empty path leaves the base as it is, a whole URL stands for itself.
pub fn join(base_url: &str, path: &str) -> String {
    match path {
        "" => base_url.to_owned(),
        path if is_absolute(path) => path.to_owned(),
        path => format!("{}/{}", base_url.trim_end_matches('/'), path.trim_start_matches('/')),
    }
}

/// Whether a path stands for itself. With any other scheme it is a relative path.
pub fn is_absolute(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    path.starts_with("http://") || path.starts_with("https://")
}

/// A value as it can stand behind the beginning of a path. A slash stays a slash: names such as `owner/repository` are
/// meant to.
pub fn value_behind(path: &str, value: &str) -> Result<String, String> {
    if path.contains('?') {
        return Ok(quoted(value, "#&+"));
    }
    if value.split('/').any(|segment| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")) {
        return Err(format!("the value `{value}` can't stand in a path: it would lead elsewhere"));
    }
    Ok(quoted(value, "?#"))
}

/// Percent-encodes what a URL can't hold, and `also`. What is encoded already stays as it is.
fn quoted(text: &str, also: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for (position, character) in text.char_indices() {
        let allowed = match character {
            '%' => {
                text.as_bytes().get(position + 1..position + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
            }
            _ => character.is_ascii_alphanumeric() || "-._~!#$&'()*+,/:;=?@".contains(character),
        };
        if allowed && !also.contains(character) {
            quoted.push(character);
        } else {
            push_encoded(&mut quoted, character);
        }
    }
    quoted
}

/// A name or a value in a query or a form, a space as `+`.
pub fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' ' => encoded.push('+'),
            _ if character.is_ascii_alphanumeric() || "-._~".contains(character) => encoded.push(character),
            _ => push_encoded(&mut encoded, character),
        }
    }
    encoded
}

fn push_encoded(text: &mut String, character: char) {
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        text.push_str(&format!("%{byte:02X}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::expression::tests::{PLAIN, of_slice};

    #[test]
    fn base_and_path_are_joined_by_one_slash() {
        let cases = [
            ("http://h", "p", "http://h/p"),
            ("http://h/", "p", "http://h/p"),
            ("http://h//", "//p", "http://h/p"),
            ("http://h/v1", "/p/", "http://h/v1/p/"),
            ("http://h/v1/", "", "http://h/v1/"),
            ("http://h", "/", "http://h/"),
            ("http://h", "?a=1", "http://h/?a=1"),
            ("http://h/x?k=1", "p", "http://h/x?k=1/p"),
            ("http://h", "http://other/p", "http://other/p"),
            ("http://h", "HTTPS://Other/p", "HTTPS://Other/p"),
            ("http://h", "my://p", "http://h/my://p"),
        ];
        for (base, path, expected) in cases {
            assert_eq!(join(base, path), expected, "{base} {path}");
        }
    }

    fn filled(path: &str, value: Value) -> Result<Option<String>, String> {
        let slice = Map::from_iter([("v".to_owned(), value)]);
        let mut parts = Vec::new();
        for (position, literal) in path.split("<v>").enumerate() {
            if position > 0 {
                parts.push(PathPart::Value(of_slice("v")));
            }
            if !literal.is_empty() {
                parts.push(PathPart::Literal(literal.to_owned()));
            }
        }
        fill("http://h/b", &parts, &Context { slice, interval: None }, PLAIN)
    }

    #[test]
    fn a_value_in_a_path_can_not_lead_elsewhere() {
        let cases = [
            ("a b", "a%20b"),
            ("ü", "%C3%BC"),
            ("owner/name", "owner/name"),
            ("q?z=1", "q%3Fz=1"),
            ("h#f", "h%23f"),
            ("50%", "50%25"),
            ("a%20b", "a%20b"),
            ("a+b&c=d;,:@", "a+b&c=d;,:@"),
            ("{x}[1]\\|^", "%7Bx%7D%5B1%5D%5C%7C%5E"),
            ("..x", "..x"),
        ];
        for (value, expected) in cases {
            assert_eq!(filled("p/<v>/x", json!(value)), Ok(Some(format!("http://h/b/p/{expected}/x"))));
            assert_eq!(filled("<v>/x", json!(value)), Ok(Some(format!("http://h/b/{expected}/x"))));
        }
        for value in ["..", ".", "a/../b", "%2E%2e"] {
            assert!(filled("p/<v>", json!(value)).is_err(), "{value}");
        }
        let all = filled("p/<v>/<v>", json!(7)).unwrap().unwrap();
        assert_eq!(all, "http://h/b/p/7/7");
        assert_eq!(filled("p/<v>", json!(null)), Ok(None));
    }

    #[test]
    fn a_value_in_a_query_can_not_begin_another_parameter() {
        for (value, expected) in
            [("a&b=c", "a%26b=c"), ("a+b", "a%2Bb"), ("h#f", "h%23f"), ("x/y?z", "x/y?z"), ("..", "..")]
        {
            assert_eq!(filled("p?v=<v>", json!(value)).unwrap().unwrap(), format!("http://h/b/p?v={expected}"));
        }
    }

    #[test]
    fn a_path_that_is_a_value_is_a_link() {
        let cases = [
            ("<v>", "http://other/x?y=1", "http://other/x?y=1"),
            ("<v>", "/x?y=1", "http://h/b/x?y=1"),
            ("<v>/comments", "http://other/x", "http://other/x/comments"),
            ("<v>/comments", "x?y", "http://h/b/x%3Fy/comments"),
        ];
        for (path, value, expected) in cases {
            assert_eq!(filled(path, json!(value)).unwrap().unwrap(), expected, "{path} {value}");
        }
    }

    #[test]
    fn forms_are_encoded() {
        assert_eq!(form_encoded("a b&c=~*'()-._ü+"), "a+b%26c%3D~%2A%27%28%29-._%C3%BC%2B");
    }
}
