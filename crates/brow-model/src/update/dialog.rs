//! Actions in the topmost dialog.

use crate::language::action::{Action, Command};
use crate::language::effect::{Effect, PodEffect, StoreEffect, TerminalEffect};
use crate::screen::dialog::{Dialog, Question};
use crate::screen::form::{name_error, ttl_error};
use crate::screen::text_field::Field;
use crate::state::Model;
use crate::types::proxy::CleanupScope;
use crate::types::target::Target;
use crate::update::import::in_import;

impl Model {
    /// Gives an action to the topmost dialog; it is taken off, works, and stays off where it is done with.
    pub(crate) fn on_dialog(&mut self, action: Action, out: &mut Vec<Effect>) {
        let Some(dialog) = self.screen.dialogs.pop() else {
            return;
        };
        self.screen.unarranged = true;
        let at = self.screen.dialogs.len();
        if let (Some(fault), Action::Do(Command::Copy)) = (dialog.fault(), &action) {
            out.push(Effect::Terminal(TerminalEffect::CopyFault(Box::new(fault.clone()))));
        }
        let kept = match dialog {
            Dialog::TargetForm(form) => self.in_form(form, action, out),
            Dialog::Rename { name, field } => self.in_rename(name, field, action, out),
            Dialog::AskTtl { targets, field } => self.in_ask_ttl(targets, field, action, out),
            Dialog::Confirm { question, button } => self.in_question(question, button, &action, out),
            Dialog::Help { scroll } => scrolled(scroll, (self.screen.page, self.screen.max_scroll), &action)
                .map(|scroll| Dialog::Help { scroll }),
            Dialog::Describe { key, text, scroll } => {
                let scroll = scrolled(scroll, (self.screen.page, self.screen.max_scroll), &action);
                scroll.map(|scroll| Dialog::Describe { key, text, scroll })
            }
            Dialog::PodLog { key, epoch, lines, ended, back } => {
                let kept = scrolled_back(back, self.screen.page, &action);
                if kept.is_none() {
                    out.push(Effect::Pod(PodEffect::StopLog));
                }
                let most = self.screen.max_scroll.min(lines.len().saturating_sub(1));
                kept.map(|back| Dialog::PodLog { key, epoch, lines, ended, back: back.min(most) })
            }
            Dialog::Browser(browser) => self.in_browser(browser, action, out),
            Dialog::Menu(menu) => self.in_menu(menu, &action, out),
            Dialog::Import { cluster, field, pasted } => in_import(cluster, field, pasted, action, out),
            Dialog::Fault(fault) => match action {
                Action::Do(Command::Cancel | Command::Accept | Command::Quit) => None,
                Action::Do(_)
                | Action::Edit(_)
                | Action::Paste(_)
                | Action::Click { .. }
                | Action::ClickColumn { .. }
                | Action::ClickItem(_)
                | Action::Wheel { .. }
                | Action::Page { .. } => Some(Dialog::Fault(fault)),
            },
        };
        if let Some(dialog) = kept {
            // What the work itself opened lies above.
            self.screen.dialogs.insert(at.min(self.screen.dialogs.len()), dialog);
        }
    }

    fn in_rename(&mut self, name: String, mut field: Field, action: Action, out: &mut Vec<Effect>) -> Option<Dialog> {
        match field.take(action, |new| name_error(new, Some(&name), self)) {
            FieldOutcome::Cancelled => None,
            FieldOutcome::Editing => Some(Dialog::Rename { name, field }),
            FieldOutcome::Submitted => {
                if field.text() != name {
                    self.save_name(&name, field.text(), out);
                }
                None
            }
        }
    }

    fn in_ask_ttl(
        &mut self,
        targets: Vec<String>,
        mut field: Field,
        action: Action,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        match field.take(action, |ttl| ttl_error(ttl, self.config.settings.max_ttl)) {
            FieldOutcome::Cancelled => None,
            FieldOutcome::Editing => Some(Dialog::AskTtl { targets, field }),
            FieldOutcome::Submitted => {
                let targets: Vec<Target> = targets.iter().filter_map(|name| self.target(name)).cloned().collect();
                self.create_pods(&targets, field.text().parse().ok(), out);
                None
            }
        }
    }

    fn in_question(
        &mut self,
        question: Question,
        button: usize,
        action: &Action,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        let count = question.buttons();
        let step = |by: isize| (button.cast_signed() + by).rem_euclid(count.cast_signed()).unsigned_abs();
        let button = match action {
            Action::Do(Command::Cancel) => {
                self.answer_question(question, 0, out);
                return None;
            }
            Action::Do(Command::Accept) => {
                self.answer_question(question, button, out);
                return None;
            }
            Action::ClickItem(at) if *at < count => {
                self.answer_question(question, *at, out);
                return None;
            }
            // Whoever presses the key of the question again means it.
            Action::Do(Command::Quit) if matches!(question, Question::Quit { .. }) => {
                self.answer_question(question, 1, out);
                return None;
            }
            Action::Do(Command::Right | Command::Next | Command::Down) => step(1),
            Action::Do(Command::Left | Command::Previous | Command::Up) => step(-1),
            Action::Do(_)
            | Action::Edit(_)
            | Action::Paste(_)
            | Action::Click { .. }
            | Action::ClickColumn { .. }
            | Action::ClickItem(_)
            | Action::Wheel { .. }
            | Action::Page { .. } => button,
        };
        Some(Dialog::Confirm { question, button })
    }

