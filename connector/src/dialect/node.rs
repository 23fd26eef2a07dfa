//! Values of the configuration together with where they are written.
//!
//! Reading is forgiving: a value of the wrong type reads as absent, because `check` has already said so. Must never
//! lose a place: after defaults are merged in, each value still points to where the user wrote it.

use serde_json::Value;

/// A value and its JSON Pointer.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    pub(super) value: &'a Value,
    pub(super) at: String,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, at: String::new() }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    pub(super) fn fields(&self) -> Fields<'a> {
        let entries = self.value.as_object().into_iter().flatten();
        Fields {
            entries: entries
                .map(|(key, value)| (key.as_str(), Node { value, at: format!("{}/{}", self.at, escape(key)) }))
                .collect(),
        }
    }

    pub(super) fn items(&self) -> Vec<Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(index, value)| Node { value, at: format!("{}/{index}", self.at) }).collect()
    }

    /// A text, or each text of a list: how dlt writes names of columns.
    pub(super) fn texts(&self) -> Vec<String> {
        match self.value {
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }
}

/// The entries of an object, in order, possibly from several places.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields<'a> {
    pub(super) entries: Vec<(&'a str, Node<'a>)>,
}

impl<'a> Fields<'a> {
    /// Written, possibly as null.
    pub(super) fn written(&self, key: &str) -> Option<&Node<'a>> {
        self.entries.iter().find(|(name, _)| *name == key).map(|(_, node)| node)
    }

    /// Written, and not null.
    pub(super) fn given(&self, key: &str) -> Option<&Node<'a>> {
        self.written(key).filter(|node| !node.value.is_null())
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.given(key).and_then(Node::text)
    }

    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        self.given(key).and_then(|node| node.value.as_bool())
    }

    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        self.given(key).and_then(|node| node.value.as_i64())
    }

    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.given(key).and_then(|node| node.value.as_f64())
    }

    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        self.given(key).map(Node::texts).unwrap_or_default()
    }

    pub(super) fn fields(&self, key: &str) -> Self {
        self.given(key).map(Node::fields).unwrap_or_default()
    }

    pub(super) fn set(&mut self, key: &'a str, node: Node<'a>) {
        match self.entries.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = node,
            None => self.entries.push((key, node)),
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.entries.retain(|(name, _)| *name != key);
    }

    /// `{**self, **other}`: the other's values, a null included, take precedence.
    pub(super) fn overlaid(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        for (key, node) in &other.entries {
            merged.set(key, node.clone());
        }
        merged
    }
}

/// A key as a part of a JSON Pointer.
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Node;

    #[test]
    fn places_survive_merging_and_odd_keys() {
        let (left, right) = (json!({"a": {"x": 1, "y": 2}}), json!({"y/z~": 3, "y": null}));
        let left = Node::root(&left).fields().fields("a");
        let merged = left.overlaid(&Node { value: &right, at: "/b".to_owned() }.fields());
        let places: Vec<_> = merged.entries.iter().map(|(key, node)| (*key, node.at.as_str())).collect();
        assert_eq!(places, [("x", "/a/x"), ("y", "/b/y"), ("y/z~", "/b/y~1z~0")]);
        assert!(merged.given("y").is_none() && merged.written("y").is_some());
    }
}
