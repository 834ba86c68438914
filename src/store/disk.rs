//! Files that are never half written and that two instances may write: temporary file, fsync, rename; an advisory
//! lock beside the file.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::fs::{Access, FlockOperation, OFlags, access, flock};

use brow_model::fault::{Fault, What};

use super::config::problem::line_column;
use super::limited;

/// The longest wait for another instance's lock, which is held for one read and one write.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// As many symlinks as Linux follows (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// A fault for a file that cannot be written.
pub fn unwritable(path: &Path, error: &io::Error) -> Fault {
    Fault::new(What::FileUnwritable, path.display().to_string(), error.to_string())
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::new(What::FileUnreadable, path.display().to_string(), error.to_string())
}

/// The text of a file; `None` where there is no file.
///
/// # Errors
/// [`What::FileUnreadable`], and [`What::ConfigBroken`] for a file that is not UTF-8, naming the place.
pub fn read(path: &Path) -> Result<Option<String>, Fault> {
    let bytes = match limited::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    utf8(path, bytes).map(Some)
}

/// Decodes a file's bytes.
///
/// # Errors
/// [`What::ConfigBroken`] for what is not UTF-8, naming the place.
pub fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String, Fault> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default());
        let (line, column) = line_column(&text, valid);
        Fault::new(What::ConfigBroken, format!("{}:{line}:{column}", path.display()), "not UTF-8 text")
    })
}

/// Follows symlinks to the file that a path means, even if that file does not exist yet. A write replaces that file,
/// not the link.
///
/// # Errors
/// [`What::FileUnreadable`] for links that go in a circle.
pub fn resolve(path: &Path) -> Result<PathBuf, Fault> {
    let mut file = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(link) = fs::read_link(&file) else {
            // Not a link, or not there: its directory may still be behind links, and a lock must not be in two places.
            let Some((dir, name)) = file.parent().zip(file.file_name()) else { return Ok(file) };
            return Ok(fs::canonicalize(dir).map_or_else(|_| file.clone(), |dir| dir.join(name)));
        };
        file = file.parent().unwrap_or(Path::new("/")).join(link);
    }
    Err(Fault::new(What::FileUnreadable, path.display().to_string(), "too many symbolic links"))
}

/// Creates a directory and its parents with mode 0700; existing ones keep their mode.
///
/// # Errors
/// [`What::FileUnwritable`].
pub fn make_dir(dir: &Path) -> Result<(), Fault> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| unwritable(dir, &error))
}

/// Flags for opening a file, as the standard library takes them.
pub fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(suffix);
    path.with_file_name(name)
}

/// Returns true for the lock files and temporary files of this module.
pub fn is_ours(path: &Path) -> bool {
    let hidden = path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with('.'));
    hidden && path.extension().is_some_and(|extension| extension == "lock" || extension == "tmp")
}

/// An exclusive lock on a file. It ends with the process, however that ends.
#[derive(Debug)]
pub struct Locked {
    path: PathBuf,
    _lock: File,
    // Dropped after the lock.
    _turn: Turn,
}

/// The lock files that this process holds or is about to.
static IN_TURN: (Mutex<BTreeSet<PathBuf>>, Condvar) = (Mutex::new(BTreeSet::new()), Condvar::new());

/// The turn of a thread of this process at a lock file. Its own threads wait here for each other, however many there
/// are; only another instance is waited for with a limit.
#[derive(Debug)]
struct Turn(PathBuf);

impl Turn {
    fn wait(lock: &Path) -> Self {
        let (held, freed) = &IN_TURN;
        let mut held = held.lock();
        freed.wait_while(&mut held, |held| held.contains(lock));
        held.insert(lock.to_owned());
        Self(lock.to_owned())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (held, freed) = &IN_TURN;
        held.lock().remove(&self.0);
        freed.notify_all();
    }
}

impl Locked {
    /// Locks `path` (as [`resolve`] gives it), waiting for another instance; makes the directory where it is missing.
    ///
    /// # Errors
    /// [`What::FileUnwritable`].
    pub fn new(path: &Path) -> Result<Self, Fault> {
        Self::by(path, &sibling(path, ".lock"))
    }

