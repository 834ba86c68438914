//! Writes an archive of a file or folder of this machine, for a container.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ring::digest::{Context, SHA256};
use rustix::fs::OFlags;
use tar::{Builder, EntryType, Header};

use super::limits::{LeftOut, MAX_ENTRIES};
use super::unpack::{STAGED, hex};

/// The archive's last entry: the sums of its files, as `sha256sum -c` takes them. An archive without it was cut.
pub(super) const SUMS: &str = "sums";
/// The bits of a mode that are kept: not setuid, setgid and sticky.
const MODE: u32 = 0o777;

/// The path that could not be read, and why.
pub(super) type Unreadable = (PathBuf, io::Error);

/// The files and folders that are to be copied.
#[derive(Debug, Default)]
pub(super) struct Listing {
    items: Vec<Item>,
    /// The bytes of all files.
    pub total: u64,
    /// The number of files.
    pub files: usize,
    /// The special files that cannot be copied.
    pub left_out: LeftOut,
}

#[derive(Debug)]
struct Item {
    path: PathBuf,
    /// The path in the archive.
    name: PathBuf,
    about: Metadata,
}

impl Listing {
    /// Lists a file or folder: a link to one is followed, links in it are copied as links.
    ///
    /// # Errors
    /// Something that cannot be read.
    pub(super) fn new(from: &Path) -> Result<Self, Unreadable> {
        let mut listing = Self::default();
        let about = fs::metadata(from).map_err(|error| (from.to_owned(), error))?;
        if !about.is_dir() && !about.is_file() {
            return Err((from.to_owned(), io::Error::other("neither a file nor a folder")));
        }
        listing.add(Item { path: from.to_owned(), name: PathBuf::from(STAGED), about })?;
        Ok(listing)
    }

    /// Returns whether it is one of a folder.
    pub(super) fn is_folder(&self) -> bool {
        self.items.first().is_some_and(|item| item.about.is_dir())
    }

    fn add(&mut self, item: Item) -> Result<(), Unreadable> {
        let kind = item.about.file_type();
        if !kind.is_dir() && !kind.is_file() && !kind.is_symlink() {
            self.left_out.add(item.path.to_string_lossy().into_owned());
            return Ok(());
        }
        if self.items.len() >= MAX_ENTRIES {
            let words = format!("more than {MAX_ENTRIES} files and folders: copy its folders one by one");
            return Err((item.path, io::Error::other(words)));
        }
        let (path, name, folder) = (item.path.clone(), item.name.clone(), item.about.clone());
        if kind.is_file() {
            self.files += 1;
            self.total += item.about.len();
        }
        self.items.push(item);
        if kind.is_dir() {
            let unreadable = |error| (path.clone(), error);
            let mut entries =
                fs::read_dir(&path).map_err(unreadable)?.collect::<io::Result<Vec<_>>>().map_err(unreadable)?;
            entries.sort_by_key(fs::DirEntry::file_name);
            // A link that has taken its place leads elsewhere.
            let now = if self.items.len() == 1 { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
            same(&folder, &now.map_err(unreadable)?).map_err(unreadable)?;
            for entry in entries {
                let about = entry.metadata().map_err(|error| (entry.path(), error))?;
                self.add(Item { path: entry.path(), name: name.join(entry.file_name()), about })?;
            }
        }
        Ok(())
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// A file that cannot be read or shrinks meanwhile, or nobody takes the archive.
    pub(super) fn pack(&self, writer: impl Write, moved: &AtomicU64) -> Result<(), Unreadable> {
        let mut builder = Builder::new(writer);
        let mut sums = Vec::new();
        for Item { path, name, about } in &self.items {
            let unreadable = |error| (path.clone(), error);
            let mut header = Header::new_gnu();
            header.set_mode(about.mode() & MODE);
            header.set_mtime(u64::try_from(about.mtime()).unwrap_or_default());
            header.set_size(0);
            if about.is_dir() {
                header.set_entry_type(EntryType::Directory);
                builder.append_data(&mut header, name, io::empty()).map_err(unreadable)?;
            } else if about.is_symlink() {
                header.set_entry_type(EntryType::Symlink);
                let target = fs::read_link(path).map_err(unreadable)?;
                builder.append_link(&mut header, name, target).map_err(unreadable)?;
            } else {
                let file = open(path, about).map_err(unreadable)?;
                header.set_size(about.len());
                let mut reading = Reading { file: file.take(about.len()), sum: Context::new(&SHA256), moved };
                builder.append_data(&mut header, name, &mut reading).map_err(unreadable)?;
                if reading.file.limit() > 0 {
                    return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
                }
                add_sum(&mut sums, name, reading.sum);
            }
        }
        let here = |error| (PathBuf::from(SUMS), error);
        let mut header = Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(sums.len() as u64);
        builder.append_data(&mut header, SUMS, sums.as_slice()).map_err(here)?;
        builder.into_inner().and_then(|mut writer| writer.flush()).map_err(here)
    }
}

/// Opens a file that was listed. What has taken its place since may be a link to something that is not to be copied,
/// or a pipe, which would never end.
fn open(path: &Path, about: &Metadata) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    same(about, &file.metadata()?)?;
    Ok(file)
}

/// Checks that two are the same file or folder.
fn same(listed: &Metadata, now: &Metadata) -> io::Result<()> {
    let is_same = (listed.dev(), listed.ino(), listed.file_type()) == (now.dev(), now.ino(), now.file_type());
    let replaced = || io::Error::other("something else has taken its place while it was copied");
    if is_same { Ok(()) } else { Err(replaced()) }
}

/// Adds a line for `sha256sum -c`. Not every version of it knows how others escape a name.
fn add_sum(sums: &mut Vec<u8>, name: &Path, sum: Context) {
    let name = name.as_os_str().as_bytes();
    if !name.iter().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r')) {
        sums.extend_from_slice(hex(sum).as_bytes());
        sums.extend_from_slice(b"  ");
        sums.extend_from_slice(name);
        sums.push(b'\n');
    }
}

