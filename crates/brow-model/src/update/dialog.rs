//! Actions in the topmost dialog.

use tui_input::InputRequest;

use crate::language::action::{Action, Command, Typed};
use crate::language::effect::{Clip, EditEffect, Effect, PodEffect, StoreEffect};
use crate::screen::dialog::{Dialog, Question};
use crate::screen::form::{name_error, ttl_error};
use crate::screen::text_field::Field;
use crate::state::Model;
use crate::types::agent::Consent;
use crate::types::proxy::CleanupScope;
use crate::types::target::Target;
use crate::update::import::in_import;

/// Input for the topmost dialog.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    Do(Command),
    /// Something typed or pasted.
    Type(Typed),
    /// A click on the nth button, row or field.
    Item(usize),
    /// The wheel, lines down.
    Wheel(isize),
}

impl Input {
    /// Returns the input that an action is, unless it is for the panes below.
    pub(crate) fn of(action: Action) -> Option<Self> {
        match action {
            Action::Do(command) => Some(Self::Do(command)),
            Action::Type(typed) => Some(Self::Type(typed)),
            Action::ClickItem(at) => Some(Self::Item(at)),
            Action::Wheel { by, .. } => Some(Self::Wheel(by)),
            Action::Misplaced(_)
            | Action::Click { .. }
            | Action::ClickColumn { .. }
            | Action::Page { .. }
            | Action::Words(_) => None,
        }
    }

    /// Returns the lines down by which it moves through a text or a list, by more than there can be to go to its ends.
    pub(crate) fn moves(&self, page: usize) -> Option<isize> {
        match self {
            Self::Do(Command::Up) => Some(-1),
            Self::Do(Command::Down) => Some(1),
            Self::Do(Command::PageUp) => Some(-page.cast_signed()),
            Self::Do(Command::PageDown) => Some(page.cast_signed()),
            Self::Do(Command::Top) => Some(isize::MIN),
            Self::Do(Command::Bottom) => Some(isize::MAX),
            Self::Wheel(by) => Some(*by),
            Self::Do(_) | Self::Type(_) | Self::Item(_) => None,
        }
    }

    /// Returns whether it leaves a dialog that only shows something.
    pub(crate) fn leaves(&self) -> bool {
        matches!(self, Self::Do(Command::Cancel | Command::Accept | Command::Quit))
    }
}

impl Model {
    /// Gives input to the topmost dialog; it is taken off, works, and stays off where it is done with.
    pub(crate) fn on_dialog(&mut self, input: Input, out: &mut Vec<Effect>) {
        let Some(dialog) = self.screen.dialogs.pop() else { return };
        self.screen.unarranged = true;
        let at = self.screen.dialogs.len();
        if let (Some(fault), Input::Do(Command::Copy)) = (dialog.fault(), &input) {
            Self::copy(Clip::Fault(Box::new(fault.clone())), out);
        }
        let kept = match dialog {
            Dialog::TargetForm(form) => self.in_form(form, input, out),
            Dialog::Rename { name, field } => self.in_rename(name, field, input, out),
            Dialog::AskTtl { targets, field } => self.in_ask_ttl(targets, field, input, out),
            Dialog::Confirm { question, button } => self.in_question(question, button, &input, out),
            Dialog::Help { filter, scroll } => self.in_help(filter, scroll, input),
            Dialog::Tags { cursor } => self.in_tags(cursor, &input, out),
            Dialog::Palette(palette) => self.in_palette(palette, input, out),
            Dialog::Describe { key, text, scroll } => {
                let scroll = scrolled(scroll, (self.screen.page, self.screen.max_scroll), &input);
                scroll.map(|scroll| Dialog::Describe { key, text, scroll })
            }
            Dialog::Object(page) => self.in_page(page, input, out),
            Dialog::Why(steps) => self.in_why(steps, &input, out),
            Dialog::NotCopied { text, scroll } => {
                let scroll = scrolled(scroll, (self.screen.page, self.screen.max_scroll), &input);
                scroll.map(|scroll| Dialog::NotCopied { text, scroll })
            }
            Dialog::PodLog { key, epoch, lines, ended, back } => {
                let kept = scrolled_back(back, self.screen.page, &input);
                if kept.is_none() {
                    out.push(Effect::Pod(PodEffect::StopLog));
                }
                let most = self.screen.max_scroll.min(lines.len().saturating_sub(1));
                kept.map(|back| Dialog::PodLog { key, epoch, lines, ended, back: back.min(most) })
            }
            Dialog::Connections(list) => self.in_connections(list, &input, out),
            Dialog::Shells { cursor } => self.in_shells(cursor, &input, out),
            Dialog::Browser(browser) => self.in_browser(browser, input, out),
            Dialog::Find(finder) => self.in_find(finder, input, out),
            Dialog::Kinds(browser) => self.in_kinds(browser, input, out),
            Dialog::Edit(edit) => self.in_edit(edit, &input, out),
            Dialog::Menu(menu) => Self::in_menu(menu, &input, out),
            Dialog::Import { cluster, field, pasted } => in_import(cluster, field, pasted, input, out),
            Dialog::Fault(fault) => (!input.leaves()).then_some(Dialog::Fault(fault)),
        };
        if let Some(dialog) = kept {
            // Dialogs that the handler opened stay above this one.
            self.screen.dialogs.insert(at.min(self.screen.dialogs.len()), dialog);
        }
    }

