//! Parents and children: who reads from whom, in which order.
//!
//! Must never let a stream come before its parent.

use super::diagnostic::{Diagnostic, Diagnostics, nearest};
use super::placeholders::Reference;
use super::resource::Resource;
use crate::plan::{Included, Parent, ParentValue, Stream};

/// A stream, and what it says about its parent.
pub(super) struct Child {
    stream: Stream,
    at: String,
    references: Vec<Reference>,
    include: Option<Include>,
    batch: Option<Batch>,
}

struct Include {
    fields: Vec<String>,
    at: String,
}

struct Batch {
    size: usize,
    at: String,
}

impl Batch {
    fn of(resource: &Resource<'_>) -> Option<Self> {
        let node = resource.fields.given("batch_parents")?;
        let size = node.value.as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(1).max(1);
        Some(Self { size, at: node.at.clone() })
    }
}

/// What joins the values of a batch where they become text. None: there is one parent record a request.
pub(super) fn separator(resource: &Resource<'_>) -> Option<String> {
    let is_batch = Batch::of(resource).is_some_and(|batch| batch.size > 1);
    is_batch.then(|| resource.fields.text("batch_separator").unwrap_or(",").to_owned())
}

impl Child {
    pub(super) fn new(stream: Stream, resource: &Resource<'_>, references: Vec<Reference>) -> Self {
        let fields = &resource.fields;
        let include = fields.given("include_from_parent");
        // An empty list includes nothing, parent or not.
        let include = include.filter(|node| node.value.as_array().is_none_or(|names| !names.is_empty()));
        let include = include.map(|node| Include { fields: node.texts(), at: node.at.clone() });
        Self { stream, at: resource.name_at.clone(), references, include, batch: Batch::of(resource) }
    }
}

/// The streams with their parents, parents first, otherwise in the order in which they are written.
///
/// Codes: `unknown-parent`, `two-parents`, `cycle`, `no-parent`, `conflicting-keys`.
pub(super) fn sorted(children: Vec<Child>, diagnostics: &mut Diagnostics) -> Vec<Stream> {
    let names: Vec<String> = children.iter().map(|child| child.stream.name.clone()).collect();
    let places: Vec<String> = children.iter().map(|child| child.at.clone()).collect();
    let streams: Vec<Stream> = children.into_iter().map(|child| with_parent(child, &names, diagnostics)).collect();
    let parents: Vec<Option<usize>> = streams
        .iter()
        .map(|stream| stream.parent.as_ref().and_then(|parent| names.iter().position(|name| *name == parent.stream)))
        .collect();
    let order = order(&parents, &names, &places, diagnostics);
    let mut streams: Vec<Option<Stream>> = streams.into_iter().map(Some).collect();
    order.into_iter().filter_map(|index| streams.get_mut(index).and_then(Option::take)).collect()
}

fn with_parent(child: Child, names: &[String], diagnostics: &mut Diagnostics) -> Stream {
    let Child { mut stream, at, references, include, batch } = child;
    let Some(first) = references.first() else {
        let orphan = [
            (include.map(|include| include.at), "include_from_parent"),
            (batch.map(|batch| batch.at), "batch_parents"),
        ];
        for (at, key) in orphan {
            if let Some(at) = at {
                let message = format!("`{key}` needs a parent, but no placeholder names one");
                let help = "refer to the parent, such as `{resources.PARENT.id}` in the path";
                diagnostics.push(Diagnostic::error("no-parent", &at, message).help(help));
            }
        }
        return stream;
    };
    if let Some(second) = references.iter().find(|reference| reference.stream != first.stream) {
        let message =
            format!("a resource has one parent at most, this one names `{}` and `{}`", first.stream, second.stream);
        diagnostics.push(Diagnostic::error("two-parents", &second.at, message));
    }
    for reference in references.iter().filter(|reference| !names.contains(&reference.stream)) {
        let message = format!("there is no resource `{}`", reference.stream);
        let diagnostic = Diagnostic::error("unknown-parent", &reference.at, message);
        diagnostics.push(match nearest(&reference.stream, names.iter().map(String::as_str)) {
            Some(name) => diagnostic.help(format!("did you mean `{name}`?")),
            None => diagnostic,
        });
    }
    if let (Some(include), Some(_)) = (&include, batch.as_ref().filter(|batch| batch.size > 1)) {
        let message = "a record from a batch of parents has no single parent to include fields from";
        let help = "remove `include_from_parent` or `batch_parents`";
        diagnostics.push(Diagnostic::error("conflicting-keys", &include.at, message).help(help));
    }
    if stream.incremental.as_ref().is_some_and(|incremental| incremental.window.is_some()) {
        let message = "a child resource is not split into windows: its parent's records split it already";
        diagnostics.push(Diagnostic::warning("no-effect", &at, message).help("remove `window`"));
    }
    let parent = first.stream.clone();
    let included = include.into_iter().flat_map(|include| include.fields);
    let include = included.map(|field| Included { target: format!("_{parent}_{field}"), field }).collect();
    let batch_size = batch.map_or(1, |batch| batch.size);
    stream.parent = Some(Parent { stream: parent, values: values(references), include, batch_size });
    stream
}

/// The parent's fields that a request asks for, each once, in order. One that only stands alone in a JSON body keeps its
/// type, a list included.
fn values(references: Vec<Reference>) -> Vec<ParentValue> {
    let mut values: Vec<ParentValue> = Vec::new();
    for Reference { field, in_text, .. } in references {
        match values.iter_mut().find(|known| known.path == field) {
            Some(known) => known.spreads |= in_text,
            None => values.push(ParentValue { path: field, spreads: in_text }),
        }
    }
    values
}

/// Each stream behind its parent. Streams of a cycle are left out, which is said at the first of them.
fn order(parents: &[Option<usize>], names: &[String], places: &[String], diagnostics: &mut Diagnostics) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    let mut cyclic: Vec<usize> = Vec::new();
    for start in 0..parents.len() {
        let mut line = Vec::new();
        let mut next = Some(start);
        while let Some(index) = next.filter(|index| !order.contains(index) && !cyclic.contains(index)) {
            if let Some(from) = line.iter().position(|seen| *seen == index) {
                let ring: Vec<&str> = line[from..].iter().chain([&index]).map(|index| names[*index].as_str()).collect();
                let message = format!("resources are their own ancestors: {}", ring.join(" ← "));
                diagnostics.push(Diagnostic::error("cycle", &places[index], message));
                cyclic.append(&mut line);
                break;
            }
            line.push(index);
            next = parents[index];
        }
        order.extend(line.into_iter().rev());
    }
    order
}
