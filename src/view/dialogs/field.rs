//! A text field with its label, and beside it what is wrong with it or what belongs in it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::super::chrome;
use super::super::ink::{put, put_line, width, wrap};
use super::super::{Scene, state::ViewState};
use super::middle;
use crate::view::state::Hit;
use brow_model::dialog::Field;

/// A field as drawn in a line.
pub(super) struct Row<'a> {
    /// Its label, and the columns that all labels take.
    pub label: (&'a str, u16),
    /// The field.
    pub field: &'a Field,
    /// A hint about the expected text, shown while the field is focused.
    pub hint: &'a str,
    /// True if the field receives keys.
    pub active: bool,
    /// True if messages are drawn beside the fields, not below.
    pub beside: bool,
    /// The value that applies while the field is empty.
    pub unsaid: String,
    /// The label of the chosen value, for fields with a fixed set of values.
    pub chosen: Option<String>,
}

/// Columns of an input that stands beside its message.
const INPUT: u16 = 32;

impl<'a> Row<'a> {
    /// A field that is alone, with its label.
    pub fn alone(label: &'a str, field: &'a Field, hint: &'a str) -> Self {
        let label = (label, width(label));
        Self { label, field, hint, active: true, beside: false, unsaid: String::new(), chosen: None }
    }

    /// The columns it takes with what may be said of it beside it.
    pub fn wish(&self, scene: Scene<'_>) -> u16 {
        let error = self.field.error.map_or(0, |error| width(scene.get(&format!("field.{error}"))).saturating_add(2));
        self.lead().saturating_add(INPUT + 2).saturating_add(error.max(width(self.hint)))
    }

    /// The columns of the label.
    fn lead(&self) -> u16 {
        self.label.1.saturating_add(4)
    }

    /// Returns the message of the field: its error, else its hint.
    fn message<'s>(&'s self, scene: Scene<'s>) -> Option<Span<'s>> {
        let theme = scene.theme();
        if let Some(error) = self.field.error {
            return Some(Span::styled(format!("✗ {}", scene.get(&format!("field.{error}"))), theme.bad));
        }
        (self.active && !self.hint.is_empty()).then(|| Span::styled(self.hint, theme.dim))
    }

    /// Draws it into a line; a message that stands below is left to [`Row::below`].
    pub fn draw(&self, frame: &mut Frame<'_>, scene: Scene<'_>, line: Rect) {
        let theme = scene.theme();
        let lead = self.lead().min(line.width / 2);
        let buffer = frame.buffer_mut();
        if self.active {
            put(buffer, line.x, line.y, 1, "▌", theme.accent);
        }
        put(
            buffer,
            line.x + 2,
            line.y,
            lead.saturating_sub(3),
            self.label.0,
            if self.active { theme.text } else { theme.dim },
        );
        let x = line.x + lead;
        let rest = line.width - lead;
        let own = if self.beside { INPUT.min(rest) } else { rest };
        let style = if self.active { theme.text.patch(theme.selection) } else { theme.text };
        let room = Rect { x, width: own, height: 1, ..line };
        if let Some(chosen) = &self.chosen {
            self.draw_choice(frame, scene, room, chosen, style);
        } else {
            chrome::input(frame, room, &self.field.input, style, self.active);
            if self.field.input.value().is_empty() {
                put(
                    frame.buffer_mut(),
                    x,
                    line.y,
                    own,
                    &self.unsaid,
                    theme.faint.patch(if self.active { theme.selection } else { theme.faint }),
                );
            }
        }
        if let (true, Some(message)) = (self.beside, self.message(scene)) {
            put_line(frame.buffer_mut(), x + own + 2, line.y, rest.saturating_sub(own + 2), &[message]);
        }
    }

    /// Draws what is chosen, between arrows while they choose.
    fn draw_choice(&self, frame: &mut Frame<'_>, scene: Scene<'_>, room: Rect, chosen: &str, style: Style) {
        let theme = scene.theme();
        let says = self.field.text().is_empty();
        let style = if says { style.patch(theme.faint) } else { style };
        let words = if says { &self.unsaid } else { chosen };
        let words = if self.active { format!("‹ {words} ›") } else { words.to_owned() };
        let buffer = frame.buffer_mut();
        put(buffer, room.x, room.y, room.width, &" ".repeat(room.width.into()), style);
        put(buffer, room.x, room.y, room.width, &words, style);
    }

    /// The message's lines below the field, where it does not stand beside it.
    pub fn below<'s>(&'s self, scene: Scene<'s>, width: u16) -> Vec<Span<'s>> {
        if self.beside {
            return Vec::new();
        }
        self.message(scene).map_or_else(Vec::new, |message| {
            let lines = wrap(&message.content, width.saturating_sub(2));
            lines.into_iter().map(|line| Span::styled(line, message.style)).collect()
        })
    }
}

/// A dialog that asks for one text. What is said of it stands below, where a long sentence has room.
pub(super) fn ask(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    state: &mut ViewState,
    area: Rect,
    title: &str,
    row: &Row<'_>,
) {
    const WIDE: u16 = 64;
    const MOST: u16 = 71;
    let wide = super::room(area, WIDE.max(width(title).saturating_add(2)).min(MOST));
    let below = row.below(scene, wide);
    // A line free above and below the field, and always room for two lines of message, so that the box keeps still.
    let airy = u16::from(area.height >= 8);
    let tall = 1 + 2 * airy + u16::try_from(below.len().max(2)).unwrap_or(u16::MAX);
    let inner = chrome::dialog(frame, scene, middle(area, wide, tall), title, scene.theme().accent);
    let y = inner.y + airy;
    if y < inner.bottom() {
        let line = Rect { y, height: 1, ..inner };
        state.zone(line, Hit::Item(0));
        row.draw(frame, scene, line);
    }
    for (line, y) in below.iter().zip(y + 1 + airy..inner.bottom()) {
        put_line(frame.buffer_mut(), inner.x + 2, y, inner.width.saturating_sub(2), std::slice::from_ref(line));
    }
}
