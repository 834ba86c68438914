//! The boxes of dialogs, and their pages of lines.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::scene::Scene;
use super::super::typeset::{Line, put, put_line, width};

/// A box for `width` columns and `height` rows of content in the middle of `area`, as far as there is room.
pub(super) fn middle(area: Rect, width: u16, height: u16) -> Rect {
    // The frame, and a column free on each side.
    let width = width.saturating_add(4).min(area.width);
    let height = height.saturating_add(2).min(area.height);
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 3, width, height }
}

/// A box that leaves a little of the screen around it, for what may be long.
pub(super) fn large(area: Rect) -> Rect {
    let (across, down) = (area.width / 16, area.height / 12);
    Rect { x: area.x + across, y: area.y + down, width: area.width - 2 * across, height: area.height - 2 * down }
}

/// The columns that a dialog's content may take at most; `wanted` where there is room.
pub(super) fn room(area: Rect, wanted: u16) -> u16 {
    wanted.min(area.width.saturating_sub(4))
}

/// Draws `lines` from `first` on, and on the right frame how far down they are.
pub(super) fn page(frame: &mut Frame<'_>, scene: Scene<'_>, inner: Rect, lines: &[Line<'_>], first: usize) {
    let buffer = frame.buffer_mut();
    let tall = usize::from(inner.height);
    for (line, y) in lines.iter().skip(first).zip(inner.y..inner.bottom()) {
        put_line(buffer, inner.x, y, inner.width, line);
    }
    if lines.len() > tall && tall > 0 {
        let length = (tall * tall / lines.len()).max(1);
        let start = first.min(lines.len() - tall) * (tall - length) / (lines.len() - tall);
        for at in start..start + length {
            let y = inner.y + u16::try_from(at).unwrap_or_default();
            put(buffer, inner.right() + 1, y, 1, "┃", scene.theme().accent);
        }
    }
}

/// Says that the content has not arrived yet.
pub(super) fn loading(frame: &mut Frame<'_>, scene: Scene<'_>, body: Rect) {
    let words = scene.get("dialog.loading");
    put(frame.buffer_mut(), body.x, body.y, body.width.min(width(words)), words, scene.theme().info);
}
