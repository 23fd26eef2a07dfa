//! What a package takes back of earlier ones: which files go, and which are written anew without some of their rows.
//!
//! A file bears the name of the load that wrote it, but may hold rows of earlier loads too, which it took up when it was
//! small. So a file that can hold rows of the loads in question is looked into.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::format::Format;
use super::plan::Plan;
use super::{commit_log, refused};
use crate::destination::sql::LOAD_ID;
use crate::error::{Error, ErrorKind, Result};
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

/// Every file of a root table and those below it, in their folders below `folder`, that holds rows of these loads. Where a
/// file has the rows of one load and no others, its name is enough.
pub(super) fn touched<'s>(
    plan: &Plan<'s>,
    family: &[&'s TableSchema],
    loads: &Rc<HashSet<String>>,
    folder: &str,
    is_of_one_load: bool,
) -> Result<Vec<Touched<'s>>> {
    let mut touched = Vec::new();
    let Some(oldest) = loads.iter().min_by_key(|load| commit_log::order(load)) else { return Ok(touched) };
    // Of each table, the ids of the rows that go.
    let mut ids: HashMap<&str, Rc<HashSet<String>>> = HashMap::new();
    for table in family {
        let gone = match table.parent.as_deref() {
            None => Gone { column: LOAD_ID, values: Rc::clone(loads) },
            Some(parent) => Gone { column: "_dlt_parent_id", values: ids.get(parent).cloned().unwrap_or_default() },
        };
        let mut gone_ids = HashSet::new();
        for (path, _) in plan.files_in(format!("{folder}/{}", table.name).trim_start_matches('/'))? {
            let Some(load) = load_of(&path, plan.format) else { continue };
            let may_hold = if is_of_one_load {
                loads.contains(load)
            } else {
                !gone.values.is_empty() && commit_log::order(load) >= commit_log::order(oldest)
            };
            if !may_hold {
                continue;
            }
            let mut without = None;
            if !is_of_one_load {
                let content = plan.storage.read(&path).map_err(refused)?;
                let found = plan.format.rows_with(content, &gone).map_err(|error| {
                    Error::new(ErrorKind::Destination, format!("{path} can't be read")).with_source(error)
                })?;
                if found.ids.is_empty() {
                    continue;
                }
                gone_ids.extend(found.ids);
                without = found.others.then(|| gone.clone());
            }
            touched.push(Touched { table, path, without });
        }
        ids.insert(&table.name, Rc::new(gone_ids));
    }
    Ok(touched)
}

/// The load id in a file's name, `FOLDER/<load id>.<number>.<format>`.
fn load_of(path: &str, format: Format) -> Option<&str> {
    let name = path.rsplit('/').next()?.strip_suffix(format.extension())?.strip_suffix('.')?;
    name.rsplit_once('.').map(|(load, _)| load)
}
