//! Local clusters, targets that are ports of their nodes, and gateways.

use std::collections::BTreeSet;

use super::fixture::{self, busy, focused};
use super::shots;
use brow_model::Model;
use brow_model::cluster::{Cluster, Link};
use brow_model::engine::GatewayEvent;
use brow_model::event::Event;
use brow_model::fault::{Fault, What};
use brow_model::focus::Pane;
use brow_model::gateway::{GatewayInfo, GatewayPort, GatewayState};
use brow_model::target::Target;

fn gateway(id: &str, cluster: &str, ports: &[(&str, &str)], state: GatewayState) -> GatewayInfo {
    let port = |(local, port): &(&str, &str)| GatewayPort {
        local: local.parse().unwrap(),
        node: format!("{cluster}-server-0"),
        port: port.parse().unwrap(),
    };
    let fault = (state != GatewayState::Running).then(|| Fault::new(What::GatewayDown, format!("gateway-{id}"), ""));
    GatewayInfo {
        id: id.to_owned(),
        name: format!("brow-gateway-{cluster}-30901"),
        cluster: cluster.to_owned(),
        ports: ports.iter().map(port).collect(),
        owner: "ada@gangway".to_owned(),
        is_ours: true,
        state,
        status: String::new(),
        fault,
    }
}

/// The usual model with a k3d cluster, a target on it, and its gateways.
fn lab() -> Model {
    let mut model = busy();
    model.counter = 1_000;
    let server = "https://0.0.0.0:38541".to_owned();
    model.clusters.all_mut().push(Cluster { server, ..fixture::cluster("k3d-lab", Link::Ready) });
    let target = fixture::target("node-echo", "k3d-lab", "10.0.0.1:7", 30_901, &[]);
    let address = "node/30999,30998/udp".parse().unwrap();
    model.targets.all_mut().push(Target { address, ..target });
    let running = [("127.0.0.1:30901", "30999"), ("127.0.0.1:30902", "30998/udp")];
    let gateways = vec![
        gateway("7", "k3d-lab", &running, GatewayState::Running),
        gateway("8", "k3d-old", &[("0.0.0.0:30903", "30080")], GatewayState::Stopped),
    ];
    let clusters = BTreeSet::from(["k3d-lab".to_owned()]);
    model.update(Event::Gateway(GatewayEvent::Listed { gateways, clusters }));
    model.screen.unarranged = true;
    model.arrange();
    model
}

#[test]
fn a_local_clusters_row_and_details_say_so() {
    let mut model = focused(lab(), Pane::Clusters);
    let at = model.screen.clusters.rows().iter().position(|name| name == "k3d-lab").unwrap();
    model.screen.clusters.select(at);
    shots("local-cluster", &model);
}

#[test]
fn gateways_are_rows_below_the_forwards() {
    let mut model = focused(lab(), Pane::Forwards);
    model.screen.focus.zoomed = true;
    let rows = model.screen.forwards.rows().to_vec();
    let first = rows.iter().position(|id| model.gateways.rows().contains_key(id)).unwrap();
    model.screen.forwards.select(first);
    model.update(Event::Tick { now: fixture::now(), samples: Vec::new() });
    for total in [10_000, 14_000, 90_000] {
        model.update(Event::Gateway(GatewayEvent::Metered { id: "7".to_owned(), total }));
    }
    shots("gateway", &model);
    model.screen.forwards.select(first + 2);
    shots("gateway-stopped", &model);
}

#[test]
fn a_target_of_ports_of_nodes_has_the_state_of_its_gateway() {
    let mut model = focused(lab(), Pane::Targets);
    model.screen.targets.wanted = Some("node-echo".to_owned());
    model.screen.unarranged = true;
    model.arrange();
    shots("node-target", &model);
}
