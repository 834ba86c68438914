//! Sessions in containers: bytes between this terminal, or a pipe, and a process in a pod; and copies of files.

pub mod copy;
mod environment;
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
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, sleep_until};

use crate::term::{RawMode, Stdin};
pub use environment::fetch as fetch_environment;
use keys::{Chord, Keys};
use kube_tunnel::Error;
use kube_tunnel::exec::{Ended, Gone, Input, Output, Process, Terminal};
pub use launch::Launcher;
pub use open::{Choice, choose, fault, shell_command, start, term_name};

/// The pause before the first piped input. A node (v1.20) can lose what comes before the program has its input, where
/// the end follows at once, and says nothing: 9 of 30 runs of `cat >file` left an empty file, none of 12 with this
/// pause.
const FIRST_INPUT_DELAY: Duration = Duration::from_millis(300);

/// The pause between two sizes, in which a program notices the first.
const REDRAW_PAUSE: Duration = Duration::from_millis(50);

/// The options of a session.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Our terminal is the process's.
    pub tty: bool,
    /// The character with which chords begin.
    pub escape: Option<u8>,
    /// The words about the chords.
    pub help: String,
    /// The words about an end that is near, and their time; there is a chord for a new session then.
    pub warning: Option<(Instant, String)>,
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
    /// Somebody left by the chord for a new session.
    Again,
    /// Nothing was typed or printed for too long.
    Idle,
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
    let mut keys = Keys::new(options.escape.filter(|_| options.tty), options.warning.is_some());
    let stdin = Stdin::read(move |bytes| {
        let (bytes, found) = keys.take(&bytes, std::time::Instant::now());
        for chord in found {
            // The receiver is gone once the session has ended.
            let _ended = sender.send(chord);
        }
        bytes
    })?;
    let gone = raw.map(RawMode::gone).unwrap_or_default();
    let mut continued = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
    let resized = signal(SignalKind::window_change())?;
    // The words that are said meanwhile.
    let (say, mut said) = unbounded_channel();
    let redraw = Notify::new();
    if let Some(terminal) = &process.terminal {
        // Before anything that was typed meanwhile. If it fails, the output says why.
        let _gone = tell_size(terminal, false).await;
    }
    // Apart from one another: output is taken while input waits, and the other way round.
    let up = upload(process.input.take(), stdin, options);
    let sizes = follow_size(process.terminal.take(), resized, &redraw);
    let down = download(&mut process, options, raw, &mut said);
    let warned = warn(options, &say);
    tokio::pin!(up, sizes, down, warned);
    loop {
        tokio::select! {
            () = gone.cancelled() => return Ok(Outcome::Hangup),
            Some(chord) = chords.recv() => match (chord, raw) {
                (Chord::Suspend, Some(raw)) => {
                    raw.suspend()?;
                    redraw.notify_one();
                }
                (Chord::Help, _) => {
                    // The session goes on without it.
                    let _said = say.send(options.help.clone());
                }
                (Chord::New, _) => return Ok(Outcome::Again),
                (Chord::Leave | Chord::Suspend, _) => return Ok(Outcome::Left),
            },
            _ = continued.recv() => if let Some(raw) = raw {
                raw.resume()?;
                redraw.notify_one();
            },
            outcome = &mut down => return outcome,
            outcome = &mut up => return outcome,
            never = &mut warned => match never {},
            never = &mut sizes => match never {},
        }
    }
}

/// Says that the end is near when it is.
async fn warn(options: &SessionOptions, say: &UnboundedSender<String>) -> Infallible {
    if let Some((at, words)) = &options.warning {
        sleep_until(*at).await;
        let _said = say.send(words.clone());
    }
    std::future::pending().await
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

/// Writes what the process does, until it has ended, and what is said meanwhile.
async fn download(
    process: &mut Process,
    options: &SessionOptions,
    raw: Option<&RawMode>,
    said: &mut UnboundedReceiver<String>,
) -> io::Result<Outcome> {
    let mut terminal = raw.map(|_| crate::term::Output::begin()).transpose()?;
    let (mut out, mut err) = (stdout(), stderr());
    loop {
        let output = tokio::select! {
            Some(words) = said.recv() => {
                match &mut terminal {
                    Some(terminal) => terminal.write(words.into()).await?,
                    None => write(&mut err, words.as_bytes()).await?,
                }
                continue;
            }
            output = process.output.recv() => output,
        };
        options.active.store(Utc::now().timestamp(), Ordering::Relaxed);
        let end = match output {
            Some(Ok(Output::Stdout(bytes))) => {
                match (&mut terminal, raw) {
                    (Some(terminal), Some(raw)) => {
                        raw.note(&bytes);
                        terminal.write(bytes).await?;
                    }
                    (_, _) => write(&mut out, &bytes).await?,
                }
                continue;
            }
            Some(Ok(Output::Stderr(bytes))) => {
                write(&mut err, &bytes).await?;
                continue;
            }
            Some(Ok(Output::Ended(ended))) => Outcome::Ended(ended),
            Some(Err(error)) => Outcome::Lost(error),
            None => Outcome::Lost(Error::Closed),
        };
        if let Some(terminal) = &mut terminal {
            terminal.finish().await?;
        }
        return Ok(end);
    }
}

/// Tells the process the size of our terminal whenever that changes, or the screen is to be drawn anew.
async fn follow_size(terminal: Option<Terminal>, mut resized: Signal, redraw: &Notify) -> Infallible {
    if let Some(terminal) = terminal {
        loop {
            let anew = tokio::select! {
                next = resized.recv() => {
                    if next.is_none() {
                        break;
                    }
                    false
                }
                () = redraw.notified() => true,
            };
            if tell_size(&terminal, anew).await.is_err() {
                break;
            }
        }
    }
    std::future::pending().await
}

/// Tells the process the size of our terminal. To be drawn `anew`, it is told of another size in between.
async fn tell_size(terminal: &Terminal, anew: bool) -> Result<(), Gone> {
    let Ok((columns, rows)) = crossterm::terminal::size() else { return Ok(()) };
    if anew && rows > 1 {
        terminal.resize(columns, rows - 1).await?;
        sleep(REDRAW_PAUSE).await;
    }
    terminal.resize(columns, rows).await
}

async fn write(out: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes).await?;
    out.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_warning_is_said_at_its_time_and_once() {
        let at = Instant::now() + Duration::from_mins(25);
        let options = SessionOptions {
            tty: true,
            escape: Some(b'~'),
            help: String::new(),
            warning: Some((at, "it ends soon".to_owned())),
            active: Arc::default(),
        };
        let (say, mut said) = unbounded_channel();
        let warned = warn(&options, &say);
        tokio::pin!(warned);
        tokio::select! {
            never = &mut warned => match never {},
            words = said.recv() => assert_eq!(words.as_deref(), Some("it ends soon")),
        }
        assert_eq!(Instant::now(), at);
        tokio::select! {
            never = &mut warned => match never {},
            () = sleep(Duration::from_hours(1)) => {}
        }
        assert!(said.try_recv().is_err());
    }
}
