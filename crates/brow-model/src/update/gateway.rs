//! Gateways: rows of the forwards pane that containers carry, and orders about them.

use std::collections::BTreeSet;

use crate::language::effect::Effect;
use crate::language::fault::{Fault, What};
use crate::language::gateway::{GatewayEffect, GatewayEvent};
use crate::language::log::{Level, Message};
use crate::screen::dialog::{Dialog, Question};
use crate::screen::focus::Pane;
use crate::state::{GatewayRow, Model};
use crate::types::address::Transport;
use crate::types::cluster::Cluster;
use crate::types::epoch::Epoch;
use crate::types::forward::ForwardId;
use crate::types::gateway::{GatewayChange, GatewayOrder, GatewayProbe, GatewayState};
use crate::types::health::Health;
use crate::types::node::NodePorts;
use crate::types::proxy::PodKey;
use crate::types::target::Target;
use crate::types::workload::Destination;
use crate::update::command::Enabled;

impl Model {
    /// Returns true if a context is that of a local cluster.
    fn is_local(&self, context: &str) -> bool {
        self.cluster(context).and_then(Cluster::local).is_some()
    }

    /// Watches the engine once there is a reason to: a local cluster. Subcommands watch it once they order a gateway.
    pub(crate) fn watch_gateways(&mut self, out: &mut Vec<Effect>) {
        let local = self.clusters.all().iter().any(|cluster| cluster.local().is_some());
        if local && !self.unattended() {
            self.begin_gateway_watch(out);
        }
    }

    fn begin_gateway_watch(&mut self, out: &mut Vec<Effect>) {
        if !self.practice && self.gateways.begin_watch() {
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
            GatewayEvent::Probed { row, health } => self.on_gateway_probed(row, health, out),
            GatewayEvent::Changed { change, name, cluster, detail, faults } => {
                self.audit_gateway(change, &name, &cluster, None, out);
                self.end_gateway_order(change, &cluster, Some(&name));
                let message = match change {
                    GatewayChange::Create => Message::GatewayCreated,
                    GatewayChange::Start | GatewayChange::Restart => Message::GatewayStarted,
                    GatewayChange::Stop => Message::GatewayStopped,
                    GatewayChange::Delete => Message::GatewayDeleted,
                };
                self.note(Level::Success, message, name, detail);
                for fault in faults {
                    self.fail(fault);
                }
            }
            GatewayEvent::Failed { change, name, cluster, fault } => {
                self.audit_gateway(change, &name, &cluster, Some(fault.what), out);
                self.end_gateway_order(change, &cluster, None);
                self.fail(fault);
            }
        }
    }

    fn end_gateway_order(&mut self, change: GatewayChange, cluster: &str, created: Option<&str>) {
        if change == GatewayChange::Create {
            self.gateways.end_order(cluster, created);
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

    /// Probes what is behind the ports of gateways that run, as their targets say.
    pub(crate) fn probe_gateways(&mut self, out: &mut Vec<Effect>) {
        if self.unattended() {
            return;
        }
        let plan = |row: &GatewayRow| {
            let leads = |target: &&Target| Self::leads_to_port(row, target);
            self.targets.all().iter().filter(leads).find_map(|target| self.probe_of(target))
        };
        let runs = |row: &GatewayRow| row.gateway.state == GatewayState::Running;
        let tcp = |row: &GatewayRow| row.port.port.transport == Transport::Tcp;
        let rows = self.gateways.rows().iter().filter(|(_, row)| runs(row) && tcp(row));
        let probe = |(id, row): (&ForwardId, &GatewayRow)| {
            Some(GatewayProbe { row: *id, id: row.gateway.id.clone(), local: row.port.local, plan: plan(row)? })
        };
        let probes: Vec<GatewayProbe> = rows.filter_map(probe).collect();
        if self.gateways.probe(&probes) {
            out.push(Effect::Gateway(GatewayEffect::Probe(probes)));
        }
    }

    /// Notes what was found behind a row, and reports that it is up or down where that is news.
    fn on_gateway_probed(&mut self, id: ForwardId, health: Health, out: &mut Vec<Effect>) {
        let Some(row) = self.gateways.row_mut(id) else { return };
        let (name, told, down) = (row.port.target(), row.told, health.down.clone());
        row.health = Some(health);
        if let Some(told) = self.report_health_of(name, told, down, out)
            && let Some(row) = self.gateways.row_mut(id)
        {
            row.told = Some(told);
        }
    }

    fn leads_to_port(row: &GatewayRow, target: &Target) -> bool {
        let Destination::Node(ports) = &target.address else { return false };
        row.gateway.cluster == target.cluster && ports.all().any(|port| port == row.port.port)
    }

    /// Returns the rows of gateways that lead to the ports of a target.
    pub fn gateways_of(&self, target: &Target) -> Vec<ForwardId> {
        let rows = self.gateways.rows().iter().filter(|(_, row)| Self::leads_to_port(row, target));
        rows.map(|(id, _)| *id).collect()
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

    pub(crate) fn has_gateway(&self) -> Enabled {
        let chosen = self.screen.forwards.chosen();
        self.enabled_for_chosen(chosen.iter().any(|id| self.gateways.rows().contains_key(id)), Message::NoGatewayChosen)
    }

    /// Asks whether the chosen gateways are to be deleted; forwards are closed by another key.
    pub(crate) fn ask_delete_gateways(&mut self) {
        let chosen = self.screen.forwards.chosen();
        let rows: Vec<&GatewayRow> = chosen.iter().filter_map(|id| self.gateways.rows().get(id)).collect();
        if let Some(foreign) = rows.iter().find(|row| !row.gateway.is_ours) {
            let fault = Fault::new(What::GatewayForeign, &foreign.gateway.name, &foreign.gateway.owner);
            return self.fail(fault);
        }
        let names: BTreeSet<String> = rows.iter().map(|row| row.gateway.name.clone()).collect();
        if names.is_empty() {
            return self.note_chosen(Message::NoGatewayChosen);
        }
        self.ask(Question::DeleteGateways(names.into_iter().collect()));
    }

    /// Deletes gateways by their names.
    pub(crate) fn delete_gateways(&mut self, names: &[String], out: &mut Vec<Effect>) {
        for name in names {
            let row = self.gateways.rows().iter().find(|(_, row)| row.gateway.name == *name).map(|(id, _)| *id);
            match row {
                Some(id) => drop(self.change_gateway(id, GatewayChange::Delete, out)),
                None => self.fail(Fault::new(What::GatewayMissing, name, "")),
            }
        }
        self.screen.forwards.marks.clear();
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

    /// Returns true if a target is to outlive this program, by a gateway.
    pub fn persists(&self, target: &Target) -> bool {
        let of_node = matches!(target.address, Destination::Node(_));
        of_node && target.forward.persist && self.is_local(&target.cluster)
    }

    /// Opens a target that is to outlive this program by its gateway. Returns false if it can have none; says so if it
    /// should have one.
    pub(crate) fn open_gateway(&mut self, target: &Target, out: &mut Vec<Effect>) -> bool {
        let Destination::Node(ports) = &target.address else { return false };
        if !self.persists(target) {
            if target.forward.persist {
                self.note(Level::Warning, Message::NotPersistable, &target.name, &target.cluster);
            }
            return false;
        }
        self.begin_gateway_watch(out);
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
        self.gateways.order(&target.cluster);
        out.push(Effect::Gateway(GatewayEffect::Create(Box::new(order))));
    }
}
