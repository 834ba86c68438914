//! A person's editor: it has the terminal until it ends.

use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::timeout;

use super::App;
use super::shells::{self, Session};
use crate::edit::{self, Editor};
use crate::term::Term;
use brow_model::edit::Draft;
use brow_model::epoch::Epoch;
use brow_model::event::{EditEvent, Event};
use brow_model::fault::Fault;

/// The longest wait for the editor to end with the dashboard.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// The editor that has the terminal.
pub(super) struct Editing {
    child: Child,
    editor: Editor,
    epoch: Epoch,
}

impl App {
    /// Lends the terminal to the editor. The reason why the text was refused stands above it.
    pub(super) async fn open_editor(
        &mut self,
        draft: &Draft,
        fault: Option<&Fault>,
        epoch: Epoch,
        term: &mut Term,
    ) -> io::Result<()> {
        let words = self.text.edit_header(fault);
        let path = Path::new(&draft.path);
        let started = edit::annotate(path, &words).and_then(|()| Editor::of(self.terminal.editor.as_ref()));
        let editor = match started {
            Ok(editor) => editor,
            Err(fault) => {
                self.update(Event::Edit { epoch, event: EditEvent::Left(Err(fault)) });
                return Ok(());
            }
        };
        term.lend().await;
        match editor.start(path) {
            Ok(child) => self.editing = Some(Editing { child, editor, epoch }),
            Err(error) => {
                term.retake()?;
                self.update(Event::Edit { epoch, event: EditEvent::Left(Err(editor.failed(&error))) });
            }
        }
        Ok(())
    }

    /// Returns true while a session or the editor runs.
    pub(super) fn is_lent(&self) -> bool {
        self.session.is_some() || self.editing.is_some()
    }

    pub(super) fn on_ended(&mut self, ended: Ended, term: &mut Term) -> io::Result<()> {
        match ended {
            Ended::Session(ended) => self.on_session(ended, term),
            Ended::Editor(ended) => self.on_editor(ended, term),
        }
    }

    /// Takes the terminal back from an editor that has ended.
    fn on_editor(&mut self, ended: io::Result<ExitStatus>, term: &mut Term) -> io::Result<()> {
        let Some(Editing { editor, epoch, .. }) = self.editing.take() else { return Ok(()) };
        self.tick();
        term.retake()?;
        let result = match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(editor.failed(&status)),
            Err(error) => Err(editor.failed(&error)),
        };
        self.update(Event::Edit { epoch, event: EditEvent::Left(result) });
        Ok(())
    }

    /// Ends the editor that has the terminal, which it gives back. Its text stays in the file.
    pub(super) async fn end_editor(&mut self) {
        let Some(Editing { mut child, .. }) = self.editing.take() else { return };
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may have ended just now.
            let _ended = kill_process(pid, Signal::TERM);
        }
        let _ended = timeout(END_TIMEOUT, child.wait()).await;
    }
}

/// The end of a session, or of the editor.
pub(super) enum Ended {
    Session(io::Result<ExitStatus>),
    Editor(io::Result<ExitStatus>),
}

/// Waits for a session or the editor to end; for ever where there is neither.
pub(super) async fn ended(session: &mut Option<Session>, editing: &mut Option<Editing>) -> Ended {
    let editor = async {
        match editing {
            Some(editing) => editing.child.wait().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = shells::ended(session) => Ended::Session(ended),
        ended = editor => Ended::Editor(ended),
    }
}
