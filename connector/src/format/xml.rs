//! XML elements as JSON records: attributes as `@name`, children by name (repeated ones as a list), text as the value, or
//! as `#text` beside others. Reads event by event; must not recurse with the document, nor read external entities.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

/// Elements nested deeper are refused.
const DEEPEST: usize = 128;

/// Every element at this path (`/rss/channel/item`), as a JSON array. Prefixes of namespaces stay part of the names.
pub(super) fn records(text: &str, record_path: &str) -> Result<String, String> {
    let wanted: Vec<&str> = record_path.split('/').filter(|name| !name.is_empty()).collect();
    let mut reader = Reader::from_str(text);
    let mut records = Vec::new();
    let mut path: Vec<String> = Vec::new();
    // The elements open below (and with) a record.
    let mut open: Vec<Element> = Vec::new();
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                path.push(name(start.name().as_ref()));
                if path.len() > DEEPEST {
                    return Err(format!("elements are nested more than {DEEPEST} deep"));
                }
                if !open.is_empty() || path == wanted {
                    open.push(Element::new(&start)?);
                }
            }
            Event::Empty(start) => {
                path.push(name(start.name().as_ref()));
                if !open.is_empty() || path == wanted {
                    close(Element::new(&start)?, &path, &mut open, &mut records);
                }
                path.pop();
            }
            Event::End(_) => {
                if let Some(element) = open.pop() {
                    close(element, &path, &mut open, &mut records);
                }
                path.pop();
            }
            Event::Text(text) => push(&mut open, &text.xml_content().map_err(|error| error.to_string())?),
            Event::CData(text) => push(&mut open, &text.xml_content().map_err(|error| error.to_string())?),
            Event::GeneralRef(reference) => {
                if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
                    push(&mut open, character.encode_utf8(&mut [0; 4]));
                } else {
                    let entity = reference.decode().map_err(|error| error.to_string())?;
                    let known = resolve_predefined_entity(&entity);
                    push(&mut open, known.ok_or_else(|| format!("unknown entity `&{entity};`"))?);
                }
            }
            Event::Eof if path.is_empty() => return Ok(Value::Array(records).to_string()),
            Event::Eof => return Err(format!("`<{}>` is not closed", path.join("/"))),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

struct Element {
    fields: Map<String, Value>,
    text: String,
}

impl Element {
    fn new(start: &BytesStart<'_>) -> Result<Self, String> {
        let mut fields = Map::new();
        // The reader's own look for repeated names takes the square of their number.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value = attribute.unescape_value().map_err(|error| error.to_string())?;
            let key = format!("@{}", name(attribute.key.as_ref()));
            if let Some(repeated) = fields.insert(key, Value::String(value.into_owned())) {
                return Err(format!("an attribute is written twice, once as {repeated}"));
            }
        }
        Ok(Self { fields, text: String::new() })
    }

    fn into_value(mut self, is_record: bool) -> Value {
        let text = self.text.trim();
        let text = if text.is_empty() { Value::Null } else { Value::from(text) };
        if self.fields.is_empty() && !is_record {
            return text;
        }
        if !text.is_null() {
            self.fields.insert("#text".to_owned(), text);
        }
        Value::Object(self.fields)
    }
}

fn close(element: Element, path: &[String], open: &mut [Element], records: &mut Vec<Value>) {
    let value = element.into_value(open.is_empty());
    match (open.last_mut(), path.last()) {
        (Some(parent), Some(name)) => match parent.fields.get_mut(name) {
            None => {
                parent.fields.insert(name.clone(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        },
        _ => records.push(value),
    }
}

fn push(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_become_records() {
        let cases = [
            ("<r><i id='1'>a &amp; b</i><i/></r>", "/r/i", r##"[{"@id":"1","#text":"a & b"},{}]"##),
            (
                "<?xml version='1.0'?><r><o><n>1</n></o><o><n>2</n><n>3</n><e/></o></r>",
                "r/o",
                r#"[{"n":"1"},{"n":["2","3"],"e":null}]"#,
            ),
            ("<r><i><a><b x=\"&lt;\"/></a></i><j/></r>", "/r/i", r#"[{"a":{"b":{"@x":"<"}}}]"#),
            ("<r><i><![CDATA[<x>]]>&#65;</i></r>", "/r/i", r##"[{"#text":"<x>A"}]"##),
            ("<r><x:i>1</x:i></r>", "/r/x:i", r##"[{"#text":"1"}]"##),
            ("<r/>", "/r/i", "[]"),
        ];
        for (text, path, expected) in cases {
            assert_eq!(records(text, path).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_xml_is_refused() {
        for text in ["<r><i></r>", "<r>", "<r>&nope;</r>", "<r a='1' a='2'/>", &"<a>".repeat(1000)] {
            let refused = records(text, "/r");
            assert!(refused.is_err(), "{text}: {refused:?}");
        }
    }
}
