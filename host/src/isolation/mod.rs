//! Isolation: parts of the host that look at foreign bytes, in processes of their own (`--isolate`).
//!
//! A child process is this same program, started in a [`Role`] and confined before it reads a byte: no files, no network,
//! no other programs, bounded memory, and nothing of the host's environment. All that it has is one socket to its parent,
//! on which both talk in frames. So a hole in the runtime, the compiler or a parser is a hole in an empty room.
//!
//! This module knows processes and frames; what is said in them is `sandbox::isolated`'s and `normalize::isolated`'s.

#[cfg(target_os = "linux")]
mod confine;
mod failure;
mod frame;
mod process;

pub(crate) use failure::Told;
pub(crate) use frame::{Frame, Receiver, Sender, Talk};
pub(crate) use process::Process;

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind, Result};

/// The program that is started as a child: one whose `main` begins with [`crate::isolated::serve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(PathBuf);

impl Program {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// This very program, also when its file was replaced since.
    pub fn this() -> Self {
        Self(PathBuf::from("/proc/self/exe"))
    }
}

/// What a child is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Compiles and runs a connector.
    Sandbox,
    /// Makes rows out of pages.
    Pages,
}

/// The first argument of a child, before its role and its memory.
const ARGUMENT: &str = "--isolated";

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Pages => "pages",
        }
    }
}

/// If these are the arguments of a child: its role, once it is confined, and its way to the parent, who has been told.
///
/// To be called before anything else, while the process has one thread.
pub(crate) fn enter(mut arguments: impl Iterator<Item = String>) -> Option<Result<(Role, UnixStream)>> {
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let name = arguments.next()?;
    let role = [Role::Sandbox, Role::Pages].into_iter().find(|role| role.name() == name)?;
    let memory = arguments.next()?.parse().ok()?;
    Some(confined(memory).map(|stream| (role, stream)))
}

fn confined(memory: u64) -> Result<UnixStream> {
    let failed = |source: std::io::Error| {
        Error::new(ErrorKind::Internal, "an isolated process has no way to its parent").with_source(source)
    };
    let stream = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
    let mut talk = Talk::new(stream.try_clone().map_err(failed)?, 0, None)?;
    match confine(memory) {
        Ok(()) => talk.send(&Ok::<(), Told>(()), &[])?,
        Err(error) => {
            talk.send(&Err::<(), Told>(error.into()), &[])?;
            return Err(Error::new(ErrorKind::Internal, "this process can't be confined"));
        }
    }
    Ok(stream)
}

/// Waits for a child to say that it is confined.
///
/// Errors: it is not; or whatever ended it.
pub(crate) fn ready(said: Option<Frame>, process: &Process) -> Result<()> {
    let said = said.ok_or_else(|| process.ended())?;
    Ok(said.message::<Result<(), Told>>()??)
}

#[cfg(target_os = "linux")]
fn confine(memory: u64) -> Result<()> {
    confine::confine(memory)
}

#[cfg(not(target_os = "linux"))]
fn confine(_memory: u64) -> Result<()> {
    Err(unsupported())
}

#[cfg(not(target_os = "linux"))]
fn unsupported() -> Error {
    Error::new(ErrorKind::Usage, "isolated processes need Linux").with_help("run without --isolate")
}
