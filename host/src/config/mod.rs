//! The configuration file: read once, as a JSON value with the place of every key and value.
//!
//! Must never know what the keys mean to a connector (only `host:` and `x-…` are the host's), and never give a secret
//! away: `secret_places` takes them out before the connector is asked anything.

mod document;
mod environment;
mod host_section;
mod quoting;
pub mod secret_binding;
pub mod secret_places;
pub mod settings;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::error::{Error, ErrorKind, Result};
pub use environment::Variables;
pub use host_section::with_host;
pub use settings::Settings;

/// A configuration file as it was read.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    pub path: PathBuf,
    /// What the connector is to see, before secrets are taken out: without `host` and `x-…`, `${env.X}` filled in.
    pub value: Value,
    /// What stood under `host`.
    pub settings: Settings,
    /// As it may be quoted: what may be a secret is starred.
    source: Arc<str>,
    /// As it stands in the file, and what was read there.
    raw: SecretString,
    whole: Value,
    places: Places,
}

/// What a configuration's text may have of the machine that it is read on.
#[derive(Debug, Clone)]
pub struct Reach {
    pub variables: Variables,
    /// Whether it may have a section `host:`.
    pub host_section: bool,
}

impl Reach {
    /// Everything: who wrote it runs it.
    pub fn operator() -> Self {
        Self { variables: Variables::Environment, host_section: true }
    }

    /// Nothing: somebody else wrote it.
    pub fn tenant() -> Self {
        Self { variables: Variables::Only(BTreeMap::new()), host_section: false }
    }
}

/// The steps of the longest pointer: YAML and TOML stop before, and JSON at 128.
const DEEPEST: usize = 128;

/// Byte spans of keys and values, by JSON Pointer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    keys: HashMap<String, Range<usize>>,
    values: HashMap<String, Range<usize>>,
    /// Where else values of these pointers stand: behind a `<<`, whether they count or not.
    merged: Vec<(String, Range<usize>)>,
}

impl Places {
    /// `is_merged`: from another mapping, so that what stands there already counts.
    fn add_value(&mut self, pointer: &str, span: Range<usize>, is_merged: bool) {
        if is_merged {
            self.merged.push((pointer.to_owned(), span.clone()));
            self.values.entry(pointer.to_owned()).or_insert(span);
        } else {
            self.values.insert(pointer.to_owned(), span);
        }
    }

    fn add_key(&mut self, pointer: &str, span: Range<usize>, is_merged: bool) {
        if is_merged {
            self.keys.entry(pointer.to_owned()).or_insert(span);
        } else {
            self.keys.insert(pointer.to_owned(), span);
        }
    }
}

