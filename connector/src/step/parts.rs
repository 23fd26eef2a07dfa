//! Which fields of a record a jq program looks at, and whether it leaves all others as they are: then the others need not be
//! read by jq, which takes longer than all else that happens to a record.
//!
//! Must say nothing of a program that it does not understand wholly.

use std::collections::BTreeSet;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};

/// What a program does with an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// The fields that it reads and writes.
    pub(super) keys: Vec<String>,
    /// Its outputs are the object, of which only these fields are changed; otherwise they come of these fields alone.
    pub(super) keeps_others: bool,
}

/// What a term's outputs are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    /// Something that comes of the fields alone.
    Value,
    /// The object itself, but for the fields.
    Object,
}

/// None: of the program nothing can be said.
pub(super) fn of(program: &str) -> Option<Parts> {
    let term = jaq_core::load::parse(program, |parser| parser.term())?;
    let mut keys = BTreeSet::new();
    let output = output(&term, &mut keys)?;
    Some(Parts { keys: keys.into_iter().collect(), keeps_others: output == Output::Object })
}

fn output(term: &Term<&str>, keys: &mut BTreeSet<String>) -> Option<Output> {
    match term {
        Term::Id => return Some(Output::Object),
        Term::Num(_) | Term::Var(_) | Term::Arr(None) => {}
        Term::Str(_, parts) => {
            for part in parts {
                if let StrPart::Term(term) = part {
                    value(term, keys)?;
                }
            }
        }
        Term::Arr(Some(inner)) | Term::Neg(inner) => return value(inner, keys),
        Term::Obj(entries) => {
            for (key, entry) in entries {
                match entry {
                    Some(entry) => {
                        value(key, keys)?;
                        value(entry, keys)?;
                    }
                    // `{name}` reads the field, `{$name}` does not.
                    None if matches!(key, Term::Var(_)) => {}
                    None => drop(keys.insert(literal(key)?)),
                }
            }
        }
        Term::BinOp(left, operator, right) => return operation(left, operator, right, keys),
        Term::Path(root, path) => {
            if matches!(**root, Term::Id) {
                field(path, keys)?;
            } else {
                value(root, keys)?;
                inner(path, keys)?;
            }
        }
        Term::IfThenElse(cases, otherwise) => {
            let otherwise = otherwise.as_deref().unwrap_or(&Term::Id);
            let outcome = output(otherwise, keys)?;
            for (condition, case) in cases {
                value(condition, keys)?;
                if output(case, keys)? != outcome {
                    return None;
                }
            }
            return Some(outcome);
        }
        Term::TryCatch(tried, None) => return output(tried, keys),
        Term::Call(name, arguments) => match (*name, arguments.as_slice()) {
            ("select", [condition]) => {
                value(condition, keys)?;
                return Some(Output::Object);
            }
            ("has", [key]) => drop(keys.insert(literal(key)?)),
            ("empty" | "true" | "false" | "null" | "now", []) => {}
            _ => return None,
        },
        _ => return None,
    }
    Some(Output::Value)
}

/// As `output`, where the object itself must not come out.
fn value(term: &Term<&str>, keys: &mut BTreeSet<String>) -> Option<Output> {
    output(term, keys).filter(|output| *output == Output::Value)
}

fn operation(
    left: &Term<&str>,
    operator: &BinaryOp<&str>,
    right: &Term<&str>,
    keys: &mut BTreeSet<String>,
) -> Option<Output> {
    match operator {
        BinaryOp::Pipe(None) => match output(left, keys)? {
            // Behind it there is no way back to the object.
            Output::Value => Some(Output::Value),
            Output::Object => output(right, keys),
        },
        BinaryOp::Pipe(Some(Pattern::Var(_))) => {
            value(left, keys)?;
            output(right, keys)
        }
        BinaryOp::Pipe(Some(_)) => None,
        BinaryOp::Comma => {
            let first = output(left, keys)?;
            (output(right, keys)? == first).then_some(first)
        }
        BinaryOp::Math(Math::Add) if matches!((left, right), (Term::Id, Term::Obj(_))) => {
            let Term::Obj(entries) = right else { return None };
            for (key, _) in entries {
                keys.insert(literal(key)?);
            }
            value(right, keys)?;
            Some(Output::Object)
        }
        BinaryOp::Alt | BinaryOp::Or | BinaryOp::And | BinaryOp::Math(_) | BinaryOp::Cmp(_) => {
            value(left, keys)?;
            value(right, keys)
        }
        BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
            let Term::Path(root, path) = left else { return None };
            if !matches!(**root, Term::Id) {
                return None;
            }
            field(path, keys)?;
            // What stands behind `|=` sees the field's value and not the object.
            if !matches!(operator, BinaryOp::Update) {
                value(right, keys)?;
            }
            Some(Output::Object)
        }
    }
}

