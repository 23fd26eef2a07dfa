//! Takes secrets out of a configuration before a connector sees it: the value at every place that the connector's
//! schema marks `writeOnly`. `${secrets.NAME}` stays as it is anywhere, for it is a name and not a secret.
//!
//! Must never copy a secret anywhere but into a `SecretString`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

use secrecy::SecretString;
use serde_json::Value;

use super::pointer_step;
use crate::error::{Error, ErrorKind, Result};

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
///
/// Errors: it takes more than that many steps to follow it through the configuration (`LimitExceeded`).
pub fn extract(config: &Value, schema: &Value, steps: usize) -> Result<Extracted> {
    let mut extracted = Extracted { config: config.clone(), ..Extracted::default() };
    let mut marks =
        Marks { root: schema, seen: HashSet::new(), places: BTreeSet::new(), waiting: Vec::new(), steps, spent: 0 };
    marks.mark_all(config)?;
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
    Ok(extracted)
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
/// too much out is harmless. The schema is the connector's: no recursion follows it, and every step is counted.
struct Marks<'a> {
    root: &'a Value,
    /// Pairs of subschema and value (by their addresses): a schema that branches and refers to itself would never end.
    seen: HashSet<(usize, usize)>,
    places: BTreeSet<String>,
    /// What is still to be looked at: a subschema, a value it is about, and that one's pointer.
    waiting: Vec<(&'a Value, &'a Value, Rc<str>)>,
    steps: usize,
    spent: usize,
}

impl<'a> Marks<'a> {
    fn mark_all(&mut self, config: &'a Value) -> Result<()> {
        self.mark(self.root, config, &"".into())?;
        while let Some((schema, value, pointer)) = self.waiting.pop() {
            self.look(schema, value, &pointer)?;
        }
        Ok(())
    }

    fn spend(&mut self, steps: usize) -> Result<()> {
        self.spent = self.spent.saturating_add(steps);
        if self.spent <= self.steps {
            return Ok(());
        }
        let message = format!(
            "it takes more than {} steps to follow the connector's schema through the configuration",
            self.steps
        );
        Err(Error::new(ErrorKind::LimitExceeded, message).with_help("raise host.limits.schema_steps"))
    }

    fn mark(&mut self, schema: &'a Value, value: &'a Value, pointer: &Rc<str>) -> Result<()> {
        self.spend(1)?;
        if self.seen.insert((std::ptr::from_ref(schema).addr(), std::ptr::from_ref(value).addr())) {
            self.waiting.push((schema, value, pointer.clone()));
        }
        Ok(())
    }

    fn look(&mut self, schema: &'a Value, value: &'a Value, pointer: &Rc<str>) -> Result<()> {
        let Value::Object(keywords) = schema else { return Ok(()) };
        if keywords.get("writeOnly") == Some(&Value::Bool(true)) {
            let mut count = 0;
            walk(value, pointer, &mut |_, at| {
                count += 1;
                self.places.insert(at.to_owned());
            });
            return self.spend(count);
        }
        if let Some(target) = keywords.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#')) {
            // A step for each one in the pointer, however long it is.
            self.spend(target.len() / 16)?;
            if let Some(schema) = self.root.pointer(target) {
                self.mark(schema, value, pointer)?;
            }
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            for schema in keywords.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                self.mark(schema, value, pointer)?;
            }
        }
        for keyword in ["if", "then", "else"] {
            if let Some(schema) = keywords.get(keyword) {
                self.mark(schema, value, pointer)?;
            }
        }
        match value {
            Value::Object(entries) => {
                let properties = keywords.get("properties").and_then(Value::as_object);
                for (key, item) in entries {
                    let own = properties.and_then(|properties| properties.get(key));
                    if let Some(schema) = own.or_else(|| keywords.get("additionalProperties")) {
                        self.mark(schema, item, &pointer_step(pointer, key).into())?;
                    }
                }
            }
            Value::Array(items) => {
                let prefix = keywords.get("prefixItems").and_then(Value::as_array);
                for (index, item) in items.iter().enumerate() {
                    let schema = prefix.and_then(|prefix| prefix.get(index)).or_else(|| keywords.get("items"));
                    if let Some(schema) = schema {
                        self.mark(schema, item, &format!("{pointer}/{index}").into())?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
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
        let extracted = extract(&config, &schema, 1000).unwrap();
        assert_eq!(extracted.config["client"]["auth"]["token"], "${secrets.config:/client/auth/token}");
        assert_eq!(extracted.config["client"]["auth"]["data"]["a/b"], "${secrets.config:/client/auth/data/a~1b}");
        assert_eq!(extracted.config["client"]["auth"]["data"]["n"], "${secrets.n}");
        assert_eq!(extracted.typed["config:/client/auth/token"].expose_secret(), "typed");
        assert_eq!(extracted.named["n"], ["/client/auth/data/n", "/client/headers/x"]);
        assert_eq!(extracted.named["k"], ["/client/headers/x"]);
        assert_eq!(extracted.origins.iter().collect::<Vec<_>>(), ["https://api.example.com"]);
        assert!(!extracted.config.to_string().contains("typed"));
    }

    /// Each would overflow the stack, or take minutes and gigabytes.
    #[test]
    fn schemas_that_are_weapons() {
        let chain = |length: usize| {
            let link = |number: usize| (format!("d{number}"), json!({"$ref": format!("#/$defs/d{}", number + 1)}));
            let mut definitions: serde_json::Map<String, Value> = (0..length).map(link).collect();
            definitions.insert(format!("d{length}"), json!({"properties": {"a": {"writeOnly": true}}}));
            json!({"$ref": "#/$defs/d0", "$defs": definitions})
        };
        let config = json!({"a": "secret"});
        let extracted = extract(&config, &chain(100_000), 1_000_000).unwrap();
        assert_eq!(extracted.places().collect::<Vec<_>>(), ["/a"]);
        let wide: Value = (0..1000).map(|number| (format!("k{number}"), json!(["x", "y"]))).collect();
        let branches = json!([{"additionalProperties": {"items": {"$ref": "#"}}}]);
        let branching = json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}], "allOf": branches});
        assert!(extract(&wide, &branching, 1_000_000).is_ok(), "the same pairs again and again");
        let many: Value = (0..10_000).map(|_| branches[0].clone()).collect();
        let long = format!("#/{}", "x/".repeat(1_000_000));
        for (name, schema) in [
            ("a chain", chain(200_000)),
            ("schema × configuration", json!({"anyOf": many})),
            ("a long pointer", json!({"additionalProperties": {"items": {"$ref": long}}})),
        ] {
            let error = extract(&wide, &schema, 100_000).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{name}");
            assert!(error.help()[0].contains("host.limits.schema_steps"), "{name}");
        }
    }
}
