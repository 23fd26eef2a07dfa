//! TLS to PostgreSQL: which certificates are trusted.
//!
//! Must never make a connection whose certificate nobody checked.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Error, ErrorKind, Result};

/// Whose signature on a server's certificate counts.
pub(super) enum Roots {
    /// Those that the machine trusts.
    System,
    /// Those in a PEM file.
    File(String),
}

/// Takes out of a URL what libpq knows and the `postgres` crate does not: `sslrootcert`, and the modes of `sslmode` that
/// check the certificate, which `require` does here too.
pub(super) fn of_url(url: &str) -> (String, Roots) {
    let mut roots = Roots::System;
    let Some((place, parameters)) = url.split_once('?') else { return (url.to_owned(), roots) };
    let mut kept = Vec::new();
    for parameter in parameters.split('&') {
        match parameter.split_once('=') {
            Some(("sslrootcert", "system")) => {}
            Some(("sslrootcert", file)) => {
                roots = Roots::File(percent_decode_str(file).decode_utf8_lossy().into_owned());
            }
            Some(("sslmode", "verify-full" | "verify-ca")) => kept.push(Cow::Borrowed("sslmode=require")),
            _ => kept.push(Cow::Borrowed(parameter)),
        }
    }
    (format!("{place}?{}", kept.join("&")), roots)
}

pub(super) fn connector(roots: &Roots) -> Result<MakeRustlsConnect> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => {
            // A certificate that can't be read is one that is not trusted; the connection's own error says so.
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
        }
        Roots::File(file) => {
            let unusable = |what: &str| {
                Error::new(ErrorKind::Usage, format!("the file of sslrootcert {what}"))
                    .with_context("file", file.clone())
            };
            let certificates =
                CertificateDer::pem_file_iter(file).map_err(|error| unusable("can't be read").with_source(error))?;
            let certificates = certificates.collect::<std::result::Result<Vec<_>, _>>();
            let certificates = certificates.map_err(|error| unusable("is no PEM file").with_source(error))?;
            if store.add_parsable_certificates(certificates).0 == 0 {
                return Err(unusable("holds no certificate"));
            }
        }
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(ErrorKind::Internal, "TLS can't be set up").with_source(error))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
