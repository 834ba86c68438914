//! Cells of tables: text, countdown bars, steps and sparklines.

use std::collections::VecDeque;

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::Span;

use super::typeset::{cut_front, cut_middle, line_width, put, put_line, width};

/// One cell of a table.
#[derive(Debug, Clone)]
pub(super) enum Cell<'a> {
    /// Words.
    Line(Vec<Span<'a>>),
    /// A name whose end tells more than its beginning.
    Tail(Span<'a>),
    /// A name whose beginning and end both tell something, and what stands behind it.
    Name(Span<'a>, Span<'a>),
    /// Words, and beside them the values of the last minute where both fit; else the values, if there are any.
    News { words: Span<'a>, values: Option<&'a VecDeque<u64>>, style: Style },
    /// Values over time, newest last.
    Spark {
        /// A value a second.
        values: &'a VecDeque<u64>,
        style: Style,
    },
}

/// Eighths of a cell, filled from below.
const VERTICAL_EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// The least and the most columns of the last minute's values.
const SPARK: (u16, u16) = (8, 30);

impl<'a> Cell<'a> {
    pub fn text(text: impl Into<std::borrow::Cow<'a, str>>, style: Style) -> Self {
        Self::Line(vec![Span::styled(text, style)])
    }

    /// Nothing.
    pub fn empty() -> Self {
        Self::Line(Vec::new())
    }

    /// The columns it would like to have.
    pub fn natural(&self) -> u16 {
        match self {
            Self::Line(line) => line_width(line),
            Self::Tail(name) => width(&name.content),
            Self::Name(name, behind) => width(&name.content) + width(&behind.content),
            Self::News { words, values, .. } => {
                width(&words.content) + values.map_or(0, |_| u16::from(!words.content.is_empty()) + SPARK.0)
            }
            Self::Spark { .. } => 10,
        }
    }

    /// Draws it into `room` columns from (`x`, `y`).
    pub fn draw(&self, buffer: &mut Buffer, x: u16, y: u16, room: u16, right: bool) {
        match self {
            Self::Line(line) => draw_line(buffer, (x, y), room, line, right),
            Self::Tail(name) => {
                put(buffer, x, y, room, &cut_front(&name.content, room), name.style);
            }
            Self::Name(name, behind) => {
                let own = room.saturating_sub(width(&behind.content));
                let used = put(buffer, x, y, own, &cut_middle(&name.content, own), name.style);
                put(buffer, x + used, y, room - used, &behind.content, behind.style);
            }
            Self::News { words, values, style } => {
                let own = width(&words.content);
                let left = room.saturating_sub(own + 1);
                let length = if left >= SPARK.0 { left.min(SPARK.1) } else { room.min(SPARK.1) };
                let drawn = values.map_or(0, |values| {
                    draw_spark(buffer, (x + room - length, y), length, values, *style);
                    length
                });
                put(buffer, x, y, room - drawn, &words.content, words.style);
            }
            Self::Spark { values, style } => draw_spark(buffer, (x, y), room, values, *style),
        }
    }
}

fn draw_line(buffer: &mut Buffer, (x, y): (u16, u16), room: u16, line: &[Span<'_>], right: bool) {
    let indent = if right { room.saturating_sub(line_width(line)) } else { 0 };
    put_line(buffer, x + indent, y, room - indent, line);
}

/// The last minute in `room` cells: each shows the highest value of its share of the minute.
fn draw_spark(buffer: &mut Buffer, (x, y): (u16, u16), room: u16, values: &VecDeque<u64>, style: Style) {
    const SPAN: usize = brow_model::traffic::Traffic::SPAN;
    let cells = usize::from(room).min(SPAN);
    let Some(share) = SPAN.checked_div(cells).map(|least| least + usize::from(least * cells < SPAN)) else { return };
    let top = values.iter().copied().max().unwrap_or_default();
    if top == 0 {
        return;
    }
    let newest_first: Vec<u64> = values.iter().rev().copied().collect();
    for (column, chunk) in newest_first.chunks(share).enumerate().take(cells) {
        let value = chunk.iter().copied().max().unwrap_or_default();
        // Something is never drawn as nothing.
        let height = (value.saturating_mul(8) / top).clamp(u64::from(value > 0), 8);
        let column = u16::try_from(cells - 1 - column).unwrap_or_default();
        put(buffer, x + column, y, 1, VERTICAL_EIGHTHS[usize::try_from(height).unwrap_or_default()], style);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    fn drawn(cell: &Cell<'_>, room: u16, right: bool) -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, room, 1));
        cell.draw(&mut buffer, 0, 0, room, right);
        buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect()
    }

    #[test]
    fn words_stand_beside_the_last_minute_where_both_fit() {
        let values = VecDeque::from([8; 60]);
        let news = |values| Cell::News { words: Span::raw("live"), values, style: Style::new() };
        for (values, room, shown) in [
            (Some(&values), 14, "live █████████"),
            (Some(&values), 13, "live ████████"),
            (Some(&values), 10, "██████████"),
            (Some(&values), 3, "███"),
            (None, 10, "live      "),
            (None, 3, "li…"),
            (Some(&values), 0, ""),
        ] {
            assert_eq!(drawn(&news(values), room, false), shown, "{room}");
        }
    }

    #[test]
    fn a_minute_fits_any_width() {
        let values: VecDeque<u64> = (0..60).collect();
        let spark = Cell::Spark { values: &values, style: Style::new() };
        assert_eq!(drawn(&spark, 10, false), "▁▁▂▃▃▄▅▆▇█");
        assert_eq!(drawn(&spark, 60, false).chars().filter(|c| *c == '▇').count(), 7);
        assert_eq!(drawn(&spark, 0, false), "");
        let short = VecDeque::from([0, 8, 0, 1]);
        assert_eq!(drawn(&Cell::Spark { values: &short, style: Style::new() }, 60, false).trim(), "█ ▁");
        let idle = VecDeque::from([0; 60]);
        assert_eq!(drawn(&Cell::Spark { values: &idle, style: Style::new() }, 5, false), "     ");
    }

    #[test]
    fn names_that_begin_alike_are_told_apart() {
        let name = |text| Cell::Name(Span::raw(text), Span::raw(" *"));
        assert_eq!(drawn(&name("practice-viewer"), 17, false), "practice-viewer *");
        assert_eq!(drawn(&name("practice-viewer"), 12, false), "pr…-viewer *");
        assert_eq!(drawn(&name("practice-down"), 12, false), "pr…ce-down *");
        // A wide character is followed by an empty cell.
        assert_eq!(drawn(&name("上海-生产-集群"), 11, false), "上 …-集 群  * ");
        assert_eq!(drawn(&name("practice-viewer"), 5, false), "pr… *");
        assert_eq!(drawn(&name("practice-viewer"), 1, false), "…");
    }

    #[test]
    fn numbers_stand_on_the_right() {
        assert_eq!(drawn(&Cell::text("42", Style::new()), 5, true), "   42");
        assert_eq!(drawn(&Cell::text("1234567", Style::new()), 5, true), "1234…");
        assert_eq!(drawn(&Cell::empty(), 3, true), "   ");
    }
}
