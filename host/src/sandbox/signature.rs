//! Whether a connector was signed with the operator's key (minisign: Ed25519 over the file's digest).
//!
//! Must be asked before anything looks into the component.

use std::path::Path;

use minisign_verify::{PublicKey, Signature};

use super::printable;
use crate::error::{Error, ErrorKind, Result};

/// What the signer says of it: the signature's trusted comment.
///
/// Errors: no public key (`Config`); no signature beside the component, or one that does not fit (`Connector`).
pub(super) fn check(component: &Path, bytes: &[u8], public_key: &str) -> Result<String> {
    let key = PublicKey::from_base64(public_key.trim()).map_err(|source| {
        Error::new(ErrorKind::Config, "the public key is no minisign key")
            .with_help("give the second line of minisign.pub: it begins with RW")
            .with_source(source.to_string())
    })?;
    let mut file = component.as_os_str().to_owned();
    file.push(".minisig");
    let about = |message: &str| {
        Error::new(ErrorKind::Connector, message).with_context("signature", Path::new(&file).display().to_string())
    };
    let signature = Signature::from_file(&file).map_err(|source| {
        about("the connector has no signature that can be read")
            .with_help("`minisign -Sm CONNECTOR.wasm` makes one; or leave the public key out")
            .with_source(source.to_string())
    })?;
    key.verify(bytes, &signature, false).map_err(|source| {
        about("the connector was not signed with this key, or has changed since").with_source(source.to_string())
    })?;
    Ok(printable(signature.trusted_comment()))
}
