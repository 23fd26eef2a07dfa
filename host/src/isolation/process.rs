//! A child process: started with an empty environment and one socket, and killed when nobody needs it any more.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{ARGUMENT, Program, Role};
use crate::error::{Error, ErrorKind, Result};

pub(crate) struct Process {
    child: Mutex<Child>,
}

impl Process {
    /// A child in this role that may write to `memory` bytes, and the way to it.
    ///
    /// Errors (`Internal`): it can't be started.
    pub(crate) fn start(program: &Program, role: Role, memory: u64) -> Result<(Self, UnixStream)> {
        #[cfg(not(target_os = "linux"))]
        return Err(super::unsupported());
        let failed = |source: std::io::Error| {
            Error::new(ErrorKind::Internal, "an isolated process can't be started").with_source(source)
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        // What the host has open ends with a start of a program; whoever started the host may have left it more.
        #[cfg(target_os = "linux")]
        close_fds::set_fds_cloexec_threadsafe(3, &[]);
        #[expect(clippy::disallowed_methods, reason = "this is where isolated processes are started")]
        let mut command = Command::new(&program.0);
        let child = command
            .args([ARGUMENT, role.name(), &memory.to_string()])
            .env_clear()
            .current_dir("/")
            // Ctrl-C is the parent's: it ends its children when it is done.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        Ok((Self { child: Mutex::new(child) }, ours))
    }

    pub(crate) fn kill(&self) {
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }

    /// Why it is gone. Waits a moment for it to be.
    pub(crate) fn ended(&self) -> Error {
        const MOMENT: Duration = Duration::from_secs(1);
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + MOMENT;
        let status = loop {
            match child.try_wait() {
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
                Ok(None) | Err(_) => break None,
                Ok(status) => break status,
            }
        };
        let error = Error::new(ErrorKind::Connector, "the isolated process ended before its work was done");
        match status {
            Some(status) => error.with_context("how", status.to_string()),
            None => error,
        }
        .with_help(
            "it ran out of memory (host.limits.total_memory_bytes, decoded_bytes), or something broke it on purpose",
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}