impl ConfigFile {
    /// Reads YAML, JSON or TOML, by the file's ending (anything else: YAML).
    ///
    /// Errors: the file can't be read (`Usage`); it can't be parsed, names an unset `${env.X}` or has a mistake under
    /// `host` (`Config`, each with its place).
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| {
            Error::new(ErrorKind::Usage, format!("the configuration {} can't be read", path.display()))
                .with_help("give an existing file with --config FILE")
                .with_source(source)
        })?;
        Self::parse(path, &text)
    }

    /// Like `load`, for a text that is already there.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        Self::parse_within(path, text, &Reach::operator())
    }

    /// Like `parse`, for a text that somebody else wrote; `path` is only its name.
    ///
    /// Errors: as of `load`; and it wants what it may not have (`Config`).
    pub fn parse_within(path: &Path, text: &str, reach: &Reach) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let (mut value, places) = document::parse(text, ending).map_err(|mistake| {
            Error::from_diagnostics(vec![Diagnostic {
                severity: Severity::Error,
                code: "syntax".to_owned(),
                at: String::new(),
                message: mistake.message,
                label: None,
                help: mistake.help,
                place: Some(Place {
                    file: path.display().to_string(),
                    source: quoting::quoted_unread(text).into(),
                    span: mistake.span,
                }),
            }])
        })?;
        let whole = value.clone();
        let mut mistakes = Vec::new();
        environment::fill(&mut value, &reach.variables, &mut mistakes);
        if !reach.host_section && value.get("host").is_some() {
            mistakes.push(mistake(
                "not-yours",
                "/host",
                "how connectors are treated is not for this configuration to say",
            ));
        }
        let settings = host_section::take(&mut value, &mut mistakes);
        if let Value::Object(entries) = &mut value {
            entries.retain(|key, _| !key.starts_with("x-"));
        }
        let raw = SecretString::from(text.to_owned());
        let mut file = Self { path: path.to_owned(), value, settings, source: "".into(), raw, whole, places };
        file.know(&Value::Null);
        if mistakes.is_empty() { Ok(file) } else { Err(Error::from_diagnostics(file.locate(mistakes))) }
    }

    /// Learns from the connector's schema which values may be quoted. Before, only what stands under `host` may.
    pub fn know(&mut self, schema: &Value) {
        let mut harmless = HashSet::new();
        quoting::harmless(
            &self.whole,
            &with_host(if schema.is_object() { schema.clone() } else { json!({}) }),
            &mut harmless,
        );
        self.source = quoting::quoted(self.raw.expose_secret(), &self.places, &harmless).into();
    }

    /// Puts stars over the values at these pointers, so that no message shows them when it quotes the file.
    pub fn mask<'a>(&mut self, pointers: impl Iterator<Item = &'a str>) {
        let pointers: HashSet<&str> = pointers.collect();
        let mut bytes = self.source.as_bytes().to_vec();
        let merged = self.places.merged.iter().map(|(pointer, span)| (pointer, span));
        let spans = self.places.values.iter().chain(merged).filter(|(pointer, _)| pointers.contains(pointer.as_str()));
        for (_, span) in spans {
            for byte in bytes.get_mut(span.clone()).into_iter().flatten().filter(|byte| **byte != b'\n') {
                *byte = b'*';
            }
        }
        // A span covers whole characters, so this stays UTF-8.
        self.source = String::from_utf8_lossy(&bytes).into();
    }

    /// Adds file, line and column to diagnostics that carry a pointer only.
    #[must_use]
    pub fn locate(&self, mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
        for diagnostic in &mut diagnostics {
            if diagnostic.place.is_none() {
                diagnostic.place = Some(self.place(&diagnostic.at));
            }
        }
        diagnostics
    }

    /// The place of a pointer; of the nearest ancestor that is there, if it is not.
    pub fn place(&self, pointer: &str) -> Place {
        let span = match pointer.strip_suffix("/~key") {
            Some(key) => self.places.keys.get(key).or_else(|| self.places.values.get(key)).cloned(),
            None => None,
        };
        let at = pointer.strip_suffix("/~key").unwrap_or(pointer);
        // Nothing in the file is deeper, whatever a connector points at.
        let mut at = &at[..at.match_indices('/').nth(DEEPEST).map_or(at.len(), |(end, _)| end)];
        let span = span.unwrap_or_else(|| {
            loop {
                let known = if at.len() == pointer.len() {
                    self.places.values.get(at)
                } else {
                    // The nearest ancestor: its key says more than its whole value.
                    self.places.keys.get(at).or_else(|| self.places.values.get(at))
                };
                if let Some(span) = known {
                    return span.clone();
                }
                match at.rfind('/') {
                    Some(slash) => at = &at[..slash],
                    None => return 0..0,
                }
            }
        });
        // The first line of a text of many is enough to point at it.
        let shown = self.source.get(span.clone()).map_or(span.len(), |text| document::first_line(text).len());
        let span = span.start..span.start + shown;
        Place { file: self.path.display().to_string(), source: self.source.clone(), span }
    }

    /// The name that a pipeline has unless told otherwise: the file's, without its ending.
    pub fn pipeline_name(&self) -> String {
        let stem = self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("pipeline");
        let name: String =
            stem.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
        if name.chars().next().is_none_or(|first| first.is_ascii_digit()) { format!("_{name}") } else { name }
    }
}

