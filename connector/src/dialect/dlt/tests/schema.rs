//! The JSON Schema says the same as the checks, and marks every secret.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::dialect::dlt::schema;

/// The names of properties whose values are marked, wherever they are.
fn marked(schema: &Value, name: &str, found: &mut BTreeSet<String>) {
    if schema.get("writeOnly") == Some(&Value::Bool(true)) {
        found.insert(name.to_owned());
    }
    match schema {
        Value::Object(entries) => entries.iter().for_each(|(key, value)| match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                properties.iter().for_each(|(name, value)| marked(value, name, found));
            }
            _ => marked(value, name, found),
        }),
        Value::Array(items) => items.iter().for_each(|value| marked(value, name, found)),
        _ => {}
    }
}

#[test]
fn every_place_of_a_secret_is_marked_and_nothing_else() {
    let mut found = BTreeSet::new();
    marked(&schema(), "", &mut found);
    let expected = [
        "access_token",
        "access_token_request_data",
        "api_key",
        "client_id",
        "client_secret",
        "password",
        "private_key",
        "private_key_passphrase",
        "refresh_token",
        "token",
        "username",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn a_bare_type_is_any_of_the_types() {
    let schema = schema();
    for (definition, pointer) in [
        ("auth", "/$defs/client/properties/auth/anyOf/0/enum"),
        ("paginator", "/$defs/client/properties/paginator/anyOf/0/enum"),
    ] {
        let variants = schema.pointer(&format!("/$defs/{definition}/anyOf")).and_then(Value::as_array).unwrap();
        let types: BTreeSet<&str> = variants
            .iter()
            .filter_map(|variant| variant.pointer("/properties/type/enum").and_then(Value::as_array))
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let bare = schema.pointer(pointer).and_then(Value::as_array).unwrap();
        assert_eq!(types, bare.iter().filter_map(Value::as_str).collect::<BTreeSet<&str>>(), "{definition}");
    }
}

#[test]
fn every_reference_has_a_definition_and_every_property_a_description() {
    fn walk(schema: &Value, root: &Value) {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            assert!(root.pointer(reference.trim_start_matches('#')).is_some_and(Value::is_object), "{reference}");
        }
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, property) in properties.iter().filter(|(name, _)| *name != "type") {
                assert!(property["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
            }
        }
        match schema {
            Value::Object(entries) => entries.values().for_each(|value| walk(value, root)),
            Value::Array(items) => items.iter().for_each(|value| walk(value, root)),
            _ => {}
        }
    }
    let schema = schema();
    walk(&schema, &schema);
}
