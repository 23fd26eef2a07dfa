//! Reads plain JSON onto a tape, eight bytes of a text at a time.
//!
//! It takes nothing that is not JSON, and gives up where something is unusual: `Tape::read` then reads the same again, and
//! says what is wrong with it.

use super::tape::{MAX_DEPTH, Node, Span, position};

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES << 7;

/// A record being read.
pub(super) struct Reading<'a> {
    bytes: &'a [u8],
    page: &'a str,
    pub(super) at: usize,
    nodes: &'a mut Vec<Node>,
    aside: &'a mut String,
}

impl<'a> Reading<'a> {
    /// The value at `at`, which takes its place on the tape from the front.
    pub(super) fn new(page: &'a str, at: usize, nodes: &'a mut Vec<Node>, aside: &'a mut String) -> Self {
        nodes.clear();
        aside.clear();
        Self { bytes: page.as_bytes(), page, at, nodes, aside }
    }

    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is no blank.
    #[inline(always)]
    fn mark(&mut self) -> Option<u8> {
        self.at = blanks(self.bytes, self.at);
        self.byte()
    }

    pub(super) fn value(&mut self, depth: usize) -> Option<()> {
        match self.mark()? {
            b'"' => {
                let text = self.text()?;
                self.nodes.push(Node::Text(text));
            }
            b'{' => self.object(depth)?,
            b'[' => self.list(depth)?,
            b'-' | b'0'..=b'9' => self.number()?,
            b'n' => self.word(b"null", Node::Null)?,
            b't' => self.word(b"true", Node::Bool(true))?,
            b'f' => self.word(b"false", Node::Bool(false))?,
            _ => return None,
        }
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        let place = self.open(depth)?;
        match self.mark()? {
            b'}' => {}
            b'"' => loop {
                let key = self.text()?;
                self.nodes.push(Node::Key(key));
                if self.mark()? != b':' {
                    return None;
                }
                self.at += 1;
                self.value(depth + 1)?;
                match self.mark()? {
                    b'}' => break,
                    b',' => self.at += 1,
                    _ => return None,
                }
                if self.mark()? != b'"' {
                    return None;
                }
            },
            _ => return None,
        }
        self.at += 1;
        self.nodes[place] = Node::Object { end: position(self.nodes.len()) };
        Some(())
    }

    fn list(&mut self, depth: usize) -> Option<()> {
        let place = self.open(depth)?;
        if self.mark()? != b']' {
            loop {
                self.value(depth + 1)?;
                match self.mark()? {
                    b',' => self.at += 1,
                    b']' => break,
                    _ => return None,
                }
            }
        }
        self.at += 1;
        self.nodes[place] = Node::List { end: position(self.nodes.len()) };
        Some(())
    }

    fn open(&mut self, depth: usize) -> Option<usize> {
        self.at += 1;
        self.nodes.push(Node::Null);
        (depth < MAX_DEPTH).then_some(self.nodes.len() - 1)
    }

    fn word(&mut self, word: &[u8], node: Node) -> Option<()> {
        if !self.bytes[self.at..].starts_with(word) {
            return None;
        }
        self.at += word.len();
        self.nodes.push(node);
        Some(())
    }

    /// What stands between the quote at hand and the next one.
    #[inline(always)]
    fn text(&mut self) -> Option<Span> {
        let start = self.at + 1;
        let end = plain_end(self.bytes, start);
        match self.bytes.get(end)? {
            b'"' => {
                self.at = end + 1;
                Some(Span::in_page(start, end - start))
            }
            b'\\' => self.escaped(start, end),
            _ => None,
        }
    }

    /// A text with escapes in it, the first one at `escape`.
    #[cold]
    fn escaped(&mut self, mut start: usize, mut escape: usize) -> Option<Span> {
        let aside = self.aside.len();
        loop {
            self.aside.push_str(self.page.get(start..escape)?);
            let (character, length) = unescape(self.bytes.get(escape + 1..)?)?;
            self.aside.push(character);
            start = escape + 1 + length;
            escape = plain_end(self.bytes, start);
            match self.bytes.get(escape)? {
                b'\\' => {}
                b'"' => break,
                _ => return None,
            }
        }
        self.aside.push_str(self.page.get(start..escape)?);
        self.at = escape + 1;
        Some(Span::aside(aside, self.aside.len() - aside))
    }

    #[inline(always)]
    fn number(&mut self) -> Option<()> {
        /// So many digits always fit 64 bits.
        const SAFE: usize = 18;
        let start = self.at;
        let negative = self.byte() == Some(b'-');
        self.at += usize::from(negative);
        let first = self.at;
        let mut number = 0_i64;
        while let Some(digit @ b'0'..=b'9') = self.byte() {
            number = number.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - first;
        if digits == 0 || (digits > 1 && self.bytes[first] == b'0') {
            return None;
        }
        let node = if matches!(self.byte(), Some(b'.' | b'e' | b'E')) {
            self.rest_of_number()?;
            Node::Float(Span::in_page(start, self.at - start))
        } else if digits <= SAFE {
            Node::Int(if negative { -number } else { number })
        } else {
            match self.page.get(start..self.at)?.parse() {
                Ok(number) => Node::Int(number),
                Err(_) => Node::Big(Span::in_page(start, self.at - start)),
            }
        };
        self.nodes.push(node);
        Some(())
    }

    /// A fraction, an exponent, or both.
    fn rest_of_number(&mut self) -> Option<()> {
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

/// Where the next byte stands that is no blank.
#[inline(always)]
pub(super) fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Where the next quote, backslash or control character stands.
#[inline(always)]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(part) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*part);
        // A byte's highest bit is set where it is zero, or less than a blank; above the first such byte it may be wrong.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let found = (zero(word ^ (ONES * u64::from(b'"')))
            | zero(word ^ (ONES * u64::from(b'\\')))
            | (word.wrapping_sub(ONES * u64::from(b' ')) & !word))
            & HIGH;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| *byte >= b' ' && *byte != b'"' && *byte != b'\\') {
        at += 1;
    }
    at
}

/// Whether JSON writes a text as it is.
pub(super) fn is_plain(text: &str) -> bool {
    plain_end(text.as_bytes(), 0) == text.len()
}

/// What stands behind a backslash: the character that is meant, and how long it is as it is written.
fn unescape(text: &[u8]) -> Option<(char, usize)> {
    let character = match text.first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = unit(text.get(1..5)?)?;
            if let Some(character) = char::from_u32(u32::from(first)) {
                return Some((character, 5));
            }
            // The first half of a pair.
            let second = unit(text.get(5..11)?.strip_prefix(b"\\u")?)?;
            return Some((char::decode_utf16([first, second]).next()?.ok()?, 11));
        }
        _ => return None,
    };
    Some((character, 1))
}

/// Four hexadecimal digits.
fn unit(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | u16::try_from(digit).ok()?)
    })
}
