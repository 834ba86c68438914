//! The strip below the panes: details of the selected row, or the event log; both where there is room.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::chrome::{self, Chrome};
use super::details;
use super::scene::Scene;
use super::state::{Hit, ViewState};
use super::typeset::{Line, put, put_line, width, wrap};
use brow_model::focus::Strip;
use brow_model::log::{Entry, Level};

/// From this width on the log is shown beside the details.
const MIN_LOG_BESIDE_DETAILS: u16 = 150;

/// Draws the strip; without a frame it has the details only.
pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, framed: bool) {
    if area.is_empty() {
        return;
    }
    state.add_area(area, Hit::Strip);
    if !framed {
        return draw_lines(frame, scene, padded(area));
    }
    if shows_log(scene) {
        draw_log(frame, scene, state, area);
    } else if area.width >= MIN_LOG_BESIDE_DETAILS {
        let left = details_width(scene, area);
        draw_details(frame, scene, Rect { width: left, ..area });
        draw_log(frame, scene, state, Rect { x: area.x + left, width: area.width - left, ..area });
    } else {
        draw_details(frame, scene, area);
    }
}

fn shows_log(scene: Scene<'_>) -> bool {
    scene.model.screen.focus.strip == Strip::Log || scene.model.screen.focus.in_log
}

/// The width of the strip's first frame.
pub(super) fn details_width(scene: Scene<'_>, area: Rect) -> u16 {
    if shows_log(scene) || area.width < MIN_LOG_BESIDE_DETAILS { area.width } else { area.width * 3 / 5 }
}

fn plain(name: &str, focused: bool) -> Chrome<'_> {
    Chrome { name, focused, ..Chrome::default() }
}

fn draw_details(frame: &mut Frame<'_>, scene: Scene<'_>, area: Rect) {
    let inner = padded(chrome::draw(frame, scene, area, &plain(scene.get("view.details"), false)));
    chrome::tip(frame, scene, area);
    draw_lines(frame, scene, inner);
}

fn draw_lines(frame: &mut Frame<'_>, scene: Scene<'_>, inner: Rect) {
    let mut lines = details::lines(scene, inner.width, inner.height);
    if lines.is_empty() {
        match scene.model.clusters.fault() {
            Some(fault) => lines = details::fault_lines(scene, fault, inner.width, inner.height),
            None => lines.push(vec![Span::styled(scene.get("view.nothing"), scene.theme().dim)]),
        }
    }
    let tall = usize::from(inner.height);
    for ((at, line), y) in lines.iter().take(tall).enumerate().zip(inner.y..) {
        // What does not fit is at least announced.
        let more = at + 1 == tall && lines.len() > tall;
        let room = if more { inner.width.saturating_sub(2) } else { inner.width };
        let used = put_line(frame.buffer_mut(), inner.x, y, room, line);
        if more {
            put(
                frame.buffer_mut(),
                inner.x + used + 1,
                y,
                inner.width.saturating_sub(used + 1),
                "…",
                scene.theme().dim,
            );
        }
    }
}

fn draw_log(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect) {
    let log = &scene.model.screen.log;
    let focused = scene.model.screen.focus.in_log && !scene.has_dialog();
    let filter = (log.filtering || !log.filter.value().is_empty()).then_some(&log.filter);
    let newer = log.newer().count();
    let count = super::panes::count(log.shown().count() + newer, log.entries.len(), &log.filter);
    let below = (newer > 0).then(|| scene.text().fill("view.below", &[("count", &newer.to_string())]));
    let file = (!log.file.is_empty()).then(|| scene.text().fill("view.log-file", &[("thing", &log.file)]));
    let aside =
        below.into_iter().chain(file).map(|words| Span::styled(format!("  {words}"), scene.theme().dim)).collect();
    let frame_of = Chrome {
        count,
        filter,
        filtering: log.filtering && focused,
        aside,
        ..plain(scene.get("view.log"), scene.model.screen.focus.in_log)
    };
    let inner = padded(chrome::draw(frame, scene, area, &frame_of));
    if focused {
        state.set_page(inner.height);
    }
    let in_log = scene.model.screen.focus.in_log;
    let room = usize::from(inner.height);
    // The entry that is being read is shown whole.
    let read = log.shown().next_back().filter(|_| in_log);
    let read = read.map(|entry| entry_lines(scene, entry, inner.width, room)).unwrap_or_default();
    let (entries, reader) = visible(scene, room + 1 - read.len().max(1));
    let mut rows = inner.y..inner.bottom();
    for (at, entry) in entries.iter().enumerate() {
        if !in_log || at != reader {
            if let Some(y) = rows.next() {
                put_line(frame.buffer_mut(), inner.x, y, inner.width, &entry_line(scene, entry));
            }
            continue;
        }
        for (line, y) in read.iter().zip(&mut rows) {
            put_line(frame.buffer_mut(), inner.x, y, inner.width, line);
            let row = Rect { x: inner.x - 1, width: inner.width + 2, y, height: 1 };
            frame.buffer_mut().set_style(row, scene.theme().selection);
            put(frame.buffer_mut(), row.x, y, 1, "▌", scene.theme().accent);
        }
    }
}

/// The entries to show, oldest first, and which of them the reader is at. Where the reader is so far back that older
/// entries don't fill the room, newer ones follow.
fn visible(scene: Scene<'_>, rows: usize) -> (Vec<&Entry>, usize) {
    let log = &scene.model.screen.log;
    let mut shown: Vec<&Entry> = log.shown().rev().take(rows).collect();
    shown.reverse();
    let at = shown.len().saturating_sub(1);
    shown.extend(log.newer().take(rows - shown.len().min(rows)));
    (shown, at)
}

fn entry_line<'a>(scene: Scene<'a>, entry: &Entry) -> Line<'a> {
    let theme = scene.theme();
    let (symbol, style) = level(scene, entry.level);
    let at = entry.at.with_timezone(&scene.inputs.zone).format("%H:%M:%S").to_string();
    vec![
        Span::styled(at, theme.dim),
        Span::styled(format!(" {symbol} "), style),
        Span::styled(scene.text().entry(entry), if entry.level >= Level::Warning { style } else { theme.text }),
    ]
}

/// The lines of an entry, at most so many: its words wrapped beside the time.
fn entry_lines<'a>(scene: Scene<'a>, entry: &Entry, columns: u16, most: usize) -> Vec<Line<'a>> {
    let mut line = entry_line(scene, entry);
    let Some(words) = line.pop() else { return Vec::new() };
    let beside: u16 = line.iter().map(|span| width(&span.content)).sum();
    let parts = wrap(&words.content, columns.saturating_sub(beside)).into_iter().take(most).enumerate();
    let parts = parts.map(|(at, part)| {
        let before = if at == 0 { line.clone() } else { vec![Span::raw(" ".repeat(beside.into()))] };
        before.into_iter().chain([Span::styled(part, words.style)]).collect()
    });
    parts.collect()
}

/// The symbol and color of an entry.
pub(super) fn level(scene: Scene<'_>, level: Level) -> (&'static str, Style) {
    let theme = scene.theme();
    match level {
        Level::Info => ("·", theme.dim),
        Level::Success => ("✓", theme.good),
        Level::Warning => ("!", theme.warn),
        Level::Error => ("✗", theme.bad),
    }
}

/// The area without a column on each side.
fn padded(area: Rect) -> Rect {
    let side = u16::from(area.width > 2);
    Rect { x: area.x + side, width: area.width - 2 * side, ..area }
}
