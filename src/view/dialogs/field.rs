//! A text field with its label, and beside it what is wrong with it or what belongs in it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::typeset::{put, put_line, width, wrap};
use brow_model::text_field::Field;

/// A field as drawn in a line.
pub(super) struct Row<'a> {
    /// Its label, and the columns that all labels take.
    pub label: (&'a str, u16),
    pub field: &'a Field,
    /// A hint about the expected text, shown while the field is focused.
    pub hint: &'a str,
    /// Texts that can be chosen, shown instead of the hint; empty where there are none.
    pub offers: String,
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
const INPUT_WIDTH: u16 = 32;

impl<'a> Row<'a> {
    pub fn alone(label: &'a str, field: &'a Field, hint: &'a str) -> Self {
        let label = (label, width(label));
        let (offers, unsaid) = (String::new(), String::new());
        Self { label, field, hint, offers, active: true, beside: false, unsaid, chosen: None }
    }

    /// The columns it takes with what may be said of it beside it.
    pub fn natural_width(&self, scene: Scene<'_>) -> u16 {
        let error = self.field.error.map_or(0, |error| width(scene.get(&format!("field.{error}"))).saturating_add(2));
        self.lead().saturating_add(INPUT_WIDTH + 2).saturating_add(error.max(width(self.hint)))
    }

    /// The columns of the label.
    fn lead(&self) -> u16 {
        self.label.1.saturating_add(4)
    }

    /// Returns the message of the field: what can be chosen, else its error, else its hint.
    fn message<'s>(&'s self, scene: Scene<'s>) -> Option<Span<'s>> {
        let theme = scene.theme();
        if self.active && !self.offers.is_empty() {
            return Some(Span::styled(self.offers.as_str(), theme.info));
        }
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
        let own = if self.beside { INPUT_WIDTH.min(rest) } else { rest };
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
