//! Random APIs: which streams there are, how they hang together, and how they are read. Only those for which there is one right
//! answer, whatever runs came before: after the last, the tables hold what the API holds.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    Merge,
    Append,
    Replace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paging {
    Offset,
    PageNumber,
    /// The token names the last record of the page.
    Cursor,
    /// The token is worth nothing once the API has changed.
    ExpiringCursor,
}

#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) parent: Option<usize>,
    pub(super) disposition: Disposition,
    pub(super) upsert: bool,
    /// Without one, what `append` has seen at the boundary is known by the whole record.
    pub(super) has_key: bool,
    pub(super) incremental: bool,
    /// The API gives only what the cursor asks for; otherwise the connector has to leave out the rest.
    pub(super) filtered: bool,
    pub(super) newest_first: bool,
    /// `row_order` stands in the configuration.
    pub(super) says_order: bool,
    /// Its records have a list, and so a child table.
    pub(super) has_labels: bool,
    pub(super) paging: Paging,
    pub(super) page_size: usize,
}

impl Stream {
    fn random() -> impl Strategy<Value = Self> {
        let disposition =
            prop_oneof![3 => Just(Disposition::Merge), 3 => Just(Disposition::Append), 2 => Just(Disposition::Replace)];
        let paging = prop_oneof![
            4 => Just(Paging::Offset), 2 => Just(Paging::PageNumber), 2 => Just(Paging::Cursor), 1 => Just(Paging::ExpiringCursor),
        ];
        let flags =
            (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
        (disposition, flags, paging, 2..=4_usize).prop_map(|(disposition, flags, paging, page_size)| Self {
            name: String::new(),
            parent: None,
            disposition,
            incremental: flags.0,
            has_labels: flags.1,
            filtered: !flags.2,
            newest_first: flags.3,
            says_order: flags.4,
            upsert: flags.5,
            has_key: !flags.6,
            paging,
            page_size,
        })
    }

    pub(super) fn config(&self, streams: &[Self]) -> Value {
        let mut endpoint = json!({"path": self.name, "data_selector": "data", "paginator": self.paginator()});
        if self.incremental {
            endpoint["incremental"] = json!({"cursor_path": "at", "initial_value": 0});
            if self.says_order {
                endpoint["incremental"]["row_order"] = if self.newest_first { "desc" } else { "asc" }.into();
            }
            if self.filtered {
                endpoint["params"] = json!({"since": "{incremental.start_value}"});
            }
        }
        let disposition = match self.disposition {
            Disposition::Append => json!("append"),
            Disposition::Replace => json!("replace"),
            Disposition::Merge if self.upsert => json!({"disposition": "merge", "strategy": "upsert"}),
            Disposition::Merge => json!("merge"),
        };
        let mut resource = json!({"name": self.name, "write_disposition": disposition});
        if self.has_key {
            resource["primary_key"] = "id".into();
        }
        if let Some(parent) = self.parent.map(|parent| &streams[parent].name) {
            endpoint["path"] = format!("{parent}/{{resources.{parent}.id}}/{}", self.name).into();
            resource["include_from_parent"] = json!(["id"]);
        }
        resource["endpoint"] = endpoint;
        resource
    }

    fn paginator(&self) -> Value {
        match self.paging {
            Paging::Offset => json!({"type": "offset", "limit": self.page_size, "total_path": "total"}),
            Paging::PageNumber => json!({"type": "page_number", "base_page": 1, "total_path": "pages"}),
            Paging::Cursor | Paging::ExpiringCursor => {
                json!({"type": "cursor", "cursor_path": "next", "cursor_param": "after"})
            }
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.name, self.disposition)?;
        let words = [
            (self.disposition == Disposition::Merge && self.upsert, "by upsert"),
            (!self.has_key, "without a key"),
            (self.incremental, "incremental"),
            (self.incremental && self.filtered, "filtered by the API"),
            (self.has_labels, "with labels"),
            (self.newest_first, "newest first"),
            (self.incremental && self.says_order, "row_order"),
        ];
        words.iter().filter(|(holds, _)| *holds).try_for_each(|(_, word)| write!(f, ", {word}"))?;
        write!(f, "; {:?}, {} records a page", self.paging, self.page_size)
    }
}

/// The ancestors of a stream, its parent first.
pub(super) fn ancestors(streams: &[Stream], stream: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(streams[stream].parent, |parent| streams[*parent].parent)
}

/// Parents before their children.
pub(super) fn streams() -> impl Strategy<Value = Vec<Stream>> {
    let number = |none: u32| prop_oneof![none => Just(0_usize), 4 => Just(1), 1 => Just(2)];
    let child = number(9).prop_flat_map(|count| (Stream::random(), vec(Stream::random(), count)));
    let child = child.boxed();
    let root = number(4).prop_flat_map(move |count| (Stream::random(), vec(child.clone(), count)));
    vec(root, 1..=4).prop_map(|roots| {
        let mut streams = Vec::new();
        for (root, letter) in roots.into_iter().zip('a'..) {
            let (root_at, (root, children)) = (streams.len(), root);
            streams.push(Stream { name: letter.to_string(), ..root });
            for ((child, grandchildren), digit) in children.into_iter().zip(1..) {
                let child_at = streams.len();
                streams.push(Stream { name: format!("{letter}{digit}"), parent: Some(root_at), ..child });
                for (grandchild, last) in grandchildren.into_iter().zip('x'..) {
                    let name = format!("{letter}{digit}{last}");
                    streams.push(Stream { name, parent: Some(child_at), ..grandchild });
                }
            }
        }
        (0..streams.len()).for_each(|stream| settle(&mut streams, stream));
        streams
    })
}

/// Makes of what chance wanted something that has a right answer.
fn settle(streams: &mut [Stream], stream: usize) {
    let above: Vec<usize> = ancestors(streams, stream).collect();
    let is_below = |holds: fn(&Stream) -> bool| above.iter().any(|ancestor| holds(&streams[*ancestor]));
    // The API never changes a record that is appended, nor what hangs on it: its children are read once.
    let is_frozen = is_below(|ancestor| ancestor.disposition == Disposition::Append);
    let is_below_incremental = is_below(|ancestor| ancestor.incremental);
    let this = &mut streams[stream];
    match this.disposition {
        // An incremental parent brings only some of its children, which must not replace the others.
        Disposition::Replace if is_below_incremental => this.disposition = Disposition::Merge,
        Disposition::Replace => this.incremental = false,
        // What is read again must not be appended again.
        Disposition::Append if !is_frozen => this.incremental = true,
        Disposition::Append | Disposition::Merge => {}
    }
    this.has_key |= this.disposition != Disposition::Append;
    this.says_order &= this.parent.is_none();
}
