//! Tables of objects as a server prints them, and the systems whose kinds are known by name.

use chrono::{DateTime, Utc};

use crate::types::index::ServedKind;

/// A system that brings kinds of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct System {
    pub name: &'static str,
    /// The command, or the page, that installs it.
    pub how: &'static str,
    /// Its kinds: group, resource, kind.
    kinds: &'static [(&'static str, &'static str, &'static str)],
}

/// The systems that are known, in the order in which they are shown.
pub const SYSTEMS: [System; 4] = [
    System {
        name: "OpenKruise",
        how: "helm repo add openkruise https://openkruise.github.io/charts/ && helm install kruise openkruise/kruise",
        kinds: &[
            ("apps.kruise.io", "clonesets", "CloneSet"),
            ("apps.kruise.io", "statefulsets", "StatefulSet"),
            ("apps.kruise.io", "daemonsets", "DaemonSet"),
            ("apps.kruise.io", "sidecarsets", "SidecarSet"),
            ("apps.kruise.io", "broadcastjobs", "BroadcastJob"),
            ("apps.kruise.io", "advancedcronjobs", "AdvancedCronJob"),
            ("apps.kruise.io", "uniteddeployments", "UnitedDeployment"),
            ("apps.kruise.io", "workloadspreads", "WorkloadSpread"),
            ("apps.kruise.io", "imagepulljobs", "ImagePullJob"),
            ("apps.kruise.io", "imagelistpulljobs", "ImageListPullJob"),
            ("apps.kruise.io", "nodeimages", "NodeImage"),
            ("apps.kruise.io", "containerrecreaterequests", "ContainerRecreateRequest"),
            ("apps.kruise.io", "ephemeraljobs", "EphemeralJob"),
            ("apps.kruise.io", "persistentpodstates", "PersistentPodState"),
            ("apps.kruise.io", "podprobemarkers", "PodProbeMarker"),
            ("apps.kruise.io", "nodepodprobes", "NodePodProbe"),
            ("apps.kruise.io", "resourcedistributions", "ResourceDistribution"),
            ("policy.kruise.io", "podunavailablebudgets", "PodUnavailableBudget"),
            ("rollouts.kruise.io", "rollouts", "Rollout"),
        ],
    },
    System {
        name: "Traefik",
        how: "helm repo add traefik https://traefik.github.io/charts && helm install traefik traefik/traefik",
        kinds: &[
            ("traefik.io", "ingressroutes", "IngressRoute"),
            ("traefik.io", "ingressroutetcps", "IngressRouteTCP"),
            ("traefik.io", "ingressrouteudps", "IngressRouteUDP"),
            ("traefik.io", "middlewares", "Middleware"),
            ("traefik.io", "middlewaretcps", "MiddlewareTCP"),
            ("traefik.io", "traefikservices", "TraefikService"),
            ("traefik.io", "tlsoptions", "TLSOption"),
            ("traefik.io", "tlsstores", "TLSStore"),
            ("traefik.io", "serverstransports", "ServersTransport"),
            ("traefik.io", "serverstransporttcps", "ServersTransportTCP"),
            // Before version 3.
            ("traefik.containo.us", "ingressroutes", "IngressRoute"),
        ],
    },
    System {
        name: "Tailscale",
        how: "helm repo add tailscale https://pkgs.tailscale.com/helmcharts && \
              helm install tailscale-operator tailscale/tailscale-operator",
        kinds: &[
            ("tailscale.com", "connectors", "Connector"),
            ("tailscale.com", "proxyclasses", "ProxyClass"),
            ("tailscale.com", "proxygroups", "ProxyGroup"),
            ("tailscale.com", "proxygrouppolicies", "ProxyGroupPolicy"),
            ("tailscale.com", "dnsconfigs", "DNSConfig"),
            ("tailscale.com", "recorders", "Recorder"),
            ("tailscale.com", "tailnets", "Tailnet"),
            ("tailscale.com", "peerrelays", "PeerRelay"),
        ],
    },
    System {
        name: "K3s upgrade",
        how: "kubectl apply -f https://github.com/rancher/system-upgrade-controller/releases/latest/download/crd.yaml \
              -f https://github.com/rancher/system-upgrade-controller/releases/latest/download/system-upgrade-controller.yaml",
        kinds: &[("upgrade.cattle.io", "plans", "Plan")],
    },
];

