//! The files of texts that are edited: mode 0600, in a folder of mode 0700 under our state.
#![expect(clippy::disallowed_methods, reason = "a person's text is a file")]

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::store::limited;
use brow_model::fault::{Fault, What};
use brow_model::sanitize;

/// The folder, under our state.
const FOLDER: &str = "edits";

/// Lines that begin so are ours, and go when the next ones come.
const MARK: &str = "#: ";

/// Writes a text to a new file. The name says what it is about.
///
/// # Errors
/// [`What::FileUnwritable`].
pub(super) fn create(state_dir: &Path, name: &str, text: &str) -> Result<PathBuf, Fault> {
    let folder = state_dir.join(FOLDER);
    crate::store::make_dir(&folder)?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.chars().take(120).map(plain).collect();
    let make = || -> io::Result<PathBuf> {
        // Of mode 0600.
        let mut file = tempfile::Builder::new().prefix(&format!("{name}-")).suffix(".yaml").tempfile_in(&folder)?;
        file.write_all(text.as_bytes())?;
        Ok(file.keep()?.1)
    };
    make().map_err(|error| unwritable(&folder, &error))
}

/// Reads a text.
///
/// # Errors
/// [`What::FileUnreadable`], also for what is no text.
pub(super) fn read(path: &Path) -> Result<String, Fault> {
    let fault = |why: String| Fault::new(What::FileUnreadable, path.display().to_string(), why);
    let bytes = limited::read(path).map_err(|error| fault(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| fault("not UTF-8 text".to_owned()))
}

/// Puts words above a text, in place of earlier ones.
///
/// # Errors
/// [`What::FileUnreadable`] and [`What::FileUnwritable`].
pub fn annotate(path: &Path, words: &str) -> Result<(), Fault> {
    let text = read(path)?;
    let rest = unmarked(&text);
    let mut all = String::new();
    for line in sanitize::lines(words).lines() {
        all.push_str(format!("{MARK}{line}").trim_end());
        all.push('\n');
    }
    all.push_str(rest);
    fs::write(path, all).map_err(|error| unwritable(path, &error))?;
    keep_private(path)
}

/// Returns a text without our words above it.
pub(super) fn unmarked(text: &str) -> &str {
    let own = text.lines().take_while(|line| line.starts_with(MARK.trim_end())).map(|line| line.len() + 1).sum();
    text.get(own..).unwrap_or_default()
}

/// Gives a file the mode 0600 again: an editor may have put another in its place.
///
/// # Errors
/// [`What::FileUnwritable`].
pub fn keep_private(path: &Path) -> Result<(), Fault> {
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|error| unwritable(path, &error))
}

/// Deletes a file that nobody needs any more.
///
/// # Errors
/// [`What::FileUnwritable`].
pub fn discard(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Fault {
    Fault::new(What::FileUnwritable, path.display().to_string(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_above_a_text_take_the_place_of_earlier_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = create(folder.path(), "plans/../server", "# mine\nkind: Plan\n").unwrap();
        assert!(path.starts_with(folder.path().join(FOLDER)), "{path:?}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        annotate(&path, "refused:\n\nnot so").unwrap();
        annotate(&path, "refused\u{1b}[31m").unwrap();
        let text = read(&path).unwrap();
        assert!(text.starts_with("#: refused") && text.ends_with("\n# mine\nkind: Plan\n"), "{text:?}");
        assert!(!text.contains("not so") && !text.contains('\u{1b}'), "{text:?}");
        annotate(&path, "").unwrap();
        assert_eq!(read(&path).unwrap(), "# mine\nkind: Plan\n");
        discard(&path).unwrap();
        discard(&path).unwrap();
    }
}
