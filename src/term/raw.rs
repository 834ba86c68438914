//! Raw mode without a screen of ours, and standard input read byte by byte: for a program that draws by itself, such as
//! a shell in a container.

use std::io::{self, PipeWriter, Read as _, pipe, stdin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use parking_lot::{Mutex, MutexGuard};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, kill_current_process_group};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::hangup::Hangup;
use super::modes::Modes;
use super::output::write_until;

/// True while the terminal is in raw mode for a session. The panic hook and [`RawMode`] both restore it, once.
static RAW: AtomicBool = AtomicBool::new(false);

/// The size of a read. A pty hands out 4 KiB at most.
const READ_SIZE: usize = 32 * 1024;
/// The chunks of input that may wait to be taken.
const CHUNKS: usize = 64;

/// Plain colors and a visible cursor, on a new line, after a program that was cut off.
const PLAIN: &[u8] = b"\x1b[0m\x1b[?25h\r\n";
/// The longest wait for a terminal that takes nothing.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(1);

/// The modes that the program has switched, while its session has the terminal. The panic hook needs them, too.
static MODES: Mutex<Modes> = Mutex::new(Modes::new());

/// Raw mode, for as long as this lives.
pub struct RawMode {
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
        *modes() = Modes::new();
        RAW.store(true, Ordering::SeqCst);
        Ok(Self { is_tidy: AtomicBool::new(false), hangup })
    }

    /// A token that is cancelled when the terminal is gone.
    pub fn gone(&self) -> CancellationToken {
        self.hangup.token()
    }

    /// Takes note of output that the terminal gets.
    pub fn note(&self, output: &[u8]) {
        modes().note(output);
    }

    /// Takes note that the program has ended by itself: its last line is its own.
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

    /// Enters raw mode again after a stop: the shell has changed the terminal meanwhile. What the program has switched
    /// is switched again.
    ///
    /// # Errors
    /// Where the terminal refuses.
    pub fn resume(&self) -> io::Result<()> {
        leave();
        enable_raw_mode()?;
        RAW.store(true, Ordering::SeqCst);
        let again = modes().redone();
        give(&again);
        Ok(())
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if self.hangup.token().is_cancelled() {
            *modes() = Modes::new();
        } else if !self.is_tidy.load(Ordering::Relaxed) && RAW.load(Ordering::SeqCst) {
            let undone = std::mem::take(&mut *modes()).undone();
            give(&[&undone, PLAIN].concat());
        }
        leave();
    }
}

fn modes() -> MutexGuard<'static, Modes> {
    MODES.lock()
}

/// Writes what restores the terminal. One that cannot be written needs no restoring.
fn give(bytes: &[u8]) {
    let _gone = write_until(bytes, Instant::now() + RESTORE_TIMEOUT);
}

/// Leaves raw mode, if it is on, with what the program has switched.
pub(super) fn leave() {
    if RAW.swap(false, Ordering::SeqCst) {
        // A panic while it was locked would wait for itself.
        let undone = MODES.try_lock().map(|modes| modes.undone()).unwrap_or_default();
        give(&undone);
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
