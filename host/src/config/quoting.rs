//! The file as messages may quote it: keys and structure, and of the values those that are known to be harmless. What was
//! typed at a misspelt key, or as a value of the wrong kind, may be a secret: stars stand in its place.

use std::collections::HashSet;
use std::ops::Range;

use serde_json::Value;

use super::{Places, pointer_step};

/// Steps into schemas for one file; what is left then is starred.
const STEPS: usize = 1_000_000;
const LONGEST_REFERENCE: usize = 1000;

/// A text of the same length.
pub(super) fn quoted(text: &str, places: &Places, harmless: &HashSet<String>) -> String {
    let mut shown = structure(text);
    let keys = places.keys.values().map(|span| (span, true, true));
    let values = places.values.iter().map(|(pointer, span)| (span, false, harmless.contains(pointer)));
    let merged = places.merged.iter().map(|(_, span)| (span, false, false));
    let mut spans: Vec<(&Range<usize>, bool, bool)> = keys.chain(values).chain(merged).collect();
    spans.sort_by_key(|(span, ..)| (span.start, std::cmp::Reverse(span.end)));
    // The innermost only: those around are mappings and lists.
    let mut starred = Vec::new();
    for (index, (span, is_key, is_harmless)) in spans.iter().enumerate() {
        let next = spans[index + 1..].iter().find(|(next, ..)| next != span);
        let is_innermost = next.is_none_or(|(next, ..)| next.start >= span.end);
        if *is_key || is_innermost && *is_harmless {
            mark(&mut shown, span, true);
        } else if is_innermost {
            starred.push((*span).clone());
        }
    }
    // Of two opinions of one place, the careful one counts.
    for span in starred {
        mark(&mut shown, &span, false);
        keep_references(text, &span, &mut shown);
    }
    with_stars(text, &shown)
}

/// A text that could not be read: keys at the beginning of a line, and structure.
pub(super) fn quoted_unread(text: &str) -> String {
    let mut shown = structure(text);
    keep_references(text, &(0..text.len()), &mut shown);
    with_stars(text, &shown)
}

/// Of each byte whether it is structure: punctuation, or a key at the beginning of a line.
fn structure(text: &str) -> Vec<bool> {
    let mut shown: Vec<bool> = text.bytes().map(|byte| b" \t\r\n-:{}[],=\"'|><?".contains(&byte)).collect();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let begin = line.find(|c: char| !c.is_whitespace() && !"-[\"'".contains(c)).unwrap_or(0);
        let is_key = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let end = line[begin..].find(|c: char| !is_key(c)).map_or(begin, |end| begin + end);
        let behind = line[end..].trim_start_matches(['"', '\'', ' ']);
        // `key:`, `key =`, and `[section]` of TOML.
        if end > begin && (behind.starts_with([':', '=']) || line.starts_with('[') && behind.trim_end() == "]") {
            mark(&mut shown, &(start + begin..start + end), true);
        }
        start += line.len();
    }
    shown
}

/// The pointers of scalars that may be quoted: numbers, truth values, and texts that the schema describes in words of
/// its own or as a setting of their own, unless it says that secrets stand there.
pub(super) fn harmless(value: &Value, schema: &Value, found: &mut HashSet<String>) {
    let mut walk = Walk { root: schema, steps: STEPS, found };
    walk.value(value, &[schema], "", false);
}

struct Walk<'a> {
    root: &'a Value,
    steps: usize,
    found: &'a mut HashSet<String>,
}

