//! What a person does in the topmost dialog.

use super::Model;
use super::action::{Action, Command};
use super::dialog::{Dialog, Field, FormField, Question, TargetForm};
use super::effect::Effect;
use super::focus::Pane;
use super::form::{name_error, ttl_error};
use super::import::in_import;
use super::proxy::Whose;
use super::target::Target;

impl Model {
    /// Gives an action to the topmost dialog; it is taken off, works, and stays off where it is done with.
    pub(super) fn in_dialog(&mut self, action: Action, out: &mut Vec<Effect>) {
        let Some(dialog) = self.dialogs.pop() else {
            return;
        };
        self.unarranged = true;
        let at = self.dialogs.len();
        if let (Some(fault), Action::Do(Command::Copy)) = (dialog.fault(), &action) {
            out.push(Effect::CopyFault(Box::new(fault.clone())));
        }
        let kept = match dialog {
            Dialog::TargetForm(form) => self.in_form(form, action, out),
            Dialog::Rename { name, field } => self.in_rename(name, field, action, out),
            Dialog::AskTtl { targets, field } => self.in_ask_ttl(targets, field, action, out),
            Dialog::Confirm { question, button } => self.in_question(question, button, &action, out),
            Dialog::Help { scroll } => {
                scrolled(scroll, (self.page, self.reach), &action).map(|scroll| Dialog::Help { scroll })
            }
            Dialog::Describe { key, text, scroll } => {
                let scroll = scrolled(scroll, (self.page, self.reach), &action);
                scroll.map(|scroll| Dialog::Describe { key, text, scroll })
            }
            Dialog::PodLog { key, epoch, lines, ended, back } => {
                let kept = scrolled_back(back, self.page, &action);
                if kept.is_none() {
                    out.push(Effect::StopLog);
                }
                let most = self.reach.min(lines.len().saturating_sub(1));
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
            self.dialogs.insert(at.min(self.dialogs.len()), dialog);
        }
    }

    fn in_form(&mut self, mut form: Box<TargetForm>, action: Action, out: &mut Vec<Effect>) -> Option<Dialog> {
        let last = FormField::ALL.len() - 1;
        match action {
            Action::Do(Command::Cancel) => return None,
            Action::Do(Command::Accept) => {
                form.tried = true;
                form.check(self);
                if let Some(target) = form.target(self) {
                    let was = form.editing.and(form.base);
                    if was.is_none() {
                        // Whoever makes a target goes on with it.
                        self.focus.pane = Pane::Targets;
                        self.focus.in_log = false;
                    }
                    self.save_target(was, &target, out);
                    return None;
                }
                form.active = form.fields.iter().position(|field| field.error.is_some()).unwrap_or(form.active);
            }
            Action::Do(Command::Up | Command::Down) if form.active() == FormField::Cluster => {
                let by = if action == Action::Do(Command::Up) { -1 } else { 1 };
                self.step_context(&mut form, by);
            }
            Action::Do(Command::Next | Command::Down) => {
                form.active = if form.active == last { 0 } else { form.active + 1 }
            }
            Action::Do(Command::Previous | Command::Up) => {
                form.active = form.active.checked_sub(1).unwrap_or(last);
            }
            Action::Do(Command::Top) => form.active = 0,
            Action::Do(Command::Bottom) => form.active = last,
            Action::ClickItem(at) => form.active = at.min(last),
            Action::Edit(_) | Action::Paste(_) => form.fields[form.active].edit(action),
            Action::Do(_)
            | Action::Click { .. }
            | Action::ClickColumn { .. }
            | Action::Wheel { .. }
            | Action::Page { .. } => {}
        }
        form.check(self);
        Some(Dialog::TargetForm(form))
    }

    /// Puts the next known context into the cluster field.
    fn step_context(&self, form: &mut TargetForm, by: isize) {
        if self.clusters.is_empty() {
            return;
        }
        let at = self.clusters.iter().position(|cluster| cluster.name == form.text(FormField::Cluster));
        let next = match at {
            Some(at) => (at.cast_signed() + by).rem_euclid(self.clusters.len().cast_signed()).unsigned_abs(),
            None => 0,
        };
        form.fields[form.active] = Field::new(self.clusters[next].name.clone());
    }

    fn in_rename(&mut self, name: String, mut field: Field, action: Action, out: &mut Vec<Effect>) -> Option<Dialog> {
        match field.take(action, |new| name_error(new, Some(&name), self)) {
            Entry::Left => None,
            Entry::Open => Some(Dialog::Rename { name, field }),
            Entry::Given => {
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
        match field.take(action, |ttl| ttl_error(ttl, self.settings.max_ttl)) {
            Entry::Left => None,
            Entry::Open => Some(Dialog::AskTtl { targets, field }),
            Entry::Given => {
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
                self.answer(question, 0, out);
                return None;
            }
            Action::Do(Command::Accept) => {
                self.answer(question, button, out);
                return None;
            }
            Action::ClickItem(at) if *at < count => {
                self.answer(question, *at, out);
                return None;
            }
            // Whoever presses the key of the question again means it.
            Action::Do(Command::Quit) if matches!(question, Question::Quit { .. }) => {
                self.answer(question, 1, out);
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

    fn answer(&mut self, question: Question, button: usize, out: &mut Vec<Effect>) {
        let yes = button > 0;
        let clash = button.checked_sub(1).and_then(|at| question.clashes().get(at).copied());
        match question {
            Question::DeleteTargets(names) if yes => self.delete_targets(&names, out),
            Question::KillPods(keys) if yes => {
                for key in keys {
                    self.kill(&key, out);
                }
                self.pod_list.marks.clear();
            }
            Question::CleanAll { .. } if yes => {
                self.clean(Whose::All, out);
            }
            Question::Quit { .. } if yes => self.leave(button == 2, out),
            Question::OtherPort { spec, port, .. } if yes => self.restart_forward(spec.id, Some(port), out),
            Question::Import { targets, .. } => {
                if yes {
                    self.import(targets, out);
                }
                out.push(Effect::LegacyOffered);
            }
            Question::Take { offers, .. } => {
                if let Some(clash) = clash {
                    self.take_offers(offers, clash, out);
                }
            }
            Question::DeleteTargets(_)
            | Question::KillPods(_)
            | Question::CleanAll { .. }
            | Question::Quit { .. }
            | Question::OtherPort { .. } => {}
        }
    }
}

/// What became of a dialog that is one field.
pub(super) enum Entry {
    /// It is still being filled in.
    Open,
    /// It was left as it was.
    Left,
    /// What it says is right, and was submitted.
    Given,
}

impl Field {
    /// Takes an action for the field of a dialog that has no other; `wrong` checks its text.
    pub(super) fn take(&mut self, action: Action, wrong: impl Fn(&str) -> Option<&'static str>) -> Entry {
        match action {
            Action::Do(Command::Cancel) => return Entry::Left,
            Action::Do(Command::Accept) => {
                self.error = wrong(self.text());
                if self.error.is_none() {
                    return Entry::Given;
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
        Entry::Open
    }
}

/// Where a text that starts at its top is scrolled to; `None`: the dialog is left.
fn scrolled(scroll: usize, (page, reach): (usize, usize), action: &Action) -> Option<usize> {
    // Whoever went further than there is text comes back from its end.
    let scroll = scroll.min(reach);
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

/// Where a text that follows its end is scrolled back to; `None`: it is left.
pub(super) fn scrolled_back(back: usize, page: usize, action: &Action) -> Option<usize> {
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
