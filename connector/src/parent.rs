//! From a parent's records to a child's partitions.
//!
//! A partition holds the values that the child's placeholders need and the fields that its records get, and nothing else
//! of the parent: it can be stored and read elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_128;

use crate::document;
use crate::error::Error;
use crate::incremental::Window;
use crate::plan::{Body, JsonTemplate, Parent, Request, Stream};
use crate::request::Values;
use crate::selector::Selector;
use crate::template::{Source, Template, python_text};

/// An independently readable slice of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub id: String,
    /// A `Slice` as JSON.
    pub data: String,
}

/// What a partition's data say.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Slice {
    /// By placeholder field; in a batch lists.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub values: Map<String, Value>,
    /// What every record gets: a name and a JSON text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<(String, Box<RawValue>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// What the runs before remember, for a partition that has no checkpoint of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
}

impl Slice {
    pub fn into_partition(self, id: String) -> Result<Partition, Error> {
        let data = serde_json::to_string(&self).map_err(|error| Error::Other(error.to_string()))?;
        Ok(Partition { id, data })
    }

    pub fn of(partition: &Partition) -> Result<Self, Error> {
        serde_json::from_str(&partition.data)
            .map_err(|error| Error::Other(format!("partition `{}` can't be read: {error}", partition.id)))
    }

    /// What placeholders stand for, as far as the parent is concerned.
    pub fn placeholder_values(&self, parent: Option<&Parent>) -> Values {
        let separator = parent.filter(|parent| parent.batch_size > 1).map(|parent| parent.separator.clone());
        Values { parent: self.values.clone(), incremental: Vec::new(), separator }
    }
}

/// One partition per parent record, or per batch of them.
pub fn partitions(
    stream: &Stream,
    parent: &Parent,
    records: &[&str],
    state: Option<&Value>,
) -> Result<Vec<Partition>, Error> {
    let mut fields = Vec::new();
    for name in placeholder_fields(&stream.request) {
        let selector = Selector::parse(&name).map_err(Error::Other)?;
        fields.push((name, selector));
    }
    let batch_size = parent.batch_size.max(1);
    if batch_size > 1 && !parent.include.is_empty() {
        return Err(Error::Other(format!(
            "{}: fields of the parent can't be included when one request serves several parent records",
            stream.name
        )));
    }
    let mut slices = Vec::new();
    for batch in records.chunks(batch_size) {
        let mut slice = Slice { state: state.cloned(), ..Slice::default() };
        for (name, selector) in &fields {
            let values = batch.iter().map(|record| bound(stream, parent, name, selector, record));
            let mut values: Vec<Value> = values.collect::<Result<_, _>>()?;
            let value = if batch_size > 1 { Value::Array(values) } else { values.pop().unwrap_or(Value::Null) };
            slice.values.insert(name.clone(), value);
        }
        if let (1, [record]) = (batch_size, batch) {
            slice.include = included(stream, parent, record)?;
        }
        slices.push((id(&slice), slice));
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (id, _) in &slices {
        *seen.entry(id.clone()).or_default() += 1;
    }
    let named = slices.into_iter().enumerate().map(|(position, (id, slice))| {
        let repeated = seen.get(&id).is_some_and(|count| *count > 1);
        slice.into_partition(if repeated { format!("{id}#{position}") } else { id })
    });
    named.collect()
}

fn bound(stream: &Stream, parent: &Parent, name: &str, selector: &Selector, record: &str) -> Result<Value, Error> {
    let found = selector.first_in(record).map(document::value);
    found.ok_or_else(|| {
        let purpose = format!("bind it to `{{resources.{}.{name}}}`", parent.stream);
        missing(stream, parent, name, &purpose, record)
    })
}

fn included(stream: &Stream, parent: &Parent, record: &str) -> Result<Vec<(String, Box<RawValue>)>, Error> {
    let fields = parent.include.iter().map(|name| {
        let target = format!("_{}_{name}", parent.stream);
        let Some(raw) = document::field(record, name) else {
            let purpose = format!("include it in child records under `{target}`");
            return Err(missing(stream, parent, name, &purpose, record));
        };
        let raw = RawValue::from_string(raw.to_owned()).map_err(|error| Error::Other(error.to_string()))?;
        Ok((target, raw))
    });
    fields.collect()
}

/// dlt's words, which users look for.
fn missing(stream: &Stream, parent: &Parent, name: &str, purpose: &str, record: &str) -> Error {
    let available = document::names(record).iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    Error::BadData(format!(
        "{}: Resource expects a field `{name}` to be present in the incoming data from resource `{}` in order to \
         {purpose}. Available parent fields are: [{available}]",
        stream.name, parent.stream
    ))
}

/// Adds fields to the end of an object's text.
pub fn append(record: &str, fields: &[(String, Box<RawValue>)], place: &str) -> Result<String, Error> {
    let inner = record.trim_ascii().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let Some(inner) = inner.map(str::trim_ascii) else {
        return Err(Error::BadData(format!(
            "{place}: fields of the parent can be included in objects only, and a record is none"
        )));
    };
    let mut text = String::with_capacity(record.len() + 64);
    text.push('{');
    text.push_str(inner);
    for (name, raw) in fields {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&Value::from(name.as_str()).to_string());
        text.push(':');
        text.push_str(raw.get());
    }
    text.push('}');
    Ok(text)
}

