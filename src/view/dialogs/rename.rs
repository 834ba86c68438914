//! A new name for a target.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::ink::width;
use super::super::{Scene, state::ViewState};
use super::field::{Row, ask};
use crate::model::dialog::{Field, FormField};

pub(super) fn draw(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    state: &mut ViewState,
    area: Rect,
    (name, field): (&str, &Field),
) {
    let label = scene.get(&format!("form.{}", FormField::Name.key()));
    let hint = scene.get(&format!("form-hint.{}", FormField::Name.key()));
    let lead = scene.text().fill("view.rename-lead", &[("name", name)]);
    let row = Row { label: (label, width(label)), field, hint, active: true };
    ask(frame, scene, state, area, (scene.get("view.rename"), &lead), &row);
}
