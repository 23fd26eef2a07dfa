//! The WIT's `source`, in terms of `connection`: conversions and nothing else.

use std::cell::RefCell;
use std::rc::Rc;

use crate::bindings::airlock::connector::log as host_log;
use crate::bindings::airlock::connector::types;
use crate::bindings::exports::airlock::connector::source;
use crate::connection::{Connection, Records};
use crate::dialect;
use crate::error::Error;
use crate::http::WasiHttp;
use crate::log::{Level, Log};
use crate::parent::Partition;
use crate::plan;
use crate::read::Reader;

pub(crate) struct Component;

impl source::Guest for Component {
    type Connection = OpenConnection;
    type Reader = OpenReader;

    fn describe() -> source::Description {
        source::Description {
            name: "rest".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Reads JSON, CSV and XML APIs as dlt's REST API configuration describes them.".to_owned(),
            config_schema: dialect::schema().to_string(),
        }
    }
}

pub(crate) struct OpenConnection(Connection<WasiHttp>);

impl source::GuestConnection for OpenConnection {
    fn open(config: types::Json) -> Result<source::Connection, types::Error> {
        let config = serde_json::from_str(&config).map_err(|error| types::Error::Other(error.to_string()))?;
        let (plan, warnings) = dialect::plan(&config)
            .map_err(|found| types::Error::InvalidConfig(found.into_iter().map(diagnostic).collect()))?;
        let log = Rc::new(Log::new(Box::new(write)));
        for warning in warnings {
            host_log::diagnose(&diagnostic(warning));
        }
        Ok(source::Connection::new(Self(Connection::new(plan, WasiHttp, log))))
    }

    fn grants(&self) -> Vec<source::Grant> {
        self.0.plan().grants.iter().cloned().map(grant).collect()
    }

    fn streams(&self) -> Result<Vec<source::Stream>, types::Error> {
        Ok(self.0.plan().streams.iter().map(stream).collect())
    }

    fn check(&self) -> Result<(), types::Error> {
        Ok(self.0.check()?)
    }

    fn explain(&self) -> Result<types::Json, types::Error> {
        Ok(self.0.explain()?)
    }

    fn partitions(
        &self,
        stream: String,
        parents: Option<types::Records>,
    ) -> Result<Vec<source::Partition>, types::Error> {
        let (bytes, lines) = match parents {
            None => (None, false),
            Some(types::Records::JsonArray(bytes)) => (Some(bytes), false),
            Some(types::Records::JsonLines(bytes)) => (Some(bytes), true),
            Some(types::Records::ArrowIpc(_)) => {
                return Err(types::Error::Other("records of a parent are read as JSON only".to_owned()));
            }
        };
        let text =
            bytes.map(String::from_utf8).transpose().map_err(|error| types::Error::BadData(error.to_string()))?;
        let parents =
            text.as_deref().map(|text| if lines { Records::JsonLines(text) } else { Records::JsonArray(text) });
        let partitions = self.0.partitions(&stream, parents)?;
        Ok(partitions.into_iter().map(|Partition { id, data }| source::Partition { id, data }).collect())
    }

    fn read(
        &self,
        stream: String,
        partition: source::Partition,
        checkpoint: Option<types::Json>,
    ) -> Result<source::Reader, types::Error> {
        let partition = Partition { id: partition.id, data: partition.data };
        let reader = self.0.read(&stream, &partition, checkpoint.as_deref())?;
        Ok(source::Reader::new(OpenReader(RefCell::new(reader))))
    }
}

pub(crate) struct OpenReader(RefCell<Reader<WasiHttp>>);

impl source::GuestReader for OpenReader {
    fn next(&self) -> Result<Option<source::Page>, types::Error> {
        let page = self.0.borrow_mut().next_page()?;
        Ok(page.map(|page| source::Page {
            records: types::Records::JsonArray(page.records),
            checkpoint: Some(page.checkpoint),
            last: page.last,
        }))
    }
}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthorized(text) => Self::Unauthorized(text),
            Error::Unavailable(text) => Self::Unavailable(text),
            Error::BadData(text) => Self::BadData(text),
            Error::Moved(text) => Self::Moved(text),
            Error::Other(text) => Self::Other(text),
        }
    }
}

