//! A question with buttons.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::typeset::{put, width, wrap};
use super::middle;
use crate::view::state::Hit;
use brow_model::dialog::Question;

/// Columns of the question where there is room.
const WIDTH: u16 = 66;
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
    let words = scene.text().question(question);
    let wide = super::room(area, WIDTH.max(width(&words.title).saturating_add(2)));
    let places = place(&words.buttons, wide);
    let below = places.last().map_or(0, |(line, _)| line + 1);
    // Frame and buttons first; what is left is for what is said, which may be long.
    let room = usize::from(area.height.saturating_sub(below + 3));
    let mut says = wrap(&words.says, wide);
    if says.len() > room {
        says.truncate(room);
        if let Some(last) = says.last_mut() {
            "…".clone_into(last);
        }
    }
    let tall = u16::try_from(says.len()).unwrap_or(u16::MAX).saturating_add(1 + below);
    let edge = if grave(question) { theme.bad } else { theme.accent };
    let inner = chrome::dialog(frame, scene, middle(area, wide, tall), &words.title, edge);
    let buttons_at = inner.bottom().saturating_sub(below).max(inner.y);
    for (line, y) in says.iter().zip(inner.y..buttons_at) {
        put(frame.buffer_mut(), inner.x, y, inner.width, line, theme.text);
    }
    // The buttons of a question that came unasked appear once it can be answered.
    let takes_answer = match question {
        Question::Agent(approval) => scene.model.takes_answer(approval),
        _ => true,
    };
    for (at, ((line, x), label)) in places.iter().zip(&words.buttons).enumerate() {
        let text = if at == button { format!("▸{label} ") } else { format!(" {label} ") };
        let own = width(&text).min(inner.width.saturating_sub(*x));
        let spot = Rect { x: inner.x + x, y: buttons_at + line, width: own, height: 1 };
        if spot.y >= inner.bottom() || !takes_answer {
            continue;
        }
        state.add_area(spot, Hit::Item(at));
        let color = if at > 0 && grave(question) { theme.bad } else { theme.accent };
        let pressed = color.add_modifier(Modifier::REVERSED | Modifier::BOLD);
        put(frame.buffer_mut(), spot.x, spot.y, own, &text, if at == button { pressed } else { theme.text });
    }
}

/// Returns true if the action cannot be undone.
fn grave(question: &Question) -> bool {
    match question {
        Question::KillPods(_)
        | Question::DeleteGateways(_)
        | Question::KillForeign { .. }
        | Question::CleanAll { .. }
        | Question::DeleteObject { .. } => true,
        Question::Agent(approval) => approval.production,
        Question::DeleteTargets(_)
        | Question::Quit { .. }
        | Question::OtherPort { .. }
        | Question::Restore(_)
        | Question::Import { .. }
        | Question::ImportOffers { .. } => false,
    }
}

/// Computes the line and column of each button, side by side as far as they fit.
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
