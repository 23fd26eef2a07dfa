//! Whether a connector was signed with the operator's key (minisign: Ed25519 over the file's digest).
//!
//! Must be asked before anything looks into the component.

use minisign_verify::{PublicKey, Signature};

use super::{Wasm, printable};
use crate::error::{Error, ErrorKind, Result};

/// What the signer says of it: the signature's trusted comment.
///
/// Errors: no public key (`Config`); no signature beside the component, or one that does not fit (`Connector`).
pub(super) fn check(component: &Wasm, bytes: &[u8], public_key: &str) -> Result<String> {
    let key = PublicKey::from_base64(public_key.trim()).map_err(|source| {
        Error::new(ErrorKind::Config, "the public key is no minisign key")
            .with_help("give the second line of minisign.pub: it begins with RW")
            .with_source(source.to_string())
    })?;
    let (name, text) = component.signature();
    let about = |message: &str| Error::new(ErrorKind::Connector, message).with_context("signature", name.clone());
    let unreadable = |source: String| {
        about("the connector has no signature that can be read")
            .with_help("`minisign -Sm CONNECTOR.wasm` makes one; or leave the public key out")
            .with_source(source)
    };
    let text = text.map_err(|source| unreadable(source.to_string()))?;
    let signature = Signature::decode(&text).map_err(|source| unreadable(source.to_string()))?;
    key.verify(bytes, &signature, false).map_err(|source| {
        about("the connector was not signed with this key, or has changed since").with_source(source.to_string())
    })?;
    Ok(printable(signature.trusted_comment()))
}
