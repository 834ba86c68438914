//! The view's own state between frames: scroll offsets, and click zones for the mouse.

use ratatui::layout::{Position, Rect};

use brow_model::focus::Pane;

/// Owned by the loop, handed to every [`draw`](super::draw).
#[derive(Debug, Clone, Default)]
pub struct ViewState {
    /// First visible row of each pane's table, and of the rows in a dialog.
    offsets: [usize; 5],
    /// Natural column widths seen so far, by pane and in a dialog, so that columns don't jump while a
    /// person scrolls.
    widths: [Widths; 5],
    /// The clickable areas of the last frame; later ones lie above earlier ones.
    areas: Vec<(Rect, Hit)>,
    /// The number of rows of the focused table or dialog in the last frame.
    page: usize,
    /// The largest scroll offset of the topmost dialog in the last frame; `usize::MAX` if nothing scrolls.
    max_scroll: usize,
}

/// The index of a dialog's table, after those of the panes.
const DIALOG: usize = 4;

/// Natural widths and what they were measured for.
#[derive(Debug, Clone, Default)]
struct Widths {
    total: u16,
    rows: usize,
    natural: Vec<u16>,
}

/// The element under the mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// A row of a pane: an index into its visible order.
    Row {
        pane: Pane,
        row: usize,
    },
    /// A pane's frame or empty space.
    Pane(Pane),
    /// A column's head: an index into the pane's columns.
    Column {
        pane: Pane,
        column: usize,
    },
    /// A button or field of the topmost dialog.
    Item(usize),
    Strip,
}

impl ViewState {
    /// Returns the element at a column and row of the last frame.
    pub fn hit(&self, column: u16, row: u16) -> Option<Hit> {
        let at = Position::new(column, row);
        self.areas.iter().rev().find(|(area, _)| area.contains(at)).map(|(_, hit)| *hit)
    }

    /// The number of rows in a page of the focused table or dialog; never 0.
    pub fn page(&self) -> usize {
        self.page.max(1)
    }

    /// The largest scroll offset of the topmost dialog.
    pub fn max_scroll(&self) -> usize {
        self.max_scroll
    }

    pub(super) fn begin(&mut self) {
        self.areas.clear();
        self.max_scroll = usize::MAX;
    }

    pub(super) fn set_page(&mut self, rows: u16) {
        self.page = rows.into();
    }

    /// Sets the largest scroll offset for a text of `lines` lines, a page of which was drawn.
    pub(super) fn set_max_scroll(&mut self, lines: usize) {
        self.max_scroll = lines.saturating_sub(self.page());
    }

    pub(super) fn add_area(&mut self, area: Rect, hit: Hit) {
        if !area.is_empty() {
            self.areas.push((area, hit));
        }
    }

    /// The first row to draw so that `cursor` is visible, moving as little as possible.
    pub(super) fn scroll(&mut self, pane: Pane, cursor: usize, rows: usize, of: usize) -> usize {
        self.scroll_in(pane as usize, cursor, rows, of)
    }

    /// The same for the rows of a dialog.
    pub(super) fn scroll_dialog(&mut self, cursor: usize, rows: usize, of: usize) -> usize {
        self.scroll_in(DIALOG, cursor, rows, of)
    }

    fn scroll_in(&mut self, at: usize, cursor: usize, rows: usize, of: usize) -> usize {
        let offset = &mut self.offsets[at];
        let lowest = cursor.saturating_sub(rows.saturating_sub(1));
        *offset = (*offset).clamp(lowest, cursor.max(lowest)).min(of.saturating_sub(rows));
        *offset
    }

    /// Widens `natural` to what was seen since the pane's width or number of rows last changed.
    pub(super) fn stabilize(&mut self, pane: Pane, total: u16, rows: usize, natural: &mut [u16]) {
        self.stabilize_in(pane as usize, total, rows, natural);
    }

    /// The same for the rows of a dialog.
    pub(super) fn stabilize_dialog(&mut self, total: u16, rows: usize, mut natural: Vec<u16>) -> Vec<u16> {
        self.stabilize_in(DIALOG, total, rows, &mut natural);
        natural
    }

    fn stabilize_in(&mut self, at: usize, total: u16, rows: usize, natural: &mut [u16]) {
        let seen = &mut self.widths[at];
        if seen.total == total && seen.rows == rows && seen.natural.len() == natural.len() {
            for (own, before) in natural.iter_mut().zip(&seen.natural) {
                *own = (*own).max(*before);
            }
        }
        *seen = Widths { total, rows, natural: natural.to_vec() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrolls_as_little_as_it_must() {
        let mut state = ViewState::default();
        let mut scroll = |cursor| state.scroll(Pane::Pods, cursor, 10, 100);
        assert_eq!([scroll(0), scroll(9), scroll(10), scroll(50), scroll(45), scroll(40)], [0, 0, 1, 41, 41, 40]);
        assert_eq!(state.scroll(Pane::Pods, 3, 10, 5), 0);
        assert_eq!(state.scroll(Pane::Pods, 0, 0, 0), 0);
        assert_eq!(state.scroll(Pane::Pods, 4, 0, 5), 4);
    }

    #[test]
    fn the_topmost_zone_is_hit() {
        let mut state = ViewState::default();
        state.add_area(Rect::new(0, 0, 10, 10), Hit::Pane(Pane::Pods));
        state.add_area(Rect::new(1, 1, 8, 1), Hit::Row { pane: Pane::Pods, row: 7 });
        state.add_area(Rect::new(0, 0, 0, 5), Hit::Strip);
        assert_eq!(state.hit(1, 1), Some(Hit::Row { pane: Pane::Pods, row: 7 }));
        assert_eq!(state.hit(0, 0), Some(Hit::Pane(Pane::Pods)));
        assert_eq!(state.hit(10, 0), None);
    }

    #[test]
    fn columns_stay_as_wide_as_they_were() {
        let mut state = ViewState::default();
        let mut stabilize = |total, rows, mut natural: Vec<u16>| {
            state.stabilize(Pane::Pods, total, rows, &mut natural);
            natural
        };
        assert_eq!(stabilize(80, 5, vec![4, 9]), [4, 9]);
        assert_eq!(stabilize(80, 5, vec![6, 2]), [6, 9]);
        assert_eq!(stabilize(80, 6, vec![1, 2]), [1, 2]);
        assert_eq!(stabilize(81, 6, vec![0, 3]), [0, 3]);
    }
}
