//! Gateways: rows of the forwards pane that containers carry, and orders about them.

use std::collections::BTreeSet;

use crate::language::effect::Effect;
use crate::language::fault::{Fault, What};
use crate::language::gateway::{GatewayEffect, GatewayEvent};
use crate::language::log::{Level, Message};
use crate::screen::dialog::Dialog;
use crate::screen::focus::Pane;
use crate::state::{GatewayRow, Model};
use crate::types::cluster::Cluster;
use crate::types::epoch::Epoch;
use crate::types::forward::ForwardId;
use crate::types::gateway::{GatewayChange, GatewayOrder, GatewayState};
use crate::types::node::NodePorts;
use crate::types::proxy::PodKey;
use crate::types::target::Target;
use crate::types::workload::Destination;

impl Model {
    /// Returns true if a context is that of a local cluster.
    fn is_local(&self, context: &str) -> bool {
        self.cluster(context).and_then(Cluster::local).is_some()
    }

    /// Watches the engine once there is a reason to: a local cluster. Subcommands have no rows.
    pub(crate) fn watch_gateways(&mut self, out: &mut Vec<Effect>) {
        let local = self.clusters.all().iter().any(|cluster| cluster.local().is_some());
        if local && !self.unattended() && !self.practice && self.gateways.begin_watch() {
            out.push(Effect::Gateway(GatewayEffect::Watch));
        }
    }

    pub(crate) fn on_gateway(&mut self, event: GatewayEvent, out: &mut Vec<Effect>) {
        self.screen.unarranged = true;
        match event {
            GatewayEvent::Listed { gateways, clusters } => {
                let counter = &mut self.counter;
                self.gateways.replace(gateways, clusters, || {
                    *counter += 1;
                    *counter
                });
            }
            GatewayEvent::Metered { id, total } => {
                if let Some(traffic) = self.gateways.traffic_mut().filter(|traffic| traffic.id == id) {
                    let before = traffic.total.replace(total);
                    traffic.bytes.push(before.map_or(0, |before| total.saturating_sub(before)));
                }
            }
            GatewayEvent::Changed { change, name, cluster, detail } => {
                self.audit_gateway(change, &name, &cluster, None, out);
                let message = match change {
                    GatewayChange::Create => Message::GatewayCreated,
                    GatewayChange::Start | GatewayChange::Restart => Message::GatewayStarted,
                    GatewayChange::Stop => Message::GatewayStopped,
                };
                self.note(Level::Success, message, name, detail);
            }
            GatewayEvent::Failed { change, name, cluster, fault } => {
                self.audit_gateway(change, &name, &cluster, Some(fault.what), out);
                self.fail(fault);
            }
        }
    }

    /// Reads the bytes of the gateway whose row is selected, and of no other.
    pub(crate) fn meter_gateway(&mut self, out: &mut Vec<Effect>) {
        let in_pane = self.screen.focus.pane == Pane::Forwards;
        let row = self.screen.forwards.selected().filter(|_| in_pane).and_then(|id| self.gateways.rows().get(id));
        let id = row.filter(|row| row.gateway.state == GatewayState::Running).map(|row| row.gateway.id.clone());
        if self.gateways.meter(id.as_deref()) {
            out.push(Effect::Gateway(GatewayEffect::Meter(id)));
        }
    }

    /// Returns the rows of gateways that lead to the ports of a target.
    pub fn gateways_of(&self, target: &Target) -> Vec<ForwardId> {
        let Destination::Node(ports) = &target.address else { return Vec::new() };
        let leads =
            |row: &GatewayRow| row.gateway.cluster == target.cluster && ports.all().any(|port| port == row.port.port);
        self.gateways.rows().iter().filter(|(_, row)| leads(row)).map(|(id, _)| *id).collect()
    }

    /// Returns true if the row of a gateway is one of this installation that runs.
    pub(crate) fn is_gateway_up(&self, id: ForwardId) -> bool {
        let row = self.gateways.rows().get(&id);
        row.is_some_and(|row| row.gateway.is_ours && row.gateway.state != GatewayState::Stopped)
    }

