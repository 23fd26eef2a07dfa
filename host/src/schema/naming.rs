//! Names of tables and columns: dlt's snake_case convention, so that models built on dlt's tables keep working.
//!
//! Must never look at data: a name depends on the key it comes from and on the longest identifier, nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha3::Shake128;
use sha3::digest::{ExtendableOutput as _, Update as _, XofReader as _};

/// Stands between the parts of a flattened name.
const SEPARATOR: &str = "__";
/// Name of a key without a letter in it.
const EMPTY: &str = "_empty";

/// The convention, for a destination's longest identifier.
#[derive(Debug, Clone, Copy)]
pub struct Naming {
    max_length: usize,
}

impl Naming {
    /// `max_length` is in bytes; names are ASCII.
    pub fn new(max_length: usize) -> Self {
        // A tag takes 6 bytes; below that names could not be told apart at all.
        Self { max_length: max_length.max(16) }
    }

    /// The name of a record's key, or of a table: split at `__`, each part normalized, joined again.
    pub fn path(&self, key: &str) -> String {
        let parts: Vec<String> = key
            .split(SEPARATOR)
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| self.shorten(snake_case(part), part))
            .collect();
        if parts.is_empty() { EMPTY.to_owned() } else { self.shorten(parts.join(SEPARATOR), key) }
    }

    /// A key as a user writes it in a hint: nested fields with `.` or `__` between them.
    pub fn hinted_path(&self, key: &str) -> String {
        self.path(&key.replace('.', SEPARATOR))
    }

    /// The name of something nested: parts that are normalized already, joined and shortened.
    pub fn nested(&self, parent: &str, name: &str) -> String {
        let path = join(parent, name);
        if path.len() <= self.max_length {
            return path;
        }
        let tag = tag(&path);
        self.trim_and_tag(&path, &tag)
    }

    /// The column that takes a value of type `data_type` which `column` can't.
    pub fn variant(&self, column: &str, data_type: &str) -> String {
        self.nested(column, &format!("v_{data_type}"))
    }

    /// A second name for a key whose own name another key has taken: the same for the same key in every run.
    pub fn tagged(&self, name: &str, key: &str) -> String {
        let tagged = format!("{name}_{}", tag(key));
        self.shorten(tagged, key)
    }

    fn shorten(&self, name: String, original: &str) -> String {
        if name.len() <= self.max_length { name } else { self.trim_and_tag(&name, &tag(original)) }
    }

    /// Replaces the middle with the tag, as dlt does. Names are ASCII here, so any byte is a boundary.
    fn trim_and_tag(&self, name: &str, tag: &str) -> String {
        let remaining = self.max_length - tag.len();
        let tail = remaining / 2;
        let head = remaining - tail;
        format!("{}{tag}{}", &name[..head], &name[name.len() - tail..])
    }
}

/// Joins normalized parts; an empty parent adds nothing.
pub fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}{SEPARATOR}{name}") }
}

/// Six characters that tell one long or colliding name from another: lower-case base64 of 4 bytes of SHAKE128.
fn tag(original: &str) -> String {
    let mut hasher = Shake128::default();
    hasher.update(original.as_bytes());
    let mut digest = [0_u8; 4];
    hasher.finalize_xof().read(&mut digest);
    STANDARD_NO_PAD.encode(digest).replace('/', "a").replace('+', "b").to_ascii_lowercase()
}

/// One part of a name, in the order in which dlt does it: reduce the alphabet, break words, lower-case, guard a leading
/// digit, turn trailing underscores into `x`, collapse the rest.
fn snake_case(part: &str) -> String {
    let reduced = reduce_alphabet(part);
    let mut name = break_before_capitals(&break_before_words(&reduced));
    name.make_ascii_lowercase();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        name.insert(0, '_');
    }
    let stem = name.trim_end_matches('_').len();
    let trailing = name.len() - stem;
    name.truncate(stem);
    name.extend(std::iter::repeat_n('x', trailing));
    collapse_underscores(&name)
}

