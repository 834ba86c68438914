//! Frames: the border of a pane or dialog with its title, counts, marks and filter.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;
use ratatui::widgets::{Block, BorderType, Clear, Widget};
use tui_input::Input;

use super::scene::Scene;
use super::typeset::{line_width, put, put_line, width};

/// The contents of a pane's frame.
#[derive(Default)]
pub(super) struct Chrome<'a> {
    /// The key that leads here.
    pub number: Option<usize>,
    pub name: &'a str,
    /// True if the pane receives keys.
    pub focused: bool,
    /// The number of rows, formatted.
    pub count: String,
    /// More about the rows.
    pub aside: Vec<Span<'a>>,
    /// The order of the rows, where no column's head tells it.
    pub order: Option<&'a str>,
    /// The number of marked rows.
    pub marks: usize,
    /// The filter, where there is one.
    pub filter: Option<&'a Input>,
    /// True while the filter is being typed.
    pub filtering: bool,
}

/// Draws a pane's frame and returns the room in it; a single line is drawn as a title on a rule.
pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, area: Rect, chrome: &Chrome<'_>) -> Rect {
    let theme = scene.theme();
    let edge = if chrome.focused { theme.accent } else { theme.faint };
    let buffer = frame.buffer_mut();
    let inner = if area.height < 2 {
        put(buffer, area.x, area.y, area.width, &"─".repeat(area.width.into()), edge);
        Rect { height: 0, ..area }
    } else {
        let block = Block::bordered().border_type(border(scene, chrome.focused)).border_style(edge);
        let inner = block.inner(area);
        block.render(area, buffer);
        inner
    };
    let title = title(scene, chrome);
    let room = area.width.saturating_sub(4);
    let used = put_line(buffer, area.x + 2, area.y, room, &title);
    let aside = if chrome.marks > 0 {
        Some((format!(" ✓ {} ", chrome.marks), theme.mark))
    } else {
        chrome.order.filter(|_| area.height > 1).map(|order| (format!(" {order} "), theme.dim))
    };
    if let Some((text, style)) = aside {
        let own = width(&text);
        if own < room.saturating_sub(used) {
            put(buffer, area.right() - 2 - own, area.y, own, &text, style);
        }
    }
    if let Some(text) = chrome.filter {
        let last = Rect { y: area.bottom().saturating_sub(1), height: 1, ..area };
        filter(frame, scene, last, text, chrome.filtering);
    }
    inner
}

/// The number of rows below the last one that is shown, on the lower frame.
pub(super) fn below(frame: &mut Frame<'_>, scene: Scene<'_>, area: Rect, rows: usize) {
    let text = scene.text().fill("view.below", &[("count", &rows.to_string())]);
    let own = width(&text) + 2;
    if rows > 0 && area.height > 2 && own + 4 < area.width {
        let (x, y) = (area.right() - 2 - own, area.bottom() - 1);
        put(frame.buffer_mut(), x, y, own, &format!(" {text} "), scene.theme().dim);
    }
}

/// The key to teach, on the frame's last line, where it takes room from nothing.
pub(super) fn tip(frame: &mut Frame<'_>, scene: Scene<'_>, area: Rect) {
    let Some(tip) =
        scene.inputs.tip.filter(|_| area.height > 2 && !scene.has_dialog() && scene.model.screen.notice.is_none())
    else {
        return;
    };
    let (theme, room) = (scene.theme(), area.width.saturating_sub(4));
    let words =
        [Span::styled(format!(" {}", tip.keys), theme.accent), Span::styled(format!(" {} ", tip.label), theme.dim)];
    put_line(frame.buffer_mut(), area.x + 2, area.bottom() - 1, room, &words);
}

