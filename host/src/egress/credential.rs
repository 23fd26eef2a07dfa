//! Credentials, and how each is attached to a request that is about to leave.
//!
//! Must never attach one to another origin than its own (the caller asks `Grants` by the request's origin), and takes
//! off whatever the connector put at the same place.

use base64::Engine as _;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::directions::forbidden_headers;
use super::oauth2::OAuth2;
use crate::error::{Error, ErrorKind, Result};

/// How requests are authenticated, with the secrets filled in.
#[derive(Debug)]
pub enum Credential {
    /// RFC 6750.
    Bearer(SecretString),
    /// RFC 7617.
    Basic {
        username: SecretString,
        password: SecretString,
    },
    ApiKey {
        name: String,
        value: SecretString,
        location: ApiKeyLocation,
    },
    /// RFC 6749.
    OAuth2(Box<OAuth2>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiKeyLocation {
    Header,
    Query,
    Cookie,
}

impl Credential {
    /// `token`: what `OAuth2::token` gave, for that kind.
    pub(super) fn attach(&self, url: &mut Url, headers: &mut HeaderMap, token: Option<&SecretString>) -> Result<()> {
        match self {
            Self::Bearer(token) => set(headers, &header::AUTHORIZATION, &format!("Bearer {}", token.expose_secret())),
            Self::OAuth2(_) => {
                let token = token.map(SecretString::expose_secret).unwrap_or_default();
                set(headers, &header::AUTHORIZATION, &format!("Bearer {token}"))
            }
            Self::Basic { username, password } => {
                let pair = format!("{}:{}", username.expose_secret(), password.expose_secret());
                let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
                set(headers, &header::AUTHORIZATION, &format!("Basic {encoded}"))
            }
            Self::ApiKey { name, value, location: ApiKeyLocation::Header } => {
                set(headers, &header_name(name)?, value.expose_secret())
            }
            Self::ApiKey { name, value, location: ApiKeyLocation::Cookie } => {
                let cookie = format!("{name}={}", value.expose_secret());
                let others = headers.get(header::COOKIE).and_then(|cookies| cookies.to_str().ok()).map(|cookies| {
                    let others = cookies
                        .split(';')
                        .map(str::trim)
                        .filter(|other| other.split('=').next() != Some(name.as_str()));
                    others.collect::<Vec<_>>().join("; ")
                });
                match others.filter(|others| !others.is_empty()) {
                    Some(others) => set(headers, &header::COOKIE, &format!("{others}; {cookie}")),
                    None => set(headers, &header::COOKIE, &cookie),
                }
            }
            Self::ApiKey { name, value, location: ApiKeyLocation::Query } => {
                // As a form writes it, which is what dlt sends: a space is `+`.
                let form = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                // Encoded pairs are kept to the letter: only those of the same name go, however it is written.
                let is_other = |pair: &&str| {
                    let mut decoded = url::form_urlencoded::parse(pair.as_bytes());
                    decoded.next().is_none_or(|(known, _)| known != name.as_str())
                };
                let query = url.query().unwrap_or_default();
                let mut pairs: Vec<String> =
                    query.split('&').filter(|pair| !pair.is_empty()).filter(is_other).map(str::to_owned).collect();
                pairs.push(format!("{}={}", form(name), form(value.expose_secret())));
                url.set_query(Some(&pairs.join("&")));
                Ok(())
            }
        }
    }

    /// Errors (`Config`): an API key goes under a name that is the host's, or that would be more than a name.
    pub(super) fn check(&self) -> Result<()> {
        let Self::ApiKey { name, value, location } = self else { return Ok(()) };
        match location {
            ApiKeyLocation::Query => Ok(()),
            ApiKeyLocation::Header => match header_name(name)? {
                name if forbidden_headers().contains(&name) || name.as_str().starts_with("airlock-") => {
                    Err(Error::new(ErrorKind::Config, format!("an API key can't go in the header `{name}`"))
                        .with_help("the host sets that header itself"))
                }
                _ => Ok(()),
            },
            // A cookie's name is a token, as a header's is (RFC 6265, section 4.1.1).
            ApiKeyLocation::Cookie => {
                header_name(name)?;
                match value.expose_secret().contains([';', ',', ' ']) {
                    true => Err(Error::new(ErrorKind::Config, "the API key has characters that no cookie may have")),
                    false => Ok(()),
                }
            }
        }
    }

    /// What must not show up anywhere.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        match self {
            Self::Bearer(secret) | Self::ApiKey { value: secret, .. } => vec![secret.clone()],
            Self::Basic { username, password } => {
                // As the header has it. A user name alone is no secret, unless it is the key itself.
                let pair = format!("{}:{}", username.expose_secret(), password.expose_secret());
                let mut secrets = vec![password.clone(), pair.into()];
                if password.expose_secret().len() < super::spelling::SHORTEST {
                    secrets.push(username.clone());
                }
                secrets
            }
            Self::OAuth2(oauth2) => oauth2.secrets().into_iter().cloned().collect(),
        }
    }
}

