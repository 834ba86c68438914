//! A question with buttons.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::Span;

use super::super::chrome;
use super::super::details::Line;
use super::super::ink::{put, put_line, width, wrap};
use super::super::{Scene, state::ViewState};
use super::middle;
use super::question::{Words, words};
use crate::model::dialog::Question;
use crate::view::state::Hit;

/// Columns of the question where there is room.
const WIDE: u16 = 66;
/// Columns between buttons.
const GAP: u16 = 2;

pub(super) fn draw(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    state: &mut ViewState,
    area: Rect,
    (question, button): (&Question, usize),
) {
    let theme = scene.theme();
    let words = words(scene, question);
    let wide = super::room(area, WIDE);
    let lines = place(&words.buttons, wide);
    let below = lines.last().map_or(0, |(line, _)| line + 1);
    // Frame, question and buttons first; what is left is for the things, which may be many.
    let ask = wrap(&words.ask, wide);
    let around = below + 4 + u16::try_from(ask.len()).unwrap_or(u16::MAX);
    let things = things(scene, &words, wide, area.height.saturating_sub(around));
    let tall = ask.len() + things.len() + 1;
    let outer = middle(area, wide, u16::try_from(tall).unwrap_or(u16::MAX).saturating_add(below));
    let edge = if words.grave { theme.bad } else { theme.accent };
    let inner = chrome::dialog(frame, scene, outer, &words.title, edge);
    let buttons_at = inner.bottom().saturating_sub(below).max(inner.y);
    let asked = ask.into_iter().map(|line| vec![Span::styled(line, theme.text)]);
    for (line, y) in asked.chain(things).zip(inner.y..buttons_at) {
        put_line(frame.buffer_mut(), inner.x, y, inner.width, &line);
    }
    for (at, ((line, x), label)) in lines.iter().zip(&words.buttons).enumerate() {
        let text = format!(" {label} ");
        let own = width(&text).min(inner.width.saturating_sub(*x));
        let spot = Rect { x: inner.x + x, y: buttons_at + line, width: own, height: 1 };
        if spot.y >= inner.bottom() {
            continue;
        }
        state.zone(spot, Hit::Item(at));
        let color = if at > 0 && words.grave { theme.bad } else { theme.accent };
        let pressed = color.add_modifier(Modifier::REVERSED | Modifier::BOLD);
        put(frame.buffer_mut(), spot.x, spot.y, own, &text, if at == button { pressed } else { theme.dim });
    }
}

/// The things a question is about, a bullet each; where there are more than fit, how many more.
fn things<'a>(scene: Scene<'_>, words: &Words, wide: u16, room: u16) -> Vec<Line<'a>> {
    let theme = scene.theme();
    let mut lines: Vec<Line<'a>> = Vec::new();
    for thing in &words.things {
        for (at, line) in wrap(thing, wide.saturating_sub(2)).into_iter().enumerate() {
            let bullet = if at == 0 { "· " } else { "  " };
            lines.push(vec![Span::styled(bullet, theme.faint), Span::styled(line, theme.dim)]);
        }
    }
    let room = usize::from(room);
    if lines.len() > room {
        let kept = room.saturating_sub(1);
        let hidden = (lines.len() - kept).to_string();
        lines.truncate(kept);
        lines.push(vec![Span::styled(scene.text().fill("view.more", &[("count", &hidden)]), theme.dim)]);
        lines.truncate(room);
    }
    lines
}

/// Where the buttons go: line and column of each, side by side as far as they fit.
fn place(buttons: &[String], wide: u16) -> Vec<(u16, u16)> {
    let (mut line, mut x) = (0, 0);
    let mut places = Vec::new();
    for label in buttons {
        let own = width(label) + 2;
        if x > 0 && x + own > wide {
            line += 1;
            x = 0;
        }
        places.push((line, x));
        x += own + GAP;
    }
    places
}
