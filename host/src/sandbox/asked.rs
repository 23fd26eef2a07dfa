//! What a connector asks for: origins, and credentials made of references to secrets.
//!
//! Must never grant anything: `egress` compares this with what the operator wrote down.

use std::time::Duration;

use secrecy::SecretString;

use super::bindings::exports::airlock::connector::source as wit;
use super::{failure, printable};
use crate::config::secret_places;
use crate::egress::{ApiKeyLocation, Credential, Goes, OAuth2, OAuth2Grant, Travel};
use crate::error::{Error, ErrorKind, Result};

/// What it asks to reach.
#[derive(Debug, Clone)]
pub struct GrantRequest {
    pub origin: String,
    pub at: Option<String>,
    pub credentials: Vec<CredentialRequest>,
}

/// A credential that it asks for: nothing in it is a secret.
#[derive(Debug, Clone)]
pub struct CredentialRequest {
    pub name: String,
    authentication: wit::Authentication,
}

impl From<wit::Grant> for GrantRequest {
    fn from(grant: wit::Grant) -> Self {
        let credential = |credential: wit::Credential| CredentialRequest {
            name: credential.name,
            authentication: credential.authentication,
        };
        Self {
            // Shown by `check` and `inspect`; one that this changes is no origin, and refused as such.
            origin: printable(&grant.origin),
            at: grant.at.map(failure::pointer),
            credentials: grant.credentials.into_iter().map(credential).collect(),
        }
    }
}

impl CredentialRequest {
    /// The credential with its secrets filled in by `fill`.
    pub fn resolve(&self, fill: impl Fn(&str) -> Result<SecretString>) -> Result<Credential> {
        Ok(match &self.authentication {
            wit::Authentication::Bearer(token) => Credential::Bearer(fill(token)?),
            wit::Authentication::Basic(basic) => {
                Credential::Basic { username: fill(&basic.username)?, password: fill(&basic.password)? }
            }
            wit::Authentication::ApiKey(key) => Credential::ApiKey {
                name: key.name.clone(),
                value: fill(&key.value)?,
                location: match key.location {
                    wit::ApiKeyLocation::Header => ApiKeyLocation::Header,
                    wit::ApiKeyLocation::Query => ApiKeyLocation::Query,
                    wit::ApiKeyLocation::Cookie => ApiKeyLocation::Cookie,
                },
            },
            wit::Authentication::Oauth2(oauth2) => {
                let grant = match &oauth2.grant {
                    wit::Oauth2Grant::ClientCredentials => OAuth2Grant::ClientCredentials,
                    wit::Oauth2Grant::RefreshToken(token) => OAuth2Grant::RefreshToken(fill(token)?),
                    wit::Oauth2Grant::JwtBearer(jwt) if jwt.private_key_passphrase.is_some() => {
                        return Err(Error::new(ErrorKind::Config, "an encrypted private key can't be used").with_help(
                            "decrypt it with `openssl pkey -in KEY -out PLAIN` and leave the passphrase out",
                        ));
                    }
                    wit::Oauth2Grant::JwtBearer(jwt) => OAuth2Grant::JwtBearer {
                        private_key: fill(&jwt.private_key)?,
                        audience: jwt.audience.clone(),
                        scopes: jwt.scopes.clone(),
                    },
                };
                let access_token = oauth2.access_token.as_deref().map(&fill).transpose()?;
                let mut resolved = OAuth2::new(
                    grant,
                    oauth2.token_url.clone(),
                    fill(&oauth2.client_id)?,
                    fill(&oauth2.client_secret)?,
                )
                .with_access_token(access_token);
                for (name, value) in &oauth2.request_data {
                    resolved.request_data.push((name.clone(), fill(value)?));
                }
                resolved.default_expiration = Duration::from_secs(oauth2.default_expiration.into());
                Credential::OAuth2(Box::new(resolved))
            }
        })
    }

