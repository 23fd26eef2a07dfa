//! Warnings of one stream, each said once, and no more than anybody reads.

use indexmap::IndexSet;

/// Foreign keys make as many warnings as there are keys.
const MOST: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Warnings {
    said: IndexSet<String>,
    unsaid: usize,
}

impl Warnings {
    pub(super) fn add(&mut self, warning: String) {
        if self.said.len() < MOST {
            self.said.insert(warning);
        } else if !self.said.contains(&warning) {
            self.unsaid += 1;
        }
    }

    /// Hands them out and begins anew.
    pub(super) fn take(&mut self, stream: &str) -> Vec<String> {
        let mut warnings: Vec<String> = std::mem::take(&mut self.said).into_iter().collect();
        let more = std::mem::take(&mut self.unsaid);
        if more > 0 {
            warnings.push(format!("stream `{stream}`: and {more} warnings more of these kinds"));
        }
        warnings
    }
}
