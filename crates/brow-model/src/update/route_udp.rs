//! A route of datagrams: its Service is reached by its address, through a proxy pod, since Kubernetes forwards no UDP.

use crate::language::effect::Effect;
use crate::screen::focus::Pane;
use crate::state::Model;
use crate::types::forward_settings::ForwardSettings;
use crate::types::kinds::RouteService;
use crate::types::offer::{Offer, OnConflict};
use crate::types::settings::PodSettings;
use crate::types::target::Target;
use crate::types::workload::Destination;

impl Model {
    /// Makes a target of the address of a route's Service, or takes the one that there is, and opens it. Returns false
    /// if the Service's port goes by a name, which no address has.
    pub(crate) fn forward_datagrams(&mut self, cluster: &str, service: &RouteService, out: &mut Vec<Effect>) -> bool {
        let RouteService { namespace, name, port } = service;
        let number = port.as_deref().and_then(|port| port.parse::<u16>().ok());
        let address = number.and_then(|port| format!("{name}.{namespace}.svc:{port}/udp").parse::<Destination>().ok());
        let (Some(number), Some(address)) = (number, address) else { return false };
        let is_it = |target: &&Target| target.cluster == cluster && target.address == address;
        let mut target = self.targets.all().iter().find(is_it).cloned();
        if target.is_none() {
            let names = vec![format!("{name}.{namespace}"), format!("{name}-{number}-udp.{namespace}@{cluster}")];
            let new = Target {
                name: names[0].clone(),
                cluster: cluster.to_owned(),
                namespace: None,
                address,
                local_port: 0,
                ttl: None,
                tags: Vec::new(),
                pod: PodSettings::default(),
                forward: ForwardSettings::default(),
            };
            self.screen.targets.wanted = None;
            let offer = Offer { target: new, names, also: None, group: None };
            self.import_offers(vec![offer], OnConflict::Skip, out);
            target = self.screen.targets.wanted.as_ref().and_then(|name| self.target(name)).cloned();
        }
        self.focus_pane(Pane::Targets);
        self.open_all(&target.into_iter().collect::<Vec<_>>(), out);
        true
    }
}
