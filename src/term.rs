//! The terminal: taken with a guard that always gives it back, and the one place that reads its events.

mod clipboard;
mod hangup;
mod modes;
mod output;
mod raw;

use std::io::{self, BufWriter, IsTerminal, Stdout, Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event, EventStream,
    MouseEventKind,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use futures::StreamExt;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};
use ratatui::{Frame, Terminal};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use hangup::{Hangup, HangupWriter};

use brow_model::sanitize;

pub use clipboard::Clipboard;
pub use output::Output;
pub use raw::{RawMode, Stdin};

/// True while the terminal is in raw mode. The panic hook and [`Term`] both restore it, once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// True while the terminal's title is ours.
static TITLED: AtomicBool = AtomicBool::new(false);

/// Told when something has panicked.
static PANICKED: Notify = Notify::const_new();

/// The terminal, taken for as long as this lives.
pub struct Term {
    terminal: Terminal<CrosstermBackend<BufWriter<HangupWriter<Stdout>>>>,
    mouse: bool,
    /// The terminal's settings as we found them.
    found: Termios,
    /// The title as last set.
    title: Option<String>,
    reader: Option<Reader>,
    _hangup: Hangup,
    /// Cancelled once the terminal is gone.
    gone: CancellationToken,
}

/// The thread that reads the terminal's events.
///
/// It is neither the loop nor a task that reads: on a terminal that was closed crossterm's reading does not end, and
/// would keep a worker of the runtime from its other tasks.
struct Reader {
    events: mpsc::Receiver<io::Result<Event>>,
    stop: CancellationToken,
    stopped: oneshot::Receiver<()>,
}

/// Events read ahead of the loop.
const EVENT_CAPACITY: usize = 64;
/// The longest wait for the reader to stop.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

impl Reader {
    fn start() -> io::Result<Self> {
        let (sender, events) = mpsc::channel(EVENT_CAPACITY);
        let (ended, stopped) = oneshot::channel();
        let stop = CancellationToken::new();
        let (runtime, told) = (Handle::current(), stop.clone());
        thread::Builder::new().name("keys".to_owned()).spawn(move || {
            runtime.block_on(told.run_until_cancelled(read(&sender)));
            // Nobody may wait for it any more.
            _ = ended.send(());
        })?;
        Ok(Self { events, stop, stopped })
    }

    /// Stops reading: from then on keys are somebody else's.
    async fn stop(mut self) {
        self.stop.cancel();
        // A reader that does not stop has nothing to read any more.
        let _stopped = timeout(STOP_TIMEOUT, &mut self.stopped).await;
    }
}

async fn read(sender: &mpsc::Sender<io::Result<Event>>) {
    let mut stream = EventStream::new();
    while let Some(event) = stream.next().await {
        if matches!(&event, Ok(Event::Mouse(mouse)) if is_idle(mouse.kind)) {
            continue;
        }
        if sender.send(event).await.is_err() {
            break;
        }
    }
}

