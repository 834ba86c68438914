//! The pod of a shell on a node: privileged, in all of the node's namespaces, and of short life.
//!
//! Kubernetes ends it whatever becomes of us: at its deadline, and with the connection to its standard input.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec, ResourceRequirements, SecurityContext, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::debug::HOLD;
use super::spec::random;
use super::{CREATED_AT, INSTALLATION, MANAGED_BY, NONCE, ON_DEMAND, OWNER, TARGET, TTL};
use brow_model::installation::Identity;
use brow_model::ttl::Ttl;

/// The life of the pod.
pub const NODE_TTL: &str = "30m";

/// The name of the container.
pub const NODE_CONTAINER: &str = "node";

/// The label of these pods in place of a target's. No forward goes through one: it is on demand, of another run.
const LABEL: &str = "node-shell";

/// Enters the namespaces of the node's first process. Its first argument is the terminal's type.
const ENTER: &str = "TERM=$1; export TERM; shift; exec nsenter -t 1 -m -u -i -n -p -- \"$@\"";

/// Runs the node's bash where there is one, else its sh.
const LOGIN: &str = "command -v bash >/dev/null 2>&1 && exec bash -l; exec sh -l";

/// A shell on a node that is to be opened.
#[derive(Debug, Clone)]
pub struct NodeShell<'a> {
    pub node: &'a str,
    pub namespace: &'a str,
    /// An image with sh and nsenter.
    pub image: &'a str,
}

/// The random values of its pod.
#[derive(Debug, Clone)]
pub struct NewNodePod {
    pub name: String,
    pub nonce: String,
}

impl NewNodePod {
    /// Chooses a random name and a nonce.
    pub fn random() -> Self {
        Self { name: format!("brow-node-{}", random()), nonce: format!("{:032x}", rand::random::<u128>()) }
    }
}

/// The reason why a node has no shell to enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoShell {
    Windows,
    Talos,
    Bottlerocket,
}

/// Returns the reason why a node has no shell, if its object tells of one.
pub fn no_shell(node: &Node) -> Option<NoShell> {
    let label = node.metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/os"));
    let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
    let system = label.map_or_else(|| info.map_or("", |info| info.operating_system.as_str()), String::as_str);
    let image = info.map_or("", |info| info.os_image.as_str());
    if system == "windows" {
        Some(NoShell::Windows)
    } else if image.starts_with("Talos") {
        Some(NoShell::Talos)
    } else if image.starts_with("Bottlerocket") {
        Some(NoShell::Bottlerocket)
    } else {
        None
    }
}

/// Builds the pod.
pub fn node_pod(shell: &NodeShell<'_>, me: &Identity, new_pod: &NewNodePod, now: DateTime<Utc>) -> Pod {
    let ttl: Option<Ttl> = NODE_TTL.parse().ok();
    let labels = [(MANAGED_BY.0, MANAGED_BY.1), (TARGET, LABEL)];
    let annotations = [
        (CREATED_AT, now.to_rfc3339_opts(SecondsFormat::Secs, true)),
        (TTL, NODE_TTL.to_owned()),
        (OWNER, me.owner.clone()),
        (INSTALLATION, me.installation.id().to_owned()),
        (NONCE, new_pod.nonce.clone()),
        (ON_DEMAND, "true".to_owned()),
        (TARGET, format!("node/{}", shell.node)),
    ];
    Pod {
        metadata: ObjectMeta {
            name: Some(new_pod.name.clone()),
            namespace: Some(shell.namespace.to_owned()),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            annotations: Some(annotations.map(|(name, value)| (name.to_owned(), value)).into()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            // Past the scheduler: a cordoned node, too.
            node_name: Some(shell.node.to_owned()),
            tolerations: Some(vec![Toleration { operator: Some("Exists".to_owned()), ..Toleration::default() }]),
            host_pid: Some(true),
            host_network: Some(true),
            host_ipc: Some(true),
            restart_policy: Some("Never".to_owned()),
            active_deadline_seconds: ttl.map(|ttl| ttl.secs().into()),
            termination_grace_period_seconds: Some(1),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            containers: vec![container(shell)],
            ..PodSpec::default()
        }),
        status: None,
    }
}

