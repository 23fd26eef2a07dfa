//! Finds where the parts of a JSON text lie by its quotes, brackets and commas, 64 bytes at a time.
//!
//! It checks nothing else: a text that is not JSON comes apart somehow. Must be given texts only that were checked before,
//! or whose parts are checked by who takes them.

/// Quotes, brackets and commas of 64 bytes, one bit each.
#[derive(Clone, Copy, Default)]
struct Marks {
    quotes: u64,
    backslashes: u64,
    opening: u64,
    closing: u64,
    commas: u64,
}

const BLOCK: usize = 64;

/// A bracket is told from its like by one bit: `{` and `[`, `}` and `]`.
const BRACKET_BIT: u8 = 0x20;

#[cfg(target_feature = "simd128")]
fn marks(block: &[u8; BLOCK]) -> Marks {
    use core::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_splat, u64x2, v128_or};

    let mut marks = Marks::default();
    for (number, part) in block.chunks_exact(16).enumerate() {
        let half = |at: usize| part[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        let bytes = u64x2(half(0), half(8));
        let bracket = v128_or(bytes, u8x16_splat(BRACKET_BIT));
        let shift = number * 16;
        let bits = |bytes, byte| u64::from(u8x16_bitmask(u8x16_eq(bytes, u8x16_splat(byte)))) << shift;
        marks.quotes |= bits(bytes, b'"');
        marks.backslashes |= bits(bytes, b'\\');
        marks.opening |= bits(bracket, b'{');
        marks.closing |= bits(bracket, b'}');
        marks.commas |= bits(bytes, b',');
    }
    marks
}

#[cfg(not(target_feature = "simd128"))]
fn marks(block: &[u8; BLOCK]) -> Marks {
    let mut marks = Marks::default();
    for (shift, byte) in block.iter().enumerate() {
        let bit = |is: bool| u64::from(is) << shift;
        marks.quotes |= bit(*byte == b'"');
        marks.backslashes |= bit(*byte == b'\\');
        marks.opening |= bit(*byte | BRACKET_BIT == b'{');
        marks.closing |= bit(*byte | BRACKET_BIT == b'}');
        marks.commas |= bit(*byte == b',');
    }
    marks
}

/// The blocks of a text, with the marks that stand outside of JSON texts.
struct Blocks<'a> {
    text: &'a [u8],
    at: usize,
    /// All bits are set while the block begins within a JSON text.
    within: u64,
    /// The block's first byte is escaped.
    escaped: bool,
}

impl<'a> Blocks<'a> {
    fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0, within: 0, escaped: false }
    }

    /// The marks of the next block, and where it begins.
    fn next(&mut self) -> Option<(Marks, usize)> {
        let start = self.at;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        self.at += BLOCK;
        let mut marks = match rest.first_chunk::<BLOCK>() {
            Some(block) => marks(block),
            None => {
                let mut block = [b' '; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                marks(&block)
            }
        };
        if marks.backslashes != 0 || self.escaped {
            marks.quotes &= !self.escapes(marks.backslashes);
        }
        let within = up_to(marks.quotes) ^ self.within;
        // Whether the last byte is within is true of the next block's beginning.
        self.within = if within >> (BLOCK - 1) == 0 { 0 } else { u64::MAX };
        marks.opening &= !within;
        marks.closing &= !within;
        marks.commas &= !within;
        Some((marks, start))
    }

    /// The bytes that stand behind a backslash which is not itself escaped.
    fn escapes(&mut self, backslashes: u64) -> u64 {
        let mut escaped = u64::from(self.escaped);
        let mut left = backslashes & !escaped;
        self.escaped = false;
        while left != 0 {
            let place = left.trailing_zeros();
            left &= left - 1;
            if place as usize == BLOCK - 1 {
                self.escaped = true;
            } else {
                let next = 1 << (place + 1);
                escaped |= next;
                left &= !next;
            }
        }
        escaped
    }
}

/// For each bit, whether the bits up to it and with it are an odd number.
fn up_to(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Where the object or the array at the beginning of a text ends.
pub fn end(text: &str) -> Option<usize> {
    let mut blocks = Blocks::new(text);
    let mut depth = 0_u32;
    while let Some((marks, start)) = blocks.next() {
        if marks.closing.count_ones() < depth {
            depth = depth + marks.opening.count_ones() - marks.closing.count_ones();
            continue;
        }
        let mut left = marks.opening | marks.closing;
        while left != 0 {
            let place = left.trailing_zeros();
            left &= left - 1;
            if marks.opening >> place & 1 == 1 {
                depth += 1;
            } else {
                depth = depth.checked_sub(1)?;
            }
            if depth == 0 {
                return Some(start + place as usize + 1);
            }
        }
    }
    None
}

/// What can be said of an array's items without looking into them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    pub count: usize,
    /// A null is among them.
    pub has_nulls: bool,
}

