//! Mistakes in a configuration, and the list that collects them.
//!
//! Every mistake is said at once. Must never repeat a value that may be a secret.

/// One mistake. The shape follows `types.diagnostic` of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Stable, lower-case, hyphenated: `unknown-key`.
    pub code: &'static str,
    /// JSON Pointer (RFC 6901); `/…/~key` means the key instead of its value.
    pub at: String,
    /// One sentence, lower-case, without a period.
    pub message: String,
    /// What to write under the caret.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing can run until it is mended.
    Error,
    /// It runs, but probably not as meant.
    Warning,
}

impl Diagnostic {
    pub(super) fn error(code: &'static str, at: &str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, at: at.to_owned(), message: message.into(), label: None, help: None }
    }

    pub(super) fn warning(code: &'static str, at: &str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, at, message) }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Collects diagnostics, each once: what is written in `resource_defaults` is read again for every resource.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        if !self.list.contains(&diagnostic) {
            self.list.push(diagnostic);
        }
    }

    /// The warnings, or everything when there is an error among it.
    pub(super) fn finish(self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let fails = self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        if fails { Err(self.list) } else { Ok(self.list) }
    }
}

/// The known name that was probably meant.
pub(super) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase().replace('-', "_");
    let tolerance = (written.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(&written, &name.to_lowercase().replace('-', "_")), name))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `` `a`, `b`, `c` ``
pub(super) fn listing<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{Diagnostic, Diagnostics, nearest};

    #[test]
    fn the_nearest_name_is_near() {
        let known = ["paginator", "path", "params", "data_selector"];
        for (written, expected) in [
            ("paginater", Some("paginator")),
            ("pahts", None),
            ("pth", Some("path")),
            ("data-selector", Some("data_selector")),
            ("PARAMS", Some("params")),
            ("something_else", None),
        ] {
            assert_eq!(nearest(written, known), expected, "{written}");
        }
    }

    #[test]
    fn a_diagnostic_is_kept_once_and_an_error_fails_all() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(Diagnostic::warning("w", "/a", "careful"));
        diagnostics.push(Diagnostic::warning("w", "/a", "careful"));
        assert_eq!(diagnostics.list.len(), 1);
        diagnostics.push(Diagnostic::error("e", "/b", "wrong"));
        assert_eq!(diagnostics.finish().map_err(|all| all.len()), Err(2));
    }
}
