//! The keys, from the key table, in as many columns as fit.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::Span;

use super::super::chrome;
use super::super::details::Line;
use super::super::ink::width;
use super::super::{Scene, state::ViewState};
use super::{large, page};
use crate::text::{HelpSection, Hint};

/// The least columns in which a key and what it does can be read.
const LEAST: u16 = 38;
/// Columns between columns of text.
const GAP: u16 = 3;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, scroll: usize) {
    let inner = chrome::dialog(frame, scene, large(area), scene.get("dialog.help"), scene.theme().accent);
    state.set_page(inner.height);
    let across = ((inner.width + GAP) / (LEAST + GAP)).clamp(1, 4);
    let stacks = stack(scene, usize::from(across), inner.height.into());
    let tallest = stacks.iter().map(Vec::len).max().unwrap_or_default();
    state.set_reach(tallest);
    // Sections are not torn apart, so there may be fewer columns than would fit: those are wider.
    let across = u16::try_from(stacks.len()).unwrap_or(across).max(1);
    let first = scroll.min(tallest.saturating_sub(inner.height.into()));
    let own = (inner.width - (across - 1) * GAP.min(inner.width)) / across;
    for (stack, at) in stacks.iter().zip(0u16..) {
        let column = Rect { x: inner.x + at * (own + GAP), width: own, ..inner };
        page_of(frame, scene, column, inner, (stack, first, tallest));
    }
}

/// One column; the scroll bar is drawn once, on the right frame, for the tallest.
fn page_of(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    column: Rect,
    inner: Rect,
    (lines, first, tallest): (&[Line<'_>], usize, usize),
) {
    for (line, y) in lines.iter().skip(first).zip(column.y..column.bottom()) {
        super::super::ink::put_line(frame.buffer_mut(), column.x, y, column.width, line);
    }
    if lines.len() == tallest {
        let blank = vec![Line::new(); tallest];
        page(frame, scene, inner, &blank, first);
    }
}

/// The sections in `across` stacks of about the same height; a section is not torn apart.
fn stack<'a>(scene: Scene<'a>, across: usize, tall: usize) -> Vec<Vec<Line<'a>>> {
    let sections: Vec<Vec<Line<'a>>> = scene.look.help.iter().map(|section| lines(scene, section)).collect();
    let all: usize = sections.iter().map(Vec::len).sum();
    let aim = all.div_ceil(across).max(tall);
    let mut stacks: Vec<Vec<Line<'a>>> = vec![Vec::new()];
    for section in sections {
        let open = stacks.len() < across;
        if let Some(last) = stacks.last_mut() {
            if open && !last.is_empty() && last.len() + section.len() > aim + 1 {
                stacks.push(section);
            } else {
                last.extend(section);
            }
        }
    }
    stacks
}

fn lines<'a>(scene: Scene<'a>, section: &'a HelpSection) -> Vec<Line<'a>> {
    let theme = scene.theme();
    let widest = section.lines.iter().map(|hint| width(&hint.keys)).max().unwrap_or_default().min(LEAST / 2);
    let mut lines = vec![vec![Span::styled(section.title.as_str(), theme.text.add_modifier(Modifier::BOLD))]];
    for Hint { keys, label } in &section.lines {
        let pad = " ".repeat(usize::from(widest.saturating_sub(width(keys)) + 2));
        lines.push(vec![
            Span::styled(keys.as_str(), theme.accent),
            Span::raw(pad),
            Span::styled(label.as_str(), theme.dim),
        ]);
    }
    lines.push(Vec::new());
    lines
}
