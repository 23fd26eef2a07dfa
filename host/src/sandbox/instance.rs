//! One running copy of a connector: the contract's functions as typed calls, each within its limits.
//!
//! After any failure of the sandbox itself the instance is dead and must be dropped; an error that the connector returns
//! leaves it usable.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use wasmtime::component::ResourceAny;
use wasmtime::{Store, Trap, UpdateDeadline};

use super::bindings::airlock::connector::types as wit_types;
use super::bindings::exports::airlock::connector::source as wit;
use super::imports::InstanceState;
use super::spec;
use super::{Connector, LogSink, bindings, printable};
use crate::config::secret_places;
use crate::config::settings::Limits;
use crate::diagnostic::{Diagnostic, Severity};
use crate::egress::{ApiKeyLocation, Credential, Egress, OAuth2, OAuth2Grant, Traffic};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::StreamSpec;

/// What a connector says of itself.
#[derive(Debug, Clone)]
pub struct Description {
    pub name: String,
    pub version: String,
    pub summary: String,
    /// JSON Schema.
    pub config_schema: serde_json::Value,
}

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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub id: String,
    pub data: String,
}

#[derive(Debug)]
pub struct Page {
    pub records: PageRecords,
    pub checkpoint: Option<String>,
    /// Nothing comes behind it.
    pub last: bool,
}

#[derive(Debug, Clone)]
pub enum PageRecords {
    JsonArray(Vec<u8>),
    JsonLines(Vec<u8>),
    ArrowIpc(Vec<u8>),
}

impl PageRecords {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::JsonArray(bytes) | Self::JsonLines(bytes) | Self::ArrowIpc(bytes) => bytes,
        }
    }

    /// Without looking into it: nothing, or an empty array.
    fn is_empty(&self) -> bool {
        matches!(self.bytes().trim_ascii(), b"" | b"[]")
    }

    fn to_wit(&self) -> wit_types::Records {
        match self {
            Self::JsonArray(bytes) => wit_types::Records::JsonArray(bytes.clone()),
            Self::JsonLines(bytes) => wit_types::Records::JsonLines(bytes.clone()),
            Self::ArrowIpc(bytes) => wit_types::Records::ArrowIpc(bytes.clone()),
        }
    }
}

pub struct Instance {
    store: Store<InstanceState>,
    bindings: bindings::Connector,
    connection: Option<ResourceAny>,
    reader: Option<ResourceAny>,
    /// Of the reader's last page, and how many pages in a row it stood still.
    last_checkpoint: Option<String>,
    stalled: usize,
    tick_limit: u64,
    longest_call: Duration,
    limits: Arc<Limits>,
}

/// A schema or an explanation beyond this is a flood.
const LARGEST_DOCUMENT: usize = 16 << 20;

