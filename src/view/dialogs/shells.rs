//! The sessions in containers.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::state::{Hit, ViewState};
use super::super::typeset::{cut_middle, put, width};
use super::{middle, room};
use brow_model::shell::RemoteShell;

/// Columns of the screen, where there is room.
const WIDTH: u16 = 90;
/// The heads of the columns.
const HEADS: [&str; 5] = ["shell.pod", "shell.place", "shell.age", "shell.idle", "shell.left"];

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, cursor: usize) {
    let theme = scene.theme();
    let shells = scene.model.instances.shells();
    let title = scene.text().fill("dialog.shells", &[("count", &shells.len().to_string())]);
    let tall = u16::try_from(shells.len()).unwrap_or(u16::MAX).saturating_add(1);
    let inner = chrome::dialog(frame, scene, middle(area, room(area, WIDTH), tall), &title, theme.accent);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    state.set_page(body.height);
    let first = state.scroll_dialog(cursor, body.height.into(), shells.len());
    let mut heads = HEADS.map(|key| scene.get(key).to_owned());
    if shells.iter().all(|one| one.shell.node.is_none()) {
        heads[4].clear();
    }
    let rows: Vec<_> = shells.iter().map(|shell| cells(scene, shell)).collect();
    let wide = |at: usize| rows.iter().chain([&heads]).map(|row| width(&row[at])).max().unwrap_or_default();
    // The pod gives way last.
    let (age, idle, ends) = (wide(2), wide(3), wide(4));
    let room = inner.width.saturating_sub(age + idle + ends + 10);
    let pod = wide(0).min(room);
    let widths = [pod, wide(1).min(room - pod), age, idle, ends];
    draw_row(frame, inner, &heads, widths, theme.dim);
    for ((at, row), y) in rows.iter().enumerate().skip(first).zip(body.y..body.bottom()) {
        let line = Rect { y, height: 1, ..body };
        state.add_area(line, Hit::Item(at));
        let soon = shells[at].shell.ends_soon(scene.model.now).is_some();
        draw_row(frame, line, row, widths, if soon { theme.warn } else { theme.text });
        if at == cursor {
            frame.buffer_mut().set_style(line, theme.selection);
            put(frame.buffer_mut(), line.x, y, 1, "▌", theme.accent);
        }
    }
}

fn draw_row(frame: &mut Frame<'_>, line: Rect, row: &[String; 5], widths: [u16; 5], style: Style) {
    let mut x = line.x + 2;
    for (cell, wide) in row.iter().zip(widths) {
        put(frame.buffer_mut(), x, line.y, wide, &cut_middle(cell, wide), style);
        x += wide + 2;
    }
}

fn cells(scene: Scene<'_>, RemoteShell { shell, .. }: &RemoteShell) -> [String; 5] {
    let (text, now) = (scene.text(), scene.model.now);
    let place = format!("{}/{}", scene.model.cluster_name(&shell.cluster), shell.namespace);
    let (age, idle) = (text.age(now - shell.began), text.age((now - shell.active).max(chrono::TimeDelta::zero())));
    let ends = shell.node.as_ref().map(|node| text.left((node.ends - now).max(chrono::TimeDelta::zero())));
    // Show the node rather than the shell's pod, which has a generated name.
    let thing = match &shell.node {
        Some(node) => format!("node/{}", node.name),
        None => format!("{}/{}", shell.pod, shell.container),
    };
    [thing, place, age, idle, ends.unwrap_or_default()]
}
