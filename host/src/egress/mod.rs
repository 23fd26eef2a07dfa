//! Egress: the only way out. Every request of every connector passes `Egress::send`, in this order: method and scheme →
//! is the origin granted → rate limit → attach the credential → dial only permitted addresses → retry → cap the decoded
//! size → mask echoed secrets → hand the body over.
//!
//! Must never let a secret reach the connector, an error or a log line, and must never follow a redirect around the gate.

mod address;
mod client;
mod credential;
mod grant;
mod oauth2;
mod pace;
mod redact;
mod retry;
mod tls;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secrets;
pub use credential::{ApiKeyLocation, Credential};
pub use grant::Grants;
pub use oauth2::{Grant as OAuth2Grant, OAuth2};

use client::{Answer, Client};
use redact::Redactor;

/// Names the credential of a request; taken off before it leaves.
const CREDENTIAL_HEADER: HeaderName = HeaderName::from_static("airlock-credential");
/// Statuses that are not retried: the connector knows what to do with them.
const FINAL_STATUSES_HEADER: HeaderName = HeaderName::from_static("airlock-final-statuses");
/// Statuses that are retried besides the rule's.
const RETRY_STATUSES_HEADER: HeaderName = HeaderName::from_static("airlock-retry-statuses");

const REDIRECTS: usize = 10;

/// The way out of one run, shared by all its instances.
pub struct Egress {
    client: Client,
    grants: Arc<Grants>,
    paces: pace::Paces,
    settings: Settings,
    /// Secrets that stand in the configuration outside of a credential, such as in a header.
    placeholders: Vec<(String, SecretString)>,
    redactor: RwLock<Redactor>,
    known_secrets: RwLock<Vec<SecretString>>,
    sent: AtomicU64,
}

/// What one stream sent, for progress and report.
#[derive(Debug, Default)]
pub struct Traffic {
    pub requests: AtomicU64,
    pub retries: AtomicU64,
    /// Of response bodies, decoded.
    pub bytes: AtomicU64,
}

