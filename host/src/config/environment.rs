//! `${env.NAME}` in a configuration's texts. For values that are no secrets: a secret is `${secrets.NAME}`, which no
//! connector ever sees.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{mistake, pointer_step};
use crate::diagnostic::Diagnostic;

/// The variables that a configuration may name.
#[derive(Debug, Clone)]
pub enum Variables {
    /// Those of this process.
    Environment,
    /// Only these.
    Only(BTreeMap<String, String>),
}

impl Variables {
    fn get(&self, name: &str) -> Option<String> {
        match self {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads variables for a configuration")]
            Self::Environment => std::env::var(name).ok(),
            Self::Only(variables) => variables.get(name).cloned(),
        }
    }
}

/// Fills in every `${env.NAME}`; a variable that is not set is a mistake.
pub(super) fn fill(value: &mut Value, variables: &Variables, mistakes: &mut Vec<Diagnostic>) {
    walk(value, "", variables, mistakes);
}

fn walk(value: &mut Value, pointer: &str, variables: &Variables, mistakes: &mut Vec<Diagnostic>) {
    match value {
        Value::String(text) if text.contains("${env.") => *text = filled(text, pointer, variables, mistakes),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &format!("{pointer}/{index}"), variables, mistakes);
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                walk(item, &pointer_step(pointer, key), variables, mistakes);
            }
        }
        _ => {}
    }
}

fn filled(text: &str, pointer: &str, variables: &Variables, mistakes: &mut Vec<Diagnostic>) -> String {
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
        match (variables.get(name), variables) {
            (Some(value), _) => result.push_str(&value),
            (None, Variables::Environment) => {
                let mut diagnostic =
                    mistake("unset-variable", pointer, format!("the environment variable `{name}` is not set"));
                diagnostic.help = Some(format!("set it: `export {name}=…`"));
                mistakes.push(diagnostic);
            }
            (None, Variables::Only(_)) => {
                mistakes.push(mistake("unset-variable", pointer, format!("there is no variable `{name}` here")));
            }
        }
        rest = behind;
    }
    result + rest
}
