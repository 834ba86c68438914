//! The welcome of the first run, in place of the panes: the contexts with what one may do there, and the ways on.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::cell::Cell;
use super::chrome::{self, Chrome};
use super::columns::Column;
use super::details::fault_lines;
use super::panes::clusters::link_style;
use super::panes::{Content, show};
use super::scene::Scene;
use super::state::ViewState;
use super::typeset::{put_line, width, wrap};
use crate::text::Hint;
use brow_model::cluster::{Cluster, Link, Right, Rights};
use brow_model::focus::Pane;

/// Name, namespace and state; then the rights, as [`Right::ALL`].
const COLUMNS: [Column; 6] = [
    Column::words(Column::ALWAYS, 40, 60),
    Column::words(1, 7, 30).spare(),
    // Below the contexts it says what is wrong with the chosen one.
    Column::words(2, 14, 20),
    // Without the last nothing works at all.
    Column::words(3, 12, 12),
    Column::words(4, 12, 12),
    Column::words(5, 12, 12),
];
const HEADS: [&str; 6] =
    ["column.name", "column.namespace", "column.state", "column.may-list", "column.may-create", "column.may-forward"];
/// Lines that the text below the contexts needs, beside one for each way on: what this is about, what is to be known of
/// the context, the frame, and a line between the parts.
const TEXT_LINES: u16 = 10;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect) {
    let rows = u16::try_from(scene.model.screen.clusters.total()).unwrap_or(u16::MAX);
    // Frame, heads and rows; without rows the pane says why, which takes some lines.
    let natural_height = if rows == 0 { 8 } else { rows.saturating_add(3) };
    let ways = u16::try_from(scene.inputs.welcome.len()).unwrap_or(u16::MAX);
    let tall = natural_height
        .min(area.height.saturating_sub(ways.saturating_add(TEXT_LINES)))
        .clamp(area.height.min(5), area.height);
    // Where no text fits below there is nothing below.
    let tall = if area.height - tall < 3 { area.height } else { tall };
    contexts(frame, scene, state, Rect { height: tall, ..area });
    let below = Rect { y: area.y + tall, height: area.height - tall, ..area };
    if below.height < 3 {
        return;
    }
    let name = Chrome { name: scene.get("welcome.title"), ..Chrome::default() };
    let inner = chrome::draw(frame, scene, below, &name);
    let side = u16::from(inner.width > 2);
    let inner = Rect { x: inner.x + side, width: inner.width - 2 * side, ..inner };
    for (line, y) in lines(scene, inner.width, inner.height.into()).iter().zip(inner.y..inner.bottom()) {
        put_line(frame.buffer_mut(), inner.x, y, inner.width, line);
    }
}

fn contexts(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect) {
    let content = Content {
        pane: Pane::Clusters,
        list: &scene.model.screen.clusters,
        heads: HEADS.iter().map(|key| scene.get(key)).collect(),
        columns_of: &COLUMNS,
        sorted: 0,
        aside: Vec::new(),
    };
    show(frame, scene, state, area, content, |name| Some((None, cells(scene, scene.model.cluster(name)?))));
}

fn cells<'a>(scene: Scene<'a>, cluster: &'a Cluster) -> Vec<Cell<'a>> {
    let theme = scene.theme();
    let current = if cluster.current { " *" } else { "" };
    let called = Cell::Name {
        before: Span::raw(""),
        name: Span::styled(cluster.name.as_str(), theme.text),
        behind: Span::styled(current, theme.dim),
    };
    let mut cells = vec![
        called,
        Cell::text(cluster.namespace.as_str(), theme.dim),
        Cell::text(scene.text().link(cluster.link), link_style(scene, cluster.link)),
    ];
    cells.extend((0..Right::ALL.len()).map(|at| {
        let (key, style) = match &cluster.rights {
            Rights::NotAsked => ("welcome.not-asked", theme.faint),
            Rights::Asking => ("welcome.asking", theme.info),
            Rights::Known(may) if may[at] => ("welcome.may", theme.good),
            Rights::Known(_) => ("welcome.may-not", theme.bad),
            Rights::Failed(_) => ("welcome.unknown", theme.warn),
        };
        Cell::text(scene.get(key), style)
    }));
    cells
}

