//! Clusters: one row per kubeconfig context.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{Content, Scene, show};
use crate::view::cell::Cell;
use crate::view::columns::Column;
use crate::view::state::ViewState;
use crate::view::table::GUTTER;
use crate::view::typeset::width;
use brow_model::cluster::{Cluster, Link};
use brow_model::focus::Pane;
use brow_model::list::ClusterColumn;
use brow_model::proxy::PodKey;

/// In the order of [`ClusterColumn::ALL`].
const fn columns_of(name: u16) -> [Column; 6] {
    [
        Column::words(Column::ALWAYS, name, 60),
        Column::words(1, 7, 18),
        // The longest state in full: cut, they are told apart no longer.
        Column::words(Column::ALWAYS, 20, 20),
        Column::number(2, 5, 8),
        Column::number(4, 4, 6),
        Column::number(3, 4, 10),
    ]
}
const COLUMNS: [Column; 6] = columns_of(16);
/// Beside a state in full there is little room for a name.
const NARROW_COLUMNS: [Column; 6] = columns_of(9);
/// From this width on a name goes before how fast the cluster answers.
const MIN_WIDE: u16 = 50;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect) {
    let model = scene.model;
    let list = &model.screen.clusters;
    let content = Content {
        pane: Pane::Clusters,
        list,
        heads: ClusterColumn::ALL.iter().map(|column| scene.head(column.key())).collect(),
        columns_of: if area.width < MIN_WIDE { &NARROW_COLUMNS } else { &COLUMNS },
        sorted: ClusterColumn::ALL.iter().position(|column| *column == list.column).unwrap_or_default(),
        aside: Vec::new(),
    };
    show(frame, scene, state, area, content, |name| Some(cells(scene, model.cluster(name)?)));
}

/// The width at which nothing in the pane has to be cut.
pub(in crate::view) fn wish(scene: Scene<'_>) -> u16 {
    let widest = |of: fn(&Cluster) -> u16| scene.model.clusters.all().iter().map(of).max().unwrap_or_default();
    let names = widest(|cluster| width(&cluster.name) + if cluster.current { 2 } else { 0 });
    let versions = widest(|cluster| cluster.version.as_deref().map_or(0, width)).clamp(7, COLUMNS[1].most);
    // The other columns, their gaps and the frame.
    names.saturating_add(GUTTER + 2 + versions + 14 + 6 + 4 + 8 + 5 * 2)
}

fn cells<'a>(scene: Scene<'a>, cluster: &'a Cluster) -> Vec<Cell<'a>> {
    let theme = scene.theme();
    let model = scene.model;
    let forwards =
        model.forwards.all().values().filter(|forward| forward.spec.selector.cluster == cluster.name).count();
    let name = if cluster.link == Link::Idle { theme.dim } else { theme.text };
    let current = if cluster.current { " *" } else { "" };
    let called = Cell::Name(Span::styled(cluster.name.as_str(), name), Span::styled(current, theme.dim));
    vec![
        called,
        Cell::text(cluster.version.as_deref().unwrap_or_default(), theme.dim),
        Cell::text(scene.text().link(cluster.link), link_style(scene, cluster.link)),
        Cell::text(cluster.rtt.map(|rtt| scene.text().rtt(rtt)).unwrap_or_default(), theme.dim),
        number(scene, pods(scene, &cluster.name), cluster.link),
        number(scene, forwards, cluster.link),
    ]
}

/// Counts a cluster's pods, which are adjacent in the map.
fn pods(scene: Scene<'_>, cluster: &str) -> usize {
    let first = PodKey { cluster: cluster.to_owned(), namespace: String::new(), name: String::new() };
    scene.model.pods.all().range(first..).take_while(|(key, _)| key.cluster == cluster).count()
}

/// A zero stands back; of a cluster that nobody asked nothing is known.
fn number(scene: Scene<'_>, count: usize, link: Link) -> Cell<'static> {
    let theme = scene.theme();
    match count {
        0 if link == Link::Idle => Cell::empty(),
        0 => Cell::text("0", theme.faint),
        _ => Cell::text(count.to_string(), theme.text),
    }
}

/// The color of a cluster's state.
pub(in crate::view) fn link_style(scene: Scene<'_>, link: Link) -> Style {
    let theme = scene.theme();
    match link {
        Link::Idle => theme.dim,
        Link::Connecting => theme.info,
        Link::Ready => theme.good,
        Link::Unauthorized | Link::Forbidden => theme.warn,
        Link::Unreachable => theme.bad,
    }
}
