//! The commit log of a folder: which files count, and what is left to do so that the folder shows just these.
//!
//! A package is written in three steps. A plan names every file that it is going to write. The files are written, out of
//! readers' sight. Then the plan becomes the commit, by one rename; from there on moving files into sight and removing
//! replaced ones is repeated until it is done. Must never remove a file that some commit counts.

use std::io;

use serde::{Deserialize, Serialize};

use super::storage::Storage;

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
    pub(super) storage: &'a dyn Storage,
    pub(super) pipeline: &'a str,
}

impl CommitLog<'_> {
    pub(super) fn has(&self, load_id: &str) -> io::Result<bool> {
        Ok(self.load_ids("json")?.iter().any(|known| known == load_id))
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
            // A plan that is cut off was never followed by a file; one that is committed too was about to go.
            if let Ok(plan) = self.read(&path)
                && !self.has(&load_id)?
            {
                for file in &plan.written {
                    self.storage.remove(file)?;
                }
            }
            self.storage.remove(&path)?;
        }
        match self.newest()? {
            Some(commit) => self.finish(&commit),
            None => Ok(()),
        }
    }

    /// Says which files are going to be written.
    pub(super) fn plan(&self, commit: &Commit) -> io::Result<()> {
        self.storage.put(&self.path(&commit.load_id, "pending"), &serde_json::to_vec_pretty(commit)?)
    }

    /// Makes the planned package count. All its files must be written.
    pub(super) fn commit(&self, commit: &Commit) -> io::Result<()> {
        self.storage.rename(&self.path(&commit.load_id, "pending"), &self.path(&commit.load_id, "json"))
    }

    /// Brings a commit's files into sight and removes what they replace. May be called again.
    pub(super) fn finish(&self, commit: &Commit) -> io::Result<()> {
        for moved in &commit.moves {
            self.storage.rename(&moved.from, &moved.to)?;
        }
        commit.removed.iter().try_for_each(|file| self.storage.remove(file))
    }

    fn path(&self, load_id: &str, end: &str) -> String {
        format!("{LOADS}/{}__{load_id}.{end}", self.pipeline)
    }

    fn read(&self, path: &str) -> io::Result<Commit> {
        Ok(serde_json::from_slice(&self.storage.read(path)?)?)
    }

    /// Of the pipeline's files with this ending.
    fn load_ids(&self, end: &str) -> io::Result<Vec<String>> {
        let (prefix, suffix) = (format!("{LOADS}/{}__", self.pipeline), format!(".{end}"));
        let files = self.storage.files(LOADS)?;
        let load_ids = files.iter().filter_map(|(path, _)| path.strip_prefix(&prefix)?.strip_suffix(&suffix));
        // The name of another pipeline may go on after `__`, a load id is a number.
        let numbers = load_ids.filter(|load_id| load_id.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
        Ok(numbers.map(str::to_owned).collect())
    }
}

/// Load ids are seconds with a fraction: longer ones are later ones.
pub(super) fn order(load_id: &str) -> (usize, &str) {
    (load_id.split('.').next().unwrap_or_default().len(), load_id)
}

#[cfg(test)]
mod tests {
    use super::super::folder::Folder;
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
        let storage = Folder::open(folder.path()).unwrap();
        let log = CommitLog { storage: &storage, pipeline: "pm" };
        log.plan(&commit("1.5")).unwrap();
        for file in ["out/t/1.5.jsonl", "state/1.5.json", "schema/1.json"] {
            storage.put(file, b"x").unwrap();
        }
        log.recover().unwrap();
        assert!(!log.has("1.5").unwrap());
        let left = ["out/t/1.5.jsonl", "state/1.5.json", "schema/1.json"].map(|file| folder.path().join(file).exists());
        assert_eq!(left, [false, false, true]);
        assert!(storage.files(LOADS).unwrap().is_empty());
    }

    #[test]
    fn a_committed_load_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Folder::open(folder.path()).unwrap();
        let log = CommitLog { storage: &storage, pipeline: "pm" };
        let commit = Commit { removed: vec!["in/t/0.jsonl".to_owned()], ..commit("1.5") };
        storage.put("in/t/0.jsonl", b"old").unwrap();
        log.plan(&commit).unwrap();
        storage.put("out/t/1.5.jsonl", b"new").unwrap();
        log.commit(&commit).unwrap();
        // Where a rename is a copy and a removal, the plan may still be there.
        log.plan(&commit).unwrap();
        log.recover().unwrap();
        log.recover().unwrap();
        assert_eq!(storage.files("in/t").unwrap(), [("in/t/1.5.jsonl".to_owned(), 3)]);
        assert_eq!(log.newest().unwrap(), Some(commit));
    }

    #[test]
    fn the_newest_commit_is_found_among_other_pipelines() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Folder::open(folder.path()).unwrap();
        for (pipeline, load_id) in [("a", "9.5"), ("a", "10.25"), ("a__b", "99.5")] {
            let log = CommitLog { storage: &storage, pipeline };
            log.plan(&commit(load_id)).unwrap();
            log.commit(&commit(load_id)).unwrap();
        }
        let log = CommitLog { storage: &storage, pipeline: "a" };
        assert_eq!(log.newest().unwrap().unwrap().load_id, "10.25");
    }
}