type Line<'a> = Vec<Span<'a>>;

/// The text below the contexts. If room is short, the keys have precedence over the introduction.
fn lines(scene: Scene<'_>, room: u16, tall: usize) -> Vec<Line<'_>> {
    let theme = scene.theme();
    let set = |text: &str, style: Style| -> Vec<Line<'_>> {
        wrap(text, room).into_iter().map(|line| vec![Span::styled(line, style)]).collect()
    };
    let mut ways = ways(scene);
    ways.extend(set(scene.get("welcome.practice"), theme.dim));
    let selected = scene.model.screen.clusters.selected().and_then(|name| scene.model.cluster(name));
    let mut about = selected.map(|cluster| about(scene, cluster, room, set)).unwrap_or_default();
    about.truncate(tall.saturating_sub(ways.len()));
    // Whole sentences only.
    let mut intro: Vec<Line<'_>> = Vec::new();
    for sentence in ["view.empty-targets", "welcome.intro"].map(|key| set(scene.get(key), theme.text)) {
        if ways.len() + about.len() + intro.len() + sentence.len() <= tall {
            intro.extend(sentence);
        }
    }
    // Lines that are left over stand between the parts, and then for what is of use to few.
    let mut spare = tall.saturating_sub(ways.len() + about.len() + intro.len());
    let older = set(scene.get("welcome.older"), theme.dim);
    if spare >= older.len() + 2 {
        spare -= older.len();
        ways.extend(older);
    }
    let mut all: Vec<Line<'_>> = Vec::new();
    for part in [intro, about, ways] {
        if !all.is_empty() && !part.is_empty() && spare > 0 {
            spare -= 1;
            all.push(Vec::new());
        }
        all.extend(part);
    }
    all
}

/// Describes the rights in the selected context, and the next step for the user.
fn about<'a>(
    scene: Scene<'a>,
    cluster: &'a Cluster,
    room: u16,
    set: impl Fn(&str, Style) -> Vec<Line<'a>>,
) -> Vec<Line<'a>> {
    /// Lines for what is wrong.
    const MAX_FAULT_LINES: u16 = 4;
    let theme = scene.theme();
    let names = [("context", cluster.name.as_str()), ("namespace", cluster.namespace.as_str())];
    let say = |key: &str, style| set(&scene.text().fill(key, &names), style);
    if let Some(fault) = &cluster.fault {
        return fault_lines(scene, fault, room, MAX_FAULT_LINES).into_iter().take(MAX_FAULT_LINES.into()).collect();
    }
    match (&cluster.rights, cluster.link) {
        (Rights::Failed(fault), _) => {
            fault_lines(scene, fault, room, MAX_FAULT_LINES).into_iter().take(MAX_FAULT_LINES.into()).collect()
        }
        (_, Link::Idle) => say("welcome.choose", theme.dim),
        (Rights::NotAsked | Rights::Asking, _) => say("welcome.asks", theme.info),
        (Rights::Known([true, true, true]), _) => say("welcome.all", theme.good),
        (Rights::Known([_, _, false]), _) => say("welcome.no-forward", theme.warn),
        (Rights::Known([false, _, true]), _) => say("welcome.no-list", theme.warn),
        (Rights::Known([true, false, true]), _) => say("welcome.no-create", theme.warn),
    }
}

/// The keys of the next steps, one a line.
fn ways(scene: Scene<'_>) -> Vec<Line<'_>> {
    let widest = scene.inputs.welcome.iter().map(|hint| width(&hint.keys)).max().unwrap_or_default();
    let line = |hint: &'_ Hint| {
        let pad = " ".repeat(usize::from(widest - width(&hint.keys) + 2));
        vec![
            Span::styled(hint.keys.clone(), scene.theme().accent),
            Span::raw(pad),
            Span::styled(hint.label.clone(), scene.theme().text),
        ]
    };
    // Without contexts there is nothing that a target could be in.
    if scene.model.clusters.all().is_empty() { Vec::new() } else { scene.inputs.welcome.iter().map(line).collect() }
}
