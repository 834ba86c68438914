//! Targets: saved places, and whether each is live now.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::{Content, Scene, show};
use crate::view::cell::Cell;
use crate::view::columns::Column;
use crate::view::state::ViewState;
use brow_model::focus::Pane;
use brow_model::forward::{Forward, ForwardState};
use brow_model::list::TargetColumn;
use brow_model::proxy::{Phase, PodKey, PodSelector, ProxyPod};
use brow_model::target::Target;
use brow_model::workload::Destination;

/// In the order of [`TargetColumn::ALL`].
const fn columns_of(tags: u16) -> [Column; 7] {
    [
        Column::words(Column::ALWAYS, 9, 50),
        Column::words(3, 6, 40),
        Column::words(1, 9, 30),
        Column::words(5, 17, 60),
        Column::number(4, 5, 12),
        Column::words(2, 8, tags),
        Column::words(Column::ALWAYS, 10, 24),
    ]
}
const COLUMNS: [Column; 7] = columns_of(30);
/// The columns without tags, for lists in which no target has any.
const UNTAGGED_COLUMNS: [Column; 7] = columns_of(0);

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect) {
    let model = scene.model;
    let list = &model.screen.targets;
    let untagged = list.column != TargetColumn::Tags && model.targets.all().iter().all(|target| target.tags.is_empty());
    let content = Content {
        pane: Pane::Targets,
        list,
        heads: TargetColumn::ALL.iter().map(|column| scene.head(column.key())).collect(),
        columns_of: if untagged { &UNTAGGED_COLUMNS } else { &COLUMNS },
        sorted: TargetColumn::ALL.iter().position(|column| *column == list.column).unwrap_or_default(),
        aside: Vec::new(),
    };
    show(frame, scene, state, area, content, |name| Some(cells(scene, model.target(name)?)));
}

fn cells<'a>(scene: Scene<'a>, target: &'a Target) -> Vec<Cell<'a>> {
    let theme = scene.theme();
    let mut tags = Vec::new();
    for tag in &target.tags {
        tags.push(Span::styled(if tags.is_empty() { "#" } else { " #" }, theme.faint));
        tags.push(Span::styled(tag.as_str(), theme.dim));
    }
    vec![
        Cell::text(target.name.as_str(), theme.text),
        Cell::Name(Span::styled(target.cluster.as_str(), theme.dim), Span::raw("")),
        Cell::text(scene.model.namespace_of(target), theme.dim),
        Cell::text(target.address.to_string(), theme.text),
        Cell::Line(vec![port(scene, target)]),
        Cell::Line(tags),
        Cell::Line(vec![live(scene, target)]),
    ]
}

/// The local port: configured, or remembered, or any.
fn port<'a>(scene: Scene<'a>, target: &Target) -> Span<'a> {
    let theme = scene.theme();
    match (target.local_port, scene.model.port_of(target)) {
        (_, None) => Span::styled(scene.get("view.any-port"), theme.faint),
        (0, Some(remembered)) => Span::styled(remembered.to_string(), theme.dim),
        (_, Some(port)) => Span::styled(port.to_string(), theme.text),
    }
}

/// The state of a target's forward, else of its pod that is closest to ready, else of a requested pod.
fn live<'a>(scene: Scene<'a>, target: &'a Target) -> Span<'a> {
    let theme = scene.theme();
    if let Some(forward) = forward_of(scene, &target.name) {
        return Span::styled(scene.text().forward(forward, scene.model.now), super::forwards::style_of(scene, forward));
    }
    let elsewhere = |address: &Destination| scene.model.elsewhere(target, address);
    if let Some((_, other)) = (!scene.model.instances.forwards().is_empty())
        .then(|| target.address.singles())
        .and_then(|all| all.iter().find_map(elsewhere))
    {
        return Span::styled(scene.text().forward_state(other.forward.state.state()), theme.dim);
    }
    if let Some(pod) = pod_of(scene, target) {
        return Span::styled(scene.text().phase(pod.phase), super::pods::phase_style(scene, pod.phase));
    }
    if scene.model.pods.requests().values().any(|request| request.target == target.name) {
        return Span::styled(scene.text().phase(Phase::Creating), theme.info);
    }
    if scene.model.targets.refusal(&target.name).is_some() {
        return Span::styled(scene.text().phase(Phase::Failed), theme.bad);
    }
    Span::styled("–", theme.faint)
}

/// The forward to a target: one that is live before others.
pub(in crate::view) fn forward_of<'a>(scene: Scene<'a>, target: &'a str) -> Option<&'a Forward> {
    scene.model.forwards_of(target).min_by_key(|forward| forward.state() != ForwardState::Live)
}

/// Our own pod for a target that is the most use: ready before coming, and neither ended nor ending. Its pods lie side
/// by side in the map because their names begin with the target's label, or with one that it had under another name: no
/// need to go through all of them.
pub(in crate::view) fn pod_of<'a>(scene: Scene<'a>, target: &Target) -> Option<&'a ProxyPod> {
    let model = scene.model;
    let PodSelector { cluster, namespace, label } = model.selector_of(target);
    let pods = |label: &str| {
        let first = PodKey { cluster: cluster.clone(), namespace: namespace.clone(), name: format!("brow-{label}-") };
        let near = move |key: &PodKey| {
            key.cluster == first.cluster && key.namespace == first.namespace && key.name.starts_with(&first.name)
        };
        let from = PodKey { cluster: cluster.clone(), namespace: namespace.clone(), name: format!("brow-{label}-") };
        model.pods.all().range(from..).take_while(move |(key, _)| near(key)).map(|(_, pod)| pod)
    };
    let earlier = model.pods.renamed().iter().filter(|((at, _), name)| *at == cluster && **name == target.name);
    let labels = std::iter::once(&label).chain(earlier.map(|((_, label), _)| label));
    labels
        .flat_map(|label| pods(label))
        .filter(|pod| pod.target_label == label && model.is_ours(pod) && pod.phase <= Phase::Ready)
        .max_by_key(|pod| pod.phase)
}
