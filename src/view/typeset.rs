//! Text onto the screen: measured and cut in whole graphemes, so that no name can break a column or reach the
//! terminal as a control sequence.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use ratatui::buffer::{Buffer, CellWidth};
use ratatui::style::Style;
use ratatui::text::Span;
use unicode_segmentation::UnicodeSegmentation;

use brow_model::sanitize::is_unseen;

/// A line of styled words.
pub(super) type Line<'a> = Vec<Span<'a>>;

/// Marks the place where a text was cut.
const CUT: &str = "…";

/// Columns that a text takes.
pub(super) fn width(text: &str) -> u16 {
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return u16::try_from(text.len()).unwrap_or(u16::MAX);
    }
    graphemes(text).fold(0u16, |sum, (_, width)| sum.saturating_add(width))
}

/// Columns that a line takes.
pub(super) fn line_width(line: &[Span<'_>]) -> u16 {
    line.iter().fold(0u16, |sum, span| sum.saturating_add(width(&span.content)))
}

/// The graphemes that can be drawn, each with its columns.
pub(super) fn graphemes(text: &str) -> impl Iterator<Item = (&str, u16)> {
    text.graphemes(true)
        .map(|grapheme| if grapheme.contains(is_unseen) { instead_of(grapheme) } else { undisputed(grapheme) })
        .map(|grapheme| (grapheme, grapheme.cell_width()))
        .filter(|(_, width)| *width > 0)
}

/// Returns the replacement of a grapheme with invisible characters, so that names that differ do not look the same.
fn instead_of(grapheme: &str) -> &'static str {
    if grapheme.contains(char::is_whitespace) { " " } else { "\u{fffd}" }
}

/// The part of a grapheme whose columns all terminals agree about: some draw an emoji that is joined to others,
/// colored or turned into one as a single picture, others as several, and all behind it would stand somewhere else.
fn undisputed(grapheme: &str) -> &str {
    /// Zero width joiner, the variation selectors, the keycap, and the tags that make a flag.
    const JOINS: [RangeInclusive<char>; 4] =
        ['\u{200d}'..='\u{200d}', '\u{fe00}'..='\u{fe0f}', '\u{20e3}'..='\u{20e3}', '\u{e0020}'..='\u{e007f}'];
    const SKINS: RangeInclusive<char> = '\u{1f3fb}'..='\u{1f3ff}';
    const FLAGS: RangeInclusive<char> = '\u{1f1e6}'..='\u{1f1ff}';
    let ends = |(at, c): &(usize, char)| {
        *at > 0 && (JOINS.iter().any(|range| range.contains(c)) || SKINS.contains(c) || FLAGS.contains(c))
    };
    // Where letters are joined the joiner only chooses their shape.
    let emoji = |c: char| !c.is_alphabetic();
    match grapheme.char_indices().find(ends) {
        Some((at, _)) if grapheme.starts_with(emoji) => &grapheme[..at],
        Some(_) | None => grapheme,
    }
}

/// The text, or as much of its beginning as fits with a `…` behind it.
pub(super) fn cut(text: &str, room: u16) -> Cow<'_, str> {
    if width(text) <= room {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    let mut used = 1;
    for (grapheme, width) in graphemes(text) {
        used += width;
        if used > room {
            break;
        }
        kept.push_str(grapheme);
    }
    if room > 0 {
        kept.push_str(CUT);
    }
    Cow::Owned(kept)
}

/// The text, or as much of its end as fits with a `…` before it.
pub(super) fn cut_front(text: &str, room: u16) -> Cow<'_, str> {
    let mut over = width(text).saturating_sub(room);
    if over == 0 {
        return Cow::Borrowed(text);
    }
    // One more for the `…` itself.
    over += 1;
    let mut rest = graphemes(text);
    while over > 0 {
        let Some((_, own)) = rest.next() else { break };
        over = over.saturating_sub(own);
    }
    let kept: String = rest.map(|(grapheme, _)| grapheme).collect();
    Cow::Owned(format!("{CUT}{kept}"))
}