/// Returns the command that enters the node and runs a command there; without one, the node's shell.
pub fn node_command(command: &[String], term: &str) -> Vec<String> {
    let login = ["sh", "-c", LOGIN].map(str::to_owned);
    let command = if command.is_empty() { login.as_slice() } else { command };
    ["sh", "-c", ENTER, "sh", term].map(str::to_owned).iter().chain(command).cloned().collect()
}

fn container(shell: &NodeShell<'_>) -> Container {
    let amounts = |all: [(&str, &str); 2]| -> BTreeMap<String, Quantity> {
        all.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).into()
    };
    Container {
        name: NODE_CONTAINER.to_owned(),
        image: Some(shell.image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(HOLD.map(str::to_owned).to_vec()),
        stdin: Some(true),
        stdin_once: Some(true),
        security_context: Some(SecurityContext { privileged: Some(true), ..SecurityContext::default() }),
        resources: Some(ResourceRequirements {
            requests: Some(amounts([("cpu", "5m"), ("memory", "16Mi")])),
            limits: Some(amounts([("cpu", "1"), ("memory", "512Mi")])),
            ..ResourceRequirements::default()
        }),
        ..Container::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kubernetes_ends_the_pod_whatever_becomes_of_us() {
        let me = Identity { owner: "ann@ship".to_owned(), installation: crate::store::throwaway() };
        let shell = NodeShell { node: "n1", namespace: "ops", image: "busybox" };
        let new_pod = NewNodePod { name: "brow-node-x".to_owned(), nonce: "n".to_owned() };
        let pod = serde_json::to_value(node_pod(&shell, &me, &new_pod, Utc::now())).unwrap();
        let spec = &pod["spec"];
        assert_eq!(spec["activeDeadlineSeconds"], 1_800);
        assert_eq!((&spec["nodeName"], &spec["tolerations"]), (&json!("n1"), &json!([{ "operator": "Exists" }])));
        for host in ["hostPID", "hostNetwork", "hostIPC"] {
            assert_eq!(spec[host], true, "{host}");
        }
        let container = &spec["containers"][0];
        // With a terminal it would outlive the connection.
        assert_eq!(
            (&container["stdin"], &container["stdinOnce"], &container["tty"]),
            (&json!(true), &json!(true), &json!(null))
        );
        assert_eq!(container["securityContext"], json!({ "privileged": true }));
        let command = node_command(&["cat".to_owned(), "/etc/os-release; $(id) $$".to_owned()], "xterm");
        assert_eq!(command[4..], ["xterm", "cat", "/etc/os-release; $(id) $$"]);
        assert_eq!((&spec["restartPolicy"], &spec["automountServiceAccountToken"]), (&json!("Never"), &json!(false)));
        // The dashboard shows it as ours, and its cleanups find it; no forward goes through it.
        let row = crate::proxy::project("dev", &serde_json::from_value(pod).unwrap()).unwrap();
        assert_eq!((row.target.as_str(), row.owner.as_str(), row.on_demand), ("node/n1", "ann@ship", true));
        assert_eq!(row.ttl.map(Ttl::secs), Some(1_800));
    }

    #[test]
    fn nodes_without_a_shell_are_told_apart() {
        for (system, image, wanted) in [
            ("windows", "Windows Server 2022 Datacenter", Some(NoShell::Windows)),
            ("linux", "Talos (v1.9.0)", Some(NoShell::Talos)),
            ("linux", "Bottlerocket OS 1.26.1 (aws-k8s-1.31)", Some(NoShell::Bottlerocket)),
            ("linux", "Debian GNU/Linux 12 (bookworm)", None),
        ] {
            let node = json!({
                "metadata": { "name": "n", "labels": { "kubernetes.io/os": system } },
                "status": { "nodeInfo": {
                    "osImage": image, "operatingSystem": system, "architecture": "", "bootID": "",
                    "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "",
                    "machineID": "", "systemUUID": "",
                } },
            });
            assert_eq!(no_shell(&serde_json::from_value(node).unwrap()), wanted, "{image}");
        }
    }
}