    fn answer_question(&mut self, question: Question, button: usize, out: &mut Vec<Effect>) {
        let yes = button > 0;
        let on_conflict = button.checked_sub(1).and_then(|at| question.conflict_options().get(at).copied());
        match question {
            Question::DeleteTargets(names) if yes => self.delete_targets(&names, out),
            Question::KillPods(keys) | Question::KillForeign { pods: keys, .. } if yes => {
                for key in keys {
                    self.kill(&key, out);
                }
                self.screen.pods.marks.clear();
            }
            Question::CleanAll { .. } if yes => {
                self.clean(CleanupScope::All, out);
            }
            Question::Quit { .. } if yes => self.quit(button == 2, out),
            Question::OtherPort { spec, port, .. } if yes => self.restart_forward(spec.id, Some(port), out),
            Question::Import { targets, .. } => {
                if yes {
                    self.import(targets, out);
                }
                out.push(Effect::Store(StoreEffect::LegacyOffered));
            }
            Question::ImportOffers { offers, .. } => {
                if let Some(on_conflict) = on_conflict {
                    self.import_offers(offers, on_conflict, out);
                }
            }
            Question::DeleteTargets(_)
            | Question::KillPods(_)
            | Question::KillForeign { .. }
            | Question::CleanAll { .. }
            | Question::Quit { .. }
            | Question::OtherPort { .. } => {}
        }
    }
}

/// The outcome of an action in a dialog that is one field.
pub(crate) enum FieldOutcome {
    /// It is still being filled in.
    Editing,
    /// It was left as it was.
    Cancelled,
    /// It is valid and was submitted.
    Submitted,
}

impl Field {
    /// Takes an action for the field of a dialog that has no other; `wrong` checks its text.
    pub(crate) fn take(&mut self, action: Action, wrong: impl Fn(&str) -> Option<&'static str>) -> FieldOutcome {
        match action {
            Action::Do(Command::Cancel) => return FieldOutcome::Cancelled,
            Action::Do(Command::Accept) => {
                self.error = wrong(self.text());
                if self.error.is_none() {
                    return FieldOutcome::Submitted;
                }
            }
            Action::Edit(_) | Action::Paste(_) => {
                self.edit(action);
                // What is empty is not wrong before it is submitted.
                self.error = wrong(self.text()).filter(|error| *error != "required");
            }
            Action::Do(_)
            | Action::Click { .. }
            | Action::ClickColumn { .. }
            | Action::ClickItem(_)
            | Action::Wheel { .. }
            | Action::Page { .. } => {}
        }
        FieldOutcome::Editing
    }
}

/// Returns the offset to which an action scrolls a text that starts at its top; `None`: the dialog is left.
fn scrolled(scroll: usize, (page, max_scroll): (usize, usize), action: &Action) -> Option<usize> {
    // Whoever went further than there is text comes back from its end.
    let scroll = scroll.min(max_scroll);
    match action {
        Action::Do(Command::Cancel | Command::Accept | Command::Quit | Command::Help) => None,
        Action::Do(Command::Up) => Some(scroll.saturating_sub(1)),
        Action::Do(Command::Down) => Some(scroll.saturating_add(1)),
        Action::Do(Command::PageUp) => Some(scroll.saturating_sub(page)),
        Action::Do(Command::PageDown) => Some(scroll.saturating_add(page)),
        Action::Do(Command::Top) => Some(0),
        // The view stops at the last page.
        Action::Do(Command::Bottom) => Some(usize::from(u16::MAX)),
        Action::Wheel { by, .. } => Some(scroll.saturating_add_signed(*by)),
        Action::Do(_)
        | Action::Edit(_)
        | Action::Paste(_)
        | Action::Click { .. }
        | Action::ClickColumn { .. }
        | Action::ClickItem(_)
        | Action::Page { .. } => Some(scroll),
    }
}

/// Returns the offset to which an action scrolls back a text that follows its end; `None`: it is left.
fn scrolled_back(back: usize, page: usize, action: &Action) -> Option<usize> {
    match action {
        Action::Do(Command::Cancel | Command::Accept | Command::Quit) => None,
        Action::Do(Command::Up) => Some(back.saturating_add(1)),
        Action::Do(Command::Down) => Some(back.saturating_sub(1)),
        Action::Do(Command::PageUp) => Some(back.saturating_add(page)),
        Action::Do(Command::PageDown) => Some(back.saturating_sub(page)),
        Action::Do(Command::Top) => Some(usize::from(u16::MAX)),
        Action::Do(Command::Bottom) => Some(0),
        Action::Wheel { by, .. } => Some(back.saturating_add_signed(-*by)),
        Action::Do(_)
        | Action::Edit(_)
        | Action::Paste(_)
        | Action::Click { .. }
        | Action::ClickColumn { .. }
        | Action::ClickItem(_)
        | Action::Page { .. } => Some(back),
    }
}
