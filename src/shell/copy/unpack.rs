//! Reads an archive from a container into a new folder that nobody else writes to.
//!
//! The container is not trusted: it may be broken into, and its `tar` be anything. Each entry has to lie below the file
//! or folder that was asked for, and the folders above it have to be folders that this made, no links. Symbolic links
//! are made only where they stay below it whatever else is there.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::limits::{LeftOut, MAX_ENTRIES};
use ring::digest::{Context, SHA256};
use tar::{Archive, Entry, EntryType};

/// The name in the staging folder of what is copied.
pub(super) const STAGED: &str = "new";
/// The name for all that is in a folder, rather than for something in it.
pub(super) const ALL: &str = ".";
/// The most bytes between two entries: headers, long names, the rest of a block.
const MAX_HEADERS: u64 = 1 << 20;
const READ_SIZE: usize = 64 * 1024;
/// The bits of a mode that are kept: not setuid, setgid and sticky.
const MODE: u32 = 0o777;

/// The reason why an archive is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// An entry breaks a rule.
    #[error("{0}: {1:?}")]
    Entry(String, Rule),
    /// It is a symbolic link to this itself.
    #[error("a link to {0}")]
    IsLink(String),
    /// It is a device, a pipe or a socket.
    #[error("not a file")]
    IsSpecial,
    /// It has more entries than are taken: so many.
    #[error("more than {0} entries")]
    TooMany(usize),
    /// It ends too early, or is no archive.
    #[error("{0}")]
    Broken(String),
    /// It could not be written on this machine.
    #[error("{0}: {1}")]
    Here(PathBuf, io::Error),
}

/// A rule for entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It lies outside of what was asked for.
    Outside,
    /// It lies behind a link or a file.
    Behind,
    /// Something of its name has come already.
    Twice,
    /// It is a hard link to what is no file of the archive.
    HardLink,
    /// It is a sparse file: few bytes could fill the disk.
    Sparse,
}

/// The files and folders that an archive had.
#[derive(Debug, Default)]
pub struct Unpacked {
    pub is_folder: bool,
    /// The files, by their path below it, and their sha256.
    pub files: BTreeMap<PathBuf, String>,
    pub left_out: LeftOut,
}

/// Reads an archive of `name` into the folder `staging`, as [`STAGED`].
///
/// # Errors
/// The archive breaks a rule or is broken, or the disk takes no more.
pub(super) fn unpack(reader: impl Read, name: &OsStr, staging: &Path, moved: &AtomicU64) -> Result<Unpacked, Refusal> {
    let room = Rc::new(Cell::new(MAX_HEADERS));
    let mut archive = Archive::new(Bounded { reader, room: Rc::clone(&room) });
    let broken = |error: io::Error| Refusal::Broken(error.to_string());
    let mut unpacking = Unpacking { name, root: staging.join(STAGED), moved, unpacked: Unpacked::default() };
    for (at, entry) in archive.entries().map_err(broken)?.enumerate() {
        if at >= MAX_ENTRIES {
            return Err(Refusal::TooMany(MAX_ENTRIES));
        }
        let mut entry = entry.map_err(broken)?;
        // Only headers are limited: the disk limits the contents.
        room.set(u64::MAX);
        unpacking.take(&mut entry)?;
        room.set(MAX_HEADERS);
    }
    let Ok(made) = unpacking.root.symlink_metadata() else {
        return Err(Refusal::Broken("the archive is empty".to_owned()));
    };
    Ok(Unpacked { is_folder: made.is_dir(), ..unpacking.unpacked })
}

/// A reader of at most so many bytes.
struct Bounded<R> {
    reader: R,
    room: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let room = self.room.get().checked_sub(read as u64);
        self.room.set(room.ok_or_else(|| io::Error::other("a header is too long"))?);
        Ok(read)
    }
}

struct Unpacking<'a> {
    name: &'a OsStr,
    root: PathBuf,
    moved: &'a AtomicU64,
    unpacked: Unpacked,
}

