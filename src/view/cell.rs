//! Cells of tables: text, countdown bars, steps and sparklines.

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::Span;

use super::typeset::{cut_front, cut_middle, line_width, put, put_line, width};
use brow_model::traffic::Series;

/// One cell of a table.
#[derive(Debug, Clone)]
pub(super) enum Cell<'a> {
    /// Words.
    Line(Vec<Span<'a>>),
    /// A name whose end tells more than its beginning.
    Tail(Span<'a>),
    /// A name whose beginning and end both tell something, between words that are never cut.
    Name { before: Span<'a>, name: Span<'a>, behind: Span<'a> },
    /// Words, and beside them the values of the last minute where both fit; else the values, if there are any.
    News { words: Span<'a>, values: Option<&'a Series>, style: Style },
    /// Values over time, newest last.
    Spark {
        /// A value a second.
        values: &'a Series,
        style: Style,
    },
}

/// Eighths of a cell, filled from below.
pub(super) const VERTICAL_EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// The least and the most columns of the last minute's values.
const SPARK: (u16, u16) = (8, 30);

impl<'a> Cell<'a> {
    pub fn text(text: impl Into<std::borrow::Cow<'a, str>>, style: Style) -> Self {
        Self::Line(vec![Span::styled(text, style)])
    }

    /// A name that is cut in the middle.
    pub fn name(name: Span<'a>) -> Self {
        Self::Name { before: Span::raw(""), name, behind: Span::raw("") }
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
            Self::Name { before, name, behind } => {
                width(&before.content) + width(&name.content) + width(&behind.content)
            }
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
            Self::Name { before, name, behind } => {
                let mut used = put(buffer, x, y, room, &before.content, before.style);
                let own = (room - used).saturating_sub(width(&behind.content));
                used += put(buffer, x + used, y, own, &cut_middle(&name.content, own), name.style);
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

/// The values of the last seconds in `cells` columns: each shows the highest value of its share of the time.
pub(super) fn spark(values: &Series, seconds: usize, cells: usize) -> String {
    let cells = cells.min(seconds);
    let Some(share) = seconds.checked_div(cells).map(|least| least + usize::from(least * cells < seconds)) else {
        return String::new();
    };
    let top = values.max(seconds);
    let mut shown = vec![VERTICAL_EIGHTHS[0]; cells];
    let newest_first: Vec<u64> = values.newest_first(seconds).collect();
    for (cell, chunk) in shown.iter_mut().rev().zip(newest_first.chunks(share)) {
        let value = chunk.iter().copied().max().unwrap_or_default();
        // Something is never drawn as nothing.
        let height = value.saturating_mul(8).checked_div(top).unwrap_or_default().clamp(u64::from(value > 0), 8);
        *cell = VERTICAL_EIGHTHS[usize::try_from(height).unwrap_or_default()];
    }
    shown.concat()
}

/// Draws the last minute into `room` columns, if anything happened in it.
fn draw_spark(buffer: &mut Buffer, (x, y): (u16, u16), room: u16, values: &Series, style: Style) {
    if values.max(Series::MINUTE) > 0 {
        put(buffer, x, y, room, &spark(values, Series::MINUTE, room.into()), style);
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
        let values = Series::from_iter([8; 60]);
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
        let values: Series = (0..60).collect();
        let spark = Cell::Spark { values: &values, style: Style::new() };
        assert_eq!(drawn(&spark, 10, false), "▁▁▂▃▃▄▅▆▇█");
        assert_eq!(drawn(&spark, 60, false).chars().filter(|c| *c == '▇').count(), 7);
        assert_eq!(drawn(&spark, 0, false), "");
        let short = Series::from_iter([0, 8, 0, 1]);
        assert_eq!(drawn(&Cell::Spark { values: &short, style: Style::new() }, 60, false).trim(), "█ ▁");
        let idle = Series::from_iter([0; 60]);
        assert_eq!(drawn(&Cell::Spark { values: &idle, style: Style::new() }, 5, false), "     ");
    }

    #[test]
    fn minutes_show_what_the_last_one_does_not() {
        let values: Series = [9].into_iter().chain([0; 200]).chain([3; 60]).collect();
        assert_eq!(spark(&values, 300, 10), " █      ▂▂");
        assert_eq!(spark(&values, 60, 5), "█████");
        assert_eq!((spark(&values, 300, 0), spark(&Series::default(), 300, 3)), (String::new(), "   ".to_owned()));
    }

    #[test]
    fn names_that_begin_alike_are_told_apart() {
        let name = |text| Cell::Name { before: Span::raw(""), name: Span::raw(text), behind: Span::raw(" *") };
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
