//! Exec plugins (client-go credential plugins, KEP-541): kept off the screen, and heard. They are run here rather than
//! by kube, which runs one again for each request that meets a login at its end, and does not say when that is.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;
use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::descriptors;

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

    /// Returns the output since the last call. Reads a file, and so blocks.
    pub fn news(&self) -> Option<String> {
        self.take_from(self.read.load(Ordering::Relaxed))
    }

    /// Returns the output from a position in the file, which then no longer counts as new. Reads a file, and so blocks.
    pub fn take_from(&self, start: u64) -> Option<String> {
        let mut file = File::open(self.file.path()).ok()?;
        file.seek(SeekFrom::Start(start)).ok()?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes).ok()?;
        self.read.fetch_max(start + bytes.len() as u64, Ordering::Relaxed);
        let words = String::from_utf8_lossy(&bytes);
        Some(brow_model::sanitize::lines(&words).trim().to_owned()).filter(|words| !words.is_empty())
    }

    /// The number of bytes written so far.
    pub fn length(&self) -> u64 {
        self.file.as_file().metadata().map_or(0, |data| data.len())
    }
}

/// The program that puts a plugin into a session of its own where the system has no setsid(1), as macOS: this one.
static SHIM: OnceLock<PathBuf> = OnceLock::new();

/// Names the program that gives login plugins a session of their own.
pub fn through(program: Option<PathBuf>) {
    if let Some(program) = program {
        // It stays the same as long as it runs.
        _ = SHIM.set(program);
    }
}

