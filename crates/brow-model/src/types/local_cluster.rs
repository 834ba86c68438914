//! Clusters in containers of this machine, told by their context.

use std::net::IpAddr;

/// The program that made a local cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LocalKind {
    K3d,
    Kind,
    Minikube,
}

impl LocalKind {
    /// Tells a local cluster by its context's name and its API server's URL, as its program writes them. The engine is
    /// not asked: a context may look like one and be none.
    pub fn of(context: &str, server: &str) -> Option<Self> {
        let host = host_of(server);
        if context.starts_with("k3d-") {
            // k3d listens on all addresses, and names its load balancer within the cluster's network.
            return (is_this_machine(host) || host == format!("{context}-serverlb")).then_some(Self::K3d);
        }
        if context.starts_with("kind-") {
            return is_this_machine(host).then_some(Self::Kind);
        }
        // Its driver publishes a port on loopback, or the node's own address is used.
        let is_private = host.parse::<IpAddr>().is_ok_and(|ip| matches!(ip, IpAddr::V4(ip) if ip.is_private()));
        (context == "minikube" && (is_this_machine(host) || is_private)).then_some(Self::Minikube)
    }

    /// Returns its name, as its program is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::K3d => "k3d",
            Self::Kind => "kind",
            Self::Minikube => "minikube",
        }
    }
}

/// Returns the host of a URL, without the brackets of an IPv6 address.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

/// Returns true if a host is this machine itself, under a name that engines give it, too.
fn is_this_machine(host: &str) -> bool {
    let known = ["localhost", "host.docker.internal", "kubernetes.docker.internal"];
    known.contains(&host) || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_clusters_are_told_by_name_and_server() {
        for (context, server, kind) in [
            ("k3d-lab", "https://0.0.0.0:38541", Some(LocalKind::K3d)),
            ("k3d-lab", "https://127.0.0.1:6445", Some(LocalKind::K3d)),
            ("k3d-lab", "https://[::1]:6445/x", Some(LocalKind::K3d)),
            ("k3d-lab", "https://host.docker.internal:6445", Some(LocalKind::K3d)),
            ("k3d-lab", "https://k3d-lab-serverlb:6443", Some(LocalKind::K3d)),
            ("k3d-lab", "https://k3d.example.com:6443", None),
            ("kind-lab", "https://127.0.0.1:41033", Some(LocalKind::Kind)),
            ("kind-lab", "https://10.0.0.7:6443", None),
            ("minikube", "https://192.168.49.2:8443", Some(LocalKind::Minikube)),
            ("minikube", "https://127.0.0.1:32769", Some(LocalKind::Minikube)),
            ("minikube", "https://203.0.113.7:8443", None),
            ("lab", "https://127.0.0.1:6443", None),
            ("k3d-lab", "", None),
        ] {
            assert_eq!(LocalKind::of(context, server), kind, "{context} {server}");
        }
    }
}
