//! The `host` program: parses the command line, calls a command, returns its exit code. Or a child process of itself.

use std::process::ExitCode;

use airlock_host::command::CommandLine;
use airlock_host::output::Printer;
use clap::Parser as _;

fn main() -> ExitCode {
    // Secrets are in this process's memory: no other process may look into it, and no core dump keeps it.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    if let Some(code) = airlock_host::isolated::serve(arguments) {
        return code;
    }
    let line = CommandLine::parse();
    let printer = Printer::new(&line.output);
    match line.command.execute(&printer) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            printer.error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}
