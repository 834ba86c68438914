//! The binary: parse, run, exit code. The library does the rest.

use std::process::ExitCode;

fn main() -> color_eyre::eyre::Result<ExitCode> {
    color_eyre::config::HookBuilder::default().display_env_section(false).install()?;
    brow_tui::cli::run()
}
