//! What dlt's own pipelines remember of an incremental, so that a dataset that dlt wrote goes on where dlt ended.
//!
//! dlt's state of a resource is `{"incremental": {"<cursor path>": {"last_value": …, "unique_hashes": […]}}}`. Must never
//! be written: a read begins there once, and remembers in its own way from then on.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;
use sha3::Shake128;
use sha3::digest::{ExtendableOutput as _, Update as _, XofReader as _};

use crate::document;
use crate::incremental::{Identity, Inherited};

/// Bytes of a fingerprint, since dlt 1.29 and before.
const LENGTHS: [usize; 2] = [9, 15];

#[derive(Debug)]
pub(super) struct OfDlt;

impl Inherited for OfDlt {
    /// None if dlt knew this resource without an incremental on this cursor.
    fn last(&self, cursor_path: &str, state: &Value) -> Option<(Value, Vec<String>)> {
        let known = state.get("incremental")?.get(cursor_path)?;
        let last = match known.get("last_value")? {
            Value::Null => return None,
            // dlt marks the types that JSON lacks with a character for private use in front.
            Value::String(text) => {
                Value::from(text.trim_start_matches(|mark| ('\u{f026}'..='\u{f02f}').contains(&mark)))
            }
            other => other.clone(),
        };
        let hashes = known.get("unique_hashes").and_then(Value::as_array).into_iter().flatten();
        Some((last, hashes.filter_map(Value::as_str).map(str::to_owned).collect()))
    }

    fn knows(&self, hashes: &BTreeSet<String>, identity: &Identity, record: &str) -> bool {
        let field = |name: &String| document::field(record, name).map_or(Value::Null, document::value);
        let candidates = match identity {
            Identity::WholeRecord => vec![document::value(record)],
            // dlt tells a key of one field from a list of one.
            Identity::Fields(names) => {
                let list: Vec<Value> = names.iter().map(field).collect();
                let alone = list.first().filter(|_| list.len() == 1).cloned();
                alone.into_iter().chain([Value::from(list)]).collect()
            }
        };
        candidates.iter().any(|value| {
            let text = sorted(value).to_string();
            LENGTHS.iter().any(|length| hashes.contains(&digest(&text, *length)))
        })
    }
}

fn digest(text: &str, length: usize) -> String {
    let mut hasher = Shake128::default();
    hasher.update(text.as_bytes());
    let mut bytes = vec![0; length];
    hasher.finalize_xof().read(&mut bytes);
    STANDARD_NO_PAD.encode(bytes)
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let fields: BTreeMap<&String, &Value> = object.iter().collect();
            fields
                .into_iter()
                .map(|(name, value)| (name.clone(), sorted(value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        Value::Array(values) => values.iter().map(sorted).collect(),
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fingerprints that dlt 1.31.0 wrote.
    #[test]
    fn records_that_dlt_loaded_are_known() {
        let record = r#"{"updated_at": "2024-01-03T00:00:00Z", "id": 3}"#;
        let cases =
            [(Identity::WholeRecord, "yXrKneUoMyF5"), (Identity::Fields(vec!["id".to_owned()]), "Cn/dwi436vBb")];
        for (identity, hash) in cases {
            let known = BTreeSet::from([hash.to_owned()]);
            assert!(OfDlt.knows(&known, &identity, record), "{identity:?}");
            assert!(!OfDlt.knows(&known, &identity, r#"{"id": 4}"#));
        }
    }
}