/// A request as the connector made it, its body collected.
#[derive(Debug)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What the connector gets.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Egress {
    pub fn new(settings: Settings, grants: Grants, secrets: &Secrets) -> Result<Self> {
        let grants = Arc::new(grants);
        let mut known: Vec<SecretString> = grants.credentials().flat_map(Credential::secrets).collect();
        let named = |(name, secret): (&str, &SecretString)| {
            (!name.starts_with("config:")).then(|| (name.to_owned(), secret.clone()))
        };
        let placeholders: Vec<_> = secrets.iter().filter_map(named).collect();
        known.extend(placeholders.iter().map(|(_, secret)| secret.clone()));
        Ok(Self {
            client: Client::new(&settings, &grants)?,
            paces: pace::Paces::new(settings.rate_limit.clone()),
            grants,
            settings,
            placeholders,
            redactor: RwLock::new(Redactor::new(known.iter().map(SecretString::expose_secret))),
            known_secrets: RwLock::new(known),
            sent: AtomicU64::new(0),
        })
    }

    /// A secret in plain text, if the operator granted that to the connector.
    pub(crate) fn reveal(&self, name: &str) -> Option<&SecretString> {
        let granted = self.settings.reveal.iter().any(|granted| granted == name);
        self.placeholders.iter().find(|(known, _)| granted && known == name).map(|(_, secret)| secret)
    }

    /// Sends a request through the gate, follows redirects through the same gate, and retries.
    ///
    /// Errors: `Denied` (not granted), `LimitExceeded`, `Unavailable` (after the last retry), `Unauthorized` (no token).
    /// A status is no error: the connector gets it.
    pub async fn send(&self, mut request: Request, traffic: &Traffic) -> Result<Response> {
        let directions = Directions::take(&mut request.headers);
        if matches!(request.method, Method::CONNECT | Method::TRACE) {
            return Err(Error::new(
                ErrorKind::Denied,
                format!("the connector asked for {}, which no connector gets", request.method),
            )
            .with_context("url", client::shown(&request.url)));
        }
        for hop in 0..=REDIRECTS {
            if hop > 0 {
                forget_placeholders(&mut request)?;
            }
            let answer = self.send_one(&request, &directions, traffic).await?;
            let Some(target) = redirect_target(&answer, &request.url) else { return Ok(self.masked(answer)) };
            tracing::debug!(from = client::shown(&request.url), to = client::shown(&target), "redirected");
            let changes = matches!(answer.status.as_u16(), 301..=303)
                && request.method != Method::GET
                && request.method != Method::HEAD;
            if changes {
                request.method = Method::GET;
                request.body = Bytes::new();
                request.headers.remove(header::CONTENT_TYPE);
            }
            if target.origin() != request.url.origin() {
                request.headers.remove(header::AUTHORIZATION);
                request.headers.remove(header::COOKIE);
            }
            request.url = target;
        }
        Err(Error::new(ErrorKind::BadData, format!("more than {REDIRECTS} redirects"))
            .with_context("url", client::shown(&request.url)))
    }

    /// Takes secrets out of a text on its way to people.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.redactor.read().unwrap_or_else(PoisonError::into_inner).text(text)
    }

    async fn send_one(&self, request: &Request, directions: &Directions, traffic: &Traffic) -> Result<Answer> {
        self.grants.check(&request.url)?;
        let origin = request.url.origin().ascii_serialization();
        let credential = self.grants.credential(&origin, directions.credential.as_deref());
        let mut backoff = retry::Backoff::new(&self.settings.retry);
        let mut renewed = false;
        loop {
            let (mut url, mut headers, body) = self.with_placeholders(request)?;
            let token = match credential.as_deref() {
                Some(Credential::OAuth2(oauth2)) => Some(self.token(oauth2, None, traffic).await?),
                _ => None,
            };
            if let Some(credential) = &credential {
                credential.attach(&mut url, &mut headers, token.as_ref())?;
            }
            let outcome = {
                let _turn = self.paces.turn(&origin).await;
                self.count(traffic)?;
                self.client.send(&request.method, &url, &headers, &body).await
            };
            let wait = match &outcome {
                Ok(answer) => {
                    tracing::debug!(
                        method = %request.method, url = client::shown(&request.url), status = answer.status.as_u16(),
                        bytes = answer.body.len(), "answered"
                    );
                    traffic.bytes.fetch_add(answer.body.len() as u64, Ordering::Relaxed);
                    if let (StatusCode::UNAUTHORIZED, Some(Credential::OAuth2(oauth2)), false) =
                        (answer.status, credential.as_deref(), renewed)
                    {
                        renewed = true;
                        self.token(oauth2, token.as_ref(), traffic).await?;
                        continue;
                    }
                    if !retry::is_retried(
                        answer.status,
                        &self.settings.retry,
                        &directions.retry_statuses,
                        &directions.final_statuses,
                    ) {
                        return outcome.map_err(|failure| failure.error);
                    }
                    backoff.next(Some(&answer.headers))
                }
                Err(failure) if failure.transient => backoff.next(None),
                Err(_) => None,
            };
            let Some(wait) = wait else {
                return outcome.map_err(|failure| self.told(failure.error, failure.transient));
            };
            tracing::debug!(url = client::shown(&request.url), ?wait, "sent again");
            traffic.retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(wait).await;
        }
    }

    fn told(&self, error: Error, transient: bool) -> Error {
        match transient {
            true => error.with_context("attempts", (self.settings.retry.max_retries + 1).to_string()),
            false => error,
        }
    }

    /// A good token; `refused`: one that the API no longer takes.
    async fn token(&self, oauth2: &OAuth2, refused: Option<&SecretString>, traffic: &Traffic) -> Result<SecretString> {
        let mut cached = oauth2.cached.lock().await;
        if let Some(token) = cached.good()
            && refused.is_none_or(|refused| refused.expose_secret() != token.expose_secret())
        {
            return Ok(token);
        }
        let wrong = |message: &str| {
            Error::new(ErrorKind::Unauthorized, message).with_context("token endpoint", oauth2.token_url.clone())
        };
        let url = Url::parse(&oauth2.token_url)
            .map_err(|source| wrong("the token endpoint is no URL").with_source(source))?;
        let request = Request {
            method: Method::POST,
            headers: HeaderMap::from_iter([
                (header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
                (header::ACCEPT, HeaderValue::from_static("application/json")),
            ]),
            body: oauth2.form(&cached)?.into(),
            url,
        };
        let nothing = Directions { credential: Some("none".to_owned()), ..Directions::default() };
        let answer = Box::pin(self.send_one(&request, &nothing, traffic)).await?;
        if !answer.status.is_success() {
            return Err(wrong(&format!("the token endpoint answered {}", answer.status))
                .with_help("check client id, client secret and the other fields of the token request"));
        }
        let token = oauth2.accept(&mut cached, &answer.body)?;
        self.remember(&token);
        if let Some(rotated) = cached.rotated() {
            self.remember(rotated);
        }
        Ok(token)
    }

    /// A secret that came into being during the run is masked like the others.
    fn remember(&self, secret: &SecretString) {
        let mut known = self.known_secrets.write().unwrap_or_else(PoisonError::into_inner);
        if known.iter().all(|known| known.expose_secret() != secret.expose_secret()) {
            known.push(secret.clone());
            *self.redactor.write().unwrap_or_else(PoisonError::into_inner) =
                Redactor::new(known.iter().map(SecretString::expose_secret));
        }
    }

    fn count(&self, traffic: &Traffic) -> Result<()> {
        traffic.requests.fetch_add(1, Ordering::Relaxed);
        if self.sent.fetch_add(1, Ordering::Relaxed) >= self.settings.limits.requests {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("more than {} requests in one run", self.settings.limits.requests),
            )
            .with_help("raise host.limits.requests"));
        }
        Ok(())
    }

    fn masked(&self, answer: Answer) -> Response {
        let redactor = self.redactor.read().unwrap_or_else(PoisonError::into_inner);
        let mut headers = answer.headers;
        // A name can't be masked: there would be another header of that name.
        let telling = |name: &&HeaderName| matches!(redactor.text(name.as_str()), Cow::Owned(_));
        let telling: Vec<HeaderName> = headers.keys().filter(telling).cloned().collect();
        for name in telling {
            headers.remove(name);
        }
        for value in headers.values_mut() {
            // As bytes: one character beyond ASCII beside it must not hide a secret.
            let masked = redactor.body(Bytes::copy_from_slice(value.as_bytes()));
            if masked != value.as_bytes() {
                *value = HeaderValue::from_bytes(&masked).unwrap_or_else(|_| HeaderValue::from_static("***"));
            }
        }
        Response { status: answer.status, headers, body: redactor.body(answer.body) }
    }

    /// Puts secrets where the configuration names them outside of a credential (`headers: {x-key: ${secrets.key}}`): the
    /// connector only ever sees and sends their names.
    fn with_placeholders(&self, request: &Request) -> Result<(Url, HeaderMap, Bytes)> {
        let (mut url, mut headers, mut body) = (request.url.clone(), request.headers.clone(), request.body.clone());
        let origin = request.url.origin().ascii_serialization();
        for (name, secret) in &self.placeholders {
            if !self.grants.takes_secret(&origin, name) {
                refuse_placeholder(request, name, &origin)?;
                continue;
            }
            let (secret, encoded) = (secret.expose_secret(), credential::percent_encoded(secret.expose_secret()));
            let plain = format!("${{secrets.{name}}}");
            let spellings = [plain.clone(), format!("$%7Bsecrets.{name}%7D"), format!("%24%7Bsecrets.{name}%7D")];
            for spelling in &spellings {
                if url.as_str().contains(spelling.as_str()) {
                    let filled = url.as_str().replace(spelling.as_str(), &encoded);
                    let filled = Url::parse(&filled).ok().filter(|filled| filled.origin() == request.url.origin());
                    url = filled
                        .ok_or_else(|| Error::new(ErrorKind::Denied, "a secret may not stand in a URL's host"))?;
                }
            }
            for value in headers.values_mut() {
                if let Some(text) = value.to_str().ok().filter(|text| text.contains(&plain)) {
                    let mut filled = HeaderValue::from_str(&text.replace(&plain, secret)).map_err(|_| {
                        Error::new(
                            ErrorKind::Config,
                            format!("the secret `{name}` has characters that no header may have"),
                        )
                    })?;
                    filled.set_sensitive(true);
                    *value = filled;
                }
            }
            if let Ok(text) = std::str::from_utf8(&body)
                && text.contains(&format!("secrets.{name}"))
            {
                let is_json = headers
                    .get(header::CONTENT_TYPE)
                    .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
                let json = serde_json::Value::from(secret).to_string();
                let inside = if is_json { &json[1..json.len() - 1] } else { secret };
                body = text.replace(&plain, inside).replace(&spellings[2], &encoded).into();
            }
        }
        // Refused already when the connector set them; what comes through the egress's own doors is checked here.
        for name in forbidden_headers() {
            headers.remove(name);
        }
        Ok((url, headers, body))
    }
}