/// The text, or as much of its beginning and its end as fits with a `…` between: names of one house begin alike and
/// differ at their ends, and which house it is stands at the beginning.
pub(super) fn cut_middle(text: &str, room: u16) -> Cow<'_, str> {
    if width(text) <= room || room < 4 {
        return cut(text, room);
    }
    let begins = cut(text, room / 3);
    let begins = begins.strip_suffix(CUT).unwrap_or(&begins);
    Cow::Owned(format!("{begins}{}", cut_front(text, room - width(begins))))
}

/// Writes a text at (`x`, `y`), cut to `room` columns; returns the columns it took.
pub(super) fn put(buffer: &mut Buffer, x: u16, y: u16, room: u16, text: &str, style: Style) -> u16 {
    if y < buffer.area.top() || y >= buffer.area.bottom() || x < buffer.area.left() {
        return 0;
    }
    let room = room.min(buffer.area.right().saturating_sub(x));
    let mut used = 0;
    for (grapheme, width) in graphemes(&cut(text, room)) {
        if used + width > room {
            break;
        }
        buffer[(x + used, y)].set_symbol(grapheme).set_style(style);
        for next in 1..width {
            buffer[(x + used + next, y)].set_symbol(" ").set_style(style);
        }
        used += width;
    }
    used
}

/// Writes a line at (`x`, `y`), cut to `room` columns as a whole; returns the columns it took.
pub(super) fn put_line(buffer: &mut Buffer, x: u16, y: u16, room: u16, line: &[Span<'_>]) -> u16 {
    let mut used = 0;
    for (at, span) in line.iter().enumerate() {
        let left = room.saturating_sub(used);
        if left == 0 {
            break;
        }
        let own = width(&span.content);
        let more_follows = line[at + 1..].iter().any(|next| !next.content.is_empty());
        // The last column is kept for the `…` when what follows would not fit at all.
        if own == left && more_follows {
            let shorter = format!("{}{CUT}", span.content);
            return used + put(buffer, x + used, y, left, &shorter, span.style);
        }
        used += put(buffer, x.saturating_add(used), y, left, &span.content, span.style);
        if own > left {
            break;
        }
    }
    used
}

/// Breaks a text into lines of at most `room` columns, between words where it can. Line breaks in it are kept.
pub(super) fn wrap(text: &str, room: u16) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        wrap_paragraph(paragraph, room.max(1), &mut lines);
    }
    lines
}

/// A text in lines as wide as there is room, each behind a lead that only the first one shows.
pub(super) fn hanging<'a>(lead: Vec<Span<'a>>, text: &str, style: Style, room: u16) -> Vec<Line<'a>> {
    let own = line_width(&lead);
    let mut parts = wrap(text, room.saturating_sub(own).max(10));
    if parts.is_empty() {
        parts.push(String::new());
    }
    let mut lead = Some(lead);
    let indent = " ".repeat(own.into());
    let line = |part: String| {
        let mut line = lead.take().unwrap_or_else(|| vec![Span::raw(indent.clone())]);
        line.push(Span::styled(part, style));
        line
    };
    parts.into_iter().map(line).collect()
}

/// Splits a text into parts that are broken only if they are longer than a line: words between white space (a path, an
/// option), and single words of scripts without spaces.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let apart = |part: &str| {
        part.trim().is_empty() || part.chars().next().is_some_and(|c| width(c.encode_utf8(&mut [0; 4])) > 1)
    };
    let mut parts = text.split_word_bound_indices().peekable();
    // No line begins with what ends a sentence or a part of it.
    let closes = |part: &str| part.chars().all(|c| "。，、；：！？）」』》”’".contains(c));
    std::iter::from_fn(move || {
        let (start, first) = parts.next()?;
        let mut end = start + first.len();
        while let Some((_, next)) = parts.next_if(|(_, next)| closes(next) || (!apart(first) && !apart(next))) {
            end += next.len();
        }
        text.get(start..end)
    })
}

