//! What stands under `host:` → settings, with every mistake at once; and the JSON Schema of it, for editors.
//!
//! The types in `settings` are the grammar: their defaults say which keys there are. Must never hold a secret.

use serde_json::{Map, Value, json};

use super::settings::Settings;
use super::{mistake, pointer_step, secret_places};
use crate::diagnostic::Diagnostic;

/// Takes `host` out of the configuration; what is wrong with it is added to `mistakes`.
pub(super) fn take(config: &mut Value, mistakes: &mut Vec<Diagnostic>) -> Settings {
    let Some(written) = config.as_object_mut().and_then(|entries| entries.remove("host")) else {
        return Settings::default();
    };
    let mut known = json!(Settings::default());
    read(&written, &mut known, &[], mistakes);
    serde_json::from_value(known).unwrap_or_default()
}

/// A connector's schema of its configuration, with the `host` section added.
pub fn with_host(mut schema: Value) -> Value {
    let mut host = schemars::schema_for!(Settings).to_value();
    let definitions = host.as_object_mut().and_then(|host| host.remove("$defs"));
    if let Some(host) = host.as_object_mut() {
        host.remove("$schema");
        host.insert("description".to_owned(), json!("How the host treats this connector."));
    }
    let mut add = |section: &str, name: &str, value: Value| {
        if let Some(schema) = schema.as_object_mut()
            && let Some(section) = schema.entry(section).or_insert_with(|| json!({})).as_object_mut()
        {
            section.insert(name.to_owned(), value);
        }
    };
    add("properties", "host", host);
    if let Some(Value::Object(definitions)) = definitions {
        for (name, definition) in definitions {
            add("$defs", &name, definition);
        }
    }
    schema
}

