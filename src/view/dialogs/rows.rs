//! The table of a dialog: heads, and rows of cells that share the width.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::cell::Cell;
use super::super::columns::{Column, fit};
use super::super::scene::Scene;
use super::super::state::{Hit, ViewState};
use super::super::table::GUTTER;
use super::super::typeset::{put, width};

/// A table to be drawn.
pub(super) struct Table<'a> {
    pub heads: Vec<String>,
    pub shapes: Vec<Column>,
    /// The cells of the visible rows, from the row `first` on.
    pub rows: Vec<Vec<Cell<'a>>>,
    pub first: usize,
    pub cursor: usize,
    /// The number of all rows.
    pub count: usize,
    /// True if columns without values in the visible rows are shown.
    pub with_empty: bool,
}

/// Draws a table in an area that has room for a head and a row.
pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, table: &Table<'_>, area: Rect) {
    let theme = scene.theme();
    let Table { heads, shapes, rows, first, cursor, count, with_empty } = table;
    let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let natural = (0..shapes.len()).map(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(Cell::natural).max().unwrap_or_default();
        if cells == 0 && !with_empty { 0 } else { cells.max(width(&heads[column])) }
    });
    let natural = state.stabilize_dialog(area.width, *count, natural.collect());
    let (widths, gap) = fit(shapes, &natural, area.width - GUTTER);
    let buffer = frame.buffer_mut();
    let mut x = area.x + GUTTER;
    for (head, own) in heads.iter().zip(&widths).filter(|(_, own)| **own > 0) {
        put(buffer, x, area.y, *own, head, theme.dim);
        x += own + gap;
    }
    for ((at, row), y) in (*first..).zip(rows).zip(body.y..body.bottom()) {
        let line = Rect { y, height: 1, ..body };
        state.add_area(line, Hit::Item(at));
        let mut x = line.x + GUTTER;
        for (cell, own) in row.iter().zip(&widths).filter(|(_, own)| **own > 0) {
            if x < line.right() {
                cell.draw(buffer, x, y, (*own).min(line.right() - x), false);
                x += own + gap;
            }
        }
        if at == *cursor {
            buffer.set_style(line, theme.selection);
            put(buffer, line.x, y, 1, "▌", theme.accent);
        }
    }
}