impl Instance {
    /// `egress`: none where no request is allowed. `io`: the runtime that waits for the network.
    pub async fn new(
        connector: &Connector,
        egress: Option<Arc<Egress>>,
        traffic: Arc<Traffic>,
        log: LogSink,
        io: tokio::runtime::Handle,
    ) -> Result<Self> {
        let engine = &connector.engine;
        let tick_limit = engine.ticks();
        let mut store = Store::new(&engine.wasmtime, InstanceState::new(engine, egress, traffic, log, io));
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |mut context| {
            let state = context.data_mut();
            // An epoch that passed while it waited for the network is not one that it computed.
            if state.gate.waits == state.waits_before {
                state.ticks += 1;
            }
            state.waits_before = state.gate.waits;
            if state.ticks > tick_limit { Ok(UpdateDeadline::Interrupt) } else { Ok(UpdateDeadline::Yield(1)) }
        });
        let limits = engine.limits.clone();
        store.set_hostcall_fuel(limits.page_bytes.max(LARGEST_DOCUMENT));
        store.set_max_component_handles(limits.handles);
        let longest_call = Duration::from_secs_f64(engine.limits.page_secs);
        let outcome = tokio::time::timeout(longest_call, connector.pre.instantiate_async(&mut store)).await;
        match outcome {
            Ok(Ok(bindings)) => Ok(Self {
                store,
                bindings,
                connection: None,
                reader: None,
                last_checkpoint: None,
                stalled: 0,
                tick_limit,
                longest_call,
                limits,
            }),
            Ok(Err(trap)) => Err(trapped(&store, "start", &trap, tick_limit)),
            Err(_) => Err(too_long("start", longest_call)),
        }
    }

    pub async fn describe(&mut self) -> Result<Description> {
        self.begin();
        let call = self.bindings.airlock_connector_source().call_describe(&mut self.store);
        let outcome = tokio::time::timeout(self.longest_call, call).await;
        let description = self.end("describe", outcome)?;
        check_size("configuration schema", &description.config_schema, LARGEST_DOCUMENT, None)?;
        let config_schema = serde_json::from_str(&description.config_schema).map_err(|source| {
            Error::new(ErrorKind::Connector, "its configuration schema is no JSON").with_source(source)
        })?;
        Ok(Description {
            name: printable(&description.name),
            version: printable(&description.version),
            summary: printable(&description.summary),
            config_schema,
        })
    }

    /// Opens the configuration, from which secrets were taken out.
    pub async fn open(&mut self, config: &str) -> Result<()> {
        let config = config.to_owned();
        self.begin();
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_open(&mut self.store, &config);
        let outcome = tokio::time::timeout(self.longest_call, call).await;
        let opened = self.end("open", outcome)?;
        self.connection = Some(self.returned(opened)?);
        Ok(())
    }

    pub async fn grants(&mut self) -> Result<Vec<GrantRequest>> {
        let connection = self.begin_connected()?;
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_grants(&mut self.store, connection);
        let outcome = tokio::time::timeout(self.longest_call, call).await;
        let grants = self.end("grants", outcome)?;
        let credential = |credential: wit::Credential| CredentialRequest {
            name: credential.name,
            authentication: credential.authentication,
        };
        Ok(grants
            .into_iter()
            .map(|grant| GrantRequest {
                // Shown by `check` and `inspect`; one that this changes is no origin, and refused as such.
                origin: printable(&grant.origin),
                at: grant.at,
                credentials: grant.credentials.into_iter().map(credential).collect(),
            })
            .collect())
    }

    pub async fn streams(&mut self) -> Result<Vec<StreamSpec>> {
        let connection = self.begin_connected()?;
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_streams(&mut self.store, connection);
        let outcome = tokio::time::timeout(self.longest_call, call).await;
        let streams = self.end("streams", outcome)?;
        spec::streams(self.returned(streams)?, self.limits.streams)
    }

    pub async fn check(&mut self) -> Result<()> {
        let connection = self.begin_connected()?;
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_check(&mut self.store, connection);
        let outcome = tokio::time::timeout(self.longest_call, call).await;
        let checked = self.end("check", outcome)?;
        self.returned(checked)
    }

    pub async fn explain(&mut self) -> Result<serde_json::Value> {
        let connection = self.begin_connected()?;
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_explain(&mut self.store, connection);
        let outcome = tokio::time::timeout(self.longest_call, call).await;
        let explained = self.end("explain", outcome)?;
        serde_json::from_str(&self.returned(explained)?)
            .map_err(|source| Error::new(ErrorKind::Connector, "its explanation is no JSON").with_source(source))
    }

    pub async fn partitions(
        &mut self,
        stream: &str,
        parents: Option<&PageRecords>,
        state: Option<&str>,
    ) -> Result<Vec<Partition>> {
        let connection = self.begin_connected()?;
        let (parents, state) = (parents.map(PageRecords::to_wit), state.map(str::to_owned));
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_partitions(&mut self.store, connection, stream, parents.as_ref(), state.as_ref());
        let outcome = tokio::time::timeout(self.longest_call, call).await;
        let partitions = self.end("partitions", outcome)?;
        let partitions = self.returned(partitions)?;
        let most = self.limits.partitions_per_call;
        if partitions.len() > most {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("the connector listed {} partitions at once, more than {most}", partitions.len()),
            )
            .with_context("stream", printable(stream))
            .with_help("raise host.limits.partitions_per_call"));
        }
        for partition in &partitions {
            let most = self.limits.partition_id_bytes;
            check_size("name of a partition", &partition.id, most, Some("host.limits.partition_id_bytes"))?;
            self.check_checkpoint("partition", &partition.data)?;
        }
        Ok(partitions.into_iter().map(|partition| Partition { id: partition.id, data: partition.data }).collect())
    }

    /// Begins to read a partition; the one before is given up.
    pub async fn read(&mut self, stream: &str, partition: &Partition, checkpoint: Option<&str>) -> Result<()> {
        let connection = self.begin_connected()?;
        self.drop_reader().await?;
        let checkpoint = checkpoint.map(str::to_owned);
        let partition = wit::Partition { id: partition.id.clone(), data: partition.data.clone() };
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_read(&mut self.store, connection, stream, &partition, checkpoint.as_ref());
        let outcome = tokio::time::timeout(self.longest_call, call).await;
        let reader = self.end("read", outcome)?;
        self.reader = Some(self.returned(reader)?);
        self.last_checkpoint = None;
        self.stalled = 0;
        Ok(())
    }

    /// The next page of the partition being read; none at its end.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        self.begin();
        let Some(reader) = self.reader else { return Ok(None) };
        let source = self.bindings.airlock_connector_source();
        let resource = source.reader();
        let call = resource.call_next(&mut self.store, reader);
        let outcome = tokio::time::timeout(self.longest_call, call).await;
        let page = self.end("next", outcome)?;
        let Some(page) = self.returned(page)? else {
            self.drop_reader().await?;
            return Ok(None);
        };
        let records = match page.records {
            wit_types::Records::JsonArray(bytes) => PageRecords::JsonArray(bytes),
            wit_types::Records::JsonLines(bytes) => PageRecords::JsonLines(bytes),
            wit_types::Records::ArrowIpc(bytes) => PageRecords::ArrowIpc(bytes),
        };
        let most = self.limits.page_bytes;
        if records.bytes().len() > most {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("a page of {} bytes, more than {most}", records.bytes().len()),
            )
            .with_help("raise host.limits.page_bytes"));
        }
        if let Some(checkpoint) = &page.checkpoint {
            self.check_checkpoint("checkpoint", checkpoint)?;
        }
        self.check_progress(&page.checkpoint, &records)?;
        Ok(Some(Page { records, checkpoint: page.checkpoint, last: page.last }))
    }

    /// State is stored with every package: it must not become a second destination.
    fn check_checkpoint(&self, what: &str, text: &str) -> Result<()> {
        check_size(what, text, self.limits.checkpoint_bytes, Some("host.limits.checkpoint_bytes"))
    }

    /// A reader that goes round in circles would never end.
    fn check_progress(&mut self, checkpoint: &Option<String>, records: &PageRecords) -> Result<()> {
        let moved = match checkpoint {
            Some(_) => *checkpoint != self.last_checkpoint,
            None => !records.is_empty(),
        };
        self.stalled = if moved { 0 } else { self.stalled + 1 };
        if checkpoint.is_some() {
            self.last_checkpoint.clone_from(checkpoint);
        }
        let most = self.limits.pages_without_progress;
        if self.stalled < most {
            return Ok(());
        }
        Err(Error::new(ErrorKind::LimitExceeded, format!("the connector gave {most} pages without any progress"))
            .with_help("its paginator may go round in circles; or raise host.limits.pages_without_progress"))
    }

    pub async fn combine(&mut self, stream: &str, left: &str, right: &str) -> Result<String> {
        let connection = self.begin_connected()?;
        let (left, right) = (left.to_owned(), right.to_owned());
        let source = self.bindings.airlock_connector_source();
        let resource = source.connection();
        let call = resource.call_combine(&mut self.store, connection, stream, &left, &right);
        let outcome = tokio::time::timeout(self.longest_call, call).await;
        let combined = self.end("combine", outcome)?;
        let combined = self.returned(combined)?;
        self.check_checkpoint("checkpoint", &combined)?;
        Ok(combined)
    }

    async fn drop_reader(&mut self) -> Result<()> {
        let Some(reader) = self.reader.take() else { return Ok(()) };
        self.begin();
        let outcome = tokio::time::timeout(self.longest_call, reader.resource_drop_async(&mut self.store)).await;
        self.end("drop", outcome)
    }

    fn begin(&mut self) {
        self.store.data_mut().ticks = 0;
        // What an earlier call went through is of no concern to this one.
        drop(self.store.data().gate.take_error());
    }

    fn begin_connected(&mut self) -> Result<ResourceAny> {
        self.begin();
        self.connection.ok_or_else(|| Error::new(ErrorKind::Internal, "the connection is not open"))
    }

    fn end<T>(&self, function: &str, outcome: Result<wasmtime::Result<T>, tokio::time::error::Elapsed>) -> Result<T> {
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(trap)) => Err(trapped(&self.store, function, &trap, self.tick_limit)),
            Err(_) => Err(too_long(function, self.longest_call)),
        }
    }

    /// The connector's own error. Where the egress knows better why, its error counts.
    fn returned<T>(&self, result: Result<T, wit_types::Error>) -> Result<T> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let gate = &self.store.data().gate;
        if let Some(cause) = gate.take_error() {
            return Err(cause);
        }
        let text = |message: &str| printable(&gate.redact(message));
        Err(match error {
            wit_types::Error::InvalidConfig(diagnostics) => Error::from_diagnostics(
                diagnostics.into_iter().map(|diagnostic| convert_diagnostic(diagnostic, &text)).collect(),
            ),
            wit_types::Error::Unauthorized(message) => Error::new(ErrorKind::Unauthorized, text(&message))
                .with_help("check the credential: the secret, and where it goes (`client.auth`)"),
            wit_types::Error::Unavailable(message) => Error::new(ErrorKind::Unavailable, text(&message))
                .with_help("try again later: the same command goes on from what is loaded"),
            wit_types::Error::BadData(message) => Error::new(ErrorKind::BadData, text(&message))
                .with_help("`host check --explain` shows how the stream is read: does that fit the API?"),
            wit_types::Error::Other(message) => Error::new(ErrorKind::Connector, text(&message)),
        })
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