/// The parent's fields that a request asks for, each once, in order.
pub fn placeholder_fields(request: &Request) -> Vec<String> {
    let mut fields = Vec::new();
    let mut add = |template: &Template| {
        for placeholder in template.placeholders() {
            if let Source::Parent { field, .. } = &placeholder.source
                && !fields.contains(field)
            {
                fields.push(field.clone());
            }
        }
    };
    add(&request.url);
    for (name, value) in &request.headers {
        add(name);
        add(value);
    }
    for (name, value) in &request.params {
        add(name);
        templates(value, &mut add);
    }
    match &request.body {
        Body::Empty => {}
        Body::Json(value) => templates(value, &mut add),
        Body::Form(pairs) => {
            for (name, value) in pairs {
                add(name);
                templates(value, &mut add);
            }
        }
        Body::Raw(text) => add(text),
    }
    fields
}

fn templates(value: &JsonTemplate, add: &mut dyn FnMut(&Template)) {
    match value {
        JsonTemplate::Literal(_) => {}
        JsonTemplate::Text(text) => add(text),
        JsonTemplate::List(items) => items.iter().for_each(|item| templates(item, add)),
        JsonTemplate::Object(entries) => {
            for (name, value) in entries {
                add(name);
                templates(value, add);
            }
        }
    }
}

