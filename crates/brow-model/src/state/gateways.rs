//! Gateways into local clusters, as the engine of this machine tells of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::forward::ForwardId;
use crate::types::gateway::{GatewayInfo, GatewayPort, GatewayTraffic};

/// A row of the forwards pane: a port of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayRow {
    pub gateway: GatewayInfo,
    pub port: GatewayPort,
}

/// The gateways that the engine has.
#[derive(Debug, Clone, Default)]
pub struct Gateways {
    rows: BTreeMap<ForwardId, GatewayRow>,
    /// The contexts of the clusters that the engine runs.
    clusters: BTreeSet<String>,
    traffic: Option<GatewayTraffic>,
    is_watched: bool,
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
        self.clusters = clusters;
        for gateway in all {
            for port in &gateway.ports {
                let same = |row: &GatewayRow| row.gateway.cluster == gateway.cluster && row.port == *port;
                let known = before.iter().find(|(id, row)| same(row) && !self.rows.contains_key(id));
                let id = known.map_or_else(|| ForwardId(next()), |(id, _)| *id);
                self.rows.insert(id, GatewayRow { gateway: gateway.clone(), port: port.clone() });
            }
        }
        if self.traffic.as_ref().is_some_and(|at| !self.rows.values().any(|row| row.gateway.id == at.id)) {
            self.traffic = None;
        }
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
