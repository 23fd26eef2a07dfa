//! jq programs: processing steps on records, and conversions of values on their way into requests.
//!
//! The language is jaq's. Numbers keep their digits, since records go through jaq's own JSON reader and printer. Must not
//! print a record that only filters have seen.

use std::borrow::Cow;

use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Filter, Vars, data, unwrap_valr};
use jaq_json::{Val, read};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::document;
use crate::error::{Error, excerpt};
use crate::plan;

/// A compiled program.
pub struct Program {
    filter: Filter<data::JustLut<Val>>,
    text: String,
}

/// Records nested deeper are refused: jaq reads recursively.
const DEEPEST: usize = 256;

/// Whether this is a program that `Program::compile` accepts; if not, why.
pub fn check(program: &str) -> Result<(), String> {
    Program::compile(program).map(|_| ())
}

impl Program {
    pub fn compile(text: &str) -> Result<Self, String> {
        if document::nests_deeper_than(&text.replace('(', "["), DEEPEST) {
            return Err("the jq program is nested too deeply".to_owned());
        }
        let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
        let arena = Arena::default();
        let file = File { code: text, path: () };
        let modules = Loader::new(definitions).load(&arena, file).map_err(|errors| syntax(&errors))?;
        let filter = Compiler::default().with_funs(functions).compile(modules).map_err(|errors| {
            let unknown = errors.iter().flat_map(|(_, errors)| errors).next();
            unknown.map_or_else(String::new, |(name, kind)| format!("unknown {} `{name}`", kind.as_str()))
        })?;
        Ok(Self { filter, text: text.to_owned() })
    }

    /// The outputs, one by one.
    fn run(&self, input: Val) -> impl Iterator<Item = Result<Val, Error>> {
        let context = Ctx::<data::JustLut<Val>>::new(&self.filter.lut, Vars::new([]));
        self.filter.id.run((context, input)).map(unwrap_valr).map(|output| {
            output.map_err(|error| {
                let shown = excerpt(&error.to_string());
                Error::BadData(format!("the jq program `{}` failed: {shown}", excerpt(&self.text)))
            })
        })
    }

    /// The first output for a value; null if there is none.
    pub fn convert(&self, value: &Value) -> Result<Value, Error> {
        match self.run(parse(&value.to_string())?).next() {
            Some(output) => Ok(document::value(&print(&output?)?)),
            None => Ok(Value::Null),
        }
    }
}

/// One compiled `plan::Step`.
pub enum Step {
    Filter(Program),
    Map(Program),
    YieldMap(Program),
}

impl Step {
    pub fn compile(step: &plan::Step) -> Result<Self, String> {
        Ok(match step {
            plan::Step::Filter(text) => Self::Filter(Program::compile(text)?),
            plan::Step::Map(text) => Self::Map(Program::compile(text)?),
            plan::Step::YieldMap(text) => Self::YieldMap(Program::compile(text)?),
        })
    }

    fn apply(&self, value: Val, kept: &mut Vec<Val>) -> Result<(), Error> {
        match self {
            Self::Filter(program) => {
                let first = program.run(value.clone()).next().transpose()?;
                if !matches!(first, None | Some(Val::Null | Val::Bool(false))) {
                    kept.push(value);
                }
            }
            Self::Map(program) => kept.extend(program.run(value).next().transpose()?),
            Self::YieldMap(program) => {
                for output in program.run(value) {
                    kept.push(output?);
                }
            }
        }
        Ok(())
    }
}

/// Sends each record through the steps, in order.
pub fn apply<'a>(steps: &[Step], records: Vec<Cow<'a, str>>) -> Result<Vec<Cow<'a, str>>, Error> {
    let keeps_text = steps.iter().all(|step| matches!(step, Step::Filter(_)));
    let mut results = Vec::with_capacity(records.len());
    for record in records {
        let mut values = vec![parse(&record)?];
        for step in steps {
            let mut kept = Vec::with_capacity(values.len());
            for value in values {
                step.apply(value, &mut kept)?;
            }
            values = kept;
        }
        if keeps_text {
            results.extend((!values.is_empty()).then_some(record));
        } else {
            for value in values {
                results.push(Cow::Owned(print(&value)?));
            }
        }
    }
    Ok(results)
}

fn parse(raw: &str) -> Result<Val, Error> {
    if document::nests_deeper_than(raw, DEEPEST) {
        return Err(Error::bad_data(format!("a record is nested more than {DEEPEST} deep, too deep for jq")));
    }
    read::parse_single(raw.as_bytes()).map_err(|error| Error::BadData(format!("a record can't be read by jq: {error}")))
}

