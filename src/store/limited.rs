//! Reads files that somebody else wrote: never more than a limit, and never without an end.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

/// The most that is read of a file: a kubeconfig of a thousand clusters with their certificates has about half of it.
const MAX_FILE: u64 = 8 << 20;
/// The longest wait for the next byte of a pipe or a device.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);
/// The interval at which a pipe or device is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The bytes of a file. A pipe (`<(…)` in a shell) or a device is read as well, as long as something comes from it.
///
/// # Errors
/// As [`std::fs::read`]; [`ErrorKind::FileTooLarge`], and [`ErrorKind::TimedOut`] for a pipe from which nothing comes.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() { all(file) } else { read_polling(file, kind.is_fifo()) }
}

/// Reads standard input to its end, however long that takes.
///
/// # Errors
/// What reading fails with, and [`ErrorKind::FileTooLarge`].
pub fn stdin() -> io::Result<Vec<u8>> {
    all(io::stdin().lock())
}

/// Fails if a file that a library will read is larger than the limit, or neither a file nor a link to one.
///
/// # Errors
/// [`ErrorKind::FileTooLarge`], and [`ErrorKind::InvalidInput`] for pipes, devices and folders.
pub fn check(path: &Path) -> io::Result<()> {
    let data = std::fs::metadata(path)?;
    if !data.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    if data.len() > MAX_FILE { Err(too_large()) } else { Ok(()) }
}

fn all(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE { Err(too_large()) } else { Ok(bytes) }
}

/// Reads a non-blocking file, polling it. A pipe that ends before its first byte may have no writer yet.
fn read_polling(mut file: impl Read, is_pipe: bool) -> io::Result<Vec<u8>> {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    let mut since = Instant::now();
    loop {
        match file.read(&mut piece) {
            Ok(0) if !bytes.is_empty() || !is_pipe => return Ok(bytes),
            Ok(count) if count > 0 => {
                bytes.extend_from_slice(&piece[..count]);
                if bytes.len() as u64 > MAX_FILE {
                    return Err(too_large());
                }
                since = Instant::now();
                continue;
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        if since.elapsed() > IDLE_TIMEOUT {
            let words = format!("a pipe or device that sends nothing for {} s", IDLE_TIMEOUT.as_secs());
            return Err(io::Error::new(ErrorKind::TimedOut, words));
        }
        sleep(POLL_INTERVAL);
    }
}

fn too_large() -> io::Error {
    let words = format!("larger than the limit of {} MiB", MAX_FILE >> 20);
    io::Error::new(ErrorKind::FileTooLarge, words)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_above_the_limit_is_refused_and_one_at_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::create(&path).unwrap();
        file.set_len(MAX_FILE).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, MAX_FILE);
        check(&path).unwrap();
        file.set_len(MAX_FILE + 1).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(check(&path).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(check(dir.path()).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn devices_and_pipes_have_an_end() {
        assert_eq!(read(Path::new("/dev/null")).unwrap(), b"");
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err().kind(), ErrorKind::FileTooLarge);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let silent = path.clone();
        // Its writer opens it, and writes nothing.
        let holding = std::thread::spawn(move || {
            // With both, that waits for nobody.
            let file = OpenOptions::new().read(true).write(true).open(silent).unwrap();
            (file, ())
        });
        assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::TimedOut);
        drop(holding.join().unwrap());

        let there = path.clone();
        let writing = std::thread::spawn(move || {
            let mut file = OpenOptions::new().write(true).open(there).unwrap();
            file.write_all(b"clusters: []\n").unwrap();
        });
        assert_eq!(read(&path).unwrap(), b"clusters: []\n");
        writing.join().unwrap();
    }
}
