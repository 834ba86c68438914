//! The dialog that asks for the file or text to import targets from.

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
