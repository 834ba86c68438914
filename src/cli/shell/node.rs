//! `shell node/NAME`: a privileged pod on the node, told of before, and deleted afterwards.

use std::time::Duration;

use chrono::{Local, Utc};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{ListParams, PostParams};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::hold::Hold;
use super::resolve::{Refused, agreed};
use crate::cli::consent;
use crate::cli::print::{self, Failure};
use crate::cli::signals::Signals;
use crate::cluster::{self, Clusters};
use crate::proxy::{self, NODE_CONTAINER, NODE_TTL, NewNodePod, NoShell, NodeShell};
use crate::store::PodLedger;
use crate::text::Text;
use brow_model::fault::{Fault, Remedy, What};
use brow_model::installation::Identity;
use brow_model::near::near;
use brow_model::proxy::{Phase, PodKey};
use brow_model::shell::NodeSession;
use brow_model::ttl::Ttl;
use brow_model::workload::is_dns_name;

/// The longest wait for the pod to run.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// The interval at which it is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The time before the end at which it is said.
const WARNING_TIME: Duration = Duration::from_mins(5);
/// The namespace that admits privileged pods in most clusters.
const SYSTEM_NAMESPACE: &str = "kube-system";
/// The most names that are searched for a similar one.
const MAX_NAMES: u32 = 500;

/// A shell on a node that is asked for.
pub(super) struct NodeShellRequest<'a> {
    pub clusters: &'a Clusters,
    pub me: &'a Identity,
    pub ledger: &'a PodLedger,
    pub text: &'a Text,
    pub cluster: &'a str,
    pub shell: NodeShell<'a>,
    /// Nobody is to be asked.
    pub yes: bool,
    /// The namespace of the config.
    pub other_namespace: Option<&'a str>,
}

/// The pod of a shell on a node. It is to be [deleted](NodePod::delete), however the session ends.
pub(super) struct NodePod {
    clusters: Clusters,
    pub key: PodKey,
    uid: String,
    began: Instant,
    /// The node's name.
    node: String,
}

/// The time at which Kubernetes ends a session on a node.
pub(super) struct NodeEnd {
    /// As a clock shows it.
    pub clock: String,
    /// The time at which it is said.
    pub warn_at: Instant,
}

