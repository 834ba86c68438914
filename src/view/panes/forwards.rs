//! Forwards: where each listens, how it stands and what moves through it.

use std::borrow::Cow;
use std::net::SocketAddr;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::{Content, gateways, show};
use crate::view::cell::Cell;
use crate::view::columns::Column;
use crate::view::scene::Scene;
use crate::view::state::ViewState;
use brow_model::focus::Pane;
use brow_model::forward::{Forward, ForwardState, port_name};
use brow_model::instance::RemoteForward;
use brow_model::list::ForwardColumn;

/// The column of the rate: the first to be dropped, since the sparkline shows it too.
const RATE: Column = Column::number(0, 9, 12);
/// In the order of [`ForwardColumn::ALL`], with the least width of the target's name.
const fn columns_of(target: u16) -> [Column; 12] {
    [
        Column::NONE,
        Column::words(Column::ALWAYS, 15, 48),
        Column::words(7, target, 40),
        Column::words(1, 12, 63),
        // "◑ stops in 1h30": a time without its unit is none.
        Column::words(Column::ALWAYS, 15, 20),
        Column::number(4, 6, 14),
        Column::number(5, 9, 12),
        RATE,
        Column::number(6, 9, 12),
        RATE,
        Column::picture(3, 10, 30),
        Column::words(2, 18, 60),
    ]
}

pub(super) const COLUMNS: [Column; 12] = columns_of(24);
/// With room for the mark of what an agent opened, in either language.
const MARKED_COLUMNS: [Column; 12] = columns_of(31);

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect) {
    let model = scene.model;
    let list = &model.screen.forwards;
    let of_others = model.instances.forwards().values().any(|other| other.forward.agent.is_some());
    let is_marked = of_others || model.forwards.all().values().any(|forward| forward.agent.is_some());
    let content = Content {
        pane: Pane::Forwards,
        list,
        heads: ForwardColumn::ALL.iter().map(|column| scene.head(column.key())).collect(),
        columns_of: if is_marked { &MARKED_COLUMNS } else { &COLUMNS },
        sorted: ForwardColumn::ALL.iter().position(|column| *column == list.column).unwrap_or_default(),
        aside: Vec::new(),
    };
    show(frame, scene, state, area, content, |id| {
        let own = model.forwards.all().get(id).map(|forward| cells(scene, forward));
        let other = || model.instances.forwards().get(id).map(|other| others_cells(scene, other));
        let gateway = || model.gateways.rows().get(id).map(|row| gateways::cells(scene, row));
        Some((None, own.or_else(other).or_else(gateway)?))
    });
}

fn cells<'a>(scene: Scene<'a>, forward: &'a Forward) -> Vec<Cell<'a>> {
    let theme = scene.theme();
    let counts = forward.traffic.counts;
    let mut connections = vec![
        Span::styled(counts.open.to_string(), if counts.open > 0 { theme.text } else { theme.faint }),
        Span::styled(format!("/{}", counts.total), theme.dim),
    ];
    if counts.failed > 0 {
        connections.push(Span::styled(format!(" ✗{}", counts.failed), theme.bad));
    }
    let via = forward.via().map_or("–", |via| via.pod.name.as_str());
    vec![
        Cell::empty(),
        Cell::Tail(local(scene, forward)),
        target_cell(scene, name(scene, forward), theme.text, forward.agent.is_some()),
        Cell::Tail(Span::styled(via, if forward.via().is_some() { theme.dim } else { theme.faint })),
        Cell::text(scene.text().forward(forward, scene.model.now), style_of(scene, forward)),
        Cell::Line(connections),
        moved(scene, counts.up),
        rate(scene, forward.traffic.up_rate),
        moved(scene, counts.down),
        rate(scene, forward.traffic.down_rate),
        Cell::Spark { values: &forward.traffic.bytes, style: theme.info },
        match scene.model.trouble_of(forward) {
            Some(fault) => Cell::text(scene.text().fault(fault).what, theme.warn),
            None if scene.model.loses_pod_soon(forward) => Cell::text(scene.text().fill("view.renew", &[]), theme.warn),
            None => Cell::empty(),
        },
    ]
}

