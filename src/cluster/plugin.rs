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
        let mut file = File::open(self.file.path()).ok()?;
        file.seek(SeekFrom::Start(self.read.load(Ordering::Relaxed))).ok()?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes).ok()?;
        self.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let words = String::from_utf8_lossy(&bytes);
        let words: String = words.chars().filter(|c| !c.is_control() || *c == '\n').collect();
        Some(words.trim().to_owned()).filter(|words| !words.is_empty())
    }
}

/// Keeps a plugin from the terminal: it is told that nobody can answer, and its stderr goes to `stderr`.
///
/// kube lets a plugin that may be interactive inherit stdin and stderr, which would write over the screen and take
/// keys away. The shell only redirects: command and arguments are handed to it as arguments, never as script.
pub fn tame(exec: &mut ExecConfig, stderr: Option<&Stderr>) {
    exec.interactive_mode = Some(ExecInteractiveMode::Never);
    let (Some(command), Some(stderr)) = (exec.command.take(), stderr) else {
        return;
    };
    let mut args = vec!["-c".to_owned(), format!("exec \"$0\" \"$@\" 2>>\"${VARIABLE}\""), command];
    args.extend(exec.args.take().unwrap_or_default());
    exec.command = Some("/bin/sh".to_owned());
    exec.args = Some(args);
    let path = stderr.file.path().display().to_string();
    let variable = HashMap::from([("name".to_owned(), VARIABLE.to_owned()), ("value".to_owned(), path)]);
    exec.env.get_or_insert_default().push(variable);
}
