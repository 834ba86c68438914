//! The practice cluster's own files: a kubeconfig, a config with targets to try, and a place for state, in a temporary
//! directory that nobody else can read and that goes with the program.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, getuid, test_kill_process};
use tempfile::TempDir;

use super::users::User;

/// The prefix of the directories' names, followed by the process id and random characters.
const PREFIX: &str = "brow-practice-";

/// The contexts: name, user, namespace.
const CONTEXTS: [(&str, Option<User>, &str); 4] = [
    ("practice", Some(User::Sailor), "shop"),
    ("practice-team", Some(User::Team), "shop"),
    ("practice-viewer", Some(User::Viewer), "shop"),
    ("practice-down", None, "default"),
];

pub(super) struct Files {
    dir: TempDir,
}

impl Files {
    /// Makes the directory, and sweeps away those whose program was killed.
    pub(super) fn new() -> io::Result<Self> {
        sweep(&std::env::temp_dir());
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let dir = tempfile::Builder::new().prefix(&prefix).permissions(fs::Permissions::from_mode(0o700)).tempdir()?;
        let files = Self { dir };
        write(&files.config(), include_str!("../assets/practice.toml"))?;
        fs::create_dir(files.state())?;
        Ok(files)
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.dir.path().join("brow")
    }

    /// Writes the kubeconfig. No token is sent over plain HTTP, by kubectl or by us, but what a URL says is: the user
    /// stands in the server's address. `port` is the API server's, at `down` nobody listens.
    pub(super) fn write_kubeconfig(&self, port: u16, down: u16, tokens: &[(String, User)]) -> io::Result<()> {
        let mut users = String::from("users:\n");
        for (_, user) in tokens {
            let line = format!("- {{name: {}, user: {{}}}}\n", user.name());
            users.push_str(&line);
        }
        let (mut clusters, mut contexts) = (String::from("clusters:\n"), String::from("contexts:\n"));
        for (name, user, namespace) in CONTEXTS {
            let token = tokens.iter().find(|(_, own)| Some(*own) == user);
            let login = token.map(|(token, user)| format!("{}:{token}@", user.name())).unwrap_or_default();
            let port = if user.is_some() { port } else { down };
            let line = format!("- {{name: {name}, cluster: {{server: \"http://{login}127.0.0.1:{port}\"}}}}\n");
            clusters.push_str(&line);
            let user = user.unwrap_or(User::Sailor).name();
            let line =
                format!("- {{name: {name}, context: {{cluster: {name}, user: {user}, namespace: {namespace}}}}}\n");
            contexts.push_str(&line);
        }
        let head = "apiVersion: v1\nkind: Config\ncurrent-context: practice\n";
        write(&self.kubeconfig(), &[head, &clusters, &users, &contexts].concat())
    }

    /// Removes everything.
    pub(super) fn remove(self) -> io::Result<()> {
        self.dir.close()
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// Removes the directories of ours whose process is no more. What cannot be removed is left to the system.
fn sweep(temp: &Path) {
    for entry in fs::read_dir(temp).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else { continue };
        let ours = entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == getuid().as_raw());
        if ours && test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            let _left = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_program_left_is_swept_away_and_nothing_else() {
        let temp = TempDir::new().unwrap();
        // Above the highest number that a process can have (`PID_MAX_LIMIT`).
        let dead = temp.path().join(format!("{PREFIX}4194999-abc"));
        let live = temp.path().join(format!("{PREFIX}{}-abc", std::process::id()));
        let other = temp.path().join("brow-other-4194999-abc");
        for dir in [&dead, &live, &other] {
            fs::create_dir(dir).unwrap();
        }
        sweep(temp.path());
        assert!(!dead.exists() && live.exists() && other.exists());
    }
}
