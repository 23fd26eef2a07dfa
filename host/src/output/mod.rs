//! The only place that prints. stdout is what was asked for; stderr is for people.
//!
//! Must never decide anything: it shows what it is given.

mod error;
mod escape;
mod json;
mod printer;
mod progress;
mod report;

pub use escape::shown;
pub use json::diagnostics;
pub use printer::{OutputOptions, Printer};
pub use progress::Progress;
