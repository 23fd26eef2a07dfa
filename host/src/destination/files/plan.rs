//! What a package is going to do to a dataset's files, before anything is done: the commit, and the files with its rows.
//!
//! Must never write: until the plan itself is written, a crash leaves what was there.

use std::collections::HashSet;
use std::rc::Rc;

use arrow::record_batch::RecordBatch;
use jiff::Timestamp;

use super::commit_log::{Commit, Move};
use super::format::Format;
use super::storage::Storage;
use super::take_back::{Gone, Touched, touched};
use super::{MAX_IDENTIFIER_LENGTH, partition, refused};
use crate::destination::families::Families;
use crate::error::{Error, ErrorKind, Result};
use crate::package::LoadPackage;
use crate::schema::{TableSchema, WriteDisposition};

const STATE: &str = "_dlt_pipeline_state";
const VERSION: &str = "_dlt_version";
/// Where files lie until they come into sight.
const STAGING: &str = "_dlt_staging";
/// So many small files in one folder become one with the next package's rows: readers pay for every file.
const SMALL_FILES: usize = 8;
/// In bytes; a larger one stays as it is.
const SMALL: u64 = 1 << 20;

/// What a package is going to do to the folder.
pub(super) struct Plan<'a> {
    pub(super) storage: &'a dyn Storage,
    pub(super) format: Format,
    package: &'a LoadPackage,
    pub(super) commit: Commit,
    pub(super) files: Vec<PlannedFile<'a>>,
    /// Files that go, as far as they are known before the rest is planned.
    taken_back: HashSet<String>,
}

