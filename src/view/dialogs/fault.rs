//! A fault in full.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::typeset::{Line, wrap};
use super::{middle, page};
use crate::text::Text;
use brow_model::fault::{Fault, Remedy};

/// Columns of the text where there is room.
const WIDTH: u16 = 76;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, fault: &Fault) {
    let theme = scene.theme();
    let words = scene.text().fault(fault);
    let wide = super::room(area, WIDTH);
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut parts = vec![(words.what, theme.text), (words.detail, theme.dim), (words.remedy, theme.accent)];
    if let Remedy::Grant(grant) = &fault.remedy {
        let role = scene.text().role(grant, Text::refused_user(&fault.detail));
        parts.extend([(scene.get("dialog.role").to_owned(), theme.dim), (role, theme.text)]);
    }
    for (text, style) in parts.into_iter().filter(|(text, _)| !text.is_empty()) {
        if !lines.is_empty() {
            lines.push(Vec::new());
        }
        lines.extend(wrap(&text, wide).into_iter().map(|line| vec![Span::styled(line, style)]));
    }
    let outer = middle(area, wide, u16::try_from(lines.len()).unwrap_or(u16::MAX));
    let inner = chrome::dialog(frame, scene, outer, scene.get("dialog.fault"), theme.bad);
    state.set_page(inner.height);
    // It does not scroll: what is cut off can still be copied.
    let tall = usize::from(inner.height);
    if lines.len() > tall {
        lines.truncate(tall.saturating_sub(1));
        lines.push(vec![Span::styled("…", theme.dim)]);
        lines.truncate(tall);
    }
    page(frame, scene, inner, &lines, 0);
}