pub(super) fn convert_diagnostic(diagnostic: wit_types::Diagnostic, text: &impl Fn(&str) -> String) -> Diagnostic {
    Diagnostic {
        severity: match diagnostic.severity {
            wit_types::Severity::Error => Severity::Error,
            wit_types::Severity::Warning => Severity::Warning,
        },
        code: text(&diagnostic.code),
        at: diagnostic.at,
        message: text(&diagnostic.message),
        label: diagnostic.label.as_deref().map(text),
        help: diagnostic.help.as_deref().map(text),
        place: None,
    }
}

fn check_size(what: &str, text: &str, most: usize, setting: Option<&str>) -> Result<()> {
    if text.len() <= most {
        return Ok(());
    }
    let error = Error::new(ErrorKind::LimitExceeded, format!("a {what} of {} bytes, more than {most}", text.len()));
    Err(match setting {
        Some(setting) => error.with_help(format!("raise {setting}")),
        None => error,
    })
}

/// Limits that wasmtime holds itself: its words for each, and ours.
const REFUSALS: &[(&str, &str)] = &[
    ("fuel allocated for hostcalls", "what one call may hand over (host.limits.page_bytes)"),
    ("total size of fields", "the size of a request's header fields (host.limits.request_header_bytes)"),
    ("no free keys", "the resources that it may hold (host.limits.handles)"),
    ("allocate another handle", "the resources that it may hold (host.limits.handles)"),
];

