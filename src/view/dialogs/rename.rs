//! A new name for a target.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::{Scene, state::ViewState};
use super::field::{Row, ask};
use brow_model::dialog::Field;
use brow_model::form::FormField;

pub(super) fn draw(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    state: &mut ViewState,
    area: Rect,
    (name, field): (&str, &Field),
) {
    let label = scene.get("dialog.rename-label");
    let hint = scene.get(&format!("form-hint.{}", FormField::Name.key()));
    let row = Row::alone(label, field, hint);
    ask(frame, scene, state, area, &scene.text().fill("dialog.rename", &[("name", name)]), &row);
}
