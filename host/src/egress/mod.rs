//! Egress: the only way out. Every request of every connector passes `Egress::send`, in this order: method and scheme →
//! is the origin granted → fill in secrets that it names → attach cookies and the credential → take off forbidden
//! headers → wait for the origin's pace → dial only permitted addresses → retry → cap the decoded size → mask repeated
//! secrets → hand the body over.
//!
//! Must never let a secret reach the connector, an error or a log line, and must never follow a redirect around the
//! gate.

mod address;
mod asked_wait;
mod assertion;
mod client;
mod cookies;
mod credential;
mod directions;
mod grant;
mod masking;
mod oauth2;
mod outgoing;
mod pace;
mod references;
mod retry;
mod rotation;
mod session;
mod spelling;
mod tls;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::{Secrets, check_size};
pub use credential::{ApiKeyLocation, Credential};
pub(crate) use directions::forbidden_headers;
pub use grant::{Goes, Grants, Travel};
pub use oauth2::{Grant as OAuth2Grant, OAuth2};
pub use session::{Session, Traffic};

use asked_wait::{asked_wait, is_rate_limit};
use client::{Answer, Client};
use cookies::Jar;
use directions::{Directions, NO_CREDENTIAL};
use references::{Known, References, Repeated};
use rotation::Rotation;

const REDIRECTS: usize = 10;
/// How often one request may be refused while others are let in: an origin that is shared by many.
const REFUSALS_PER_RETRY: u32 = 10;

