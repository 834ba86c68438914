//! Gateways: rows of the forwards pane that containers carry.

use ratatui::style::Style;
use ratatui::text::Span;

use super::forwards::COLUMNS;
use crate::view::cell::Cell;
use crate::view::scene::Scene;
use brow_model::GatewayRow;
use brow_model::address::Transport;
use brow_model::gateway::GatewayState;

/// The cells of a gateway's port.
pub(super) fn cells<'a>(scene: Scene<'a>, row: &'a GatewayRow) -> Vec<Cell<'a>> {
    let theme = scene.theme();
    let gateway = &row.gateway;
    let text = if gateway.is_ours { theme.text } else { theme.dim };
    let mut cells: Vec<Cell<'a>> = Vec::new();
    cells.resize_with(COLUMNS.len(), Cell::empty);
    cells[1] = Cell::Tail(local(scene, row));
    cells[2] = Cell::Name {
        before: Span::styled("→ ", theme.faint),
        name: Span::styled(row.port.target(), text),
        behind: Span::raw(""),
    };
    cells[3] = Cell::Tail(Span::styled(format!("docker/{}", gateway.name), theme.dim));
    cells[4] = Cell::text(state(scene, gateway.state), style(scene, gateway.state));
    if let Some(traffic) = scene.model.gateways.traffic_of(gateway) {
        cells[10] = Cell::Spark { values: &traffic.bytes, style: theme.info };
    }
    cells[11] = match row.fault() {
        // The state says that.
        Some(_) if gateway.state == GatewayState::Stopped => Cell::empty(),
        Some(fault) => Cell::text(scene.text().fault(fault).what, theme.warn),
        None if gateway.is_ours => Cell::empty(),
        None => Cell::text(gateway.owner.as_str(), theme.dim),
    };
    cells
}

/// Returns the local address; red and with a `!` if other machines can reach it.
pub(in crate::view) fn local<'a>(scene: Scene<'a>, row: &GatewayRow) -> Span<'a> {
    let udp = if row.port.port.transport == Transport::Udp { "/udp" } else { "" };
    let local = format!("{}{udp}", row.port.local);
    if row.port.local.ip().is_loopback() {
        return Span::styled(local, scene.theme().text);
    }
    Span::styled(format!("! {local}"), scene.theme().bad)
}

/// Returns the words of a state.
pub(in crate::view) fn state(scene: Scene<'_>, state: GatewayState) -> &str {
    scene.get(match state {
        GatewayState::Running => "view.gateway-up",
        GatewayState::Restarting => "view.gateway-restarting",
        GatewayState::Stopped => "view.gateway-stopped",
    })
}

/// Returns the color of a state.
pub(in crate::view) fn style(scene: Scene<'_>, state: GatewayState) -> Style {
    let theme = scene.theme();
    match state {
        GatewayState::Running => theme.good,
        GatewayState::Restarting => theme.warn,
        GatewayState::Stopped => theme.dim,
    }
}
