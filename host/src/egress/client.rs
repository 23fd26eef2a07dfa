//! The one HTTP client: pooled, keep-alive, HTTP/1.1 and 2, no redirects, no proxy of the environment, and a resolver
//! that gives out only addresses that may be dialled.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use super::address::AddressClass;
use super::grant::Grants;
use super::tls;
use crate::config::Settings;
use crate::config::settings::Tls;
use crate::error::{Error, ErrorKind, Result};

#[expect(clippy::disallowed_types, reason = "the one place that has an HTTP client")]
type HttpClient = reqwest::Client;

pub(super) struct Client {
    /// For plain HTTP without a proxy: it knows no authority.
    plain: HttpClient,
    /// For everything else. Made when the first URL wants it, if nothing can be wrong with it: to read all authorities takes
    /// longer than a request.
    client: OnceLock<HttpClient>,
    /// Shows the client certificate to these origins; none: there is no certificate, or `client` shows it to all.
    certified: Option<(BTreeSet<String>, HttpClient)>,
    settings: Settings,
    grants: Arc<Grants>,
    response_bytes: u64,
}

/// One attempt's outcome. The body is whole: a response that was cut off is an error.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why an attempt failed, and whether another one may do better.
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) transient: bool,
}

impl Client {
    pub(super) fn new(settings: &Settings, grants: &Arc<Grants>) -> Result<Self> {
        // Fails only when another part of the process installed one before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let identity = tls::identity(&settings.tls)?;
        let origins = tls::client_origins(&settings.tls)?;
        let (for_all, for_some) = if origins.is_empty() { (identity, None) } else { (None, identity) };
        let certified = for_some.map(|identity| Self::client(settings, grants, Some(identity))).transpose()?;
        let client = OnceLock::new();
        if settings.proxy.is_some() || settings.tls != Tls::default() {
            let _ = client.set(Self::client(settings, grants, for_all)?);
        }
        Ok(Self {
            plain: built(Self::builder(settings, grants).tls_certs_only([]))?,
            client,
            certified: certified.map(|client| (origins, client)),
            settings: settings.clone(),
            grants: grants.clone(),
            response_bytes: settings.limits.response_bytes,
        })
    }

    fn builder(settings: &Settings, grants: &Arc<Grants>) -> reqwest::ClientBuilder {
        HttpClient::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .retry(reqwest::retry::never())
            .dns_resolver(Arc::new(GuardedResolver { grants: grants.clone() }))
            .connect_timeout(Duration::from_secs_f64(settings.limits.connect_secs))
            .timeout(Duration::from_secs_f64(settings.limits.response_secs))
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(64)
            .user_agent(concat!("airlock/", env!("CARGO_PKG_VERSION")))
    }

    fn client(settings: &Settings, grants: &Arc<Grants>, identity: Option<reqwest::Identity>) -> Result<HttpClient> {
        let mut builder = Self::builder(settings, grants);
        if let Some(authorities) = tls::authorities(&settings.tls)? {
            builder = builder.tls_certs_merge(authorities);
        }
        if let Some(identity) = identity {
            builder = builder.identity(identity);
        }
        if let Some(proxy) = &settings.proxy {
            let proxy = reqwest::Proxy::all(proxy).map_err(|source| {
                Error::new(ErrorKind::Config, "host.proxy is no proxy URL")
                    .with_source(source)
                    .with_help("write http://host:port")
            })?;
            builder = builder.proxy(proxy);
        }
        built(builder)
    }

    fn of(&self, url: &Url) -> Result<&HttpClient> {
        if url.scheme() == "http" && self.settings.proxy.is_none() {
            return Ok(&self.plain);
        }
        if let Some((origins, client)) = &self.certified
            && origins.contains(&url.origin().ascii_serialization())
        {
            return Ok(client);
        }
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Self::client(&self.settings, &self.grants, None)?;
        Ok(self.client.get_or_init(|| client))
    }