impl Unpacking<'_> {
    fn take<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), Refusal> {
        let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let breaks = |rule| Refusal::Entry(shown.clone(), rule);
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        let path = self.inside(&entry.path_bytes()).ok_or_else(|| breaks(Rule::Outside))?;
        let is_root = path.as_os_str().is_empty();
        let at = if is_root { self.root.clone() } else { self.root.join(&path) };
        if !is_root && !self.has_folder(&path).map_err(|error| Refusal::Here(at.clone(), error))? {
            return Err(breaks(Rule::Behind));
        }
        let bits = entry.header().mode().unwrap_or(0o644) & MODE;
        let made = match kind {
            EntryType::Directory => make_folder(&at, bits),
            EntryType::Regular | EntryType::Continuous => {
                let file = OpenOptions::new().write(true).create_new(true).mode(bits).open(&at);
                file.map_err(|error| or_twice(error, &at, breaks))
                    .and_then(|file| self.fill(file, &at, entry))
                    .map(|sum| _ = self.unpacked.files.insert(path, sum))?;
                return Ok(());
            }
            EntryType::Link => {
                let target = self.inside(&entry.link_name_bytes().unwrap_or_default());
                let known = target.and_then(|target| self.unpacked.files.get_key_value(&target));
                let (target, sum) = known.filter(|_| !is_root).ok_or_else(|| breaks(Rule::HardLink))?;
                let (target, sum) = (self.root.join(target), sum.clone());
                self.unpacked.files.insert(path, sum);
                fs::hard_link(target, &at)
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = Path::new(OsStr::from_bytes(&target));
                if is_root {
                    return Err(Refusal::IsLink(target.to_string_lossy().into_owned()));
                }
                if !stays_inside(&path, target) {
                    self.unpacked.left_out.add(format!("{shown} → {}", target.display()));
                    return Ok(());
                }
                symlink(target, &at)
            }
            EntryType::GNUSparse => return Err(breaks(Rule::Sparse)),
            _ if is_root => return Err(Refusal::IsSpecial),
            _ => {
                self.unpacked.left_out.add(shown);
                return Ok(());
            }
        };
        made.map_err(|error| or_twice(error, &at, breaks))
    }

    /// Returns an entry's path below what was asked for; `None` for one that does not lie there.
    fn inside(&self, path: &[u8]) -> Option<PathBuf> {
        let mut parts = Path::new(OsStr::from_bytes(path)).components().filter(|part| *part != Component::CurDir);
        if self.name != ALL && parts.next()? != Component::Normal(self.name) {
            return None;
        }
        parts.map(|part| matches!(part, Component::Normal(_)).then_some(part)).collect()
    }

    /// Makes the folders above an entry that are missing; returns false where one of them is none.
    fn has_folder(&self, path: &Path) -> io::Result<bool> {
        let above = path.parent().into_iter().flat_map(Path::ancestors).collect::<Vec<_>>();
        for folder in above.into_iter().rev() {
            let folder = if folder.as_os_str().is_empty() { self.root.clone() } else { self.root.join(folder) };
            match fs::symlink_metadata(&folder) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Ok(false),
                Err(error) if error.kind() == ErrorKind::NotFound => make_folder(&folder, 0o755)?,
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Writes the contents of a file; returns their sha256.
    fn fill<R: Read>(&self, mut file: File, at: &Path, entry: &mut Entry<'_, R>) -> Result<String, Refusal> {
        let mut sum = Context::new(&SHA256);
        let mut buffer = vec![0; READ_SIZE];
        let mut left = entry.size();
        while left > 0 {
            let read = entry.read(&mut buffer).map_err(|error| Refusal::Broken(error.to_string()))?;
            if read == 0 {
                return Err(Refusal::Broken("the archive ends within a file".to_owned()));
            }
            file.write_all(&buffer[..read]).map_err(|error| Refusal::Here(at.to_owned(), error))?;
            sum.update(&buffer[..read]);
            self.moved.fetch_add(read as u64, Ordering::Relaxed);
            left = left.saturating_sub(read as u64);
        }
        Ok(hex(sum))
    }
}

/// Makes a folder that its owner can change; one that is there already will do.
fn make_folder(at: &Path, bits: u32) -> io::Result<()> {
    match DirBuilder::new().mode(bits | 0o700).create(at) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && at.symlink_metadata()?.is_dir() => Ok(()),
        made => made,
    }
}

fn or_twice(error: io::Error, at: &Path, breaks: impl FnOnce(Rule) -> Refusal) -> Refusal {
    if error.kind() == ErrorKind::AlreadyExists {
        return breaks(Rule::Twice);
    }
    Refusal::Here(at.to_owned(), error)
}

/// Returns whether a symbolic link leads to something below the folder that is copied, whatever is there: it climbs
/// only at its beginning, from folders that are no links themselves.
fn stays_inside(path: &Path, target: &Path) -> bool {
    let depth = path.components().count() - 1;
    let climbs = target.components().take_while(|part| *part == Component::ParentDir).count();
    let goes_down = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    !target.as_os_str().is_empty() && climbs <= depth && target.components().skip(climbs).all(goes_down)
}

/// Returns a digest as sha256sum writes it.
pub(super) fn hex(sum: Context) -> String {
    sum.finish().as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string does not fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
