//! Secrets: where they come from, and the only type that holds one.
//!
//! Must never print a secret, write one to disk, or hand one to anything but `egress`. `SecretString` has no `Display`,
//! shows `[REDACTED]` when debugged, and is zeroized when dropped.

pub mod rotated;
mod source;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use secrecy::{ExposeSecret, SecretString};

use crate::config::secret_places::{Extracted, references};
use crate::config::{ConfigFile, mistake};
use crate::error::{Error, ErrorKind, Result};
pub use source::SecretSource;
pub use store::SecretStore;

/// Where the secrets of a run come from. The default has none, and looks nowhere.
#[derive(Clone, Default)]
pub struct SecretSources {
    /// From `--secret NAME=SOURCE`.
    named: BTreeMap<String, SecretSource>,
    /// `secrets.toml` beside the configuration; and variables `AIRLOCK_SECRET_…`.
    user: Option<PathBuf>,
    store: Option<Arc<dyn SecretStore>>,
}

impl fmt::Debug for SecretSources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SecretSources").field("named", &self.named.keys()).finish_non_exhaustive()
    }
}

impl SecretSources {
    /// What a user gives: `flags` as typed (`NAME=SOURCE`), variables `AIRLOCK_SECRET_…`, and `secrets.toml` beside the
    /// configuration.
    ///
    /// Errors (`Usage`): no `=`, or a source of a kind that is not known.
    pub fn new(flags: &[String], config: &Path) -> Result<Self> {
        let mut sources = Self { user: Some(config.with_file_name("secrets.toml")), ..Self::default() };
        for flag in flags {
            let Some((name, source)) = flag.split_once('=') else {
                // The text may be the secret itself: it is not repeated.
                return Err(Error::new(ErrorKind::Usage, "a --secret without `=`")
                    .with_help("write --secret NAME=env:VARIABLE (or file:PATH, cmd:COMMAND, keyring:SERVICE/USER)"));
            };
            sources = sources.with(name, SecretSource::parse(name, source)?);
        }
        Ok(sources)
    }

    /// One more secret; an earlier source of the same name gives way.
    #[must_use]
    pub fn with(mut self, name: &str, source: SecretSource) -> Self {
        self.named.insert(name.to_owned(), source);
        self
    }

    /// Asked for what has no other source.
    #[must_use]
    pub fn with_store(self, store: Arc<dyn SecretStore>) -> Self {
        Self { store: Some(store), ..self }
    }

    /// The names that were given a source, whether they are needed or not.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    /// Every secret that the configuration names, and those typed into it.
    ///
    /// Errors: every one that is missing at once, each at its place in the configuration and with every place that was
    /// looked in (`Config`).
    pub async fn collect(&self, extracted: Extracted, config: &ConfigFile) -> Result<Secrets> {
        let mut values = extracted.typed;
        let in_file = self.read_file()?;
        let mut mistakes = Vec::new();
        for (name, pointers) in &extracted.named {
            match self.find(name, &in_file).await? {
                Some(secret) => {
                    values.insert(name.clone(), secret);
                }
                None => mistakes.push(self.missing(name, pointers)),
            }
        }
        if !mistakes.is_empty() {
            return Err(Error::from_diagnostics(config.locate(mistakes)));
        }
        let most = config.settings.limits.secret_bytes;
        check_size(values.values().map(|value| value.expose_secret().len()).sum(), most)?;
        Ok(Secrets { values, most, store: self.store.clone() })
    }

    async fn find(&self, name: &str, in_file: &BTreeMap<String, SecretString>) -> Result<Option<SecretString>> {
        if let Some(source) = self.named.get(name) {
            return source.read(name).map(Some);
        }
        let of_user = self.user.as_ref().and_then(|_| SecretSource::default_variable(name));
        match (of_user.or_else(|| in_file.get(name).cloned()), &self.store) {
            (None, Some(store)) => store.get(name).await,
            (found, _) => Ok(found),
        }
    }

