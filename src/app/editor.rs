//! A person's editor: it has the terminal until it ends.

use std::path::Path;

use tokio::process::Child;

use super::App;
use crate::edit::{self, Editor};
use crate::term::Term;
use brow_model::edit::Draft;
use brow_model::epoch::Epoch;
use brow_model::event::{EditEvent, Event};
use brow_model::fault::Fault;

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
    ) -> std::io::Result<()> {
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

    /// Takes the terminal back from an editor that has ended.
    pub(super) fn on_editor(
        &mut self,
        ended: std::io::Result<std::process::ExitStatus>,
        term: &mut Term,
    ) -> std::io::Result<()> {
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
}

/// Waits for the editor to end; for ever where there is none.
pub(super) async fn ended(editing: &mut Option<Editing>) -> std::io::Result<std::process::ExitStatus> {
    match editing {
        Some(editing) => editing.child.wait().await,
        None => std::future::pending().await,
    }
}
