//! The addresses of a cluster's nodes, by a watch and without polling, and whether this machine reaches one by itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use http::Request;
use k8s_openapi::api::core::v1::{Endpoints, Node};
use kube::client::Body;
use kube::config::AuthInfo;
use kube::runtime::watcher;
use kube::{Api, ResourceExt as _};
use tokio::time::{Instant, timeout};

use super::{Clusters, Watch, connector, watch_fault};
use crate::events::EventSender;
use brow_model::address::{Address, Host};
use brow_model::backend::Backend;
use brow_model::event::ForwardEvent;
use brow_model::fault::{Fault, What};
use brow_model::node::NodePort;
use brow_model::proxy::PodKey;
use brow_model::route::Via;
use kube_tunnel::Login;

/// The time within which a node answers that this machine reaches by itself.
const REACH_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The time for which a node that did not is not tried again.
const UNREACHED_TTL: Duration = Duration::from_mins(5);
/// The most nodes that are kept.
const MAX_NODES: usize = 1_000;

/// The port of the nodes that is looked for.
#[derive(Debug, Clone)]
pub struct NodeQuery {
    /// The kubeconfig context.
    pub cluster: String,
    pub port: NodePort,
    /// True if the cluster is one of this machine, whose nodes it may reach by itself.
    pub is_local: bool,
}

/// A node, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KnownNode {
    ip: IpAddr,
    uid: String,
    created: DateTime<Utc>,
    is_ready: bool,
    is_control_plane: bool,
}

struct Reporter {
    query: NodeQuery,
    events: EventSender<ForwardEvent>,
    reported: Option<ForwardEvent>,
}

/// Watches the nodes of a cluster and reports every change of the address to use, until it is dropped.
pub async fn follow(clusters: Clusters, query: NodeQuery, events: EventSender<ForwardEvent>) {
    let cluster = query.cluster.clone();
    let mut state = (clusters.clone(), Reporter { query, events, reported: None });
    let following = clusters.with_logins(&cluster, &mut state, |(clusters, reporter), login| {
        let following = async move {
            match login {
                Ok(login) => reporter.follow(clusters, &login).await,
                Err(fault) => {
                    reporter.tell(ForwardEvent::LookupFailed(fault)).await;
                    return false;
                }
            }
            true
        };
        following.boxed()
    });
    following.await;
}

impl Reporter {
    /// Watches with one login. Never completes.
    async fn follow(&mut self, clusters: &Clusters, login: &Login) {
        let api: Api<Node> = Api::all(login.client.clone());
        let cluster = self.query.cluster.clone();
        let mut stream = Watch::new(clusters, &cluster, login, api, watcher::Config::default());
        let mut known: BTreeMap<String, KnownNode> = BTreeMap::new();
        let mut listing = BTreeMap::new();
        loop {
            match stream.next().await {
                Ok(watcher::Event::Init) => {
                    listing.clear();
                    continue;
                }
                Ok(watcher::Event::InitApply(node)) => {
                    if let Some(read) = read(&node).filter(|_| listing.len() < MAX_NODES) {
                        listing.insert(node.name_any(), read);
                    }
                    continue;
                }
                Ok(watcher::Event::InitDone) => known = std::mem::take(&mut listing),
                Ok(watcher::Event::Apply(node)) => {
                    let (name, read) = (node.name_any(), read(&node));
                    // Its heartbeat.
                    if known.get(&name) == read.as_ref() {
                        continue;
                    }
                    match read {
                        Some(read) if known.len() < MAX_NODES => drop(known.insert(name, read)),
                        Some(_) | None => drop(known.remove(&name)),
                    }
                }
                Ok(watcher::Event::Delete(node)) => drop(known.remove(&node.name_any())),
                Err(error) => {
                    let (_, fault) = watch_fault(&cluster, &error, "nodes", None);
                    // Outages are reported by the cluster's probe.
                    if matches!(fault.what, What::Forbidden | What::Unauthorized | What::PluginFailed) {
                        self.tell(ForwardEvent::LookupFailed(fault)).await;
                    }
                    continue;
                }
            }
            self.report(clusters, login, &known).await;
        }
    }

    /// Reports the address to use: that of a node which this machine reaches, else of one for a proxy pod.
    async fn report(&mut self, clusters: &Clusters, login: &Login, known: &BTreeMap<String, KnownNode>) {
        let NodePort { number, transport } = self.query.port;
        if let Some((name, node)) = self.reached(clusters, login, known).await {
            let pod = PodKey { cluster: self.query.cluster.clone(), namespace: String::new(), name: name.clone() };
            let at = SocketAddr::new(node.ip, number);
            let via = Via { pod, uid: node.uid.clone(), port: number, to: None, node: Some(at) };
            let backend = Backend { via, ready: node.is_ready, created: node.created };
            return self.tell(ForwardEvent::Backends(vec![backend])).await;
        }
        let event = match first(known) {
            Some((_, node)) => {
                let host = match node.ip {
                    IpAddr::V4(ip) => Host::V4(ip),
                    IpAddr::V6(ip) => Host::V6(ip),
                };
                ForwardEvent::Relay(Address { host, port: number, transport })
            }
            None => ForwardEvent::NoBackend(Fault::new(What::NoNodes, &self.query.cluster, "")),
        };
        self.tell(event).await;
    }