/// Returns true if the mouse only moved. Nothing depends on its position, so such events are dropped.
fn is_idle(kind: MouseEventKind) -> bool {
    matches!(kind, MouseEventKind::Moved | MouseEventKind::Drag(_))
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Term {
    /// Returns true if standard input and output are a terminal.
    pub fn is_there() -> bool {
        io::stdin().is_terminal() && stdout().is_terminal()
    }

    /// Sets the terminal up: raw mode, the alternate screen, bracketed paste and, if asked for, mouse capture. Must be
    /// called inside a runtime.
    ///
    /// # Errors
    /// Where standard input or output is no terminal, or it refuses.
    pub fn take(mouse: bool) -> io::Result<Self> {
        if !Self::is_there() {
            return Err(io::Error::other("standard input and output must be a terminal"));
        }
        let hangup = Hangup::watch()?;
        let gone = hangup.token();
        // Room for a whole frame: the terminal sees it in one piece.
        let out = BufWriter::with_capacity(1 << 17, HangupWriter::new(stdout(), gone.clone()));
        let backend = CrosstermBackend::new(out);
        let found = tcgetattr(rustix::stdio::stdin())?;
        enter(mouse)?;
        let taken = Terminal::new(backend).and_then(|terminal| Ok((terminal, Reader::start()?)));
        if taken.is_err() {
            give_back();
        }
        let (terminal, reader) = taken?;
        Ok(Self { terminal, mouse, found, title: None, reader: Some(reader), _hangup: hangup, gone })
    }

    /// Returns true if the terminal is known to be gone.
    pub fn is_gone(&self) -> bool {
        self.gone.is_cancelled() || !Self::is_there()
    }

    /// Draws a frame; none on a terminal that is gone.
    ///
    /// # Errors
    /// Where the terminal does not tell its size.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        // A panic elsewhere may have given the terminal back; what it reported is not drawn over.
        if self.gone.is_cancelled() || !TAKEN.load(Ordering::SeqCst) {
            return Ok(());
        }
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(render)?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// The terminal's events, none while it is lent; `None` once the terminal is gone.
    pub async fn next(&mut self) -> Option<io::Result<Event>> {
        let event = async {
            match &mut self.reader {
                Some(reader) => reader.events.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.gone.cancelled() => None,
            event = event => event,
        }
    }

    /// Sends a command to the terminal between two frames; not while it is lent.
    ///
    /// # Errors
    /// Where the terminal can't be written.
    pub fn send(&mut self, command: impl crossterm::Command) -> io::Result<()> {
        if !TAKEN.load(Ordering::SeqCst) {
            return Ok(());
        }
        execute!(self.terminal.backend_mut(), command)
    }

    /// Turns mouse capture on or off.
    ///
    /// # Errors
    /// Where the terminal can't be written.
    pub fn set_mouse(&mut self, mouse: bool) -> io::Result<()> {
        if std::mem::replace(&mut self.mouse, mouse) == mouse {
            return Ok(());
        }
        if mouse { self.send(EnableMouseCapture) } else { self.send(DisableMouseCapture) }
    }

    /// Sets the terminal's title if it changed; `None` restores the original one.
    ///
    /// # Errors
    /// Where the terminal can't be written.
    pub fn set_title(&mut self, title: Option<&str>) -> io::Result<()> {
        if self.title.as_deref() == title || !TAKEN.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.title = title.map(str::to_owned);
        let out = self.terminal.backend_mut();
        match title {
            None => give_title_back(out),
            Some(title) => {
                if !TITLED.swap(true, Ordering::SeqCst) {
                    out.write_all(PUSH_TITLE)?;
                }
                write_title(out, title)?;
                out.flush()
            }
        }
    }

    /// Lends the terminal to another program, restored, until [`Term::retake`].
    pub async fn lend(&mut self) {
        // Nobody may read the keys that are the other's now.
        if let Some(reader) = self.reader.take() {
            reader.stop().await;
        }
        give_back();
    }

    /// Takes a terminal that was lent, and redraws all of it.
    ///
    /// # Errors
    /// Where the terminal can't be taken again.
    pub fn retake(&mut self) -> io::Result<()> {
        // A program that was killed has not restored it, and it is what we restore in the end.
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.found)?;
        enter(self.mouse)?;
        self.title = None;
        self.reader = Some(Reader::start()?);
        self.redraw()
    }

    /// Suspends the program, with the terminal restored, until it is brought to the foreground.
    ///
    /// # Errors
    /// Where the terminal can't be taken again.
    pub async fn suspend(&mut self) -> io::Result<()> {
        self.lend().await;
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP)?;
        self.retake()
    }

    /// Makes the next frame redraw the whole screen, in case something else wrote on it.
    ///
    /// # Errors
    /// Where the terminal can't be written.
    pub fn redraw(&mut self) -> io::Result<()> {
        // Not its `clear`: that asks the terminal where the cursor is, reads the answer beside the one place that reads
        // events, and fails where none comes.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::from((Position::ORIGIN, size)))
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.reader = None;
        give_back();
    }
}

fn enter(mouse: bool) -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
    if mouse {
        execute!(stdout(), EnableMouseCapture)?;
    }
    Ok(())
}

/// Restores the terminal, if it is ours. Errors are ignored: a terminal that can't be written needs no restoring.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = stdout();
    let _gone = give_title_back(&mut out);
    let _gone = execute!(
        out,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _gone = out.flush();
    let _gone = disable_raw_mode();
}

/// Pushes the title onto the terminal's own stack, and pops it (xterm's control sequences, window operations 22 and
/// 23). A terminal without such a stack gets an empty title, since ours is no longer true.
const PUSH_TITLE: &[u8] = b"\x1b[22;2t";
const POP_TITLE: &[u8] = b"\x1b]2;\x1b\\\x1b[23;2t";

fn write_title(out: &mut impl Write, title: &str) -> io::Result<()> {
    write!(out, "\x1b]2;{}\x1b\\", sanitize::line(title))
}

fn give_title_back(out: &mut impl Write) -> io::Result<()> {
    if !TITLED.swap(false, Ordering::SeqCst) {
        return Ok(());
    }
    out.write_all(POP_TITLE)?;
    out.flush()
}

/// Installs a panic hook that restores the terminal, reports the panic and makes [`panicked`] return, whatever task it
/// was in: a program with a part missing must not go on. A [contained](kube_tunnel::contain) panic is only logged.
pub fn restore_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tracing::error!("{info}");
        if kube_tunnel::contain::is_contained() {
            return;
        }
        give_back();
        raw::leave();
        report(info);
        PANICKED.notify_one();
    }));
}

/// Waits until something has panicked, after [`restore_on_panic`].
pub async fn panicked() {
    PANICKED.notified().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::sanitize::{HOSTILE, is_safe};

    #[test]
    fn a_title_is_nothing_but_its_words() {
        for words in HOSTILE {
            let mut out = Vec::new();
            write_title(&mut out, words).unwrap();
            let out = String::from_utf8(out).unwrap();
            let title = out.strip_prefix("\x1b]2;").unwrap().strip_suffix("\x1b\\").unwrap();
            assert!(is_safe(title, false), "{out:?}");
        }
    }
}
