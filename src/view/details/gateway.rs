//! The details of a gateway's port.

use std::borrow::Cow;

use ratatui::text::Span;

use super::facts::{Facts, bold, in_cluster, probed};
use crate::view::panes::gateways;
use crate::view::scene::Scene;
use brow_model::GatewayRow;

pub(super) fn of_gateway<'a>(scene: Scene<'a>, row: &'a GatewayRow) -> Facts<'a> {
    let theme = scene.theme();
    let gateway = &row.gateway;
    let fact = |key, value: Cow<'a, str>| (scene.get(key), Span::styled(value, theme.text));
    let mut facts = vec![
        in_cluster(scene, &gateway.cluster, scene.model.cluster_name(&gateway.cluster).to_owned()),
        fact("view.gateway", gateway.name.as_str().into()),
        fact("view.tunnel", "docker".into()),
        fact("view.owner", gateway.owner.as_str().into()),
    ];
    if let Some((traffic, total)) = scene.model.gateways.traffic_of(gateway).and_then(|at| Some((at, at.total?))) {
        let rate = scene.text().rate(traffic.bytes.newest_first(1).next().unwrap_or_default());
        facts.push(fact("view.gateway-bytes", format!("{} {rate}", scene.text().bytes(total)).into()));
    }
    if let Some(health) = &row.health {
        facts.push((scene.get("view.probe"), probed(scene, health, None)));
    }
    let head = vec![
        bold(scene, &row.port.target()),
        Span::raw("  "),
        gateways::local(scene, row),
        Span::raw("  "),
        Span::styled(gateways::state(scene, gateway.state), gateways::style(scene, gateway.state)),
    ];
    let next = scene.get("view.gateway-stays").to_owned();
    let next = Some(next).filter(|_| row.fault().is_none());
    Facts { head, pairs: facts, fault: row.fault(), next, ..Facts::default() }
}
