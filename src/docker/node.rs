//! The nodes of local clusters, told by the labels that k3d, kind and minikube give to their containers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::port::is_container_name;
use brow_model::fault::{Fault, What};
use brow_model::local_cluster::LocalKind as Kind;

/// A container that is a node of a local cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The container's name, which is the node's.
    pub name: String,
    pub kind: Kind,
    /// The cluster's name, without that of the program.
    pub cluster: String,
    /// Its role, as the program calls it.
    pub role: String,
    /// The networks it is on whose names resolve.
    pub networks: Vec<String>,
    pub is_running: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalCluster {
    pub kind: Kind,
    /// Its name for the program that made it.
    pub name: String,
    pub nodes: Vec<Node>,
}

/// Networks on which names do not resolve, or that are none.
const NAMELESS: [&str; 3] = ["bridge", "host", "none"];

/// The labels with the cluster's name and the node's role of each program.
const LABELS: [(Kind, &str, &str); 3] = [
    (Kind::K3d, "k3d.cluster", "k3d.role"),
    (Kind::Kind, "io.x-k8s.kind.cluster", "io.x-k8s.kind.role"),
    (Kind::Minikube, "name.minikube.sigs.k8s.io", "role.minikube.sigs.k8s.io"),
];

/// Returns the name of a container in a list.
pub(super) fn name(container: &Value) -> &str {
    container["Names"][0].as_str().unwrap_or_default().trim_start_matches('/')
}

/// Returns the networks of a container on which it has a name.
pub(super) fn networks(container: &Value) -> Vec<String> {
    let all = container["NetworkSettings"]["Networks"].as_object().into_iter().flat_map(|all| all.keys());
    all.filter(|name| !NAMELESS.contains(&name.as_str())).cloned().collect()
}

impl Node {
    /// Reads a container of the engine's list. `None` if it is no node.
    pub(super) fn read(container: &Value) -> Option<Self> {
        let label = |key: &str| container["Labels"][key].as_str();
        let named = |key: &str| label(key).filter(|value| !value.is_empty());
        // minikube leaves the role empty.
        let (kind, cluster, role) =
            LABELS.iter().find_map(|(kind, cluster, role)| Some((*kind, named(cluster)?, label(role)?)))?;
        // The relay's addresses are made of it.
        let name = Some(name(container)).filter(|name| is_container_name(name))?.to_owned();
        let (cluster, role) = (cluster.to_owned(), role.to_owned());
        let is_running = container["State"] == "running";
        Some(Self { name, kind, cluster, role, networks: networks(container), is_running })
    }

    /// Returns the order in which nodes are preferred: one with the control plane, then others; a load balancer has no
    /// node ports.
    fn rank(&self) -> u8 {
        match self.role.as_str() {
            "server" | "control-plane" => 0,
            "loadbalancer" | "external-load-balancer" | "registry" => 2,
            _ => 1,
        }
    }
}

impl LocalCluster {
    /// Returns the name that its context has in a kubeconfig.
    pub fn context(&self) -> String {
        match self.kind {
            Kind::K3d => format!("k3d-{}", self.name),
            Kind::Kind => format!("kind-{}", self.name),
            Kind::Minikube => self.name.clone(),
        }
    }

    /// Returns the command of k3d that publishes a port, where it has one that can.
    pub fn own_way(&self, ports: &[String]) -> Option<String> {
        let balanced = self.nodes.iter().any(|node| node.role == "loadbalancer");
        let ports = ports.iter().fold(String::new(), |text, port| text + &format!(" --port-add {port}@loadbalancer"));
        (self.kind == Kind::K3d && balanced).then(|| format!("k3d cluster edit {}{ports}", self.name))
    }
}

/// Returns the local clusters among the engine's containers.
pub fn clusters(nodes: impl IntoIterator<Item = Node>) -> Vec<LocalCluster> {
    let mut all: BTreeMap<(Kind, String), Vec<Node>> = BTreeMap::new();
    for node in nodes {
        all.entry((node.kind, node.cluster.clone())).or_default().push(node);
    }
    let sorted = |((kind, name), mut nodes): ((Kind, String), Vec<Node>)| {
        nodes.sort_by_key(|node| (node.rank(), node.name.clone()));
        LocalCluster { kind, name, nodes }
    };
    all.into_iter().map(sorted).collect()
}

