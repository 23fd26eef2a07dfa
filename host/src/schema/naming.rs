//! Names of tables and columns: dlt's snake_case convention, so that models built on dlt's tables keep working; or the
//! keys as they are.
//!
//! A name depends on the key it comes from and on what the destination takes, never on data. Two keys may come to one
//! name: who keeps them apart is `normalize`, which knows what is there already.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha3::Shake128;
use sha3::digest::{ExtendableOutput as _, Update as _, XofReader as _};

/// Stands between the parts of a flattened name.
const SEPARATOR: &str = "__";
/// Name of a key without a letter in it.
const EMPTY: &str = "_empty";

/// How keys become names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// dlt's: lower-case ASCII with underscores.
    #[default]
    SnakeCase,
    /// As they are.
    Direct,
}

/// A convention, with what a destination takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Naming {
    pub convention: Convention,
    /// Longest identifier, in bytes.
    pub max_length: usize,
    /// Names in lower case that no column can have.
    pub reserved_columns: &'static [&'static str],
    /// What no table's name can begin with, in lower case.
    pub reserved_tables: &'static [&'static str],
}

impl Naming {
    /// The name of a record's key.
    pub fn path(&self, key: &str) -> String {
        let mut name = self.convert(key);
        // In snake_case no key comes to a name that ends in an underscore, so this one is free.
        if self.reserved_columns.contains(&&*fold(&name)) {
            name.push('_');
        }
        name
    }

    /// The name of a table, or of the part of one.
    pub fn table(&self, key: &str) -> String {
        let mut name = self.convert(key);
        if self.convention == Convention::Direct {
            name = self.table_path(name);
        }
        let folded = fold(&name);
        if self.reserved_tables.iter().any(|start| folded.starts_with(start)) {
            name.insert(0, '_');
        }
        self.shorten(name, key)
    }

    /// A table's name without what no folder's name has: in files a table is a folder.
    pub fn table_path(&self, name: String) -> String {
        if self.convention == Convention::SnakeCase {
            return name;
        }
        let name = name.replace(|part: char| matches!(part, '/' | '\\') || part.is_control(), "_");
        if name.starts_with('.') { name.replacen('.', "_", 1) } else { name }
    }

    /// In snake_case: split at `__`, each part normalized, joined again.
    fn convert(&self, key: &str) -> String {
        if self.convention == Convention::Direct {
            let name = if key.trim().is_empty() { EMPTY.to_owned() } else { key.replace('\0', "_") };
            return self.shorten(name, key);
        }
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
        if path.len() <= self.longest() {
            return path;
        }
        let tag = tag(&path);
        self.trim_and_tag(&path, &tag)
    }

    /// The column that takes a value of type `data_type` which `column` can't.
    pub fn variant(&self, column: &str, data_type: &str) -> String {
        self.nested(column, &format!("v_{data_type}"))
    }

    /// The names that a key can have, best first: its own, then ever others with a tag, which are the same for the same key
    /// in every run.
    pub fn candidates<'a>(&'a self, name: &'a str, key: &'a str) -> impl Iterator<Item = String> + 'a {
        let tagged = (0_u32..).map(move |attempt| match attempt {
            0 => self.shorten(format!("{name}_{}", tag(key)), key),
            attempt => self.shorten(format!("{name}_{}", tag(&format!("{key}\n{attempt}"))), key),
        });
        std::iter::once(name.to_owned()).chain(tagged)
    }

    /// A tag takes 6 bytes; below that names could not be told apart at all.
    fn longest(&self) -> usize {
        self.max_length.max(16)
    }

    fn shorten(&self, name: String, original: &str) -> String {
        if name.len() <= self.longest() { name } else { self.trim_and_tag(&name, &tag(original)) }
    }

    /// Replaces the middle with the tag, as dlt does.
    fn trim_and_tag(&self, name: &str, tag: &str) -> String {
        let remaining = self.longest() - tag.len();
        let mut tail = name.len() - remaining / 2;
        let mut head = remaining - remaining / 2;
        while !name.is_char_boundary(head) {
            head -= 1;
        }
        while !name.is_char_boundary(tail) {
            tail += 1;
        }
        format!("{}{tag}{}", &name[..head], &name[tail..])
    }
}

/// What databases compare of a name: most take no notice of its case.
pub fn fold(name: &str) -> Cow<'_, str> {
    let is_folded = name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_folded { Cow::Borrowed(name) } else { Cow::Owned(name.to_lowercase()) }
}

/// A name that is no longer than so many bytes and ends as it should, with a tag of the whole in its middle.
pub fn shortened(name: &str, max_length: usize) -> String {
    Naming { max_length, ..Naming::default() }.shorten(name.to_owned(), name)
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
        let naming = Naming { max_length: 65536, ..Naming::default() };
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
        let naming = Naming { max_length: 63, ..Naming::default() };
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
        let naming = Naming { max_length: 63, ..Naming::default() };
        let names = |key| naming.candidates("a_b", key).take(4).collect::<Vec<_>>();
        assert_eq!(names("A b"), names("A b"));
        let all: std::collections::HashSet<String> = names("A b").into_iter().chain(names("A  b")).collect();
        assert_eq!(all.len(), 7, "{all:?}");
    }

    #[test]
    fn direct_names_are_the_keys() {
        let naming = Naming {
            convention: Convention::Direct,
            max_length: 20,
            reserved_columns: &["rowid"],
            reserved_tables: &["sqlite_"],
        };
        for (key, name) in [
            ("createdAt", "createdAt"),
            ("Price ($)", "Price ($)"),
            ("名前", "名前"),
            (" ", "_empty"),
            ("RowId", "RowId_"),
        ] {
            assert_eq!(naming.path(key), name);
        }
        for (key, name) in [("a/b", "a_b"), ("..", "_."), ("SQLite_x", "_SQLite_x"), ("Tasks", "Tasks")] {
            assert_eq!(naming.table(key), name);
        }
        let long = naming.path(&"ü".repeat(30));
        assert!(long.len() <= 20 && long.starts_with('ü') && long.ends_with('ü'), "{long}");
    }
}
