//! Input from the terminal: keys, mouse and pasted text become actions.

use std::time::Duration;

use crossterm::event::{
    Event as TermEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use tokio::time::Instant;

use super::App;
use crate::term::Term;
use crate::view::Hit;
use brow_model::action::{Action, Command, Typed};
use brow_model::event::Event;

/// Two clicks on one row within this time are a double click.
const DOUBLE_CLICK_INTERVAL: Duration = Duration::from_millis(400);
/// The number of lines that a notch of the wheel scrolls.
const ROWS_PER_WHEEL_STEP: isize = 3;

impl App {
    pub(super) async fn on_terminal(&mut self, event: TermEvent, term: &mut Term) -> std::io::Result<()> {
        match event {
            TermEvent::Key(key) => self.on_key(key, term).await?,
            TermEvent::Mouse(mouse) => self.on_mouse(mouse),
            TermEvent::Paste(text) => self.update(Event::Act(Action::Type(Typed::Paste(text)))),
            // The next frame measures the terminal itself.
            TermEvent::Resize(..) | TermEvent::FocusGained | TermEvent::FocusLost => {}
        }
        Ok(())
    }

    async fn on_key(&mut self, key: KeyEvent, term: &mut Term) -> std::io::Result<()> {
        if key.kind == KeyEventKind::Release {
            return Ok(());
        }
        match (key.code, key.modifiers) {
            (KeyCode::Char('z'), KeyModifiers::CONTROL) => term.suspend().await,
            (KeyCode::Char('l'), KeyModifiers::CONTROL) => term.redraw(),
            _ => {
                if let Some(action) = self.keymap.resolve(&self.model, key) {
                    self.update(Event::Act(action));
                }
                Ok(())
            }
        }
    }

    fn on_mouse(&mut self, mouse: MouseEvent) {
        let hit = self.view.hit(mouse.column, mouse.row);
        let wheel = match mouse.kind {
            MouseEventKind::ScrollUp => Some(-ROWS_PER_WHEEL_STEP),
            MouseEventKind::ScrollDown => Some(ROWS_PER_WHEEL_STEP),
            _ => None,
        };
        if let Some(by) = wheel {
            let pane = match hit {
                Some(Hit::Row { pane, .. } | Hit::Pane(pane) | Hit::Column { pane, .. }) => Some(pane),
                Some(Hit::Item(_) | Hit::Strip) | None => None,
            };
            return self.update(Event::Act(Action::Wheel { pane, by }));
        }
        if mouse.kind != MouseEventKind::Down(MouseButton::Left) {
            return;
        }
        let Some(hit) = hit else {
            return;
        };
        let now = Instant::now();
        let double = self.clicked.as_ref().is_some_and(|(at, last)| *last == hit && now - *at < DOUBLE_CLICK_INTERVAL);
        self.clicked = (!double).then_some((now, hit));
        let action = match hit {
            Hit::Row { pane, row } => Action::Click { pane, row: Some(row), double },
            Hit::Pane(pane) => Action::Click { pane, row: None, double: false },
            Hit::Column { pane, column } => Action::ClickColumn { pane, column },
            Hit::Item(item) => Action::ClickItem(item),
            Hit::Strip => Action::Do(Command::ToggleLog),
        };
        self.update(Event::Act(action));
    }
}
