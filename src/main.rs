//! The binary: parse, run, exit code. The library does the rest.

use std::io::Write as _;
use std::panic;
use std::process::ExitCode;

/// The allocator of the static program. musl's own gives larger buffers back to the kernel at once, which for those of
/// transfers takes ten times as long as copying their bytes.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
