//! The port plan: which local port a target gets that names none, by what kind of service it is.

use std::collections::BTreeSet;

use crate::state::Model;

impl Model {
    /// Local ports that belong to somebody already: those of saved targets, those that targets had last, and those that
    /// forwards listen on, of other instances too. What another program holds shows when a port is to be listened on.
    pub(crate) fn taken_ports(&self) -> BTreeSet<u16> {
        let targets = self.targets.all.iter().map(|target| target.local_port);
        let bound = self.forwards.all.values().flat_map(|forward| forward.bound.iter().map(std::net::SocketAddr::port));
        let asked = self.forwards.all.values().map(|forward| forward.spec.port);
        let local = |text: &str| text.rsplit(':').next().and_then(|port| port.parse().ok());
        let others = self.instances.forwards.values().filter_map(|other| local(&other.forward.local));
        targets
            .chain(self.targets.ports.values().copied())
            .chain(others)
            .chain(bound)
            .chain(asked)
            .filter(|port| *port != 0)
            .collect()
    }
}