    /// Starts or stops the gateway of a row. Returns false if the row is none of a gateway.
    pub(crate) fn change_gateway(&mut self, id: ForwardId, change: GatewayChange, out: &mut Vec<Effect>) -> bool {
        let Some(row) = self.gateways.rows().get(&id) else { return false };
        let gateway = &row.gateway;
        if !gateway.is_ours {
            let fault = Fault::new(What::GatewayForeign, &gateway.name, &gateway.owner);
            self.fail(fault);
            return true;
        }
        let change = match (change, gateway.state) {
            (GatewayChange::Stop, GatewayState::Stopped) => {
                let name = gateway.name.clone();
                self.note(Level::Info, Message::GatewayStopped, name, "");
                return true;
            }
            (GatewayChange::Restart, GatewayState::Stopped) => GatewayChange::Start,
            (change, _) => change,
        };
        let (id, name, cluster) = (gateway.id.clone(), gateway.name.clone(), gateway.cluster.clone());
        let order = Effect::Gateway(GatewayEffect::Change { change, id, name, cluster });
        // Several rows are one container.
        if !out.contains(&order) {
            out.push(order);
        }
        true
    }

    /// Follows the log of the selected gateway; other rows have none, and the key leads to the next pane.
    pub(crate) fn follow_gateway_log(&mut self, out: &mut Vec<Effect>) {
        let row = self.screen.forwards.selected().and_then(|id| self.gateways.rows().get(id));
        let Some(row) = row else { return self.focus_pane(self.screen.focus.pane.step(1)) };
        let (id, name) = (row.gateway.id.clone(), row.gateway.name.clone());
        let key = PodKey { cluster: row.gateway.cluster.clone(), namespace: String::new(), name };
        let epoch = Epoch(self.next_number());
        out.push(Effect::Gateway(GatewayEffect::FollowLog { key: key.clone(), id, epoch }));
        let lines = std::collections::VecDeque::new();
        self.screen.dialogs.push(Dialog::PodLog { key, epoch, lines, ended: None, back: 0 });
    }

    /// Creates gateways for the chosen targets, or says why one can have none.
    pub(crate) fn persist_chosen(&mut self, out: &mut Vec<Effect>) {
        let targets = self.chosen_targets();
        if targets.is_empty() {
            return self.nothing_selected();
        }
        for target in targets {
            match &target.address {
                Destination::Node(ports) if self.is_local(&target.cluster) => {
                    if target.local_port != 0 {
                        // It has the port that the gateway is to have.
                        for id in self.forwards.ids(|forward| forward.spec.target == target.name) {
                            self.stop_forward(id, out);
                        }
                    }
                    self.order_gateway(&target, &ports.clone(), out);
                }
                Destination::Node(_) | Destination::Address(_) | Destination::Workload(_) | Destination::Proxy => {
                    self.note(Level::Info, Message::NotPersistable, &target.name, &target.cluster);
                }
            }
        }
        self.screen.targets.marks.clear();
    }

    /// Opens a target that is to outlive this program by its gateway. Returns false if it has none to have.
    pub(crate) fn open_gateway(&mut self, target: &Target, out: &mut Vec<Effect>) -> bool {
        let Destination::Node(ports) = &target.address else { return false };
        if !target.forward.persist || self.unattended() || !self.is_local(&target.cluster) {
            return false;
        }
        let rows = self.gateways_of(target);
        let open: BTreeSet<String> =
            rows.iter().filter_map(|id| self.gateways.rows().get(id)).map(|row| row.port.port.to_string()).collect();
        if open.len() < ports.all().count() {
            self.order_gateway(target, &ports.clone(), out);
            return true;
        }
        for id in rows {
            if !self.is_gateway_up(id) {
                self.change_gateway(id, GatewayChange::Start, out);
            } else if let Some(row) = self.gateways.rows().get(&id) {
                let local = row.port.local.to_string();
                self.note(Level::Info, Message::AlreadyForwarded, &target.name, local);
            }
        }
        true
    }

    fn order_gateway(&mut self, target: &Target, ports: &NodePorts, out: &mut Vec<Effect>) {
        // The local port that the target names is for the first of several.
        let own = Some(target.local_port).filter(|port| *port != 0);
        let ports = ports.all().enumerate().map(|(at, port)| (port, own.filter(|_| at == 0))).collect();
        let mut reserved = self.taken_ports();
        own.map(|own| reserved.remove(&own));
        let order = GatewayOrder {
            cluster: target.cluster.clone(),
            ports,
            local_address: target.forward.local_address,
            reserved,
        };
        self.note(Level::Info, Message::GatewayAsked, &target.name, &target.cluster);
        out.push(Effect::Gateway(GatewayEffect::Create(Box::new(order))));
    }
}
