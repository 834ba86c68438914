//! Writing to the terminal of standard output, by a thread that can be stopped: what is dropped with it is not written
//! any more, and nothing comes after what restores the terminal.

use std::io::{self, PipeReader, PipeWriter, pipe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::{mpsc, oneshot};

/// The pieces that may wait to be written.
const PIECES: usize = 16;
/// The most that is written at once: a terminal that takes nothing holds a write up.
const WRITE_SIZE: usize = 4096;
/// The interval of looks at the clock while a terminal takes nothing.
const POLL_TIMEOUT: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Output on its way to the terminal.
pub struct Output {
    sender: Option<mpsc::Sender<Bytes>>,
    finished: Option<oneshot::Receiver<io::Result<()>>>,
    stop: Arc<AtomicBool>,
    end: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Output {
    /// Begins to write.
    ///
    /// # Errors
    /// Where there are no descriptors or threads left.
    pub fn begin() -> io::Result<Self> {
        let (ended, end) = pipe()?;
        let (sender, mut pieces) = mpsc::channel::<Bytes>(PIECES);
        let (done, finished) = oneshot::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            let mut written = Ok(());
            while let Some(piece) = pieces.blocking_recv() {
                written = write(&piece, &|| stopped.load(Ordering::SeqCst), Some(&ended));
                if written.is_err() {
                    break;
                }
            }
            // Nobody waits for it where the session was dropped.
            _ = done.send(written);
        })?;
        Ok(Self { sender: Some(sender), finished: Some(finished), stop, end: Some(end), thread: Some(thread) })
    }

    /// Writes a piece; waits while the terminal takes none.
    ///
    /// # Errors
    /// The terminal failed.
    pub async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        let sent = match &self.sender {
            Some(sender) => sender.send(bytes).await.is_ok(),
            None => false,
        };
        if sent { Ok(()) } else { self.finish().await }
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// The terminal failed.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.sender = None;
        match self.finished.take() {
            Some(finished) => finished.await.unwrap_or(Ok(())),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        (self.sender, self.end) = (None, None);
        if let Some(thread) = self.thread.take() {
            // It reports to nobody any more.
            let _ended = thread.join();
        }
    }
}

/// Writes to standard output before a time; a terminal that takes nothing until then gets no more.
///
/// # Errors
/// The terminal failed.
pub(super) fn write_until(bytes: &[u8], end: Instant) -> io::Result<()> {
    write(bytes, &|| Instant::now() >= end, None)
}

/// Writes to standard output until it is told to stop. Others may have made the terminal one that does not wait: it is
/// theirs, too.
fn write(mut bytes: &[u8], is_over: &impl Fn() -> bool, end: Option<&PipeReader>) -> io::Result<()> {
    let out = rustix::stdio::stdout();
    while !bytes.is_empty() && !is_over() {
        let ready = if let Some(end) = end {
            let mut fds = [PollFd::from_borrowed_fd(out, PollFlags::OUT), PollFd::new(end, PollFlags::IN)];
            poll(&mut fds, None).map(|_| !fds[0].revents().is_empty())
        } else {
            let mut fds = [PollFd::from_borrowed_fd(out, PollFlags::OUT)];
            poll(&mut fds, Some(&POLL_TIMEOUT)).map(|count| count > 0)
        };
        let written = ready.and_then(|ready| {
            let piece = &bytes[..bytes.len().min(WRITE_SIZE)];
            if ready { rustix::io::write(out, piece) } else { Ok(0) }
        });
        match written {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
