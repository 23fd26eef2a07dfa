//! The streams of a connection and how they hang on one another.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use crate::schema::{StreamSpec, WriteDisposition};
use crate::state::Names;

/// Parents before their children. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Streams(Arc<Family>);

#[derive(Debug)]
struct Family {
    specs: IndexMap<String, StreamSpec>,
    /// Places in `specs`, by parent.
    children: HashMap<String, Vec<usize>>,
}

impl Streams {
    pub fn new(specs: impl IntoIterator<Item = StreamSpec>) -> Self {
        let specs: IndexMap<_, _> = specs.into_iter().map(|spec| (spec.name.clone(), spec)).collect();
        let mut children: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, spec) in specs.values().enumerate() {
            if let Some(parent) = &spec.parent {
                children.entry(parent.clone()).or_default().push(place);
            }
        }
        Self(Arc::new(Family { specs, children }))
    }

    pub fn get(&self, name: &str) -> Option<&StreamSpec> {
        self.0.specs.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &StreamSpec> {
        self.0.specs.values()
    }

    pub fn children(&self, parent: &str) -> impl Iterator<Item = &StreamSpec> + use<'_> {
        self.0.children.get(parent).into_iter().flatten().map(|place| &self.0.specs[*place])
    }

    /// Whether reading a stream serves a consumer: it is the stream itself, or hangs on it.
    pub fn serves(&self, stream: &str, consumer: &str) -> bool {
        self.line(consumer).any(|name| name == stream)
    }

    /// Those of the consumers that reading a stream serves.
    pub fn served(&self, stream: &str, consumers: &Names) -> Names {
        consumers.iter().filter(|consumer| self.serves(stream, consumer)).cloned().collect()
    }

    pub fn root_of<'a>(&'a self, stream: &'a str) -> &'a str {
        self.line(stream).last().unwrap_or(stream)
    }

    /// A stream, its parent, and so on to the root.
    fn line<'a>(&'a self, stream: &'a str) -> impl Iterator<Item = &'a str> {
        std::iter::successors(Some(stream), |name| {
            self.get(name)?.parent.as_deref().filter(|parent| self.0.specs.contains_key(*parent))
        })
    }
}

impl StreamSpec {
    /// Whether its rows come beside those that are there, so that a record read twice is there twice.
    pub fn appends(&self) -> bool {
        match self.write_disposition {
            WriteDisposition::Append => true,
            WriteDisposition::Merge => {
                !self.has_key("primary_key", &self.primary_key) && !self.has_key("merge_key", &self.merge_key)
            }
            WriteDisposition::Replace | WriteDisposition::Skip => false,
        }
    }

    /// Whether a record may be read twice in one pass and is there once.
    pub fn may_be_read_twice(&self) -> bool {
        let is_scd2 = self.hints.get("strategy").and_then(Value::as_str) == Some("scd2");
        self.write_disposition == WriteDisposition::Skip
            || self.write_disposition == WriteDisposition::Merge
                && !is_scd2
                && self.has_key("primary_key", &self.primary_key)
                && !self.has_key("merge_key", &self.merge_key)
    }

    /// Said of the stream, or of one of its columns.
    fn has_key(&self, hint: &str, of_stream: &[String]) -> bool {
        let is_hinted = |column: &Value| column.get(hint) == Some(&Value::Bool(true));
        !of_stream.is_empty()
            || match self.hints.get("columns") {
                Some(Value::Object(columns)) => columns.values().any(is_hinted),
                Some(Value::Array(columns)) => columns.iter().any(is_hinted),
                _ => false,
            }
    }

    /// The name of its table, before the naming convention.
    pub fn table(&self) -> &str {
        self.hints.get("table_name").and_then(Value::as_str).unwrap_or(&self.name)
    }
}
