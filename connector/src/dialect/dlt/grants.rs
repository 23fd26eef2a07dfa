//! The origins that the configuration names, each with the credentials that belong to it.
//!
//! Must never put a credential on an origin other than the one it was written for.

use url::Url;

use super::diagnostic::{Diagnostic, Diagnostics};
use crate::address::is_absolute;
use crate::plan::{Authentication, Credential, Grant};

/// The client's credential.
pub(super) const CLIENT: &str = "client";
/// What a request says when it wants no credential.
const NONE: &str = "none";

#[derive(Default)]
pub(super) struct Grants {
    list: Vec<Grant>,
}

impl Grants {
    pub(super) fn finish(self) -> Vec<Grant> {
        self.list
    }

    /// Adds the origin of a URL. None: it has none, which is said at `at`.
    ///
    /// Codes: `bad-url`, `dynamic-origin`, `credentials-in-url`.
    pub(super) fn origin(&mut self, url: &str, at: &str, diagnostics: &mut Diagnostics) -> Option<String> {
        match origin(url) {
            Ok(origin) => {
                if self.list.iter().all(|grant| grant.origin != origin) {
                    self.list.push(Grant { origin: origin.clone(), at: Some(at.to_owned()), credentials: Vec::new() });
                }
                Some(origin)
            }
            Err(reason) => {
                diagnostics.push(reason.diagnostic(at));
                None
            }
        }
    }

    /// Adds a credential to an origin and gives its name. The same authentication keeps its name, so that streams share
    /// its tokens.
    pub(super) fn credential(&mut self, origin: &str, name: &str, authentication: Authentication) -> Option<String> {
        let name = self.free_name(name);
        let grant = self.list.iter_mut().find(|grant| grant.origin == origin)?;
        if let Some(same) = grant.credentials.iter().find(|credential| credential.authentication == authentication) {
            return Some(same.name.clone());
        }
        grant.credentials.push(Credential { name: name.clone(), authentication });
        Some(name)
    }

    /// The name of a resource is a credential's name, unless it is taken or cannot stand in a header.
    fn free_name(&self, name: &str) -> String {
        let printable: String =
            name.chars().map(|character| if character.is_ascii_graphic() { character } else { '_' }).collect();
        let taken = |name: &str| {
            name == NONE || self.list.iter().flat_map(|grant| &grant.credentials).any(|other| other.name == name)
        };
        let mut free = printable;
        while taken(&free) {
            free = format!("endpoint.{free}");
        }
        free
    }
}

pub(super) enum BadUrl {
    /// No scheme, or another than http and https.
    Scheme,
    Host,
    Dynamic,
    Credentials,
}

impl BadUrl {
    fn diagnostic(&self, at: &str) -> Diagnostic {
        match self {
            Self::Scheme => Diagnostic::error("bad-url", at, "a URL must start with `http://` or `https://`")
                .help("write the whole URL, such as `https://api.example.com/v1`"),
            Self::Host => Diagnostic::error("bad-url", at, "this is no URL with a valid host and port"),
            Self::Dynamic => Diagnostic::error("dynamic-origin", at, "scheme, host and port must be written out")
                .help("what is reached is granted before anything is read, so no secret or placeholder can name it"),
            Self::Credentials => Diagnostic::error("credentials-in-url", at, "a user name or password stands in a URL")
                .help("use `auth: {type: http_basic, username: …, password: …}`"),
        }
    }
}

/// `scheme://host[:port]`, normalised: lower case, without a default port.
fn origin(url: &str) -> Result<String, BadUrl> {
    if url.contains("${") {
        return Err(BadUrl::Dynamic);
    }
    if !is_absolute(url) {
        return Err(BadUrl::Scheme);
    }
    let url = Url::parse(url).map_err(|_| BadUrl::Host)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadUrl::Credentials);
    }
    Ok(url.origin().ascii_serialization())
}