/// Puts what is written into `known`, which holds the defaults: an object is a section, anything else a setting.
fn read(written: &Value, known: &mut Value, path: &[&str], mistakes: &mut Vec<Diagnostic>) {
    let at = path.iter().fold("/host".to_owned(), |pointer, key| pointer_step(&pointer, key));
    match (written, known) {
        // `host:` with nothing behind it.
        (Value::Null, _) => {}
        // A default without keys: the names are the operator's.
        (value @ Value::Object(_), Value::Object(section)) if section.is_empty() => match check(value, path) {
            Ok(()) => {
                section
                    .extend(value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
            }
            Err(message) => mistakes.push(mistake("wrong-value", at, message)),
        },
        (Value::Object(entries), Value::Object(section)) => {
            for (key, value) in entries {
                match section.get_mut(key) {
                    Some(known) => read(value, known, &[path, &[key.as_str()]].concat(), mistakes),
                    None => mistakes.push(unknown_key(&pointer_step(&at, key), key, section)),
                }
            }
        }
        (_, Value::Object(section)) => {
            let mut found = mistake("wrong-type", at, "expected a mapping");
            found.help = (!section.is_empty()).then(|| format!("its keys are {}", listed(section)));
            mistakes.push(found);
        }
        (value, setting) => match check(value, path) {
            Ok(()) => setting.clone_from(value),
            Err(message) => mistakes.push(mistake("wrong-value", at, message)),
        },
    }
}

/// Whether one setting alone can be read, and makes sense.
fn check(value: &Value, path: &[&str]) -> Result<(), String> {
    let name = path.last().copied().unwrap_or_default();
    let mut alone = value.clone();
    for key in path.iter().rev() {
        alone = json!({ *key: alone });
    }
    serde_json::from_value::<Settings>(alone).map_err(|error| expected(&error.to_string()))?;
    if path == ["secrets"] {
        let settings = value.as_object().into_iter().flat_map(|entries| entries.values());
        let origins = settings.flat_map(|settings| settings["origins"].as_array()).flatten();
        let mut texts = origins.filter_map(Value::as_str);
        if let Some(text) = texts.find(|text| !is_origin(text)) {
            return Err(format!("`{text}` is no origin: write scheme and host, such as https://api.example.com"));
        }
    }
    let least = match name {
        "concurrency" | "concurrent_requests" | "package_rows" | "package_bytes" | "backoff_factor" => 1.0,
        _ => 0.0,
    };
    let number = value.as_f64().unwrap_or(least);
    let must_be_more = name == "requests_per_second" || path.first() == Some(&"limits") && name.ends_with("_secs");
    if must_be_more && number <= 0.0 {
        return Err("must be more than 0".to_owned());
    }
    if number < least {
        return Err(format!("must be at least {least}"));
    }
    if name.ends_with("_secs") && number > LONGEST_SECS {
        return Err(format!("must be at most {LONGEST_SECS} seconds"));
    }
    Ok(())
}

/// Scheme, host and port, and nothing else.
fn is_origin(text: &str) -> bool {
    let plain = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
    let port = |origin: &str| match origin.starts_with("https:") {
        true => format!("{origin}:443"),
        false => format!("{origin}:80"),
    };
    secret_places::origin(text).is_some_and(|origin| plain == origin || plain == port(&origin))
}

/// Ten years: more than any timer takes.
const LONGEST_SECS: f64 = 315_360_000.0;

/// What serde says, in the words of who writes a configuration.
fn expected(message: &str) -> String {
    let wanted = message.rsplit_once("expected ").map_or(message, |(_, wanted)| wanted);
    let kind = match wanted.split(' ').next().unwrap_or_default().trim_matches(',') {
        "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "f64" => "a number",
        "a" if wanted.starts_with("a string") => "a text",
        "a" if wanted.starts_with("a boolean") => "true or false",
        "a" if wanted.starts_with("a sequence") => "a list",
        _ => return message.to_owned(),
    };
    format!("expected {kind}")
}

fn unknown_key(at: &str, key: &str, section: &Map<String, Value>) -> Diagnostic {
    let mut found = mistake("unknown-key", format!("{at}/~key"), format!("unknown key `{key}`"));
    let close = section
        .keys()
        .map(|known| (strsim::osa_distance(key, known), known))
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .min();
    match close {
        Some((_, known)) => found.label = Some(format!("did you mean `{known}`?")),
        None => found.help = Some(format!("known here: {}", listed(section))),
    }
    found
}

fn listed(section: &Map<String, Value>) -> String {
    section.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(host: Value) -> (Settings, Vec<(String, String)>) {
        let mut mistakes = Vec::new();
        let settings = take(&mut json!({ "host": host }), &mut mistakes);
        (settings, mistakes.into_iter().map(|found| (found.at, found.message)).collect())
    }

    #[test]
    fn settings_are_read() {
        let (settings, mistakes) = taken(json!({"retry": {"max_retries": 5}, "concurrency": 2, "limits": null}));
        assert_eq!(mistakes, []);
        assert_eq!((settings.retry.max_retries, settings.concurrency), (5, Some(2)));
        assert_eq!(settings.retry.backoff_factor, Settings::default().retry.backoff_factor);
    }

    #[test]
    fn every_mistake_is_said_at_once() {
        let cases = [
            (json!({"proxi": "x"}), "/host/proxi/~key", "unknown key `proxi`"),
            (json!({"retry": {"max_retrys": 5}}), "/host/retry/max_retrys/~key", "unknown key `max_retrys`"),
            (json!({"retry": 5}), "/host/retry", "expected a mapping"),
            (json!({"retry": {"jitter": "maybe"}}), "/host/retry/jitter", "expected true or false"),
            (json!({"retry": {"max_retries": -1}}), "/host/retry/max_retries", "expected a whole number, 0 or more"),
            (json!({"retry": {"backoff_factor": 0.5}}), "/host/retry/backoff_factor", "must be at least 1"),
            (json!({"allow": "https://a"}), "/host/allow", "expected a list"),
            (json!({"secrets": ["x"]}), "/host/secrets", "expected a mapping"),
            (
                json!({"secrets": {"x": {"origins": ["https://a.org", "https://u@b.org"]}}}),
                "/host/secrets",
                "`https://u@b.org` is no origin: write scheme and host, such as https://api.example.com",
            ),
            (json!({"concurrency": 0}), "/host/concurrency", "must be at least 1"),
            (json!({"limits": {"page_secs": 0}}), "/host/limits/page_secs", "must be more than 0"),
            (json!({"limits": {"cpu_secs": 1e300}}), "/host/limits/cpu_secs", "must be at most 315360000 seconds"),
            (
                json!({"rate_limit": {"requests_per_second": "x"}}),
                "/host/rate_limit/requests_per_second",
                "expected a number",
            ),
        ];
        let mut all = json!({});
        for (host, at, message) in &cases {
            assert_eq!(taken(host.clone()).1, [((*at).to_owned(), (*message).to_owned())]);
            for (key, value) in host.as_object().unwrap() {
                all[key] = value.clone();
            }
        }
        assert_eq!(taken(all).1.len(), 7);
    }

    #[test]
    fn the_schema_says_what_each_setting_is() {
        let schema = with_host(json!({"properties": {"client": {}}}));
        assert_eq!(schema["properties"]["client"], json!({}));
        assert_eq!(schema["properties"]["host"]["properties"]["retry"]["$ref"], "#/$defs/Retry");
        let described = &schema["$defs"]["Limits"]["properties"]["memory_bytes"];
        assert!(described["description"].is_string(), "{described}");
    }
}
