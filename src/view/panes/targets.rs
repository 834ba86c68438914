//! Targets: where each leads, and how it stands.

use std::net::SocketAddr;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::{Content, forwards, gateways, show};
use crate::view::cell::Cell;
use crate::view::columns::Column;
use crate::view::scene::Scene;
use crate::view::state::ViewState;
use brow_model::focus::Pane;
use brow_model::forward::Forward;
use brow_model::list::TargetColumn;
use brow_model::proxy::Phase;
use brow_model::target::Target;
use brow_model::traffic::Series;
use brow_model::workload::Destination;

/// In the order of [`TargetColumn::ALL`]. The name is the last to be cut.
const fn columns(tags: u16) -> [Column; 9] {
    [
        Column::NONE,
        Column::words(Column::ALWAYS, 63, 63),
        Column::words(6, 6, 8),
        Column::words(4, 15, 60),
        Column::words(3, 8, 40),
        Column::words(2, 9, 30).spare(),
        Column::words(1, 8, tags).spare(),
        Column::number(5, 5, 6),
        Column::words(Column::ALWAYS, 14, 60),
    ]
}
const COLUMNS: [Column; 9] = columns(30);
/// The columns without tags, for lists in which no target has any.
const UNTAGGED_COLUMNS: [Column; 9] = columns(0);

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
    show(frame, scene, state, area, content, |name| Some(row(scene, model.target(name)?)));
}

fn row<'a>(scene: Scene<'a>, target: &'a Target) -> (Option<Span<'a>>, Vec<Cell<'a>>) {
    let theme = scene.theme();
    let mut tags = Vec::new();
    for tag in &target.tags {
        tags.push(Span::styled(if tags.is_empty() { "#" } else { " #" }, theme.faint));
        tags.push(Span::styled(tag.as_str(), theme.dim));
    }
    let forward = scene.model.forward_of(&target.name);
    let state = state(scene, target, forward);
    let symbol = state.content.chars().next().map_or(String::new(), String::from);
    let name = if forward.is_some() || state.style != theme.faint { theme.text } else { theme.dim };
    let cells = vec![
        Cell::empty(),
        Cell::name(Span::styled(target.name.as_str(), name)),
        Cell::Line(vec![port(scene, target, forward)]),
        Cell::text(target.address.to_string(), name),
        Cell::name(scene.cluster(&target.cluster, theme.dim)),
        Cell::text(scene.model.namespace_of(target), theme.dim),
        Cell::Line(tags),
        left(scene, target, forward),
        news(scene, target, forward, &state),
    ];
    (Some(Span::styled(symbol, state.style)), cells)
}

/// The local port: bound, configured, or remembered; red and with a `!` if other machines can reach it.
fn port<'a>(scene: Scene<'a>, target: &Target, forward: Option<&Forward>) -> Span<'a> {
    let theme = scene.theme();
    let bound = forward.map(|forward| (forward, forward.bound.first().map_or(forward.spec.port, SocketAddr::port)));
    // A forward that has no port yet listens on any, or on the one that is remembered.
    if let Some((forward, port)) = bound.filter(|(_, port)| *port > 0) {
        return if forwards::open_to_others(forward) {
            Span::styled(format!("!:{port}"), theme.bad)
        } else {
            Span::styled(format!(":{port}"), theme.text)
        };
    }
    // Without a port it listens on its socket, whose file tells more than its directory.
    if let Some(path) = target.forward.local_socket.as_deref().filter(|_| target.local_port == 0) {
        let listens = forward.is_some_and(Forward::listens);
        let file = path.rsplit('/').next().unwrap_or_default().to_owned();
        return Span::styled(file, if listens { theme.text } else { theme.dim });
    }
    match (target.local_port, scene.model.port_of(target)) {
        (_, None) => Span::styled(scene.get("view.any-port"), theme.faint),
        (_, Some(port)) => Span::styled(format!(":{port}"), theme.dim),
    }
}

