//! The other program that this one can be: a child process of an isolated run.

use std::process::ExitCode;

use crate::isolation::{self, Role};
use crate::{normalize, sandbox};

/// Does a child's work, if these are a child's arguments (without the program's name). To be called before anything else in
/// `main`, while the process has one thread; none: this is no child, go on.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     if let Some(code) = airlock_host::isolated::serve(std::env::args().skip(1)) {
///         return code;
///     }
///     // What the program is for.
///     std::process::ExitCode::SUCCESS
/// }
/// ```
pub fn serve(arguments: impl Iterator<Item = String>) -> Option<ExitCode> {
    let served = isolation::enter(arguments)?.and_then(|(role, stream)| match role {
        Role::Sandbox => sandbox::isolated::serve(stream),
        Role::Pages => normalize::isolated::serve(stream),
    });
    Some(if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
