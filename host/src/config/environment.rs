//! `${env.NAME}` in a configuration's texts. For values that are no secrets: a secret is `${secrets.NAME}`, which no
//! connector ever sees.

use serde_json::Value;

use super::{mistake, pointer_step};
use crate::diagnostic::Diagnostic;

/// Fills in every `${env.NAME}`; a variable that is not set is a mistake.
pub(super) fn fill(value: &mut Value, mistakes: &mut Vec<Diagnostic>) {
    walk(value, "", mistakes);
}

fn walk(value: &mut Value, pointer: &str, mistakes: &mut Vec<Diagnostic>) {
    match value {
        Value::String(text) if text.contains("${env.") => *text = filled(text, pointer, mistakes),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &format!("{pointer}/{index}"), mistakes);
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                walk(item, &pointer_step(pointer, key), mistakes);
            }
        }
        _ => {}
    }
}

fn filled(text: &str, pointer: &str, mistakes: &mut Vec<Diagnostic>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${env.") {
        result.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            let mut diagnostic = mistake("unclosed-reference", pointer, "`${env.` without a closing `}`");
            diagnostic.help = Some("write `${env.NAME}`".to_owned());
            mistakes.push(diagnostic);
            return text.to_owned();
        };
        #[expect(clippy::disallowed_methods, reason = "the one place that reads variables for a configuration")]
        match std::env::var(name) {
            Ok(value) => result.push_str(&value),
            Err(_) => {
                let mut diagnostic =
                    mistake("unset-variable", pointer, format!("the environment variable `{name}` is not set"));
                diagnostic.help = Some(format!("set it: `export {name}=…`"));
                mistakes.push(diagnostic);
            }
        }
        rest = behind;
    }
    result + rest
}