/// Finds a cluster by its context's name or its own.
///
/// # Errors
/// There is none, or several have the name.
pub fn cluster_of<'a>(all: &'a [LocalCluster], name: &str) -> Result<&'a LocalCluster, Fault> {
    let by_context = all.iter().find(|cluster| cluster.context() == name);
    let mut by_name = all.iter().filter(|cluster| cluster.name == name);
    let found = by_context.or_else(|| by_name.next().filter(|_| by_name.next().is_none()));
    let known = || all.iter().map(LocalCluster::context).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| Fault::new(What::NoLocalCluster, name, known()))
}

/// Returns the node that a gateway leads to, the one of that name where one is given, and the network that it is on.
///
/// # Errors
/// The cluster has no such node, or no gateway can reach it by its name.
pub(super) fn gateway_node<'a>(cluster: &'a LocalCluster, name: Option<&str>) -> Result<(&'a Node, &'a str), Fault> {
    let node = match name {
        Some(name) => cluster.nodes.iter().find(|node| node.name == name),
        None => cluster.nodes.iter().find(|node| node.rank() < 2),
    };
    let Some(node) = node else {
        let known = cluster.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Fault::new(What::NodeUnknown, name.map_or_else(|| cluster.context(), str::to_owned), known));
    };
    match node.networks.first() {
        Some(network) => Ok((node, network)),
        None => Err(Fault::new(What::NodeNetwork, &node.name, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(name: &str, network: &str, labels: &Value) -> Node {
        let container = json!({"Names": [format!("/{name}")], "State": "running", "Labels": labels,
            "NetworkSettings": {"Networks": {network: {}}}});
        Node::read(&container).unwrap()
    }

    fn several() -> Vec<LocalCluster> {
        let k3d = |cluster: &str, role: &str| json!({"app": "k3d", "k3d.cluster": cluster, "k3d.role": role});
        let kind = json!({"io.x-k8s.kind.cluster": "lab", "io.x-k8s.kind.role": "control-plane"});
        let minikube = json!({"name.minikube.sigs.k8s.io": "minikube", "role.minikube.sigs.k8s.io": ""});
        assert_eq!(container("minikube", "minikube", &minikube).kind, Kind::Minikube);
        assert_eq!(Node::read(&json!({"Names": ["/x"], "Labels": {"app": "k3d"}})), None);
        clusters([
            container("k3d-a-serverlb", "k3d-a", &k3d("a", "loadbalancer")),
            container("k3d-a-agent-0", "k3d-a", &k3d("a", "agent")),
            container("k3d-a-server-0", "k3d-a", &k3d("a", "server")),
            container("lab-control-plane", "bridge", &kind),
            container("k3d-lab-server-0", "k3d-lab", &k3d("lab", "server")),
        ])
    }

    #[test]
    fn a_cluster_is_found_by_its_context_and_by_a_name_that_only_it_has() {
        let all = several();
        assert_eq!(cluster_of(&all, "a").unwrap().context(), "k3d-a");
        assert_eq!(cluster_of(&all, "kind-lab").unwrap().kind, Kind::Kind);
        for unknown in ["lab", "b"] {
            let fault = cluster_of(&all, unknown).unwrap_err();
            assert_eq!((fault.what, fault.detail.as_str()), (What::NoLocalCluster, "k3d-a, k3d-lab, kind-lab"));
        }
    }

    #[test]
    fn the_node_of_the_control_plane_is_taken_and_never_a_load_balancer() {
        let all = several();
        let a = cluster_of(&all, "a").unwrap();
        let names = |name| gateway_node(a, name).map(|(node, network)| (node.name.as_str(), network));
        assert_eq!(names(None).unwrap(), ("k3d-a-server-0", "k3d-a"));
        assert_eq!(names(Some("k3d-a-agent-0")).unwrap().0, "k3d-a-agent-0");
        let fault = names(Some("k3d-a-server-1")).unwrap_err();
        assert_eq!((fault.what, fault.thing.as_str()), (What::NodeUnknown, "k3d-a-server-1"));
        assert!(fault.detail.contains("k3d-a-agent-0"), "{}", fault.detail);
        let lab = cluster_of(&all, "kind-lab").unwrap();
        assert_eq!(gateway_node(lab, None).unwrap_err().what, What::NodeNetwork);
    }

    #[test]
    fn only_k3d_with_a_load_balancer_can_publish_ports_itself() {
        let all = several();
        let way = |name: &str| cluster_of(&all, name).unwrap().own_way(&["1:2".into(), "3:4/udp".into()]);
        let line = "k3d cluster edit a --port-add 1:2@loadbalancer --port-add 3:4/udp@loadbalancer";
        assert_eq!(way("a").as_deref(), Some(line));
        assert_eq!((way("k3d-lab"), way("kind-lab")), (None, None));
    }
}
