//! Whether an instance still runs: it holds a lock for as long as it does, whatever ends it.
//!
//! That nobody answers at its socket does not say so: macOS refuses connections to an instance that is suspended, too,
//! once its queue is full. Nor does its process id, which the system gives to others later.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::{Pid, test_kill_process};

use super::pid_of;

/// The lock of a running instance; its file is removed with this.
pub(super) struct Alive {
    path: PathBuf,
    _lock: File,
}

impl Alive {
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

impl Drop for Alive {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.path);
    }
}

/// Whether the instance of that name has ended for sure.
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

/// Removes what an instance that has ended left: its socket first, as the lock is what tells that it has.
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
