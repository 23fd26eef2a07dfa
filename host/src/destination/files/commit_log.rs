//! The commit log of a folder: which files count, and what is left to do so that the folder shows just these.
//!
//! A package is written in three steps. A plan names every file that it is going to write. The files are written, out of
//! readers' sight. Then the plan becomes the commit, by one rename; from there on moving files into sight and removing
//! replaced ones is repeated until it is done. Must never remove a file that some commit counts.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// As dlt calls its table of loads.
pub(super) const LOADS: &str = "_dlt_loads";

/// One package. Paths are relative to the dataset's folder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Commit {
    pub(super) load_id: String,
    /// The pipeline.
    pub(super) schema_name: String,
    pub(super) status: u32,
    pub(super) inserted_at: String,
    pub(super) schema_version_hash: String,
    /// The pipeline's state and schema from here on.
    pub(super) state: String,
    pub(super) schema: String,
    /// What the package itself writes, under the names under which it is written.
    pub(super) written: Vec<String>,
    /// What counts from here on.
    pub(super) files: Vec<String>,
    /// What is complete and will count once its stream ends.
    pub(super) staged: Vec<String>,
    /// What is written under one name and comes into sight under another.
    pub(super) moves: Vec<Move>,
    /// What no longer counts.
    pub(super) removed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Move {
    pub(super) from: String,
    pub(super) to: String,
}

/// The commits of one pipeline in a dataset's folder.
pub(super) struct CommitLog<'a> {
    pub(super) root: &'a Path,
    pub(super) pipeline: &'a str,
}

impl CommitLog<'_> {
    pub(super) fn has(&self, load_id: &str) -> bool {
        self.path(load_id, "json").exists()
    }

    /// The newest commit, by load id.
    pub(super) fn newest(&self) -> io::Result<Option<Commit>> {
        let newest = self.load_ids("json")?.into_iter().max_by(|one, other| order(one).cmp(&order(other)));
        newest.map(|load_id| self.read(&self.path(&load_id, "json"))).transpose()
    }

    /// Finishes what an interrupted load left: one that was committed is brought to its end, one that was not is undone.
    pub(super) fn recover(&self) -> io::Result<()> {
        for load_id in self.load_ids("pending")? {
            let path = self.path(&load_id, "pending");
            // A plan that is cut off was never followed by a file.
            if let Ok(plan) = self.read(&path) {
                for file in &plan.written {
                    remove(&self.root.join(file))?;
                }
            }
            remove(&path)?;
        }
        match self.newest()? {
            Some(commit) => self.finish(&commit),
            None => Ok(()),
        }
    }

    /// Says which files are going to be written.
    pub(super) fn plan(&self, commit: &Commit) -> io::Result<()> {
        write_durably(&self.path(&commit.load_id, "pending"), &serde_json::to_vec_pretty(commit)?)
    }

    /// Makes the planned package count. All its files must be written.
    pub(super) fn commit(&self, commit: &Commit) -> io::Result<()> {
        let path = self.path(&commit.load_id, "json");
        fs::rename(self.path(&commit.load_id, "pending"), &path)?;
        sync_folder(&path)
    }

    /// Brings a commit's files into sight and removes what they replace. May be called again.
    pub(super) fn finish(&self, commit: &Commit) -> io::Result<()> {
        for moved in &commit.moves {
            let (from, to) = (self.root.join(&moved.from), self.root.join(&moved.to));
            if from.exists() {
                make_parent(&to)?;
                fs::rename(&from, &to)?;
                sync_folder(&to)?;
            }
        }
        for file in &commit.removed {
            remove(&self.root.join(file))?;
        }
        Ok(())
    }

    fn path(&self, load_id: &str, end: &str) -> PathBuf {
        self.root.join(LOADS).join(format!("{}__{load_id}.{end}", self.pipeline))
    }

    fn read(&self, path: &Path) -> io::Result<Commit> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// Of the pipeline's files with this ending.
    fn load_ids(&self, end: &str) -> io::Result<Vec<String>> {
        let (prefix, suffix) = (format!("{}__", self.pipeline), format!(".{end}"));
        let names = names(&self.root.join(LOADS))?;
        let load_ids = names.iter().filter_map(|name| name.strip_prefix(&prefix)?.strip_suffix(&suffix));
        // The name of another pipeline may go on after `__`, a load id is a number.
        let numbers = load_ids.filter(|load_id| load_id.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
        Ok(numbers.map(str::to_owned).collect())
    }
}

/// Load ids are seconds with a fraction: longer ones are later ones.
fn order(load_id: &str) -> (usize, &str) {
    (load_id.split('.').next().unwrap_or_default().len(), load_id)
}

/// The names in a folder; none if there is no folder.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Writes a file so that it outlives a crash; under a temporary name first, so that it is there whole or not at all.
pub(super) fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    make_parent(path)?;
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(path)
}

pub(super) fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Makes a rename in a file's folder outlive a crash.
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(load_id: &str) -> Commit {
        let file = |folder: &str| format!("{folder}/t/{load_id}.jsonl");
        Commit {
            load_id: load_id.to_owned(),
            schema_name: "pm".to_owned(),
            state: format!("state/{load_id}.json"),
            schema: "schema/1.json".to_owned(),
            written: vec![file("out"), format!("state/{load_id}.json")],
            files: vec![file("in")],
            moves: vec![Move { from: file("out"), to: file("in") }],
            ..Commit::default()
        }
    }

    #[test]
    fn an_uncommitted_load_is_undone() {
        let folder = tempfile::tempdir().unwrap();
        let log = CommitLog { root: folder.path(), pipeline: "pm" };
        log.plan(&commit("1.5")).unwrap();
        for file in ["out/t/1.5.jsonl", "state/1.5.json", "schema/1.json"] {
            write_durably(&folder.path().join(file), b"x").unwrap();
        }
        log.recover().unwrap();
        assert!(!log.has("1.5"));
        let left = ["out/t/1.5.jsonl", "state/1.5.json", "schema/1.json"].map(|file| folder.path().join(file).exists());
        assert_eq!(left, [false, false, true]);
        assert_eq!(names(&folder.path().join(LOADS)).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_committed_load_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let log = CommitLog { root: folder.path(), pipeline: "pm" };
        let commit = Commit { removed: vec!["in/t/0.jsonl".to_owned()], ..commit("1.5") };
        write_durably(&folder.path().join("in/t/0.jsonl"), b"old").unwrap();
        log.plan(&commit).unwrap();
        write_durably(&folder.path().join("out/t/1.5.jsonl"), b"new").unwrap();
        log.commit(&commit).unwrap();
        log.recover().unwrap();
        log.recover().unwrap();
        assert_eq!(names(&folder.path().join("in/t")).unwrap(), ["1.5.jsonl"]);
        assert_eq!(log.newest().unwrap(), Some(commit));
    }

    #[test]
    fn the_newest_commit_is_found_among_other_pipelines() {
        let folder = tempfile::tempdir().unwrap();
        for (pipeline, load_id) in [("a", "9.5"), ("a", "10.25"), ("a__b", "99.5")] {
            let log = CommitLog { root: folder.path(), pipeline };
            log.plan(&commit(load_id)).unwrap();
            log.commit(&commit(load_id)).unwrap();
        }
        let log = CommitLog { root: folder.path(), pipeline: "a" };
        assert_eq!(log.newest().unwrap().unwrap().load_id, "10.25");
    }
}
