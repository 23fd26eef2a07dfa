//! What a run may reach: the operator's grants, and the credentials that belong to each origin.
//!
//! An origin is granted by a URL that stands in the operator's own configuration at the place that the connector names,
//! or by `--allow`. A secret goes where the operator's configuration says that it belongs; a connector can only ask for
//! less. Must never grant an origin that no operator wrote down.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use super::address::AddressClass;
use super::credential::Credential;
use super::references::Known;
use crate::config::secret_binding::Binding;
use crate::config::secret_places;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secrets;

/// `scheme://host[:port]`, as `Url` prints it.
type Origin = String;

/// What the operator granted and what the connector asked for, put together.
#[derive(Debug, Default)]
pub struct Grants {
    /// From the configuration file: what stands at the places that the connector named.
    configured: BTreeSet<Origin>,
    /// From `--allow` and `host.allow`; private addresses included.
    allowed: Vec<Pattern>,
    /// By origin, in the order in which the connector named them.
    credentials: BTreeMap<Origin, Vec<(String, Arc<Credential>)>>,
    /// Secrets that a credential is made of, by name, with the origins that it is sent to.
    bound: BTreeMap<String, BTreeSet<Origin>>,
    /// Where each secret may go.
    bindings: BTreeMap<String, Binding>,
    /// Nothing else is dialled, whatever is granted.
    public_only: bool,
}

/// One way of one secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Travel {
    pub secret: String,
    pub origin: Origin,
    /// Where in a request, for people: `in the header x-key`.
    pub how: String,
    pub goes: Goes,
}

