//! Ports of nodes that the address field offers by the names of their services, while `node/` is typed into it.

use std::cmp::Reverse;

use crate::screen::filter::Filter;
use crate::screen::form::TargetForm;
use crate::types::field::TargetField;
use crate::types::node::{NodePort, NodePorts, ServicePort};

/// The ports of a cluster's nodes, as its services have them.
#[derive(Debug, Clone, Default)]
pub struct OfferedPorts {
    /// The context that was asked for them; empty: none yet.
    pub cluster: String,
    /// The ports, once they are known.
    pub all: Vec<ServicePort>,
    /// The text that was typed behind the last comma; `None` once the field was left.
    sought: Option<String>,
}

impl OfferedPorts {
    /// Returns those of a context that is asked for them.
    pub(crate) fn of(cluster: &str) -> Self {
        Self { cluster: cluster.to_owned(), ..Self::default() }
    }
}

impl TargetForm {
    /// Returns the ports that the address holds, if ports of nodes are written there.
    fn written_ports(&self) -> Option<&str> {
        NodePorts::in_destination(self.text(TargetField::Address))
    }

    /// Returns true if ports of nodes are being typed.
    pub(crate) fn seeks_port(&self) -> bool {
        self.active() == TargetField::Address && self.written_ports().is_some()
    }

    /// Notes what was typed into the address.
    pub(crate) fn seek_port(&mut self) {
        self.ports.sought = self.written_ports().map(|ports| last(ports).1.to_owned());
    }

    /// Returns the offered ports like what is being typed, the best first.
    pub fn ports_like(&self) -> Vec<&ServicePort> {
        let Some(sought) = self.ports.sought.as_ref().filter(|_| self.seeks_port()) else { return Vec::new() };
        let mut filter = Filter::new(sought);
        let score =
            |port: &ServicePort, filter: &mut Filter| filter.score(&[&port.to_string(), &port.port.to_string()]);
        let mut like: Vec<(u32, &ServicePort)> =
            self.ports.all.iter().filter_map(|port| Some((score(port, &mut filter)?, port))).collect();
        like.sort_by_key(|(score, port)| (Reverse(*score), port.port));
        like.into_iter().map(|(_, port)| port).collect()
    }

    /// Puts the next offered port into the address. Returns false if none is offered.
    pub(crate) fn step_port(&mut self, by: isize) -> bool {
        let like = self.ports_like();
        if like.is_empty() {
            return false;
        }
        let written = last(self.written_ports().unwrap_or_default()).1.parse::<NodePort>().ok();
        let at = like.iter().position(|offer| Some(offer.port) == written);
        let next = at.map_or(0, |at| (at.cast_signed() + by).rem_euclid(like.len().cast_signed()).unsigned_abs());
        let port = like[next].port;
        self.put_port(port);
        true
    }

    /// Ends the choice of a port: a service's name that was typed stands for the only port like it.
    pub(crate) fn complete_port(&mut self) {
        if let [only] = self.ports_like()[..]
            && self.written_ports().is_some_and(|ports| last(ports).1.parse::<NodePort>().is_err())
        {
            let port = only.port;
            self.put_port(port);
        }
        self.ports.sought = None;
    }

    /// Writes a port in place of what stands behind the last comma.
    fn put_port(&mut self, port: NodePort) {
        let Some(ports) = self.written_ports() else { return };
        let before = last(ports).0;
        let comma = if before.is_empty() { "" } else { "," };
        self.set(TargetField::Address, format!("node/{before}{comma}{port}"));
    }
}

/// Returns what stands before the last comma, and behind it.
fn last(ports: &str) -> (&str, &str) {
    let (before, behind) = ports.rsplit_once([',', '，']).unwrap_or(("", ports));
    (before, behind.trim())
}
