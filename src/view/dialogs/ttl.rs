//! A TTL for pods that are about to be created.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::{Scene, state::ViewState};
use super::field::{Row, ask};
use brow_model::dialog::Field;

pub(super) fn draw(
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
