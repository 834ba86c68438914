//! Liveness of instances: each holds a file lock until its process ends.
//!
//! A refused connection is no proof that an instance has ended: macOS also refuses connections to a suspended one whose
//! queue is full. Nor is its process id, which the system reuses.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::{Pid, test_kill_process};

use super::name::pid_of;

/// The lock of a running instance; its file is removed with this.
pub(super) struct LockFile {
    path: PathBuf,
    _lock: File,
}

impl LockFile {
    /// Takes the lock of the instance of that name.
    ///
    /// # Errors
    /// Where there can be no file or no lock.
    pub(super) fn new(dir: &Path, name: &str) -> io::Result<Self> {
        let path = file(dir, name);
        let lock = open(&path, true)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.path);
    }
}

/// Returns true if the named instance has certainly ended.
pub(super) fn has_ended(dir: &Path, name: &str) -> bool {
    match open(&file(dir, name), false) {
        // It is released at once, with the file.
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockShared).is_ok(),
        // Earlier versions have no lock.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let pid = i32::try_from(pid_of(name)).ok().and_then(Pid::from_raw);
            pid.is_none_or(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
        }
        Err(_) => false,
    }
}

/// Removes the socket of an instance that has ended, and then its lock, which proves that it has.
pub(super) fn sweep(dir: &Path, name: &str, socket: &Path) {
    // Somebody else may have been faster.
    let _gone = (fs::remove_file(socket), fs::remove_file(file(dir, name)));
}

fn file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!(".{name}.lock"))
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(create).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options.open(path)
}
