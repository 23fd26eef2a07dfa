//! One run of a pipeline at a time: two would each load what the other one loads.
//!
//! The lock is the operating system's, on a file of this machine; it ends with the process, however it ends. Must never
//! be taken for a lock between machines: there, the destination's own transactions count.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::private_folder;

/// Held while a run is under way.
#[derive(Debug)]
pub struct RunLock {
    _file: Option<File>,
}

impl RunLock {
    /// For a run that nothing is kept of: two of them do not get in each other's way.
    pub fn none() -> Self {
        Self { _file: None }
    }

    /// Whether it was ever held on this machine.
    pub fn was_held(pipeline: &str, destination: &str) -> bool {
        file(pipeline, destination).exists()
    }

    /// Errors: another process holds it (`Busy`, with its process id and age).
    pub fn acquire(pipeline: &str, destination: &str) -> Result<Self> {
        let path = file(pipeline, destination);
        let unusable = |source: std::io::Error| {
            Error::new(ErrorKind::Internal, "the run's lock file can't be used")
                .with_context("file", path.display().to_string())
                .with_source(source)
        };
        if let Some(parent) = path.parent() {
            private_folder::create(parent).map_err(unusable)?;
            if !private_folder::stays(parent) {
                return Err(unusable(std::io::Error::other(
                    "somebody else can put another folder in its folder's place",
                ))
                .with_help("set XDG_STATE_HOME to a folder that only you can change"));
            }
        }
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {
                let since = jiff::Timestamp::now().as_second();
                file.set_len(0).and_then(|()| file.rewind()).map_err(unusable)?;
                write!(file, "{} {since}", std::process::id()).map_err(unusable)?;
                Ok(Self { _file: Some(file) })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let (process, since) = holder.split_once(' ').unwrap_or(("?", ""));
                let age = since.parse::<i64>().map_or(0, |since| jiff::Timestamp::now().as_second() - since);
                Err(Error::new(
                    ErrorKind::Busy,
                    format!("another run of the pipeline `{pipeline}` is under way: process {process}, for {age} s"),
                )
                .with_help("wait for it, or stop it; or give this one another --pipeline name"))
            }
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

fn file(pipeline: &str, destination: &str) -> PathBuf {
    folder().join(format!("{pipeline}-{}.lock", digest(destination)))
}

#[expect(clippy::disallowed_methods, reason = "where locks lie is the environment's to say")]
fn folder() -> PathBuf {
    std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))
        .unwrap_or_else(std::env::temp_dir)
        .join("airlock/locks")
}

/// Sixteen characters that tell destinations apart without naming them (a URL may hold a password).
fn digest(destination: &str) -> String {
    Sha256::digest(destination).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
