//! Takes secrets out of a configuration before a connector sees it: the value at every place that the connector's
//! schema marks `writeOnly`. `${secrets.NAME}` stays as it is anywhere, for it is a name and not a secret.
//!
//! Must never copy a secret anywhere but into a `SecretString`.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use serde_json::Value;

use super::pointer_step;

/// A configuration without secrets, and what was taken out of it.
#[derive(Debug, Default)]
pub struct Extracted {
    pub config: Value,
    /// What the user typed into the file, under the name that now stands in its place.
    pub typed: BTreeMap<String, SecretString>,
    /// Every `${secrets.NAME}` that the configuration names, with the pointers to where.
    pub named: BTreeMap<String, Vec<String>>,
    /// The origin of every text that is a URL. Nothing is granted by it.
    pub origins: BTreeSet<String>,
}

impl Extracted {
    /// Pointers to where secrets were typed.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.typed.keys().filter_map(|name| name.strip_prefix(TYPED))
    }
}

/// The name of a secret that was typed into the file: this, and the pointer to it.
const TYPED: &str = "config:";

/// Whether a secret's name says that it was typed into the file.
pub fn is_typed(name: &str) -> bool {
    name.starts_with(TYPED)
}

/// `schema` is the connector's JSON Schema (2020-12).
pub fn extract(config: &Value, schema: &Value) -> Extracted {
    let mut extracted = Extracted { config: config.clone(), ..Extracted::default() };
    let mut marks = Marks { root: schema, seen: BTreeSet::new(), places: BTreeSet::new() };
    marks.mark(schema, config, "");
    take(&mut extracted, &marks.places);
    let config = extracted.config.clone();
    walk(&config, "", &mut |text, pointer| {
        for name in references(text) {
            if !extracted.typed.contains_key(name) {
                extracted.named.entry(name.to_owned()).or_default().push(pointer.to_owned());
            }
        }
        if let Some(origin) = origin(text) {
            extracted.origins.insert(origin);
        }
    });
    extracted
}

/// The names in `${secrets.NAME}`, in order.
pub fn references(text: &str) -> impl Iterator<Item = &str> {
    text.split("${secrets.").skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

/// `scheme://host[:port]` of a URL with the scheme http or https, without a default port. What only a lenient parser
/// takes for a URL (`https:host`, `https:\\host`) is none.
pub fn origin(text: &str) -> Option<String> {
    let text = text.trim();
    let (scheme, _) = text.split_once("://")?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let parsed = url::Url::parse(text).ok()?;
    parsed.has_host().then(|| parsed.origin().ascii_serialization())
}

fn take(extracted: &mut Extracted, places: &BTreeSet<String>) {
    for pointer in places {
        let Some(Value::String(text)) = extracted.config.pointer_mut(pointer) else { continue };
        // A text with references is a recipe, not a secret; only their names go on.
        if references(text).next().is_none() && !text.is_empty() {
            let name = format!("{TYPED}{pointer}");
            let secret = std::mem::replace(text, format!("${{secrets.{name}}}"));
            extracted.typed.insert(name, SecretString::from(secret));
        }
    }
}

/// The pointers of texts under a `writeOnly` schema. Where several subschemas may apply, each of them counts: taking
/// too much out is harmless.
struct Marks<'a> {
    root: &'a Value,
    /// Pairs of subschema (by its address) and pointer: a schema that branches and refers to itself would never end.
    seen: BTreeSet<(usize, String)>,
    places: BTreeSet<String>,
}

impl<'a> Marks<'a> {
    fn mark(&mut self, schema: &'a Value, value: &Value, pointer: &str) {
        let Value::Object(keywords) = schema else { return };
        if !self.seen.insert((std::ptr::from_ref(schema).addr(), pointer.to_owned())) {
            return;
        }
        if keywords.get("writeOnly") == Some(&Value::Bool(true)) {
            walk(value, pointer, &mut |_, at| {
                self.places.insert(at.to_owned());
            });
            return;
        }
        if let Some(target) = keywords.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'))
            && let Some(schema) = self.root.pointer(target)
        {
            self.mark(schema, value, pointer);
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            for schema in keywords.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                self.mark(schema, value, pointer);
            }
        }
        for keyword in ["if", "then", "else"] {
            if let Some(schema) = keywords.get(keyword) {
                self.mark(schema, value, pointer);
            }
        }
        match value {
            Value::Object(entries) => {
                let properties = keywords.get("properties").and_then(Value::as_object);
                for (key, item) in entries {
                    let own = properties.and_then(|properties| properties.get(key));
                    if let Some(schema) = own.or_else(|| keywords.get("additionalProperties")) {
                        self.mark(schema, item, &pointer_step(pointer, key));
                    }
                }
            }
            Value::Array(items) => {
                let prefix = keywords.get("prefixItems").and_then(Value::as_array);
                for (index, item) in items.iter().enumerate() {
                    let schema = prefix.and_then(|prefix| prefix.get(index)).or_else(|| keywords.get("items"));
                    if let Some(schema) = schema {
                        self.mark(schema, item, &format!("{pointer}/{index}"));
                    }
                }
            }
            _ => {}
        }
    }
}

/// Every text in a value, with its pointer.
fn walk(value: &Value, pointer: &str, visit: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => visit(text, pointer),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{pointer}/{index}"), visit);
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                walk(item, &pointer_step(pointer, key), visit);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_leave_and_references_stay() {
        let schema = json!({
            "properties": {"client": {"properties": {"auth": {"$ref": "#/$defs/auth"}}}},
            "$defs": {"auth": {"oneOf": [
                {"type": "string"},
                {"properties": {"type": {"const": "bearer"}, "token": {"writeOnly": true}}},
                {"properties": {"data": {"additionalProperties": {"writeOnly": true}}}}
            ]}}
        });
        let config = json!({"client": {
            "base_url": "https://API.example.com:443/v1",
            "auth": {"type": "bearer", "token": "typed", "data": {"a/b": "more", "n": "${secrets.n}"}},
            "headers": {"x": "pre-${secrets.k}-${secrets.n}"}
        }});
        let extracted = extract(&config, &schema);
        assert_eq!(extracted.config["client"]["auth"]["token"], "${secrets.config:/client/auth/token}");
        assert_eq!(extracted.config["client"]["auth"]["data"]["a/b"], "${secrets.config:/client/auth/data/a~1b}");
        assert_eq!(extracted.config["client"]["auth"]["data"]["n"], "${secrets.n}");
        assert_eq!(extracted.typed["config:/client/auth/token"].expose_secret(), "typed");
        assert_eq!(extracted.named["n"], ["/client/auth/data/n", "/client/headers/x"]);
        assert_eq!(extracted.named["k"], ["/client/headers/x"]);
        assert_eq!(extracted.origins.iter().collect::<Vec<_>>(), ["https://api.example.com"]);
        assert!(!extracted.config.to_string().contains("typed"));
    }
}