impl<'a> Walk<'a> {
    /// `declared`: the schema names this very place.
    fn value(&mut self, value: &Value, schemas: &[&'a Value], pointer: &str, declared: bool) {
        let schemas = self.resolved(schemas);
        let words = schemas.iter().filter_map(|schema| schema["enum"].as_array()).map(Vec::len).sum::<usize>();
        let size = value.as_object().map_or(1, serde_json::Map::len);
        self.steps = self.steps.saturating_sub(words.saturating_add(schemas.len().saturating_mul(size)));
        if self.steps == 0 {
            return;
        }
        if schemas.iter().any(|schema| schema["writeOnly"] == true) {
            return;
        }
        match value {
            Value::Object(entries) => {
                for (key, item) in entries {
                    let own: Vec<&Value> = schemas.iter().filter_map(|schema| schema["properties"].get(key)).collect();
                    let further = schemas.iter().filter_map(|schema| schema.get("additionalProperties"));
                    let inner = if own.is_empty() { further.collect() } else { own.clone() };
                    self.value(item, &inner, &pointer_step(pointer, key), !own.is_empty());
                }
            }
            Value::Array(items) => {
                let inner: Vec<&Value> = schemas.iter().filter_map(|schema| schema.get("items")).collect();
                for (index, item) in items.iter().enumerate() {
                    self.value(item, &inner, &format!("{pointer}/{index}"), declared && !inner.is_empty());
                }
            }
            Value::String(text) => {
                let is_word = |schema: &&Value| {
                    let mut words = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
                    words.any(|word| word == text.as_str())
                };
                let is_free = |schema: &&Value| {
                    let is_text = schema["type"] == "string"
                        || schema["type"].as_array().is_some_and(|types| types.iter().any(|kind| kind == "string"));
                    is_text && schema.get("enum").is_none() && schema.get("const").is_none()
                };
                // A user in a URL, or a key in its query.
                let is_simple = !text.contains(['@', '?', '=', '&']);
                if schemas.iter().any(is_word) || declared && is_simple && schemas.iter().any(is_free) {
                    self.found.insert(pointer.to_owned());
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.found.insert(pointer.to_owned());
            }
        }
        if value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty) {
            self.found.insert(pointer.to_owned());
        }
    }

    /// With what they refer to and are made of.
    fn resolved(&mut self, schemas: &[&'a Value]) -> Vec<&'a Value> {
        let mut all: Vec<&'a Value> = Vec::new();
        let mut seen = HashSet::new();
        let mut left: Vec<&'a Value> = schemas.to_vec();
        while let Some(schema) = left.pop() {
            if self.steps == 0 || !seen.insert(std::ptr::from_ref(schema).addr()) {
                continue;
            }
            self.steps -= 1;
            all.push(schema);
            let target = schema["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
            let target = target.filter(|target| target.len() <= LONGEST_REFERENCE);
            left.extend(target.and_then(|target| self.root.pointer(target)));
            for keyword in ["allOf", "anyOf", "oneOf"] {
                left.extend(schema[keyword].as_array().into_iter().flatten());
            }
            left.extend(["if", "then", "else"].iter().filter_map(|keyword| schema.get(*keyword)));
        }
        all
    }
}

fn mark(shown: &mut [bool], span: &Range<usize>, is_shown: bool) {
    for byte in shown.get_mut(span.clone()).into_iter().flatten() {
        *byte = is_shown;
    }
}

/// `${secrets.x}` and `{resources.x.y}` are names.
fn keep_references(text: &str, span: &Range<usize>, shown: &mut [bool]) {
    let Some(inner) = text.get(span.clone()) else { return };
    for (brace, _) in inner.match_indices('{') {
        let behind = &inner[brace + 1..];
        let end = behind.find(|c: char| !c.is_alphanumeric() && !"._-".contains(c)).unwrap_or(behind.len());
        if behind[end..].starts_with('}') && behind[..end].contains('.') {
            let start = brace - usize::from(inner[..brace].ends_with('$'));
            mark(shown, &(span.start + start..span.start + brace + end + 2), true);
        }
    }
}

fn with_stars(text: &str, shown: &[bool]) -> String {
    let mut result = String::with_capacity(text.len());
    for (index, c) in text.char_indices() {
        match (shown[index] || c == '\n', c.len_utf8()) {
            (true, _) => result.push(c),
            // As many characters, where there are some of that length.
            (false, 2) => result.push('×'),
            (false, 3) => result.push('∗'),
            (false, length) => result.extend(std::iter::repeat_n('*', length)),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::ConfigFile;

    fn quoted(file: &str, text: &str) -> String {
        let schema = json!({"properties": {
            "client": {"properties": {
                "base_url": {"type": "string"},
                "headers": {"additionalProperties": {"type": "string"}},
                "auth": {"anyOf": [{"enum": ["bearer"]}, {"properties": {
                    "type": {"enum": ["bearer", "api_key"]}, "token": {"type": "string", "writeOnly": true}
                }}]},
            }},
            "names": {"items": {"type": "string"}},
        }});
        let mut config = ConfigFile::parse(Path::new(file), text).unwrap();
        config.know(&schema);
        let place = config.place("");
        assert_eq!(place.source.len(), text.len());
        place.source.to_string()
    }

    #[test]
    fn keys_structure_and_known_words_are_quoted() {
        for (text, expected) in [
            ("client: {auth: {type: bearer, tokn: hunter2}}\n", "client: {auth: {type: bearer, tokn: *******}}\n"),
            ("client: {auth: hunter2}\n", "client: {auth: *******}\n"),
            ("client: {auth: bearer} # hunter2\n", "client: {auth: bearer} * *******\n"),
            ("client: {}\nnames: []\n", "client: {}\nnames: []\n"),
            ("client: {auth: {type: hunter2}}\n", "client: {auth: {type: *******}}\n"),
            ("client: {auth: {token: 123456}}\n", "client: {auth: {token: ******}}\n"),
            ("client:\n  base_url: https://a.org/x\n", "client:\n  base_url: https://a.org/x\n"),
            ("client: {base_url: 'https://u:p@a.org'}\n", "client: {base_url: *******************}\n"),
            (
                "client: {headers: {x: hunter2}}\nnames: [ab, 12, true]\n",
                "client: {headers: {x: *******}}\nnames: [ab, 12, true]\n",
            ),
            ("x-a: &a {token: hunter2}\nclient: {auth: *a}\n", "x-a: ** {token: *******}\nclient: {auth: **}\n"),
            ("other: \"a ${secrets.x} b\"\n", "other: ***${secrets.x}***\n"),
            ("other: '{incremental.start_value} {hunter2}'\n", "other: *{incremental.start_value}***********\n"),
            ("tokn: |\n  hunter2\n  more\nlist: [x]\n", "tokn: |\n  *******\n******\nlist: [*]\n"),
            ("host: {proxy: 'http://u:p@x', naming: direct}\n", "host: {proxy: **************, naming: direct}\n"),
        ] {
            assert_eq!(quoted("a.yaml", text), expected);
        }
        assert_eq!(quoted("a.toml", "[client]\nauht = \"hunter2\"\n"), "[client]\nauht = *********\n");
        assert_eq!(quoted("a.json", "{\"client\": {\"auht\": \"hünter2\"}}"), "{\"client\": {\"auht\": **×******}}");
    }

    #[test]
    fn what_can_not_be_read_shows_keys_only() {
        for (text, expected) in [
            ("client:\n  token: hunter2\n  x: [1\n", "client:\n  token: *******\n  x: [*\n"),
            ("- hunter2 \"x\": {\n", "- ******* \"*\": {\n"),
            ("a = hunter2 # b\n", "a = ******* * *\n"),
            ("a: ${secrets.x} hunter2\n", "a: ${secrets.x} *******\n"),
        ] {
            assert_eq!(super::quoted_unread(text), expected);
        }
    }
}
