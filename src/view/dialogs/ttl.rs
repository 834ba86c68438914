//! A TTL for pods that are about to be created.

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
    (targets, field): (&[String], &Field),
) {
    let label = scene.get(&format!("form.{}", FormField::Ttl.key()));
    let hint = scene.get(&format!("form-hint.{}", FormField::Ttl.key()));
    let lead = scene.text().fill("view.ttl-lead", &[("targets", &targets.join(", "))]);
    let row = Row { label: (label, width(label)), field, hint, active: true };
    ask(frame, scene, state, area, (scene.get("view.ttl-ask"), &lead), &row);
}