/// The way out of one run, shared by all its instances.
pub struct Egress {
    client: Client,
    grants: Arc<Grants>,
    paces: pace::Paces,
    settings: Settings,
    references: RwLock<Arc<References>>,
    cookies: Jar,
    rotation: Rotation,
    sent: AtomicU64,
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
        let known = grants.known_secrets(secrets);
        check_size(known.iter().map(|known| known.bytes()).sum(), settings.limits.secret_bytes)?;
        let references = References::new(known, grants.configured());
        Ok(Self {
            client: Client::new(&settings, &grants)?,
            paces: pace::Paces::new(settings.rate_limit.clone()),
            grants,
            settings,
            references: RwLock::new(Arc::new(references)),
            cookies: Jar::default(),
            rotation: Rotation::new(secrets),
            sent: AtomicU64::new(0),
        })
    }

    /// A secret in plain text, if the operator granted that to the connector.
    pub(crate) fn reveal(&self, name: &str) -> Option<SecretString> {
        let granted = self.settings.reveal.iter().any(|granted| granted == name);
        let references = self.references();
        let known = references.known.iter().find(|known| granted && known.name == name)?;
        known.values.first().cloned()
    }

    /// The names of the secrets that the connector may see in plain text.
    pub(crate) fn reveals(&self) -> &[String] {
        &self.settings.reveal
    }

    /// Sends a request through the gate, follows redirects through the same gate, and retries.
    ///
    /// Errors: `Denied` (not granted), `LimitExceeded`, `Unavailable` (after the last retry), `Unauthorized` (no
    /// token). A status is no error: the connector gets it.
    pub async fn send(&self, mut request: Request, session: &Session) -> Result<Response> {
        let mut directions = Directions::take(&mut request.headers);
        if matches!(request.method, Method::CONNECT | Method::TRACE) {
            return Err(Error::new(
                ErrorKind::Denied,
                format!("the connector asked for {}, which no connector gets", request.method),
            )
            .with_context("url", client::shown(&request.url)));
        }
        if let Some(attempt) = directions.attempt {
            self.wait_for_attempt(attempt, session, &request.url).await?;
        }
        for _ in 0..=REDIRECTS {
            self.grants.upgrade(&mut request.url);
            let answer = self.send_one(&request, &directions, session).await?;
            let Some(target) = redirect_target(&answer, &request.url) else { return Ok(self.masked(answer, session)) };
            self.redirect(&mut request, &mut directions, answer.status, target)?;
        }
        Err(Error::new(ErrorKind::BadData, format!("more than {REDIRECTS} redirects"))
            .with_context("url", client::shown(&request.url)))
    }

    /// Takes secrets out of a text on its way to people.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.references().redacted(text) {
            Cow::Borrowed(_) => text.into(),
            Cow::Owned(redacted) => redacted.into(),
        }
    }

    /// A page's records as they are to be loaded: what is no credential's and was repeated to this instance is itself
    /// again. None: they are loaded as they are.
    pub(crate) fn restored(&self, records: &[u8], session: &Session) -> Option<Vec<u8>> {
        let repeated = session.repeated.lock().unwrap_or_else(PoisonError::into_inner);
        let mut masked = 0;
        let restored = self.references().restore(records, &repeated, &mut masked);
        session.count_masked(masked);
        restored
    }

    fn references(&self) -> Arc<References> {
        self.references.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The connector asks once more because of what the answer said: it waits as for any other retry.
    async fn wait_for_attempt(&self, attempt: u32, session: &Session, url: &Url) -> Result<()> {
        let settings = &self.settings.retry;
        let Some(wait) = retry::wait_before(settings, attempt) else {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("after {} retries the API still answers that it is to be asked again", settings.max_retries),
            )
            .with_context("url", client::shown(url))
            .with_help("try again later, or raise host.retry.max_retries"));
        };
        let wait = session.still_asked().map_or(wait, |asked| asked.min(retry::longest(settings)));
        tracing::debug!(url = client::shown(url), ?wait, attempt, "sent again, as the connector asks");
        session.traffic.retries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(wait).await;
        Ok(())
    }

    async fn send_one(&self, request: &Request, directions: &Directions, session: &Session) -> Result<Answer> {
        self.grants.check(&request.url)?;
        let settings = &self.settings.retry;
        let traffic = &session.traffic;
        let origin = request.url.origin().ascii_serialization();
        let credential = self.grants.credential(&origin, directions.credential.as_deref());
        let mut waits = retry::waits(settings);
        let mut refusals = 0;
        let mut renewed = false;
        loop {
            let (mut url, mut headers, body) =
                outgoing::filled(&self.references(), &self.grants, request, self.settings.limits.request_bytes)?;
            session.cookies.attach(&self.cookies, &request.url, &mut headers);
            let token = match credential.as_deref() {
                Some(Credential::OAuth2(oauth2)) => Some(self.token(oauth2, None, session).await?),
                _ => None,
            };
            if let Some(credential) = &credential {
                credential.attach(&mut url, &mut headers, token.as_ref())?;
            }
            directions::strip(&mut headers);
            let turn = self.paces.turn(&origin).await;
            self.count(traffic)?;
            let wait = match self.client.send(&request.method, &url, &headers, &body).await {
                Ok(answer) => {
                    tracing::debug!(
                        method = %request.method, url = client::shown(&request.url), status = answer.status.as_u16(),
                        bytes = answer.body.len(), "answered"
                    );
                    traffic.bytes.fetch_add(answer.body.len() as u64, Ordering::Relaxed);
                    session.cookies.keep(&self.cookies, &request.url, &answer.headers);
                    let asked = asked_wait(answer.status, &answer.headers);
                    session.asked(asked);
                    let is_refusal = is_rate_limit(answer.status, &answer.headers);
                    if let (StatusCode::UNAUTHORIZED, Some(Credential::OAuth2(oauth2)), false) =
                        (answer.status, credential.as_deref(), renewed)
                    {
                        renewed = true;
                        drop(turn);
                        self.token(oauth2, token.as_ref(), session).await?;
                        continue;
                    }
                    let retried = retry::is_retried(
                        answer.status,
                        &answer.headers,
                        settings,
                        &directions.retry_statuses,
                        &directions.final_statuses,
                    );
                    if retried && is_refusal {
                        refusals += 1;
                        // The wait is the origin's, and so is the count.
                        let goes_on = turn.refused(asked, settings);
                        if !goes_on || refusals > settings.max_retries.saturating_mul(REFUSALS_PER_RETRY) {
                            return Ok(answer);
                        }
                        std::time::Duration::ZERO
                    } else {
                        if !is_refusal && !answer.status.is_server_error() {
                            turn.answered();
                        }
                        let Some(wait) = retried.then(|| waits.next()).flatten() else { return Ok(answer) };
                        asked.map_or(wait, |asked| asked.min(retry::longest(settings)))
                    }
                }
                Err(failure) => match failure.transient.then(|| waits.next()).flatten() {
                    Some(wait) => wait,
                    None => return Err(self.told(failure.error, failure.transient)),
                },
            };
            drop(turn);
            tracing::debug!(url = client::shown(&request.url), ?wait, "sent again");
            traffic.retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(wait).await;
        }
    }

    /// The request that a redirect leads to. A credential goes only with a request that the connector made itself, and
    /// to another origin nothing goes that was meant for the first one.
    fn redirect(
        &self,
        request: &mut Request,
        directions: &mut Directions,
        status: StatusCode,
        mut target: Url,
    ) -> Result<()> {
        tracing::debug!(from = client::shown(&request.url), to = client::shown(&target), "redirected");
        let references = self.references();
        let denied = |message: &str, url: &Url| {
            Error::new(ErrorKind::Denied, message.to_owned()).with_context("url", client::shown(url))
        };
        if references.names_secret(target.as_str()) {
            return Err(denied("a redirect would take a secret along", &request.url));
        }
        // What it repeats of a secret becomes a reference, as it would have on its way through the connector.
        if let Some(masked) = references.mask_text(target.as_str().as_bytes(), &mut Repeated::new()) {
            target = std::str::from_utf8(&masked).ok().and_then(|text| Url::parse(text).ok()).unwrap_or(target);
        }
        self.grants.upgrade(&mut target);
        if request.url.scheme() == "https" && target.scheme() == "http" {
            return Err(denied("a redirect leads from https to http", &request.url).with_help(format!(
                "it leads to {}: ask there in the first place, or not at all",
                client::shown(&target)
            )));
        }
        if matches!(status.as_u16(), 301..=303) && request.method != Method::GET && request.method != Method::HEAD {
            request.method = Method::GET;
            request.body = Bytes::new();
            request.headers.remove(header::CONTENT_TYPE);
        }
        if target.origin() != request.url.origin() {
            directions.credential = Some(NO_CREDENTIAL.to_owned());
            request.headers.remove(header::AUTHORIZATION);
            request.headers.remove(header::COOKIE);
            let names = |(name, value): (&HeaderName, &HeaderValue)| {
                references.names_secret(&String::from_utf8_lossy(value.as_bytes())).then(|| name.clone())
            };
            let named: Vec<HeaderName> = request.headers.iter().filter_map(names).collect();
            for name in named {
                request.headers.remove(name);
            }
            if !request.body.is_empty() {
                return Err(denied("a redirect would take a request's body to another origin", &request.url)
                    .with_help(format!("it leads to {}: ask there in the first place", client::shown(&target))));
            }
        }
        request.url = target;
        Ok(())
    }

    fn told(&self, error: Error, transient: bool) -> Error {
        match transient {
            true => error.with_context("attempts", (self.settings.retry.max_retries + 1).to_string()),
            false => error,
        }
    }

    /// A good token; `refused`: one that the API no longer takes.
    async fn token(&self, oauth2: &OAuth2, refused: Option<&SecretString>, session: &Session) -> Result<SecretString> {
        let mut cached = oauth2.cached.lock().await;
        if let Some(token) = cached.good()
            && refused.is_none_or(|refused| refused.expose_secret() != token.expose_secret())
        {
            return Ok(token);
        }
        let (name, origins) = self.grants.tokens(&oauth2.token_url);
        if let Some(given) = oauth2.configured().filter(|_| cached.refresh_token.is_none()) {
            cached.refresh_token = self.rotation.newest(&oauth2.token_url, given);
        }
        let spent = cached.refresh_token.clone();
        if let Some(spent) = &spent {
            self.remember(format!("{name}-refresh"), BTreeSet::new(), spent);
        }
        let mut answer = self.ask_for_token(oauth2.request(&cached, cached.with_basic)?, session).await?;
        // RFC 6749, section 2.3.1: every server takes the client's password in a header, and some take it nowhere else.
        if !cached.with_basic
            && oauth2.may_use_basic()
            && oauth2::refuses_client(answer.status, &answer.headers, &answer.body)
        {
            let second = self.ask_for_token(oauth2.request(&cached, true)?, session).await?;
            if second.status.is_success() {
                cached.with_basic = true;
                answer = second;
            }
        }
        if !answer.status.is_success() {
            let error = Error::new(ErrorKind::Unauthorized, format!("the token endpoint answered {}", answer.status))
                .with_context("token endpoint", oauth2.token_url.clone())
                .with_help("check client id, client secret and the other fields of the token request");
            return Err(match oauth2::reason(&answer.body) {
                Some(reason) => error.with_source(self.redact(&reason).into_owned()),
                None => error,
            });
        }
        let known = self.references().known.iter().map(|known| known.bytes()).sum::<usize>();
        check_size(known + answer.body.len(), self.settings.limits.secret_bytes)?;
        let token = oauth2.accept(&mut cached, &answer.body)?;
        if let Some(given) = oauth2.configured()
            && let Some(new) = &cached.refresh_token
            && [Some(given), spent.as_ref()].iter().flatten().all(|old| old.expose_secret() != new.expose_secret())
        {
            self.remember(format!("{name}-refresh"), BTreeSet::new(), new);
            self.rotation.keep(&oauth2.token_url, given, new).await;
        }
        self.remember(name, origins, &token);
        Ok(token)
    }

    async fn ask_for_token(&self, request: Request, session: &Session) -> Result<Answer> {
        Box::pin(self.send_one(&request, &Directions::none(), session)).await
    }

    /// A secret that came into being during the run is masked like the others; a token may go where its credential
    /// goes.
    fn remember(&self, name: String, origins: BTreeSet<String>, secret: &SecretString) {
        let mut references = self.references.write().unwrap_or_else(PoisonError::into_inner);
        if references.known.iter().any(|known| known.has_value(secret)) {
            return;
        }
        let mut known = references.known.clone();
        match known.iter_mut().find(|known| known.name == name) {
            Some(earlier) => *earlier = Arc::new(earlier.renewed(secret.clone())),
            None => known.insert(0, Arc::new(Known::new(name, secret.clone(), origins, true))),
        }
        *references = Arc::new(References::new(known, self.grants.configured()));
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

    fn masked(&self, answer: Answer, session: &Session) -> Response {
        let references = self.references();
        let mut repeated = Repeated::new();
        let mut headers = answer.headers;
        headers.remove(header::SET_COOKIE);
        // A name can't be masked: there would be another header of that name.
        let telling: Vec<HeaderName> = headers.keys().filter(|name| references.tells(name.as_str())).cloned().collect();
        for name in telling {
            headers.remove(name);
        }
        for value in headers.values_mut() {
            // As bytes: one character beyond ASCII beside it must not hide a secret.
            if let Some(masked) = references.mask_text(value.as_bytes(), &mut repeated) {
                *value = HeaderValue::from_bytes(&masked).unwrap_or_else(|_| HeaderValue::from_static("***"));
            }
        }
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let masked = references.mask_body(&answer.body, &kind.to_ascii_lowercase(), &mut repeated);
        session.remember(repeated);
        Response { status: answer.status, headers, body: masked.map_or(answer.body, Bytes::from) }
    }
}

/// Where a 3xx leads; none for any other answer.
fn redirect_target(answer: &Answer, from: &Url) -> Option<Url> {
    if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers.get(header::LOCATION)?;
    from.join(std::str::from_utf8(location.as_bytes()).ok()?).ok()
}
