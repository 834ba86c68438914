//! The file itself, and its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::redact;
use brow_model::sanitize;

/// The size at which the file is renamed to the previous one, and a new one begins.
const MAX_FILE: u64 = 4 << 20;
/// The most bytes of one event that are kept: a longer one has quoted what a server sent.
const MAX_FIELD: usize = 4 << 10;

/// The file before the current one.
pub fn before(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

/// A file that becomes another one when it is full. Each write is an event, and becomes a line. Several instances may
/// write to the same one.
pub(super) struct Rotating {
    path: PathBuf,
    file: File,
    largest: u64,
    addresses: bool,
}

impl Rotating {
    pub(super) fn open(path: &Path, addresses: bool) -> io::Result<Self> {
        // Whoever writes may go elsewhere later.
        let path = std::path::absolute(path)?;
        Ok(Self { file: open(&path)?, path, largest: MAX_FILE, addresses })
    }

    /// Opens the file anew where another instance has begun a new one, or it has been taken away.
    fn follow(&mut self) -> io::Result<()> {
        let there = fs::symlink_metadata(&self.path).ok().map(|data| (data.dev(), data.ino()));
        let ours = self.file.metadata()?;
        if there != Some((ours.dev(), ours.ino())) {
            self.file = open(&self.path)?;
        }
        Ok(())
    }
}

/// Opens a file to append to; it is its owner's alone, and no link to somewhere else.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

impl Write for Rotating {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = redact(&sanitize::line(text.trim_end()), self.addresses);
        line.truncate(line.floor_char_boundary(MAX_FIELD));
        line.push('\n');
        self.follow()?;
        let size = self.file.metadata()?.len();
        if size > 0 && size + line.len() as u64 > self.largest {
            fs::rename(&self.path, before(&self.path))?;
            self.file = open(&self.path)?;
        }
        self.file.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::sanitize::{HOSTILE, is_safe};

    #[test]
    fn the_file_is_bounded_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("brow.log");
        fs::write(&path, "from before\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        // Two instances write to it.
        let mut both = [Rotating::open(&path, false).unwrap(), Rotating::open(&path, false).unwrap()];
        for one in &mut both {
            one.largest = 200;
        }
        for at in 0..100 {
            both[at % 2].write_all(format!("event {at}\n").as_bytes()).unwrap();
        }
        for file in [&path, &before(&path)] {
            let data = fs::metadata(file).unwrap();
            assert!(data.len() <= 200, "{}", data.len());
            assert_eq!(data.permissions().mode() & 0o777, 0o600);
        }
        let end = [before(&path), path].map(|path| fs::read_to_string(path).unwrap()).concat();
        let events: Vec<&str> = end.lines().collect();
        let last: Vec<String> = (100 - events.len()..100).map(|at| format!("event {at}")).collect();
        assert_eq!(events, last, "nothing of the end is missing");
        assert!(events.len() > 20, "{events:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn an_event_is_a_line_without_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("brow.log");
        let mut log = Rotating::open(&path, false).unwrap();
        for words in HOSTILE {
            log.write_all(format!("{words} Bearer s3cret 10.0.0.1:80\n").as_bytes()).unwrap();
        }
        log.write_all("网".repeat(MAX_FIELD).as_bytes()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(is_safe(&text, true) && text.lines().count() == HOSTILE.len() + 1, "{text:?}");
        assert!(!text.contains("s3cret") && !text.contains("10.0.0.1"), "{text}");
        assert!(text.lines().all(|line| line.len() <= MAX_FIELD));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &link).unwrap();
        assert!(Rotating::open(&link, false).is_err(), "a link leads elsewhere");
    }
}