    /// Finds a node of a local cluster that this machine reaches by itself: the one with the API server, if that
    /// answers there with the cluster's certificate. Another machine may have the same address, in a network with the
    /// same numbers.
    async fn reached<'a>(
        &self,
        clusters: &Clusters,
        login: &Login,
        known: &'a BTreeMap<String, KnownNode>,
    ) -> Option<(&'a String, &'a KnownNode)> {
        let context = &self.query.cluster;
        let unreached = || clusters.state.unreached.lock();
        if !self.query.is_local || unreached().get(context).is_some_and(|until| Instant::now() < *until) {
            return None;
        }
        for server in servers(login).await {
            let Some(found) = known.iter().find(|(_, node)| node.ip == server.ip()) else { continue };
            if is_server_of(clusters, context, server).await {
                return Some(found);
            }
        }
        unreached().insert(context.clone(), Instant::now() + UNREACHED_TTL);
        None
    }

    async fn tell(&mut self, event: ForwardEvent) {
        if self.reported.as_ref() != Some(&event) {
            self.reported = Some(event.clone());
            self.events.send(event).await;
        }
    }
}

/// Reads a node; `None` if it has no address within the cluster.
fn read(node: &Node) -> Option<KnownNode> {
    let status = node.status.as_ref()?;
    let mut addresses = status.addresses.iter().flatten();
    let ip = addresses.find(|address| address.type_ == "InternalIP")?.address.parse().ok()?;
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    let created = node.creation_timestamp();
    let roles = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];
    Some(KnownNode {
        ip,
        uid: node.uid().unwrap_or_default(),
        created: created.and_then(|at| DateTime::from_timestamp(at.0.as_second(), 0)).unwrap_or_default(),
        is_ready: ready.is_some_and(|condition| condition.status == "True"),
        is_control_plane: roles.iter().any(|role| node.labels().contains_key(*role)),
    })
}

/// Returns the node to use: one that is ready, with the control plane if possible.
fn first(known: &BTreeMap<String, KnownNode>) -> Option<(&String, &KnownNode)> {
    known.iter().min_by_key(|(name, node)| (!node.is_ready, !node.is_control_plane, (*name).clone()))
}

/// Returns the addresses at which the cluster's own network knows its API servers; none if we may not know.
async fn servers(login: &Login) -> Vec<SocketAddr> {
    let api: Api<Endpoints> = Api::namespaced(login.client.clone(), "default");
    let Ok(Ok(endpoints)) = timeout(REACH_TIMEOUT, api.get("kubernetes")).await else { return Vec::new() };
    let subsets = endpoints.subsets.into_iter().flatten();
    let of_subset = subsets.flat_map(|subset| {
        let port = subset.ports.iter().flatten().find_map(|port| u16::try_from(port.port).ok());
        let ips = subset.addresses.into_iter().flatten().filter_map(|address| address.ip.parse::<IpAddr>().ok());
        ips.filter_map(move |ip| Some(SocketAddr::new(ip, port?))).collect::<Vec<_>>()
    });
    of_subset.collect()
}

/// Returns true if the API server of a context answers at an address, proved by its certificate. No credential is sent.
async fn is_server_of(clusters: &Clusters, context: &str, at: SocketAddr) -> bool {
    let Ok(mut config) = clusters.loaded().config(context) else { return false };
    if config.accept_invalid_certs {
        return false;
    }
    let host = config.cluster_url.host().map(|host| host.trim_matches(['[', ']']).to_owned());
    let Ok(url) = format!("https://{at}").parse() else { return false };
    config.tls_server_name = config.tls_server_name.take().or(host);
    (config.cluster_url, config.proxy_url, config.auth_info) = (url, None, AuthInfo::default());
    let Ok(client) = connector::client(&config) else { return false };
    let Ok(request) = Request::get("/version").body(Body::empty()) else { return false };
    // Any answer will do: a refusal has the certificate as well.
    matches!(timeout(REACH_TIMEOUT, client.send(request)).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(ip: &str, ready: &str, labels: &serde_json::Value) -> Option<KnownNode> {
        let node = json!({
            "metadata": { "name": "n", "uid": "1", "labels": labels },
            "status": {
                "addresses": [{ "type": "Hostname", "address": "n" }, { "type": "InternalIP", "address": ip }],
                "conditions": [{ "type": "Ready", "status": ready }],
            },
        });
        read(&serde_json::from_value(node).unwrap())
    }

    #[test]
    fn a_ready_node_is_taken_best_with_the_control_plane() {
        let plane = json!({ "node-role.kubernetes.io/control-plane": "" });
        let known = |all: &[(&str, KnownNode)]| -> BTreeMap<String, KnownNode> {
            all.iter().map(|(name, node)| ((*name).to_owned(), node.clone())).collect()
        };
        let worker = node("172.18.0.3", "True", &json!({})).unwrap();
        let server = node("172.18.0.2", "True", &plane).unwrap();
        let down = node("172.18.0.2", "Unknown", &plane).unwrap();
        let name = |all: &[(&str, KnownNode)]| first(&known(all)).map(|(name, _)| name.clone());
        assert_eq!(name(&[("a", worker.clone()), ("b", server)]).as_deref(), Some("b"));
        assert_eq!(name(&[("a", worker), ("b", down.clone())]).as_deref(), Some("a"));
        assert_eq!(name(&[("b", down)]).as_deref(), Some("b"), "better than none");
        assert_eq!(name(&[]), None);
        assert_eq!(node("none", "True", &json!({})), None);
    }
}
