//! Detects that the terminal is gone: its window or pane was closed, or its connection ended.
//!
//! SIGHUP may be blocked, and crossterm reads a closed terminal in a busy loop without an error. So a thread of our own
//! waits for the hang-up, which costs nothing until it comes.

use std::io::{self, IsTerminal as _, PipeReader, PipeWriter, Write, pipe, stdin, stdout};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

/// The interval of checks on systems that do not report a hang-up as an event: macOS revokes a terminal (`revoke(2)`)
/// without waking those that poll it.
const POLL_TIMEOUT: Option<Timespec> =
    if cfg!(target_os = "linux") { None } else { Some(Timespec { tv_sec: 1, tv_nsec: 0 }) };

/// The pause after a wake-up that told nothing: macOS wakes for input, too.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Watches the terminal for as long as this lives.
pub(super) struct Hangup {
    gone: CancellationToken,
    /// Dropped with this, it ends the thread.
    _end: PipeWriter,
}

impl Hangup {
    /// Begins to watch the terminal of standard input and output.
    ///
    /// # Errors
    /// Where there are no descriptors or threads left.
    pub(super) fn watch() -> io::Result<Self> {
        let (ended, end) = pipe()?;
        let gone = CancellationToken::new();
        let told = gone.clone();
        thread::Builder::new().name("hangup".to_owned()).spawn(move || {
            if wait(&ended) {
                told.cancel();
                silence();
            }
        })?;
        Ok(Self { gone, _end: end })
    }

    /// A token that is cancelled when the terminal is gone.
    pub(super) fn token(&self) -> CancellationToken {
        self.gone.clone()
    }
}

/// Waits until the terminal is gone (true) or the watch is dropped (false).
fn wait(ended: &PipeReader) -> bool {
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::HUP),
            PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::HUP),
            PollFd::new(ended, PollFlags::IN),
        ];
        match poll(&mut fds, POLL_TIMEOUT.as_ref()) {
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return false,
        }
        let [input, output, end] = fds.map(|fd| fd.revents());
        if !end.is_empty() {
            return false;
        }
        let dead = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        if (input | output).intersects(dead) || !stdin().is_terminal() || !stdout().is_terminal() {
            return true;
        }
        thread::sleep(RETRY_INTERVAL);
    }
}

/// Replaces standard input with a pipe that is never written. Reading a terminal that is gone returns at once, and
/// crossterm would retry in a loop that takes a whole core.
fn silence() {
    if let Ok((nothing, writer)) = pipe()
        && rustix::stdio::dup2_stdin(&nothing).is_ok()
    {
        // Closed, it would be an end again.
        std::mem::forget(writer);
    }
}

/// Standard output on a terminal that may go away: what is written after that is written to nobody, and nothing fails.
/// (ratatui reports a cursor that it cannot show with `eprintln!`, which panics on the same dead terminal.)
pub(super) struct HangupWriter<W> {
    out: W,
    gone: CancellationToken,
}

impl<W: Write> HangupWriter<W> {
    pub(super) fn new(out: W, gone: CancellationToken) -> Self {
        Self { out, gone }
    }

    /// Returns the result of a write; `unwritten` if the terminal is gone.
    fn outcome<T>(&self, done: io::Result<T>, unwritten: T) -> io::Result<T> {
        match done {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Somebody has made the terminal non-blocking, and it is slow: to be tried again when it can take more.
                let mut fds = [PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::OUT)];
                _ = poll(&mut fds, None);
                Err(io::ErrorKind::Interrupted.into())
            }
            Err(_) => {
                self.gone.cancel();
                Ok(unwritten)
            }
            done => done,
        }
    }
}

impl<W: Write> Write for HangupWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gone.is_cancelled() {
            return Ok(bytes.len());
        }
        let done = self.out.write(bytes);
        self.outcome(done, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        loop {
            if self.gone.is_cancelled() {
                return Ok(());
            }
            let done = self.out.flush();
            match self.outcome(done, ()) {
                // Unlike `write_all`, those that flush do not try again.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal that answers as it is told to.
    struct Terminal(Vec<io::ErrorKind>);

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.pop().map_or(Ok(bytes.len()), |kind| Err(kind.into()))
        }

        fn flush(&mut self) -> io::Result<()> {
            self.write(&[]).map(drop)
        }
    }

    #[test]
    fn what_is_written_to_a_dead_terminal_fails_nowhere_and_is_noticed() {
        let gone = CancellationToken::new();
        let mut out = HangupWriter::new(Terminal(vec![io::ErrorKind::Other]), gone.clone());
        out.write_all(b"text").unwrap();
        assert!(gone.is_cancelled());
        out.write_all(b"text").unwrap();
        out.flush().unwrap();
        let gone = CancellationToken::new();
        let mut out = HangupWriter::new(Terminal(vec![io::ErrorKind::BrokenPipe]), gone.clone());
        out.flush().unwrap();
        assert!(gone.is_cancelled());
    }

    #[test]
    fn an_interruption_and_a_terminal_that_does_not_wait_are_no_end() {
        for kind in [io::ErrorKind::Interrupted, io::ErrorKind::WouldBlock] {
            let gone = CancellationToken::new();
            let mut out = HangupWriter::new(Terminal(vec![kind; 2]), gone.clone());
            out.write_all(b"text").unwrap();
            out.out.0 = vec![kind; 2];
            out.flush().unwrap();
            assert!(!gone.is_cancelled(), "{kind}");
        }
    }
}