    /// Locks a file that a person keeps, by a file in the directory `locks`: beside it there may be a repository, or a
    /// folder that is synchronised, where a lock has no place.
    ///
    /// # Errors
    /// [`What::FileUnwritable`].
    pub fn from_afar(path: &Path, locks: &Path) -> Result<Self, Fault> {
        // FNV-1a, 64 bits: the same in every version, which may run side by side.
        let byte = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = path.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, byte);
        let afar = locks.join(format!(".config-{hash:016x}.lock"));
        // Whoever cannot keep a state can still save a config.
        let can = make_dir(locks).is_ok() && open_lock(&afar).is_ok();
        if can { Self::by(path, &afar) } else { Self::new(path) }
    }

    fn by(path: &Path, beside: &Path) -> Result<Self, Fault> {
        for dir in [path, beside].into_iter().filter_map(Path::parent) {
            make_dir(dir)?;
        }
        let turn = Turn::wait(beside);
        let lock = open_lock(beside).map_err(|error| unwritable(path, &error))?;
        let since = Instant::now();
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { path: path.to_owned(), _lock: lock, _turn: turn }),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) if since.elapsed() < LOCK_TIMEOUT => {
                    sleep(Duration::from_millis(5));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let says =
                        format!("another instance has held {} for {} s", beside.display(), LOCK_TIMEOUT.as_secs());
                    return Err(Fault::new(What::FileUnwritable, path.display().to_string(), says));
                }
                Err(error) => return Err(unwritable(path, &error.into())),
            }
        }
    }

    /// Replaces the file's text atomically. A new file has mode 0600; an existing one keeps its mode.
    ///
    /// # Errors
    /// [`What::FileUnwritable`]; the file is then as it was.
    pub fn write(&self, text: &str) -> Result<(), Fault> {
        self.replace(text.as_bytes()).map_err(|error| unwritable(&self.path, &error))
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let there = match fs::metadata(&self.path) {
            Ok(there) => {
                // A rename would get round a file that was made read-only on purpose.
                access(&self.path, Access::WRITE_OK)?;
                Some(there)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mode = there.as_ref().map_or(0o600, |there| there.permissions().mode() & 0o777);
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        let prefix = sibling(&self.path, ".");
        let mut temporary = tempfile::Builder::new()
            .prefix(prefix.file_name().unwrap_or_default())
            .suffix(".tmp")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(dir)?;
        temporary.write_all(bytes)?;
        if let Some(there) = there {
            // Run by root, it must not take a person's file away from them; others may not give theirs away.
            _ = fchown(temporary.as_file(), Some(there.uid()), Some(there.gid()));
        }
        temporary.as_file().set_permissions(Permissions::from_mode(mode))?;
        sync(temporary.as_file())?;
        temporary.persist(&self.path).map_err(|error| error.error)?;
        // The rename itself lasts once the directory is on the disk. Where that fails the text is in its place all the
        // same: to say that it was not saved would be wrong.
        _ = File::open(dir).and_then(|dir| sync(&dir));
        Ok(())
    }
}

/// Opens a lock file, making it where it is missing.
fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // Where somebody else has put a link, the lock would be made wherever it leads.
        .custom_flags(flags(OFlags::NOFOLLOW))
        .open(path)
}

/// Waits until a file is on the disk. macOS has a stronger call for it (`F_FULLFSYNC`), which some volumes do not know:
/// network shares, disks of cameras.
fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if is_unknown(&error) => Ok(rustix::fs::fsync(file)?),
        done => done,
    }
}

/// Returns true if an error means that the call is not supported, rather than that the disk failed.
fn is_unknown(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let of = |known: Errno| error.raw_os_error() == Some(known.raw_os_error());
    [Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOTTY, Errno::INVAL, Errno::NOSYS].into_iter().any(of)
}

/// Deletes temporary files that a killed writer left beside `path`, under the lock that `locked` takes. Errors are
/// harmless.
pub fn sweep(path: &Path, locked: impl FnOnce(&Path) -> Result<Locked, Fault>) {
    let leftovers = || -> Vec<PathBuf> {
        let prefix = sibling(path, ".");
        let prefix = prefix.file_name().unwrap_or_default().as_encoded_bytes();
        let Some(Ok(entries)) = path.parent().map(fs::read_dir) else { return Vec::new() };
        let ours = |file: &PathBuf| {
            let name = file.file_name().unwrap_or_default().as_encoded_bytes();
            name.starts_with(prefix) && file.extension().is_some_and(|extension| extension == "tmp")
        };
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(ours).collect()
    };
    // Under the lock nobody is writing: what is still there is nobody's.
    if leftovers().is_empty() {
        return;
    }
    if let Ok(_lock) = locked(path) {
        for leftover in leftovers() {
            _ = fs::remove_file(leftover);
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_call_that_a_volume_does_not_know_is_told_from_a_disk_that_fails() {
        for (errno, unknown) in [
            (Errno::NOTSUP, true),
            (Errno::NOTTY, true),
            (Errno::INVAL, true),
            (Errno::IO, false),
            (Errno::NOSPC, false),
            (Errno::DQUOT, false),
        ] {
            assert_eq!(is_unknown(&errno.into()), unknown, "{errno:?}");
        }
    }
}