/// The spellings of a placeholder in a request begin with one of these.
const PLACEHOLDERS: [&str; 3] = ["${secrets.", "$%7Bsecrets.", "%24%7Bsecrets."];

fn names_placeholder(bytes: &[u8], of: &str) -> bool {
    let text = String::from_utf8_lossy(bytes);
    PLACEHOLDERS.iter().any(|start| text.contains(&format!("{start}{of}")))
}

/// A secret belongs to one origin and stands in a request to another: it is not sent, and neither is its name.
fn refuse_placeholder(request: &Request, name: &str, origin: &str) -> Result<()> {
    let named = names_placeholder(request.url.as_str().as_bytes(), name)
        || request.headers.values().any(|value| names_placeholder(value.as_bytes(), name))
        || names_placeholder(&request.body, name);
    if !named {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Denied,
        format!("the connector wanted the secret `{name}` sent to {origin}, which its credential does not belong to"),
    ))
}

/// Behind a redirect only the host's own credential goes on: the server chose the URL, and a header that was meant for one
/// place must not follow to another.
fn forget_placeholders(request: &mut Request) -> Result<()> {
    let named: Vec<HeaderName> = request
        .headers
        .iter()
        .filter(|(_, value)| names_placeholder(value.as_bytes(), ""))
        .map(|(name, _)| name.clone())
        .collect();
    for name in named {
        request.headers.remove(name);
    }
    if names_placeholder(request.url.as_str().as_bytes(), "") || names_placeholder(&request.body, "") {
        return Err(Error::new(ErrorKind::Denied, "a redirect would take a secret along")
            .with_context("url", client::shown(&request.url)));
    }
    Ok(())
}