fn wrap_paragraph(text: &str, room: u16, lines: &mut Vec<String>) {
    let mut line = String::new();
    let mut used = 0;
    for word in words(text) {
        let own = width(word);
        if used + own > room && used > 0 {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            used = 0;
            if word.trim().is_empty() {
                continue;
            }
        }
        // A word that is wider than a line is broken wherever the line ends.
        for (grapheme, width) in graphemes(word) {
            if used + width > room && used > 0 {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push_str(grapheme);
            used += width;
        }
    }
    lines.push(line.trim_end().to_owned());
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    #[test]
    fn cuts_between_graphemes() {
        for (text, room, shown) in [
            ("mysql-dev", 9, "mysql-dev"),
            ("mysql-dev", 5, "mysq…"),
            ("数据库", 6, "数据库"),
            ("数据库", 5, "数据…"),
            ("数据库", 4, "数…"),
            ("👩‍👩‍👧 home", 4, "👩 …"),
            ("e\u{301}e\u{301}", 1, "…"),
            ("abc", 0, ""),
        ] {
            assert_eq!(cut(text, room), shown, "{text} {room}");
            assert!(width(&cut(text, room)) <= room);
        }
    }

    #[test]
    fn cuts_the_beginning_off() {
        for (text, room, shown) in [
            ("brow-db-x7f3", 12, "brow-db-x7f3"),
            ("brow-db-x7f3", 6, "…-x7f3"),
            ("数据库", 4, "…库"),
            ("数据库", 1, "…"),
        ] {
            assert_eq!(cut_front(text, room), shown, "{text} {room}");
        }
    }

    #[test]
    fn what_would_steer_the_terminal_is_not_drawn() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
        put(&mut buffer, 0, 0, 12, "a\u{1b}[31mb\u{202e}c\nd\u{9b}e", Style::new());
        let shown: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(shown, "a\u{fffd}[31mb\u{fffd}c d…");
    }

    #[test]
    fn lines_break_between_words() {
        for (text, room, lines) in [
            ("or start with --kubeconfig FILE.", 20, &["or start with", "--kubeconfig FILE."][..]),
            ("see /home/ada/.kube/config", 22, &["see", "/home/ada/.kube/config"]),
            ("目标是保存下来的去处。好", 20, &["目标是保存下来的去", "处。好"]),
            ("abcdef", 4, &["abcd", "ef"]),
            ("a  b", 2, &["a", "b"]),
            ("", 4, &[""]),
        ] {
            let wrapped: Vec<String> = text.split('\n').flat_map(|line| wrap(&format!("{line}\n"), room)).collect();
            assert_eq!(wrapped, lines, "{text}");
        }
    }

    #[test]
    fn what_terminals_disagree_about_is_not_drawn() {
        for (text, shown, columns) in [
            ("🤦🏼\u{200d}♂\u{fe0f}x", "🤦x", 3),
            ("👍🏽", "👍", 2),
            ("❤\u{fe0f}!", "❤!", 2),
            ("1\u{fe0f}\u{20e3}", "1", 1),
            ("🇩🇪", "🇩", 1),
            ("e\u{301}", "e\u{301}", 1),
            ("क्\u{200d}ष", "क्\u{200d}ष", width("क्\u{200d}ष")),
        ] {
            let drawn: String = graphemes(text).map(|(grapheme, _)| grapheme).collect();
            assert_eq!((drawn.as_str(), width(text)), (shown, columns), "{text}");
        }
    }

    #[test]
    fn lines_are_cut_as_a_whole() {
        let line = [Span::raw("abc"), Span::raw("数据"), Span::raw("z")];
        for (room, shown) in [(8, "abc数 据 z"), (7, "abc数 …"), (5, "abc…"), (3, "ab…"), (1, "…"), (0, "")]
        {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 9, 1));
            put_line(&mut buffer, 0, 0, room, &line);
            let text: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
            assert_eq!(text.trim_end(), shown, "{room}");
        }
    }

    #[test]
    fn wraps_between_words_and_breaks_long_ones() {
        assert_eq!(wrap("the quick brown fox", 9), ["the quick", "brown fox"]);
        assert_eq!(wrap("one\n\ntwo", 9), ["one", "", "two"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("数据库数据库", 4), ["数据", "库数", "据库"]);
        assert_eq!(wrap("x y", 0), ["x", "y"]);
        assert!(wrap("", 5).is_empty());
    }
}
