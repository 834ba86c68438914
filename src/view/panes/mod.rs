//! The four panes: a frame with counts, filter and marks around a table.

pub(super) mod clusters;
mod empty;
pub(super) mod forwards;
pub(super) mod gateways;
pub(super) mod pods;
mod rows;
pub(super) mod targets;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::scene::Scene;
use super::state::{Hit, ViewState};
use brow_model::focus::Pane;
pub(super) use rows::{Content, count, show};

/// Draws a pane; one that has a single line is only its title.
pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, pane: Pane, area: Rect) {
    if area.is_empty() {
        return;
    }
    state.add_area(area, Hit::Pane(pane));
    match pane {
        Pane::Clusters if area.height == 1 => clusters::line(frame, scene, area),
        Pane::Clusters => clusters::draw(frame, scene, state, area),
        Pane::Targets => targets::draw(frame, scene, state, area),
        Pane::Pods => pods::draw(frame, scene, state, area),
        Pane::Forwards => forwards::draw(frame, scene, state, area),
    }
}

/// Returns true if a filter stands on the pane's lower frame.
pub(super) fn is_filtered(scene: Scene<'_>, pane: Pane) -> bool {
    let screen = &scene.model.screen;
    let (filter, filtering) = match pane {
        Pane::Clusters => (&screen.clusters.filter, screen.clusters.filtering),
        Pane::Targets => (&screen.targets.filter, screen.targets.filtering),
        Pane::Pods => (&screen.pods.filter, screen.pods.filtering),
        Pane::Forwards => (&screen.forwards.filter, screen.forwards.filtering),
    };
    filtering || !filter.value().is_empty()
}
