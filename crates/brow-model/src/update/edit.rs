//! Custom objects that a person edits, creates and deletes: the way from the editor through a trial to the server.

use std::sync::Arc;

use crate::language::action::Command;
use crate::language::effect::{EditEffect, Effect, TerminalEffect};
use crate::language::event::EditEvent;
use crate::language::fault::{Fault, What};
use crate::language::log::{Level, Message};
use crate::screen::dialog::{Dialog, Question};
use crate::screen::edit::{ObjectEdit, Stage};
use crate::state::Model;
use crate::types::edit::{Draft, EditSubject, Trial};
use crate::types::epoch::Epoch;
use crate::types::index::{ObjectRef, ServedKind};
use crate::update::dialog::Input;

impl Model {
    /// Opens the text of an object in the person's editor. Built-in kinds are not edited.
    pub(crate) fn edit_object(&mut self, object: ObjectRef, out: &mut Vec<Effect>) {
        self.begin_edit(EditSubject::Existing(object), out);
    }

    /// Opens a skeleton of a new object in the person's editor.
    pub(crate) fn create_object(
        &mut self,
        (cluster, kind): (String, Arc<ServedKind>),
        namespace: Option<&str>,
        out: &mut Vec<Effect>,
    ) {
        let of_context = || self.cluster(&cluster).map(|at| at.namespace.clone()).unwrap_or_default();
        let namespace = if kind.namespaced { namespace.map_or_else(of_context, str::to_owned) } else { String::new() };
        self.begin_edit(EditSubject::New(ObjectRef { cluster, kind, namespace, name: String::new() }), out);
    }

    fn begin_edit(&mut self, subject: EditSubject, out: &mut Vec<Effect>) {
        let object = subject.object();
        if !object.kind.is_custom() {
            return self.note(Level::Info, Message::KindBuiltIn, object.kind.kind.clone(), "");
        }
        let epoch = Epoch(self.next_number());
        out.push(Effect::Edit(EditEffect::Open { subject: subject.clone(), epoch }));
        let edit = ObjectEdit { subject, epoch, stage: Stage::Opening, button: 0, scroll: 0 };
        self.screen.dialogs.push(Dialog::Edit(Box::new(edit)));
    }

    /// Asks whether an object is to be deleted.
    pub(crate) fn ask_delete_object(&mut self, object: ObjectRef, uid: String) {
        if !object.kind.is_custom() {
            return self.note(Level::Info, Message::KindBuiltIn, object.kind.kind.clone(), "");
        }
        let production = self.is_production(&object.cluster);
        let question = Question::DeleteObject { object: Box::new(object), uid, production };
        self.screen.dialogs.push(Dialog::Confirm { question, button: 0 });
    }

    pub(crate) fn on_object_deleted(&mut self, object: &ObjectRef, result: Result<(), Fault>, out: &mut Vec<Effect>) {
        self.audit_object("delete-object", object, result.as_ref().err().map(|fault| fault.what), out);
        match result {
            Ok(()) => self.note(Level::Success, Message::ObjectDeleted, object.short_name(), object.cluster.clone()),
            Err(fault) => self.fail(fault),
        }
    }

    pub(crate) fn in_edit(
        &mut self,
        mut edit: Box<ObjectEdit>,
        input: &Input,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        let (count, page) = (edit.stage.buttons(), self.screen.page);
        let step = |button: usize, by: isize| {
            (button.cast_signed() + by).rem_euclid(count.max(1).cast_signed()).unsigned_abs()
        };
        let pressed = match input {
            Input::Do(Command::Cancel) => Some(0),
            Input::Do(Command::Accept) if count > 0 => Some(edit.button),
            Input::Item(at) if *at < count => Some(*at),
            Input::Do(Command::Right | Command::Next) => {
                edit.button = step(edit.button, 1);
                None
            }
            Input::Do(Command::Left | Command::Previous) => {
                edit.button = step(edit.button, -1);
                None
            }
            Input::Do(_) | Input::Type(_) | Input::Item(_) | Input::Wheel(_) => {
                let scroll = edit.scroll.min(self.screen.max_scroll);
                edit.scroll = scroll.saturating_add_signed(input.moves(page).unwrap_or(0)).min(self.screen.max_scroll);
                None
            }
        };
        match pressed {
            None => Some(Dialog::Edit(edit)),
            Some(button) => self.press(edit, button, out),
        }
    }

