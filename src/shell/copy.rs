//! Copies files and folders out of containers and into them: `tar` there, by exec, and here in this program.
//!
//! Both ways the archive is unpacked beside its place, compared with the other side's sha256, and put in its place only
//! then.

mod limits;
mod pack;
mod paths;
mod place;
mod run;
mod unpack;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::{Buf as _, Bytes};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::cluster::Clusters;
use brow_model::fault::Fault;
use brow_model::proxy::PodKey;
use kube_tunnel::Error;
use kube_tunnel::exec::Input;
pub use limits::LeftOut;
use limits::STAGING;
use pack::Listing;
use paths::{Source, destination, staging};
use place::place;
use run::{Ran, Running};
use unpack::{ALL, STAGED, Unpacked, unpack};
pub use unpack::{Refusal, Rule};

/// Pieces of an archive that may wait.
const QUEUE: usize = 16;
/// The size of such a piece.
const PIECE: usize = 64 * 1024;
/// The most bytes of sums that are read: some 500,000 files.
const MAX_SUMS: usize = 64 << 20;
/// The length of a sha256 in hex.
const SUM: usize = 64;
/// GNU tar's exit code, and words, where files changed while it read them.
const CHANGED: (i32, &str) = (1, "file changed as we read it");

/// The words of a script that takes no more of an archive, begins to merge a folder, has compared the sums.
const STOP: &[u8] = b"stop";
const PLACING: &[u8] = b"placing";
const COMPARED: &[u8] = b"compared";
/// Unpacks in a container. Its arguments: the destination, the name for what goes into a folder, the destination's
/// parent, a name for the staging folder, and `file` or `folder`.
const UNPACK: &str = include_str!("copy/unpack.sh");

/// A container to copy out of or into.
#[derive(Clone, Copy)]
pub struct RemoteContainer<'a> {
    pub clusters: &'a Clusters,
    pub key: &'a PodKey,
    pub container: &'a str,
}

/// The bytes of files that have been copied so far, and of all where that is known.
#[derive(Debug, Default)]
pub struct Progress {
    pub moved: AtomicU64,
    pub total: AtomicU64,
    /// True once files are put in their place, one by one: a folder is merged.
    pub is_placing: AtomicBool,
}

/// The result of a copy.
#[derive(Debug)]
pub struct Copied {
    pub files: usize,
    pub left_out: LeftOut,
    /// The sums were compared; else the reason why not.
    pub compared: Result<(), String>,
}