/// A path whose first step is a field of the object.
fn field(path: &Path<Term<&str>>, keys: &mut BTreeSet<String>) -> Option<()> {
    let Some((Part::Index(key), _)) = path.0.first() else { return None };
    keys.insert(literal(key)?);
    inner(path, keys)
}

/// What stands in a path's brackets sees the object.
fn inner(path: &Path<Term<&str>>, keys: &mut BTreeSet<String>) -> Option<()> {
    for (part, _) in &path.0 {
        let (first, second) = match part {
            Part::Index(index) => (Some(index), None),
            Part::Range(from, to) => (from.as_ref(), to.as_ref()),
        };
        for term in first.into_iter().chain(second) {
            value(term, keys)?;
        }
    }
    Some(())
}

/// A text without anything to evaluate in it.
fn literal(term: &Term<&str>) -> Option<String> {
    let Term::Str(None, parts) = term else { return None };
    let mut text = String::new();
    for part in parts {
        match part {
            StrPart::Str(part) => text.push_str(part),
            StrPart::Char(character) => text.push(*character),
            StrPart::Term(_) => return None,
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields, and whether the others are kept.
    type Said<'a> = Option<(&'a [&'a str], bool)>;

    #[test]
    fn programs_say_which_fields_they_want() {
        let cases: [(&str, Said<'_>); 34] = [
            (".id > 0", Some((&["id"], false))),
            (".a.b[0].c == .d", Some((&["a", "d"], false))),
            (".a[.b]", Some((&["a", "b"], false))),
            (".[\"a b\"]?", Some((&["a b"], false))),
            (".a | length > 3", Some((&["a"], false))),
            (".a as $x | .b + $x", Some((&["a", "b"], false))),
            ("{id, n: .name, (.k): 1, $x}", Some((&["id", "k", "name"], false))),
            ("[.a, .b]", Some((&["a", "b"], false))),
            ("\"\\(.a)-\\(.b)\"", Some((&["a", "b"], false))),
            ("has(\"a\") and (.b | not)", Some((&["a", "b"], false))),
            ("if .a then .b else -.c end", Some((&["a", "b", "c"], false))),
            ("empty", Some((&[], false))),
            (".", Some((&[], true))),
            (".extra = 1", Some((&["extra"], true))),
            (".a.b = .c", Some((&["a", "c"], true))),
            (".a |= (. + length)", Some((&["a"], true))),
            (".a += .b | .c //= 1", Some((&["a", "b", "c"], true))),
            ("select(.a > 1)", Some((&["a"], true))),
            ("select(.a) | {b: .b}", Some((&["a", "b"], false))),
            (". + {a: .b}", Some((&["a", "b"], true))),
            ("., (.a = 1)", Some((&["a"], true))),
            ("if .a then .b = 1 end", Some((&["a", "b"], true))),
            ("length", None),
            ("to_entries", None),
            ("del(.a)", None),
            (".[]", None),
            ("..", None),
            (". as $x | $x.a", None),
            (". == {}", None),
            ("., .a", None),
            (".. = 1", None),
            (". + {(.a): 1}", None),
            ("def f: length; f", None),
            ("[.[] | .a]", None),
        ];
        for (program, expected) in cases {
            let expected = expected.map(|(keys, keeps_others)| Parts {
                keys: keys.iter().map(|key| (*key).to_owned()).collect(),
                keeps_others,
            });
            assert_eq!(of(program), expected, "{program}");
        }
    }
}