/// The same for the same values in every run: readable if it is short.
fn id(slice: &Slice) -> String {
    const LONGEST: usize = 80;
    let values = slice.values.iter().map(|(name, value)| format!("{name}={}", python_text(value)));
    let include = slice.include.iter().map(|(name, raw)| format!("{name}={}", raw.get()));
    let text = values.chain(include).collect::<Vec<_>>().join(",");
    let readable = text.len() <= LONGEST && text.chars().all(|character| !character.is_control());
    if readable { text } else { format!("{:032x}", xxh3_128(text.as_bytes())) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::{Paginator, ResponseFormat, Selector as Plan, WriteDisposition};

    fn child(url: &str, include: &[&str], batch_size: usize) -> Stream {
        let include = include.iter().map(|name| (*name).to_owned()).collect();
        let parent = Parent { stream: "posts".to_owned(), include, batch_size, separator: ",".to_owned() };
        Stream {
            name: "child".to_owned(),
            parent: Some(parent),
            selected: true,
            primary_key: Vec::new(),
            merge_key: Vec::new(),
            write_disposition: WriteDisposition::Append,
            hints: Map::new(),
            request: Request {
                method: "GET".to_owned(),
                url: Template::parse(url).unwrap(),
                headers: Vec::new(),
                params: Vec::new(),
                body: Body::Json(JsonTemplate::List(vec![JsonTemplate::Text(
                    Template::parse("{resources.posts.a.b[0]}").unwrap(),
                )])),
                credential: None,
            },
            paginator: Paginator::Auto,
            selector: Plan::Auto,
            response_actions: Vec::new(),
            incremental: None,
            steps: Vec::new(),
            format: ResponseFormat::Json,
        }
    }

    fn made(stream: &Stream, records: &[&str]) -> Result<Vec<Partition>, Error> {
        partitions(stream, stream.parent.as_ref().unwrap(), records, None)
    }

    #[test]
    fn a_parent_record_becomes_a_partition() {
        let stream = child("http://h/{resources.posts.id}/x", &["title"], 1);
        let record = r#"{"id":12345678901234567890123,"title":"T 1.0","a":{"b":[true]}}"#;
        let partition = made(&stream, &[record]).unwrap().remove(0);
        assert_eq!(partition.id, r#"id=12345678901234567890123,a.b[0]=True,_posts_title="T 1.0""#);
        let slice = Slice::of(&partition).unwrap();
        assert_eq!(Value::Object(slice.values.clone()), json!({"id": "12345678901234567890123", "a.b[0]": true}));
        assert_eq!(append(r#" {"id": 1.0 } "#, &slice.include, "s").unwrap(), r#"{"id": 1.0,"_posts_title":"T 1.0"}"#);
        assert_eq!(append("{}", &slice.include, "s").unwrap(), r#"{"_posts_title":"T 1.0"}"#);
        assert!(append("[1]", &slice.include, "s").is_err());
    }

    #[test]
    fn partitions_of_a_page_have_ids_of_their_own() {
        let stream = child("http://h/{resources.posts.id}/x", &[], 1);
        let records = [r#"{"id":1,"a":{"b":[0]}}"#, r#"{"id":2,"a":{"b":[0]}}"#, r#"{"id":1,"a":{"b":[0]}}"#];
        let ids: Vec<String> = made(&stream, &records).unwrap().into_iter().map(|partition| partition.id).collect();
        assert_eq!(ids, ["id=1,a.b[0]=0#0", "id=2,a.b[0]=0", "id=1,a.b[0]=0#2"]);
        let long = format!(r#"{{"id":"{}","a":{{"b":[0]}}}}"#, "x".repeat(100));
        assert_eq!(made(&stream, &[&long]).unwrap()[0].id.len(), 32);
    }

    #[test]
    fn batches_hold_lists() {
        let stream = child("http://h/{resources.posts.id}/x", &[], 2);
        let records = [r#"{"id":1,"a":{"b":[0]}}"#, r#"{"id":2,"a":{"b":[1]}}"#, r#"{"id":3,"a":{"b":[2]}}"#];
        let made = made(&stream, &records).unwrap();
        let values: Vec<Value> = made.iter().map(|p| Value::Object(Slice::of(p).unwrap().values)).collect();
        assert_eq!(values, [json!({"id": [1, 2], "a.b[0]": [0, 1]}), json!({"id": [3], "a.b[0]": [2]})]);
        let both = child("http://h", &["title"], 2);
        assert!(matches!(partitions(&both, both.parent.as_ref().unwrap(), &[], None), Err(Error::Other(_))));
    }

    #[test]
    fn missing_fields_are_named() {
        let cases = [
            (child("http://h/{resources.posts.nope}", &[], 1), "a field `nope`"),
            (child("http://h", &["gone"], 1), "under `_posts_gone`"),
        ];
        for (stream, part) in cases {
            let Err(Error::BadData(text)) = made(&stream, &[r#"{"id":1,"a":{"b":[0]}}"#]) else { panic!("{part}") };
            assert!(text.contains(part) && text.ends_with("Available parent fields are: ['id', 'a']"), "{text}");
        }
    }
}
