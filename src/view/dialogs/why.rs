//! The steps to something that cannot be reached.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::typeset::{Line, wrap};
use super::{large, page};
use brow_model::dialog::StepList;
use brow_model::why::{Check, Verdict};

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, steps: &StepList) {
    let theme = scene.theme();
    let title = scene.text().fill("why.title", &[("thing", &steps.thing)]);
    let inner = chrome::dialog(frame, scene, large(area), &title, theme.accent);
    state.set_page(inner.height);
    let lines: Vec<Line<'_>> = match &steps.checks {
        None => vec![vec![Span::styled(scene.get("why.asking").to_owned(), theme.info)]],
        Some(checks) => checks.iter().flat_map(|check| step(scene, check, inner.width)).collect(),
    };
    let most = lines.len().saturating_sub(inner.height.into());
    state.set_max_scroll(most);
    page(frame, scene, inner, &lines, steps.scroll.min(most));
}

/// A step, and under it what is wrong and what to do.
fn step<'a>(scene: Scene<'_>, check: &Check, room: u16) -> Vec<Line<'a>> {
    let theme = scene.theme();
    let (sign, style) = match check.verdict {
        Verdict::Passed => ("✓", theme.good),
        Verdict::Failed(_) => ("✗", theme.bad),
        Verdict::Unknown(_) => ("?", theme.warn),
    };
    let mut lines: Vec<Line<'a>> = Vec::new();
    let mut add = |sign: &'static str, style: Style, words: &str, of_words: Style| {
        for (at, part) in wrap(words, room.saturating_sub(2)).into_iter().enumerate() {
            let sign = if at == 0 { sign } else { " " };
            lines.push(vec![Span::styled(format!("{sign} "), style), Span::styled(part, of_words)]);
        }
    };
    add(sign, style, &scene.text().why_step(check), theme.text);
    if let Some(fault) = check.fault() {
        let words = scene.text().fault(fault);
        add(" ", theme.dim, &words.what, theme.dim);
        add(" ", theme.dim, &words.detail, theme.dim);
        add(" ", theme.dim, &words.remedy, theme.accent);
    }
    lines
}
