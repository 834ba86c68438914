//! A pod's log, followed.

use std::collections::VecDeque;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::typeset::{Line, put, put_line, width, wrap};
use super::large;
use brow_model::fault::Fault;
use brow_model::proxy::PodKey;

/// The pod, its lines, whether (and why) they ended, and how many are hidden below.
type Log<'a> = (&'a PodKey, &'a VecDeque<String>, Option<&'a Option<Fault>>, usize);

pub(super) fn draw(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    state: &mut ViewState,
    area: Rect,
    (key, lines, ended, back): Log<'_>,
) {
    let theme = scene.theme();
    let outer = large(area);
    let inner =
        chrome::dialog(frame, scene, outer, &scene.text().fill("dialog.pod-log", &[("pod", &key.name)]), theme.accent);
    state.set_page(inner.height);
    let count = back.to_string();
    let (standing, style) = match ended {
        None if back > 0 => {
            (format!(" {} ", scene.text().fill("dialog.log-back", &[("lines", &count), ("count", &count)])), theme.dim)
        }
        None => (format!(" {} ", scene.get("dialog.log-follows")), theme.info),
        Some(None) => (format!(" {} ", scene.get("dialog.log-ended")), theme.dim),
        Some(Some(fault)) => (format!(" ✗ {} ", scene.text().fault(fault).what), theme.bad),
    };
    let room = outer.width.saturating_sub(4);
    put(frame.buffer_mut(), outer.x + 2, outer.bottom().saturating_sub(1), room, &standing, style);
    if lines.is_empty() {
        let waiting = [Span::styled(scene.get("dialog.log-empty"), theme.dim)];
        put_line(frame.buffer_mut(), inner.x, inner.y, inner.width.min(width(&waiting[0].content)), &waiting);
        return;
    }
    state.set_max_scroll(lines.len());
    for (line, y) in tail(scene, lines.iter().map(String::as_str), back, inner).iter().zip(inner.y..) {
        put_line(frame.buffer_mut(), inner.x, y, inner.width, line);
    }
}

/// The lines that end `back` before the last one, wrapped, as many as fit; only those are wrapped.
pub(super) fn tail<'a, 'l, L>(scene: Scene<'_>, lines: L, back: usize, area: Rect) -> Vec<Line<'a>>
where
    L: IntoIterator<Item = &'l str, IntoIter: DoubleEndedIterator + ExactSizeIterator>,
{
    let lines = lines.into_iter();
    let tall = usize::from(area.height);
    let back = back.min(lines.len().saturating_sub(1));
    let mut shown: Vec<Line<'a>> = Vec::new();
    for line in lines.rev().skip(back) {
        let parts = if line.trim().is_empty() { vec![String::new()] } else { wrap(line, area.width) };
        shown.extend(parts.into_iter().rev().map(|part| vec![Span::styled(part, scene.theme().text)]));
        if shown.len() >= tall {
            break;
        }
    }
    shown.truncate(tall);
    shown.reverse();
    shown
}
