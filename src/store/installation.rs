//! The installation's identity: a random id and key, created once and shared by all instances with the same state.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::getuid;
use serde::Deserialize;

use brow_model::fault::{Fault, What};
use brow_model::installation::Installation;

use super::disk::{self, Locked};

/// The file in the directory of our state.
const FILE: &str = "installation.json";
/// Bytes of an id.
const ID_LENGTH: usize = 16;
/// More than the file ever has.
const MAX_FILE: u64 = 4096;

/// The file, both fields in hex.
#[derive(Deserialize)]
struct StoredInstallation {
    id: String,
    key: String,
}

/// Returns the installation whose state is in `dir`, made if there is none. Where it can be neither read nor kept, it
/// is one for this run alone, with the reason.
pub fn installation(dir: &Path) -> (Installation, Option<Fault>) {
    match open(dir) {
        Ok(installation) => (installation, None),
        Err(fault) => (throwaway(), Some(fault)),
    }
}

/// Returns an installation that nobody will remember.
pub fn throwaway() -> Installation {
    let (id, key) = random();
    Installation::new(id, key)
}

fn open(dir: &Path) -> Result<Installation, Fault> {
    let path = dir.join(FILE);
    if let Some(there) = read(&path)? {
        return Ok(there);
    }
    let locked = Locked::new(&path)?;
    // Another instance may have been faster.
    if let Some(there) = read(&path)? {
        return Ok(there);
    }
    let (id, key) = random();
    locked.write(&text(&id, &key))?;
    Ok(Installation::new(id, key))
}

/// Reads the file; `None` if there is none.
fn read(path: &Path) -> Result<Option<Installation>, Fault> {
    let fault = |why: String| Fault::new(What::FileUnreadable, path.display().to_string(), why);
    let text = match read_private(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(error.to_string())),
    };
    // What does not fit is not told: a part of it may be the key.
    let kept: Option<StoredInstallation> = serde_json::from_str(&text).ok();
    let whole = kept.and_then(|StoredInstallation { id, key }| {
        let id_is_hex = id.len() == 2 * ID_LENGTH && from_hex::<ID_LENGTH>(&id).is_some();
        Some(Installation::new(id, from_hex(&key)?)).filter(|_| id_is_hex)
    });
    let broken = || fault("it is damaged; delete it, and a new one is created".to_owned());
    whole.map(Some).ok_or_else(broken)
}

/// The text of a file that nobody else can have written or read.
fn read_private(path: &Path) -> io::Result<String> {
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(disk::flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if meta.uid() != getuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(io::Error::other("others may read or write it; run chmod 600 on it"));
    }
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// A new id and key.
fn random() -> (String, [u8; 32]) {
    (hex(&rand::random::<[u8; ID_LENGTH]>()), rand::random())
}

fn text(id: &str, key: &[u8]) -> String {
    format!("{{\"id\":\"{id}\",\"key\":\"{}\"}}\n", hex(key))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::thread::scope;

    use super::*;

    #[test]
    fn all_instances_are_one_installation_and_two_machines_are_two() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = one.path().join("not/yet/there");
        let all: Vec<Installation> = scope(|scope| {
            let tasks: Vec<_> = (0..8).map(|_| scope.spawn(|| installation(&dir))).collect();
            tasks
                .into_iter()
                .map(|task| task.join().unwrap())
                .map(|(at, fault)| {
                    assert_eq!(fault, None);
                    at
                })
                .collect()
        });
        assert!(all.iter().all(|at| *at == all[0]));
        assert_eq!((all[0].id().len(), &installation(&dir).0), (32, &all[0]));
        assert_ne!(all[0].derive("", ""), installation(two.path()).0.derive("", ""));
        assert_ne!(all[0].id(), installation(two.path()).0.id());
        let mode = fs::metadata(dir.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_others_had_their_hands_on_is_not_used_nor_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let known = text(&"a".repeat(32), &[1; 32]);
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, &known).unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).unwrap();
        let not_used = |case: &str| {
            let (at, fault) = installation(dir.path());
            let fault = fault.unwrap_or_else(|| panic!("{case}"));
            assert_eq!((fault.what, fault.thing), (What::FileUnreadable, path.display().to_string()), "{case}");
            assert!(!fault.detail.contains("0101"), "{case}: {}", fault.detail);
            assert_ne!(at.id(), "a".repeat(32), "{case}");
        };
        symlink(&elsewhere, &path).unwrap();
        not_used("a link");
        fs::remove_file(&path).unwrap();
        symlink(dir.path().join("nowhere"), &path).unwrap();
        not_used("a link to nothing");
        assert!(!dir.path().join("nowhere").exists());
        fs::remove_file(&path).unwrap();
        for mode in [0o644, 0o660, 0o602] {
            fs::write(&path, &known).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            not_used(&format!("{mode:o}"));
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(installation(dir.path()).1, None);
        for broken in
            ["", "{}", "{\"id\":\"\",\"key\":\"0101\"}", &known[..known.len() - 9], &known.replace("01", "zz")]
        {
            fs::write(&path, broken).unwrap();
            not_used(broken);
            assert_eq!(fs::read_to_string(&path).unwrap(), broken);
        }
    }
}
