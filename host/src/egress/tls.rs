//! `host.tls`: whom to trust besides the public authorities, and who this host is.
//!
//! Must never repeat what stands in a key file.

use std::collections::BTreeSet;

use reqwest::{Certificate, Identity};

use crate::config::secret_places;
use crate::config::settings::Tls;
use crate::error::{Error, ErrorKind, Result};

pub(super) fn authorities(tls: &Tls) -> Result<Option<Vec<Certificate>>> {
    let Some(file) = &tls.ca_file else { return Ok(None) };
    let pem = read("ca_file", file)?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|source| {
        Error::new(ErrorKind::Config, format!("host.tls.ca_file {file} is no PEM bundle")).with_source(source)
    })?;
    Ok(Some(certificates))
}

/// The certificate that the host shows, with its key.
pub(super) fn identity(tls: &Tls) -> Result<Option<Identity>> {
    let (certificate, key) = match (&tls.client_certificate, &tls.client_key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => {
            let message = "host.tls.client_certificate and host.tls.client_key belong together";
            return Err(Error::new(ErrorKind::Config, message));
        }
    };
    let mut pem = read("client_certificate", certificate)?;
    pem.push(b'\n');
    pem.extend(read("client_key", key)?);
    let identity = Identity::from_pem(&pem).map_err(|_| {
        Error::new(ErrorKind::Config, format!("{certificate} and {key} are no certificate and private key in PEM"))
            .with_help("the key must not be encrypted: `openssl pkey -in KEY -out PLAIN`")
    })?;
    Ok(Some(identity))
}

pub(super) fn client_origins(tls: &Tls) -> Result<BTreeSet<String>> {
    let origin = |text: &String| {
        secret_places::origin(text).ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("host.tls.client_origins: `{text}` is no origin"))
                .with_help("write scheme and host, as in https://api.example.com")
        })
    };
    tls.client_origins.iter().map(origin).collect()
}

fn read(setting: &str, file: &str) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|source| {
        Error::new(ErrorKind::Config, format!("host.tls.{setting} {file} can't be read")).with_source(source)
    })
}
