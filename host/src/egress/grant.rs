//! What a run may reach: the operator's grants, and the credentials that belong to each origin.
//!
//! An origin is granted by standing in the operator's own configuration, or by `--allow`. What a connector asks for
//! grants nothing. Must never grant an origin that no operator wrote down.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use super::address::AddressClass;
use super::credential::Credential;
use super::references::Known;
use crate::config::secret_places;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secrets;

/// `scheme://host[:port]`, as `Url` prints it.
type Origin = String;

/// What the operator granted and what the connector asked for, put together.
#[derive(Debug, Default)]
pub struct Grants {
    /// From the configuration file.
    configured: BTreeSet<Origin>,
    /// From `--allow` and `host.allow`; private addresses included.
    allowed: Vec<Pattern>,
    /// By origin, in the order in which the connector named them.
    credentials: BTreeMap<Origin, Vec<(String, Arc<Credential>)>>,
    /// Secrets that a credential is made of, by name, with the origins that credential belongs to.
    bound: BTreeMap<String, BTreeSet<Origin>>,
}

/// An origin of `--allow`; `https://*.example.com` stands for every host one label below.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    scheme: String,
    host: String,
    port: u16,
}

impl Grants {
    /// `allow`: as typed by the operator. Errors (`Usage`): one of them is no origin.
    pub fn new(configured: BTreeSet<Origin>, allow: &[String]) -> Result<Self> {
        let allowed = allow.iter().map(|text| Pattern::parse(text)).collect::<Result<_>>()?;
        Ok(Self { configured, allowed, ..Self::default() })
    }

    /// Adds what the connector asked for; `secrets`: the names of those that the credentials are made of.
    ///
    /// Errors: an origin that is not granted, with the line to paste (`Denied`); not an origin at all (`Connector`).
    pub fn ask(&mut self, origin: &str, credentials: Vec<(String, Credential)>, secrets: &[String]) -> Result<()> {
        // Nothing but an origin: a path, a query or white space is a mistake, or an attempt to show something else.
        let is_plain = Url::parse(origin).is_ok_and(|url| {
            url.path() == "/"
                && url.query().is_none()
                && url.fragment().is_none()
                && !origin.contains(char::is_whitespace)
        });
        let url = secret_places::origin(origin).filter(|_| is_plain).and_then(|origin| Url::parse(&origin).ok());
        let Some(url) = url else {
            return Err(Error::new(
                ErrorKind::Connector,
                format!("the connector asks for `{}`, which is no origin", printable(origin)),
            ));
        };
        self.check(&url)?;
        credentials.iter().try_for_each(|(_, credential)| credential.check())?;
        for secret in secrets {
            self.bound.entry(secret.clone()).or_default().insert(url.origin().ascii_serialization());
        }
        let known = self.credentials.entry(url.origin().ascii_serialization()).or_default();
        known.extend(credentials.into_iter().map(|(name, credential)| (name, Arc::new(credential))));
        Ok(())
    }