/// One step of a JSON Pointer, escaped (RFC 6901).
pub(crate) fn pointer_step(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// An error diagnostic of the host itself.
pub(crate) fn mistake(code: &str, at: impl Into<String>, message: impl Into<String>) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: code.to_owned(),
        at: at.into(),
        message: message.into(),
        label: None,
        help: None,
        place: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_keys_and_values() {
        for (file, text) in [
            ("a.yaml", "# für\nclient:\n  base_url: \"x\" # ü\n  auth: {type: bearer}\nlist:\n  - a\n  - b: 1\n"),
            ("a.toml", "list = [\"a\", {b = 1}]\n[client]\nbase_url = \"x\"\nauth = {type = \"bearer\"}\n"),
            (
                "a.json",
                "{\"client\": {\"base_url\": \"x\", \"auth\": {\"type\": \"bearer\"}}, \"list\": [\"a\", {\"b\": 1}]}",
            ),
        ] {
            let config = ConfigFile::parse(Path::new(file), text).unwrap();
            assert_eq!(config.value["client"]["base_url"], "x", "{file}");
            let shown = |pointer: &str| text[config.place(pointer).span].to_owned();
            assert_eq!(shown("/client/auth/type").trim_matches('"'), "bearer", "{file}");
            assert_eq!(shown("/client/auth/~key").trim_matches('"'), "auth", "{file}");
            assert_eq!(shown("/list/1/b"), "1", "{file}");
            assert_eq!(shown("/client/missing").trim_matches('"'), "client", "{file}");
        }
    }

    #[test]
    fn valid_json_is_read() {
        let text = "{\"a\": \"\\ud83d\\ude00 \\/\", \"b\": [1.50, 12345678901234567890, -1e3, true, null]}";
        let config = ConfigFile::parse(Path::new("a.json"), text).unwrap();
        let expected = serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(config.value, expected);
        for text in ["{\"a\": 1, \"a\": 2}", "{\"a\": 1,}", "{'a': 1}", "// x\n{}"] {
            let error = ConfigFile::parse(Path::new("a.json"), text).unwrap_err();
            assert_eq!(error.diagnostics()[0].code, "syntax", "{text}");
        }
    }

    #[test]
    fn a_reference_that_must_be_quoted() {
        for (text, reference) in [
            ("client: {auth: {type: bearer, token: ${secrets.x}}}\n", Some("${secrets.x}")),
            ("client:\n  auth: {\n    type: bearer, # ${not.it}\n    token: ${secrets.x}\n  }\n", Some("${secrets.x}")),
            ("a: ['it''s', ${env.Y}]\n", Some("${env.Y}")),
            ("a: ${secrets.x}\nb: [1\nc: 2\n", None),
            ("a: {b: \"${secrets.x}\"}\nb: [1\nc: 2\n", None),
        ] {
            let error = ConfigFile::parse(Path::new("a.yaml"), text).unwrap_err();
            let found = &error.diagnostics()[0];
            let shown = found.place.as_ref().map(|place| &text[place.span.clone()]);
            let is_said = found.help.as_deref() == reference.map(|text| format!("quote it: \"{text}\"")).as_deref();
            assert_eq!(is_said && shown == reference, reference.is_some(), "{text}: {found:?}");
        }
    }

    #[test]
    fn typed_secrets_are_starred_wherever_they_stand() {
        for (file, text) in [
            ("a.yaml", "x-a: &a {token: hunter2-old, typ: y}\nauth: {token: hunter2, <<: *a}\n"),
            ("a.yaml", "x-a: &a {token: hunter2}\nauth:\n  <<: [*a, {token: hunter2}]\n  x: 1\n"),
            ("a.yaml", "auth:\n  token: |\n    -----BEGIN KEY-----\n    hunter2\n    -----END KEY-----\n  x: 1\n"),
            ("a.yaml", "auth:\n  token: \"a\n    hunter2\n    b\"\n  x: 1\n"),
            ("a.toml", "[auth]\ntoken = \"\"\"\nbegin\nhunter2\n\"\"\"\nx = 1\n"),
            ("a.json", "{\"auth\": {\"token\": \"a\\nhunter2\", \"x\": 1}}"),
        ] {
            let mut config = ConfigFile::parse(Path::new(file), text).unwrap();
            config.mask(["/auth/token"].into_iter());
            let place = config.place("/auth/token");
            assert!(!place.source.contains("hunter2"), "{}", place.source);
            assert!(!place.source[place.span].contains('\n'), "{text}");
            assert_eq!(place.source.len(), text.len());
        }
    }

    #[test]
    fn what_is_the_hosts_is_taken_out() {
        let text = "host: {retry: {max_retries: 5}}\nx-anchors: 1\nclient: {}\n";
        let config = ConfigFile::parse(Path::new("a.yaml"), text).unwrap();
        assert_eq!(config.value, serde_json::json!({"client": {}}));
        assert_eq!(config.settings.retry.max_retries, 5);
    }

    #[test]
    fn mistakes_come_all_at_once_with_their_places() {
        let text = "host: {retry: {max_retrys: 5}}\na: ${env.AIRLOCK_TEST_IS_NOT_SET}\n";
        let error = ConfigFile::parse(Path::new("a.yaml"), text).unwrap_err();
        let places: Vec<_> = error.diagnostics().iter().map(|d| d.place.as_ref().unwrap().line_and_column()).collect();
        assert_eq!(places, [(2, 4), (1, 16)]);
    }

    /// Each would overflow the stack, fill the memory or take minutes.
    #[test]
    fn files_that_are_weapons() {
        let bomb = (1..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, number| {
            text + &format!("a{number}: &a{number} [*a{0}, *a{0}]\n", number - 1)
        });
        let merged = bomb.replace("[x, x]", "{x: 1}").replace('[', "{<<: [").replace(']', "]}");
        let stairs = (1..2000).fold("a0: &a0 [x]\n".to_owned(), |text, number| {
            text + &format!("a{number}: &a{number} [[[[[[*a{}]]]]]]\n", number - 1)
        });
        let wide = format!("a: [{}]", "{b: é}, ".repeat(100_000));
        let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
        for (name, file, text, is_read) in [
            ("a bomb of aliases", "a.yaml", bomb.as_str(), false),
            ("a bomb of merge keys", "a.yaml", &merged, false),
            ("aliases as stairs", "a.yaml", &stairs, false),
            ("deep lists", "a.yaml", &deep("- ", ""), false),
            ("deep keys", "a.yaml", &deep("? ", ""), false),
            ("deep brackets", "a.yaml", &deep("[", "]"), false),
            ("one long line", "a.yaml", &wide, true),
            ("deep JSON", "a.json", &deep("[", "]"), false),
            ("deep JSON objects", "a.json", &deep("{\"a\":", ""), false),
            ("deep TOML", "a.toml", &format!("a = {}", deep("[", "]")), false),
            ("deep TOML tables", "a.toml", &format!("[a{}]", ".a".repeat(100_000)), false),
            ("deep TOML keys", "a.toml", &format!("a{} = 1", ".a".repeat(100_000)), false),
        ] {
            let started = std::time::Instant::now();
            assert_eq!(ConfigFile::parse(Path::new(file), text).is_ok(), is_read, "{name}");
            assert!(started.elapsed().as_secs() < 20, "{name}: {:?}", started.elapsed());
        }
        let config = ConfigFile::parse(Path::new("a.yaml"), "a: {b: 1}").unwrap();
        assert_eq!(config.place(&format!("/a{}", "/".repeat(5_000_000))).span, 0..1);
    }

    #[test]
    fn syntax_errors_have_a_place() {
        for (file, text) in [("a.yaml", "a: [1\nb: 2"), ("a.toml", "a = ["), ("a.json", "{\"a\": }")] {
            let error = ConfigFile::parse(Path::new(file), text).unwrap_err();
            assert_eq!(error.diagnostics().len(), 1, "{file}");
            assert_eq!(error.diagnostics()[0].code, "syntax", "{file}");
        }
    }

    #[test]
    fn pipeline_names() {
        for (file, name) in [("pm.yaml", "pm"), ("a/My-API.json", "my_api"), ("2024.toml", "_2024")] {
            let config = ConfigFile::parse(Path::new(file), if file.ends_with("json") { "{}" } else { "" }).unwrap();
            assert_eq!(config.pipeline_name(), name);
        }
    }
}
