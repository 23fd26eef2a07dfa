//! OAuth 2.0 tokens: fetched once for all instances, renewed ahead of their expiry or after a 401.
//!
//! Grants: client credentials (RFC 6749, 4.4), refresh token (6), JWT bearer with RS256 (RFC 7523). Client id and secret
//! go into the form, as dlt sends them. Must never send anything itself: `Egress` sends the token request through the
//! same gate as every other.

use std::time::{Duration, Instant};

use base64::Engine as _;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::form_urlencoded;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::rotated;

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
    refresh_token: Option<SecretString>,
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

impl Cached {
    /// The refresh token that the server gave instead of the configured one.
    pub(super) fn rotated(&self) -> Option<&SecretString> {
        self.refresh_token.as_ref()
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

    /// The form of the token request.
    pub(super) fn form(&self, cached: &Cached) -> Result<String> {
        let mut fields: Vec<(&str, String)> = Vec::new();
        match &self.grant {
            Grant::ClientCredentials => {
                fields.push(("client_id", self.client_id.expose_secret().to_owned()));
                fields.push(("client_secret", self.client_secret.expose_secret().to_owned()));
                fields.push(("grant_type", "client_credentials".to_owned()));
            }
            Grant::RefreshToken(configured) => {
                let kept = cached.refresh_token.clone().or_else(|| rotated::find(&self.token_url, configured));
                let token = kept.as_ref().unwrap_or(configured);
                fields.push(("client_id", self.client_id.expose_secret().to_owned()));
                if !self.client_secret.expose_secret().is_empty() {
                    fields.push(("client_secret", self.client_secret.expose_secret().to_owned()));
                }
                fields.push(("grant_type", "refresh_token".to_owned()));
                fields.push(("refresh_token", token.expose_secret().to_owned()));
            }
            Grant::JwtBearer { private_key, audience, scopes } => {
                fields.push(("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()));
                fields.push(("assertion", self.assertion(private_key, audience, scopes)?));
            }
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
            let rotated = SecretString::from(rotated.to_owned());
            if let Grant::RefreshToken(configured) = &self.grant
                && rotated.expose_secret() != configured.expose_secret()
                && let Err(error) = rotated::keep(&self.token_url, configured, &rotated)
            {
                tracing::warn!(%error, "the server's new refresh token can't be kept: the next run needs a fresh one");
            }
            cached.refresh_token = Some(rotated);
        }
        Ok(token)
    }

    pub(super) fn secrets(&self) -> Vec<&str> {
        let mut secrets = vec![self.client_secret.expose_secret()];
        secrets.extend(self.access_token.as_ref().map(|token| token.expose_secret()));
        match &self.grant {
            Grant::ClientCredentials => {}
            Grant::RefreshToken(token) => secrets.push(token.expose_secret()),
            Grant::JwtBearer { private_key, .. } => secrets.push(private_key.expose_secret()),
        }
        secrets
    }

    /// A signed assertion that is good for an hour (RFC 7523, section 3; issuer and subject as dlt sets them).
    fn assertion(&self, private_key: &SecretString, audience: &str, scopes: &[String]) -> Result<String> {
        let wrong = |message: &str| {
            Error::new(ErrorKind::Config, format!("the private key of the OAuth 2.0 assertion {message}"))
        };
        let key = PrivateKeyDer::from_pem_slice(private_key.expose_secret().as_bytes()).map_err(|_| {
            wrong("is no PEM")
                .with_help("give an unencrypted RSA key, PKCS #8 or PKCS #1, with its BEGIN and END lines")
        })?;
        let pair = match &key {
            PrivateKeyDer::Pkcs8(key) => {
                ring::signature::RsaKeyPair::from_pkcs8(PrivatePkcs8KeyDer::secret_pkcs8_der(key))
            }
            PrivateKeyDer::Pkcs1(key) => {
                ring::signature::RsaKeyPair::from_der(PrivatePkcs1KeyDer::secret_pkcs1_der(key))
            }
            _ => return Err(wrong("is no RSA key")),
        }
        .map_err(|rejected| wrong("is no usable RSA key").with_source(rejected.to_string()))?;
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({
            "iss": self.client_id.expose_secret(),
            "sub": self.client_id.expose_secret(),
            "aud": audience,
            "iat": now,
            "exp": now + 3600,
            "scope": scopes.join(" "),
        });
        let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", encode(br#"{"alg":"RS256","typ":"JWT"}"#), encode(claims.to_string().as_bytes()));
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(
            &ring::signature::RSA_PKCS1_SHA256,
            &ring::rand::SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .map_err(|_| wrong("can't sign"))?;
        Ok(format!("{signed}.{}", encode(&signature)))
    }
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
            client.form(&Cached::default()).unwrap(),
            "client_id=id&client_secret=secret&grant_type=client_credentials"
        );
        client.request_data =
            vec![("grant_type".to_owned(), "x".to_owned().into()), ("scope".to_owned(), "a b".to_owned().into())];
        assert_eq!(
            client.form(&Cached::default()).unwrap(),
            "client_id=id&client_secret=secret&grant_type=x&scope=a+b"
        );
        let refresh = oauth2(Grant::RefreshToken("r1".to_owned().into()));
        let mut cached = Cached::default();
        assert!(refresh.form(&cached).unwrap().ends_with("grant_type=refresh_token&refresh_token=r1"));
        cached.refresh_token = Some("r2".to_owned().into());
        assert!(refresh.form(&cached).unwrap().ends_with("refresh_token=r2"), "the rotated one is used");
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
