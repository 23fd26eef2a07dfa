//! Values as Python prints them: `str()`, `repr()` and the format specifications of PEP 3101, as far as JSON values
//! need them (fill, alignment, sign, zero padding, width, grouping, precision; types d f s x X).
//!
//! Must never print what Python prints differently: what is not supported is an error.

use serde_json::{Number, Value};

/// `str(value)`: `None`, `True`, `1.0`, `{'a': [1]}`; a text as it stands.
pub(super) fn python_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        _ => representation(value),
    }
}

/// The value converted, then formatted.
pub(super) fn render(value: &Value, conversion: Option<char>, format: &str) -> Result<String, String> {
    let converted = match conversion {
        Some('r') => Some(Value::String(representation(value))),
        Some('a') => Some(Value::String(ascii(&representation(value)))),
        Some(_) => Some(Value::String(python_text(value))),
        None => None,
    };
    let value = converted.as_ref().unwrap_or(value);
    if format.is_empty() { Ok(python_text(value)) } else { Format::parse(format)?.apply(value) }
}

/// `repr(value)`.
fn representation(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number_text(number),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(representation).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", quoted(key), representation(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Whole numbers as they are; others with Python's shortest digits, in scientific notation from 1e16 and below 1e-4.
fn number_text(number: &Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    let Some(value) = number.as_f64() else { return number.to_string() };
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        if plain.contains('.') { plain } else { format!("{plain}.0") }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

/// A text in quotes: single ones, unless it holds only single ones.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            _ if character == quote => quoted.extend(['\\', character]),
            _ if character.is_control() => quoted.push_str(&escaped(character)),
            _ => quoted.push(character),
        }
    }
    quoted.push(quote);
    quoted
}

fn ascii(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_ascii() { character.to_string() } else { escaped(character) })
        .collect()
}

fn escaped(character: char) -> String {
    match u32::from(character) {
        code @ 0..=0xff => format!("\\x{code:02x}"),
        code @ 0x100..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// `[[fill]align][sign][0][width][grouping][.precision][type]`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Format {
    fill: char,
    align: Option<char>,
    sign: char,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

/// No text for a request is wider; a mistyped width must not fill the memory.
const WIDEST: usize = 10_000;

impl Format {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let unsupported = || format!("format `{text}` is not supported");
        let characters: Vec<char> = text.chars().collect();
        let mut rest = characters.as_slice();
        let mut format =
            Self { fill: ' ', align: None, sign: '-', width: 0, grouping: None, precision: None, kind: None };
        if let [fill, align @ ('<' | '>' | '=' | '^'), after @ ..] = rest {
            (format.fill, format.align, rest) = (*fill, Some(*align), after);
        } else if let [align @ ('<' | '>' | '=' | '^'), after @ ..] = rest {
            (format.align, rest) = (Some(*align), after);
        }
        if let [sign @ ('+' | '-' | ' '), after @ ..] = rest {
            (format.sign, rest) = (*sign, after);
        }
        if let ['0', after @ ..] = rest {
            if format.align.is_none() {
                (format.fill, format.align) = ('0', Some('='));
            }
            rest = after;
        }
        format.width = digits(&mut rest).map_err(|()| unsupported())?.unwrap_or_default();
        if let [grouping @ (',' | '_'), after @ ..] = rest {
            (format.grouping, rest) = (Some(*grouping), after);
        }
        if let ['.', after @ ..] = rest {
            rest = after;
            format.precision = Some(digits(&mut rest).map_err(|()| unsupported())?.ok_or_else(unsupported)?);
        }
        if let [kind @ ('d' | 'f' | 's' | 'x' | 'X'), after @ ..] = rest {
            (format.kind, rest) = (Some(*kind), after);
        }
        if rest.is_empty() { Ok(format) } else { Err(unsupported()) }
    }

    fn apply(&self, value: &Value) -> Result<String, String> {
        let mismatch = || format!("a value of this type cannot be formatted so: {}", representation(value));
        match value {
            Value::String(text) if matches!(self.kind, None | Some('s')) && self.grouping.is_none() => {
                if self.align == Some('=') && self.fill != '0' || self.sign != '-' {
                    return Err(mismatch());
                }
                let cut: String = text.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
                let align = self.align.filter(|align| *align != '=').unwrap_or('<');
                Ok(self.padded("", &cut, align))
            }
            // In Python a boolean is a whole number.
            Value::Bool(boolean) => self.number(&Number::from(u8::from(*boolean))).ok_or_else(mismatch),
            Value::Number(number) => self.number(number).ok_or_else(mismatch),
            _ => Err(mismatch()),
        }
    }

    fn number(&self, number: &Number) -> Option<String> {
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        let digits = match (self.kind, whole) {
            (None | Some('d'), Some(whole)) if self.precision.is_none() => {
                self.grouped(&whole.unsigned_abs().to_string())
            }
            (Some('x'), Some(whole)) if self.grouping.is_none() && self.precision.is_none() => {
                format!("{:x}", whole.unsigned_abs())
            }
            (Some('X'), Some(whole)) if self.grouping.is_none() && self.precision.is_none() => {
                format!("{:X}", whole.unsigned_abs())
            }
            (Some('f'), _) => {
                let text = format!("{:.*}", self.precision.unwrap_or(6), number.as_f64()?.abs());
                match text.split_once('.') {
                    Some((whole, fraction)) => format!("{}.{fraction}", self.grouped(whole)),
                    None => self.grouped(&text),
                }
            }
            (None, None) if self.precision.is_none() && self.grouping.is_none() => {
                number_text(number).trim_start_matches('-').to_owned()
            }
            _ => return None,
        };
        let negative = whole.map_or_else(|| number.as_f64().is_some_and(f64::is_sign_negative), |whole| whole < 0);
        let sign = match (negative, self.sign) {
            (true, _) => "-",
            (false, '+') => "+",
            (false, ' ') => " ",
            _ => "",
        };
        Some(self.padded(sign, &digits, self.align.unwrap_or('>')))
    }

    fn grouped(&self, digits: &str) -> String {
        let Some(separator) = self.grouping else { return digits.to_owned() };
        let mut grouped = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push(separator);
            }
            grouped.push(digit);
        }
        grouped
    }

    fn padded(&self, sign: &str, text: &str, align: char) -> String {
        let missing = self.width.saturating_sub(sign.chars().count() + text.chars().count());
        let fill = |count: usize| self.fill.to_string().repeat(count);
        match align {
            '<' => format!("{sign}{text}{}", fill(missing)),
            '^' => format!("{}{sign}{text}{}", fill(missing / 2), fill(missing - missing / 2)),
            '=' => format!("{sign}{}{text}", fill(missing)),
            _ => format!("{}{sign}{text}", fill(missing)),
        }
    }
}

/// Takes a number off the front.
fn digits(rest: &mut &[char]) -> Result<Option<usize>, ()> {
    let count = rest.iter().take_while(|character| character.is_ascii_digit()).count();
    let (number, after) = rest.split_at(count);
    *rest = after;
    if number.is_empty() {
        return Ok(None);
    }
    let number: usize = number.iter().collect::<String>().parse().map_err(|_| ())?;
    if number > WIDEST { Err(()) } else { Ok(Some(number)) }
}
