//! `host completions`: completions for a shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::output::Printer;

/// Print completions for a shell
#[derive(Debug, Args)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn execute(self, printer: &Printer) -> u8 {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::CommandLine::command(), "host", &mut script);
        printer.own_document(String::from_utf8_lossy(&script).trim_end());
        0
    }
}