/// A dialog's frame over whatever is there, with a title; returns the room in it, a column free on each side.
pub(super) fn dialog(frame: &mut Frame<'_>, scene: Scene<'_>, area: Rect, name: &str, edge: Style) -> Rect {
    let buffer = frame.buffer_mut();
    // Half of a wide character would stand over the frame: the terminal draws both of its columns or none.
    if let Some(beside) = area.x.checked_sub(1) {
        for y in area.y..area.bottom() {
            if width(buffer[(beside, y)].symbol()) > 1 {
                buffer[(beside, y)].set_symbol(" ");
            }
        }
    }
    Clear.render(area, buffer);
    buffer.set_style(area, scene.theme().base);
    let block = Block::bordered().border_type(border(scene, true)).border_style(edge);
    let inner = block.inner(area);
    block.render(area, buffer);
    let title = format!(" {name} ");
    put(buffer, area.x + 2, area.y, area.width.saturating_sub(4), &title, edge.add_modifier(Modifier::BOLD));
    let side = u16::from(inner.width > 4);
    Rect { x: inner.x + side, width: inner.width - 2 * side, ..inner }
}

/// The border of a frame: thick for the focused one on terminals without colors.
fn border(scene: Scene<'_>, focused: bool) -> BorderType {
    if focused && !scene.theme().colored { BorderType::Thick } else { BorderType::Rounded }
}

fn title<'a>(scene: Scene<'a>, chrome: &Chrome<'a>) -> Vec<Span<'a>> {
    let theme = scene.theme();
    let (number, name) = if chrome.focused {
        (theme.accent, theme.accent.add_modifier(Modifier::BOLD))
    } else {
        (theme.dim, theme.text)
    };
    let mut title = vec![Span::raw(" ")];
    if let Some(digit) = chrome.number {
        title.push(Span::styled(format!("{digit} "), number));
    }
    title.push(Span::styled(chrome.name, name));
    if !chrome.count.is_empty() {
        title.push(Span::styled(format!(" {}", chrome.count), theme.dim));
    }
    title.extend(chrome.aside.iter().cloned());
    title.push(Span::raw(" "));
    title
}

/// The filter on the lower frame; the cursor is in it while it has the keys.
pub(super) fn filter(frame: &mut Frame<'_>, scene: Scene<'_>, line: Rect, text: &Input, active: bool) {
    let theme = scene.theme();
    let style = if active { theme.text } else { theme.dim };
    let lead = [Span::styled(" / ", theme.accent)];
    let most = line.width.saturating_sub(4 + line_width(&lead) + 1);
    let own = width(text.value()).saturating_add(1).min(most);
    let x = line.x + 2 + put_line(frame.buffer_mut(), line.x + 2, line.y, line.width.saturating_sub(4), &lead);
    let field = Rect { x, width: own, ..line };
    input(frame, field, text, style, active);
    put(frame.buffer_mut(), x.saturating_add(own), line.y, u16::from(most > 0), " ", style);
}

/// A text field one line tall, scrolled so that its cursor is visible, and the terminal's cursor in it if it has the
/// keys.
pub(super) fn input(frame: &mut Frame<'_>, area: Rect, field: &Input, style: Style, active: bool) {
    if area.is_empty() {
        return;
    }
    let buffer = frame.buffer_mut();
    let room = area.width;
    // Measured as it is drawn: what is drawn as nothing takes no column.
    let before = field.value().char_indices().nth(field.cursor()).map_or(field.value().len(), |(at, _)| at);
    let cursor = width(&field.value()[..before]);
    // One column is for the cursor behind the last character.
    let hidden = if active { cursor.saturating_sub(room.saturating_sub(1)) } else { 0 };
    let (mut skipped, mut used) = (0u16, 0u16);
    let mut shown = String::new();
    for (grapheme, own) in super::typeset::graphemes(field.value()) {
        if skipped < hidden {
            skipped += own;
        } else if used + own <= room {
            used += own;
            shown.push_str(grapheme);
        } else {
            break;
        }
    }
    put(buffer, area.x, area.y, room, &" ".repeat(room.into()), style);
    put(buffer, area.x, area.y, room, &shown, style);
    if active {
        let x = area.x + cursor.saturating_sub(skipped).min(room - 1);
        frame.set_cursor_position(Position::new(x, area.y));
    }
}
