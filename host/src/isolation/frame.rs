//! Frames: a message as JSON, and bytes beside it that need not be looked at.
//!
//! On the socket: the lengths of both, 8 bytes each, little endian; the message; the bytes. A receiver knows the most that a
//! frame may have, and reserves no memory for bytes that have not come.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};

#[derive(Debug, Default)]
pub(crate) struct Frame {
    message: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

impl Frame {
    /// Errors (`Internal`): a message that can't be written as JSON.
    pub(crate) fn new(message: &impl Serialize, bytes: Vec<u8>) -> Result<Self> {
        let message = serde_json::to_vec(message).map_err(|source| broken("a message can't be written", source))?;
        Ok(Self { message, bytes })
    }

    /// Errors (`Connector`): what came is no such message.
    pub(crate) fn message<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.message).map_err(|source| {
            Error::new(ErrorKind::Connector, "an isolated process speaks nonsense").with_source(source)
        })
    }
}

/// Sends frames in order, from any thread, without waiting for the other side to take them.
#[derive(Clone)]
pub(crate) struct Sender(mpsc::Sender<Frame>);

impl Sender {
    /// Errors (`Internal`): no thread.
    pub(crate) fn start(mut stream: UnixStream) -> Result<Self> {
        let (sender, frames) = mpsc::channel::<Frame>();
        std::thread::Builder::new()
            .name("frames".to_owned())
            .spawn(move || {
                for frame in frames {
                    // Whoever reads learns that the other side is gone.
                    if write(&mut stream, &frame.message, &frame.bytes).is_err() {
                        break;
                    }
                }
            })
            .map_err(|source| broken("no thread", source))?;
        Ok(Self(sender))
    }

    pub(crate) fn send(&self, frame: Frame) {
        let _ = self.0.send(frame);
    }
}

pub(crate) struct Receiver {
    stream: UnixStream,
    most: u64,
}

impl Receiver {
    /// `most`: bytes of one frame.
    pub(crate) fn new(stream: UnixStream, most: u64) -> Self {
        Self { stream, most }
    }

    /// None: the other side is gone.
    ///
    /// Errors: a frame of more than it may have (`LimitExceeded`), or one that breaks off (`Connector`).
    pub(crate) fn receive(&mut self) -> Result<Option<Frame>> {
        let mut lengths = [0_u8; 16];
        match self.stream.read_exact(&mut lengths) {
            Ok(()) => {}
            Err(_) => return Ok(None),
        }
        let [message, bytes] = [0, 8].map(|at| {
            let mut length = [0_u8; 8];
            length.copy_from_slice(&lengths[at..at + 8]);
            u64::from_le_bytes(length)
        });
        if message.checked_add(bytes).is_none_or(|length| length > self.most) {
            let error = format!("an isolated process says more than {} bytes at once", self.most);
            return Err(Error::new(ErrorKind::LimitExceeded, error).with_help("raise host.limits.page_bytes"));
        }
        Ok(Some(Frame { message: self.take(message)?, bytes: self.take(bytes)? }))
    }

    fn take(&mut self, length: u64) -> Result<Vec<u8>> {
        /// What is reserved before it has come.
        const RESERVED: u64 = 4 << 20;
        let mut bytes = Vec::with_capacity(usize::try_from(length.min(RESERVED)).unwrap_or_default());
        let read = (&mut self.stream).take(length).read_to_end(&mut bytes);
        if read.is_ok_and(|read| read as u64 == length) {
            return Ok(bytes);
        }
        Err(Error::new(ErrorKind::Connector, "an isolated process broke off in the middle of a word"))
    }
}

/// A question and its answer, one after the other.
pub(crate) struct Talk {
    stream: UnixStream,
    receiver: Receiver,
}

impl Talk {
    /// `most`: bytes of one frame. `time`: for an answer.
    pub(crate) fn new(stream: UnixStream, most: u64, time: Option<Duration>) -> Result<Self> {
        let failed = |source| broken("no way to the other side", source);
        // A child that is confined may set nothing.
        if time.is_some() {
            stream.set_read_timeout(time).map_err(failed)?;
        }
        let receiver = Receiver::new(stream.try_clone().map_err(failed)?, most);
        Ok(Self { stream, receiver })
    }

    /// Whether the other side is still there shows when its answer is waited for.
    pub(crate) fn send(&mut self, message: &impl Serialize, bytes: &[u8]) -> Result<()> {
        let message = serde_json::to_vec(message).map_err(|source| broken("a message can't be written", source))?;
        let _ = write(&mut self.stream, &message, bytes);
        Ok(())
    }

    /// None: the other side is gone.
    pub(crate) fn receive(&mut self) -> Result<Option<Frame>> {
        self.receiver.receive()
    }
}

fn write(stream: &mut UnixStream, message: &[u8], bytes: &[u8]) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(16 + message.len());
    head.extend((message.len() as u64).to_le_bytes());
    head.extend((bytes.len() as u64).to_le_bytes());
    head.extend_from_slice(message);
    stream.write_all(&head)?;
    stream.write_all(bytes)
}

fn broken(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Internal, format!("between processes: {what}")).with_source(source)
}