    /// Does what a button says: leave, apply, edit again.
    fn press(&mut self, mut edit: Box<ObjectEdit>, button: usize, out: &mut Vec<Effect>) -> Option<Dialog> {
        let epoch = edit.epoch;
        edit.stage = match (edit.stage, button) {
            (Stage::Proposed(proposal), 1) => {
                out.push(Effect::Edit(EditEffect::Apply { proposal: proposal.clone(), epoch }));
                Stage::Applying(proposal)
            }
            (Stage::Proposed(proposal), 2) => to_editor(Box::new(proposal.draft), None, epoch, out),
            (Stage::Refused { draft, fault }, 1) => to_editor(draft, Some(fault), epoch, out),
            // It is on its way and cannot be called back.
            (Stage::Applying(proposal), _) => Stage::Applying(proposal),
            (Stage::InEditor(draft), _) => Stage::InEditor(draft),
            (stage, _) => {
                if let Some(draft) = stage.draft() {
                    self.note(Level::Info, Message::TextKept, draft.object.short_name(), draft.path.clone());
                }
                return None;
            }
        };
        (edit.button, edit.scroll) = (0, 0);
        Some(Dialog::Edit(edit))
    }

    /// Takes in news of the edit of an object.
    pub(crate) fn on_edit(&mut self, epoch: Epoch, event: EditEvent, out: &mut Vec<Effect>) {
        let is_it = |dialog: &Dialog| matches!(dialog, Dialog::Edit(edit) if edit.epoch == epoch);
        let Some(at) = self.screen.dialogs.iter().position(is_it) else {
            // It was left before there was anything to edit.
            if let EditEvent::Opened(Ok(draft)) = event {
                out.push(Effect::Edit(EditEffect::Discard { path: draft.path }));
            }
            return;
        };
        let Dialog::Edit(mut edit) = self.screen.dialogs.remove(at) else { return };
        let next = match (event, edit.stage) {
            (EditEvent::Opened(Ok(draft)), _) => Some(to_editor(draft, None, epoch, out)),
            (EditEvent::Opened(Err(fault)), _) => Some(Stage::Failed(fault)),
            (EditEvent::Left(Ok(())), Stage::InEditor(draft)) => {
                out.push(Effect::Edit(EditEffect::Try { draft: draft.clone(), epoch }));
                Some(Stage::Trying(draft))
            }
            (EditEvent::Left(Err(fault)), Stage::InEditor(draft)) => Some(Stage::Refused { draft, fault }),
            (EditEvent::Tried { draft, result }, _) => self.tried(draft, result, out),
            (EditEvent::Applied(result), Stage::Applying(proposal)) => self.applied(proposal.draft, result, out),
            (EditEvent::Left(_) | EditEvent::Applied(_), stage) => Some(stage),
        };
        if let Some(stage) = next {
            // Where it was refused the harmless button is the one that goes on.
            edit.button = usize::from(matches!(stage, Stage::Refused { .. }));
            (edit.stage, edit.scroll) = (stage, 0);
            self.screen.dialogs.insert(at.min(self.screen.dialogs.len()), Dialog::Edit(edit));
        }
    }

    fn tried(&mut self, draft: Box<Draft>, result: Result<Trial, Fault>, out: &mut Vec<Effect>) -> Option<Stage> {
        match result {
            Ok(Trial::Proposed(proposal)) => Some(Stage::Proposed(proposal)),
            Ok(Trial::Unchanged) => {
                self.note(Level::Info, Message::ObjectUnchanged, draft.object.short_name(), "");
                out.push(Effect::Edit(EditEffect::Discard { path: draft.path }));
                None
            }
            Err(fault) => Some(Stage::Refused { draft, fault }),
        }
    }

    fn applied(&mut self, draft: Draft, result: Result<(), Fault>, out: &mut Vec<Effect>) -> Option<Stage> {
        let (action, done) = match draft.base {
            Some(_) => ("edit-object", Message::ObjectEdited),
            None => ("create-object", Message::ObjectCreated),
        };
        self.audit_object(action, &draft.object, result.as_ref().err().map(|fault| fault.what), out);
        match result {
            Ok(()) => {
                self.note(Level::Success, done, draft.object.short_name(), draft.object.cluster.clone());
                out.push(Effect::Edit(EditEffect::Discard { path: draft.path }));
                None
            }
            Err(fault) => Some(Stage::Refused { draft: Box::new(draft), fault }),
        }
    }

    /// Writes what became of an object; never what is in it.
    fn audit_object(&self, action: &'static str, object: &ObjectRef, fault: Option<What>, out: &mut Vec<Effect>) {
        let namespace = (!object.namespace.is_empty()).then_some(object.namespace.as_str());
        self.audit_thing(action, object.short_name(), (&object.cluster, namespace), fault, out);
    }
}

/// Gives a text to the editor.
fn to_editor(draft: Box<Draft>, fault: Option<Fault>, epoch: Epoch, out: &mut Vec<Effect>) -> Stage {
    out.push(Effect::Terminal(TerminalEffect::EditText { draft: draft.clone(), fault, epoch }));
    Stage::InEditor(draft)
}
