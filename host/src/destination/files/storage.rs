//! Where the files of a dataset lie, as the little that is needed of it: a folder of this machine or of an object store.
//!
//! Paths are relative to the dataset and have `/` between their parts. What a function has done outlives a crash once it
//! returns. Must never know what a file means.

use std::fmt::Debug;
use std::io::{self, Write};
use std::path::Path;

use arrow::error::ArrowError;

use super::bucket::Bucket;
use super::folder::Folder;
use crate::error::Result;

/// Writes a file's content.
pub(super) type Fill<'a> = &'a mut dyn FnMut(&mut (dyn Write + Send)) -> Result<(), ArrowError>;

pub(super) trait Storage: Debug + Send {
    /// A whole file; an error of the kind `NotFound` if there is none.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// The files in a folder and in the folders below it, as paths in order, with their sizes; none if there is no folder.
    fn files(&self, folder: &str) -> io::Result<Vec<(String, u64)>>;

    /// Writes a file: whole under its name or not at all, in the place of one that may be there.
    fn put(&self, path: &str, content: &[u8]) -> io::Result<()>;

    /// Writes a file of any size, of which a part may be left after a crash.
    fn write(&self, path: &str, fill: Fill<'_>) -> Result<(), ArrowError>;

    /// Gives a file another name. Nothing happens if it is not there (any more); after a crash it may have both names.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Nothing happens if there is no such file.
    fn remove(&self, path: &str) -> io::Result<()>;
}

/// Opens a folder by its path, or one of an object store by its URL.
pub(super) fn open(place: &str, dataset: &str) -> Result<Box<dyn Storage>> {
    if place.contains("://") {
        return Ok(Box::new(Bucket::open(place, dataset)?));
    }
    Ok(Box::new(Folder::open(&Path::new(place).join(dataset))?))
}
