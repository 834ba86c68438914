//! A pane's table: heads, visible rows, selection, marks, scroll bar. Only rows that are visible are built.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::cell::Cell;
use super::columns::{Column, fit};
use super::state::{Hit, ViewState};
use super::theme::Theme;
use super::typeset::{put, width};
use brow_model::focus::Pane;

/// Columns left of the cells: the selection's bar and the mark.
pub(super) const GUTTER: u16 = 3;

/// A table without its cells.
pub(super) struct Table<'a> {
    /// The pane that contains the table.
    pub pane: Pane,
    /// True if the pane receives keys.
    pub focused: bool,
    pub columns_of: &'static [Column],
    pub heads: Vec<&'a str>,
    /// The column that the rows are sorted by, and whether from high to low.
    pub sorted: (usize, bool),
    /// The selected row.
    pub cursor: usize,
    /// The number of rows.
    pub rows: usize,
}

/// One visible row.
pub(super) struct Row<'a> {
    /// The symbol of its state, left of the cells while it is not marked.
    pub symbol: Option<Span<'a>>,
    /// Its cells, one a column; none where the row is gone but not yet out of the order.
    pub cells: Vec<Cell<'a>>,
    /// True if the row is marked.
    pub marked: bool,
}

impl Table<'_> {
    /// Draws into `area`, asking `row` for those rows that are visible. Returns the number of rows below them.
    pub fn draw<'r>(
        &self,
        frame: &mut Frame<'_>,
        state: &mut ViewState,
        theme: &Theme,
        area: Rect,
        row: impl Fn(usize) -> Row<'r>,
    ) -> usize {
        if area.height < 2 || area.width <= GUTTER {
            return 0;
        }
        let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
        let first = state.scroll(self.pane, self.cursor, body.height.into(), self.rows);
        let visible: Vec<Row<'r>> = (first..self.rows).take(body.height.into()).map(row).collect();
        let mut natural: Vec<u16> = (0..self.columns_of.len()).map(|i| self.natural(i, &visible)).collect();
        state.stabilize(self.pane, area.width, self.rows, &mut natural);
        let (widths, gap) = fit(self.columns_of, &natural, area.width - GUTTER);
        let buffer = frame.buffer_mut();
        self.heads(buffer, state, theme, area, (&widths, gap));
        for ((at, row), y) in (first..).zip(&visible).zip(body.y..) {
            let line = Rect { y, height: 1, ..body };
            state.add_area(line, Hit::Row { pane: self.pane, row: at });
            self.row(buffer, theme, line, row, (&widths, gap));
            self.gutter(buffer, theme, line, at == self.cursor, row.marked);
        }
        self.scroll_bar(buffer, theme, body, first);
        self.rows - first - visible.len()
    }

    fn natural(&self, column: usize, rows: &[Row<'_>]) -> u16 {
        let cells = rows.iter().filter_map(|row| row.cells.get(column)).map(Cell::natural).max();
        let arrow = if self.sorted.0 == column { 2 } else { 0 };
        cells.unwrap_or_default().max(self.heads.get(column).map_or(0, |head| width(head)) + arrow)
    }

    fn heads(&self, buffer: &mut Buffer, state: &mut ViewState, theme: &Theme, area: Rect, sizes: (&[u16], u16)) {
        let (widths, gap) = sizes;
        let mut x = area.x + GUTTER;
        for (column, ((head, own), shape)) in self.heads.iter().zip(widths).zip(self.columns_of).enumerate() {
            if *own == 0 {
                continue;
            }
            state.add_area(Rect { x, width: *own, height: 1, ..area }, Hit::Column { pane: self.pane, column });
            let sorted = self.sorted.0 == column;
            let arrow = if self.sorted.1 { "▼" } else { "▲" };
            let taken = width(head).min(*own) + if sorted { 2 } else { 0 };
            let start = if shape.right { x + own.saturating_sub(taken) } else { x };
            let style = if sorted { theme.text } else { theme.dim };
            let room = own.saturating_sub(if sorted { 2 } else { 0 });
            let used = put(buffer, start, area.y, room, head, style);
            if sorted {
                put(buffer, start + used + u16::from(used > 0), area.y, 1, arrow, theme.accent);
            }
            x += own + gap;
        }
    }

    fn row(&self, buffer: &mut Buffer, theme: &Theme, line: Rect, row: &Row<'_>, sizes: (&[u16], u16)) {
        let (widths, gap) = sizes;
        let mut x = line.x + GUTTER;
        for ((cell, own), shape) in row.cells.iter().zip(widths).zip(self.columns_of) {
            if *own > 0 && x < line.right() {
                cell.draw(buffer, x, line.y, (*own).min(line.right() - x), shape.right);
                x += own + gap;
            }
        }
        if row.marked {
            put(buffer, line.x + 1, line.y, 1, "✓", theme.mark);
        } else if let Some(symbol) = &row.symbol {
            put(buffer, line.x + 1, line.y, 1, &symbol.content, symbol.style);
        }
    }

    /// Draws the selection: across the row in the focused pane, elsewhere as a thin bar.
    fn gutter(&self, buffer: &mut Buffer, theme: &Theme, line: Rect, selected: bool, marked: bool) {
        if !selected {
            return;
        }
        if self.focused {
            buffer.set_style(line, theme.selection);
            put(buffer, line.x, line.y, 1, "▌", theme.accent);
        } else {
            put(buffer, line.x, line.y, 1, "▏", if marked { theme.mark } else { theme.faint });
        }
    }

    /// On the right frame, where not all rows are visible.
    fn scroll_bar(&self, buffer: &mut Buffer, theme: &Theme, body: Rect, first: usize) {
        let tall = usize::from(body.height);
        if self.rows <= tall || tall == 0 {
            return;
        }
        let length = (tall * tall / self.rows).max(1);
        let start = first * (tall - length) / (self.rows - tall);
        let style: Style = if self.focused { theme.accent } else { theme.dim };
        for at in start..start + length {
            put(buffer, body.right(), body.y + u16::try_from(at).unwrap_or_default(), 1, "┃", style);
        }
    }
}
