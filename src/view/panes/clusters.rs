//! Clusters: one row per kubeconfig context.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{Content, show};
use crate::view::cell::Cell;
use crate::view::columns::Column;
use crate::view::scene::Scene;
use crate::view::state::ViewState;
use crate::view::table::GUTTER;
use crate::view::typeset::{line_width, put_line, width};
use brow_model::attention::Attention;
use brow_model::cluster::{Cluster, Link};
use brow_model::focus::Pane;
use brow_model::forward::ForwardState;
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
const COLUMNS: [Column; 6] = columns_of(40);
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
        // By name they keep the kubeconfig's order, which is no sorting, unless it is turned round.
        sorted: match list.column {
            ClusterColumn::Name if !list.descending => COLUMNS.len(),
            sorted => ClusterColumn::ALL.iter().position(|column| *column == sorted).unwrap_or_default(),
        },
        aside: Vec::new(),
    };
    show(frame, scene, state, area, content, |name| Some((None, cells(scene, model.cluster(name)?))));
}

/// Draws the clusters in use and how many forwards stand how, on one line.
pub(in crate::view) fn line(frame: &mut Frame<'_>, scene: Scene<'_>, area: Rect) {
    let theme = scene.theme();
    let counts = counts(scene);
    let own = line_width(&counts);
    let mut line = vec![Span::styled("1 ", theme.dim)];
    let all = &scene.model.clusters.all();
    let mut shown: Vec<&Cluster> = all.iter().filter(|cluster| cluster.link != Link::Idle).collect();
    if shown.is_empty() {
        shown.extend(all.iter().find(|cluster| cluster.current).or(all.first()));
    }
    // Those that cannot be used come first: what does not fit is counted only.
    shown.sort_by_key(|cluster| matches!(cluster.link, Link::Ready | Link::Connecting));
    let room = area.width.saturating_sub(2 + own + if own > 0 { 2 } else { 0 });
    if let Some(fault) = scene.model.clusters.fault().filter(|_| all.is_empty()) {
        line.push(Span::styled(scene.text().fault(fault).what, theme.bad));
    }
    let more = |count: usize| scene.text().fill("view.more", &[("count", &count.to_string())]);
    let mut left = all.len();
    for cluster in &shown {
        let (symbol, words) = scene.text().link(cluster.link).split_once(' ').unwrap_or_default();
        let style = link_style(scene, cluster.link);
        let says = match cluster.rtt.filter(|_| cluster.link == Link::Ready) {
            Some(rtt) => Span::styled(format!(" {}", scene.text().rtt(rtt)), theme.dim),
            None => Span::styled(format!(" {words}"), style),
        };
        let name = scene.cluster(&cluster.name, theme.text);
        let whole = [Span::styled(symbol, style), Span::raw(" "), name, says, Span::raw("  ")];
        // Where it is not the last one, there must be room to say how many more there are.
        let rest = if left > 1 { width(&more(left - 1)) } else { 0 };
        if line_width(&line) + line_width(&whole) + rest <= room {
            line.extend(whole);
            left -= 1;
        }
    }
    if left > 0 && !all.is_empty() {
        line.push(Span::styled(more(left), theme.dim));
    }
    let buffer = frame.buffer_mut();
    put_line(buffer, area.x + 1, area.y, room, &line);
    put_line(buffer, (area.right() - 1).saturating_sub(own), area.y, own, &counts);
}

/// The number of live, ending and failed forwards.
fn counts(scene: Scene<'_>) -> Vec<Span<'_>> {
    let (theme, model) = (scene.theme(), scene.model);
    let mut counts = [0usize; 3];
    for forward in model.forwards.all().values() {
        match model.attention_of_forward(forward) {
            Attention::Failed | Attention::Down => counts[2] += 1,
            Attention::Ending(_) => counts[1] += 1,
            _ if forward.state() == ForwardState::Live => counts[0] += 1,
            Attention::Active | Attention::Listening | Attention::Idle | Attention::Foreign => {}
        }
    }
    let kinds = [("view.live-count", theme.good), ("view.ending-count", theme.warn), ("view.failed-count", theme.bad)];
    let mut line = Vec::new();
    for (count, (key, style)) in counts.into_iter().zip(kinds).filter(|(count, _)| *count > 0) {
        if !line.is_empty() {
            line.push(Span::styled(" · ", theme.faint));
        }
        line.push(Span::styled(scene.text().fill(key, &[("count", &count.to_string())]), style));
    }
    line
}

/// The width at which nothing in the pane has to be cut.
pub(in crate::view) fn natural_width(scene: Scene<'_>) -> u16 {
    let all = scene.model.clusters.all().iter();
    let name = |at: &Cluster| width(scene.model.cluster_name(&at.name)) + width(&mark(at));
    let names = all.clone().map(name).max().unwrap_or_default();
    let versions = all.map(|at| at.version.as_deref().map_or(0, width)).max().unwrap_or_default();
    let versions = versions.clamp(7, COLUMNS[1].most);
    // The other columns, their gaps and the frame.
    names.saturating_add(GUTTER + 2 + versions + 14 + 6 + 4 + 8 + 5 * 2)
}

fn cells<'a>(scene: Scene<'a>, cluster: &'a Cluster) -> Vec<Cell<'a>> {
    let theme = scene.theme();
    let model = scene.model;
    let forwards =
        model.forwards.all().values().filter(|forward| forward.spec.selector.cluster == cluster.name).count();
    let name = if cluster.link == Link::Idle { theme.dim } else { theme.text };
    let called = Cell::Name {
        before: Span::raw(""),
        name: scene.cluster(&cluster.name, name),
        behind: Span::styled(mark(cluster), theme.dim),
    };
    vec![
        called,
        Cell::text(cluster.version.as_deref().unwrap_or_default(), theme.dim),
        Cell::text(scene.text().link(cluster.link), link_style(scene, cluster.link)),
        Cell::text(cluster.rtt.map(|rtt| scene.text().rtt(rtt)).unwrap_or_default(), theme.dim),
        number(scene, pods(scene, &cluster.name), cluster.link),
        number(scene, forwards, cluster.link),
    ]
}

/// Marks the current context, and a local cluster with the program that made it.
fn mark(cluster: &Cluster) -> String {
    let current = if cluster.current { " *" } else { "" };
    cluster.local().map_or_else(|| current.to_owned(), |kind| format!("{current} {}", kind.name()))
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