impl System {
    /// Returns the place of the system that a group belongs to in the list of them.
    fn place(group: &str) -> Option<usize> {
        SYSTEMS.iter().position(|system| system.kinds.iter().any(|(of, ..)| *of == group))
    }

    /// Returns the system that a group belongs to.
    pub fn of(group: &str) -> Option<&'static Self> {
        SYSTEMS.get(Self::place(group)?)
    }

    /// Returns the custom resource definition that is asked for by a system's name, or by that of a kind, a resource or
    /// a group, and the system that brings it. `None`: no such thing is known.
    pub fn definition(asked: &str) -> Option<(String, &'static Self)> {
        let asked = asked.trim().to_lowercase();
        let all = || SYSTEMS.iter().flat_map(|system| system.kinds.iter().map(move |kind| (kind, system)));
        let named = |(group, plural, kind): &(&str, &str, &str)| {
            *plural == asked || kind.to_lowercase() == asked || format!("{plural}.{group}") == asked
        };
        let by_kind = || all().find(|(kind, _)| named(kind));
        let by_system = || all().find(|(kind, system)| kind.0 == asked || system.name.to_lowercase() == asked);
        let ((group, plural, _), system) = by_kind().or_else(by_system).filter(|_| !asked.is_empty())?;
        Some((format!("{plural}.{group}"), system))
    }
}

/// Sorts kinds as they are shown: those of the known systems first, each in its own order, then other custom ones, then
/// those of Kubernetes.
pub fn sort(kinds: &mut [std::sync::Arc<ServedKind>]) {
    kinds.sort_by_cached_key(|kind| {
        let system = System::place(&kind.group);
        let own = system.and_then(|at| {
            SYSTEMS[at].kinds.iter().position(|(group, plural, _)| *group == kind.group && *plural == kind.plural)
        });
        let built_in = !kind.group.contains('.') || kind.group.ends_with(".k8s.io");
        let rank = system.unwrap_or(SYSTEMS.len() + usize::from(built_in));
        (rank, own.unwrap_or(usize::MAX), kind.group.clone(), kind.kind.clone())
    });
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    pub name: String,
    /// True for one that is shown only if all are wanted.
    pub wide: bool,
}

/// A Service behind a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteService {
    pub namespace: String,
    pub name: String,
    /// Its number or name.
    pub port: Option<String>,
}

/// An object in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    /// Empty if the kind has none.
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// As many as there are columns.
    pub cells: Vec<String>,
    /// The time of its creation.
    pub created: Option<DateTime<Utc>>,
    pub services: Vec<RouteService>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn kind(group: &str, plural: &str) -> Arc<ServedKind> {
        let (group, plural) = (group.to_owned(), plural.to_owned());
        let (kind, version) = (plural.clone(), "v1".to_owned());
        Arc::new(ServedKind { group, version, kind, plural, shorts: Vec::new(), namespaced: true })
    }

    #[test]
    fn known_systems_come_first_and_kubernetes_last() {
        let all = [
            ("", "pods"),
            ("apps", "deployments"),
            ("cert-manager.io", "certificates"),
            ("upgrade.cattle.io", "plans"),
            ("traefik.io", "middlewares"),
            ("traefik.io", "newthings"),
            ("traefik.io", "ingressroutes"),
            ("apps.kruise.io", "clonesets"),
        ];
        let mut all: Vec<_> = all.iter().map(|(group, plural)| kind(group, plural)).collect();
        sort(&mut all);
        let order: Vec<&str> = all.iter().map(|kind| kind.plural.as_str()).collect();
        let wanted =
            ["clonesets", "ingressroutes", "middlewares", "newthings", "plans", "certificates", "pods", "deployments"];
        assert_eq!(order, wanted);
    }

    #[test]
    fn what_is_missing_is_known_by_many_names() {
        for (asked, found) in [
            ("traefik", Some("ingressroutes.traefik.io")),
            ("traefik.io", Some("ingressroutes.traefik.io")),
            ("MiddlewareTCP", Some("middlewaretcps.traefik.io")),
            ("plan", Some("plans.upgrade.cattle.io")),
            ("clonesets.apps.kruise.io", Some("clonesets.apps.kruise.io")),
            ("tailscale", Some("connectors.tailscale.com")),
            ("", None),
            ("pod", None),
        ] {
            assert_eq!(System::definition(asked).map(|(crd, _)| crd).as_deref(), found, "{asked}");
        }
    }
}