fn header_name(name: &str) -> Result<HeaderName> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|source| {
        Error::new(ErrorKind::Config, format!("`{}` is no name of a header or cookie", name.escape_default()))
            .with_source(source)
    })
}

fn set(headers: &mut HeaderMap, name: &HeaderName, value: &str) -> Result<()> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Error::new(
            ErrorKind::Config,
            format!("the secret for the header `{name}` has characters that no header may have"),
        )
        .with_help("a line break at the end of a file or of a command's output is taken off; others must go")
    })?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// RFC 3986's unreserved characters stay.
pub(super) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(credential: &Credential, url: &str, header: Option<(HeaderName, &'static str)>) -> (String, HeaderMap) {
        let mut url = Url::parse(url).unwrap();
        let mut headers = HeaderMap::from_iter(header.map(|(name, value)| (name, HeaderValue::from_static(value))));
        credential.attach(&mut url, &mut headers, None).unwrap();
        (url.to_string(), headers)
    }

    fn api_key(name: &str, location: ApiKeyLocation) -> Credential {
        Credential::ApiKey { name: name.to_owned(), value: SecretString::from("k&y"), location }
    }

    #[test]
    fn each_kind_goes_to_its_place_and_takes_off_the_connectors_own() {
        let (_, headers) = attached(
            &Credential::Bearer(SecretString::from("t")),
            "https://a.b/",
            Some((header::AUTHORIZATION, "forged")),
        );
        assert_eq!(headers[header::AUTHORIZATION], "Bearer t");
        let basic = Credential::Basic { username: "user".to_owned().into(), password: "password".to_owned().into() };
        assert_eq!(attached(&basic, "https://a.b/", None).1[header::AUTHORIZATION], "Basic dXNlcjpwYXNzd29yZA==");
        assert_eq!(attached(&api_key("X-Key", ApiKeyLocation::Header), "https://a.b/", None).1["x-key"], "k&y");
        let (url, _) =
            attached(&api_key("key", ApiKeyLocation::Query), "https://a.b/?x=1+2&key=forged&y=%20&k%65y=2&key", None);
        assert_eq!(url, "https://a.b/?x=1+2&y=%20&key=k%26y");
        let (_, headers) = attached(
            &api_key("key", ApiKeyLocation::Cookie),
            "https://a.b/",
            Some((header::COOKIE, "a=b; key=forged")),
        );
        assert_eq!(headers[header::COOKIE], "a=b; key=k&y");
    }

    #[test]
    fn names_that_are_the_hosts_or_no_names_are_refused() {
        for (name, location, fits) in [
            ("X-Key", ApiKeyLocation::Header, true),
            ("Content-Length", ApiKeyLocation::Header, false),
            ("host", ApiKeyLocation::Header, false),
            ("Airlock-Attempt", ApiKeyLocation::Header, false),
            ("x key", ApiKeyLocation::Header, false),
            ("key", ApiKeyLocation::Cookie, true),
            ("a=b; key", ApiKeyLocation::Cookie, false),
            ("a b", ApiKeyLocation::Query, true),
        ] {
            assert_eq!(api_key(name, location).check().is_ok(), fits, "{name}");
        }
    }

    #[test]
    fn a_secret_that_no_header_may_carry_is_refused_without_being_shown() {
        let mut url = Url::parse("https://a.b/").unwrap();
        let error = Credential::Bearer(SecretString::from("hunter2\r\nx: y"))
            .attach(&mut url, &mut HeaderMap::new(), None)
            .unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
