//! jq programs: processing steps on records, and conversions of values on their way into requests.
//!
//! The language is jaq's. Numbers keep their digits, since records go through jaq's own JSON reader and printer. Must not
//! print a record that only filters have seen, nor read more of a record than a program wants.

mod parts;

use std::borrow::Cow;
use std::ops::Range;

use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Filter, Vars, data, unwrap_valr};
use jaq_json::{Map, Val, read};
use serde::de::IgnoredAny;
use serde_json::Value;

use self::parts::Parts;
use crate::document;
use crate::error::{Error, excerpt};
use crate::plan;
use crate::scan::{self, Members};

/// A compiled program.
pub struct Program {
    filter: Filter<data::JustLut<Val>>,
    text: String,
    /// What it wants of an object; none: all of it.
    parts: Option<Parts>,
}

/// Records nested deeper are refused: jaq reads recursively.
const DEEPEST: u32 = 256;

/// Whether this is a program that `Program::compile` accepts; if not, why.
pub fn check(program: &str) -> Result<(), String> {
    Program::compile(program).map(|_| ())
}

impl Program {
    pub fn compile(text: &str) -> Result<Self, String> {
        if scan::nests_deeper_than(&text.replace('(', "["), DEEPEST) {
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
        Ok(Self { filter, text: text.to_owned(), parts: parts::of(text) })
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

    fn program(&self) -> &Program {
        let (Self::Filter(program) | Self::Map(program) | Self::YieldMap(program)) = self;
        program
    }

    fn apply<'a>(&self, record: Record<'a>, kept: &mut Vec<Record<'a>>) -> Result<(), Error> {
        if let Record::Text(text) = &record {
            let outputs = self.apply_to_parts(text);
            match (self, outputs) {
                (_, None) => {}
                (Self::Filter(_), Some(outputs)) if !outputs.is_empty() => {
                    kept.push(record);
                    return Ok(());
                }
                (_, Some(outputs)) => {
                    // What does not go on as it is: nobody else will see whether it is JSON.
                    if !outputs.iter().any(|output| matches!(output, Record::Text(_))) {
                        check_json(text)?;
                    }
                    kept.extend(outputs);
                    return Ok(());
                }
            }
        }
        match self {
            Self::Filter(program) => {
                let first = program.run(record.value()?).next().transpose()?;
                if first.is_some_and(|first| is_true(&first)) {
                    kept.push(record);
                }
            }
            Self::Map(program) => kept.extend(program.run(record.value()?).next().transpose()?.map(Record::Value)),
            Self::YieldMap(program) => {
                for output in program.run(record.value()?) {
                    kept.push(Record::Value(output?));
                }
            }
        }
        Ok(())
    }

    /// The outputs for an object of which only the fields are read that the program wants; of a filter, any if the record is
    /// kept. None: the whole has to be read, be it to say what is wrong.
    fn apply_to_parts(&self, text: &str) -> Option<Vec<Record<'static>>> {
        let program = self.program();
        let parts = program.parts.as_ref()?;
        let wanted = Wanted::of(text, parts)?;
        let most = if matches!(self, Self::YieldMap(_)) { usize::MAX } else { 1 };
        let mut records = Vec::new();
        for output in program.run(Val::obj(wanted.fields.clone())).take(most) {
            let output = output.ok()?;
            match self {
                Self::Filter(_) => records.extend(is_true(&output).then_some(Record::Value(output))),
                _ if parts.keeps_others => records.push(Record::Text(Cow::Owned(wanted.changed(text, &output)?))),
                _ => records.push(Record::Value(output)),
            }
        }
        Some(records)
    }
}

/// A record between two steps.
enum Record<'a> {
    Text(Cow<'a, str>),
    Value(Val),
}

impl Record<'_> {
    fn value(&self) -> Result<Val, Error> {
        match self {
            Self::Text(text) => {
                check_json(text)?;
                parse(text)
            }
            Self::Value(value) => Ok(value.clone()),
        }
    }
}

fn is_true(value: &Val) -> bool {
    !matches!(value, Val::Null | Val::Bool(false))
}

/// The fields of an object that a program wants, and where their values stand.
struct Wanted {
    fields: Map,
    places: Vec<Range<usize>>,
    /// Where the object ends: its last bracket.
    end: usize,
}

impl Wanted {
    /// None: it is no object, or a key comes twice or has escapes in it.
    fn of(text: &str, parts: &Parts) -> Option<Self> {
        let (mut fields, mut places) = (Map::default(), Vec::new());
        let mut members = Members::of(text);
        for (key, value) in members.by_ref() {
            if parts.keys.iter().any(|wanted| wanted == key) {
                let start = value.as_ptr().addr() - text.as_ptr().addr();
                places.push(start..start + value.len());
                check_json(value).ok()?;
                if fields.insert(Val::from(key.to_owned()), parse(value).ok()?).is_some() {
                    return None;
                }
            }
        }
        let end = members.end.filter(|_| !members.has_escapes)?;
        let is_all = text.get(end..).is_some_and(|rest| rest.trim_ascii().is_empty());
        is_all.then(|| Self { fields, places, end: end - 1 })
    }

    /// The object's text with the values that a program gave these fields, and with the fields that it added. None: it did
    /// more than that.
    fn changed(&self, text: &str, output: &Val) -> Option<String> {
        let Val::Obj(output) = output else { return None };
        let mut changed = String::with_capacity(text.len() + 64);
        let mut copied = 0;
        for (key, place) in self.fields.keys().zip(&self.places) {
            changed.push_str(text.get(copied..place.start)?);
            changed.push_str(&print(output.get(key)?).ok()?);
            copied = place.end;
        }
        changed.push_str(text.get(copied..self.end)?.trim_ascii_end());
        for (key, value) in output.iter().filter(|(key, _)| !self.fields.contains_key(*key)) {
            let Val::TStr(_) = key else { return None };
            changed.push_str(if changed.ends_with('{') { "" } else { "," });
            changed.extend([&print(key).ok()?, ":", &print(value).ok()?]);
        }
        changed.push('}');
        Some(changed)
    }
}

