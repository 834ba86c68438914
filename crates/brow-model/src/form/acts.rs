//! What a person does in the target form.

use super::super::Model;
use super::super::action::{Action, Command};
use super::super::dialog::{Dialog, Field};
use super::super::effect::Effect;
use super::super::focus::Pane;
use super::super::log::{Grade, Happening};
use super::{FormField, Page, TargetForm};

impl TargetForm {
    /// Gives the keys to the field that is `by` further on its page, round the ends.
    fn step(&mut self, by: isize) {
        let fields: Vec<usize> = self.page().fields().map(|(at, _)| at).collect();
        let here = fields.iter().position(|at| *at == self.active).unwrap_or_default();
        let next = (here.cast_signed() + by).rem_euclid(fields.len().cast_signed()).unsigned_abs();
        self.active = fields[next];
    }

    /// Shows the page that is `by` further, round the ends.
    fn turn(&mut self, by: isize) {
        let here = Page::ALL.iter().position(|page| *page == self.page()).unwrap_or_default();
        let next = (here.cast_signed() + by).rem_euclid(Page::ALL.len().cast_signed()).unsigned_abs();
        self.open(Page::ALL[next]);
    }

    /// Shows a page, from its first field on.
    fn open(&mut self, page: Page) {
        self.active = page.fields().next().map_or(0, |(at, _)| at);
    }

    /// A field was clicked; behind the fields come the pages.
    fn click(&mut self, at: usize) {
        if let Some(page) = at.checked_sub(FormField::ALL.len()) {
            if let Some(page) = Page::ALL.get(page) {
                self.open(*page);
            }
            return;
        }
        let choices = FormField::ALL[at].choices();
        if at == self.active && !choices.is_empty() {
            let next = Action::Edit(tui_input::InputRequest::GoToNextChar);
            self.fields[at].choose(choices, &next);
        }
        self.active = at;
    }
}

impl Model {
    pub(crate) fn in_form(
        &mut self,
        mut form: Box<TargetForm>,
        action: Action,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        // A URL that is being typed is not whole yet.
        let typed = matches!(action, Action::Edit(_)) && form.active() == FormField::Address;
        if action == Action::Do(Command::Accept) {
            self.take_url(&mut form);
        }
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
            Action::Do(Command::Next | Command::Down) => form.step(1),
            Action::Do(Command::Previous | Command::Up) => form.step(-1),
            Action::Do(Command::PageDown) => form.turn(1),
            Action::Do(Command::PageUp) => form.turn(-1),
            Action::ClickItem(at) => form.click(at),
            Action::Edit(_) | Action::Paste(_) => {
                let choices = form.active().choices();
                let field = &mut form.fields[form.active];
                if choices.is_empty() { field.edit(action) } else { field.choose(choices, &action) }
            }
            Action::Do(_)
            | Action::Click { .. }
            | Action::ClickColumn { .. }
            | Action::Wheel { .. }
            | Action::Page { .. } => {}
        }
        if !typed {
            self.take_url(&mut form);
        }
        form.check(self);
        Some(Dialog::TargetForm(form))
    }

    /// Takes apart a URL in the address, and says so.
    fn take_url(&mut self, form: &mut TargetForm) {
        if let Some(place) = form.take_url() {
            self.note(Grade::Info, Happening::AddressTaken, place, "");
        }
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
}