    fn in_help(&self, mut filter: Field, scroll: usize, input: Input) -> Option<Dialog> {
        let scroll = scrolled(scroll, (self.screen.page, self.screen.max_scroll), &input)?;
        let Input::Type(typed) = input else { return Some(Dialog::Help { filter, scroll }) };
        // The key that opened it closes it, as long as nothing is searched for.
        if filter.input.value().is_empty() && typed == Typed::Edit(InputRequest::InsertChar('?')) {
            return None;
        }
        filter.edit(typed);
        Some(Dialog::Help { filter, scroll: 0 })
    }

    fn in_rename(&mut self, name: String, mut field: Field, input: Input, out: &mut Vec<Effect>) -> Option<Dialog> {
        match field.take(input, |new| name_error(new, Some(&name), self)) {
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
        input: Input,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        match field.take(input, |ttl| ttl_error(ttl, self.config.settings().max_ttl)) {
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
        input: &Input,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        if let Question::Agent(approval) = &question {
            // It may have come just before the key or the click, which was meant for something else.
            if matches!(input, Input::Type(_)) {
                self.unsettle_question();
                return Some(Dialog::Confirm { question, button: 0 });
            }
            if !self.takes_answer(approval) {
                return Some(Dialog::Confirm { question, button });
            }
        }
        let count = question.buttons();
        let step = |by: isize| (button.cast_signed() + by).rem_euclid(count.cast_signed()).unsigned_abs();
        let button = match input {
            Input::Do(Command::Cancel) => {
                self.answer_question(question, 0, out);
                return None;
            }
            Input::Do(Command::Accept) => {
                self.answer_question(question, button, out);
                return None;
            }
            Input::Item(at) if *at < count => {
                self.answer_question(question, *at, out);
                return None;
            }
            // Pressing the quit key again confirms the question.
            Input::Do(Command::Quit) if matches!(question, Question::Quit { .. }) => {
                self.answer_question(question, 1, out);
                return None;
            }
            // It may appear at any time: keys that were meant for a list give no consent.
            Input::Do(Command::Up | Command::Down) if matches!(question, Question::Agent(_)) => button,
            Input::Do(Command::Right | Command::Next | Command::Down) => step(1),
            Input::Do(Command::Left | Command::Previous | Command::Up) => step(-1),
            Input::Do(_) | Input::Type(_) | Input::Item(_) | Input::Wheel(_) => button,
        };
        Some(Dialog::Confirm { question, button })
    }

    fn answer_question(&mut self, question: Question, button: usize, out: &mut Vec<Effect>) {
        let yes = button > 0;
        let on_conflict = button.checked_sub(1).and_then(|at| question.conflict_options().get(at).copied());
        match question {
            Question::DeleteTargets(names) if yes => self.delete_targets(&names, out),
            Question::KillPods(keys) | Question::KillForeign { pods: keys, .. } if yes => {
                self.kill_all(&keys, out);
                self.screen.pods.marks.clear();
            }
            Question::DeleteGateways(names) if yes => self.delete_gateways(&names, out),
            Question::CleanAll { .. } if yes => {
                self.clean(CleanupScope::All, out);
            }
            Question::DeleteObject { object, uid, .. } if yes => {
                out.push(Effect::Edit(EditEffect::Delete { object: *object, uid }));
            }
            Question::Quit { .. } if yes => self.quit(button == 2, out),
            Question::OtherPort { spec, port, .. } if yes => self.restart_forward(spec.id, Some(port), out),
            Question::Agent(approval) => {
                let consent = [Consent::Refused, Consent::Once, Consent::Session].get(button).copied();
                self.answer_approval(*approval, consent.unwrap_or(Consent::Refused), out);
            }
            Question::Restore(open) => self.answer_restore(&open, yes, out),
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
            | Question::DeleteGateways(_)
            | Question::KillForeign { .. }
            | Question::CleanAll { .. }
            | Question::DeleteObject { .. }
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
    /// Takes input for the field of a dialog that has no other; `wrong` checks its text.
    pub(crate) fn take(&mut self, input: Input, wrong: impl Fn(&str) -> Option<&'static str>) -> FieldOutcome {
        match input {
            Input::Do(Command::Cancel) => return FieldOutcome::Cancelled,
            Input::Do(Command::Accept) => {
                self.error = wrong(self.text());
                if self.error.is_none() {
                    return FieldOutcome::Submitted;
                }
            }
            Input::Type(typed) => {
                self.edit(typed);
                // An empty field is reported as missing only when it is submitted.
                self.error = wrong(self.text()).filter(|error| *error != "required");
            }
            Input::Do(_) | Input::Item(_) | Input::Wheel(_) => {}
        }
        FieldOutcome::Editing
    }
}

/// Returns the offset of a text that starts at its top; `None` if the dialog is left.
fn scrolled(scroll: usize, (page, max_scroll): (usize, usize), input: &Input) -> Option<usize> {
    if input.leaves() || *input == Input::Do(Command::Help) {
        return None;
    }
    // The view stops at the last page, however far one scrolls.
    let scroll = scroll.min(max_scroll).saturating_add_signed(input.moves(page).unwrap_or(0));
    Some(scroll.min(usize::from(u16::MAX)))
}

/// Returns the lines by which a text that follows its end is scrolled back; `None` if the dialog is left.
fn scrolled_back(back: usize, page: usize, input: &Input) -> Option<usize> {
    let down = input.moves(page).unwrap_or(0);
    (!input.leaves()).then(|| back.saturating_add_signed(down.saturating_neg()))
}
