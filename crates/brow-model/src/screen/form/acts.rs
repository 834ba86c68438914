//! What a person does in the target form.

use crate::language::action::Action;
use crate::screen::form::{FormField, Page, TargetForm};

impl TargetForm {
    /// Gives the keys to the field that is `by` further on its page, round the ends.
    pub(crate) fn step(&mut self, by: isize) {
        let fields: Vec<usize> = self.page().fields().map(|(at, _)| at).collect();
        let here = fields.iter().position(|at| *at == self.active).unwrap_or_default();
        let next = (here.cast_signed() + by).rem_euclid(fields.len().cast_signed()).unsigned_abs();
        self.active = fields[next];
    }

    /// Shows the page that is `by` further, round the ends.
    pub(crate) fn turn(&mut self, by: isize) {
        let here = Page::ALL.iter().position(|page| *page == self.page()).unwrap_or_default();
        let next = (here.cast_signed() + by).rem_euclid(Page::ALL.len().cast_signed()).unsigned_abs();
        self.open(Page::ALL[next]);
    }

    /// Shows a page, from its first field on.
    fn open(&mut self, page: Page) {
        self.active = page.fields().next().map_or(0, |(at, _)| at);
    }

    /// A field was clicked; behind the fields come the pages.
    pub(crate) fn click(&mut self, at: usize) {
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
