//! The steps on the way to something in a cluster, to find the one that fails.
//!
//! Every step is judged by itself, as far as rights go: one that cannot be judged keeps no other from being taken.

mod network;
mod policy;
mod probe;
mod read;

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cluster::Clusters;
use crate::cluster::workload::{self, Behind, Query};
use brow_model::address::{Address, Host, Transport};
use brow_model::fault::{Fault, What};
use brow_model::node::NodePort;
use brow_model::why::{Check, CheckedDestination, Question, Step, Verdict};
use brow_model::workload::{Kind, Port, Workload};
use network::Network;
use policy::{Client, Decision, Labels, Server};

/// The longest wait for the answers to one step's requests.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);

/// Takes the steps. A proxy pod that is created for it is deleted before this returns, also once `stop` is cancelled.
pub async fn run(clusters: &Clusters, question: &Question, stop: &CancellationToken) -> Vec<Check> {
    let mut chain =
        Chain { clusters, question, transport: Transport::Tcp, node: None, thing: String::new(), checks: Vec::new() };
    match &question.destination {
        CheckedDestination::Address(address) => chain.connect(address, stop).await,
        CheckedDestination::Node(port) => chain.follow_node(*port, stop).await,
        CheckedDestination::Workload { kind, name, port, transport } => {
            chain.transport = *transport;
            let query = query(question, &question.namespace, kind, name, port.as_ref());
            chain.follow(&query, port.as_ref(), stop).await;
        }
    }
    chain.checks.sort_by_key(|check| check.step);
    chain.checks
}

/// Makes a query for a workload. Where the port is not known yet, none is asked for.
fn query(question: &Question, namespace: &str, kind: &Kind, name: &str, port: Option<&Port>) -> Query {
    let workload = Workload {
        spread: false,
        kind: kind.clone(),
        name: name.to_owned(),
        port: port.cloned().unwrap_or(Port::Number(1)),
        more: Vec::new(),
        wait: None,
        proxy: false,
    };
    Query { cluster: question.cluster.clone(), namespace: namespace.to_owned(), workload }
}

/// Returns the step of which nothing is known for a mistake of ours.
pub fn broken(fault: Fault) -> Check {
    let found = fault.thing.clone();
    Check { step: Step::Exists, verdict: Verdict::Unknown(fault), found, took: None }
}

struct Chain<'a> {
    clusters: &'a Clusters,
    question: &'a Question,
    transport: Transport,
    /// The address of a node's port, by which a service is reached.
    node: Option<Result<Address, Fault>>,
    /// The name of that port.
    thing: String,
    checks: Vec<Check>,
}

/// A pod that is connected to, and its port.
struct Backend<'a> {
    pod: &'a Pod,
    port: u16,
}

