//! The paths of a copy: as the container is told of them, and on this machine.

use std::path::{Path, PathBuf};
use std::{fs, io};

use tempfile::TempDir;

use super::limits::STAGING;
use super::unpack::ALL;

/// A path in a container, as `tar` is told of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The folder that it is in.
    pub dir: String,
    /// Its name there, or [`ALL`].
    pub name: String,
    /// The name that its copy has in a folder, if it has one.
    pub base: Option<String>,
    /// The path itself, which no program takes for an option.
    pub path: String,
}

impl Source {
    pub(super) fn new(path: &str) -> Self {
        let path = relative(path);
        let bare = path.trim_end_matches('/');
        let (dir, name) =
            bare.rsplit_once('/').map_or((".", bare), |(dir, name)| (if dir.is_empty() { "/" } else { dir }, name));
        let inner = Some(name).filter(|name| !["", ".", ".."].contains(name)).map(str::to_owned);
        if path.ends_with('/') || inner.is_none() {
            return Self { dir: path.clone(), name: ALL.to_owned(), base: inner, path };
        }
        Self { dir: dir.to_owned(), name: name.to_owned(), base: inner, path }
    }
}

/// Returns a path that no program takes for an option, nor `find` for an expression.
fn relative(path: &str) -> String {
    if path.starts_with(['-', '(', '!', ',']) { format!("./{path}") } else { path.to_owned() }
}

/// Returns the path that the copy is to have: in a folder that is there, by the name that it has in the container.
pub(super) fn destination(to: &Path, base: Option<&str>) -> Result<PathBuf, (PathBuf, io::Error)> {
    let failed = |error: io::Error| (to.to_owned(), error);
    match fs::metadata(to) {
        Ok(there) if there.is_dir() => match base {
            Some(base) => Ok(to.join(base)),
            // The folder behind a link, and not the link, is what is filled.
            None => fs::canonicalize(to).map_err(failed),
        },
        // Through a link, as cp does; a device is not replaced.
        Ok(there) if there.is_file() => fs::canonicalize(to).map_err(failed),
        Ok(_) => Err(failed(io::ErrorKind::AlreadyExists.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !to.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            Ok(to.to_owned())
        }
        Err(error) => Err(failed(error)),
    }
}

/// Makes a folder on the disk of the target: in a folder that is there, which may be a mount point, else beside it.
pub(super) fn staging(target: &Path) -> Result<TempDir, (PathBuf, io::Error)> {
    let beside = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_folder = target.symlink_metadata().is_ok_and(|there| there.is_dir());
    let parent = if is_folder { target } else { beside };
    tempfile::Builder::new().prefix(STAGING).tempdir_in(parent).map_err(|error| (parent.to_owned(), error))
}
