//! The command palette: a text field, and the commands that match with their keys.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::state::{Hit, ViewState};
use super::super::typeset::{put, width};
use super::{middle, room};
use brow_model::command::Command;
use brow_model::palette::Palette;

/// Columns where there is room.
const WIDTH: u16 = 84;

/// Commands below one another where there is room.
const ROWS: u16 = 16;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, palette: &Palette) {
    let theme = scene.theme();
    // The field, the commands, and why the selected one has no effect.
    let outer = middle(area, room(area, WIDTH), (ROWS + 2).min(area.height.saturating_sub(4)));
    let inner = chrome::dialog(frame, scene, outer, scene.get("dialog.palette"), theme.accent);
    put(frame.buffer_mut(), inner.x, inner.y, 1, ":", theme.accent);
    let field = Rect { x: inner.x + 2, width: inner.width.saturating_sub(2), height: inner.height.min(1), ..inner };
    chrome::input(frame, field, &palette.field.input, theme.text, true);
    let list = Rect { y: inner.y + 1, height: inner.height.saturating_sub(2), ..inner };
    state.set_page(list.height);
    let first = state.scroll_dialog(palette.cursor, list.height.into(), palette.order.len());
    let names = Command::ALL.iter().map(|command| width(command.name())).max().unwrap_or_default();
    let rows = palette.order.iter().zip(scene.inputs.palette).enumerate().skip(first);
    for ((at, (command, hint)), y) in rows.zip(list.y..list.bottom()) {
        let line = Rect { y, height: 1, ..list };
        state.add_area(line, Hit::Item(at));
        let works = scene.model.is_enabled(*command);
        let (name, label) = if works { (theme.text, theme.dim) } else { (theme.faint, theme.faint) };
        let keys = width(&hint.keys).min(line.width / 3);
        let lead = names.min(line.width / 3);
        put(frame.buffer_mut(), line.x + 2, y, lead, command.name(), name);
        let x = line.x + lead + 4;
        put(frame.buffer_mut(), x, y, line.right().saturating_sub(x + keys + 2), &hint.label, label);
        let accent = if works { theme.accent } else { theme.faint };
        put(frame.buffer_mut(), line.right().saturating_sub(keys), y, keys, &hint.keys, accent);
        if at == palette.cursor {
            frame.buffer_mut().set_style(line, theme.selection);
            put(frame.buffer_mut(), line.x, y, 1, "▌", theme.accent);
        }
    }
    let words = match palette.order.get(palette.cursor) {
        Some(command) => scene.model.refusal(*command).map(|reason| scene.text().entry(&reason)),
        None => Some(scene.text().fill("dialog.palette-empty", &[("filter", palette.field.text())])),
    };
    let y = inner.bottom().saturating_sub(1);
    put(frame.buffer_mut(), inner.x, y, inner.width, &words.unwrap_or_default(), theme.warn);
}
