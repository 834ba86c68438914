//! The binary: parse, run, exit code. The library does the rest.

use std::io::Write as _;
use std::panic;
use std::process::ExitCode;

fn main() -> color_eyre::eyre::Result<ExitCode> {
    // Errors may go to a file, or to a terminal without colors: they are few and need none.
    let plain = color_eyre::config::Theme::new();
    let hooks = color_eyre::config::HookBuilder::default().theme(plain).display_env_section(false);
    let (panics, errors) = hooks.try_into_hooks()?;
    errors.install()?;
    // Its own hook uses `eprintln!`, which panics where the terminal is gone; a panic inside the hook aborts the
    // program.
    panic::set_hook(Box::new(move |info| {
        let _unread = writeln!(std::io::stderr().lock(), "{}", panics.panic_report(info));
    }));
    brow_tui::cli::run()
}
