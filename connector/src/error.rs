//! Why a call failed, named by what the host should do next (the WIT's `types.error`).
//!
//! Texts are for people. They must never hold more of a response than a short excerpt.

use std::fmt;

/// The cases of the WIT's `error`, without `invalid-config`, which only opening a configuration yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The credential was refused.
    Unauthorized(String),
    /// The API could not be reached or keeps failing: worth another run later.
    Unavailable(String),
    /// The API answered something that the configuration does not fit.
    BadData(String),
    /// What the checkpoint points at is no longer there.
    Moved(String),
    /// Anything else.
    Other(String),
}

impl Error {
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self::BadData(message.into())
    }

    pub fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }

    pub fn message(&self) -> &str {
        match self {
            Self::Unauthorized(text)
            | Self::Unavailable(text)
            | Self::BadData(text)
            | Self::Moved(text)
            | Self::Other(text) => text,
        }
    }

    /// The same failure, saying where it happened.
    pub fn within(self, place: &str) -> Self {
        let said = |text: String| format!("{place}: {text}");
        match self {
            Self::Unauthorized(text) => Self::Unauthorized(said(text)),
            Self::Unavailable(text) => Self::Unavailable(said(text)),
            Self::BadData(text) => Self::BadData(said(text)),
            Self::Moved(text) => Self::Moved(said(text)),
            Self::Other(text) => Self::Other(said(text)),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

impl std::error::Error for Error {}

/// How many characters of a text an error shows.
const EXCERPT: usize = 300;

/// The beginning of a text on one line, for an error's message.
pub fn excerpt(text: &str) -> String {
    let mut shown = String::new();
    let mut count = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !shown.is_empty() {
            shown.push(' ');
            count += 1;
        }
        for character in word.chars() {
            if count >= EXCERPT {
                shown.push('…');
                return shown;
            }
            shown.push(character);
            count += 1;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_on_one_line() {
        assert_eq!(excerpt(" a\n\tb\u{1b}[31m "), "a b [31m");
        assert_eq!(excerpt(&"ü".repeat(400)).chars().count(), 301);
        assert_eq!(excerpt(""), "");
    }
}
