//! Where a connector's component comes from: a file, or bytes that somebody holds already.

use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// A connector, not looked into yet. Cheap to clone.
#[derive(Clone)]
pub struct Wasm(Source);

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Bytes { name: String, bytes: Arc<[u8]>, signature: Option<String> },
}

impl Wasm {
    /// `name`: for messages.
    pub fn from_bytes(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(Source::Bytes { name: name.into(), bytes: bytes.into(), signature: None })
    }

    /// The text of its minisign signature; that of a file lies beside it.
    #[must_use]
    pub fn signed(mut self, text: impl Into<String>) -> Self {
        if let Source::Bytes { signature, .. } = &mut self.0 {
            *signature = Some(text.into());
        }
        self
    }

    /// As it is named in messages.
    pub fn name(&self) -> String {
        match &self.0 {
            Source::File(path) => path.display().to_string(),
            Source::Bytes { name, .. } => name.clone(),
        }
    }

    /// The name of its signature, and its text, if there is one that can be read.
    pub(super) fn signature(&self) -> (String, std::io::Result<String>) {
        match &self.0 {
            Source::File(path) => {
                let mut file = path.as_os_str().to_owned();
                file.push(".minisig");
                (Path::new(&file).display().to_string(), std::fs::read_to_string(&file))
            }
            Source::Bytes { name, signature, .. } => {
                let missing = || std::io::Error::new(std::io::ErrorKind::NotFound, "none was given");
                (name.clone(), signature.clone().ok_or_else(missing))
            }
        }
    }

    /// Its bytes, `most` of them.
    ///
    /// Errors: no such file, or a folder (`Usage`); too large (`LimitExceeded`).
    pub(super) fn read(&self, most: u64) -> Result<Cow<'_, [u8]>> {
        let bytes = match &self.0 {
            Source::File(path) => Cow::Owned(read_file(path, most)?),
            Source::Bytes { bytes, .. } => Cow::Borrowed(&**bytes),
        };
        if bytes.len() as u64 > most {
            let error = Error::new(ErrorKind::LimitExceeded, format!("the component is larger than {most} bytes"));
            return Err(error.with_help("raise host.limits.component_bytes"));
        }
        Ok(bytes)
    }
}

impl fmt::Debug for Wasm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Wasm({})", self.name())
    }
}

impl<P: Into<PathBuf>> From<P> for Wasm {
    fn from(path: P) -> Self {
        Self(Source::File(path.into()))
    }
}

/// One byte more than `most`, if there are more.
fn read_file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let unreadable = |source: std::io::Error| {
        Error::new(ErrorKind::Usage, "the connector can't be read").with_source(source).with_help(
            "give the path of a .wasm file; `make build` leaves one at target/wasm32-wasip2/release/connector.wasm",
        )
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(
            Error::new(ErrorKind::Usage, "a folder, not a connector").with_help("give the path of a .wasm file")
        );
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
