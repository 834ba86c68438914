//! The tags of targets: how many targets each has, and how many of them are connected.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::state::{Hit, ViewState};
use super::super::typeset::{put, width};
use super::{middle, room};

/// Columns where there is room.
const WIDTH: u16 = 60;

/// Columns of a tag's name at least.
const MIN_NAME: u16 = 12;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, cursor: usize) {
    let theme = scene.theme();
    let tags = scene.model.tags();
    let tall = u16::try_from(tags.len()).unwrap_or(u16::MAX);
    let outer = middle(area, room(area, WIDTH), tall);
    let inner = chrome::dialog(frame, scene, outer, scene.get("dialog.tags"), theme.accent);
    state.set_page(inner.height);
    let first = state.scroll_dialog(cursor, inner.height.into(), tags.len());
    let longest = tags.iter().map(|tag| width(tag)).max().unwrap_or_default().max(MIN_NAME);
    for ((at, tag), y) in tags.iter().enumerate().skip(first).zip(inner.y..inner.bottom()) {
        let line = Rect { y, height: 1, ..inner };
        state.add_area(line, Hit::Item(at));
        let (count, open) = scene.model.connected_with(tag);
        let words =
            scene.text().fill("dialog.tags-count", &[("count", &count.to_string()), ("open", &open.to_string())]);
        let lead = longest.min(line.width / 2);
        put(frame.buffer_mut(), line.x + 2, y, lead, tag, theme.text);
        let style = if open > 0 { theme.good } else { theme.dim };
        let x = line.x + lead + 4;
        put(frame.buffer_mut(), x, y, line.right().saturating_sub(x), &words, style);
        if at == cursor {
            frame.buffer_mut().set_style(line, theme.selection);
            put(frame.buffer_mut(), line.x, y, 1, "▌", theme.accent);
        }
    }
}
