//! Where secrets belong: the operator's word, read from where they stand in the configuration.
//!
//! A secret belongs to the origins of the URLs beside it: those in the nearest object around it that holds one. If no
//! object around it does, it belongs to the origins of the URLs that stand highest in the file. What a secret is
//! exchanged for at a token endpoint goes one object further out: in `{base_url: A, auth: {token_url: B, secret: …}}`
//! the secret goes to B, and the token that B gives for it to A. `host.secrets` overrules all of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::secret_places::{origin, references};
use super::settings::SecretSettings;

type Origins = BTreeSet<String>;

/// Where one secret may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binding {
    /// By the objects around it, or by `host.secrets`.
    beside: Origins,
    /// Where nothing stood beside it: the URLs that stand highest.
    highest: Origins,
    /// Where what it is exchanged for may go, besides.
    further: Origins,
}

impl Binding {
    /// Where the secret itself may go.
    pub fn origins(&self) -> Origins {
        self.beside.union(&self.highest).cloned().collect()
    }

    /// Those that stand beside it, not those that are only somewhere in the file.
    pub fn beside(&self) -> &Origins {
        &self.beside
    }

    pub fn takes(&self, origin: &str) -> bool {
        self.beside.contains(origin) || self.highest.contains(origin)
    }

    /// Whether what it is exchanged for may go there.
    pub fn takes_exchanged(&self, origin: &str) -> bool {
        self.takes(origin) || self.further.contains(origin)
    }
}

/// Where each secret belongs that `config` names, or that is `revealed` to the connector, which stands nowhere.
pub fn bindings(
    config: &Value,
    revealed: &[String],
    settings: &BTreeMap<String, SecretSettings>,
) -> BTreeMap<String, Binding> {
    let mut walk = Walk { highest: highest(config), around: Vec::new(), found: BTreeMap::new() };
    walk.value(config);
    let mut found = walk.found;
    for name in revealed {
        let binding = || Binding { highest: walk.highest.clone(), ..Binding::default() };
        found.entry(name.clone()).or_insert_with(binding);
    }
    for (name, settings) in settings {
        let beside = settings.origins.iter().filter_map(|text| origin(text)).collect();
        found.insert(name.clone(), Binding { beside, ..Binding::default() });
    }
    found
}

struct Walk {
    highest: Origins,
    /// Of each object around that holds URLs, from the outermost, their origins.
    around: Vec<Origins>,
    found: BTreeMap<String, Binding>,
}

impl Walk {
    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(entries) => {
                let own: Origins = entries.values().filter_map(Value::as_str).filter_map(origin).collect();
                let holds_urls = !own.is_empty();
                if holds_urls {
                    self.around.push(own);
                }
                entries.values().for_each(|item| self.value(item));
                if holds_urls {
                    self.around.pop();
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        // In a URL itself it belongs to that one.
        let own = origin(text).map(|origin| BTreeSet::from([origin]));
        let (beside, outer) = match (&own, self.around.as_slice()) {
            (Some(own), outer) => (Some(own), outer.last()),
            (None, [outer @ .., beside]) => (Some(beside), outer.last()),
            (None, []) => (None, None),
        };
        for name in references(text) {
            let binding = self.found.entry(name.to_owned()).or_default();
            match beside {
                Some(beside) => {
                    binding.beside.extend(beside.iter().cloned());
                    binding.further.extend(outer.unwrap_or(&self.highest).iter().cloned());
                }
                None => binding.highest.extend(self.highest.iter().cloned()),
            }
        }
    }
}

/// The origins of the URLs with the fewest steps to them.
fn highest(config: &Value) -> Origins {
    let mut level = vec![config];
    while !level.is_empty() {
        let origins: Origins = level.iter().filter_map(|value| origin(value.as_str()?)).collect();
        if !origins.is_empty() {
            return origins;
        }
        level = level.into_iter().flat_map(inner).collect();
    }
    Origins::new()
}

fn inner(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(entries) => entries.values().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_belong_to_what_stands_beside_them() {
        let s = "${secrets.s}";
        let (a, b, c) = ("https://a.org", "https://b.org", "https://c.org");
        let cases = [
            (json!({"base_url": "https://a.org/v1", "token": s}), vec![a], vec![a]),
            (json!({"client": {"base_url": a, "auth": {"token": s}, "headers": {"u": b}}}), vec![a], vec![a]),
            // The token endpoint's goes there, and the token to the API.
            (json!({"client": {"base_url": a, "auth": {"url": "https://b.org/token", "x": s}}}), vec![b], vec![a, b]),
            (
                json!({"client": {"base_url": a}, "r": [{"path": "https://b.org/x", "auth": {"k": s}}]}),
                vec![b],
                vec![a, b],
            ),
            (json!({"client": {"base_url": a}, "r": [{"path": "x", "auth": {"url": b, "k": s}}]}), vec![b], vec![a, b]),
            // Beside none: what stands highest.
            (
                json!({"client": {"base_url": a}, "r": [{"e": {"path": b}}, {"e": {"auth": {"k": s}}}]}),
                vec![a],
                vec![a],
            ),
            (
                json!({"client": {"auth": {"k": s}}, "r": [{"e": {"path": b}}, {"e": {"path": c}}]}),
                vec![b, c],
                vec![b, c],
            ),
            // In a URL: that one's.
            (json!({"client": {"base_url": a}, "r": ["https://b.org/${secrets.s}/x"]}), vec![b], vec![a, b]),
            // In two places: both.
            (json!({"base_url": a, "token": s, "r": [{"url": b, "k": s}]}), vec![a, b], vec![a, b]),
            // Nothing that only looks like a URL.
            (json!({"base_url": a, "r": {"path": "https:b.org", "u": "see https://c.org", "k": s}}), vec![a], vec![a]),
        ];
        for (config, direct, exchanged) in cases {
            let binding = &bindings(&config, &[], &BTreeMap::new())["s"];
            for origin in [a, b, c] {
                assert_eq!(binding.takes(origin), direct.contains(&origin), "{config}: {origin}");
                assert_eq!(binding.takes_exchanged(origin), exchanged.contains(&origin), "{config}: {origin}");
            }
        }
    }

    #[test]
    fn the_operator_overrules() {
        let config = json!({"base_url": "https://a.org", "token": "${secrets.s}"});
        let settings = BTreeMap::from([
            ("s".to_owned(), SecretSettings { origins: vec!["https://b.org".to_owned()] }),
            ("nowhere".to_owned(), SecretSettings { origins: vec!["https://c.org:444".to_owned()] }),
        ]);
        let bindings = bindings(&config, &["revealed".to_owned()], &settings);
        assert!(bindings["s"].takes("https://b.org") && !bindings["s"].takes_exchanged("https://a.org"));
        assert!(bindings["nowhere"].takes("https://c.org:444"));
        assert!(bindings["revealed"].takes("https://a.org"));
    }
}
