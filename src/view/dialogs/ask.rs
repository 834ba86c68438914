//! Dialogs that ask for one text: a new name, a TTL, the source of an import.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::typeset::{put_line, width};
use super::field::Row;
use super::middle;
use crate::view::state::Hit;
use brow_model::field::TargetField;
use brow_model::text_field::Field;

/// Asks for a new name for a target.
pub(super) fn rename(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    state: &mut ViewState,
    area: Rect,
    (name, field): (&str, &Field),
) {
    let label = scene.get("dialog.rename-label");
    let hint = scene.get(&format!("form-hint.{}", TargetField::Name.key()));
    let row = Row::alone(label, field, hint);
    ask(frame, scene, state, area, &scene.text().fill("dialog.rename", &[("name", name)]), &row);
}

/// Asks for the TTL of pods that are about to be created.
pub(super) fn ttl(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    state: &mut ViewState,
    area: Rect,
    (targets, field): (&[String], &Field),
) {
    let label = scene.get("dialog.ask-ttl-label");
    let hint = scene.get("dialog.ask-ttl-hint");
    let count = targets.len().to_string();
    let title = scene.text().fill("dialog.ask-ttl", &[("names", &targets.join(", ")), ("count", &count)]);
    let row = Row::alone(label, field, hint);
    ask(frame, scene, state, area, &title, &row);
}

/// Asks for the file to import targets from, unless their text was pasted.
pub(super) fn import(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    state: &mut ViewState,
    area: Rect,
    (cluster, field, pasted): (&str, &Field, Option<&str>),
) {
    let label = scene.get("dialog.import-label");
    let mut hint = match pasted {
        Some(text) => {
            let lines = text.trim().lines().count().to_string();
            scene.text().fill("dialog.import-pasted", &[("count", &lines)])
        }
        None => scene.get("dialog.import-hint").to_owned(),
    };
    if !cluster.is_empty() {
        hint = format!("{hint}\n{}", scene.text().fill("dialog.import-context", &[("name", cluster)]));
    }
    let row = Row::alone(label, field, &hint);
    ask(frame, scene, state, area, scene.get("dialog.import"), &row);
}

/// Draws a dialog with one text field. Its message is below the field, where there is room for a long sentence.
fn ask(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, title: &str, row: &Row<'_>) {
    const WIDTH: u16 = 64;
    const MAX_WIDTH: u16 = 71;
    let wide = super::room(area, WIDTH.max(width(title).saturating_add(2)).min(MAX_WIDTH));
    let below = row.below(scene, wide);
    // A line free above and below the field, and always room for two lines of message, so that the box keeps still.
    let airy = u16::from(area.height >= 8);
    let tall = 1 + 2 * airy + u16::try_from(below.len().max(2)).unwrap_or(u16::MAX);
    let inner = chrome::dialog(frame, scene, middle(area, wide, tall), title, scene.theme().accent);
    let y = inner.y + airy;
    if y < inner.bottom() {
        let line = Rect { y, height: 1, ..inner };
        state.add_area(line, Hit::Item(0));
        row.draw(frame, scene, line);
    }
    for (line, y) in below.iter().zip(y + 1 + airy..inner.bottom()) {
        put_line(frame.buffer_mut(), inner.x + 2, y, inner.width.saturating_sub(2), std::slice::from_ref(line));
    }
}
