//! Notices that reading goes round in circles: a next link comes back, or a cursor with the same page. A cursor that stays
//! the same while pages differ (scrolling) is none. Must not grow with the number of pages.

use serde::{Deserialize, Serialize};

use crate::error::{Error, excerpt};
use crate::selection::Selection;

/// Brent's cycle detection: compares each position with one remembered earlier, and remembers anew after 1, 2, 4, 8, …
/// positions. A cycle of any length is found while it is gone through, with one remembered position.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LoopGuard {
    seen: u64,
    remembered: Option<(String, Option<u64>)>,
}

impl LoopGuard {
    /// `what` is `next link` or `cursor`; `page` is the one that named the position, where it counts.
    pub(super) fn check(&mut self, what: &str, position: &str, page: &Selection<'_>, place: &str) -> Result<(), Error> {
        let page = page.fingerprint();
        if self.remembered.as_ref().is_some_and(|(known, same)| known == position && *same == page) {
            let position = excerpt(position);
            let message =
                format!("{place}: the {what} `{position}` came back with the same records: reading on would never end");
            return Err(Error::BadData(message));
        }
        self.seen += 1;
        if self.seen.is_power_of_two() {
            self.remembered = Some((position.to_owned(), page));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::Array;

    #[test]
    fn cycles_of_any_length_are_found_and_nothing_else() {
        let page = Selection::Array(Array::new("[1]"));
        for (lead, length) in [(0, 1), (0, 2), (3, 1), (5, 7), (100, 33)] {
            let mut guard = LoopGuard::default();
            let positions = (0..lead).chain(std::iter::repeat_with(|| lead..lead + length).take(100).flatten());
            let steps =
                positions.map(|n| guard.check("cursor", &n.to_string(), &page, "s")).take_while(Result::is_ok).count();
            assert!(steps < 4 * (lead + length), "{lead} {length}: {steps}");
        }
        let mut guard = LoopGuard::default();
        assert!((0..1000).all(|n| guard.check("cursor", &n.to_string(), &page, "s").is_ok()));
        let mut guard = LoopGuard::default();
        assert!((0..1000).all(|n| {
            let page = format!("[{n}]");
            guard.check("cursor", "scroll", &Selection::Array(Array::new(&page)), "s").is_ok()
        }));
    }
}
