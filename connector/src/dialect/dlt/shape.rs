//! What a value may look like. The grammar is written in these words, and both the checks and the JSON Schema are made
//! from it, so they cannot disagree. Must never say what a value means.

/// The form of a value. Where a key is not required, null is allowed too: in dlt it means "as if not written", or
/// resets a default.
pub(super) enum Shape {
    Any,
    Text,
    /// A text that may be a secret: the host leaves a reference in its place.
    Secret,
    /// Fields of a token request: texts that may be secrets, or numbers and booleans.
    SecretScalar,
    /// A text, number or boolean.
    Scalar,
    /// A whole number, at least this.
    Integer(i64),
    Number,
    Boolean,
    Choice(&'static [&'static str]),
    /// Usually one of these; what becomes of another is said where it is read.
    Word(&'static [&'static str]),
    /// That, or null.
    Nullable(&'static Self),
    /// Like `Choice`, in either case.
    Method(&'static [&'static str]),
    List(&'static Self),
    /// An object whose keys are the user's own.
    Map(&'static Self),
    Object(&'static Object),
    /// An object that says by `type` which one it is.
    Tagged(&'static Tagged),
    /// The first whose JSON type fits.
    Either(&'static [Self]),
    /// Takes Python in dlt; the text says what to use instead.
    Python(&'static str),
}

pub(super) struct Object {
    /// Its name among the schema's `$defs`.
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    /// In groups, because some objects share most of their keys.
    pub(super) keys: &'static [&'static [Key]],
    /// Further keys that start with this are the user's own.
    pub(super) free_prefix: Option<&'static str>,
}

impl Object {
    pub(super) fn all_keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().flat_map(|group| group.iter())
    }

    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.all_keys().find(|key| key.name == name)
    }
}

pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
    pub(super) description: &'static str,
}

/// An optional key.
pub(super) const fn key(name: &'static str, shape: Shape, description: &'static str) -> Key {
    Key { name, shape, required: false, description }
}

pub(super) const fn required(name: &'static str, shape: Shape, description: &'static str) -> Key {
    Key { name, shape, required: true, description }
}

pub(super) struct Tagged {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    /// The type when none is written. None: a type is required.
    pub(super) default: Option<&'static str>,
    pub(super) variants: &'static [Variant],
}

pub(super) struct Variant {
    /// The values of `type`: the name, then its aliases.
    pub(super) tags: &'static [&'static str],
    pub(super) object: Object,
}

impl Tagged {
    pub(super) fn tags(&self) -> impl Iterator<Item = &'static str> {
        self.variants.iter().flat_map(|variant| variant.tags.iter().copied())
    }

    pub(super) fn variant(&self, tag: &str) -> Option<&'static Variant> {
        self.variants.iter().find(|variant| variant.tags.contains(&tag))
    }
}