/// Keeps the plugin's stderr, gives it the limit of descriptors that we were started with, and puts it into a session
/// of its own: without a terminal of its own a plugin that opens /dev/tty to ask for a password fails, instead of
/// writing over the screen and waiting for keys that never come.
const SCRIPT: &str = "exec 2>>\"$BROW_PLUGIN_STDERR\"
command -v \"$0\" >/dev/null || { echo \"$0: command not found\" >&2; exit 127; }
if [ -n \"$BROW_PLUGIN_FILES\" ]; then ulimit -Sn \"$BROW_PLUGIN_FILES\"; fi
if command -v setsid >/dev/null; then exec setsid -w \"$0\" \"$@\"; fi
if [ -x \"$BROW_PLUGIN_SHIM\" ]; then exec \"$BROW_PLUGIN_SHIM\" new-session -- \"$0\" \"$@\"; fi
exec \"$0\" \"$@\"";

/// Keeps a plugin from the terminal: it is told that nobody can answer, and its stderr goes to `stderr`.
///
/// kube lets a plugin that may be interactive inherit stdin and stderr, which would write over the screen and take
/// keys away. The shell only redirects: command and arguments are handed to it as arguments, never as script.
pub fn tame(exec: &mut ExecConfig, stderr: Option<&Stderr>) {
    exec.interactive_mode = Some(ExecInteractiveMode::Never);
    let Some(stderr) = stderr else { return };
    let Some(command) = exec.command.take() else { return };
    let mut args = vec!["-c".to_owned(), SCRIPT.to_owned(), command];
    args.extend(exec.args.take().unwrap_or_default());
    exec.command = Some("/bin/sh".to_owned());
    exec.args = Some(args);
    let mut set = |name: &str, value: String| {
        let variable = HashMap::from([("name".to_owned(), name.to_owned()), ("value".to_owned(), value)]);
        exec.env.get_or_insert_default().push(variable);
    };
    set(VARIABLE, stderr.file.path().display().to_string());
    if let Some(files) = descriptors::inherited() {
        set("BROW_PLUGIN_FILES", files.to_string());
    }
    if let Some(shim) = SHIM.get() {
        set("BROW_PLUGIN_SHIM", shim.display().to_string());
    }
}

/// The most that is shown of a command.
const SHOWN: usize = 160;

/// A plugin's command and arguments as the kubeconfig has them, for a person to know it by. What may be a secret is
/// left out.
pub fn shown(exec: &ExecConfig) -> String {
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["secret", "password", "token", "key", "credential"].iter().any(|word| name.contains(word))
    };
    let mut words = vec![exec.command.clone().unwrap_or_default()];
    let mut hidden = false;
    for arg in exec.args.iter().flatten() {
        let flag = arg.starts_with('-').then(|| arg.split_once('=').map_or(arg.as_str(), |(name, _)| name));
        words.push(match (flag, arg.contains('=')) {
            (Some(name), true) if is_secret(name) => format!("{name}=…"),
            (None, _) if hidden => "…".to_owned(),
            _ => arg.clone(),
        });
        hidden = flag.is_some_and(is_secret) && !arg.contains('=');
    }
    let all = brow_model::sanitize::line(&words.join(" ")).into_owned();
    if all.chars().count() > SHOWN { all.chars().take(SHOWN).chain(['…']).collect() } else { all }
}

/// The credential that a plugin returned.
pub struct Credential {
    pub token: Option<String>,
    /// PEM, as the key.
    pub certificate: Option<String>,
    pub key: Option<String>,
    /// The time at which it expires.
    pub expires: Option<DateTime<Utc>>,
}

/// A plugin's answer (`client.authentication.k8s.io`); what else it holds is not ours to judge.
#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<DateTime<Utc>>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// The longest answer that is read.
const LONGEST: u64 = 1 << 20;

/// Runs a plugin that was [tamed](tame), however long it takes; it ends when this is dropped.
///
/// # Errors
/// Why it brought no credential, in words that hold none of its output.
pub async fn run(exec: &ExecConfig) -> Result<Credential, String> {
    let command = exec.command.as_ref().ok_or("the kubeconfig names no command")?;
    let cluster = exec.cluster.as_ref().filter(|_| exec.provide_cluster_info);
    let mut spec = json!({ "interactive": false });
    if let Some(cluster) = cluster {
        spec["cluster"] = serde_json::to_value(cluster).map_err(|error| error.to_string())?;
    }
    let info = json!({ "apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec });
    let variables = exec.env.iter().flatten().filter_map(|entry| Some((entry.get("name")?, entry.get("value")?)));
    let mut child = Command::new(command)
        .args(exec.args.iter().flatten())
        .envs(variables)
        .env("KUBERNETES_EXEC_INFO", info.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(LONGEST).read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(status.to_string());
    }
    credential(&answer)
}

/// Reads an answer. It is JSON; client-go takes YAML as well, and some plugins write that.
fn credential(answer: &[u8]) -> Result<Credential, String> {
    let answer: ExecCredential = serde_saphyr::from_slice(answer).map_err(|error| {
        // Its words quote what may be a token.
        let place = error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column()));
        format!("what it printed is not a credential{}", place.unwrap_or_default())
    })?;
    let status = answer.status.ok_or("what it printed has no status")?;
    let Status { expiration_timestamp: expires, token, client_certificate_data, client_key_data } = status;
    let (certificate, key) = (client_certificate_data, client_key_data);
    if token.is_none() && (certificate.is_none() || key.is_none()) {
        return Err("what it printed holds neither a token nor a certificate with its key".to_owned());
    }
    Ok(Credential { token, certificate, key, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_without_its_secrets() {
        let of = |command: &str, args: &[&str]| {
            let args = args.iter().map(|arg| (*arg).to_owned()).collect();
            shown(&ExecConfig { command: Some(command.to_owned()), args: Some(args), ..exec() })
        };
        assert_eq!(of("aws", &["eks", "get-token", "--cluster-name", "x"]), "aws eks get-token --cluster-name x");
        assert_eq!(of("kubelogin", &["--client-secret", "sesame", "--id=1"]), "kubelogin --client-secret … --id=1");
        assert_eq!(of("kubelogin", &["--client-secret=sesame", "x"]), "kubelogin --client-secret=… x");
        let odd = of("a\u{1b}[2J\nb", &[]);
        assert!(brow_model::sanitize::is_line(&odd), "{odd:?}");
        assert_eq!(of("a", &["b"; 200]).chars().count(), SHOWN + 1);
    }

    fn exec() -> ExecConfig {
        serde_json::from_value(json!({})).unwrap()
    }

    #[test]
    fn credentials_are_read_from_json_and_yaml() {
        let json = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false},
            "status":{"token":"abc","expirationTimestamp":"2026-01-02T03:04:05Z"}}"#;
        let read = credential(json.as_bytes()).unwrap();
        assert_eq!((read.token.as_deref(), read.certificate.as_deref()), (Some("abc"), None));
        assert_eq!(read.expires, Some("2026-01-02T03:04:05Z".parse().unwrap()));
        let yaml = "status:\n  clientCertificateData: |\n    a\n  clientKeyData: b\n";
        let read = credential(yaml.as_bytes()).unwrap();
        assert_eq!((read.certificate.as_deref(), read.key.as_deref()), (Some("a\n"), Some("b")));
        assert_eq!(read.expires, None);
    }

    #[test]
    fn what_is_no_credential_is_told_without_a_word_of_it() {
        for (answer, says) in [
            ("sesame {[", "what it printed is not a credential"),
            (r#"{"status":{"token":["sesame"]}}"#, "what it printed is not a credential"),
            (r#"{"status":{"token":"sesame","expirationTimestamp":"sesame"}}"#, "is not a credential"),
            ("{}", "has no status"),
            (r#"{"status":{"clientKeyData":"sesame"}}"#, "neither a token nor a certificate"),
        ] {
            let words = credential(answer.as_bytes()).err().unwrap();
            assert!(words.contains(says) && !words.contains("sesame"), "{answer}: {words}");
        }
    }
}