fn write(level: Level, message: &str) {
    let level = match level {
        Level::Debug => host_log::Level::Debug,
        Level::Info => host_log::Level::Info,
        Level::Warning => host_log::Level::Warning,
    };
    host_log::write(level, message);
}

fn diagnostic(found: dialect::Diagnostic) -> types::Diagnostic {
    types::Diagnostic {
        severity: match found.severity {
            dialect::Severity::Error => types::Severity::Error,
            dialect::Severity::Warning => types::Severity::Warning,
        },
        code: found.code.to_owned(),
        at: found.at,
        message: found.message,
        label: found.label,
        help: found.help,
    }
}

fn stream(stream: &plan::Stream) -> source::Stream {
    source::Stream {
        name: stream.name.clone(),
        parent: stream.parent.as_ref().map(|parent| parent.stream.clone()),
        selected: stream.selected,
        primary_key: stream.primary_key.clone(),
        merge_key: stream.merge_key.clone(),
        cursor_field: stream.incremental.as_ref().map(|incremental| incremental.cursor_path.clone()),
        write_disposition: match stream.write_disposition {
            plan::WriteDisposition::Append => source::WriteDisposition::Append,
            plan::WriteDisposition::Replace => source::WriteDisposition::Replace,
            plan::WriteDisposition::Merge => source::WriteDisposition::Merge,
            plan::WriteDisposition::Skip => source::WriteDisposition::Skip,
        },
        hints: serde_json::Value::Object(stream.hints.clone()).to_string(),
    }
}

fn grant(grant: plan::Grant) -> source::Grant {
    let credentials = grant.credentials.into_iter().map(|credential| source::Credential {
        name: credential.name,
        authentication: authentication(credential.authentication),
    });
    source::Grant { origin: grant.origin, at: grant.at, credentials: credentials.collect() }
}

fn authentication(authentication: plan::Authentication) -> source::Authentication {
    match authentication {
        plan::Authentication::Bearer { token } => source::Authentication::Bearer(token),
        plan::Authentication::Basic { username, password } => {
            source::Authentication::Basic(source::Basic { username, password })
        }
        plan::Authentication::ApiKey { name, value, location } => {
            let location = match location {
                plan::ApiKeyLocation::Header => source::ApiKeyLocation::Header,
                plan::ApiKeyLocation::Query => source::ApiKeyLocation::Query,
                plan::ApiKeyLocation::Cookie => source::ApiKeyLocation::Cookie,
            };
            source::Authentication::ApiKey(source::ApiKey { name, value, location })
        }
        plan::Authentication::OAuth2(oauth2) => source::Authentication::Oauth2(source::Oauth2 {
            grant: oauth2_grant(oauth2.grant),
            token_url: oauth2.token_url,
            client_id: oauth2.client_id,
            client_secret: oauth2.client_secret,
            access_token: oauth2.access_token,
            request_data: oauth2.request_data,
            default_expiration: oauth2.default_expiration,
        }),
    }
}

fn oauth2_grant(grant: plan::OAuth2Grant) -> source::Oauth2Grant {
    match grant {
        plan::OAuth2Grant::ClientCredentials => source::Oauth2Grant::ClientCredentials,
        plan::OAuth2Grant::RefreshToken { refresh_token } => source::Oauth2Grant::RefreshToken(refresh_token),
        plan::OAuth2Grant::JwtBearer { private_key, private_key_passphrase, audience, scopes } => {
            source::Oauth2Grant::JwtBearer(source::JwtAssertion {
                private_key,
                private_key_passphrase,
                audience,
                scopes,
            })
        }
    }
}
