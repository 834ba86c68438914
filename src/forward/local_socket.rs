//! A Unix socket that a forward listens on: its path, and its file from creation to removal.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpStream, UnixListener, UnixStream};

use super::connections::Origin;
use brow_model::fault::{Fault, What};

/// The number of attempts to lock a directory, and the pause in between: an instance holds it for far less than these
/// 100 ms.
const LOCK_TRIES: usize = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A socket that listens. Its file is removed with this.
#[derive(Debug)]
pub(super) struct LocalSocket {
    /// Removed before the listener closes, so that nobody finds a stale one.
    file: SocketFile,
    listener: UnixListener,
}

/// The file of a socket of ours.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// The device and inode that tell it from what another program puts in its place.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity) {
            let _gone = fs::remove_file(&self.path);
        }
    }
}

impl LocalSocket {
    /// Accepts a connection.
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, Origin)> {
        let (stream, _) = self.listener.accept().await?;
        let user = stream.peer_cred()?;
        let pid = user.pid().map(i32::cast_unsigned);
        Ok((as_tcp(stream)?, Origin::Socket { uid: user.uid(), pid }))
    }

    /// Returns the path of its file.
    pub(super) fn path(&self) -> String {
        self.file.path.display().to_string()
    }
}

/// Returns the stream as the type in which connections are moved. Both are stream sockets, and what is asked of them
/// (to send, to receive, to tell when they are ready, to shut down) is the same; options of TCP fail.
fn as_tcp(stream: UnixStream) -> io::Result<TcpStream> {
    TcpStream::from_std(OwnedFd::from(stream.into_std()?).into())
}

/// Listens on a socket at a path of the config, with mode 0600. Its directory is created with mode 0700. A socket on
/// which nobody listens any more is replaced.
///
/// # Errors
/// A fault that says why not: among others, another program listens there, or the file is no socket of this user.
pub(super) fn bind(path: &str) -> Result<LocalSocket, Fault> {
    let fault = |why: String| Fault::new(What::ListenFailed, path, why);
    let Some(place) = expanded(path, |name| std::env::var_os(name)) else {
        return Err(fault("a path begins with /, ~/ or $XDG_RUNTIME_DIR/, which must be set".to_owned()));
    };
    listen(&place).map_err(|error| fault(error.to_string()))
}

/// The path with `~` and `$XDG_RUNTIME_DIR` at its beginning filled in; `None` where it is not absolute then.
fn expanded(path: &str, env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let within = |name, rest| env(name).map(|dir| PathBuf::from(dir).join(rest));
    let place = match path.split_once('/') {
        Some(("~", rest)) => within("HOME", rest)?,
        Some(("$XDG_RUNTIME_DIR", rest)) => within("XDG_RUNTIME_DIR", rest)?,
        Some(_) | None => PathBuf::from(path),
    };
    place.is_absolute().then_some(place)
}

fn listen(path: &Path) -> io::Result<LocalSocket> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("it is a directory"));
    };
    // It gets its name once it listens, so that nobody takes it for a stale one; the first name is a byte longer.
    let making = dir.join([".".as_ref(), name].into_iter().collect::<OsString>());
    if SockAddr::unix(&making).is_err() {
        let length = path.as_os_str().len();
        return Err(io::Error::other(format!("the path has {length} bytes, more than the system takes for a socket")));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    check(dir)?;
    // One instance at a time, where the file system has locks. Whoever holds this one for longer is none of ours.
    let lock = File::open(dir)?;
    for _ in 0..LOCK_TRIES {
        if !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    make_way(path)?;
    make_way(&making)?;
    let listener = UnixListener::bind(&making)?;
    let found = fs::symlink_metadata(&making)?;
    let mut file = SocketFile { path: making, identity: (found.dev(), found.ino()) };
    fs::set_permissions(&file.path, Permissions::from_mode(0o600))?;
    fs::rename(&file.path, path)?;
    path.clone_into(&mut file.path);
    Ok(LocalSocket { file, listener })
}

/// Checks that nobody else may put another socket into a directory.
fn check(dir: &Path) -> io::Result<()> {
    let found = fs::metadata(dir)?;
    if found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::other("its directory must be your own, and nobody else may write there"));
    }
    Ok(())
}

/// Removes what is at a path if it is a socket of ours on which nobody listens.
fn make_way(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() || found.uid() != geteuid().as_raw() {
        return Err(io::Error::other("there is a file that is not a socket of yours"));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Its queue is full.
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        Ok(()) | Err(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens there")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn refused(path: &Path) -> String {
        bind(path.to_str().unwrap()).expect_err("refused").detail
    }

    #[tokio::test]
    async fn the_file_is_ours_alone_and_goes_with_the_socket() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("deep/er/db.sock");
        let socket = bind(path.to_str().unwrap()).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap()), &socket.file.path), (0o600, 0o700, &path));
        let client = UnixStream::connect(&path).await.unwrap();
        let (_stream, Origin::Socket { uid, pid }) = socket.accept().await.unwrap() else { panic!("a port") };
        assert_eq!(uid, geteuid().as_raw());
        assert!(pid.is_none_or(|pid| pid == std::process::id()));
        drop((client, socket));
        assert!(!path.exists());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("db.sock");
        // An instance that was killed leaves its file.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let live = bind(path.to_str().unwrap()).unwrap();
        assert!(refused(&path).contains("another program listens there"));
        // Another's file in its place stays when this one goes.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        drop(live);
        assert!(refused(&path).contains("not a socket"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        fs::remove_file(&path).unwrap();
        let linked = home.path().join("linked");
        drop(std::os::unix::net::UnixListener::bind(&linked).unwrap());
        std::os::unix::fs::symlink(&linked, &path).unwrap();
        assert!(refused(&path).contains("not a socket"), "a link leads elsewhere");
        assert!(linked.exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_who_take_a_path_one_gets_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("db.sock");
        for _ in 0..20 {
            let tries: Vec<_> = (0..8)
                .map(|_| {
                    let path = path.display().to_string();
                    tokio::task::spawn_blocking(move || bind(&path).ok())
                })
                .collect();
            let mut got = Vec::new();
            for one in tries {
                got.extend(one.await.unwrap());
            }
            assert_eq!(got.len(), 1, "the others are told that it is taken");
            UnixStream::connect(&path).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_place_that_will_not_do_is_told() {
        let home = tempfile::tempdir().unwrap();
        assert!(refused(&home.path().join("x".repeat(200))).contains("bytes, more than"));
        let open = home.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        assert!(refused(&open.join("db.sock")).contains("nobody else may write"));
        assert!(refused(Path::new("relative/db.sock")).contains("begins with"));
    }

    #[test]
    fn home_and_runtime_directory_are_filled_in() {
        let env = |name: &str| match name {
            "HOME" => Some("/home/me".into()),
            _ => None,
        };
        let place = |path| expanded(path, env).map(|path| path.display().to_string());
        assert_eq!(place("~/db.sock").as_deref(), Some("/home/me/db.sock"));
        assert_eq!(place("/run/db.sock").as_deref(), Some("/run/db.sock"));
        assert_eq!(expanded("$XDG_RUNTIME_DIR/a", |_| Some("/run/user/1".into())), Some("/run/user/1/a".into()));
        for wrong in ["$XDG_RUNTIME_DIR/db.sock", "db.sock", "./db.sock", "~other/db.sock", ""] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
