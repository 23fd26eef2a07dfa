//! The grammar as a JSON Schema (2020-12), for editors, and for the host, which finds the secrets by `writeOnly`.
//!
//! Named objects stand in `$defs`. Must never be written by hand: it is made from the grammar alone.

use serde_json::{Map, Value, json};

use super::shape::{Key, Object, Shape, Tagged, Variant};

pub(super) fn schema(root: &'static Object) -> Value {
    let mut definitions = Map::new();
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("REST API source"));
    schema.extend(object(root, None, &mut definitions));
    schema.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(schema)
}

fn object(object: &Object, tag: Option<(&Variant, bool)>, definitions: &mut Map<String, Value>) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut required: Vec<&str> = Vec::new();
    if let Some((variant, is_default)) = tag {
        properties.insert("type".to_owned(), json!({ "enum": variant.tags }));
        if !is_default {
            required.push("type");
        }
    }
    for key in object.all_keys() {
        properties.insert(key.name.to_owned(), property(key, definitions));
        if key.required {
            required.push(key.name);
        }
    }
    let mut schema = Map::new();
    schema.insert("description".to_owned(), json!(object.description));
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    if let Some(prefix) = object.free_prefix {
        schema.insert("patternProperties".to_owned(), json!({ format!("^{prefix}"): true }));
    }
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema
}

fn property(key: &Key, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = of(&key.shape, definitions);
    if !key.required {
        allow_null(&mut schema);
    }
    // A description beside `$ref` is allowed since 2019-09.
    schema.insert("description".to_owned(), json!(key.description));
    Value::Object(schema)
}

fn allow_null(schema: &mut Map<String, Value>) {
    if schema.get("type") == Some(&json!("null")) {
        return;
    }
    if let Some(Value::String(name)) = schema.get("type").cloned() {
        schema.insert("type".to_owned(), json!([name, "null"]));
    } else if let Some(Value::Array(names)) = schema.get_mut("type") {
        names.push(json!("null"));
    } else if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.push(Value::Null);
    } else if let Some(Value::Array(shapes)) = schema.get_mut("anyOf") {
        shapes.push(json!({ "type": "null" }));
    } else if !schema.is_empty() {
        let shape = std::mem::take(schema);
        schema.insert("anyOf".to_owned(), json!([shape, { "type": "null" }]));
    }
}

fn of(shape: &Shape, definitions: &mut Map<String, Value>) -> Map<String, Value> {
    let schema = match shape {
        Shape::Any => json!({}),
        Shape::Text => json!({ "type": "string" }),
        Shape::Secret => json!({ "type": "string", "writeOnly": true }),
        Shape::SecretScalar => json!({ "type": ["string", "number", "boolean"], "writeOnly": true }),
        Shape::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Integer(i64::MIN) => json!({ "type": "integer" }),
        Shape::Integer(minimum) => json!({ "type": "integer", "minimum": minimum }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::Word(words) => json!({ "type": "string", "examples": words }),
        Shape::Nullable(shape) => {
            let mut schema = of(shape, definitions);
            allow_null(&mut schema);
            Value::Object(schema)
        }
        Shape::Method(words) => {
            let both: Vec<String> = words.iter().flat_map(|word| [(*word).to_owned(), word.to_lowercase()]).collect();
            json!({ "anyOf": [{ "enum": both }, { "type": "string", "pattern": method_pattern(words) }] })
        }
        Shape::List(item) => json!({ "type": "array", "items": of(item, definitions) }),
        Shape::Map(value) => {
            let mut value = of(value, definitions);
            allow_null(&mut value);
            json!({ "type": "object", "additionalProperties": value })
        }
        Shape::Object(named) => {
            if !definitions.contains_key(named.name) {
                definitions.insert(named.name.to_owned(), Value::Null);
                let schema = object(named, None, definitions);
                definitions.insert(named.name.to_owned(), Value::Object(schema));
            }
            json!({ "$ref": format!("#/$defs/{}", named.name) })
        }
        Shape::Tagged(named) => {
            if !definitions.contains_key(named.name) {
                let schema = tagged(named, definitions);
                definitions.insert(named.name.to_owned(), schema);
            }
            json!({ "$ref": format!("#/$defs/{}", named.name) })
        }
        Shape::Either(shapes) => {
            json!({ "anyOf": shapes.iter().map(|shape| of(shape, definitions)).collect::<Vec<_>>() })
        }
        Shape::Python(_) => json!({ "type": "null", "deprecated": true }),
    };
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

fn tagged(tagged: &Tagged, definitions: &mut Map<String, Value>) -> Value {
    let variants = tagged.variants.iter().map(|variant| {
        let is_default = tagged.default.is_some_and(|default| variant.tags.contains(&default));
        object(&variant.object, Some((variant, is_default)), definitions)
    });
    let variants: Vec<_> = variants.collect();
    json!({ "description": tagged.description, "anyOf": variants })
}

/// The words in either case, mixed case included: JSON Schema's patterns know no flags.
fn method_pattern(words: &[&str]) -> String {
    let word = |word: &&str| word.chars().map(|c| format!("[{c}{}]", c.to_ascii_lowercase())).collect::<String>();
    format!("^({})$", words.iter().map(word).collect::<Vec<_>>().join("|"))
}
