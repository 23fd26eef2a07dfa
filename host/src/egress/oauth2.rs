//! OAuth 2.0 tokens: fetched once for all instances, renewed ahead of their expiry or after a 401.
//!
//! Grants: client credentials (RFC 6749, 4.4), refresh token (6), JWT bearer (RFC 7523; `assertion` signs). Client id
//! and secret go into the form, as dlt sends them; where the server refuses them there, into a header (2.3.1). Must
//! never send anything itself: `Egress` sends the token request through the same gate as every other.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

use super::credential::Credential;
use super::{Request, assertion};
use crate::error::{Error, ErrorKind, Result};

#[derive(Debug)]
pub struct OAuth2 {
    pub grant: Grant,
    pub token_url: String,
    pub client_id: SecretString,
    pub client_secret: SecretString,
    pub access_token: Option<SecretString>,
    /// Further fields of the token request; they override what the grant sends.
    pub request_data: Vec<(String, SecretString)>,
    pub default_expiration: Duration,
    pub(super) cached: Mutex<Cached>,
}

#[derive(Debug)]
pub enum Grant {
    ClientCredentials,
    RefreshToken(SecretString),
    JwtBearer { private_key: SecretString, audience: String, scopes: Vec<String> },
}

/// The token at hand. Its lock is held while a new one is fetched, so that all instances wait for one renewal.
#[derive(Debug, Default)]
pub(super) struct Cached {
    pub(super) token: Option<SecretString>,
    expires: Option<Instant>,
    /// Rotated by the server: takes the place of the configured one.
    pub(super) refresh_token: Option<SecretString>,
    /// The server takes id and secret in a header and not in the form.
    pub(super) with_basic: bool,
}

/// How long before its expiry a token is renewed, so that none runs out on its way.
const AHEAD: Duration = Duration::from_secs(30);

impl Cached {
    /// A token that is still good.
    pub(super) fn good(&self) -> Option<SecretString> {
        let fresh = self.expires.is_none_or(|expires| expires > Instant::now());
        self.token.clone().filter(|_| fresh)
    }
}

impl OAuth2 {
    pub fn new(grant: Grant, token_url: String, client_id: SecretString, client_secret: SecretString) -> Self {
        Self {
            grant,
            token_url,
            client_id,
            client_secret,
            access_token: None,
            request_data: Vec::new(),
            default_expiration: Duration::from_secs(3600),
            cached: Mutex::default(),
        }
    }

    #[must_use]
    pub fn with_access_token(mut self, token: Option<SecretString>) -> Self {
        self.cached = Mutex::new(Cached { token: token.clone(), ..Cached::default() });
        self.access_token = token;
        self
    }

    /// The refresh token that the user gave.
    pub(super) fn configured(&self) -> Option<&SecretString> {
        match &self.grant {
            Grant::RefreshToken(configured) => Some(configured),
            _ => None,
        }
    }

    /// Whether id and secret could go into a header: when both are there, and go into the form otherwise.
    pub(super) fn may_use_basic(&self) -> bool {
        let is_given = |secret: &SecretString| !secret.expose_secret().is_empty();
        !matches!(self.grant, Grant::JwtBearer { .. }) && is_given(&self.client_id) && is_given(&self.client_secret)
    }