/// A forward of another instance: dimmed, with whose it is.
fn others_cells<'a>(scene: Scene<'a>, other: &'a RemoteForward) -> Vec<Cell<'a>> {
    let theme = scene.theme();
    let forward = &other.forward;
    let mut cells = vec![
        Cell::empty(),
        others_local(scene, other),
        target_cell(scene, forward.name.as_str().into(), theme.dim, forward.agent.is_some()),
        Cell::Tail(Span::styled(forward.pod.as_deref().unwrap_or("–"), theme.dim)),
        Cell::text(scene.text().reported_state(forward), others_style(scene, other)),
    ];
    cells.resize_with(COLUMNS.len() - 1, Cell::empty);
    cells.push(Cell::text(whose(scene, other), theme.dim));
    cells
}

/// The local address of another instance's forward, red and with a `!` if other machines can reach it.
fn others_local<'a>(scene: Scene<'a>, other: &'a RemoteForward) -> Cell<'a> {
    let local = other.forward.local.as_str();
    let open = local.parse::<SocketAddr>().is_ok_and(|address| !address.ip().is_loopback());
    if open { Cell::text(format!("! {local}"), scene.theme().bad) } else { Cell::text(local, scene.theme().dim) }
}

/// The target's name, and the mark of what an agent opened.
fn target_cell<'a>(scene: Scene<'a>, name: Cow<'a, str>, style: Style, agents: bool) -> Cell<'a> {
    let mark = if agents { format!(" {}", scene.get("view.agent")) } else { String::new() };
    Cell::Name {
        before: Span::styled("→ ", scene.theme().faint),
        name: Span::styled(name, style),
        behind: Span::styled(mark, scene.theme().accent),
    }
}

/// Names the instance that owns a forward.
pub(in crate::view) fn whose(scene: Scene<'_>, other: &RemoteForward) -> String {
    scene.text().instance(other.role, other.pid)
}

/// The target's name, with the port where it is not the first of several.
fn name<'a>(scene: Scene<'a>, forward: &'a Forward) -> Cow<'a, str> {
    let target = scene.model.target(&forward.spec.target);
    let several = target.filter(|target| target.address.is_several());
    several.map_or(forward.spec.target.as_str().into(), |target| port_name(target, &forward.spec.address).into())
}

/// The local address of a forward; red and with a `!` if other machines can reach it.
pub(in crate::view) fn local<'a>(scene: Scene<'a>, forward: &Forward) -> Span<'a> {
    let theme = scene.theme();
    let transport = if forward.is_udp() { "/udp" } else { "" };
    let address = forward.local() + transport;
    if open_to_others(forward) {
        return Span::styled(format!("! {address}"), theme.bad.add_modifier(Modifier::BOLD));
    }
    let shown = if forward.listens() { theme.text } else { theme.dim };
    Span::styled(address, shown)
}

/// Returns true if the forward listens (or is to listen) beyond loopback.
pub(in crate::view) fn open_to_others(forward: &Forward) -> bool {
    if forward.bound.is_empty() {
        forward.spec.bind.iter().any(|ip| !ip.is_loopback())
    } else {
        forward.bound.iter().any(|address| !address.ip().is_loopback())
    }
}

/// The color of the state of another instance's forward: dimmed, unless it does not work.
pub(in crate::view) fn others_style(scene: Scene<'_>, other: &RemoteForward) -> Style {
    let fails = other.forward.is_down() || other.forward.shown() == ForwardState::Broken;
    if fails { scene.theme().bad } else { scene.theme().dim }
}

/// The color of how a forward stands.
pub(in crate::view) fn style_of(scene: Scene<'_>, forward: &Forward) -> Style {
    if forward.is_down() { scene.theme().bad } else { style(scene, forward.state()) }
}

/// The color of a forward's state.
fn style(scene: Scene<'_>, state: ForwardState) -> Style {
    let theme = scene.theme();
    match state {
        ForwardState::Opening | ForwardState::Waiting | ForwardState::Dialing => theme.info,
        ForwardState::Resting => theme.dim,
        ForwardState::Live => theme.good,
        ForwardState::Reconnecting => theme.warn,
        ForwardState::Broken | ForwardState::Failed => theme.bad,
    }
}

/// The total of bytes; faint for 0.
fn moved(scene: Scene<'_>, bytes: u64) -> Cell<'static> {
    let theme = scene.theme();
    Cell::text(scene.text().bytes(bytes), if bytes > 0 { theme.text } else { theme.faint })
}

/// The current rate; faint for 0.
fn rate(scene: Scene<'_>, bytes: u64) -> Cell<'static> {
    let theme = scene.theme();
    Cell::text(scene.text().rate(bytes), if bytes > 0 { theme.info } else { theme.faint })
}