    /// Whether a URL's origin is granted; an IP address in it is checked here, a name's when it is dialled.
    pub(super) fn check(&self, url: &Url) -> Result<()> {
        let origin = url.origin().ascii_serialization();
        if url.username() != "" || url.password().is_some() {
            return Err(Error::new(ErrorKind::Denied, "a URL with a user name or password in it")
                .with_context("origin", origin));
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        if self.is_granted(url) {
            return Ok(());
        }
        let error = Error::new(ErrorKind::Denied, format!("the connector asked for {origin}, which is not granted"));
        Err(match literal.map(AddressClass::of) {
            Some(class) if class != AddressClass::Public => error.with_help(format!(
                "it is a {} address; only if you trust the connector with it: --allow {origin}",
                class.name()
            )),
            _ => error.with_help(format!(
                "to allow it: --allow {origin}, or in the configuration: host: {{allow: [\"{origin}\"]}}"
            )),
        })
    }

    fn is_granted(&self, url: &Url) -> bool {
        let origin = url.origin().ascii_serialization();
        self.configured.contains(&origin) || self.allowed.iter().any(|pattern| pattern.fits(url))
    }

    /// Whether a name may resolve to an address.
    pub(super) fn permits(&self, host: &str, address: IpAddr) -> bool {
        match AddressClass::of(address) {
            AddressClass::Public => true,
            AddressClass::Loopback => host == "localhost" || self.explicitly_allowed(host),
            AddressClass::Private => self.explicitly_allowed(host),
            AddressClass::Special => false,
        }
    }

    fn explicitly_allowed(&self, host: &str) -> bool {
        self.allowed.iter().any(|pattern| pattern.host == host)
    }

    /// The credential for a request: by name, or the origin's first. None: nothing is attached.
    pub(super) fn credential(&self, origin: &str, name: Option<&str>) -> Option<Arc<Credential>> {
        let known = self.credentials.get(origin)?;
        match name {
            Some("none") => None,
            Some(name) => known.iter().find(|(known, _)| known == name).map(|(_, credential)| credential.clone()),
            None => known.first().map(|(_, credential)| credential.clone()),
        }
    }

    /// Whether a secret may go into a request to an origin. `own`: where its credential belongs; without one, every
    /// origin of the configuration, but not in the clear if there are safe ones.
    pub(super) fn takes_secret(&self, origin: &str, own: Option<&BTreeSet<Origin>>) -> bool {
        match own {
            Some(own) => own.contains(origin),
            None => origin.starts_with("https:") || self.configured.iter().all(|known| !known.starts_with("https:")),
        }
    }

    /// What stands in the configuration.
    pub(super) fn configured(&self) -> &BTreeSet<Origin> {
        &self.configured
    }

    /// An `http:` link to a host that is granted as `https:` only: a server behind a proxy does not know how it is
    /// asked.
    pub(super) fn upgrade(&self, url: &mut Url) {
        if url.scheme() != "http" || self.is_granted(url) {
            return;
        }
        let mut safe = url.clone();
        // The same port where one is named, otherwise the scheme's own.
        if safe.set_scheme("https").is_ok() && self.is_granted(&safe) {
            *url = safe;
        }
    }

    /// Every secret that the egress has to know: those that credentials are made of, then those named elsewhere.
    pub(super) fn known_secrets(&self, secrets: &Secrets) -> Vec<Arc<Known>> {
        let credentials =
            || self.credentials.iter().flat_map(|(origin, known)| known.iter().map(move |one| (origin, &one.1)));
        let same = |left: &SecretString, right: &SecretString| left.expose_secret() == right.expose_secret();
        // What was typed at a secret's place is one if a credential says so: a token request's `scope` is none.
        let is_secret = |name: &str, value: &SecretString| {
            !secret_places::is_typed(name)
                || credentials().any(|(_, credential)| credential.secrets().iter().any(|own| same(own, value)))
        };
        let mut known: Vec<Arc<Known>> = secrets
            .iter()
            .filter(|(name, value)| is_secret(name, value))
            .map(|(name, value)| {
                let origins = self.bound.get(name).cloned();
                Arc::new(Known::new(name.to_owned(), value.clone(), origins))
            })
            .collect();
        // What they are made into: a user name and a password as one, a token with a word before it.
        let mut made = 0;
        for (origin, credential) in credentials() {
            for value in credential.secrets().into_iter().filter(|value| !value.expose_secret().is_empty()) {
                if known.iter().all(|known| !known.has_value(&value)) {
                    made += 1;
                    let name = format!("credential-{made}");
                    known.push(Arc::new(Known::new(name, value, Some(BTreeSet::from([origin.clone()])))));
                }
            }
        }
        // Of two with one value, the credential's counts.
        known.sort_by_key(|known| known.origins.is_none());
        known
    }

    /// What the tokens of an endpoint are called, and where they may be sent.
    pub(super) fn tokens(&self, token_url: &str) -> (String, BTreeSet<Origin>) {
        let mut endpoints: Vec<&str> = Vec::new();
        let mut origins = BTreeSet::new();
        for (origin, known) in &self.credentials {
            for (_, credential) in known {
                let Credential::OAuth2(oauth2) = credential.as_ref() else { continue };
                if !endpoints.contains(&oauth2.token_url.as_str()) {
                    endpoints.push(&oauth2.token_url);
                }
                if oauth2.token_url == token_url {
                    origins.insert(origin.clone());
                }
            }
        }
        let number = endpoints.iter().position(|known| *known == token_url).unwrap_or_default() + 1;
        (format!("oauth2-token-{number}"), origins)
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            let with_scheme = secret_places::origin(&format!("https://{text}")).filter(|_| !text.contains("://"));
            let example = with_scheme.unwrap_or_else(|| "https://api.example.com".to_owned());
            Error::new(ErrorKind::Usage, format!("`{text}` is no origin")).with_help(format!(
                "write scheme and host and nothing behind them: --allow {example}, or --allow https://*.example.com"
            ))
        };
        let url = Url::parse(&text.replacen("://*.", "://wildcard-label.", 1)).map_err(|_| wrong())?;
        let (true, Some(host), Some(port)) =
            (matches!(url.scheme(), "http" | "https"), url.host_str(), url.port_or_known_default())
        else {
            return Err(wrong());
        };
        if url.path() != "/" || url.query().is_some() || url.username() != "" {
            return Err(wrong());
        }
        let host = host.strip_prefix("wildcard-label.").map_or_else(|| host.to_owned(), |rest| format!("*.{rest}"));
        Ok(Self { scheme: url.scheme().to_owned(), host, port })
    }

