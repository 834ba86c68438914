//! Exec plugins (client-go credential plugins, KEP-541): kept off the screen, and heard.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kube::config::{ExecConfig, ExecInteractiveMode};
use tempfile::NamedTempFile;

/// The variable that tells the wrapper where a plugin's stderr goes.
const VARIABLE: &str = "BROW_PLUGIN_STDERR";
/// More than this of a plugin's words is not shown.
const MOST: u64 = 16 * 1_024;

/// A file of ours (0600, deleted with the last clone) that a plugin's stderr is appended to.
#[derive(Clone)]
pub struct Stderr {
    file: Arc<NamedTempFile>,
    read: Arc<AtomicU64>,
}

impl Stderr {
    pub fn new() -> std::io::Result<Self> {
        let file = tempfile::Builder::new().prefix("brow-plugin-").tempfile()?;
        Ok(Self { file: Arc::new(file), read: Arc::default() })
    }

    /// What came since the last call. Reads a file, and so blocks.
    pub fn news(&self) -> Option<String> {
        self.take_from(self.read.load(Ordering::Relaxed))
    }

    /// What came from a place in the file on; it is no news any more. Reads a file, and so blocks.
    pub fn take_from(&self, start: u64) -> Option<String> {
        let mut file = File::open(self.file.path()).ok()?;
        file.seek(SeekFrom::Start(start)).ok()?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes).ok()?;
        self.read.fetch_max(start + bytes.len() as u64, Ordering::Relaxed);
        let words = String::from_utf8_lossy(&bytes);
        Some(crate::plain::lines(&words).trim().to_owned()).filter(|words| !words.is_empty())
    }

    /// How much has been written so far, in bytes.
    pub fn length(&self) -> u64 {
        self.file.as_file().metadata().map_or(0, |data| data.len())
    }
}

/// Keeps the plugin's stderr, and puts it into a session of its own where the system has setsid(1): without a terminal
/// of its own a plugin that opens /dev/tty to ask for a password fails, instead of writing over the screen and waiting
/// for keys that never come.
const SCRIPT: &str = "exec 2>>\"$BROW_PLUGIN_STDERR\"
command -v \"$0\" >/dev/null || { echo \"$0: command not found\" >&2; exit 127; }
if command -v setsid >/dev/null; then exec setsid -w \"$0\" \"$@\"; fi
exec \"$0\" \"$@\"";

/// Keeps a plugin from the terminal: it is told that nobody can answer, and its stderr goes to `stderr`.
///
/// kube lets a plugin that may be interactive inherit stdin and stderr, which would write over the screen and take
/// keys away. The shell only redirects: command and arguments are handed to it as arguments, never as script.
pub fn tame(exec: &mut ExecConfig, stderr: Option<&Stderr>) {
    exec.interactive_mode = Some(ExecInteractiveMode::Never);
    let (Some(command), Some(stderr)) = (exec.command.take(), stderr) else {
        return;
    };
    let mut args = vec!["-c".to_owned(), SCRIPT.to_owned(), command];
    args.extend(exec.args.take().unwrap_or_default());
    exec.command = Some("/bin/sh".to_owned());
    exec.args = Some(args);
    let path = stderr.file.path().display().to_string();
    let variable = HashMap::from([("name".to_owned(), VARIABLE.to_owned()), ("value".to_owned(), path)]);
    exec.env.get_or_insert_default().push(variable);
}
