//! tmp
use crate::model::{
    Model,
    action::{Action, Command},
    fault::Fault,
    settings::KeyOverride,
};
use crate::text::*;
use crossterm::event::{KeyCode, KeyEvent};
#[derive(Default)]
pub struct Keymap;
impl Keymap {
    pub fn new(_: &[KeyOverride]) -> Result<Self, Vec<Fault>> {
        Ok(Self)
    }
    pub fn hints(&self, _: &Model, _: &Text) -> Vec<Hint> {
        vec![]
    }
    pub fn help(&self, _: &Text) -> Vec<HelpSection> {
        vec![]
    }
    pub fn resolve(&mut self, m: &Model, k: KeyEvent) -> Option<Action> {
        use Command::*;
        let form = m.filtering() || matches!(m.dialogs.last(), Some(crate::model::dialog::Dialog::TargetForm(_)));
        Some(match k.code {
            KeyCode::Tab => Action::Do(Next),
            KeyCode::Enter => Action::Do(Accept),
            KeyCode::Esc => Action::Do(Cancel),
            KeyCode::Up => Action::Do(Up),
            KeyCode::Down => Action::Do(Down),
            KeyCode::Right => Action::Do(Right),
            KeyCode::Char(c) if form => Action::Edit(tui_input::InputRequest::InsertChar(c)),
            KeyCode::Char('q') => Action::Do(Quit),
            KeyCode::Char('n') => Action::Do(New),
            KeyCode::Char('c') => Action::Do(Create),
            KeyCode::Char('f') => Action::Do(Forward),
            KeyCode::Char('X') => Action::Do(KillNow),
            KeyCode::Char('x') => Action::Do(Stop),
            KeyCode::Char('j') => Action::Do(Down),
            KeyCode::Char('L') => Action::Do(ToggleLog),
            KeyCode::Char('i') => Action::Do(Describe),
            KeyCode::Char('1') => Action::Do(Clusters),
            KeyCode::Char('2') => Action::Do(Targets),
            KeyCode::Char('3') => Action::Do(Pods),
            KeyCode::Char('4') => Action::Do(Forwards),
            KeyCode::Char('/') => Action::Do(Filter),
            KeyCode::Char('z') => Action::Do(Zoom),
            KeyCode::Char('l') => Action::Do(PodLog),
            _ => return None,
        })
    }
}