/// A file that is read, with the sum of what was.
struct Reading<'a> {
    file: io::Take<File>,
    sum: Context,
    moved: &'a AtomicU64,
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.sum.update(&buffer[..read]);
        self.moved.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_folder_is_packed_with_its_links_and_sums_and_without_setuid() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir_all(from.join("sub")).unwrap();
        let long = "n".repeat(200);
        fs::write(from.join("sub").join(&long), b"abc").unwrap();
        fs::write(from.join("odd\nname"), b"x").unwrap();
        fs::set_permissions(from.join("odd\nname"), fs::Permissions::from_mode(0o4755)).unwrap();
        symlink("/etc/passwd", from.join("link")).unwrap();
        let _pipe = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();

        let listing = Listing::new(&from).unwrap();
        assert_eq!((listing.is_folder(), listing.files, listing.total), (true, 2, 4));
        assert_eq!(listing.left_out.names, [from.join("socket").to_string_lossy()]);
        let (mut bytes, moved) = (Vec::new(), AtomicU64::new(0));
        listing.pack(&mut bytes, &moved).unwrap();
        assert_eq!(moved.into_inner(), 4);

        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut names = Vec::new();
        let mut sums = String::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            assert_eq!(entry.header().mode().unwrap() & !0o777, 0);
            if name == SUMS {
                entry.read_to_string(&mut sums).unwrap();
            }
            names.push((name, entry.header().entry_type()));
        }
        let long = format!("new/sub/{long}");
        assert_eq!(
            names,
            [
                ("new".to_owned(), EntryType::Directory),
                ("new/link".to_owned(), EntryType::Symlink),
                ("new/odd\nname".to_owned(), EntryType::Regular),
                ("new/sub".to_owned(), EntryType::Directory),
                (long.clone(), EntryType::Regular),
                (SUMS.to_owned(), EntryType::Regular),
            ]
        );
        assert_eq!(sums, format!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  {long}\n"));
    }

    #[test]
    fn what_takes_the_place_of_a_file_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("from/sub")).unwrap();
        fs::create_dir_all(at("secret")).unwrap();
        for path in ["from/key", "from/sub/key", "secret/key"] {
            fs::write(at(path), b"x").unwrap();
        }
        let refused = |listing: &Listing| {
            let mut out = Vec::new();
            let (path, error) = listing.pack(&mut out, &AtomicU64::new(0)).unwrap_err();
            assert!(error.to_string().contains("taken its place"), "{error}");
            path
        };
        let listing = Listing::new(&at("from")).unwrap();
        fs::remove_file(at("from/key")).unwrap();
        symlink(at("secret/key"), at("from/key")).unwrap();
        assert_eq!(refused(&listing), at("from/key"));
        // A folder above it, too.
        let listing = Listing::new(&at("from")).unwrap();
        fs::remove_dir_all(at("from/sub")).unwrap();
        symlink(at("secret"), at("from/sub")).unwrap();
        assert_eq!(refused(&listing), at("from/sub/key"));
    }

    #[test]
    fn a_file_that_shrinks_makes_no_whole_archive() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("log");
        fs::write(&from, b"0123456789").unwrap();
        let listing = Listing::new(&from).unwrap();
        assert!(!listing.is_folder());
        fs::write(&from, b"0").unwrap();
        let (at, error) = listing.pack(io::sink(), &AtomicU64::new(0)).unwrap_err();
        assert_eq!((at, error.kind()), (from, io::ErrorKind::UnexpectedEof));
    }
}
