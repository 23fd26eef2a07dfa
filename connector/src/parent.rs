//! From a parent's records to a child's partitions.
//!
//! A partition holds the values that the child's requests need and the fields that its records get, and nothing else
//! of the parent: it can be stored and read elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_128;

use crate::document;
use crate::error::Error;
use crate::expression::Writer;
use crate::incremental::Window;
use crate::plan::{MissingField, Parent, ParentValue, Stream};
use crate::selector::Selector;

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
    /// By name; in a batch lists.
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
}

/// One partition per parent record, or per batch of them. A list in a parent record counts as many.
pub fn partitions(stream: &Stream, parent: &Parent, records: &[&str]) -> Result<Vec<Partition>, Error> {
    let mut fields = Vec::new();
    for value in &parent.values {
        fields.push((value, Selector::parse(&value.path).map_err(Error::Other)?));
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
    let ids: Vec<String> = slices.iter().map(|slice| id(slice, stream.request.writer)).collect();
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
    fields: &[(&ParentValue, Selector)],
    record: &str,
) -> Result<Vec<Map<String, Value>>, Error> {
    let mut values = Map::new();
    let mut list: Option<(&str, Vec<Value>)> = None;
    for (used, selector) in fields {
        let name = used.path.as_str();
        // Of several matches that stay one value, the first counts.
        let found = if used.spreads && selector.is_plural() {
            let all = || Value::Array(selector.all_in(record).into_iter().map(document::value).collect());
            let top = name.split(['.', '[']).next().unwrap_or(name);
            document::field(record, top).is_some().then(all)
        } else {
            selector.first_in(record).map(document::value)
        };
        let value = found.ok_or_else(|| missing(stream, parent, name, None, record))?;
        match (value, &list) {
            (Value::Array(_), Some((first, _))) if used.spreads => {
                return Err(Error::BadData(format!(
                    "{}: both `{first}` and `{name}` of `{}` are lists: only one can be gone through",
                    stream.name, parent.stream
                )));
            }
            (Value::Array(items), None) if used.spreads => {
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
    let fields = parent.include.iter().map(|included| {
        let raw = document::field(record, &included.field)
            .ok_or_else(|| missing(stream, parent, &included.field, Some(&included.target), record))?;
        let raw = RawValue::from_string(raw.to_owned()).map_err(|error| Error::Other(error.to_string()))?;
        Ok((included.target.clone(), raw))
    });
    fields.collect()
}

fn missing(stream: &Stream, parent: &Parent, field: &str, target: Option<&str>, record: &str) -> Error {
    let available = document::names(record);
    let missing = MissingField { parent: &parent.stream, field, target, available: &available };
    Error::BadData(format!("{}: {}", stream.name, (stream.words.no_parent_field)(&missing)))
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

/// The same for the same values in every run: readable if it is short.
fn id(slice: &Slice, writer: Writer) -> String {
    const LONGEST: usize = 80;
    let values = slice.values.iter().map(|(name, value)| format!("{name}={}", writer.text(value)));
    let include = slice.include.iter().map(|(name, raw)| format!("{name}={}", raw.get()));
    let text = values.chain(include).collect::<Vec<_>>().join(",");
    let readable = text.len() <= LONGEST && text.chars().all(|character| !character.is_control());
    if readable { text } else { format!("{:032x}", xxh3_128(text.as_bytes())) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::expression::tests::PLAIN;
    use crate::plan::{Included, Stream};

    /// A child that needs these values of `posts`; those that begin with `=` do not spread.
    fn child(values: &[&str], include: &[&str], batch_size: usize) -> Stream {
        let value = |path: &&str| {
            let whole = path.strip_prefix('=');
            ParentValue { path: whole.unwrap_or(path).to_owned(), spreads: whole.is_none() }
        };
        let included = |name: &&str| Included { field: (*name).to_owned(), target: format!("_posts_{name}") };
        let mut stream = Stream::scripted("child");
        stream.request.writer = PLAIN;
        stream.parent = Some(Parent {
            stream: "posts".to_owned(),
            values: values.iter().map(value).collect(),
            include: include.iter().map(included).collect(),
            batch_size,
        });
        stream
    }

    fn made(stream: &Stream, records: &[&str]) -> Result<Vec<Partition>, Error> {
        partitions(stream, stream.parent.as_ref().unwrap(), records)
    }

    #[test]
    fn a_parent_record_becomes_a_partition() {
        let stream = child(&["id", "a.b[0]"], &["title"], 1);
        let record = r#"{"id":12345678901234567890123,"title":"T 1.0","a":{"b":[true]}}"#;
        let partition = made(&stream, &[record]).unwrap().remove(0);
        assert_eq!(partition.id, r#"id=12345678901234567890123,a.b[0]=true,_posts_title="T 1.0""#);
        let slice = Slice::of(&partition).unwrap();
        assert_eq!(Value::Object(slice.values.clone()), json!({"id": "12345678901234567890123", "a.b[0]": true}));
        assert_eq!(append(r#" {"id": 1.0 } "#, &slice.include, "s").unwrap(), r#"{"id": 1.0,"_posts_title":"T 1.0"}"#);
        assert_eq!(append("{}", &slice.include, "s").unwrap(), r#"{"_posts_title":"T 1.0"}"#);
        assert!(append("[1]", &slice.include, "s").is_err());
    }

    #[test]
    fn partitions_of_a_page_have_ids_of_their_own() {
        let stream = child(&["id", "a.b[0]"], &[], 1);
        let records = [r#"{"id":1,"a":{"b":[0]}}"#, r#"{"id":2,"a":{"b":[0]}}"#, r#"{"id":1,"a":{"b":[0]}}"#];
        let ids: Vec<String> = made(&stream, &records).unwrap().into_iter().map(|partition| partition.id).collect();
        assert_eq!(ids, ["id=1,a.b[0]=0#0", "id=2,a.b[0]=0", "id=1,a.b[0]=0#2"]);
        let long = format!(r#"{{"id":"{}","a":{{"b":[0]}}}}"#, "x".repeat(100));
        assert_eq!(made(&stream, &[&long]).unwrap()[0].id.len(), 32);
    }

    #[test]
    fn batches_hold_lists() {
        let stream = child(&["id", "a.b[0]"], &[], 2);
        let records = [r#"{"id":1,"a":{"b":[0]}}"#, r#"{"id":2,"a":{"b":[1]}}"#, r#"{"id":3,"a":{"b":[2]}}"#];
        let made = made(&stream, &records).unwrap();
        let values: Vec<Value> = made.iter().map(|p| Value::Object(Slice::of(p).unwrap().values)).collect();
        assert_eq!(values, [json!({"id": [1, 2], "a.b[0]": [0, 1]}), json!({"id": [3], "a.b[0]": [2]})]);
        let both = child(&[], &["title"], 2);
        assert!(matches!(partitions(&both, both.parent.as_ref().unwrap(), &[]), Err(Error::Other(_))));
    }

    #[test]
    fn each_element_of_a_list_is_a_partition() {
        let ids = |values: &[&str], batch_size: usize, records: &[&str]| -> Result<Vec<String>, Error> {
            let stream = child(values, &["title"][..usize::from(batch_size == 1)], batch_size);
            let made = made(&stream, records)?;
            Ok(made.iter().map(|p| Value::Object(Slice::of(p).unwrap().values)["ids"].to_string()).collect())
        };
        let records = [
            r#"{"ids":[1,null,2],"title":"x","a":{"b":[0]}}"#,
            r#"{"ids":[],"title":"y","a":{"b":[1]}}"#,
            r#"{"ids":3,"title":"z","a":{"b":[2]}}"#,
        ];
        assert_eq!(ids(&["ids"], 1, &records).unwrap(), ["1", "2", "3"]);
        assert_eq!(ids(&["ids", "=a.b[0]"], 2, &records).unwrap(), ["[1,2]", "[3]"]);
        assert!(matches!(ids(&["ids", "a.b"], 1, &records), Err(Error::BadData(text)) if text.contains("are lists")));

        let every = child(&["kids[*].id"], &["title"], 1);
        let record = r#"{"kids":[{"id":"p"},{"id":"q"},{}],"title":"T","a":{"b":[0]}}"#;
        let made: Vec<Slice> = made(&every, &[record]).unwrap().iter().map(|p| Slice::of(p).unwrap()).collect();
        assert_eq!(made.len(), 2);
        assert_eq!(made[1].values["kids[*].id"], json!("q"));
        assert_eq!(made[1].include[0].1.get(), r#""T""#);

        // What does not spread stays a list.
        let alone = child(&["=a.b"], &[], 1);
        assert_eq!(
            Slice::of(&partitions(&alone, alone.parent.as_ref().unwrap(), &[record]).unwrap()[0]).unwrap().values["a.b"],
            json!([0])
        );
    }

    #[test]
    fn missing_fields_are_named() {
        let cases = [
            (child(&["nope"], &[], 1), "child: posts: nope for None, not id, a"),
            (child(&[], &["gone"], 1), "child: posts: gone for Some(\"_posts_gone\"), not id, a"),
        ];
        for (stream, part) in cases {
            let Err(Error::BadData(text)) = made(&stream, &[r#"{"id":1,"a":{"b":[0]}}"#]) else { panic!("{part}") };
            assert_eq!(text, part);
        }
    }
}
