//! Keys and clicks in the target form.

use tui_input::InputRequest;

use crate::language::action::Typed;
use crate::screen::form::TargetForm;
use crate::screen::text_field::Field;
use crate::types::field::{Page, TargetField};

impl TargetForm {
    /// Takes something typed or pasted for the active field.
    pub(crate) fn edit(&mut self, typed: Typed) {
        let (active, choices) = (self.active(), self.active().choices());
        let field = &mut self.fields[self.active];
        if choices.is_empty() {
            field.edit(typed);
        } else {
            field.choose(choices, &typed);
        }
        match active {
            TargetField::Cluster => self.fields[self.active].text().clone_into(&mut self.sought),
            TargetField::Address => self.seek_port(),
            _ => {}
        }
    }

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
        if let Some(page) = at.checked_sub(TargetField::ALL.len()) {
            if let Some(page) = Page::ALL.get(page) {
                self.open(*page);
            }
            return;
        }
        let choices = TargetField::ALL[at].choices();
        if at == self.active && !choices.is_empty() {
            let next = Typed::Edit(InputRequest::GoToNextChar);
            self.fields[at].choose(choices, &next);
        }
        self.active = at;
    }
}

impl Field {
    /// Goes on to another of the choices: with the arrows and the space bar to the one beside, by its first letter, or
    /// back to none.
    pub(crate) fn choose(&mut self, choices: &'static [&'static str], typed: &Typed) {
        let at = choices.iter().position(|choice| *choice == self.text()).unwrap_or_default();
        let next = match typed {
            Typed::Edit(InputRequest::GoToNextChar | InputRequest::InsertChar(' ')) => (at + 1) % choices.len(),
            Typed::Edit(InputRequest::GoToPrevChar) => (at + choices.len() - 1) % choices.len(),
            Typed::Edit(InputRequest::InsertChar(letter)) => {
                let Some(next) = lettered(choices, *letter, at) else { return };
                next
            }
            Typed::Edit(
                InputRequest::DeletePrevChar
                | InputRequest::DeleteNextChar
                | InputRequest::DeletePrevWord
                | InputRequest::DeleteNextWord
                | InputRequest::DeleteLine
                | InputRequest::DeleteFromStart
                | InputRequest::DeleteTillEnd,
            ) => 0,
            Typed::Paste(text) => {
                let Some(next) = choices.iter().position(|choice| *choice == text.trim()) else { return };
                next
            }
            Typed::Edit(_) => return,
        };
        *self = Self::new(choices[next]);
    }
}

/// The next choice that begins with a letter; yes and no go by theirs.
fn lettered(choices: &[&str], letter: char, at: usize) -> Option<usize> {
    let letter = match letter.to_ascii_lowercase() {
        'y' | '是' => 't',
        // What says nothing of it stands for no where there is nothing else to say.
        'n' | '否' if !choices.iter().any(|choice| choice.starts_with(['f', 'n', 'N'])) => return Some(0),
        'n' | '否' if choices.contains(&"false") => 'f',
        letter => letter,
    };
    let places = (at + 1..choices.len()).chain(0..=at);
    places.into_iter().find(|at| choices[*at].to_ascii_lowercase().starts_with(letter))
}
