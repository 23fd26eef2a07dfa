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
        Values { parent: self.values.clone(), separator, ..Values::default() }
    }
}

/// One partition per parent record, or per batch of them. A list in a parent record counts as many.
pub fn partitions(stream: &Stream, parent: &Parent, records: &[&str]) -> Result<Vec<Partition>, Error> {
    let mut fields = Vec::new();
    for used in placeholder_fields(&stream.request) {
        let selector = Selector::parse(&used.name).map_err(Error::Other)?;
        fields.push((used, selector));
    }
    let batch_size = parent.batch_size.max(1);
    if batch_size > 1 && !parent.include.is_empty() {
        return Err(Error::Other(format!(
            "{}: fields of the parent can't be included when one request serves several parent records",
            stream.name
        )));
    }
    let mut slices: Vec<Slice> = Vec::new();
    for record in records {
        let include = included(stream, parent, record)?;
        let each = spread(stream, parent, &fields, record)?;
        slices.extend(each.into_iter().map(|values| Slice { values, include: include.clone(), ..Slice::default() }));
    }
    if batch_size > 1 {
        slices = slices.chunks(batch_size).map(batch).collect();
    }
    let ids: Vec<String> = slices.iter().map(id).collect();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for id in &ids {
        *seen.entry(id).or_default() += 1;
    }
    let named = slices.into_iter().zip(&ids).enumerate().map(|(position, (slice, id))| {
        let repeated = seen.get(id.as_str()).is_some_and(|count| *count > 1);
        let id = if repeated { format!("{id}#{position}") } else { id.clone() };
        slice.into_partition(id)
    });
    named.collect()
}

/// The values of one record: once, or once for each element of the one field that holds a list.
fn spread(
    stream: &Stream,
    parent: &Parent,
    fields: &[(UsedField, Selector)],
    record: &str,
) -> Result<Vec<Map<String, Value>>, Error> {
    let mut values = Map::new();
    let mut list: Option<(&str, Vec<Value>)> = None;
    for (used, selector) in fields {
        let name = used.name.as_str();
        // Of several matches that stay one value, the first counts, as in dlt.
        let found = if used.in_text && selector.is_plural() {
            let all = || Value::Array(selector.all_in(record).into_iter().map(document::value).collect());
            let top = name.split(['.', '[']).next().unwrap_or(name);
            document::field(record, top).is_some().then(all)
        } else {
            selector.first_in(record).map(document::value)
        };
        let value = found.ok_or_else(|| {
            let purpose = format!("bind it to `{{resources.{}.{name}}}`", parent.stream);
            missing(stream, parent, name, &purpose, record)
        })?;
        match (value, &list) {
            (Value::Array(_), Some((first, _))) if used.in_text => {
                return Err(Error::BadData(format!(
                    "{}: both `{first}` and `{name}` of `{}` are lists: only one can be gone through",
                    stream.name, parent.stream
                )));
            }
            (Value::Array(items), None) if used.in_text => {
                list = Some((name, items.into_iter().filter(|item| !item.is_null()).collect()));
            }
            (value, _) => drop(values.insert(name.to_owned(), value)),
        }
    }
    let Some((name, items)) = list else { return Ok(vec![values]) };
    let with = |item| {
        let mut values = values.clone();
        values.insert(name.to_owned(), item);
        values
    };
    Ok(items.into_iter().map(with).collect())
}

/// Several slices as one: each value becomes the list of theirs.
fn batch(slices: &[Slice]) -> Slice {
    let mut values: Map<String, Value> = Map::new();
    for (name, value) in slices.iter().flat_map(|slice| &slice.values) {
        if let Value::Array(list) = values.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
            list.push(value.clone());
        }
    }
    Slice { values, ..Slice::default() }
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

/// A field of the parent that a request asks for.
pub struct UsedField {
    pub name: String,
    /// Somewhere it becomes text. Where it only stands alone in a JSON body, it keeps its type.
    pub in_text: bool,
}