impl NodeShellRequest<'_> {
    /// Creates the pod, once it is sure that it may be and that it is wanted.
    ///
    /// # Errors
    /// The reason: no such node, one without a shell, missing rights, a namespace that does not admit it, a
    /// person who does not want it.
    pub(super) async fn create(&self, signals: &mut Signals) -> Result<NodePod, Refused> {
        if !is_dns_name(self.shell.node) {
            return Err(Failure::usage(self.text.get("cli.shell-place")).into());
        }
        self.check_node().await?;
        self.check_rights().await?;
        let new_pod = NewNodePod::random();
        let pod = proxy::node_pod(&self.shell, self.me, &new_pod, Utc::now());
        let client = self.clusters.client(self.cluster).await?;
        let api: Api<Pod> = Api::namespaced(client, self.shell.namespace);
        // Admission is asked before a person is.
        let trial = PostParams { dry_run: true, ..PostParams::default() };
        if let Err(error) = api.create(&trial, &pod).await {
            return Err(self.refused(&error, &new_pod).await.into());
        }
        self.ask(signals).await?;
        if let Ok(ttl) = NODE_TTL.parse() {
            let asked = self.ledger.asked(&new_pod.nonce, self.shell.namespace, &new_pod.name, ttl);
            asked.unwrap_or_else(|fault| print::err(&self.text.fault_once(&fault).in_full()));
        }
        let began = Instant::now();
        let stored = match api.create(&PostParams::default(), &pod).await {
            Ok(stored) => stored,
            Err(error) => return Err(self.refused(&error, &new_pod).await.into()),
        };
        let uid = stored.metadata.uid.unwrap_or_default();
        let recorded = self.ledger.stored(&new_pod.nonce, &uid);
        recorded.unwrap_or_else(|fault| print::err(&self.text.fault_once(&fault).in_full()));
        let (cluster, namespace) = (self.cluster.to_owned(), self.shell.namespace.to_owned());
        let key = PodKey { cluster, namespace, name: new_pod.name };
        Ok(NodePod { clusters: self.clusters.clone(), key, uid, began, node: self.shell.node.to_owned() })
    }

    /// Checks that the node is there, and has a shell. Whoever may not read nodes learns it from the pod.
    async fn check_node(&self) -> Result<(), Refused> {
        let nodes: Api<Node> = Api::all(self.clusters.client(self.cluster).await?);
        let node = match nodes.get_opt(self.shell.node).await {
            Ok(Some(node)) => node,
            Ok(None) => {
                let listed = nodes.list_metadata(&ListParams::default().limit(MAX_NAMES)).await;
                let names = listed.map(|list| list.items.into_iter().filter_map(|node| node.metadata.name).collect());
                let names: Vec<String> = names.unwrap_or_default();
                let near = near(self.shell.node, names.iter().map(String::as_str)).join(", ");
                let thing = format!("node/{} ({})", self.shell.node, self.cluster);
                return Err(Fault::new(What::WorkloadMissing, thing, near).into());
            }
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(()),
            Err(error) => return Err(cluster::fault(self.cluster, &error, None).1.into()),
        };
        let key = match proxy::no_shell(&node) {
            None => return Ok(()),
            Some(NoShell::Windows) => "cli.node-windows",
            Some(NoShell::Talos) => "cli.node-talos",
            Some(NoShell::Bottlerocket) => "cli.node-bottlerocket",
        };
        Err(Failure::usage(self.text.fill(key, &[("thing", self.shell.node)])).into())
    }

    /// Checks all rights at once, the one to delete the pod included, before there is anything to be left behind.
    async fn check_rights(&self) -> Result<(), Fault> {
        let needs = [
            ("create", "pods"),
            ("get", "pods"),
            ("create", "pods/attach"),
            ("create", "pods/exec"),
            ("delete", "pods"),
        ];
        let grants = needs.map(|(verb, resource)| cluster::grant(verb, resource, Some(self.shell.namespace)));
        let has = cluster::may(self.clusters, self.cluster, &grants).await?;
        match grants.into_iter().zip(has).find(|(_, has)| !has) {
            Some((grant, _)) => Err(Fault::new(What::Forbidden, self.cluster, "").with(Remedy::Grant(grant))),
            None => Ok(()),
        }
    }

    /// Returns the fault of a refusal, with the namespace that would admit the pod.
    async fn refused(&self, error: &kube::Error, new_pod: &NewNodePod) -> Fault {
        let asked = cluster::grant("create", "pods", Some(self.shell.namespace));
        let place = format!("node/{} ({}/{})", self.shell.node, self.cluster, self.shell.namespace);
        let (_, fault) = cluster::fault(self.cluster, error, Some(asked));
        match fault.what {
            What::PodSecurity | What::Admission | What::Quota | What::Invalid => {
                let others = [self.other_namespace, Some(SYSTEM_NAMESPACE)];
                let mut hint = self.text.fill("cli.node-not-admitted", &[("thing", self.shell.namespace)]);
                for other in others.into_iter().flatten().filter(|other| *other != self.shell.namespace) {
                    if self.would_admit(other, new_pod).await {
                        let with = [("thing", self.shell.namespace), ("name", other)];
                        hint = self.text.fill("cli.node-admitted-by", &with);
                        break;
                    }
                }
                Fault { thing: place, detail: format!("{}\n{hint}", fault.detail), ..fault }
            }
            _ => fault,
        }
    }

    /// Asks another namespace's admission, by a dry run.
    async fn would_admit(&self, namespace: &str, new_pod: &NewNodePod) -> bool {
        let Ok(client) = self.clusters.client(self.cluster).await else { return false };
        let pod = proxy::node_pod(&NodeShell { namespace, ..self.shell }, self.me, new_pod, Utc::now());
        let trial = PostParams { dry_run: true, ..PostParams::default() };
        Api::<Pod>::namespaced(client, namespace).create(&trial, &pod).await.is_ok()
    }

    /// Says what the pod is given, and asks whether it may be.
    async fn ask(&self, signals: &mut Signals) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        let with = [
            ("thing", self.shell.node),
            ("cluster", self.cluster),
            ("namespace", self.shell.namespace),
            ("ttl", NODE_TTL),
            ("image", self.shell.image),
        ];
        if !consent::can_ask() {
            return Err(Failure::usage(self.text.fill("cli.node-say-yes", &with)));
        }
        print::err(&self.text.fill("cli.node-ask", &with));
        agreed(self.text, signals).await
    }
}