/// The reason why nothing was copied.
#[derive(Debug)]
pub enum Trouble {
    /// The container cannot be reached.
    Fault(Fault),
    /// The connection was lost.
    Lost(Error),
    /// The container has no such program.
    NoProgram(&'static str),
    /// A program in the container failed: its words.
    There(String),
    /// It was killed by this signal.
    Killed(i32),
    /// The container's archive is not taken.
    Refused(Refusal),
    /// This path on this machine cannot be read or written.
    Here(PathBuf, io::Error),
    /// A folder is where a file is to be put, or the other way round, in the container.
    InTheWay(String),
    /// This file is not the same on both sides.
    Differs(String),
}

/// Copies out of a container.
///
/// # Errors
/// The reason why the copy was not made. Where it was merged into a folder, that may have been begun.
pub async fn out(
    at: RemoteContainer<'_>,
    from: &str,
    to: &Path,
    compare: bool,
    progress: &Arc<Progress>,
) -> Result<Copied, Trouble> {
    let source = Source::new(from);
    let here = |(path, error)| Trouble::Here(path, error);
    let target = destination(to, source.base.as_deref()).map_err(here)?;
    let staging = staging(&target).map_err(here)?;
    let args = ["cf", "-", "-C", &source.dir, &format!("./{}", source.name)];
    let mut running = Running::start(at, "tar", &args, false).await?;
    let (sender, pieces) = mpsc::channel(QUEUE);
    let (name, counters) = (OsString::from(&source.name), Arc::clone(progress));
    // The folder goes with the thread where this future is dropped.
    let unpacking = spawn_blocking(move || unpack_from(pieces, &name, staging, &counters.moved));
    let ran = running.read(async |piece| sender.send(piece).await.is_ok()).await;
    drop((sender, running));
    let (unpacked, staging) = unpacking.await.map_err(|error| joined(&error))?;
    let unpacked = match unpacked {
        Ok(unpacked) => {
            judge(&ran?.unwrap_or_default(), compare)?;
            unpacked
        }
        // The program says why the archive ended.
        Err(Refusal::Broken(why)) => {
            judge(&ran?.unwrap_or_default(), true)?;
            return Err(Trouble::Refused(Refusal::Broken(why)));
        }
        Err(refusal) => return Err(Trouble::Refused(refusal)),
    };
    let compared = if compare { compare_out(at, &source, &unpacked).await? } else { Err(String::new()) };
    let copied = Copied { files: unpacked.files.len(), left_out: unpacked.left_out, compared };
    progress.is_placing.store(target.is_dir(), Ordering::Relaxed);
    let placing = spawn_blocking(move || place(&staging.path().join(STAGED), &target));
    placing.await.map_err(|error| joined(&error))?.map_err(here)?;
    Ok(copied)
}

/// Copies into a container.
///
/// # Errors
/// The reason why the copy was not made. Where it was merged into a folder, that may have been begun.
pub async fn into(at: RemoteContainer<'_>, from: &Path, to: &str, progress: &Arc<Progress>) -> Result<Copied, Trouble> {
    let here = |(path, error)| Trouble::Here(path, error);
    let known = fs::canonicalize(from).map_err(|error| here((from.to_owned(), error)))?;
    let base = from.file_name().or(known.file_name()).unwrap_or(OsStr::new(ALL)).to_string_lossy().into_owned();
    let path = from.to_owned();
    let listing = spawn_blocking(move || Listing::new(&path)).await.map_err(|error| joined(&error))?.map_err(here)?;
    progress.total.store(listing.total, Ordering::Relaxed);
    let kind = if listing.is_folder() { "folder" } else { "file" };
    let (files, left_out) = (listing.files, listing.left_out.clone());
    let Source { dir, path: to, .. } = Source::new(to);
    let staging = format!("{STAGING}{:016x}", rand::random::<u64>());
    let args = ["-c", UNPACK, "sh", &to, &base, &dir, &staging, kind];
    let mut running = Running::start(at, "sh", &args, true).await?;
    let input = running.input();
    let (mut said, stop) = (Vec::new(), CancellationToken::new());
    let ran = {
        let sending = send(listing, input, Arc::clone(progress), &stop);
        let reading = running.read(async |piece| {
            said.extend_from_slice(&piece);
            if says(&said, STOP) {
                stop.cancel();
            }
            if says(&said, PLACING) {
                progress.is_placing.store(true, Ordering::Relaxed);
            }
            said.len() <= MAX_SUMS
        });
        tokio::pin!(sending, reading);
        let mut sent = false;
        loop {
            tokio::select! {
                ran = &mut reading => break ran?,
                done = &mut sending, if !sent => {
                    done?;
                    sent = true;
                }
            }
        }
    };
    judge(&ran.ok_or_else(|| Trouble::There("too much output".to_owned()))?, true)?;
    let is_compared = files == 0 || says(&said, COMPARED);
    Ok(Copied { files, left_out, compared: if is_compared { Ok(()) } else { Err("sha256sum".to_owned()) } })
}

/// Returns whether a line of the output is this word.
fn says(said: &[u8], word: &[u8]) -> bool {
    said.split(|byte| *byte == b'\n').any(|line| line == word)
}

/// Sends an archive until the container wants no more of it, which then says why.
async fn send(
    listing: Listing,
    input: Option<Input>,
    progress: Arc<Progress>,
    stop: &CancellationToken,
) -> Result<(), Trouble> {
    let (sender, mut pieces) = mpsc::channel(QUEUE);
    let writer = BufWriter::with_capacity(PIECE, Pieces { sender });
    let packing = spawn_blocking(move || listing.pack(writer, &progress.moved));
    let Some(input) = input else { return Ok(()) };
    let sending = async {
        while let Some(piece) = pieces.recv().await {
            if input.send(&piece).await.is_err() {
                // The output says why.
                return std::future::pending().await;
            }
        }
        packing.await.map_err(|error| joined(&error))?.map_err(|(path, error)| Trouble::Here(path, error))
    };
    stop.run_until_cancelled(sending).await.unwrap_or(Ok(()))?;
    if input.finish().await.is_err() {
        return std::future::pending().await;
    }
    Ok(())
}

/// Returns the trouble of a thread that panicked.
fn joined(error: &JoinError) -> Trouble {
    Trouble::There(error.to_string())
}

/// Says how a program failed, if it did. Files that changed while they were read are a failure only where they are to
/// be compared.
fn judge(ran: &Ran, compare: bool) -> Result<(), Trouble> {
    let words = ran.stderr.trim();
    let changed = || !words.is_empty() && words.lines().all(|line| line.contains(CHANGED.1));
    match ran.code {
        0 => Ok(()),
        code if code == CHANGED.0 && !compare && changed() => Ok(()),
        // See `unpack.sh`.
        70 => Err(Trouble::NoProgram("tar")),
        72 => Err(Trouble::InTheWay(words.to_owned())),
        76 => Err(Trouble::Differs(words.to_owned())),
        code @ 129..=165 if words.is_empty() => Err(Trouble::Killed(code - 128)),
        _ => Err(Trouble::There(words.to_owned())),
    }
}

/// Compares the sums of files here with those that the container computes.
async fn compare_out(
    at: RemoteContainer<'_>,
    source: &Source,
    unpacked: &Unpacked,
) -> Result<Result<(), String>, Trouble> {
    if unpacked.files.is_empty() {
        return Ok(Ok(()));
    }
    let find = [source.path.as_str(), "-type", "f", "-exec", "sha256sum", "{}", "+"];
    let (program, args) = if unpacked.is_folder { ("find", &find[..]) } else { ("sha256sum", &find[..1]) };
    let mut said = Vec::new();
    let mut running = Running::start(at, program, args, false).await?;
    let reading = running.read(async |piece| {
        said.extend_from_slice(&piece);
        said.len() <= MAX_SUMS
    });
    let ran = match reading.await {
        Ok(ran) => ran.unwrap_or_default(),
        Err(Trouble::NoProgram(name)) => return Ok(Err(name.to_owned())),
        Err(trouble) => return Err(trouble),
    };
    if ran.code != 0 || said.len() > MAX_SUMS {
        return Ok(Err(ran.stderr.lines().next().unwrap_or("sha256sum").to_owned()));
    }
    let sums = sums(&said);
    match unpacked.files.iter().find(|(_, sum)| !sums.contains(sum.as_str())) {
        Some((path, _)) => Err(Trouble::Differs(Path::new(&source.path).join(path).to_string_lossy().into_owned())),
        None => Ok(Ok(())),
    }
}

/// Reads what sha256sum printed: its lines begin with a backslash where it escapes a name.
fn sums(said: &[u8]) -> HashSet<&str> {
    let lines = said.split(|byte| *byte == b'\n').map(|line| line.strip_prefix(b"\\").unwrap_or(line));
    lines.filter_map(|line| std::str::from_utf8(line.get(..SUM)?).ok()).collect()
}

/// Unpacks what comes, and returns the folder with it.
fn unpack_from(
    pieces: mpsc::Receiver<Bytes>,
    name: &OsStr,
    staging: TempDir,
    moved: &AtomicU64,
) -> (Result<Unpacked, Refusal>, TempDir) {
    let mut arriving = Arriving { pieces, rest: Bytes::new() };
    let unpacked = unpack(&mut arriving, name, staging.path(), moved);
    if unpacked.is_ok() {
        // The padding of the archive.
        while arriving.pieces.blocking_recv().is_some() {}
    }
    (unpacked, staging)
}

/// The pieces of an archive, for a thread.
struct Arriving {
    pieces: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let Some(piece) = self.pieces.blocking_recv() else { return Ok(0) };
            self.rest = piece;
        }
        let length = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Takes the pieces of an archive, from a thread.
struct Pieces {
    sender: mpsc::Sender<Bytes>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Bytes::copy_from_slice(bytes)).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
