//! Gateways into local clusters, as the engine of this machine tells of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::fault::Fault;
use crate::types::forward::ForwardId;
use crate::types::gateway::{GatewayInfo, GatewayPort, GatewayProbe, GatewayTraffic};
use crate::types::health::{Health, HealthReport};

/// A row of the forwards pane: a port of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayRow {
    pub gateway: GatewayInfo,
    pub port: GatewayPort,
    /// The result of the last probe of what is behind it.
    pub health: Option<Health>,
    /// The last report of that to the user.
    pub(crate) told: Option<HealthReport>,
}

impl GatewayRow {
    /// Returns its fault: that of the gateway, else of the last probe.
    pub fn fault(&self) -> Option<&Fault> {
        self.gateway.fault.as_ref().or_else(|| self.health.as_ref()?.down.as_ref())
    }
}

/// The gateways that the engine has.
#[derive(Debug, Clone, Default)]
pub struct Gateways {
    rows: BTreeMap<ForwardId, GatewayRow>,
    /// The contexts of the clusters that the engine runs.
    clusters: BTreeSet<String>,
    traffic: Option<GatewayTraffic>,
    is_watched: bool,
    /// The contexts for whose clusters a gateway was ordered that is not listed yet, with its name once it was created.
    orders: BTreeMap<String, Option<String>>,
    probes: Vec<GatewayProbe>,
}

impl Gateways {
    /// Returns a row for each port.
    pub fn rows(&self) -> &BTreeMap<ForwardId, GatewayRow> {
        &self.rows
    }

    /// Returns true if the engine has a cluster that its context names.
    pub fn confirms(&self, context: &str) -> bool {
        self.clusters.contains(context)
    }

    /// Returns the bytes of a gateway, if they are being read.
    pub fn traffic_of(&self, gateway: &GatewayInfo) -> Option<&GatewayTraffic> {
        self.traffic.as_ref().filter(|traffic| traffic.id == gateway.id)
    }

    /// Replaces what is known. A port that was known keeps its row; `next` numbers new ones.
    pub(crate) fn replace(&mut self, all: Vec<GatewayInfo>, clusters: BTreeSet<String>, mut next: impl FnMut() -> u64) {
        let before = std::mem::take(&mut self.rows);
        self.orders.retain(|_, name| all.iter().all(|gateway| Some(&gateway.name) != name.as_ref()));
        self.clusters = clusters;
        for gateway in all {
            for port in &gateway.ports {
                let same = |row: &GatewayRow| row.gateway.cluster == gateway.cluster && row.port == *port;
                let known = before.iter().find(|(id, row)| same(row) && !self.rows.contains_key(id));
                let id = known.map_or_else(|| ForwardId(next()), |(id, _)| *id);
                // A check result no longer applies once the container has been replaced or its state has changed.
                let goes_on = |row: &&GatewayRow| row.gateway.id == gateway.id && row.gateway.state == gateway.state;
                let health = before.get(&id).filter(goes_on).and_then(|row| row.health.clone());
                let told = before.get(&id).and_then(|row| row.told);
                let row = GatewayRow { gateway: gateway.clone(), port: port.clone(), health, told };
                self.rows.insert(id, row);
            }
        }
        if self.traffic.as_ref().is_some_and(|at| !self.rows.values().any(|row| row.gateway.id == at.id)) {
            self.traffic = None;
        }
    }

    /// Returns true if a gateway is being created for a context's cluster.
    pub fn is_ordered(&self, context: &str) -> bool {
        self.orders.contains_key(context)
    }

    pub(crate) fn order(&mut self, context: &str) {
        self.orders.insert(context.to_owned(), None);
    }

    /// Notes the outcome of an order: the gateway's name, if it was created.
    pub(crate) fn end_order(&mut self, context: &str, created: Option<&str>) {
        self.orders.remove(context);
        if let Some(name) = created.filter(|name| self.rows.values().all(|row| row.gateway.name != *name)) {
            self.orders.insert(context.to_owned(), Some(name.to_owned()));
        }
    }

    /// Sets which rows are probed. Returns true if these are others.
    pub(crate) fn probe(&mut self, probes: &[GatewayProbe]) -> bool {
        if self.probes == probes {
            return false;
        }
        self.probes = probes.to_vec();
        true
    }

    pub(crate) fn row_mut(&mut self, id: ForwardId) -> Option<&mut GatewayRow> {
        self.rows.get_mut(&id)
    }

    /// Notes that the engine is watched. Returns true if it was not.
    pub(crate) fn begin_watch(&mut self) -> bool {
        !std::mem::replace(&mut self.is_watched, true)
    }

    /// Sets whose bytes are read. Returns true if that is another.
    pub(crate) fn meter(&mut self, id: Option<&str>) -> bool {
        if self.traffic.as_ref().map(|traffic| traffic.id.as_str()) == id {
            return false;
        }
        self.traffic = id.map(|id| GatewayTraffic { id: id.to_owned(), ..GatewayTraffic::default() });
        true
    }

    pub(crate) fn traffic_mut(&mut self) -> Option<&mut GatewayTraffic> {
        self.traffic.as_mut()
    }
}

/// Access for tests that put a part together by hand.
#[cfg(any(test, feature = "fixtures"))]
impl Gateways {
    pub fn rows_mut(&mut self) -> &mut BTreeMap<ForwardId, GatewayRow> {
        &mut self.rows
    }

    pub fn confirm(&mut self, context: &str) {
        self.clusters.insert(context.to_owned());
    }
}