    pub(super) async fn send(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Answer, Failure> {
        let client = self.of(url).map_err(|error| Failure { error, transient: false })?;
        let mut request = client.request(method.clone(), url.clone()).headers(headers.clone());
        if !body.is_empty() {
            request = request.body(body.clone());
        }
        let mut response = request.send().await.map_err(|error| failure(&error, url))?;
        let status = response.status();
        let mut headers = std::mem::take(response.headers_mut());
        let announced = response.content_length().unwrap_or(0).min(self.response_bytes);
        let mut body = BytesMut::with_capacity(usize::try_from(announced).unwrap_or(0));
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error, url))? {
            if (body.len() + chunk.len()) as u64 > self.response_bytes {
                let error = Error::new(
                    ErrorKind::LimitExceeded,
                    format!("a response is larger than {} bytes", self.response_bytes),
                )
                .with_context("url", shown(url))
                .with_help("ask for smaller pages, or raise host.limits.response_bytes");
                return Err(Failure { error, transient: false });
            }
            body.extend_from_slice(&chunk);
        }
        for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONTENT_ENCODING, header::CONNECTION] {
            headers.remove(name);
        }
        Ok(Answer { status, headers, body: body.freeze() })
    }
}

fn built(builder: reqwest::ClientBuilder) -> Result<HttpClient> {
    builder.build().map_err(|source| {
        Error::new(ErrorKind::Config, "the HTTP client can't be made: see host.tls").with_source(source)
    })
}

/// A URL for people: without its query, which may hold a secret.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn failure(error: &reqwest::Error, url: &Url) -> Failure {
    let mut causes = Vec::new();
    let mut next = std::error::Error::source(error);
    let mut prohibited = None;
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<ProhibitedAddress>() {
            prohibited = Some(found.clone());
        }
        causes.push(cause.to_string());
        next = cause.source();
    }
    if let Some(found) = prohibited {
        let origin = url.origin().ascii_serialization();
        let help = match found.class {
            AddressClass::Special => "no name may lead there, whatever is granted".to_owned(),
            _ => format!("only if you trust the connector with that address: --allow {origin}"),
        };
        let error = Error::new(ErrorKind::Denied, found.to_string()).with_context("url", shown(url)).with_help(help);
        return Failure { error, transient: false };
    }
    let host = url.host_str().unwrap_or_default();
    let message = if error.is_timeout() {
        format!("{host} did not answer in time")
    } else if error.is_connect() {
        format!("{host} can't be reached")
    } else if error.is_body() || error.is_decode() {
        format!("the response of {host} broke off")
    } else {
        format!("the request to {host} failed")
    };
    let mut told = Error::new(ErrorKind::Unavailable, message).with_context("url", shown(url));
    if let Some(cause) = causes.last() {
        told = told.with_source(cause.clone());
    }
    let cause = causes.last().map(String::as_str).unwrap_or_default();
    if cause.contains("UnknownIssuer") {
        told = told.with_help("an authority of your own: name its certificate in host.tls.ca_file");
    } else if cause.contains("CertificateRequired") {
        told = told.with_help("the server asks for a certificate: host.tls.client_certificate and client_key");
    }
    if error.is_timeout() {
        let setting = if error.is_connect() { "connect_secs" } else { "response_secs" };
        told = told.with_help(format!("is it up? or raise host.limits.{setting}"));
    }
    Failure { error: told, transient: true }
}

/// Resolves a name and keeps only the addresses that may be dialled; they are dialled as they are, never looked up
/// again.
struct GuardedResolver {
    grants: Arc<Grants>,
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("{host} resolves to {address}, a {} address, which is not granted", class.name())]
struct ProhibitedAddress {
    host: String,
    address: std::net::IpAddr,
    class: AddressClass,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let grants = self.grants.clone();
        Box::pin(async move {
            let host = name.as_str().trim_end_matches('.').to_ascii_lowercase();
            #[expect(clippy::disallowed_methods, reason = "the one place that resolves names")]
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let (permitted, refused): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|address| grants.permits(&host, address.ip()));
            match (permitted.is_empty(), refused.first()) {
                (true, Some(address)) => {
                    let address = address.ip();
                    let class = AddressClass::of(address);
                    Err(ProhibitedAddress { host, address, class }.into())
                }
                _ => Ok(Box::new(permitted.into_iter()) as Addrs),
            }
        })
    }
}
