//! Puts what was copied in its place, once it is whole.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::limits::STAGING;
use super::unpack::STAGED;

/// Moves a file or folder to its place, over a file of that name. A folder that is there gets what is in the new one;
/// links in it are not followed.
///
/// # Errors
/// The path that is in the way or cannot be changed, and why.
pub(super) fn place(from: &Path, to: &Path) -> Result<(), (PathBuf, io::Error)> {
    let failed = |error| (to.to_owned(), error);
    let is_folder = from.symlink_metadata().map_err(failed)?.is_dir();
    match to.symlink_metadata() {
        Ok(there) if is_folder && there.is_dir() => {
            for entry in fs::read_dir(from).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                place(&entry.path(), &to.join(entry.file_name()))?;
            }
            Ok(())
        }
        Ok(_) if is_folder => Err(failed(ErrorKind::NotADirectory.into())),
        Ok(there) if there.is_dir() => Err(failed(ErrorKind::IsADirectory.into())),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
        _ => match fs::rename(from, to) {
            // A folder on the way to it is a mount point.
            Err(error) if error.kind() == ErrorKind::CrossesDevices => across(from, to).map_err(failed),
            renamed => renamed.map_err(failed),
        },
    }
}

/// Copies to another disk, such that a file is whole there or not at all.
fn across(from: &Path, to: &Path) -> io::Result<()> {
    let about = from.symlink_metadata()?;
    if about.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            across(&entry.path(), &to.join(entry.file_name()))?;
        }
        return fs::set_permissions(to, about.permissions());
    }
    let beside = to.parent().unwrap_or(Path::new("."));
    let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(beside)?;
    let whole = staging.path().join(STAGED);
    if about.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, &whole)?;
    } else {
        fs::copy(from, &whole)?;
    }
    fs::rename(whole, to)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree(paths: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, words) in paths {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, words).unwrap();
        }
        dir
    }

    #[test]
    fn a_folder_is_merged_and_files_are_replaced() {
        let dir = tree(&[("new/a", "2"), ("new/sub/b", "2"), ("to/a", "1"), ("to/sub/c", "1"), ("to/d", "1")]);
        let (new, to) = (dir.path().join("new"), dir.path().join("to"));
        place(&new, &to).unwrap();
        let words = ["a", "sub/b", "sub/c", "d"].map(|path| fs::read_to_string(to.join(path)).unwrap());
        assert_eq!(words, ["2", "2", "1", "1"]);
    }

    #[test]
    fn another_disk_gets_whole_files() {
        let dir = tree(&[("new/sub/b", "2"), ("to/a", "1")]);
        let (new, to) = (dir.path().join("new"), dir.path().join("to"));
        symlink("sub/b", new.join("link")).unwrap();
        across(&new, &to.join("new")).unwrap();
        assert_eq!(fs::read_to_string(to.join("new/link")).unwrap(), "2");
        across(&new.join("sub/b"), &to.join("a")).unwrap();
        assert_eq!(fs::read_to_string(to.join("a")).unwrap(), "2");
        assert_eq!(fs::read_dir(&to).unwrap().count(), 2, "nothing besides");
    }

    #[test]
    fn links_are_replaced_not_followed() {
        let dir = tree(&[("new/link", "2"), ("new/folder/x", "2"), ("outside/x", "1"), ("to/y", "1")]);
        let (new, to, outside) = (dir.path().join("new"), dir.path().join("to"), dir.path().join("outside"));
        symlink(outside.join("x"), to.join("link")).unwrap();
        symlink(&outside, to.join("folder")).unwrap();
        let (at, error) = place(&new, &to).unwrap_err();
        assert_eq!((at, error.kind()), (to.join("folder"), ErrorKind::NotADirectory));
        fs::remove_file(to.join("folder")).unwrap();
        place(&new, &to).unwrap();
        assert_eq!(fs::read_to_string(outside.join("x")).unwrap(), "1");
        assert_eq!(fs::read_to_string(to.join("link")).unwrap(), "2");
    }

    #[test]
    fn a_folder_is_not_replaced_by_a_file_nor_the_other_way_round() {
        let dir = tree(&[("file", "2"), ("folder/x", "2"), ("to-folder/x", "1"), ("to-file", "1")]);
        let at = |name: &str| dir.path().join(name);
        assert_eq!(place(&at("file"), &at("to-folder")).unwrap_err().1.kind(), ErrorKind::IsADirectory);
        assert_eq!(place(&at("folder"), &at("to-file")).unwrap_err().1.kind(), ErrorKind::NotADirectory);
    }
}