/// One file with rows.
pub(super) struct PlannedFile<'a> {
    pub(super) path: String,
    pub(super) table: &'a TableSchema,
    pub(super) batches: Vec<RecordBatch>,
    /// Older files whose rows it holds too.
    pub(super) taken_up: Vec<String>,
    /// Which of those rows it leaves out.
    pub(super) without: Option<Gone>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(storage: &'a dyn Storage, format: Format, package: &'a LoadPackage) -> Self {
        Self { storage, format, package, commit: Commit::default(), files: Vec::new(), taken_back: HashSet::new() }
    }

    /// What happens to the tables.
    pub(super) fn tables(&mut self) -> Result<()> {
        self.take_back()?;
        let package = self.package;
        let families = Families::of(package);
        // What earlier packages left of streams that begin or end here.
        for table in package.schema.tables.values() {
            let Some(replacement) = families.replacement(families.root(table)) else { continue };
            check_name(&table.name)?;
            let staged = self.files_in(&format!("{STAGING}/{}", table.name))?;
            if replacement.begins {
                self.remove(staged);
            } else if replacement.ends {
                for (from, _) in staged {
                    self.comes_into_sight(from);
                }
            }
            if replacement.ends {
                let replaced = self.files_in(&table.name)?;
                self.remove(replaced);
            }
        }
        for rows in &package.tables {
            let table = package.schema.tables.get(&rows.table).ok_or_else(|| {
                Error::new(ErrorKind::Internal, format!("rows of the table `{}`, which the schema lacks", rows.table))
            })?;
            check_name(&table.name)?;
            let root = families.root(table);
            let replacement = families.replacement(root);
            match (root.write_disposition, replacement) {
                (WriteDisposition::Skip, _) => continue,
                (WriteDisposition::Append, _) | (WriteDisposition::Replace, Some(_)) => {}
                (WriteDisposition::Merge, _) => {
                    let error = Error::new(ErrorKind::Destination, "files can't be merged into");
                    return Err(error
                        .with_context("table", table.name.clone())
                        .with_help("choose write_disposition append or replace, or a database as the destination"));
                }
                (WriteDisposition::Replace, None) => {
                    let stream = &root.stream;
                    let message = format!("rows of the stream `{stream}` came without saying where it begins and ends");
                    return Err(Error::new(ErrorKind::Internal, message));
                }
            }
            let ended = replacement.is_none_or(|replacement| replacement.ends);
            for (folder, batches) in partition::split(table, &rows.batches)? {
                let folder = format!("{}{folder}", table.name);
                let file = format!("{folder}/{}.0.{}", package.load_id, self.format.extension());
                let path = format!("{STAGING}/{file}");
                self.commit.written.push(path.clone());
                if ended {
                    self.comes_into_sight(path.clone());
                } else {
                    self.commit.staged.push(path.clone());
                }
                let taken_up = if replacement.is_none() { self.small_files(&folder)? } else { Vec::new() };
                self.commit.removed.extend(taken_up.iter().cloned());
                self.files.push(PlannedFile { path, table, batches, taken_up, without: None });
            }
        }
        Ok(())
    }

    /// The small files of a folder, when there are so many that a new one takes them up.
    fn small_files(&self, folder: &str) -> Result<Vec<String>> {
        if !self.format.can_be_joined() {
            return Ok(Vec::new());
        }
        let in_folder = |path: &str| path.rsplit_once('/').is_some_and(|(parent, _)| parent == folder);
        let files = self.files_in(folder)?.into_iter().filter(|(path, size)| *size < SMALL && in_folder(path));
        let small: Vec<String> = files.map(|(path, _)| path).collect();
        Ok(if small.len() < SMALL_FILES { Vec::new() } else { small })
    }

    /// State, schema and the rest of the commit.
    pub(super) fn system(&mut self, previous: Option<&Commit>, hash: &str) {
        let package = self.package;
        let commit = &mut self.commit;
        commit.load_id.clone_from(&package.load_id);
        commit.schema_name.clone_from(&package.pipeline);
        commit.inserted_at = Timestamp::now().to_string();
        hash.clone_into(&mut commit.schema_version_hash);
        commit.state = format!("{STATE}/{}__{}.txt", package.pipeline, package.load_id);
        commit.written.push(commit.state.clone());
        commit.removed.extend(previous.map(|previous| previous.state.clone()));
        match previous.filter(|previous| previous.schema_version_hash == hash) {
            Some(previous) => commit.schema.clone_from(&previous.schema),
            None => {
                commit.schema = format!("{VERSION}/{}__{}.json", package.pipeline, package.load_id);
                commit.written.push(commit.schema.clone());
            }
        }
    }

    fn comes_into_sight(&mut self, from: String) {
        let to = from.strip_prefix(STAGING).unwrap_or(&from).trim_start_matches('/').to_owned();
        self.commit.files.push(to.clone());
        self.commit.moves.push(Move { from, to });
    }

    fn remove(&mut self, files: Vec<(String, u64)>) {
        self.commit.removed.extend(files.into_iter().map(|(path, _)| path));
    }

    /// What earlier packages brought of streams that are read again: files go, or are written anew with what stays of
    /// them.
    fn take_back(&mut self) -> Result<()> {
        let package = self.package;
        if package.taken_back.is_empty() {
            return Ok(());
        }
        let families = Families::of(package);
        let mut number = 0;
        for root in families.roots() {
            let taken = package.taken_back.iter().filter(|taken| root.is_filled_by(&taken.stream));
            let loads = Rc::new(taken.flat_map(|taken| taken.loads.iter().cloned()).collect());
            for folder in ["", STAGING] {
                // What waits has taken up nothing.
                let is_of_one_load = folder == STAGING || !self.format.can_be_joined();
                for touched in touched(self, &families.family(root), &loads, folder, is_of_one_load)? {
                    let Touched { table, path: old, without } = touched;
                    if without.is_some() {
                        number += 1;
                        let folder = old.rsplit_once('/').map_or("", |(folder, _)| folder);
                        let file = format!("{folder}/{}.{number}.{}", package.load_id, self.format.extension());
                        let path = format!("{STAGING}/{file}");
                        self.commit.written.push(path.clone());
                        self.comes_into_sight(path.clone());
                        let taken_up = vec![old.clone()];
                        self.files.push(PlannedFile { path, table, batches: Vec::new(), taken_up, without });
                    }
                    self.taken_back.insert(old.clone());
                    self.commit.removed.push(old);
                }
            }
        }
        Ok(())
    }

    /// The data files in a folder of the dataset, but those that are taken back.
    pub(super) fn files_in(&self, folder: &str) -> Result<Vec<(String, u64)>> {
        let end = format!(".{}", self.format.extension());
        let files = self.storage.files(folder).map_err(refused)?;
        let stays = |path: &String| path.ends_with(&end) && !self.taken_back.contains(path);
        Ok(files.into_iter().filter(|(path, _)| stays(path)).collect())
    }
}

fn check_name(table: &str) -> Result<()> {
    if is_name(table) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Destination, format!("a table named `{table}` can't be a folder")))
}

/// Whether a name stays where it is put, on every file system.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_IDENTIFIER_LENGTH + 50
        && !name.starts_with('.')
        && !name.contains(['/', '\\', '\0'])
}