    /// The names of the secrets that it is made of.
    pub fn secret_names(&self) -> Vec<String> {
        let references: Vec<&String> = match &self.authentication {
            wit::Authentication::Bearer(token) => vec![token],
            wit::Authentication::Basic(basic) => vec![&basic.username, &basic.password],
            wit::Authentication::ApiKey(key) => vec![&key.value],
            wit::Authentication::Oauth2(oauth2) => {
                let mut references = vec![&oauth2.client_id, &oauth2.client_secret];
                references.extend(&oauth2.access_token);
                references.extend(oauth2.request_data.iter().map(|(_, value)| value));
                match &oauth2.grant {
                    wit::Oauth2Grant::ClientCredentials => {}
                    wit::Oauth2Grant::RefreshToken(token) => references.push(token),
                    wit::Oauth2Grant::JwtBearer(jwt) => references.push(&jwt.private_key),
                }
                references
            }
        };
        references.into_iter().flat_map(|text| secret_places::references(text)).map(str::to_owned).collect()
    }

    /// The ways of the secrets that it is made of, when it is attached to requests to `origin`.
    pub fn travels(&self, origin: &str) -> Vec<Travel> {
        let mut travels = Vec::new();
        let origin = &secret_places::origin(origin).unwrap_or_else(|| origin.to_owned());
        let mut add = |reference: &str, origin: &str, how: &str, goes: Goes| {
            travels.extend(secret_places::references(reference).map(|name| Travel {
                secret: name.to_owned(),
                origin: origin.to_owned(),
                how: how.to_owned(),
                goes,
            }));
        };
        match &self.authentication {
            wit::Authentication::Bearer(token) => {
                add(token, origin, "in the header `Authorization`, as a bearer token", Goes::Itself);
            }
            wit::Authentication::Basic(basic) => {
                add(&basic.username, origin, "in the header `Authorization`, as a user name", Goes::Itself);
                add(&basic.password, origin, "in the header `Authorization`, as a password", Goes::Itself);
            }
            wit::Authentication::ApiKey(key) => {
                let place = match key.location {
                    wit::ApiKeyLocation::Header => "header",
                    wit::ApiKeyLocation::Query => "query parameter",
                    wit::ApiKeyLocation::Cookie => "cookie",
                };
                add(&key.value, origin, &format!("in the {place} `{}`", printable(&key.name)), Goes::Itself);
            }
            wit::Authentication::Oauth2(oauth2) => {
                let endpoint = secret_places::origin(&oauth2.token_url).unwrap_or_default();
                let mut sent = |reference: &str, field: &str, goes: Goes| {
                    let url = printable(&oauth2.token_url);
                    add(
                        reference,
                        &endpoint,
                        &format!("to the token endpoint {url}, as `{}`", printable(field)),
                        Goes::Itself,
                    );
                    add(reference, origin, "as the access token that it is exchanged for", goes);
                };
                // No secret in itself: an API may repeat it in its links.
                sent(&oauth2.client_id, "client_id", Goes::AsToken);
                sent(&oauth2.client_secret, "client_secret", Goes::Exchanged);
                for (name, value) in &oauth2.request_data {
                    sent(value, name, Goes::Exchanged);
                }
                match &oauth2.grant {
                    wit::Oauth2Grant::ClientCredentials => {}
                    wit::Oauth2Grant::RefreshToken(token) => sent(token, "refresh_token", Goes::Exchanged),
                    wit::Oauth2Grant::JwtBearer(jwt) => sent(&jwt.private_key, "assertion", Goes::Exchanged),
                }
                // It is what others are exchanged for.
                let token = oauth2.access_token.as_deref().unwrap_or_default();
                add(token, origin, "in the header `Authorization`, as an access token to begin with", Goes::AsToken);
            }
        }
        travels
    }

    /// What kind it is, for people.
    pub fn kind(&self) -> &'static str {
        match &self.authentication {
            wit::Authentication::Bearer(_) => "bearer token",
            wit::Authentication::Basic(_) => "user name and password",
            wit::Authentication::ApiKey(key) => match key.location {
                wit::ApiKeyLocation::Header => "API key in a header",
                wit::ApiKeyLocation::Query => "API key in the query",
                wit::ApiKeyLocation::Cookie => "API key in a cookie",
            },
            wit::Authentication::Oauth2(oauth2) => match oauth2.grant {
                wit::Oauth2Grant::ClientCredentials => "OAuth 2.0 client credentials",
                wit::Oauth2Grant::RefreshToken(_) => "OAuth 2.0 refresh token",
                wit::Oauth2Grant::JwtBearer(_) => "OAuth 2.0 JWT bearer",
            },
        }
    }
}