/// What of a secret goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goes {
    Itself,
    /// What a token endpoint gave for it.
    Exchanged,
    /// Itself, where what is exchanged goes: an access token to begin with.
    AsToken,
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

    /// Where each secret may go, by name. One that is not named goes nowhere.
    #[must_use]
    pub fn with_bindings(self, bindings: BTreeMap<String, Binding>) -> Self {
        Self { bindings, ..self }
    }

    /// Whether addresses of this machine and of private networks are out of reach, whatever is granted.
    #[must_use]
    pub fn public_only(self, public_only: bool) -> Self {
        Self { public_only, ..self }
    }

    /// Adds what the connector asked for; `travels`: the ways of the secrets that the credentials are made of.
    ///
    /// Errors: an origin that is not granted, or that a secret does not belong to, with the line to paste (`Denied`);
    /// not an origin at all (`Connector`).
    pub fn ask(&mut self, origin: &str, credentials: Vec<(String, Credential)>, travels: &[Travel]) -> Result<()> {
        // Nothing but an origin: a path, a query or white space is a mistake, or an attempt to show something else.
        let is_plain = Url::parse(origin).is_ok_and(|url| {
            url.path() == "/"
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
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
        for travel in travels {
            self.check_travel(travel)?;
            let bound = self.bound.entry(travel.secret.clone()).or_default();
            if travel.goes != Goes::Exchanged {
                bound.insert(travel.origin.clone());
            }
        }
        let known = self.credentials.entry(url.origin().ascii_serialization()).or_default();
        known.extend(credentials.into_iter().map(|(name, credential)| (name, Arc::new(credential))));
        Ok(())
    }

    fn check_travel(&self, travel: &Travel) -> Result<()> {
        if travel.is_within(self.bindings.get(&travel.secret)) {
            return Ok(());
        }
        let name = printable(&travel.secret);
        let error = Error::new(
            ErrorKind::Denied,
            format!("the connector asks for the secret `{name}` {}, which it does not belong to", travel.shown()),
        );
        Err(self.with_binding_help(error, &travel.secret, &travel.origin))
    }

    /// The line to paste that binds a secret to an origin, too.
    pub(super) fn with_binding_help(&self, error: Error, secret: &str, origin: &str) -> Error {
        let mut origins = self.bindings.get(secret).map(Binding::origins).unwrap_or_default();
        let known: Vec<&str> = origins.iter().map(String::as_str).collect();
        let error = match known.is_empty() {
            true => error,
            false => error.with_help(format!("it belongs to {}, beside which it stands", known.join(", "))),
        };
        origins.insert(origin.to_owned());
        let (name, first) = match secret_places::is_typed(secret) {
            true => ("NAME", "name it instead of writing it down, ${secrets.NAME}, and write "),
            false => (secret, ""),
        };
        let origins: Vec<String> = origins.iter().map(|origin| format!("\"{origin}\"")).collect();
        error.with_help(format!(
            "only if it may go there: {first}host: {{secrets: {{{}: {{origins: [{}]}}}}}}",
            printable(name),
            origins.join(", ")
        ))
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
        if let Some(class) =
            literal.map(AddressClass::of).filter(|class| self.public_only && *class != AddressClass::Public)
        {
            let message = format!("{origin} is a {} address, which nobody is granted here", class.name());
            return Err(Error::new(ErrorKind::Denied, message));
        }
        let is_special = literal.is_some_and(|address| AddressClass::of(address) == AddressClass::Special);
        let is_exactly_allowed = || self.allowed.iter().any(|pattern| pattern.fits(url));
        if if is_special { is_exactly_allowed() } else { self.is_granted(url) } {
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
            _ if self.public_only => false,
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

    /// Where a secret may be filled into a request. One that a credential is made of: where that is sent, and what it
    /// stands beside. Another: where it belongs, but not in the clear if there is a safe place.
    fn origins_of(&self, name: &str) -> BTreeSet<Origin> {
        let binding = self.bindings.get(name);
        match self.bound.get(name) {
            Some(bound) => {
                bound.iter().chain(binding.into_iter().flat_map(|binding| binding.beside())).cloned().collect()
            }
            None => {
                let mut origins = binding.map(Binding::origins).unwrap_or_default();
                if origins.iter().any(|origin| origin.starts_with("https:")) {
                    origins.retain(|origin| origin.starts_with("https:"));
                }
                origins
            }
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
                let is_credential = self.bound.contains_key(name);
                Arc::new(Known::new(name.to_owned(), value.clone(), self.origins_of(name), is_credential))
            })
            .collect();
        // What they are made into: a user name and a password as one, a token with a word before it.
        let mut made = 0;
        for (origin, credential) in credentials() {
            for value in credential.secrets().into_iter().filter(|value| !value.expose_secret().is_empty()) {
                if known.iter().all(|known| !known.has_value(&value)) {
                    made += 1;
                    let name = format!("credential-{made}");
                    known.push(Arc::new(Known::new(name, value, BTreeSet::from([origin.clone()]), true)));
                }
            }
        }
        // Of two with one value, the credential's counts.
        known.sort_by_key(|known| !known.is_credential());
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
        if secret_places::origin(text).is_none() && !text.contains("://*.") || text.contains(char::is_whitespace) {
            return Err(wrong());
        }
        let url = Url::parse(&text.replacen("://*.", "://wildcard-label.", 1)).map_err(|_| wrong())?;
        let (true, Some(host), Some(port)) =
            (matches!(url.scheme(), "http" | "https"), url.host_str(), url.port_or_known_default())
        else {
            return Err(wrong());
        };
        let has_more = url.query().is_some() || url.fragment().is_some() || url.path() != "/";
        // Also an empty user name or password: what stands before an `@` is easily taken for the host.
        if has_more || text.contains('@') || host.contains('*') {
            return Err(wrong());
        }
        if let Some(parent) = host.strip_prefix("wildcard-label.").filter(|parent| is_public_suffix(parent)) {
            return Err(Error::new(ErrorKind::Usage, format!("`{text}` would be everybody's under .{parent}"))
                .with_help("a wildcard stands for the hosts of one owner: --allow https://*.example.com"));
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

impl Travel {
    /// Whether it goes where the secret belongs.
    pub fn is_within(&self, binding: Option<&Binding>) -> bool {
        binding.is_some_and(|binding| match self.goes {
            Goes::Itself => binding.takes(&self.origin),
            Goes::Exchanged | Goes::AsToken => binding.takes_exchanged(&self.origin),
        })
    }

    /// `at https://api.example.com in the header x-key`.
    pub fn shown(&self) -> String {
        format!("at {} {}", self.origin, self.how)
    }
}

/// Whether names directly below a domain belong to different owners.
fn is_public_suffix(domain: &str) -> bool {
    psl::suffix(domain.as_bytes()).is_none_or(|suffix| suffix.as_bytes() == domain.as_bytes())
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
        let configured = [
            "https://api.example.com",
            "http://127.0.0.1:8080",
            "http://0.0.0.0:81",
            "http://[::ffff:a9fe:a9fe]:81",
            "http://169.254.169.254:81",
        ];
        let allow = ["https://*.other.org", "http://10.0.0.5:81", "http://169.254.169.254"];
        let grants = Grants::new(configured.map(str::to_owned).into(), &allow.map(str::to_owned)).unwrap();
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
            ("http://169.254.169.254/", true),
            ("http://169.254.169.253/", false),
            ("http://[::ffff:a9fe:a9fe]/", false),
            // Written down as a place of requests, which is not enough for what no API is at.
            ("http://0.0.0.0:81/", false),
            ("http://0x0:81/", false),
            ("http://[::ffff:169.254.169.254]:81/", false),
            ("http://2852039166:80/", true),
            ("http://2852039166:81/", false),
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
        for text in [
            "api.example.com",
            "ftp://x.org",
            "https://x.org/path",
            "https://",
            "https:x.org",
            "https:\\\\x.org",
            "https://x.org#f",
            "https://x.org?",
            "https://user@x.org",
            "https://:pw@x.org",
            "https://@x.org",
            " https://x.org",
            "https://*.com",
            "https://*.co.uk",
            "https://*.github.io",
            "https://*.*.example.com",
            "https://*",
        ] {
            assert!(Grants::new(BTreeSet::new(), &[text.to_owned()]).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_goes_nowhere_that_it_does_not_belong_to() {
        let config =
            serde_json::json!({"a": {"url": "https://a.org", "k": "${secrets.k}"}, "b": {"url": "https://b.org"}});
        let bindings = crate::config::secret_binding::bindings(&config, &[], &BTreeMap::new());
        let origins = BTreeSet::from(["https://a.org".to_owned(), "https://b.org".to_owned()]);
        let mut grants = Grants::new(origins, &[]).unwrap().with_bindings(bindings);
        for (secret, origin, belongs) in
            [("k", "https://a.org", true), ("k", "https://b.org", false), ("other", "https://a.org", false)]
        {
            let travel = Travel {
                secret: secret.to_owned(),
                origin: origin.to_owned(),
                how: "in the header `x`".to_owned(),
                goes: Goes::Itself,
            };
            assert_eq!(grants.ask(origin, Vec::new(), &[travel]).is_ok(), belongs, "{secret} at {origin}");
        }
        let error = grants.with_binding_help(Error::new(ErrorKind::Denied, ""), "k", "https://b.org");
        let line = r#"host: {secrets: {k: {origins: ["https://a.org", "https://b.org"]}}}"#;
        assert!(error.help().iter().any(|help| help.contains(line)), "{:?}", error.help());
    }
}
