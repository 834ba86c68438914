//! Sessions in containers: bytes between this terminal, or a pipe, and a process in a pod; and copies of files.

pub mod copy;
mod keys;
mod launch;
mod open;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::Utc;
use tokio::io::{AsyncWrite, AsyncWriteExt as _, stderr, stdout};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::sleep;

use crate::term::{RawMode, Stdin};
use keys::{Chord, Keys};
use kube_tunnel::Error;
use kube_tunnel::exec::{Ended, Input, Output, Process, Terminal};
pub use launch::Launcher;
pub use open::{Choice, choose, fault, shell_command, start, term_name};

/// The pause before the first piped input. A node (v1.20) can lose what comes before the program has its input, where
/// the end follows at once, and says nothing: 9 of 30 runs of `cat >file` left an empty file, none of 12 with this
/// pause.
const FIRST_INPUT_DELAY: Duration = Duration::from_millis(300);

/// The options of a session.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Our terminal is the process's.
    pub tty: bool,
    /// The character with which chords begin.
    pub escape: Option<u8>,
    /// The words about the chords.
    pub help: String,
    /// The time of the last byte either way, in seconds of the Unix time.
    pub active: Arc<AtomicI64>,
}

/// The end of a session.
#[derive(Debug)]
pub enum Outcome {
    /// The process has ended.
    Ended(Ended),
    /// Somebody left by the chord.
    Left,
    /// The connection was lost.
    Lost(Error),
    /// The terminal is gone.
    Hangup,
    /// Nobody reads the output any more, or the terminal fails.
    Local(io::Error),
}

/// Carries bytes between standard input and output and a process, until one of them ends. Dropping the future restores
/// the terminal.
pub async fn run(process: Process, options: &SessionOptions) -> Outcome {
    let raw = match options.tty.then(RawMode::enter).transpose() {
        Ok(raw) => raw,
        Err(error) => return Outcome::Local(error),
    };
    let outcome = carry(process, options, raw.as_ref()).await.unwrap_or_else(Outcome::Local);
    // A program that was killed has left the terminal as it had it.
    if let (Some(raw), Outcome::Ended(Ended { code: Some(0..=127), .. })) = (&raw, &outcome) {
        raw.set_tidy();
    }
    outcome
}

async fn carry(mut process: Process, options: &SessionOptions, raw: Option<&RawMode>) -> io::Result<Outcome> {
    let (sender, mut chords) = unbounded_channel();
    let mut keys = Keys::new(options.escape.filter(|_| options.tty));
    let stdin = Stdin::read(move |bytes| {
        let (bytes, found) = keys.take(&bytes);
        for chord in found {
            // The receiver is gone once the session has ended.
            let _ended = sender.send(chord);
        }
        bytes
    })?;
    let gone = raw.map(RawMode::gone).unwrap_or_default();
    let mut continued = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
    let mut resized = signal(SignalKind::window_change())?;
    // Apart from one another: output is taken while input waits, and the other way round.
    let up = upload(process.input.take(), stdin, options);
    let sizes = follow_size(process.terminal.take(), &mut resized);
    let down = download(&mut process, options, raw);
    tokio::pin!(up, sizes, down);
    loop {
        tokio::select! {
            () = gone.cancelled() => return Ok(Outcome::Hangup),
            Some(chord) = chords.recv() => match (chord, raw) {
                (Chord::Suspend, Some(raw)) => raw.suspend()?,
                (Chord::Help, _) => write(&mut stderr(), options.help.as_bytes()).await?,
                (Chord::Leave | Chord::Suspend, _) => return Ok(Outcome::Left),
            },
            _ = continued.recv() => if let Some(raw) = raw {
                raw.resume()?;
            },
            outcome = &mut down => return outcome,
            outcome = &mut up => return outcome,
            never = &mut sizes => match never {},
        }
    }
}

/// Sends what is typed; ends only with the terminal.
async fn upload(input: Option<Input>, mut stdin: Stdin, options: &SessionOptions) -> io::Result<Outcome> {
    let Some(input) = input else { return std::future::pending().await };
    if !options.tty {
        sleep(FIRST_INPUT_DELAY).await;
    }
    while let Some(bytes) = stdin.next().await {
        options.active.store(Utc::now().timestamp(), Ordering::Relaxed);
        if input.send(&bytes?).await.is_err() {
            // The output says why.
            return std::future::pending().await;
        }
    }
    if options.tty {
        return Ok(Outcome::Hangup);
    }
    let _gone = input.finish().await;
    std::future::pending().await
}

/// Writes what the process does, until it has ended.
async fn download(process: &mut Process, options: &SessionOptions, raw: Option<&RawMode>) -> io::Result<Outcome> {
    let (mut out, mut err) = (stdout(), stderr());
    while let Some(output) = process.output.recv().await {
        options.active.store(Utc::now().timestamp(), Ordering::Relaxed);
        match output {
            Ok(Output::Stdout(bytes)) => {
                if let Some(raw) = raw {
                    raw.note(&bytes);
                }
                write(&mut out, &bytes).await?;
            }
            Ok(Output::Stderr(bytes)) => write(&mut err, &bytes).await?,
            Ok(Output::Ended(ended)) => return Ok(Outcome::Ended(ended)),
            Err(error) => return Ok(Outcome::Lost(error)),
        }
    }
    Ok(Outcome::Lost(Error::Closed))
}

/// Tells the process the size of our terminal, now and whenever it changes.
async fn follow_size(terminal: Option<Terminal>, resized: &mut Signal) -> Infallible {
    if let Some(terminal) = terminal {
        loop {
            let size = crossterm::terminal::size();
            if let Ok((columns, rows)) = size
                && terminal.resize(columns, rows).await.is_err()
            {
                break;
            }
            if resized.recv().await.is_none() {
                break;
            }
        }
    }
    std::future::pending().await
}

async fn write(out: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes).await?;
    out.flush().await
}