    /// The token request; with id and secret in a header, or in the form.
    pub(super) fn request(&self, cached: &Cached, with_basic: bool) -> Result<Request> {
        let url = Url::parse(&self.token_url).map_err(|source| {
            Error::new(ErrorKind::Unauthorized, "the token endpoint is no URL")
                .with_context("token endpoint", self.token_url.clone())
                .with_source(source)
        })?;
        let mut headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
            (header::ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        if with_basic {
            // RFC 6749, section 2.3.1: encoded as in a form first.
            let encode = |secret: &SecretString| {
                form_urlencoded::byte_serialize(secret.expose_secret().as_bytes()).collect::<String>()
            };
            let basic = Credential::Basic {
                username: encode(&self.client_id).into(),
                password: encode(&self.client_secret).into(),
            };
            basic.attach(&mut url.clone(), &mut headers, None)?;
        }
        Ok(Request { method: Method::POST, url, headers, body: self.form(cached, with_basic)?.into() })
    }

    /// The form of the token request.
    fn form(&self, cached: &Cached, with_basic: bool) -> Result<String> {
        let mut fields: Vec<(&str, String)> = Vec::new();
        match &self.grant {
            Grant::ClientCredentials => {
                fields.push(("client_id", self.client_id.expose_secret().to_owned()));
                fields.push(("client_secret", self.client_secret.expose_secret().to_owned()));
                fields.push(("grant_type", "client_credentials".to_owned()));
            }
            Grant::RefreshToken(configured) => {
                let token = cached.refresh_token.as_ref().unwrap_or(configured);
                fields.push(("client_id", self.client_id.expose_secret().to_owned()));
                if !self.client_secret.expose_secret().is_empty() {
                    fields.push(("client_secret", self.client_secret.expose_secret().to_owned()));
                }
                fields.push(("grant_type", "refresh_token".to_owned()));
                fields.push(("refresh_token", token.expose_secret().to_owned()));
            }
            Grant::JwtBearer { private_key, audience, scopes } => {
                fields.push(("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()));
                let claims = self.claims(audience, scopes);
                fields.push(("assertion", assertion::signed(private_key.expose_secret(), &claims)?));
            }
        }
        if with_basic {
            fields.retain(|(name, _)| !matches!(*name, "client_id" | "client_secret"));
        }
        for (name, value) in &self.request_data {
            fields.retain(|(known, _)| known != name);
            fields.push((name, value.expose_secret().to_owned()));
        }
        let mut form = form_urlencoded::Serializer::new(String::new());
        Ok(form.extend_pairs(fields).finish())
    }

    /// Takes the token out of the answer (RFC 6749, section 5.1).
    pub(super) fn accept(&self, cached: &mut Cached, body: &[u8]) -> Result<SecretString> {
        let bad = || {
            Error::new(ErrorKind::Unauthorized, "the token endpoint's answer has no access_token")
                .with_context("token endpoint", self.token_url.clone())
        };
        let answer: Value = serde_json::from_slice(body).map_err(|_| bad())?;
        let token = SecretString::from(answer.get("access_token").and_then(Value::as_str).ok_or_else(bad)?.to_owned());
        let seconds: Option<f64> = match answer.get("expires_in") {
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        let lifetime = seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds.clamp(0.0, 1e9)).ok())
            .unwrap_or(self.default_expiration);
        cached.expires = Some(Instant::now() + lifetime.saturating_sub(AHEAD.min(lifetime / 2)));
        cached.token = Some(token.clone());
        if let Some(rotated) = answer.get("refresh_token").and_then(Value::as_str) {
            cached.refresh_token = Some(SecretString::from(rotated.to_owned()));
        }
        Ok(token)
    }

    pub(super) fn secrets(&self) -> Vec<&SecretString> {
        let mut secrets = vec![&self.client_secret];
        secrets.extend(&self.access_token);
        match &self.grant {
            Grant::ClientCredentials => {}
            Grant::RefreshToken(token) => secrets.push(token),
            Grant::JwtBearer { private_key, .. } => secrets.push(private_key),
        }
        let further = self.request_data.iter().filter(|(name, _)| !PUBLIC_FIELDS.contains(&name.as_str()));
        secrets.extend(further.map(|(_, value)| value));
        secrets
    }

    /// Good for an hour (RFC 7523, section 3; issuer and subject as dlt sets them).
    fn claims(&self, audience: &str, scopes: &[String]) -> Value {
        let now = jiff::Timestamp::now().as_second();
        json!({
            "iss": self.client_id.expose_secret(),
            "sub": self.client_id.expose_secret(),
            "aud": audience,
            "iat": now,
            "exp": now + 3600,
            "scope": scopes.join(" "),
        })
    }
}

/// Fields of a token request that say what is wanted: no secrets, and texts that stand in data as well.
const PUBLIC_FIELDS: [&str; 11] = [
    "grant_type",
    "scope",
    "scopes",
    "audience",
    "resource",
    "redirect_uri",
    "response_type",
    "client_id",
    "client_assertion_type",
    "subject_token_type",
    "requested_token_type",
];

/// Whether a token endpoint does not accept how the client shows who it is (RFC 6749, section 5.2): it says so in that
/// section's words, or asks for HTTP Basic, or says nothing with its 401.
pub(super) fn refuses_client(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> bool {
    let answer = serde_json::from_slice::<Value>(body).ok();
    let said = answer.as_ref().and_then(|answer| answer.get("error")).and_then(Value::as_str);
    let is_said = matches!(said, Some("invalid_client" | "unauthorized_client" | "invalid_request"));
    let wanted = headers.get(header::WWW_AUTHENTICATE).map(|wanted| wanted.as_bytes().to_ascii_lowercase());
    match status.as_u16() {
        401 => is_said || said.is_none() || wanted.is_some_and(|wanted| wanted.starts_with(b"basic")),
        400 => is_said,
        _ => false,
    }
}

/// What a token endpoint says is wrong.
pub(super) fn reason(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let said: Vec<&str> = [text("error"), text("error_description")].into_iter().flatten().collect();
    let said: String = said.join(": ").chars().take(300).collect();
    (!said.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oauth2(grant: Grant) -> OAuth2 {
        OAuth2::new(grant, "https://a.b/token".to_owned(), "id".to_owned().into(), "secret".to_owned().into())
    }

    #[test]
    fn forms() {
        let mut client = oauth2(Grant::ClientCredentials);
        assert_eq!(
            client.form(&Cached::default(), false).unwrap(),
            "client_id=id&client_secret=secret&grant_type=client_credentials"
        );
        client.request_data =
            vec![("grant_type".to_owned(), "x".to_owned().into()), ("scope".to_owned(), "a b".to_owned().into())];
        assert_eq!(
            client.form(&Cached::default(), false).unwrap(),
            "client_id=id&client_secret=secret&grant_type=x&scope=a+b"
        );
        let refresh = oauth2(Grant::RefreshToken("r1".to_owned().into()));
        let mut cached = Cached::default();
        assert!(refresh.form(&cached, false).unwrap().ends_with("grant_type=refresh_token&refresh_token=r1"));
        cached.refresh_token = Some("r2".to_owned().into());
        assert!(refresh.form(&cached, false).unwrap().ends_with("refresh_token=r2"), "the rotated one is used");
    }

    #[test]
    fn id_and_secret_in_a_header() {
        let mut client = OAuth2::new(
            Grant::ClientCredentials,
            "https://a.b/token".to_owned(),
            "a+b".to_owned().into(),
            "s&c".to_owned().into(),
        );
        assert!(client.may_use_basic());
        let request = client.request(&Cached::default(), true).unwrap();
        assert_eq!(request.body, "grant_type=client_credentials");
        assert_eq!(request.headers[header::AUTHORIZATION], "Basic YSUyQmI6cyUyNmM=");
        client.client_secret = String::new().into();
        assert!(!client.may_use_basic());
        for (status, body, refused) in [
            (401, "", true),
            (401, r#"{"error": "invalid_client"}"#, true),
            (401, r#"{"error": "Unauthorized"}"#, false),
            (400, r#"{"error": "invalid_client"}"#, true),
            (400, r#"{"error": "invalid_scope"}"#, false),
            (400, "client_id=x", false),
            (500, r#"{"error": "invalid_client"}"#, false),
        ] {
            assert_eq!(
                refuses_client(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes()),
                refused,
                "{status} {body}"
            );
        }
        assert_eq!(reason(br#"{"error": "a", "error_description": "b"}"#).as_deref(), Some("a: b"));
    }

    #[test]
    fn what_is_typed_into_the_request_is_secret_unless_it_says_what_is_wanted() {
        let mut client = oauth2(Grant::ClientCredentials);
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned().into());
        client.request_data =
            vec![field("scope", "read"), field("password", "hunter2"), field("audience", "https://a")];
        let secrets: Vec<&str> = client.secrets().into_iter().map(SecretString::expose_secret).collect();
        assert_eq!(secrets, ["secret", "hunter2"]);
    }

    #[test]
    fn expiry() {
        let client = oauth2(Grant::ClientCredentials);
        let mut cached = Cached::default();
        assert!(cached.good().is_none());
        client.accept(&mut cached, br#"{"access_token": "t", "expires_in": 3600}"#).unwrap();
        assert!(cached.good().is_some());
        client.accept(&mut cached, br#"{"access_token": "t", "expires_in": 0}"#).unwrap();
        assert!(cached.good().is_none());
        client.accept(&mut cached, br#"{"access_token": "t", "expires_in": "NaN"}"#).unwrap();
        assert!(cached.good().is_some(), "no time at all: the default counts");
        let error = client.accept(&mut cached, b"{\"error\": \"x\"}").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
    }
}
