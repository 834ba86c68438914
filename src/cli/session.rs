//! A command in a session of its own, in place of this process: what `setsid(1)` does where the system has it.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use super::exec::{NOT_RUN, NOT_THERE};
use super::print::Stop;

/// Becomes the command, without a terminal that it could open. Returns only where it cannot.
pub(super) fn become_command(command: &[String]) -> ExitCode {
    let name = command.first().map(String::as_str).unwrap_or_default();
    let stop = |code, error: &std::io::Error| Stop { code, says: format!("{name}: {error}") }.tell();
    if let Err(error) = rustix::process::setsid() {
        return stop(NOT_RUN, &error.into());
    }
    let error = Command::new(name).args(command.iter().skip(1)).exec();
    stop(if error.kind() == ErrorKind::NotFound { NOT_THERE } else { NOT_RUN }, &error)
}