    fn missing(&self, name: &str, pointers: &[String]) -> crate::diagnostic::Diagnostic {
        let at = pointers.first().cloned().unwrap_or_default();
        let mut diagnostic = mistake("missing-secret", at, format!("the secret `{name}` is not given"));
        diagnostic.label = Some("named here".to_owned());
        let Some(file) = &self.user else { return diagnostic };
        let state = if file.exists() { "no such key" } else { "no such file" };
        let places = [
            format!("--secret {name}=… (not given)"),
            format!("the environment variable {} (not set)", source::variable_name(name)),
            format!("`{name}` in {} ({state})", file.display()),
        ];
        diagnostic.help = Some(format!(
            "looked in: {}\ngive it, for example, with --secret {name}=env:{}",
            places.join("; "),
            name.rsplit('.').next().unwrap_or(name).to_ascii_uppercase(),
        ));
        diagnostic
    }

    fn read_file(&self) -> Result<BTreeMap<String, SecretString>> {
        let mut secrets = BTreeMap::new();
        let Some(file) = self.user.as_ref().filter(|file| file.exists()) else { return Ok(secrets) };
        let error =
            |message: String| Error::new(ErrorKind::Config, message).with_context("file", file.display().to_string());
        let text = std::fs::read_to_string(file)
            .map_err(|source| error("the secrets can't be read".to_owned()).with_source(source))?;
        // The parser's own message quotes the line, which holds a secret: only the place is said.
        let table: toml::Table = toml::from_str(&text).map_err(|mistake| {
            let line = mistake.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            error(format!("the secrets are no TOML: line {line}"))
        })?;
        flatten(&table, "", &mut secrets);
        Ok(secrets)
    }
}

/// `[a] b = "x"` is the secret `a.b`; a table `secrets` at the top adds nothing to the name.
fn flatten(table: &toml::Table, prefix: &str, secrets: &mut BTreeMap<String, SecretString>) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) if prefix.is_empty() && key == "secrets" => flatten(inner, "", secrets),
            toml::Value::Table(inner) => flatten(inner, &name, secrets),
            toml::Value::String(text) => {
                secrets.insert(name, SecretString::from(text.clone()));
            }
            other => {
                secrets.insert(name, SecretString::from(other.to_string()));
            }
        }
    }
}

/// Each byte of a secret takes hundreds to be looked for in whatever comes in.
///
/// Errors: there are more of them than `host.limits.secret_bytes` (`LimitExceeded`).
pub(crate) fn check_size(bytes: usize, most: usize) -> Result<()> {
    if bytes <= most {
        return Ok(());
    }
    let message = format!("secrets, and what credentials make of them, are larger than {most} bytes");
    Err(Error::new(ErrorKind::LimitExceeded, message).with_help("raise host.limits.secret_bytes"))
}

/// The secrets of a run, by name.
#[derive(Default)]
pub struct Secrets {
    values: BTreeMap<String, SecretString>,
    /// Of one text that they are filled into.
    most: usize,
    store: Option<Arc<dyn SecretStore>>,
}

impl Secrets {
    /// Fills the references in a text that a connector handed back.
    ///
    /// Errors (`Config`): it names a secret that the configuration does not name.
    pub fn fill(&self, reference: &str) -> Result<SecretString> {
        let mut filled = reference.to_owned();
        let names: BTreeSet<_> = references(reference).map(str::to_owned).collect();
        for name in names {
            let secret = self.values.get(&name).ok_or_else(|| {
                Error::new(ErrorKind::Config, format!("the connector asks for the secret `{name}`, which is not given"))
                    .with_help(format!(
                        "write ${{secrets.{name}}} where it is used, or, if it may be sent to an origin: host: {{secrets: {{{name}: {{origins: [\"https://…\"]}}}}}}; and give it: --secret {name}=env:{}",
                        name.to_ascii_uppercase()
                    ))
            })?;
            let named = format!("${{secrets.{name}}}");
            let expansion = filled.matches(&named).count().saturating_mul(secret.expose_secret().len());
            check_size(filled.len().saturating_add(expansion), self.most)?;
            filled = filled.replace(&named, secret.expose_secret());
        }
        check_size(filled.len(), self.most)?;
        Ok(SecretString::from(filled))
    }

    /// Who keeps those that a server rotates, if not the host itself.
    pub fn store(&self) -> Option<&Arc<dyn SecretStore>> {
        self.store.as_ref()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.values.iter().map(|(name, secret)| (name.as_str(), secret))
    }
}