    fn fits(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let host_fits = match self.host.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
            None => host == self.host,
        };
        host_fits && url.scheme() == self.scheme && url.port_or_known_default() == Some(self.port)
    }
}

/// A foreign text, safe to show.
fn printable(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn origins() {
        let configured = BTreeSet::from(["https://api.example.com".to_owned(), "http://127.0.0.1:8080".to_owned()]);
        let grants =
            Grants::new(configured, &["https://*.other.org".to_owned(), "http://10.0.0.5:81".to_owned()]).unwrap();
        for (text, granted) in [
            ("https://api.example.com/x?y", true),
            ("https://API.example.com:443/x", true),
            ("https://api.example.com:444/", false),
            ("http://api.example.com/", false),
            ("https://api.example.com./", false),
            ("https://\u{430}pi.example.com/", false),
            ("https://api\u{3002}example.com/", true),
            ("https://api.example.com.evil.org/", false),
            ("https://evil.org/?https://api.example.com", false),
            ("https://api.example.com@evil.org/", false),
            ("https://user:pw@api.example.com/", false),
            ("https://a.other.org/", true),
            ("https://a.b.other.org/", false),
            ("https://other.org/", false),
            ("https://evilother.org/", false),
            ("http://127.0.0.1:8080/", true),
            ("http://127.1:8080/", true),
            ("http://0x7f000001:8080/", true),
            ("http://127.0.0.1:8081/", false),
            ("http://10.0.0.5:81/", true),
            ("http://169.254.169.254/", false),
            ("http://[::ffff:a9fe:a9fe]/", false),
        ] {
            assert_eq!(grants.check(&url(text)).is_ok(), granted, "{text}");
        }
    }

    #[test]
    fn http_links_of_a_safe_host_are_made_safe() {
        let configured =
            ["https://api.example.com", "https://localhost:8443", "https://both.example", "http://both.example"];
        let grants = Grants::new(configured.map(str::to_owned).into(), &["https://*.other.org".to_owned()]).unwrap();
        for (text, upgraded) in [
            ("http://api.example.com/x?y=1", "https://api.example.com/x?y=1"),
            ("http://api.example.com:80/x", "https://api.example.com/x"),
            ("http://api.example.com:8080/x", "http://api.example.com:8080/x"),
            ("http://localhost:8443/x", "https://localhost:8443/x"),
            ("http://a.other.org/", "https://a.other.org/"),
            ("http://both.example/", "http://both.example/"),
            ("http://evil.example/", "http://evil.example/"),
            ("https://both.example/", "https://both.example/"),
        ] {
            let mut url = url(text);
            grants.upgrade(&mut url);
            assert_eq!(url.as_str(), upgraded);
        }
        assert!(!grants.takes_secret("http://both.example", None));
        assert!(grants.takes_secret("https://both.example", None));
    }

    #[test]
    fn a_refused_origin_comes_with_the_line_to_paste() {
        let grants = Grants::new(BTreeSet::new(), &[]).unwrap();
        let error = grants.check(&url("https://api.example.com/v1?k=v")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.help()[0].contains("--allow https://api.example.com,"), "{:?}", error.help());
    }

    #[test]
    fn names_resolve_to_public_addresses_only() {
        let grants = Grants::new(BTreeSet::new(), &["https://inner.example.com".to_owned()]).unwrap();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(grants.permits("api.example.com", address("8.8.8.8")));
        assert!(!grants.permits("api.example.com", address("10.0.0.1")));
        assert!(!grants.permits("api.example.com", address("127.0.0.1")));
        assert!(grants.permits("inner.example.com", address("10.0.0.1")));
        assert!(grants.permits("localhost", address("127.0.0.1")));
        assert!(!grants.permits("inner.example.com", address("169.254.169.254")));
    }

    #[test]
    fn not_origins() {
        for text in ["api.example.com", "ftp://x.org", "https://x.org/path", "https://"] {
            assert!(Grants::new(BTreeSet::new(), &[text.to_owned()]).is_err(), "{text}");
        }
    }
}
