//! Raw mode without a screen of ours, and standard input read byte by byte: for a program that draws by itself, such as
//! a shell in a container.

use std::io::{self, PipeWriter, Read as _, Write as _, pipe, stdin, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, kill_current_process_group};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::hangup::Hangup;

/// True while the terminal is in raw mode for a session. The panic hook and [`RawMode`] both restore it, once.
static RAW: AtomicBool = AtomicBool::new(false);

/// The size of a read. A pty hands out 4 KiB at most.
const READ_SIZE: usize = 32 * 1024;
/// The chunks of input that may wait to be taken.
const CHUNKS: usize = 64;

/// Switches off all that a program that was cut off may have switched on: colors, a hidden cursor, bracketed paste, the
/// mouse, application keys. A new line begins then.
const RESET: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1l\x1b>\r\n";
/// The alternate screen is entered and left.
const ENTER_SCREEN: &[u8] = b"\x1b[?1049h";
const LEAVE_SCREEN: &[u8] = b"\x1b[?1049l";

/// Raw mode, for as long as this lives.
pub struct RawMode {
    /// The program has entered the alternate screen.
    alternate: AtomicBool,
    /// The program has ended by itself, and has left the terminal as it should be.
    is_tidy: AtomicBool,
    hangup: Hangup,
}

impl RawMode {
    /// Switches the terminal of standard input to raw mode.
    ///
    /// # Errors
    /// Where it is no terminal, or refuses.
    pub fn enter() -> io::Result<Self> {
        let hangup = Hangup::watch()?;
        enable_raw_mode()?;
        RAW.store(true, Ordering::SeqCst);
        Ok(Self { alternate: AtomicBool::new(false), is_tidy: AtomicBool::new(false), hangup })
    }

    /// A token that is cancelled when the terminal is gone.
    pub fn gone(&self) -> CancellationToken {
        self.hangup.token()
    }

    /// Takes note of output that the terminal gets.
    pub fn note(&self, output: &[u8]) {
        let last = |sign: &[u8]| output.windows(sign.len()).rposition(|part| part == sign);
        match (last(ENTER_SCREEN), last(LEAVE_SCREEN)) {
            (None, None) => {}
            (entered, left) => self.alternate.store(entered > left, Ordering::Relaxed),
        }
    }

    /// Takes note that the program has ended by itself: there is nothing to switch off for it.
    pub fn set_tidy(&self) {
        self.is_tidy.store(true, Ordering::Relaxed);
    }

    /// Suspends the program, with the terminal restored, until it is brought to the foreground.
    ///
    /// # Errors
    /// Where raw mode cannot be entered again.
    pub fn suspend(&self) -> io::Result<()> {
        leave();
        kill_current_process_group(Signal::TSTP)?;
        self.resume()
    }

    /// Enters raw mode again after a stop: the shell has changed the terminal meanwhile.
    ///
    /// # Errors
    /// Where the terminal refuses.
    pub fn resume(&self) -> io::Result<()> {
        leave();
        enable_raw_mode()?;
        RAW.store(true, Ordering::SeqCst);
        Ok(())
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if !self.is_tidy.load(Ordering::Relaxed) && !self.hangup.token().is_cancelled() {
            let screen = if self.alternate.load(Ordering::Relaxed) { LEAVE_SCREEN } else { b"" };
            let mut out = stdout().lock();
            // A terminal that cannot be written needs no restoring.
            let _gone = out.write_all(&[screen, RESET].concat()).and_then(|()| out.flush());
        }
        leave();
    }
}

/// Leaves raw mode, if it is on.
pub(super) fn leave() {
    if RAW.swap(false, Ordering::SeqCst) {
        let _gone = disable_raw_mode();
    }
}

/// Standard input, read by a thread that ends when this is dropped: from then on what is typed is somebody else's.
pub struct Stdin {
    chunks: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// Dropped with this, it ends the thread.
    _end: PipeWriter,
}

impl Stdin {
    /// Begins to read. `filter` sees each chunk as it is read, and returns what is left of it.
    ///
    /// # Errors
    /// Where there are no descriptors or threads left.
    pub fn read(mut filter: impl FnMut(Vec<u8>) -> Vec<u8> + Send + 'static) -> io::Result<Self> {
        let (ended, end) = pipe()?;
        let (sender, chunks) = mpsc::channel(CHUNKS);
        thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            loop {
                let mut fds = [
                    PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN),
                    PollFd::new(&ended, PollFlags::IN),
                ];
                match poll(&mut fds, None) {
                    Ok(_) if !fds[1].revents().is_empty() => return,
                    Ok(_) => {}
                    Err(Errno::INTR | Errno::AGAIN) => continue,
                    Err(error) => return drop(sender.blocking_send(Err(error.into()))),
                }
                let mut chunk = vec![0; READ_SIZE];
                let read = match stdin().lock().read(&mut chunk) {
                    Ok(0) => return,
                    Ok(count) => {
                        chunk.truncate(count);
                        Ok(filter(chunk))
                    }
                    Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                        continue;
                    }
                    Err(error) => Err(error),
                };
                let failed = read.is_err();
                if read.as_ref().is_ok_and(Vec::is_empty) {
                    continue;
                }
                if sender.blocking_send(read).is_err() || failed {
                    return;
                }
            }
        })?;
        Ok(Self { chunks, _end: end })
    }

    /// Returns the next chunk; `None` at the end of the input.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        self.chunks.recv().await
    }
}