impl NodePod {
    /// Returns the time of its end.
    pub(super) fn end(&self) -> NodeEnd {
        let (left, before) = time_left(self.began.elapsed());
        let clock = (Local::now() + left).format("%H:%M").to_string();
        NodeEnd { clock, warn_at: Instant::now() + before }
    }

    /// Returns what other instances are told of it.
    pub(super) fn report(&self) -> NodeSession {
        NodeSession { name: self.node.clone(), ends: Utc::now() + time_left(self.began.elapsed()).0 }
    }

    /// Waits until the pod runs, and connects to it.
    ///
    /// # Errors
    /// The reason why it does not run, or cannot be connected to.
    pub(super) async fn hold(&self, signals: &mut Signals) -> Result<Hold, Refused> {
        let holding = async {
            let late = |_| Fault::new(What::TimedOut, &self.key.name, "");
            timeout(START_TIMEOUT, self.runs()).await.map_err(late)??;
            Hold::attach(&self.clusters, &self.key, NODE_CONTAINER).await
        };
        tokio::select! {
            biased;
            number = signals.next() => Err(Refused::ended(number)),
            held = holding => Ok(held?),
        }
    }

    /// Waits until the pod runs.
    async fn runs(&self) -> Result<(), Fault> {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let gone = || Fault::new(What::PodDeleted, &self.key.name, "");
            let pod = self.get().await?.ok_or_else(gone)?;
            let Some(row) = proxy::project(&self.key.cluster, &pod) else { return Err(gone()) };
            match (row.phase, row.fault) {
                (Phase::Ready | Phase::Starting, _) => return Ok(()),
                (_, Some(fault)) => return Err(fault),
                (Phase::Succeeded | Phase::Failed | Phase::Expired | Phase::Terminating, None) => return Err(gone()),
                (Phase::Creating | Phase::Pending | Phase::Pulling, None) => {}
            }
        }
    }

    async fn get(&self) -> Result<Option<Pod>, Fault> {
        let api: Api<Pod> = Api::namespaced(self.clusters.client(&self.key.cluster).await?, &self.key.namespace);
        let found = api.get_opt(&self.key.name).await;
        found.map_err(|error| {
            let asked = cluster::grant("get", "pods", Some(&self.key.namespace));
            cluster::fault(&self.key.cluster, &error, Some(asked)).1
        })
    }

    /// Deletes the pod. Where that fails, Kubernetes ends it at its deadline.
    pub(super) async fn delete(&self, text: &Text) {
        if let Err(fault) = proxy::delete(&self.clusters, &self.key, &self.uid).await {
            print::err(&text.fault_once(&fault).in_full());
            print::err(&text.fill("cli.pod-remains-for", &[("thing", &self.key.name), ("time", NODE_TTL)]));
        }
    }
}

/// Returns the time that is left of a pod's life, and the time until that is said.
fn time_left(elapsed: Duration) -> (Duration, Duration) {
    let left = NODE_TTL.parse::<Ttl>().map_or(Duration::ZERO, Ttl::duration).saturating_sub(elapsed);
    (left, left.saturating_sub(WARNING_TIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_said_five_minutes_before() {
        let minutes = Duration::from_mins;
        assert_eq!(time_left(minutes(1)), (minutes(29), minutes(24)));
        assert_eq!(time_left(minutes(27)), (minutes(3), minutes(0)));
        assert_eq!(time_left(minutes(31)), (minutes(0), minutes(0)));
    }
}
