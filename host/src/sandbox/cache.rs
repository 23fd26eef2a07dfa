//! Compiled components on disk, so that a connector starts in a millisecond.
//!
//! A compiled file is native code. It is kept in a private folder, named by the digest of the component, the engine's
//! version and its settings, and carries a MAC under a key of that folder; one that does not fit is not used. A cache
//! that can't be used is no error: it is only slower. Must never load a file from anywhere else.
//!
//! What an isolated process compiled is kept apart: a hole in the compiler may have made it, so it never runs here.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac as _};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use crate::private_folder;

/// A nonce and the tag that goes with it.
const MAC_LENGTH: usize = NONCE_LEN + 16;

/// Who compiled it, and may run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Here,
    Isolated,
}

/// Native code, as this process or its child made it.
pub(super) struct NativeCode(Vec<u8>);

/// What is kept of the component with this digest.
pub(super) fn find(engine: &wasmtime::Engine, digest: &str, place: Place) -> Option<NativeCode> {
    let folder = folder()?;
    read(&folder, &folder.join(format!("{}.cwasm", key(engine, digest, place))))
}

pub(super) fn keep(
    engine: &wasmtime::Engine,
    digest: &str,
    place: Place,
    code: impl FnOnce() -> wasmtime::Result<Vec<u8>>,
) {
    let Some(folder) = folder() else { return };
    let file = folder.join(format!("{}.cwasm", key(engine, digest, place)));
    if let Err(error) = code().and_then(|code| store(&code, &folder, &file)) {
        tracing::debug!(%error, "the compiled component was not kept");
    }
}

fn key(engine: &wasmtime::Engine, digest: &str, place: Place) -> String {
    let mut hash = DigestHasher(Sha256::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hash);
    hash.0.update(digest);
    hash.0.update(env!("CARGO_PKG_VERSION"));
    if place == Place::Isolated {
        hash.0.update("isolated");
    }
    hex(&hash.0.finalize())
}

/// `$AIRLOCK_CACHE_DIR`, `$XDG_CACHE_HOME/airlock` or `~/.cache/airlock`; only if it is ours alone.
#[expect(clippy::disallowed_methods, reason = "where a cache lies is the environment's to say")]
fn folder() -> Option<PathBuf> {
    let base = std::env::var_os("AIRLOCK_CACHE_DIR")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("XDG_CACHE_HOME").map(|base| PathBuf::from(base).join("airlock")))
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/airlock")))?;
    let folder = base.join("compiled");
    private_folder::create(&folder).ok()?;
    private_folder::stays(&folder).then_some(folder)
}

fn read(folder: &Path, file: &Path) -> Option<NativeCode> {
    let mut content = fs::read(file).ok()?;
    let (code, mac) = content.split_at_checked(content.len().checked_sub(MAC_LENGTH)?)?;
    if !authenticates(&authenticator(folder, file).ok()?, code, mac) {
        tracing::warn!(file = %file.display(), "a compiled component was changed by somebody else: compiled anew");
        let _ = fs::remove_file(file);
        return None;
    }
    content.truncate(content.len() - MAC_LENGTH);
    Some(NativeCode(content))
}

impl NativeCode {
    /// What a parent handed to its isolated process, which has nothing else to lose.
    pub(super) fn from_parent(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn load(&self, engine: &wasmtime::Engine) -> Option<Component> {
        // SAFETY: these bytes were written by `store` of this very version with these very settings (both are in the file's
        // name), and the MAC over them, whose key only this user can read, was checked just now in the memory of this process
        // or of its parent.
        #[expect(unsafe_code, reason = "a compiled component is native code: see the safety comment")]
        unsafe {
            Component::deserialize(engine, &self.0).ok()
        }
    }
}

fn store(code: &[u8], folder: &Path, file: &Path) -> wasmtime::Result<()> {
    let mac = mac(&authenticator(folder, file)?, code)?;
    let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
    let mut output = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    output.write_all(code)?;
    output.write_all(&mac)?;
    fs::rename(&temporary, file)?;
    Ok(())
}

/// The MAC is that of AES-GCM over additional data alone: a processor goes through megabytes of code several times faster
/// than through a hash, and does so at every start.
fn mac(key: &LessSafeKey, code: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut nonce = [0_u8; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(std::io::Error::other)?;
    let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(code), &mut []);
    let tag = tag.map_err(std::io::Error::other)?;
    Ok([nonce.as_slice(), tag.as_ref()].concat())
}

fn authenticates(key: &LessSafeKey, code: &[u8], mac: &[u8]) -> bool {
    let Some((nonce, tag)) = mac.split_first_chunk::<NONCE_LEN>() else { return false };
    let mut tag = tag.to_vec();
    key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(code), &mut tag).is_ok()
}

/// The key for one file, out of the folder's key, which is made at its first use, and of the file's name, which says what the
/// code was made of: under another name the same code is not taken.
fn authenticator(folder: &Path, code: &Path) -> std::io::Result<LessSafeKey> {
    let file = folder.join("key");
    if !file.exists() {
        let mut fresh = [0_u8; 32];
        getrandom::fill(&mut fresh).map_err(std::io::Error::other)?;
        let temporary = folder.join(format!("key.{}.tmp", std::process::id()));
        let mut output = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        output.write_all(&fresh)?;
        // Two first runs at once: the first key stays.
        let _ = fs::hard_link(&temporary, &file);
        fs::remove_file(&temporary)?;
    }
    let key = <Hmac<Sha256>>::new_from_slice(&fs::read(&file)?).map_err(std::io::Error::other)?;
    let key = key.chain_update(code.file_name().unwrap_or_default().as_encoded_bytes()).finalize().into_bytes();
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).map_err(std::io::Error::other)?))
}

/// Lets wasmtime's hash of its version and settings flow into a digest.
struct DigestHasher(Sha256);

impl std::hash::Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
