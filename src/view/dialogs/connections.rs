//! The open connections of a forward.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::super::chrome;
use super::super::state::{Hit, ViewState};
use super::super::typeset::{cut_middle, put, width};
use super::{Scene, large, middle, room};
use brow_model::address::Transport;
use brow_model::connection::{Connection, ConnectionState};
use brow_model::dialog::ConnectionList;
use brow_model::forward::Forward;

/// Columns of the screen, where there is room.
const WIDTH: u16 = 100;

/// The columns: their heads, whether their values are numbers, and whether they are of flows or of connections only.
const COLUMNS: [(&str, bool, Option<Transport>); 8] = [
    ("connection.program", false, None),
    ("connection.from", false, None),
    ("connection.since", true, None),
    ("connection.up", true, None),
    ("connection.down", true, None),
    ("connection.datagrams", true, Some(Transport::Udp)),
    ("connection.dropped", true, Some(Transport::Udp)),
    ("connection.state", false, Some(Transport::Tcp)),
];

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, list: &ConnectionList) {
    let theme = scene.theme();
    let forward = scene.model.forwards.all().get(&list.forward);
    let name = forward.map(|forward| forward.spec.target.as_str()).unwrap_or_default();
    let rows = list.rows.as_deref().unwrap_or_default();
    let title = scene.text().fill("dialog.connections", &[("name", name), ("count", &rows.len().to_string())]);
    // Wide, for all of what a row tells.
    let outer = Rect { height: large(area).height, y: large(area).y, ..middle(area, room(area, WIDTH), 0) };
    let inner = chrome::dialog(frame, scene, outer, &title, theme.accent);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    state.set_page(body.height);
    if rows.is_empty() {
        let words = scene.get(if list.rows.is_some() { "dialog.no-connections" } else { "dialog.browser-looking" });
        put(frame.buffer_mut(), inner.x, inner.y, inner.width, words, theme.dim);
        return;
    }
    let first = state.scroll_dialog(list.cursor, body.height.into(), rows.len());
    let cells: Vec<[String; COLUMNS.len()]> = rows.iter().map(|connection| cells(scene, connection)).collect();
    let transport = if forward.is_some_and(Forward::is_udp) { Transport::Udp } else { Transport::Tcp };
    // A column that is not shown has neither head nor width.
    let is_shown = |of: Option<Transport>| of.is_none_or(|of| of == transport);
    let heads = COLUMNS.map(|(key, _, of)| if is_shown(of) { scene.get(key) } else { "" }.to_owned());
    // By all rows, so that nothing moves while one scrolls.
    let mut widths = [0; COLUMNS.len()];
    for row in cells.iter().chain([&heads]) {
        for ((wide, cell), (_, _, of)) in widths.iter_mut().zip(row).zip(COLUMNS) {
            *wide = if is_shown(of) { width(cell).max(*wide) } else { 0 };
        }
    }
    // The first column gives way.
    let others: u16 = widths[1..].iter().filter(|wide| **wide > 0).map(|wide| wide + 2).sum();
    widths[0] = widths[0].max(24).min(inner.width.saturating_sub(others + 2));
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
    let Connection { from, program, since, up, down, state, datagrams, .. } = connection;
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
    [program, from, age, text.bytes(*up), text.bytes(*down), both, dropped, text.get(state).to_owned()]
}