/// What the connector says of a request besides the request itself.
#[derive(Debug, Default)]
struct Directions {
    credential: Option<String>,
    final_statuses: Vec<u16>,
    retry_statuses: Vec<u16>,
}

impl Directions {
    fn take(headers: &mut HeaderMap) -> Self {
        let mut text =
            |name: &HeaderName| headers.remove(name).and_then(|value| value.to_str().map(str::to_owned).ok());
        let statuses = |text: Option<String>| {
            text.iter().flat_map(|text| text.split(',')).filter_map(|status| status.trim().parse().ok()).collect()
        };
        Self {
            credential: text(&CREDENTIAL_HEADER),
            final_statuses: statuses(text(&FINAL_STATUSES_HEADER)),
            retry_statuses: statuses(text(&RETRY_STATUSES_HEADER)),
        }
    }
}

/// Headers that a connector can't set: they would go around the host's own.
pub(crate) fn forbidden_headers() -> &'static [HeaderName] {
    static NAMES: [HeaderName; 14] = [
        header::HOST,
        header::CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        HeaderName::from_static("http2-settings"),
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::EXPECT,
        header::ACCEPT_ENCODING,
        header::CONTENT_LENGTH,
        header::PROXY_AUTHORIZATION,
        header::PROXY_AUTHENTICATE,
    ];
    &NAMES
}

/// Where a 3xx leads; none for any other answer.
fn redirect_target(answer: &Answer, from: &Url) -> Option<Url> {
    if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers.get(header::LOCATION)?.to_str().ok()?;
    from.join(location).ok()
}