/// jq's values are more than JSON's: not-a-number, bytes, keys that are no texts.
fn print(value: &Val) -> Result<String, Error> {
    let text = value.to_string();
    match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(Error::BadData(format!("the output of a jq program is not JSON: {}", excerpt(&text)))),
    }
}

fn syntax(errors: &load::Errors<&str, ()>) -> String {
    let near = |rest: &str| if rest.is_empty() { "at the end".to_owned() } else { format!("at `{}`", excerpt(rest)) };
    let first = errors.first().map(|(_, error)| error);
    match first {
        Some(load::Error::Lex(errors)) => {
            errors.first().map(|(expected, rest)| format!("{} expected {}", expected.as_str(), near(rest)))
        }
        Some(load::Error::Parse(errors)) => {
            errors.first().map(|(expected, rest)| format!("{} expected {}", expected.as_str(), near(rest)))
        }
        Some(load::Error::Io(errors)) => errors.first().map(|(path, error)| format!("{path}: {error}")),
        None => None,
    }
    .unwrap_or_else(|| "not a jq program".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(steps: &[plan::Step], records: &[&str]) -> Result<Vec<String>, Error> {
        let steps: Vec<Step> = steps.iter().map(|step| Step::compile(step).unwrap()).collect();
        let records = records.iter().map(|record| Cow::Borrowed(*record)).collect();
        Ok(apply(&steps, records)?.into_iter().map(Cow::into_owned).collect())
    }

    #[test]
    fn steps_run_in_order() {
        let filter = |text: &str| plan::Step::Filter(text.to_owned());
        let map = |text: &str| plan::Step::Map(text.to_owned());
        let yield_map = |text: &str| plan::Step::YieldMap(text.to_owned());
        let records = [r#"{"id": 1.00}"#, r#"{"id": 2}"#];
        let cases: [(Vec<plan::Step>, &[&str]); 7] = [
            (vec![filter(".id > 1")], &[r#"{"id": 2}"#]),
            (vec![map(".id *= 10"), filter(".id == 10")], &[r#"{"id":10.0}"#]),
            (vec![filter(".id == 2"), map(".id *= 10")], &[r#"{"id":20}"#]),
            (vec![map(".x = 1"), filter(".id == 1")], &[r#"{"id":1.00,"x":1}"#]),
            (vec![yield_map("., {n: .id}"), filter(".n == 2")], &[r#"{"n":2}"#]),
            (vec![map("empty")], &[]),
            (vec![filter("null")], &[]),
        ];
        for (number, (steps, expected)) in cases.into_iter().enumerate() {
            assert_eq!(run(&steps, &records).unwrap(), expected, "{number}");
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        let map = [plan::Step::Map(".x = 1".to_owned())];
        let record = r#"{"a":12345678901234567890123,"b":0.10,"c":1e400}"#;
        assert_eq!(run(&map, &[record]).unwrap(), [record.replace('}', ",\"x\":1}")]);
    }

    #[test]
    fn what_fails_is_said() {
        let cases = ["error(\"no\")", ".id.x", "nan", "tobytes"];
        for program in cases {
            let failed = run(&[plan::Step::Map(program.to_owned())], &[r#"{"id":1}"#]);
            assert!(matches!(failed, Err(Error::BadData(_))), "{program}: {failed:?}");
        }
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(run(&[plan::Step::Map(".".to_owned())], &[&deep]).is_err());
    }

    #[test]
    fn programs_are_checked() {
        assert_eq!(check(".a | tostring | test(\"x\")"), Ok(()));
        assert_eq!(check("now | todate"), Ok(()));
        for (program, part) in [
            (".a |", "expected"),
            ("nope(1)", "unknown filter `nope`"),
            ("$x", "unknown variable"),
            ("(", "expected"),
            ("include \"a\"; .", "a"),
        ] {
            let error = check(program).unwrap_err();
            assert!(error.contains(part), "{program}: {error}");
        }
        assert!(check(&"(".repeat(100_000)).is_err());
    }

    #[test]
    fn values_are_converted() {
        let program = Program::compile("fromdate").unwrap();
        assert_eq!(program.convert(&json!("2024-01-01T00:00:00Z")).unwrap(), json!(1_704_067_200));
        assert_eq!(Program::compile("empty").unwrap().convert(&json!(1)).unwrap(), json!(null));
    }
}
