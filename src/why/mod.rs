//! The steps on the way to something in a cluster, to find the one that fails.
//!
//! Every step is judged by itself, as far as rights go: one that cannot be judged keeps no other from being taken.

mod policy;
mod probe;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::ListParams;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cluster::workload::{self, Behind, Query};
use crate::cluster::{Clusters, fault, grant};
use brow_model::address::{Address, Host, Transport};
use brow_model::fault::{Fault, What};
use brow_model::why::{Check, Place, Question, Step, Verdict};
use brow_model::workload::{Kind, Port, Workload};
use policy::{Client, Decision, Labels, Server};

/// The longest wait for the answers to one step's requests.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);

/// The most policies of a namespace that are read.
const MAX_POLICIES: u32 = 500;

/// Takes the steps. A proxy pod that is created for it is deleted before this returns, also once `stop` is cancelled.
pub async fn run(clusters: &Clusters, question: &Question, stop: &CancellationToken) -> Vec<Check> {
    let mut chain = Chain { clusters, question, checks: Vec::new() };
    match &question.place {
        Place::Address(address) => chain.connect(address, stop).await,
        Place::Workload { kind, name, port } => {
            // Where the port is not known yet, none is asked for.
            let unknown = Port::Number(1);
            let workload = Workload {
                spread: false,
                kind: kind.clone(),
                name: name.clone(),
                port: port.clone().unwrap_or(unknown),
                more: Vec::new(),
                wait: None,
                proxy: false,
            };
            let (cluster, namespace) = (question.cluster.clone(), question.namespace.clone());
            chain.follow(&Query { cluster, namespace, workload }, port.as_ref(), stop).await;
        }
    }
    chain.checks.sort_by_key(|check| check.step);
    chain.checks
}

/// Returns the step of which nothing is known for a mistake of ours.
pub fn broken(fault: Fault) -> Check {
    let found = fault.thing.clone();
    Check { step: Step::Exists, verdict: Verdict::Unknown(fault), found, took: None }
}

struct Chain<'a> {
    clusters: &'a Clusters,
    question: &'a Question,
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
                    let address = service_address(query, *number);
                    self.reach(address, stop).await;
                }
                return;
            }
        };
        let ip = survey.service.as_ref().and_then(|service| service.cluster_ip.clone()).unwrap_or_default();
        self.add(Step::Exists, Verdict::Passed, format!("{thing} {ip}").trim());
        let of_service = survey.service.as_ref().map(|service| workload::service_port(query, service, port));
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
        let mut address = number.and_then(|number| service_address(query, number));
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
        let number = match workload::port_in(pod, port) {
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
        let listens = probe::listens(self.clusters, query, &name, number).await;
        self.add(Step::Listens, listens, format!("{name}:{number}"));
        self.policies(query, &backend).await;
        let ip = pod.status.as_ref()?.pod_ip.clone()?;
        host(&ip).map(|host| Address { host, port: number, transport: Transport::Tcp })
    }

    /// Judges the policies that select a pod.
    async fn policies(&mut self, query: &Query, backend: &Backend<'_>) {
        let reading = timeout(STEP_TIMEOUT, read_policies(self.clusters, query)).await;
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
        let server = Server { labels, port: backend.port, port_name: declared.and_then(|port| port.name.as_deref()) };
        let client = Client { labels: &ours, namespace: namespace.as_ref() };
        let thing = backend.pod.metadata.name.as_deref().unwrap_or_default();
        match policy::decide(&policies, &client, &server) {
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

    /// Connects to an address, if it is known.
    async fn reach(&mut self, address: Option<Address>, stop: &CancellationToken) {
        if let Some(address) = address {
            self.connect(&address, stop).await;
        }
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
                    let resolved = matches!(verdict, Verdict::Failed(_));
                    let of_name = if resolved { Verdict::Passed } else { verdict.clone() };
                    self.add(Step::Name, of_name, address.host.to_string());
                }
                self.add(Step::Connection, verdict, shown);
            }
        }
    }
}

/// Reads the policies of a namespace, and its labels, if that is allowed.
async fn read_policies(clusters: &Clusters, query: &Query) -> Result<(Vec<NetworkPolicy>, Option<Labels>), Fault> {
    let client = clusters.client(&query.cluster).await?;
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), &query.namespace);
    let listed = policies.list(&ListParams::default().limit(MAX_POLICIES)).await;
    let right = || grant("list", "networkpolicies.networking.k8s.io", Some(&query.namespace));
    let listed = listed.map_err(|error| fault(&query.cluster, &error, Some(right())).1)?;
    let namespaces: Api<Namespace> = Api::all(client);
    // Without it, policies about namespaces stay unclear.
    let namespace = namespaces.get(&query.namespace).await.ok();
    Ok((listed.items, namespace.map(|namespace| namespace.metadata.labels.unwrap_or_default())))
}

/// Returns the address of a service in the cluster's DNS.
fn service_address(query: &Query, port: u16) -> Option<Address> {
    let host = host(&format!("{}.{}.svc", query.workload.name, query.namespace))?;
    Some(Address { host, port, transport: Transport::Tcp })
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
