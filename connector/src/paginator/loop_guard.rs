//! Notices a next link or cursor that comes back. Must not grow with the number of pages.

use serde::{Deserialize, Serialize};

use crate::error::{Error, excerpt};

/// Brent's cycle detection: compares each position with one remembered earlier, and remembers anew after 1, 2, 4, 8, …
/// positions. A cycle of any length is found while it is gone through, with one remembered text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LoopGuard {
    seen: u64,
    remembered: Option<String>,
}

impl LoopGuard {
    /// `what` is `next link` or `cursor`.
    pub(super) fn check(&mut self, what: &str, position: &str, place: &str) -> Result<(), Error> {
        if self.remembered.as_deref() == Some(position) {
            let position = excerpt(position);
            let message = format!("{place}: the {what} `{position}` came back: reading on would never end");
            return Err(Error::BadData(message));
        }
        self.seen += 1;
        if self.seen.is_power_of_two() {
            self.remembered = Some(position.to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_of_any_length_are_found_and_nothing_else() {
        for (lead, length) in [(0, 1), (0, 2), (3, 1), (5, 7), (100, 33)] {
            let mut guard = LoopGuard::default();
            let positions = (0..lead).chain(std::iter::repeat_with(|| lead..lead + length).take(100).flatten());
            let steps = positions.map(|n| guard.check("cursor", &n.to_string(), "s")).take_while(Result::is_ok).count();
            assert!(steps < 4 * (lead + length), "{lead} {length}: {steps}");
        }
        let mut guard = LoopGuard::default();
        assert!((0..1000).all(|n| guard.check("cursor", &n.to_string(), "s").is_ok()));
    }
}
