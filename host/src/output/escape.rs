//! What others wrote, made harmless to a terminal: control characters (C0, DEL, C1) and those that turn a line around
//! are written out. Line breaks stay.

use std::borrow::Cow;
use std::io::{self, Write};

fn is_obeyed(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{2028}' | '\u{2029}')
}

/// As text: `\u{1b}`.
pub fn shown(text: &str) -> Cow<'_, str> {
    replaced(text, |c, escaped| escaped.extend(c.escape_unicode()))
}

/// As JSON: `\u001b`. In a JSON document such a character stands in texts and keys only, so the document is the same.
pub(super) fn in_json(text: &str) -> Cow<'_, str> {
    replaced(text, |c, escaped| {
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
    })
}

/// In as many bytes, so that spans still point at the same place.
pub(super) fn of_same_length(text: &str) -> Cow<'_, str> {
    replaced(text, |c, escaped| match c {
        '\t' => escaped.push(' '),
        '\r' => escaped.push(' '),
        _ => escaped.push(['?', '¿', '\u{fffd}'][c.len_utf8().min(3) - 1]),
    })
}

/// A text with the host's own colours in it, which stay: nothing else that a terminal would obey does.
pub(super) fn coloured(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return text.into();
    }
    let mut parts = text.split('\u{1b}');
    let mut escaped = shown(parts.next().unwrap_or_default()).into_owned();
    for part in parts {
        let length = colour_length(part);
        escaped.push_str(if length > 0 { "\u{1b}" } else { "\\u{1b}" });
        escaped.push_str(&part[..length]);
        escaped.push_str(&shown(&part[length..]));
    }
    escaped.into()
}

/// Of `[1;31m` at the beginning; 0: there is none.
fn colour_length(text: &str) -> usize {
    let Some(inner) = text.strip_prefix('[') else { return 0 };
    let end = inner.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(inner.len());
    if inner[end..].starts_with('m') { end + 2 } else { 0 }
}

fn replaced(text: &str, replace: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_obeyed(c) { replace(c, &mut escaped) } else { escaped.push(c) }
    }
    escaped.into()
}

/// Standard error for log lines, in which others' words may stand.
pub(super) struct LogLines;

impl Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(coloured(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nobody_else() {
        for (text, as_text, as_json) in [
            ("plain\nü", "plain\nü", "plain\nü"),
            ("\u{1b}[2J", "\\u{1b}[2J", "\\u001b[2J"),
            ("\u{9b}31m\u{7f}\t\r", "\\u{9b}31m\\u{7f}\\u{9}\\u{d}", "\\u009b31m\\u007f\\u0009\\u000d"),
            ("a\u{202e}b\u{2066}\u{61c}", "a\\u{202e}b\\u{2066}\\u{61c}", "a\\u202eb\\u2066\\u061c"),
        ] {
            assert_eq!((shown(text).as_ref(), in_json(text).as_ref()), (as_text, as_json));
            assert_eq!(of_same_length(text).len(), text.len());
            assert!(!of_same_length(text).contains(is_obeyed));
        }
        for (text, expected) in [
            ("\u{1b}[1;31merror\u{1b}[0m: x", "\u{1b}[1;31merror\u{1b}[0m: x"),
            ("\u{1b}[m\u{1b}[2Jx\u{1b}]0;t\u{7}\u{1b}", "\u{1b}[m\\u{1b}[2Jx\\u{1b}]0;t\\u{7}\\u{1b}"),
        ] {
            assert_eq!(coloured(text), expected);
        }
    }
}
