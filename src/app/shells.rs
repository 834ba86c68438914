//! Sessions in containers: each is a program of its own, which has the terminal meanwhile or a pane beside it.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::timeout;

use super::App;
use crate::term::Term;
use brow_model::event::Event;
use brow_model::shell::{ShellEnd, ShellEvent, ShellOpen, ShellPlace};

/// The longest wait for a session to end with the dashboard.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// A session that has the terminal, or the program that opens a pane for one.
pub(super) struct Session {
    child: Child,
    thing: String,
    here: bool,
}

impl App {
    /// Opens a session. One that has the terminal already goes on.
    pub(super) async fn open_shell(&mut self, place: &ShellPlace, term: &mut Term) -> std::io::Result<()> {
        if self.session.is_some() {
            return Ok(());
        }
        let wanted = self.model.config.settings().shell.open;
        let launcher = &self.terminal.shells;
        let pane = launcher.pane.as_ref().filter(|_| wanted == ShellOpen::Pane);
        let started = if let Some(pane) = pane {
            launcher.pane(pane, place)
        } else {
            term.lend().await;
            launcher.here(place)
        };
        let here = pane.is_none();
        match started {
            Ok(child) => self.session = Some(Session { child, thing: place.thing.clone(), here }),
            Err(error) => {
                if here {
                    term.retake()?;
                }
                let event = ShellEvent::Failed { thing: place.thing.clone(), why: error.to_string() };
                self.update(Event::Shell(event));
            }
        }
        Ok(())
    }

    /// Takes the terminal back from a session that has ended.
    pub(super) fn on_session(&mut self, ended: std::io::Result<ExitStatus>, term: &mut Term) -> std::io::Result<()> {
        let Some(Session { thing, here, .. }) = self.session.take() else { return Ok(()) };
        self.tick();
        if here {
            term.retake()?;
        }
        let event = match ended {
            Err(error) => ShellEvent::Failed { thing, why: error.to_string() },
            Ok(status) if here => ShellEvent::Ended { thing, end: end(status) },
            Ok(status) if status.success() => ShellEvent::InPane { thing },
            Ok(status) => ShellEvent::NoPane { thing, end: end(status) },
        };
        self.update(Event::Shell(event));
        Ok(())
    }

    /// Ends the session that has the terminal, which it gives back.
    pub(super) async fn end_session(&mut self) {
        let Some(Session { mut child, here: true, .. }) = self.session.take() else { return };
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may have ended just now.
            let _ended = kill_process(pid, Signal::TERM);
        }
        let _ended = timeout(END_TIMEOUT, child.wait()).await;
    }
}

fn end(status: ExitStatus) -> ShellEnd {
    let by_signal = || ShellEnd::Signal(status.signal().unwrap_or_default());
    status.code().map_or_else(by_signal, ShellEnd::Code)
}

/// Waits for a session to end; for ever where there is none.
pub(super) async fn ended(session: &mut Option<Session>) -> std::io::Result<ExitStatus> {
    match session {
        Some(session) => session.child.wait().await,
        None => std::future::pending().await,
    }
}
