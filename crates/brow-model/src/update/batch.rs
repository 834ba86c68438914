//! Commands on several rows at once say what happened to how many, and can be taken back.

use crate::language::effect::{Effect, TargetEdit};
use crate::language::log::{Level, Message};
use crate::screen::batch::{Batch, Opening, Undo};
use crate::state::Model;
use crate::types::forward::{Forward, ForwardId, ForwardState};
use crate::types::gateway::GatewayChange;
use crate::types::target::Target;

impl Model {
    /// Says what happened to several; of one its own entry says it.
    pub(crate) fn note_batch(&mut self, batch: Batch, count: usize) {
        if count > 1 {
            self.note(Level::Success, Message::Several(batch), count.to_string(), "");
        }
    }

    /// Opens the forwards of targets; of several it can be taken back.
    pub(crate) fn open_all(&mut self, targets: &[Target], out: &mut Vec<Effect>) {
        let closed = targets.iter().filter(|target| !self.is_connected(&target.name));
        let names: Vec<String> = closed.map(|target| target.name.clone()).collect();
        self.open_together(targets, names.len() > 1, out);
        if names.len() > 1 {
            self.screen.undo.push(Undo::Opened(names));
        }
    }

    /// Opens the forwards of targets; of several it is said together, as soon as each listens or has failed.
    fn open_together(&mut self, targets: &[Target], back: bool, out: &mut Vec<Effect>) {
        for target in targets {
            self.open_forward(target, out);
        }
        if targets.len() < 2 {
            return;
        }
        let is_of = |forward: &Forward| targets.iter().any(|target| target.name == forward.spec.target);
        let waiting = self.forwards.ids(|forward| is_of(forward) && forward.state() == ForwardState::Opening);
        let opened = self.forwards.ids(|forward| is_of(forward) && forward.is_open()).len() - waiting.len();
        let failed = targets.iter().filter(|target| self.all_forwards_of(&target.name).is_empty()).count();
        self.note_batch(Batch::Opening, targets.len());
        self.screen.opening = Some(Opening { waiting: waiting.into_iter().collect(), opened, failed, back });
        self.end_opening();
    }

    /// Counts a forward of several that listens now, or cannot.
    pub(crate) fn count_opened(&mut self, id: ForwardId, listens: bool) {
        let Some(opening) = &mut self.screen.opening else { return };
        if opening.waiting.remove(&id) {
            *(if listens { &mut opening.opened } else { &mut opening.failed }) += 1;
            self.end_opening();
        }
    }

    fn end_opening(&mut self) {
        if let Some(Opening { opened, failed, back, .. }) = self.screen.opening.take_if(|all| all.waiting.is_empty()) {
            let level = if failed > 0 { Level::Warning } else { Level::Success };
            self.note(level, Message::Several(Batch::Opened { failed, back }), opened.to_string(), "");
        }
    }

    /// Closes forwards, wherever they are; of several of ours it can be taken back.
    pub(crate) fn close_all(&mut self, forwards: &[ForwardId], out: &mut Vec<Effect>) {
        let own = forwards.iter().filter(|id| self.forwards.all().contains_key(id));
        let mut names: Vec<String> = own.map(|id| self.target_of(*id)).collect();
        names.dedup();
        self.close_together(forwards, names.len() > 1, out);
        if names.len() > 1 {
            self.screen.undo.push(Undo::Closed(names));
        }
    }

    fn close_together(&mut self, forwards: &[ForwardId], back: bool, out: &mut Vec<Effect>) {
        for id in forwards {
            self.stop_for_person(*id, out);
            self.stop_elsewhere(*id, out);
            self.change_gateway(*id, GatewayChange::Stop, out);
        }
        self.note_batch(Batch::Closed { back }, forwards.len());
    }

    /// Takes the last deletion back, or the last opening or closing of several.
    pub(crate) fn undo(&mut self, out: &mut Vec<Effect>) {
        match self.screen.undo.pop() {
            None => self.note(Level::Info, Message::NothingToUndo, "", ""),
            Some(Undo::Deleted(targets)) => self.bring_back(targets, out),
            Some(Undo::Opened(names)) => {
                let open = self.forwards.ids(|forward| names.contains(&forward.spec.target));
                self.close_together(&open, false, out);
            }
            Some(Undo::NotRestored(open)) => self.restore(&open, out),
            Some(Undo::Closed(names)) => {
                let targets: Vec<Target> = names.iter().filter_map(|name| self.target(name)).cloned().collect();
                self.open_together(&targets, false, out);
            }
        }
    }

    /// Brings deleted targets back.
    fn bring_back(&mut self, targets: Vec<Target>, out: &mut Vec<Effect>) {
        let count = targets.len();
        let mut edits = Vec::new();
        // The last one that was taken out goes in first: each stands again where it stood.
        for mut target in targets.into_iter().rev() {
            if self.target(&target.name).is_some() {
                target.name = self.free_name(&target.name);
            }
            self.note(Level::Success, Message::TargetRestored, &target.name, "");
            self.select_target(&target.name);
            let edit = TargetEdit::Restore(target);
            self.apply(&edit);
            edits.push(edit);
        }
        self.save(edits, out);
        self.note_batch(Batch::Restored, count);
    }
}
