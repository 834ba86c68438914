//! The log file: messages of the program and its libraries, for bug reports.
//!
//! It is written only if the user names a file, is never larger than twice a limit, and has mode 0600. All text goes
//! through [`redact()`]: no secrets, and no addresses unless they are asked for.

mod file;
mod redact;
mod tell;

use std::io;
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// The log's filter: a level for all, and others by module, as in `warn,brow_tui=debug`.
pub use tracing_subscriber::filter::Targets as Levels;

pub use file::before;
pub use redact::redact;
pub use tell::update;

use file::Rotating;

/// The default filter. A part of kube is quieter, since it would log the bodies of answers that it cannot parse.
pub const LEVELS: &str = "warn,kube_client::client=error,brow_tui=debug,kube_tunnel=debug";

/// Starts logging to a file.
///
/// # Errors
/// Where the file cannot be written.
pub fn start(path: &Path, levels: &Levels, addresses: bool) -> io::Result<()> {
    let file = Mutex::new(Rotating::open(path, addresses)?);
    // A file that can no longer be written must not have the screen drawn over.
    let layer = fmt::layer().with_ansi(false).log_internal_errors(false).with_writer(file);
    let logged = tracing_subscriber::registry().with(layer.with_filter(levels.clone()));
    logged.try_init().map_err(io::Error::other)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), os = std::env::consts::OS, "brow-tui begins");
    Ok(())
}
