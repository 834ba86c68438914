//! The keys, from the key table, in as many columns as fit.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::Span;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::typeset::{Line, line_width, put, width, wrap};
use super::{large, page};
use crate::text::{HelpSection, Hint};
use brow_model::dialog::Dialog;
use brow_model::filter::Filter;
use brow_model::focus::Pane;
use brow_model::text_field::Field;

/// The columns that keys may take at most before what they do.
const MAX_KEYS_WIDTH: u16 = 19;
/// Columns between columns of text.
const GAP: u16 = 3;
/// More columns of text than these nobody looks through.
const MAX_COLUMNS: u16 = 4;

pub(super) fn draw(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    state: &mut ViewState,
    area: Rect,
    (filter, scroll): (&Field, usize),
) {
    let outer = large(area);
    let inner = chrome::dialog(frame, scene, outer, scene.get("dialog.help"), scene.theme().accent);
    let last = Rect { y: outer.bottom().saturating_sub(1), height: 1, ..outer };
    chrome::filter(frame, scene, last, &filter.input, true);
    state.set_page(inner.height);
    let sections = matching(scene, filter.input.value());
    if sections.is_empty() {
        let words = scene.text().fill("dialog.help-empty", &[("filter", filter.input.value())]);
        put(frame.buffer_mut(), inner.x, inner.y, inner.width, &words, scene.theme().dim);
    }
    let (stacks, widths) = stacked(scene, &sections, inner);
    let tallest = stacks.iter().map(Vec::len).max().unwrap_or_default();
    state.set_max_scroll(tallest);
    let first = scroll.min(tallest.saturating_sub(inner.height.into()));
    let mut x = inner.x;
    for (stack, width) in stacks.iter().zip(widths) {
        page_of(frame, scene, Rect { x, width, ..inner }, inner, (stack, first, tallest));
        x += width + GAP;
    }
}

/// The sections with the keys that match a text, that of the place which has the keys once this is closed first.
fn matching(scene: Scene<'_>, text: &str) -> Vec<HelpSection> {
    let here = scene.get(here(scene));
    let mut filter = Filter::new(text);
    let mut left = |section: &HelpSection| {
        let HelpSection { title, lines } = section;
        let lines: Vec<Hint> =
            lines.iter().filter(|line| filter.score(&[title, &line.keys, &line.label]).is_some()).cloned().collect();
        (!lines.is_empty()).then(|| HelpSection { title: title.clone(), lines })
    };
    let (first, others): (Vec<_>, Vec<_>) = scene.inputs.help.iter().partition(|section| section.title == here);
    first.into_iter().chain(others).filter_map(&mut left).collect()
}

/// The sections in as many columns as there is room for without cutting a line, and their widths; in a single column
/// lines are wrapped.
fn stacked<'a>(scene: Scene<'a>, sections: &'a [HelpSection], inner: Rect) -> (Vec<Vec<Line<'a>>>, Vec<u16>) {
    for across in (2..=MAX_COLUMNS).rev() {
        let stacks = stack(scene, sections, across.into(), inner.height.into(), u16::MAX);
        let widths: Vec<u16> =
            stacks.iter().map(|stack| stack.iter().map(|line| line_width(line)).max().unwrap_or_default()).collect();
        let gaps = u16::try_from(stacks.len().saturating_sub(1)).unwrap_or(MAX_COLUMNS);
        let taken = widths.iter().fold(gaps * GAP, |sum, own| sum.saturating_add(*own));
        if taken <= inner.width {
            // What is left over stands between them.
            let spare = (inner.width - taken) / (gaps + 1);
            return (stacks, widths.into_iter().map(|own| own + spare).collect());
        }
    }
    (stack(scene, sections, 1, inner.height.into(), inner.width), vec![inner.width])
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
        super::super::typeset::put_line(frame.buffer_mut(), column.x, y, column.width, line);
    }
    if lines.len() == tallest {
        let blank = vec![Line::new(); tallest];
        page(frame, scene, inner, &blank, first);
    }
}

/// The place that has the keys once this is closed: its own come first.
fn here(scene: Scene<'_>) -> &'static str {
    let model = scene.model;
    if model.screen.dialogs.iter().any(|dialog| matches!(dialog, Dialog::Browser(_))) {
        return "place.browser";
    }
    if model.screen.dialogs.iter().any(|dialog| matches!(dialog, Dialog::Object(_))) {
        return "place.page";
    }
    if model.screen.dialogs.iter().any(|dialog| matches!(dialog, Dialog::Find(_))) {
        return "place.find";
    }
    if model.screen.dialogs.iter().any(|dialog| matches!(dialog, Dialog::Kinds(_))) {
        return "place.kinds";
    }
    match model.screen.focus.pane {
        _ if model.screen.welcome.is_some() => "place.clusters",
        _ if model.screen.focus.in_log => "place.log",
        Pane::Clusters => "place.clusters",
        Pane::Targets => "place.targets",
        Pane::Pods => "place.pods",
        Pane::Forwards => "place.forwards",
    }
}

/// The sections in `across` stacks of about the same height and `room` columns; a section is not torn apart.
fn stack<'a>(
    scene: Scene<'a>,
    sections: &'a [HelpSection],
    across: usize,
    tall: usize,
    room: u16,
) -> Vec<Vec<Line<'a>>> {
    let sections: Vec<Vec<Line<'a>>> = sections.iter().map(|section| lines(scene, section, room)).collect();
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

fn lines<'a>(scene: Scene<'a>, section: &'a HelpSection, room: u16) -> Vec<Line<'a>> {
    let theme = scene.theme();
    let widest = section.lines.iter().map(|hint| width(&hint.keys)).max().unwrap_or_default().min(MAX_KEYS_WIDTH);
    let mut lines = vec![vec![Span::styled(section.title.as_str(), theme.text.add_modifier(Modifier::BOLD))]];
    for Hint { keys, label } in &section.lines {
        let lead = widest.max(width(keys)) + 2;
        let pad = " ".repeat(usize::from(lead - width(keys)));
        let mut parts = wrap(label, room.saturating_sub(lead).max(1)).into_iter();
        let said = Span::styled(parts.next().unwrap_or_default(), theme.dim);
        lines.push(vec![Span::styled(keys.as_str(), theme.accent), Span::raw(pad), said]);
        let below = " ".repeat(lead.into());
        lines.extend(parts.map(|part| vec![Span::raw(below.clone()), Span::styled(part, theme.dim)]));
    }
    lines.push(Vec::new());
    lines
}
