//! The instances' sockets and their directory: finding them, connecting to one, and listening on one of our own.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::lock_file::{LockFile, has_ended, sweep};
use super::name::is_name;

/// The extension of the sockets' names.
pub(super) const SOCKET: &str = "sock";

/// Connects to an instance. The socket of one that has ended is removed. One that runs and refuses is reported as timed
/// out: it is suspended, and its queue is full.
pub(super) async fn connect(dir: &Path, name: &str) -> io::Result<UnixStream> {
    let path = dir.join(name).with_extension(SOCKET);
    let connected = UnixStream::connect(&path).await;
    match connected.as_ref().map_err(io::Error::kind) {
        Err(ErrorKind::ConnectionRefused) if has_ended(dir, name) => sweep(dir, name, &path),
        // macOS says the former of a queue that is full, Linux the latter.
        Err(ErrorKind::ConnectionRefused | ErrorKind::WouldBlock) => return Err(ErrorKind::TimedOut.into()),
        _ => {}
    }
    connected
}

/// The names of the instances that have a socket.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let name = |path: PathBuf| {
        let name = path.file_stem()?.to_str()?.to_owned();
        (path.extension()? == SOCKET && is_name(&name)).then_some(name)
    };
    entries.filter_map(|entry| name(entry.path())).collect()
}

/// Creates the directory with mode 0700.
pub(super) fn prepare(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    check(dir)
}

/// Checks that the directory is ours alone, and not a link.
pub(super) fn check(dir: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() || found.uid() != rustix::process::getuid().as_raw() || found.mode() & 0o077 != 0 {
        return Err(io::Error::other("it must be your own directory with mode 0700"));
    }
    Ok(())
}

/// The socket's file, removed with this, and then the lock.
pub(super) struct Socket {
    path: PathBuf,
    _lock_file: Option<LockFile>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.path);
    }
}

/// Listens on a socket of our own. It is renamed into place once it listens, so that nobody takes it for a stale one.
pub(super) fn listen(dir: &Path, name: &str) -> io::Result<(UnixListener, Socket)> {
    let lock_file = LockFile::new(dir, name)?;
    let making = Socket { path: dir.join(format!(".{name}")), _lock_file: None };
    let listener = UnixListener::bind(&making.path)?;
    fs::set_permissions(&making.path, fs::Permissions::from_mode(0o600))?;
    let socket = Socket { path: dir.join(name).with_extension(SOCKET), _lock_file: Some(lock_file) };
    fs::rename(&making.path, &socket.path)?;
    Ok((listener, socket))
}