/// Where the array at the beginning of a text ends, and its shape.
pub fn array(text: &str) -> Option<(usize, Shape)> {
    let mut shape = Shape::default();
    let end = items(text, |item| {
        shape.count += 1;
        shape.has_nulls |= item.starts_with('n');
    });
    end.map(|end| (end, shape))
}

/// Hands out the items of an array, one by one. Says whether it came to the array's end, and the text's.
pub fn each_item<'a>(array: &'a str, item: impl FnMut(&'a str)) -> bool {
    let end = items(array, item);
    end.and_then(|end| array.get(end..)).is_some_and(|rest| rest.trim_ascii().is_empty())
}

/// Hands out the items of the array at the beginning of a text, and says where it ends.
fn items<'a>(array: &'a str, mut item: impl FnMut(&'a str)) -> Option<usize> {
    let mut blocks = Blocks::new(array);
    let mut depth = 0_u32;
    let (mut begin, mut is_first) = (0, true);
    while let Some((marks, start)) = blocks.next() {
        if marks.closing.count_ones() + 1 < depth {
            depth = depth + marks.opening.count_ones() - marks.closing.count_ones();
            continue;
        }
        let mut left = marks.opening | marks.closing | marks.commas;
        while left != 0 {
            let place = left.trailing_zeros();
            left &= left - 1;
            let at = start + place as usize;
            if marks.opening >> place & 1 == 1 {
                depth += 1;
                if depth == 1 {
                    begin = at + 1;
                }
                continue;
            }
            let is_last = marks.closing >> place & 1 == 1;
            if is_last {
                depth = depth.checked_sub(1)?;
            }
            if depth != u32::from(!is_last) {
                continue;
            }
            let found = array.get(begin..at).unwrap_or_default().trim_ascii();
            if !(is_last && is_first && found.is_empty()) {
                item(found);
            }
            if is_last {
                return Some(at + 1);
            }
            (begin, is_first) = (at + 1, false);
        }
    }
    None
}

/// Whether brackets nest deeper than `limit`, for parsers that recurse without a bound of their own.
pub fn nests_deeper_than(text: &str, limit: u32) -> bool {
    let mut blocks = Blocks::new(text);
    let mut depth = 0_u32;
    while let Some((marks, _)) = blocks.next() {
        if depth + marks.opening.count_ones() <= limit && marks.closing.count_ones() <= depth {
            depth = depth + marks.opening.count_ones() - marks.closing.count_ones();
            continue;
        }
        let mut left = marks.opening | marks.closing;
        while left != 0 {
            let place = left.trailing_zeros();
            left &= left - 1;
            depth = if marks.opening >> place & 1 == 1 { depth + 1 } else { depth.saturating_sub(1) };
            if depth > limit {
                return true;
            }
        }
    }
    false
}

/// The members of an object: each key as it stands between its quotes, and its value. Ends early where the text is not
/// that of an object.
pub struct Members<'a> {
    text: &'a str,
    at: usize,
    /// Behind the closing bracket.
    pub end: Option<usize>,
    /// Of the value that came last, if that is an array.
    pub shape: Option<Shape>,
    /// A key has escapes in it.
    pub has_escapes: bool,
}

