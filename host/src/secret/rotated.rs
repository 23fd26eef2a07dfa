//! Refresh tokens that a server rotated: the next run needs the newest one, for the one the user gave is spent.
//!
//! Each lies in a file that only this user can read, named by a digest of what it replaces. Must never go anywhere else: the
//! pipeline's state is in the destination, where others read.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::private_folder;

/// The newest token in place of `original`, if a server gave one.
pub fn find(token_url: &str, original: &SecretString) -> Option<SecretString> {
    fs::read_to_string(file(token_url, original)?).ok().map(SecretString::from)
}

/// Keeps a token for later runs.
pub fn keep(token_url: &str, original: &SecretString, rotated: &SecretString) -> std::io::Result<()> {
    let Some(file) = file(token_url, original) else {
        return Err(std::io::Error::other("there is no folder for it: set XDG_STATE_HOME or HOME"));
    };
    if let Some(folder) = file.parent() {
        private_folder::create(folder)?;
    }
    let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
    let mut output = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    output.write_all(rotated.expose_secret().as_bytes())?;
    output.sync_all()?;
    fs::rename(&temporary, &file)
}

#[expect(clippy::disallowed_methods, reason = "where tokens lie is the environment's to say")]
fn file(token_url: &str, original: &SecretString) -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))?;
    let digest =
        Sha256::new().chain_update(token_url).chain_update([0]).chain_update(original.expose_secret()).finalize();
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(state.join("airlock/tokens").join(name))
}