/// ASCII letters, digits and underscores stay; a run of anything else becomes one underscore.
fn reduce_alphabet(part: &str) -> String {
    let mut reduced = String::with_capacity(part.len());
    let mut in_run = false;
    for character in part.chars() {
        let kept = match character {
            '+' | '*' => 'x',
            '-' => '_',
            '@' => 'a',
            '|' => 'l',
            kept if kept.is_ascii_alphanumeric() || kept == '_' => kept,
            _ => {
                if !in_run {
                    reduced.push('_');
                }
                in_run = true;
                continue;
            }
        };
        in_run = false;
        reduced.push(kept);
    }
    reduced
}

/// `([^_])([A-Z][a-z]+)` → `\1_\2`, left to right without overlap.
fn break_before_words(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut broken = String::with_capacity(text.len() + 4);
    let mut index = 0;
    while index < bytes.len() {
        broken.push(char::from(bytes[index]));
        let word = bytes[index] != b'_'
            && bytes.get(index + 1).is_some_and(u8::is_ascii_uppercase)
            && bytes.get(index + 2).is_some_and(u8::is_ascii_lowercase);
        index += 1;
        if word {
            broken.push('_');
            broken.push(char::from(bytes[index]));
            index += 1;
            while index < bytes.len() && bytes[index].is_ascii_lowercase() {
                broken.push(char::from(bytes[index]));
                index += 1;
            }
        }
    }
    broken
}

/// `([a-z0-9])([A-Z])` → `\1_\2`, left to right without overlap.
fn break_before_capitals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut broken = String::with_capacity(text.len() + 4);
    let mut index = 0;
    while index < bytes.len() {
        broken.push(char::from(bytes[index]));
        let small = bytes[index].is_ascii_lowercase() || bytes[index].is_ascii_digit();
        index += 1;
        if small && bytes.get(index).is_some_and(u8::is_ascii_uppercase) {
            broken.push('_');
            broken.push(char::from(bytes[index]));
            index += 1;
        }
    }
    broken
}

fn collapse_underscores(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '_' || !collapsed.ends_with('_') {
            collapsed.push(character);
        }
    }
    collapsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_snake_case() {
        let naming = Naming::new(65536);
        let cases = [
            ("id", "id"),
            ("createdAt", "created_at"),
            ("HTTPServerURL", "http_server_url"),
            ("@odata.nextLink", "aodata_next_link"),
            ("price (USD)", "price_usdx"),
            ("IPv4Address", "i_pv4_address"),
            ("名前", "x"),
            ("__typename", "typename"),
            ("", "_empty"),
            ("  ", "_empty"),
            ("2fa", "_2fa"),
            ("a__B", "a__b"),
            ("trailing__", "trailing"),
            ("trailing_", "trailingx"),
            ("a+b*c|d-e", "axbxcld_e"),
            ("/posts/0/comments", "_posts_0_comments"),
            ("a - b", "a_b"),
            ("ABC", "abc"),
            ("camelCaseX1Y", "camel_case_x1_y"),
        ];
        for (key, name) in cases {
            assert_eq!(naming.path(key), name, "{key:?}");
        }
    }

    #[test]
    fn long_names_keep_both_ends_around_a_tag() {
        let naming = Naming::new(63);
        let key = "a".repeat(50) + "B" + &"c".repeat(50);
        let name = naming.path(&key);
        assert_eq!(name.len(), 63);
        assert!(name.starts_with("aaaa") && name.ends_with("cccc"), "{name}");
        assert_ne!(name, naming.path(&(key + "c")));
        assert_eq!(naming.nested("short", "name"), "short__name");
        assert_eq!(naming.nested(&"p".repeat(60), "name").len(), 63);
    }

    #[test]
    fn a_tag_depends_on_the_key_alone() {
        let naming = Naming::new(63);
        assert_eq!(naming.tagged("a_b", "A b"), naming.tagged("a_b", "A b"));
        assert_ne!(naming.tagged("a_b", "A b"), naming.tagged("a_b", "A  b"));
    }
}
