//! The open connections of a forward.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::state::{Hit, ViewState};
use super::super::typeset::{cut_middle, put, width};
use super::{large, middle, room};
use brow_model::connection::{Connection, ConnectionState};
use brow_model::dialog::ConnectionList;

/// Columns of the screen, where there is room.
const WIDTH: u16 = 100;

/// The kind of the rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    Connections,
    /// Flows of datagrams.
    Flows,
    /// The destinations of a proxy target.
    Destinations,
}

use Rows::{Connections, Destinations, Flows};

/// The columns: their heads, whether their values are numbers, and the rows that have them.
const COLUMNS: [(&str, bool, &[Rows]); 13] = [
    ("connection.to", false, &[Destinations]),
    ("connection.program", false, &[Connections, Flows]),
    ("connection.from", false, &[Connections, Flows]),
    ("connection.since", true, &[Connections, Flows]),
    ("connection.open-now", true, &[Destinations]),
    ("connection.total", true, &[Destinations]),
    ("connection.failed", true, &[Destinations]),
    ("connection.latency", true, &[Destinations]),
    ("connection.up", true, &[Connections, Flows, Destinations]),
    ("connection.down", true, &[Connections, Flows, Destinations]),
    ("connection.datagrams", true, &[Flows]),
    ("connection.dropped", true, &[Flows]),
    ("connection.state", false, &[Connections]),
];

/// The narrowest column of programs or destinations.
const LEAST_WIDTH: u16 = 24;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, list: &ConnectionList) {
    let theme = scene.theme();
    let forward = scene.model.forwards.all().get(&list.forward);
    let name = forward.map(|forward| forward.spec.target.as_str()).unwrap_or_default();
    let rows = list.rows.as_deref().unwrap_or_default();
    let of = match forward {
        Some(forward) if forward.spec.address.is_proxy() => Destinations,
        Some(forward) if forward.is_udp() => Flows,
        Some(_) | None => Connections,
    };
    let title = scene.text().fill("dialog.connections", &[("name", name), ("count", &rows.len().to_string())]);
    // Wide, for all of what a row tells.
    let outer = Rect { height: large(area).height, y: large(area).y, ..middle(area, room(area, WIDTH), 0) };
    let inner = chrome::dialog(frame, scene, outer, &title, theme.accent);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    state.set_page(body.height);
    if rows.is_empty() {
        let key = match (&list.rows, of) {
            (None, _) => "dialog.browser-looking",
            (Some(_), Destinations) => "dialog.no-destinations",
            (Some(_), Connections | Flows) => "dialog.no-connections",
        };
        let words = scene.get(key);
        put(frame.buffer_mut(), inner.x, inner.y, inner.width, words, theme.dim);
        return;
    }
    let first = state.scroll_dialog(list.cursor, body.height.into(), rows.len());
    let cells: Vec<[String; COLUMNS.len()]> = rows.iter().map(|connection| cells(scene, connection)).collect();
    // A column that is not shown has neither head nor width.
    let heads = COLUMNS.map(|(key, _, those)| if those.contains(&of) { scene.get(key) } else { "" }.to_owned());
    // By all rows, so that nothing moves while one scrolls.
    let mut widths = [0; COLUMNS.len()];
    for row in cells.iter().chain([&heads]) {
        for ((wide, cell), (_, _, those)) in widths.iter_mut().zip(row).zip(COLUMNS) {
            *wide = if those.contains(&of) { width(cell).max(*wide) } else { 0 };
        }
    }
    // The first column gives way.
    let first_column = usize::from(of != Destinations);
    let others: u16 = widths[first_column + 1..].iter().filter(|wide| **wide > 0).map(|wide| wide + 2).sum();
    widths[first_column] = widths[first_column].max(LEAST_WIDTH).min(inner.width.saturating_sub(others + 2));
    draw_row(frame, inner, &heads, widths, theme.dim);
    for ((at, row), y) in cells.iter().enumerate().skip(first).zip(body.y..body.bottom()) {
        let line = Rect { y, height: 1, ..body };
        state.add_area(line, Hit::Item(at));
        draw_row(frame, line, row, widths, theme.text);
        if at == list.cursor {
            frame.buffer_mut().set_style(line, theme.selection);
            put(frame.buffer_mut(), line.x, y, 1, "▌", theme.accent);
        }
    }
}

fn draw_row(frame: &mut Frame<'_>, line: Rect, row: &[String], widths: [u16; COLUMNS.len()], style: Style) {
    let mut x = line.x + 2;
    let shown = row.iter().zip(widths).zip(COLUMNS).filter(|((_, wide), _)| *wide > 0);
    for ((cell, wide), (_, is_number, _)) in shown {
        let indent = if is_number { wide.saturating_sub(width(cell)) } else { 0 };
        let room = wide.min(line.right().saturating_sub(x)).saturating_sub(indent);
        put(frame.buffer_mut(), x + indent, line.y, room, &cut_middle(cell, room), style);
        x += wide + 2;
    }
}

fn cells(scene: Scene<'_>, connection: &Connection) -> [String; COLUMNS.len()] {
    let text = scene.text();
    let Connection { from, program, since, up, down, state, datagrams, to, .. } = connection;
    let program =
        program.as_ref().map_or_else(|| "–".to_owned(), |program| format!("{} {}", program.name, program.pid));
    let from = match from {
        Some(from) if from.ip().is_loopback() => format!(":{}", from.port()),
        Some(from) => from.to_string(),
        None => text.get("connection.socket").to_owned(),
    };
    let state = match state {
        ConnectionState::Waiting => "connection.waiting",
        ConnectionState::Open => "connection.open",
    };
    let age = text.age(scene.model.now - *since);
    let (both, dropped) = datagrams.map_or_else(Default::default, |datagrams| {
        (format!("{}/{}", datagrams.up, datagrams.down), datagrams.dropped.to_string())
    });
    let (up, down, state) = (text.bytes(*up), text.bytes(*down), text.get(state).to_owned());
    let of_place = to.as_ref().map(|to| {
        let latency = to.latency.map_or_else(|| "–".to_owned(), |time| text.rtt(time));
        [to.address.clone(), to.open.to_string(), to.total.to_string(), to.failed.to_string(), latency]
    });
    let [to, open, total, failed, latency] = of_place.unwrap_or_default();
    [to, program, from, age, open, total, failed, latency, up, down, both, dropped, state]
}
