//! Files in a folder of this machine.
//!
//! Must never return before what it did is on the disk.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use arrow::error::ArrowError;

use super::refused;
use super::storage::{Fill, Storage};
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// It is made by the first file in it; whether that can be done shows here.
    pub(super) fn open(root: &Path) -> Result<Self> {
        let cannot = |error: io::Error| refused(error).with_context("folder", root.display().to_string());
        for folder in std::path::absolute(root).map_err(cannot)?.ancestors() {
            match fs::metadata(folder) {
                Ok(found) if !found.is_dir() => return Err(cannot(io::ErrorKind::NotADirectory.into())),
                Ok(found) if found.permissions().readonly() => {
                    return Err(cannot(io::ErrorKind::PermissionDenied.into()));
                }
                Ok(_) => break,
                // A part of the path is a file; the folder that holds it says so better.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => return Err(cannot(error)),
            }
        }
        Ok(Self { root: root.to_owned() })
    }
}

impl Storage for Folder {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(self.root.join(path))
    }

    fn files(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        let entries = match fs::read_dir(self.root.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = format!("{folder}/{name}");
            if entry.file_type()?.is_dir() {
                files.extend(self.files(&path)?);
            } else {
                files.push((path, entry.metadata()?.len()));
            }
        }
        files.sort();
        Ok(files)
    }

    fn put(&self, path: &str, content: &[u8]) -> io::Result<()> {
        let path = self.root.join(path);
        make_parent(&path)?;
        let temporary = path.with_extension("tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        sync_parent(&path)
    }

    fn write(&self, path: &str, fill: Fill<'_>) -> Result<(), ArrowError> {
        let path = self.root.join(path);
        make_parent(&path)?;
        let mut file = BufWriter::new(File::create(path)?);
        fill(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.root.join(from), self.root.join(to));
        if from.exists() {
            make_parent(&to)?;
            fs::rename(&from, &to)?;
            sync_parent(&to)?;
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        match fs::remove_file(self.root.join(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Makes a rename in a file's folder outlive a crash.
fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
