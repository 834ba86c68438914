//! A fault in full.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::super::chrome;
use super::super::details::Line;
use super::super::ink::wrap;
use super::super::{Scene, state::ViewState};
use super::{middle, page};
use crate::model::fault::Fault;

/// Columns of the text where there is room.
const WIDE: u16 = 76;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, fault: &Fault) {
    let theme = scene.theme();
    let words = scene.text().fault(fault);
    let wide = super::room(area, WIDE);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (text, style) in [(words.what, theme.text), (words.detail, theme.dim), (words.remedy, theme.accent)] {
        if text.is_empty() {
            continue;
        }
        if !lines.is_empty() {
            lines.push(Vec::new());
        }
        lines.extend(wrap(&text, wide).into_iter().map(|line| vec![Span::styled(line, style)]));
    }
    let outer = middle(area, wide, u16::try_from(lines.len()).unwrap_or(u16::MAX));
    let inner = chrome::dialog(frame, scene, outer, scene.get("dialog.fault"), theme.bad);
    state.set_page(inner.height);
    page(frame, scene, inner, &lines, 0);
}