impl Chain<'_> {
    fn add(&mut self, step: Step, verdict: Verdict, found: impl Into<String>) {
        self.checks.push(Check { step, verdict, found: found.into(), took: None });
    }

    fn slow(&self) -> Fault {
        let words = format!("no answer within {} s", STEP_TIMEOUT.as_secs());
        Fault::new(What::TimedOut, &self.question.cluster, words)
    }

    /// Takes the steps to a port of the nodes: those to the service that has it, and a connection to a node.
    async fn follow_node(&mut self, port: NodePort, stop: &CancellationToken) {
        self.transport = port.transport;
        self.thing = format!("node/{port}");
        let reading = async {
            tokio::join!(
                read::node_service(self.clusters, self.question, port),
                read::node_address(self.clusters, &self.question.cluster, port)
            )
        };
        let Some(read) = stop.run_until_cancelled(timeout(STEP_TIMEOUT, reading)).await else { return };
        let (service, address) = read.unwrap_or_else(|_| (Err(self.slow()), Err(self.slow())));
        self.node = Some(address);
        match service {
            Ok(service) => {
                let port = Port::Number(service.port);
                let query = query(self.question, &service.namespace, &Kind::Service, &service.name, Some(&port));
                self.follow(&query, Some(&port), stop).await;
            }
            // A server on the nodes themselves may have it.
            Err(fault) => {
                self.add(Step::Exists, Verdict::Unknown(fault), self.thing.clone());
                self.reach(None, stop).await;
            }
        }
    }

    /// Takes the steps to a workload.
    async fn follow(&mut self, query: &Query, port: Option<&Port>, stop: &CancellationToken) {
        let thing = workload::thing(query);
        let asking = timeout(STEP_TIMEOUT, workload::survey(self.clusters, query));
        let Some(asked) = stop.run_until_cancelled(asking).await else { return };
        let survey = match asked.unwrap_or_else(|_| Err(self.slow())) {
            Ok(survey) => survey,
            Err(fault) => {
                let missing = workload::is_missing(&fault);
                let verdict = if missing { Verdict::Failed(fault) } else { Verdict::Unknown(fault) };
                self.add(Step::Exists, verdict, thing);
                // A service is reached by its name, whether or not it may be read.
                if let (false, Kind::Service, Some(Port::Number(number))) = (missing, &query.workload.kind, port) {
                    let address = self.service_address(query, *number);
                    self.reach(address, stop).await;
                }
                return;
            }
        };
        let ip = survey.service.as_ref().and_then(|service| service.cluster_ip.clone()).unwrap_or_default();
        self.add(Step::Exists, Verdict::Passed, format!("{thing} {ip} {}", self.thing).trim());
        let transport = self.transport;
        let of_service =
            survey.service.as_ref().map(|service| workload::service_port_by(query, service, port, transport));
        let (number, inner) = match of_service {
            None => (None, port.cloned()),
            Some(Ok((number, inner))) => {
                self.add(Step::Port, Verdict::Passed, format!("{number} → {inner}"));
                (Some(number), Some(inner))
            }
            // Of a name outside the cluster, any port may be asked for.
            Some(Err(_)) if matches!((&survey.behind, port), (Ok(Behind::External(_)), Some(Port::Number(_)))) => {
                (port.and_then(number_of), None)
            }
            Some(Err(fault)) => {
                self.add(Step::Port, Verdict::Failed(fault), "");
                (None, None)
            }
        };
        let knows_port = survey.service.is_none() || inner.is_some();
        let mut address = number.and_then(|number| self.service_address(query, number));
        match &survey.behind {
            Err(fault) => self.add(Step::Endpoints, Verdict::Unknown(fault.clone()), ""),
            Ok(Behind::External(name)) => self.add(Step::Endpoints, Verdict::Passed, name),
            Ok(Behind::Addresses { ready, all }) => {
                let none = || Verdict::Failed(Fault::new(What::NoEndpoints, &thing, ""));
                self.add(Step::Endpoints, if *ready == 0 { none() } else { Verdict::Passed }, format!("{ready}/{all}"));
            }
            Ok(Behind::Pods(pods)) => {
                if let Some(pod) = self.pods(query, pods)
                    && knows_port
                {
                    let looking = self.backend(query, pod, inner.as_ref(), survey.service.is_none());
                    let Some(direct) = stop.run_until_cancelled(looking).await else { return };
                    address = address.or(direct.filter(|_| survey.service.is_none()));
                }
            }
        }
        if number.is_some() || survey.service.is_none() {
            self.reach(address, stop).await;
        }
    }

    /// Judges the pods behind a workload, and returns the one that is tried.
    fn pods<'a>(&mut self, query: &Query, pods: &'a [Pod]) -> Option<&'a Pod> {
        let ready = pods.iter().filter(|pod| workload::is_ready(pod)).count();
        let verdict = if ready > 0 { Verdict::Passed } else { Verdict::Failed(workload::none_ready(query, pods)) };
        self.add(Step::Endpoints, verdict, format!("{ready}/{}", pods.len()));
        let running = || pods.iter().find(|pod| workload::is_running(pod));
        pods.iter().find(|pod| workload::is_ready(pod)).or_else(running)
    }

    /// Judges a pod: its port, whether a container listens there, and the policies that select it. Returns its address.
    async fn backend(&mut self, query: &Query, pod: &Pod, port: Option<&Port>, says_port: bool) -> Option<Address> {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let number = match workload::port_by(pod, port, self.transport) {
            Ok(number) => number,
            Err(known) => {
                let thing = port.map_or_else(|| format!("pod/{name}"), |port| format!("pod/{name}:{port}"));
                let missing = Fault::new(What::PortMissing, thing, known.join(", "));
                let step = if says_port { Step::Port } else { Step::Listens };
                self.add(step, if port.is_some() { Verdict::Failed(missing) } else { Verdict::Unknown(missing) }, "");
                return None;
            }
        };
        if says_port {
            self.add(Step::Port, Verdict::Passed, number.to_string());
        }
        let backend = Backend { pod, port: number };
        let place = format!("{name}:{number}");
        let listens = match self.transport {
            Transport::Tcp => probe::listens(self.clusters, query, &name, number).await,
            // Kubernetes forwards no UDP.
            Transport::Udp => Verdict::Unknown(Fault::new(What::UdpSilent, &place, "")),
        };
        self.add(Step::Listens, listens, place);
        self.policies(query, &backend).await;
        let ip = pod.status.as_ref()?.pod_ip.clone()?;
        host(&ip).map(|host| Address { host, port: number, transport: self.transport })
    }

    /// Judges the policies that select a pod.
    async fn policies(&mut self, query: &Query, backend: &Backend<'_>) {
        let reading = timeout(STEP_TIMEOUT, read::policies(self.clusters, self.question, &query.namespace)).await;
        let (policies, namespace) = match reading.unwrap_or_else(|_| Err(self.slow())) {
            Ok(read) => read,
            Err(fault) => return self.add(Step::Policies, Verdict::Unknown(fault), ""),
        };
        let none = Labels::new();
        let ours = probe::labels(self.question);
        let labels = backend.pod.metadata.labels.as_ref().unwrap_or(&none);
        let declared = backend.pod.spec.iter().flat_map(|spec| &spec.containers);
        let mut declared = declared.flat_map(|container| container.ports.iter().flatten());
        let declared = declared.find(|port| port.container_port == i32::from(backend.port));
        let port_name = declared.and_then(|port| port.name.as_deref());
        let server = Server { labels, port: backend.port, transport: self.transport, port_name };
        // Its address is one of the family of the other one's, as far as is known.
        let anywhere: Vec<Network> = read::ip_of(backend.pod).map(Network::all_of).into_iter().collect();
        let client = Client {
            labels: &ours,
            namespace: namespace.as_ref(),
            is_near: query.namespace == self.question.pod.namespace,
            networks: &anywhere,
            by_node: self.node.is_some(),
        };
        let thing = backend.pod.metadata.name.as_deref().unwrap_or_default();
        match self.decide(&policies, &client, &server, backend).await {
            Decision::Open => self.add(Step::Policies, Verdict::Passed, ""),
            Decision::Allowed(names) => self.add(Step::Policies, Verdict::Passed, names.join(", ")),
            Decision::Denied(names) => {
                let fault = Fault::new(What::PolicyBlocks, thing, names.join(", "));
                self.add(Step::Policies, Verdict::Failed(fault), "");
            }
            Decision::Unknown(names) => {
                let fault = Fault::new(What::PolicyUnclear, thing, names.join(", "));
                self.add(Step::Policies, Verdict::Unknown(fault), "");
            }
        }
    }

    /// Decides by the policies; where they name addresses, by the networks that nodes have for their pods.
    async fn decide(
        &self,
        policies: &[NetworkPolicy],
        client: &Client<'_>,
        server: &Server<'_>,
        backend: &Backend<'_>,
    ) -> Decision {
        let decision = policy::decide(policies, client, server);
        if client.by_node || !matches!(decision, Decision::Unknown(_)) || !policy::names_addresses(policies) {
            return decision;
        }
        let reading = read::pod_networks(self.clusters, &self.question.cluster, backend.pod);
        match timeout(STEP_TIMEOUT, reading).await {
            Ok(Some(networks)) => policy::decide(policies, &Client { networks: &networks, ..*client }, server),
            Ok(None) | Err(_) => decision,
        }
    }

    /// Connects to an address, if it is known, or to the node by which a service is reached.
    async fn reach(&mut self, address: Option<Address>, stop: &CancellationToken) {
        match (self.node.take(), address) {
            (Some(Ok(address)), _) | (None, Some(address)) => self.connect(&address, stop).await,
            (Some(Err(fault)), _) => self.add(Step::Connection, Verdict::Unknown(fault), self.thing.clone()),
            (None, None) => {}
        }
    }

    /// Returns the address of a service in the cluster's DNS.
    fn service_address(&self, query: &Query, port: u16) -> Option<Address> {
        let host = host(&format!("{}.{}.svc", query.workload.name, query.namespace))?;
        Some(Address { host, port, transport: self.transport })
    }

    /// Connects to an address from a proxy pod.
    async fn connect(&mut self, address: &Address, stop: &CancellationToken) {
        let outcome = probe::connect(self.clusters, self.question, address, stop).await;
        let shown = address.to_string();
        let named = matches!(address.host, Host::Name(_));
        match outcome {
            Ok(took) => {
                if named {
                    self.add(Step::Name, Verdict::Passed, address.host.to_string());
                }
                self.checks.push(Check { step: Step::Connection, verdict: Verdict::Passed, found: shown, took });
            }
            Err(Verdict::Failed(fault)) if named && fault.what == What::TargetUnresolved => {
                self.add(Step::Name, Verdict::Failed(fault), address.host.to_string());
            }
            Err(verdict) => {
                if named {
                    let silent = matches!(&verdict, Verdict::Unknown(fault) if fault.what == What::UdpSilent);
                    let resolved = silent || matches!(verdict, Verdict::Failed(_));
                    let of_name = if resolved { Verdict::Passed } else { verdict.clone() };
                    self.add(Step::Name, of_name, address.host.to_string());
                }
                self.add(Step::Connection, verdict, shown);
            }
        }
    }
}

/// Parses a host as Kubernetes objects write it: IPv6 without brackets.
fn host(text: &str) -> Option<Host> {
    text.parse().map(Host::V6).ok().or_else(|| text.parse().ok())
}

fn number_of(port: &Port) -> Option<u16> {
    match port {
        Port::Number(number) => Some(*number),
        Port::Name(_) => None,
    }
}