/// Sends each record through the steps, in order.
pub fn apply<'a>(steps: &[Step], records: Vec<Cow<'a, str>>) -> Result<Vec<Cow<'a, str>>, Error> {
    let mut results = Vec::with_capacity(records.len());
    for record in records {
        let mut some = vec![Record::Text(record)];
        for step in steps {
            let mut kept = Vec::with_capacity(some.len());
            for record in some {
                step.apply(record, &mut kept)?;
            }
            some = kept;
        }
        for record in some {
            results.push(match record {
                Record::Text(text) => text,
                Record::Value(value) => Cow::Owned(print(&value)?),
            });
        }
    }
    Ok(results)
}

/// A record's fields come apart whatever stands between them, and jq reads more than JSON.
fn check_json(record: &str) -> Result<(), Error> {
    let checked = serde_json::from_str::<IgnoredAny>(record);
    checked.map(drop).map_err(|error| Error::BadData(format!("a record is not JSON: {error}: {}", excerpt(record))))
}

fn parse(raw: &str) -> Result<Val, Error> {
    if scan::nests_deeper_than(raw, DEEPEST) {
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
        let cases: [(Vec<plan::Step>, &[&str]); 8] = [
            (vec![filter(".id > 1")], &[r#"{"id": 2}"#]),
            (vec![map(".id *= 10"), filter(".id == 10")], &[r#"{"id": 10.0}"#]),
            (vec![filter(".id == 2"), map(".id *= 10")], &[r#"{"id": 20}"#]),
            (vec![map(".x = 1"), filter(".id == 1")], &[r#"{"id": 1.00,"x":1}"#]),
            (vec![map("length")], &["1", "1"]),
            (vec![yield_map("., {n: .id}"), filter(".n == 2")], &[r#"{"n":2}"#]),
            (vec![map("empty")], &[]),
            (vec![filter("null")], &[]),
        ];
        for (number, (steps, expected)) in cases.into_iter().enumerate() {
            assert_eq!(run(&steps, &records).unwrap(), expected, "{number}");
        }
    }

    /// With a part of a record comes out what comes out with all of it.
    #[test]
    fn parts_are_as_good_as_the_whole() {
        let records = [
            r#"{"a": 1.00, "b": {"c": [1, 2.50]}, "d": "x\"y", "e": null}"#,
            r#"{"d":"日本","a":2,"x":0}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"\u0061":1}"#,
            "{}",
            "[1]",
            "7",
        ];
        let programs = [
            ".a > 1",
            ".x = 1",
            ".a = .b.c[0]",
            ".a |= empty",
            ".d |= length | .y = .d",
            "select(.a == 2)",
            ". + {x: .a, \"n\\\"w\": 2}",
            "{a, n: .d}",
            "if .a == 2 then .d = 1 end",
            ".b.c[1]",
            "., (.z = 1)",
            ".",
            ".a.b",
            "(.a, .b) = 1",
        ];
        let parsed = |texts: Result<Vec<String>, Error>| {
            let value = |text: &String| serde_json::from_str::<Value>(text).unwrap();
            texts.map(|texts| texts.iter().map(value).collect::<Vec<_>>()).map_err(|error| format!("{error:?}"))
        };
        for program in programs {
            for record in records {
                let text = program.to_owned();
                for step in
                    [plan::Step::Filter(text.clone()), plan::Step::Map(text.clone()), plan::Step::YieldMap(text)]
                {
                    let some = Step::compile(&step).unwrap();
                    let mut whole = Step::compile(&step).unwrap();
                    let (Step::Filter(program) | Step::Map(program) | Step::YieldMap(program)) = &mut whole;
                    program.parts = None;
                    let through = |step: Step| {
                        let records = apply(&[step], vec![Cow::Borrowed(record)]);
                        parsed(records.map(|records| records.into_iter().map(Cow::into_owned).collect()))
                    };
                    assert_eq!(through(some), through(whole), "{step:?} {record}");
                }
            }
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        let map = [plan::Step::Map(".x = 1".to_owned())];
        let record = r#"{"a":12345678901234567890123,"b":0.10,"c":1e400}"#;
        assert_eq!(run(&map, &[record]).unwrap(), [record.replace('}', ",\"x\":1}")]);
    }

    #[test]
    fn what_no_step_looks_at_is_json_or_goes_on_as_it_is() {
        let step = |step: plan::Step, record| run(&[step], &[record]);
        let record = r#"{"id":1,"x":nope}"#;
        let [no, yes] = [".id > 1", ".id == 1"].map(|text| plan::Step::Filter(text.to_owned()));
        assert!(matches!(step(no, record), Err(Error::BadData(_))));
        assert_eq!(step(yes, record).unwrap(), [record]);
        let [value, whole, changed] = [".id", "length", ".y = 1"].map(|text| plan::Step::Map(text.to_owned()));
        assert!(matches!(step(value, record), Err(Error::BadData(_))));
        assert!(matches!(step(whole, r#"{"id":NaN}"#), Err(Error::BadData(_))));
        assert_eq!(step(changed.clone(), record).unwrap(), [r#"{"id":1,"x":nope,"y":1}"#]);
        for record in [r#"{"y":NaN}"#, r#"{"y":nope}"#, r#"{"id":1} x"#] {
            assert!(matches!(step(changed.clone(), record), Err(Error::BadData(_))), "{record}");
        }
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
