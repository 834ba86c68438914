//! The options of the log file.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::print::{FAILED, Failure};
use crate::log::{self, Levels};
use crate::text::Text;

#[derive(Debug, Clone, Default, Args)]
pub(super) struct Logging {
    /// Log to this file, rotated to FILE.1 at 4 MB, without secrets
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        env = "BROW_LOG",
        hide_env_values = true,
        global = true,
        display_order = 900
    )]
    log: Option<PathBuf>,
    #[arg(
        long,
        value_name = "LEVELS",
        help = "What is logged: a level, and others by module, as in warn,brow_tui=debug,kube_client=debug; trace \
                includes server responses",
        default_value = log::LEVELS,
        env = "BROW_LOG_LEVELS",
        hide_env_values = true,
        global = true,
        display_order = 900
    )]
    log_levels: Levels,
    /// Log hosts and IP addresses, too
    #[arg(long, global = true, display_order = 900)]
    log_addresses: bool,
}

impl Logging {
    /// The log file, if there is one.
    pub(super) fn file(&self) -> Option<&Path> {
        self.log.as_deref()
    }

    /// Logs from now on, where that is wished for.
    pub(super) fn start(&self, text: &Text) -> Result<(), Failure> {
        let Some(path) = self.file() else { return Ok(()) };
        log::start(path, &self.log_levels, self.log_addresses).map_err(|error| {
            let with = [("thing", &*path.display().to_string()), ("detail", &*error.to_string())];
            Failure { code: FAILED, message: text.fill("cli.log-unwritten", &with) }
        })
    }

    /// The same wishes on the command line of another instance.
    pub(super) fn arguments(&self) -> io::Result<Vec<OsString>> {
        let Some(path) = self.file() else { return Ok(Vec::new()) };
        let levels = self.log_levels.to_string();
        let named = ["--log".into(), std::path::absolute(path)?.into(), "--log-levels".into(), levels.into()];
        Ok(named.into_iter().chain(self.log_addresses.then(|| "--log-addresses".into())).collect())
    }
}