fn trapped(store: &Store<InstanceState>, function: &str, trap: &wasmtime::Error, tick_limit: u64) -> Error {
    let state = store.data();
    let limit = if state.ticks > tick_limit {
        Some("its processor time in one call (host.limits.cpu_secs)".to_owned())
    } else if let Some(refused) = &state.limits.refused {
        Some(refused.clone())
    } else if trap.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) {
        Some("its stack of 512 KiB".to_owned())
    } else {
        let cause = trap.root_cause().to_string();
        REFUSALS.iter().find(|(words, _)| cause.contains(words)).map(|(_, limit)| (*limit).to_owned())
    };
    let error = match limit {
        Some(limit) => Error::new(ErrorKind::LimitExceeded, format!("the connector went over {limit}")),
        None => Error::new(ErrorKind::Connector, "the connector crashed"),
    };
    let error = error.with_context("in", function.to_owned());
    let cause = state.said.text().unwrap_or_else(|| trap.root_cause().to_string());
    error.with_source(state.gate.redact(&printable(&cause)))
}

fn too_long(function: &str, limit: Duration) -> Error {
    Error::new(ErrorKind::LimitExceeded, format!("the connector took longer than {} s", limit.as_secs_f64()))
        .with_context("in", function.to_owned())
        .with_help("raise host.limits.page_secs")
}