/// The time left of the pod behind a target; a dash where there is a forward and no pod that ends.
fn left<'a>(scene: Scene<'a>, target: &Target, forward: Option<&Forward>) -> Cell<'a> {
    match scene.model.time_left(target) {
        Some(left) => Cell::text(scene.text().left_short(left), super::pods::countdown_style(scene, left)),
        None if forward.is_some() => Cell::text("–", scene.theme().faint),
        None => Cell::empty(),
    }
}

/// The words beside a row: what is wrong, who else can connect, else its state; and the traffic of the last minute.
fn news<'a>(scene: Scene<'a>, target: &'a Target, forward: Option<&'a Forward>, state: &Span<'a>) -> Cell<'a> {
    let theme = scene.theme();
    let fault = forward.map_or_else(|| scene.model.fault_of_target(target), |at| scene.model.trouble_of(at));
    if let Some(fault) = fault {
        let style = if state.style == theme.bad { theme.bad } else { theme.warn };
        return Cell::text(scene.text().fault_in_brief(fault), style);
    }
    if let Some(exposed) = forward.filter(|forward| forwards::open_to_others(forward)) {
        let bound = exposed.bound.iter().map(SocketAddr::ip).chain(exposed.spec.bind.iter().copied());
        let address = bound.filter(|ip| !ip.is_loopback()).map(|ip| ip.to_string()).next().unwrap_or_default();
        return Cell::text(scene.text().fill("view.exposed", &[("address", &address)]), theme.bad);
    }
    let words = state.content.split_once(' ').map_or("", |(_, words)| words).to_owned();
    let values = forward.map(|forward| &forward.traffic.bytes).filter(|bytes| bytes.max(Series::MINUTE) > 0);
    let renews = forward.is_some_and(|forward| scene.model.is_renewed(forward));
    let ends = match forward {
        Some(forward) => scene.model.loses_pod_soon(forward),
        None => scene.model.pod_of(target).is_some_and(|pod| scene.model.ends_soon(pod).is_some()),
    };
    if ends {
        return Cell::text(scene.text().fill("view.renew", &[]), theme.warn);
    }
    let words = if renews { scene.text().fill("view.renews", &[("state", &words)]) } else { words };
    Cell::News { words: Span::styled(words, state.style), values, style: theme.info }
}

/// The state of a target's forward, else of its pod that is closest to ready, else of a requested pod: a symbol and
/// words.
fn state<'a>(scene: Scene<'a>, target: &'a Target, forward: Option<&'a Forward>) -> Span<'a> {
    let theme = scene.theme();
    if let Some(forward) = forward {
        return Span::styled(scene.text().forward(forward, scene.model.now), forwards::style_of(scene, forward));
    }
    let elsewhere = |address: &Destination| scene.model.elsewhere(target, address);
    if let Some((_, other)) = (!scene.model.instances.forwards().is_empty())
        .then(|| target.address.singles())
        .and_then(|all| all.iter().find_map(elsewhere))
    {
        return Span::styled(scene.text().reported_state(&other.forward), forwards::others_style(scene, other));
    }
    if let Some(row) = scene.model.gateways_of(target).first().and_then(|id| scene.model.gateways.rows().get(id)) {
        return Span::styled(gateways::state(scene, row.gateway.state), gateways::style(scene, row.gateway.state));
    }
    if let Some(pod) = scene.model.pod_of(target) {
        if pod.phase == Phase::Ready {
            // Its target is not open: that is no green.
            return Span::styled(scene.get("view.pod-ready"), theme.dim);
        }
        return Span::styled(scene.text().phase(pod.phase), super::pods::phase_style(scene, pod.phase));
    }
    if scene.model.pods.requests().values().any(|request| request.target == target.name) {
        return Span::styled(scene.text().phase(Phase::Creating), theme.info);
    }
    if scene.model.targets.refusal(&target.name).is_some() {
        return Span::styled(scene.text().phase(Phase::Failed), theme.bad);
    }
    Span::styled("○", theme.faint)
}