impl<'a> Members<'a> {
    pub fn of(object: &'a str) -> Self {
        let start = object.len() - object.trim_ascii_start().len();
        Self { text: object, at: start, end: None, shape: None, has_escapes: false }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn skip_blanks(&self, mut at: usize) -> usize {
        while self.byte(at).is_some_and(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')) {
            at += 1;
        }
        at
    }

    /// Where the value that begins at `at` ends.
    fn value_end(&mut self, at: usize) -> Option<usize> {
        self.shape = None;
        match self.byte(at)? {
            b'"' => Some(text_end(self.text.as_bytes(), at + 1)?.0 + 1),
            b'{' => Some(at + end(self.text.get(at..)?)?),
            b'[' => {
                let (length, shape) = array(self.text.get(at..)?)?;
                self.shape = Some(shape);
                Some(at + length)
            }
            _ => {
                let rest = self.text.as_bytes().get(at..)?;
                let length =
                    rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'))?;
                (length > 0).then_some(at + length)
            }
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.end.is_some() {
            return None;
        }
        // In front of the first member stands `{`, in front of any other a comma.
        let mark = self.byte(self.at)?;
        let key = self.skip_blanks(self.at + 1);
        match (mark, self.byte(key)?) {
            (b'{' | b',', b'"') => {}
            (b'{', b'}') => {
                self.end = Some(key + 1);
                return None;
            }
            _ => return None,
        }
        let (key_end, has_escapes) = text_end(self.text.as_bytes(), key + 1)?;
        self.has_escapes |= has_escapes;
        let colon = self.skip_blanks(key_end + 1);
        let value = self.skip_blanks(colon + 1);
        let value_end = self.value_end(value).filter(|_| self.byte(colon) == Some(b':'))?;
        self.at = self.skip_blanks(value_end);
        match self.byte(self.at)? {
            b',' => {}
            b'}' => self.end = Some(self.at + 1),
            _ => return None,
        }
        Some((self.text.get(key + 1..key_end)?, self.text.get(value..value_end)?))
    }
}

/// Where the JSON text that begins behind the quote before `at` has its closing quote, and whether escapes stand before it.
fn text_end(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut has_escapes = false;
    while let Some(part) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*part);
        let found = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')));
        if found == 0 {
            at += 8;
            continue;
        }
        at += found.trailing_zeros() as usize / 8;
        if bytes[at] == b'"' {
            return Some((at, has_escapes));
        }
        has_escapes = true;
        at += 2;
    }
    loop {
        match bytes.get(at)? {
            b'"' => return Some((at, has_escapes)),
            b'\\' => {
                has_escapes = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn items(array: &str) -> Option<Vec<&str>> {
        let mut items = Vec::new();
        each_item(array, |item| items.push(item)).then_some(items)
    }

    #[test]
    fn arrays_come_apart() {
        let cases: [(&str, Option<&[&str]>); 10] = [
            ("[]", Some(&[])),
            (" [ ] ", Some(&[])),
            ("[1]", Some(&["1"])),
            ("[ {\"a\":[1,2]} ,2,\"x,y\", [] ]", Some(&["{\"a\":[1,2]}", "2", "\"x,y\"", "[]"])),
            (r#"["\"]", "\\", {"\\\"":"}"}]"#, Some(&[r#""\"]""#, r#""\\""#, r#"{"\\\"":"}"}"#])),
            ("[1", None),
            ("[1]]", None),
            ("[1] 2", None),
            ("", None),
            ("]", None),
        ];
        for (array, expected) in cases {
            assert_eq!(items(array).as_deref(), expected, "{array}");
        }
    }

    #[test]
    fn members_come_with_their_values() {
        let object = r#" { "a" : 1 , "b\"":[{"c":"]"}],"c":"x\"" ,"d":{}, "e":null}  "#;
        let mut members = Members::of(object);
        let found: Vec<_> = members.by_ref().collect();
        let expected = [("a", "1"), (r#"b\""#, r#"[{"c":"]"}]"#), ("c", r#""x\"""#), ("d", "{}"), ("e", "null")];
        assert_eq!((found.as_slice(), members.end), (&expected[..], Some(object.len() - 2)));
        for broken in ["", "[1]", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\" 1}", "{\"a\":1,}", "{\"a\":,\"b\":1}"] {
            let mut members = Members::of(broken);
            members.by_ref().for_each(drop);
            assert_eq!(members.end, None, "{broken}");
        }
    }

    /// Whatever stands at whatever place of a block.
    #[test]
    fn what_a_parser_finds_is_found() {
        let parts =
            [r#""""#, r#""\\""#, r#""\"]},""#, "[{}]", r#"{"a":[1,{"b":"\\\""}]}"#, "-1.5e3", "null", r#""日本","x""#];
        for lead in 0..130 {
            for part in parts {
                let array = format!("[\"{}\",{part}, {part} ,[{part}]]", "x".repeat(lead));
                let parsed: Vec<&RawValue> = serde_json::from_str(&array).unwrap();
                assert_eq!(items(&array), Some(parsed.into_iter().map(RawValue::get).collect()), "{array}");
                assert_eq!(end(&format!("{array}]}}")), Some(array.len()), "{array}");
                let count = items(&array).map_or(0, |items| items.len());
                let shape = Shape { count, has_nulls: part == "null" };
                assert_eq!(super::array(&format!("{array}]}}")), Some((array.len(), shape)), "{array}");
                assert!(!nests_deeper_than(&array, 5) && nests_deeper_than(&array, 1), "{array}");
            }
        }
    }

    #[test]
    fn nesting_is_measured_outside_of_texts() {
        assert!(!nests_deeper_than(r#"{"[[[[":"\"[[["}"#, 1));
        assert!(nests_deeper_than("[[[]]]", 2));
        assert!(!nests_deeper_than("[[],[],[]]", 2));
        assert!(nests_deeper_than(&"[".repeat(1000), 256));
        assert!(!nests_deeper_than(&"[],".repeat(1000), 1));
    }
}
