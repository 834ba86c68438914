//! The description of a pod or another object.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::super::chrome;
use super::super::details::fault_lines;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::typeset::{Line, put_line, width, wrap};
use super::{large, page};
use brow_model::fault::Fault;

/// A description, once it has arrived or failed.
type Text<'a> = Option<Result<Vec<String>, &'a Fault>>;

pub(super) fn draw(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    state: &mut ViewState,
    area: Rect,
    (title, text, scroll): (&str, Text<'_>, usize),
) {
    let theme = scene.theme();
    let inner = chrome::dialog(frame, scene, large(area), title, theme.accent);
    state.set_page(inner.height);
    match text {
        None => {
            let waiting = [Span::styled(scene.get("dialog.loading"), theme.info)];
            put_line(frame.buffer_mut(), inner.x, inner.y, inner.width, &waiting);
        }
        Some(Err(fault)) => page(frame, scene, inner, &fault_lines(scene, fault, inner.width, inner.height), 0),
        Some(Ok(lines)) => text_in(frame, scene, state, inner, (&lines, scroll)),
    }
}

/// Draws a text from one of its lines on.
pub(super) fn text_in(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    state: &mut ViewState,
    inner: Rect,
    (text, scroll): (&[String], usize),
) {
    state.set_max_scroll(text.len());
    let (lines, first) = wrapped(scene, text, inner, scroll);
    page(frame, scene, inner, &lines, first);
}

/// The text wrapped, and which of the wrapped lines `scroll` (which counts lines as they came) is. Towards the end the
/// last line stands at the bottom, however many more lines the wrapping made.
fn wrapped<'a>(scene: Scene<'_>, text: &[String], inner: Rect, scroll: usize) -> (Vec<Line<'a>>, usize) {
    let mut lines: Vec<Line<'a>> = Vec::new();
    let mut first = 0;
    for (at, line) in text.iter().enumerate() {
        if at == scroll {
            first = lines.len();
        }
        let parts = if line.trim().is_empty() { vec![String::new()] } else { hung(line, inner.width) };
        lines.extend(parts.into_iter().map(|part| vec![Span::styled(part, scene.theme().text)]));
    }
    let tall = usize::from(inner.height);
    let last = lines.len().saturating_sub(tall);
    let first = if scroll + tall >= text.len() { last } else { first.min(last) };
    (lines, if scroll == 0 { 0 } else { first })
}

/// A line wrapped so that what follows stands under its text: two columns further in than it begins.
fn hung(line: &str, room: u16) -> Vec<String> {
    if width(line) <= room {
        return vec![line.to_owned()];
    }
    let text = line.trim_start();
    let lead = width(line).saturating_sub(width(text)).min(room / 2);
    let below = lead.saturating_add(2).min(room / 2);
    let indents = std::iter::once(lead).chain(std::iter::repeat(below));
    let parts = wrap(text, room.saturating_sub(below)).into_iter();
    parts.zip(indents).map(|(part, indent)| format!("{}{part}", " ".repeat(indent.into()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_hang() {
        for (line, room, shown) in [
            ("short", 10, &["short"][..]),
            ("  a: one two three four", 12, &["  a: one", "    two", "    three", "    four"]),
            ("  note: aaaaaaaaaaaaaaaa", 12, &["  note:", "    aaaaaaaa", "    aaaaaaaa"]),
            ("aaaaaaaaaaaaaa", 10, &["aaaaaaaa", "  aaaaaa"]),
        ] {
            assert_eq!(hung(line, room), shown, "{line}");
        }
    }
}