/// The parent's fields that a request asks for, each once, in order.
pub fn placeholder_fields(request: &Request) -> Vec<UsedField> {
    let mut fields: Vec<UsedField> = Vec::new();
    let mut add = |template: &Template, in_text: bool| {
        for placeholder in template.placeholders() {
            let Source::Parent { field, .. } = &placeholder.source else { continue };
            match fields.iter_mut().find(|known| known.name == *field) {
                Some(known) => known.in_text |= in_text,
                None => fields.push(UsedField { name: field.clone(), in_text }),
            }
        }
    };
    add(&request.path, true);
    for (name, value) in &request.headers {
        add(name, true);
        add(value, true);
    }
    let mut pairs = |pairs: &[(Template, JsonTemplate)]| {
        for (name, value) in pairs {
            add(name, true);
            templates(value, &mut |template, _| add(template, true));
        }
    };
    pairs(&request.params);
    match &request.body {
        Body::Empty => {}
        Body::Json(value) => templates(value, &mut add),
        Body::Form(form) => pairs(form),
        Body::Raw(text) => add(text, true),
    }
    fields
}

fn templates(value: &JsonTemplate, add: &mut dyn FnMut(&Template, bool)) {
    match value {
        JsonTemplate::Literal(_) => {}
        JsonTemplate::Text(text) => add(text, !text.is_one_placeholder()),
        JsonTemplate::List(items) => items.iter().for_each(|item| templates(item, add)),
        JsonTemplate::Object(entries) => {
            for (name, value) in entries {
                add(name, true);
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
                base_url: String::new(),
                path: Template::parse(url).unwrap(),
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
        partitions(stream, stream.parent.as_ref().unwrap(), records)
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
        assert!(matches!(partitions(&both, both.parent.as_ref().unwrap(), &[]), Err(Error::Other(_))));
    }

    #[test]
    fn each_element_of_a_list_is_a_partition() {
        let ids = |path: &str, batch_size: usize, records: &[&str]| -> Result<Vec<String>, Error> {
            let stream = child(path, &["title"][..usize::from(batch_size == 1)], batch_size);
            let made = made(&stream, records)?;
            Ok(made.iter().map(|p| Value::Object(Slice::of(p).unwrap().values)["ids"].to_string()).collect())
        };
        let records = [
            r#"{"ids":[1,null,2],"title":"x","a":{"b":[0]}}"#,
            r#"{"ids":[],"title":"y","a":{"b":[1]}}"#,
            r#"{"ids":3,"title":"z","a":{"b":[2]}}"#,
        ];
        let path = "http://h/{resources.posts.ids}";
        assert_eq!(ids(path, 1, &records).unwrap(), ["1", "2", "3"]);
        assert_eq!(ids(path, 2, &records).unwrap(), ["[1,2]", "[3]"]);
        assert_eq!(ids(&format!("{path}/{{resources.posts.ids}}"), 1, &records[..1]).unwrap(), ["1", "2"]);
        let both = format!("{path}/{{resources.posts.a.b}}");
        assert!(matches!(ids(&both, 1, &records), Err(Error::BadData(text)) if text.contains("are lists")));

        let every = child("http://h/{resources.posts.kids[*].id}", &["title"], 1);
        let record = r#"{"kids":[{"id":"p"},{"id":"q"},{}],"title":"T","a":{"b":[0]}}"#;
        let made: Vec<Slice> = made(&every, &[record]).unwrap().iter().map(|p| Slice::of(p).unwrap()).collect();
        assert_eq!(made.len(), 2);
        assert_eq!(made[1].values["kids[*].id"], json!("q"));
        assert_eq!(made[1].include[0].1.get(), r#""T""#);

        // Alone in a JSON body, a list stays a list.
        let mut alone = child("http://h", &[], 1);
        let list = Template::parse("{resources.posts.a.b}").unwrap();
        alone.request.body = Body::Json(JsonTemplate::Text(list));
        assert_eq!(
            Slice::of(&partitions(&alone, alone.parent.as_ref().unwrap(), &[record]).unwrap()[0]).unwrap().values["a.b"],
            json!([0])
        );
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
