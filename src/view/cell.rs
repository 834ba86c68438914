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
    /// A countdown: a bar that is full at 1, and what is written at its end.
    Bar {
        /// From 0 to 1.
        part: f64,
        /// The bar's and the label's style.
        style: Style,
        /// The style of the bar's empty cells.
        track: Style,
        /// The symbol of the bar's empty cells.
        ground: &'static str,
        /// The time left.
        label: String,
    },
    /// A picture of words where a bar would be, and what is written at its end.
    Steps {
        /// The picture.
        line: Vec<Span<'a>>,
        /// The time it will have.
        label: Span<'a>,
    },
    /// Values over time, newest last.
    Spark {
        /// A value a second.
        values: &'a VecDeque<u64>,
        style: Style,
    },
}

/// Eighths of a cell, filled from the left.
const HORIZONTAL_EIGHTHS: [&str; 9] = [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];
/// Eighths of a cell, filled from below.
const VERTICAL_EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// Columns of the label beside a bar: `h:mm:ss`.
const LABEL_WIDTH: u16 = 7;
/// The least room in which a bar says something.
const MIN_BAR_WIDTH: u16 = 4;

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
            Self::Bar { label, .. } => 2 * MIN_BAR_WIDTH + 1 + width(label).max(LABEL_WIDTH),
            Self::Steps { line, label } => line_width(line) + 1 + width(&label.content).max(LABEL_WIDTH),
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
            Self::Bar { part, style, track, ground, label } => {
                let own = width(label).max(LABEL_WIDTH);
                let length = room.saturating_sub(own + 1);
                let bar = if length >= MIN_BAR_WIDTH { length } else { 0 };
                draw_bar(buffer, (x, y), bar, *part, (*style, *track, ground));
                let left = room - bar;
                let indent = left.saturating_sub(width(label));
                put(buffer, x + bar + indent, y, left - indent, label, *style);
            }
            Self::Steps { line, label } => {
                let used = put_line(buffer, x, y, room, line);
                // Where there is no room for both, how far it is says more than how long it will live.
                let own = width(&label.content);
                if used == 0 || own < room.saturating_sub(used) {
                    put_line(buffer, x + room.saturating_sub(own), y, own.min(room), std::slice::from_ref(label));
                }
            }
            Self::Spark { values, style } => draw_spark(buffer, (x, y), room, values, *style),
        }
    }
}

fn draw_line(buffer: &mut Buffer, (x, y): (u16, u16), room: u16, line: &[Span<'_>], right: bool) {
    let indent = if right { room.saturating_sub(line_width(line)) } else { 0 };
    put_line(buffer, x + indent, y, room - indent, line);
}

/// A bar of `length` cells of which `part` is filled, to an eighth of a cell; what is left of a time never shows as
/// nothing.
fn draw_bar(buffer: &mut Buffer, (x, y): (u16, u16), length: u16, part: f64, inputs: (Style, Style, &str)) {
    let (style, track, ground) = inputs;
    let eighths = f64::from(length) * 8.0 * part.clamp(0.0, 1.0);
    let mut eighths = if part > 0.0 { eighths.round().max(1.0) } else { 0.0 };
    // The track is a background where there are colors, so that a part-filled cell continues into it.
    let behind = track.fg.map_or(Style::new(), |color| Style::new().bg(color));
    for column in 0..length {
        let here = (0..=8usize).rev().find(|n| f64::from(u8::try_from(*n).unwrap_or_default()) <= eighths).unwrap_or(0);
        eighths = (eighths - 8.0).max(0.0);
        let (symbol, style) = if here == 0 { (ground, track) } else { (HORIZONTAL_EIGHTHS[here], style) };
        put(buffer, x + column, y, 1, symbol, style.patch(behind));
    }
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
    fn bars_run_down_by_eighths() {
        let bar =
            |part| Cell::Bar {
                part, style: Style::new(), track: Style::new(), ground: "·", label: "12:34".to_owned()
            };
        for (part, room, shown) in [
            (1.0, 18, "██████████   12:34"),
            (0.5, 18, "█████·····   12:34"),
            (0.54, 18, "█████▍····   12:34"),
            (0.001, 18, "▏·········   12:34"),
            (0.0, 18, "··········   12:34"),
            (2.0, 12, "████   12:34"),
            (1.0, 11, "      12:34"),
            (1.0, 4, "12:…"),
            (1.0, 0, ""),
        ] {
            assert_eq!(drawn(&bar(part), room, false), shown, "{part} {room}");
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
