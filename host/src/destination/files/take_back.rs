//! What a package takes back of earlier ones: which files go, and which are written anew without some of their rows.
//!
//! A file bears the name of the load that wrote it, but may hold rows of earlier loads too, which it took up when it was
//! small. So a file that can hold rows of the loads in question is looked into.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::format::Format;
use super::{commit_log, refused};
use crate::destination::families::Families;
use crate::destination::sql::LOAD_ID;
use crate::error::{Error, ErrorKind, Result};
use crate::package::TakenBack;
use crate::schema::TableSchema;

/// Rows that go: those with one of these values in a column.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    pub(super) column: &'static str,
    pub(super) values: Rc<HashSet<String>>,
}

/// A file from which rows go.
#[derive(Debug)]
pub(super) struct Touched<'a> {
    pub(super) table: &'a TableSchema,
    pub(super) path: String,
    /// None: nothing stays.
    pub(super) without: Option<Gone>,
}

/// The files of a table's folder and those below, or of what waits for a table; and a file's content.
pub(super) struct Reading<'a> {
    pub(super) format: Format,
    pub(super) files: &'a dyn Fn(&str) -> Result<Vec<(String, u64)>>,
    pub(super) read: &'a dyn Fn(&str) -> std::io::Result<Vec<u8>>,
}

impl Reading<'_> {
    /// Every file in the tables' folders below `folder` that holds rows of these loads. Where a file has the rows of one
    /// load and no others, its name is enough.
    pub(super) fn touched<'s>(
        &self,
        families: &Families<'s>,
        taken: &TakenBack,
        folder: &str,
        is_of_one_load: bool,
    ) -> Result<Vec<Touched<'s>>> {
        let mut touched = Vec::new();
        let Some(oldest) = taken.loads.iter().min_by_key(|load| commit_log::order(load)) else { return Ok(touched) };
        let loads: Rc<HashSet<String>> = Rc::new(taken.loads.iter().cloned().collect());
        for root in families.roots().filter(|table| table.is_filled_by(&taken.stream)) {
            // Of each table, the ids of the rows that go.
            let mut ids: HashMap<&str, Rc<HashSet<String>>> = HashMap::new();
            for table in families.family(root) {
                let gone = match table.parent.as_deref() {
                    None => Gone { column: LOAD_ID, values: Rc::clone(&loads) },
                    Some(parent) => {
                        let values = ids.get(parent).cloned().unwrap_or_default();
                        Gone { column: "_dlt_parent_id", values }
                    }
                };
                let mut gone_ids = HashSet::new();
                for (path, _) in (self.files)(format!("{folder}/{}", table.name).trim_start_matches('/'))? {
                    let Some(load) = self.load_of(&path) else { continue };
                    if commit_log::order(load) < commit_log::order(oldest) {
                        continue;
                    }
                    let stays = if is_of_one_load {
                        if !loads.contains(load) {
                            continue;
                        }
                        false
                    } else {
                        if gone.values.is_empty() {
                            continue;
                        }
                        let content = (self.read)(&path).map_err(refused)?;
                        let found = self.format.rows_with(content, &gone).map_err(|error| {
                            Error::new(ErrorKind::Destination, format!("{path} can't be read")).with_source(error)
                        })?;
                        if found.ids.is_empty() {
                            continue;
                        }
                        gone_ids.extend(found.ids);
                        found.others
                    };
                    let without = stays.then(|| gone.clone());
                    touched.push(Touched { table, path, without });
                }
                ids.insert(&table.name, Rc::new(gone_ids));
            }
        }
        Ok(touched)
    }

    /// The load id in a file's name, `FOLDER/<load id>.<number>.<format>`.
    fn load_of<'p>(&self, path: &'p str) -> Option<&'p str> {
        let name = path.rsplit('/').next()?.strip_suffix(self.format.extension())?.strip_suffix('.')?;
        name.rsplit_once('.').map(|(load, _)| load)
    }
}
