//! The details of a row, and the pieces that rows of several kinds share.

use ratatui::style::Modifier;
use ratatui::text::Span;

use crate::view::scene::Scene;
use crate::view::typeset::Line;
use brow_model::fault::Fault;
use brow_model::health::{Health, Probe};

/// The details of one row.
#[derive(Default)]
pub(super) struct Facts<'a> {
    /// Its name and state.
    pub head: Line<'a>,
    /// Label and value, in order of weight.
    pub pairs: Vec<(&'a str, Span<'a>)>,
    /// The last minutes, if anything happened in them.
    pub trend: Line<'a>,
    /// The row's fault.
    pub fault: Option<&'a Fault>,
    /// The next step for the user.
    pub next: Option<String>,
}

/// A cluster and namespace, in the cluster's color.
pub(super) fn in_cluster<'a>(scene: Scene<'a>, cluster: &'a str, place: String) -> (&'a str, Span<'a>) {
    (scene.get("view.cluster"), Span::styled(place, scene.cluster(cluster, scene.theme().text).style))
}

pub(super) fn bold(scene: Scene<'_>, name: &'_ str) -> Span<'static> {
    Span::styled(name.to_owned(), scene.theme().text.add_modifier(Modifier::BOLD))
}

/// Returns the words of what a probe found.
pub(super) fn probed<'a>(scene: Scene<'a>, health: &Health, probe: Option<&Probe>) -> Span<'a> {
    let theme = scene.theme();
    let name = probe.map(|probe| format!("{probe} ")).unwrap_or_default();
    match (&health.down, health.latency) {
        (Some(fault), _) => Span::styled(scene.text().fault(fault).what, theme.bad),
        (None, Some(latency)) => Span::styled(format!("{name}{}", scene.text().rtt(latency)), theme.good),
        (None, None) => Span::styled(format!("{name}✓"), theme.good),
    }
}
