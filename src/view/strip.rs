//! The strip below the panes: details of the selected row, or the event log; both where there is room.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::chrome::{self, Chrome};
use super::details::{self, Line};
use super::ink::{put, put_line};
use super::state::{Hit, ViewState};
use super::{Scene, screen::has_dialog};
use crate::model::focus::Strip;
use crate::model::log::{Entry, Grade};

/// From this width on the log is shown beside the details.
const BOTH: u16 = 150;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect) {
    if area.is_empty() {
        return;
    }
    state.zone(area, Hit::Strip);
    if scene.model.focus.strip == Strip::Log || scene.model.focus.in_log {
        draw_log(frame, scene, state, area);
    } else if area.width >= BOTH {
        let left = area.width * 3 / 5;
        draw_details(frame, scene, Rect { width: left, ..area });
        draw_log(frame, scene, state, Rect { x: area.x + left, width: area.width - left, ..area });
    } else {
        draw_details(frame, scene, area);
    }
}

fn plain<'a>(name: &'a str, focused: bool) -> Chrome<'a> {
    Chrome {
        number: None,
        name,
        focused,
        count: String::new(),
        aside: Vec::new(),
        marks: 0,
        filter: None,
        filtering: false,
    }
}

fn draw_details(frame: &mut Frame<'_>, scene: Scene<'_>, area: Rect) {
    let inner = padded(chrome::draw(frame, scene, area, &plain(scene.get("view.details"), false)));
    let lines = details::lines(scene, inner.width);
    let tall = usize::from(inner.height);
    for ((at, line), y) in lines.iter().take(tall).enumerate().zip(inner.y..) {
        let used = put_line(frame.buffer_mut(), inner.x, y, inner.width, line);
        // What does not fit is at least announced.
        if at + 1 == tall && lines.len() > tall {
            let x = inner.x + used.saturating_add(1).min(inner.width.saturating_sub(1));
            put(frame.buffer_mut(), x, y, 1, "…", scene.theme().dim);
        }
    }
}

fn draw_log(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect) {
    let log = &scene.model.log;
    let focused = scene.model.focus.in_log && !has_dialog(scene);
    let filter = (log.filtering || !log.filter.value().is_empty()).then_some(&log.filter);
    let count = if log.back > 0 { format!("−{}", log.back) } else { log.entries.len().to_string() };
    let frame_of = Chrome {
        count,
        filter,
        filtering: log.filtering && focused,
        ..plain(scene.get("view.log"), scene.model.focus.in_log)
    };
    let inner = padded(chrome::draw(frame, scene, area, &frame_of));
    if focused {
        state.set_page(inner.height);
    }
    let shown = visible(scene, inner.height.into());
    let missing = inner.height.saturating_sub(u16::try_from(shown.len()).unwrap_or(u16::MAX));
    // While it is filtered or read from the end, the newest entry stands at the bottom; a short log begins at the top.
    let top = if log.entries.len() < usize::from(inner.height) { 0 } else { missing };
    for (at, ((entry, words), y)) in shown.iter().rev().zip(inner.y + top..).enumerate() {
        let line = entry_line(scene, entry, words);
        put_line(frame.buffer_mut(), inner.x, y, inner.width, &line);
        if scene.model.focus.in_log && at + 1 == shown.len() {
            let row = Rect { x: inner.x - 1, width: inner.width + 2, y, height: 1 };
            frame.buffer_mut().set_style(row, scene.theme().selection);
            put(frame.buffer_mut(), row.x, y, 1, "▌", scene.theme().accent);
        }
    }
}

/// The entries to show, newest first: those that the filter lets through, from `back` on.
fn visible<'a>(scene: Scene<'a>, rows: usize) -> Vec<(&'a Entry, String)> {
    let log = &scene.model.log;
    let wanted = log.filter.value().to_lowercase();
    let worded = log.entries.iter().rev().map(|entry| (entry, scene.text().entry(entry)));
    let mut hits = worded.filter(|(_, words)| wanted.is_empty() || words.to_lowercase().contains(&wanted));
    if wanted.is_empty() {
        // Without a filter the position is known, and no entry that is not shown need be put into words.
        let back = log.back.min(log.entries.len().saturating_sub(rows));
        return log.entries.iter().rev().skip(back).take(rows).map(|entry| (entry, scene.text().entry(entry))).collect();
    }
    let mut shown: Vec<(&Entry, String)> = hits.by_ref().take(log.back.saturating_add(rows)).collect();
    let back = log.back.min(shown.len().saturating_sub(rows));
    shown.drain(..back);
    shown.truncate(rows);
    shown
}

fn entry_line<'a>(scene: Scene<'a>, entry: &Entry, words: &'a str) -> Line<'a> {
    let theme = scene.theme();
    let (symbol, style) = grade(scene, entry.grade);
    let at = entry.at.with_timezone(&scene.look.zone).format("%H:%M:%S").to_string();
    vec![
        Span::styled(at, theme.dim),
        Span::styled(format!(" {symbol} "), style),
        Span::styled(words, if entry.grade >= Grade::Warning { style } else { theme.text }),
    ]
}

/// The symbol and color of an entry.
pub(super) fn grade(scene: Scene<'_>, grade: Grade) -> (&'static str, Style) {
    let theme = scene.theme();
    match grade {
        Grade::Info => ("·", theme.dim),
        Grade::Good => ("✓", theme.good),
        Grade::Warning => ("!", theme.warn),
        Grade::Error => ("✗", theme.bad),
    }
}

/// The area without a column on each side.
fn padded(area: Rect) -> Rect {
    let side = u16::from(area.width > 2);
    Rect { x: area.x + side, width: area.width - 2 * side, ..area }
}
