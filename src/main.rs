//! The binary: parse, run, exit code. The library does the rest.

use std::process::ExitCode;

fn main() -> color_eyre::eyre::Result<ExitCode> {
    // Errors may go to a file, or to a terminal without colors: they are few and need none.
    let plain = color_eyre::config::Theme::new();
    color_eyre::config::HookBuilder::default().theme(plain).display_env_section(false).install()?;
    brow_tui::cli::run()
}
