//! The fields of a target: one table, from which the form, the config's reader and writer and the options of
//! `config add` work. A further field is a row of it, and a variant of [`Slot`] if no other field is of its kind.

mod notation;

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::types::allow::AllowList;
use crate::types::forward_settings::{AgentAccess, ForwardSettings, LocalUsers};
use crate::types::health::Probe;
use crate::types::settings::{Carrier, PodSettings, PullPolicy, Relay, Toleration};
use crate::types::target::Target;
use crate::types::ttl::Ttl;
use crate::types::workload::{Destination, Kind, Port, Workload};

pub(crate) use notation::{is_label_key, is_label_value, pairs, tolerations, words};
pub use notation::{is_quantity, is_socket_path};

/// The pages of a target form: what every target has, and what few set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The target itself.
    Target,
    /// The route to it, and the settings of its forwards.
    Forward,
    /// The settings of its proxy pods.
    Pod,
}

/// The parts of the config that may set a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A target, a cluster, and all of them.
    Any,
    Target,
    /// A target that is a workload.
    Workload,
    /// A target that is a proxy.
    Proxy,
    /// A target that is ports of nodes.
    Node,
}

/// Declares the fields, in the order of the form: the help of its option, the name, the config's key, the page, the
/// scope, and the kind and place of the value in a [`Target`].
macro_rules! fields {
    ($(#[doc = $doc:literal] $name:ident = $key:literal, $page:ident, $scope:ident, $slot:ident($($place:tt)+);)*) => {
        /// A field of a target.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum TargetField { $(#[doc = $doc] $name,)* }

        impl TargetField {
            /// All fields, in order.
            pub const ALL: [Self; [$($key),*].len()] = [$(Self::$name),*];

            /// Returns its key in the config.
            pub fn config_key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }

            /// Returns its description, the help of its option.
            pub fn help(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }.trim_start().trim_end_matches('.')
            }

            /// Returns its page in the form.
            pub fn page(self) -> Page {
                match self { $(Self::$name => Page::$page,)* }
            }

            /// Returns the parts of the config that may set it.
            pub fn scope(self) -> Scope {
                match self { $(Self::$name => Scope::$scope,)* }
            }

            /// Returns its place in a target, if that target can have it.
            pub fn slot(self, target: &mut Target) -> Option<Slot<'_>> {
                Some(match self { $(Self::$name => Slot::$slot(&mut target.$($place)+),)* })
            }
        }
    };
}

fields! {
    /// Name, in any script.
    Name = "name", Target, Target, Word(name);
    /// Kubeconfig context; absent in a new target: the current one.
    Cluster = "cluster", Target, Target, Word(cluster);
    /// Namespace of its pods; absent: the context's own.
    Namespace = "namespace", Target, Target, Namespace(namespace);
    /// Destination: host:port as the cluster sees it, kind/name:port, node/30999, or proxy for SOCKS and HTTP.
    Address = "address", Target, Target, Destination(address);
    /// Local port; 0: any free one.
    LocalPort = "local_port", Target, Target, Port(local_port);
    /// Time that its proxy pods may live, such as 30m.
    Ttl = "ttl", Target, Target, Ttl(ttl);
    /// Words to find it by.
    Tags = "tags", Target, Target, Words(tags);
    /// Route to a service.
    Via = "via", Forward, Workload, Proxy(address.workload_mut()?.proxy);
    /// Spreads connections over a workload's ready pods.
    Spread = "spread", Forward, Workload, On(address.workload_mut()?.spread);
    /// Time that connections wait for a workload's pod to run, such as 1m.
    Wait = "wait", Forward, Workload, Time(address.workload_mut()?.wait);
    /// Destinations that clients of a proxy may name, such as *.svc or 10.0.0.0/8:3306; absent: all.
    Allow = "allow", Forward, Proxy, Allow(forward.allow);
    /// Reaches ports of a local cluster's nodes by a gateway container, which outlives brow-tui.
    Persist = "persist", Forward, Node, On(forward.persist);
    /// Keeps pod and tunnel only while they are used.
    OnDemand = "on_demand", Forward, Any, Flag(forward.on_demand);
    /// On demand: time without a connection until pod and tunnel go, such as 10m.
    IdleTimeout = "idle_timeout", Forward, Any, Time(forward.idle_timeout);
    /// On demand: time that a pod may take until it is ready, such as 30s.
    CreateTimeout = "create_timeout", Forward, Any, Time(forward.create_timeout);
    /// Opens its forward with the dashboard.
    Autostart = "autostart", Forward, Target, On(forward.autostart);
    /// Replaces pods in time while they are used.
    AutoRenew = "auto_renew", Forward, Any, Flag(forward.auto_renew);
    /// Time for which pods are renewed automatically, such as 8h.
    MaxLifetime = "max_lifetime", Forward, Any, Time(forward.max_lifetime);
    /// Keeps listening after its pod has expired or was deleted; the next connection creates another.
    Recreate = "recreate", Forward, Any, Flag(forward.recreate);
    /// Health check: tcp, http, `http:/path`, mysql, postgres or redis.
    Probe = "probe", Forward, Target, Probe(forward.probe);
    /// Time between two health checks, such as 30s.
    ProbeInterval = "probe_interval", Forward, Any, Time(forward.probe_interval);
    /// Address of this machine to listen on; beyond loopback others can reach it.
    LocalAddress = "local_address", Forward, Target, Ip(forward.local_address);
    /// Unix socket to listen on, in place of a local port or beside it.
    LocalSocket = "local_socket", Forward, Target, Path(forward.local_socket);
    /// Users of this machine who may connect.
    LocalUsers = "local_users", Forward, Any, Users(forward.local_users);
    /// Coding agents may connect to it: true, ask (you are asked first) or false.
    Agent = "agent", Forward, Target, Agent(forward.agent);
    /// Image of its proxy pods; needs sh, dd, sha256sum, and socat or busybox's nc.
    Image = "image", Pod, Any, Image(pod.image);
    /// Relay in its pods: socat, or auto for that of brow-tui where the pod can run it.
    Relay = "relay", Pod, Any, Relay(pod.relay);
    /// Carrier of connections to brow-tui's own relay: port-forward, pod-proxy, or auto for what works.
    Carrier = "carrier", Pod, Any, Carrier(pod.carrier);
    /// Time at which the node pulls the image.
    PullPolicy = "pull_policy", Pod, Any, Policy(pod.pull_policy);
    /// Secrets with the registry's credentials.
    PullSecrets = "pull_secrets", Pod, Any, Names(pod.pull_secrets);
    /// Labels that a pod's node must have, such as zone=a.
    NodeSelector = "node_selector", Pod, Any, Labels(pod.node_selector);
    /// Taints that its pods tolerate, such as dedicated=tools:NoSchedule.
    Tolerations = "tolerations", Pod, Any, Tolerations(pod.tolerations);
    /// CPU that its pods request, such as 10m.
    CpuRequest = "cpu_request", Pod, Any, Quantity(pod.resources.cpu_request);
    /// CPU that its pods may use, such as 200m.
    CpuLimit = "cpu_limit", Pod, Any, Quantity(pod.resources.cpu_limit);
    /// Memory that its pods request, such as 16Mi.
    MemoryRequest = "memory_request", Pod, Any, Quantity(pod.resources.memory_request);
    /// Memory that its pods may use, such as 64Mi.
    MemoryLimit = "memory_limit", Pod, Any, Quantity(pod.resources.memory_limit);
    /// Labels of its pods, such as team=payments.
    Labels = "labels", Pod, Any, Labels(pod.labels);
    /// Annotations of its pods, such as owner=payments.
    Annotations = "annotations", Pod, Any, Annotations(pod.annotations);
}

/// The place of a field's value in a target, by the kind of value.
#[derive(Debug)]
pub enum Slot<'a> {
    /// A text that has to be there.
    Word(&'a mut String),
    Namespace(&'a mut Option<String>),
    Image(&'a mut Option<String>),
    /// The path of a socket.
    Path(&'a mut Option<String>),
    /// A Kubernetes quantity, which the config has in a table `resources`.
    Quantity(&'a mut Option<String>),
    /// An address, a workload or ports of nodes; the config has a key for each.
    Destination(&'a mut Destination),
    /// A port; 0: any.
    Port(&'a mut u16),
    /// The time that a pod lives, which has a ceiling.
    Ttl(&'a mut Option<Ttl>),
    /// Another time.
    Time(&'a mut Option<Ttl>),
    /// Yes or no.
    Flag(&'a mut Option<bool>),
    /// Yes, or nothing.
    On(&'a mut bool),
    /// Through a proxy pod, or directly.
    Proxy(&'a mut bool),
    /// A relay.
    Relay(&'a mut Option<Relay>),
    /// A carrier.
    Carrier(&'a mut Option<Carrier>),
    /// A pull policy.
    Policy(&'a mut Option<PullPolicy>),
    Probe(&'a mut Option<Probe>),
    /// An address of this machine.
    Ip(&'a mut Option<IpAddr>),
    /// The local users who may connect.
    Users(&'a mut Option<LocalUsers>),
    /// The access of agents.
    Agent(&'a mut Option<AgentAccess>),
    /// The destinations that clients may name.
    Allow(&'a mut AllowList),
    Words(&'a mut Vec<String>),
    /// Names of objects.
    Names(&'a mut Option<Vec<String>>),
    Labels(&'a mut BTreeMap<String, String>),
    Annotations(&'a mut BTreeMap<String, String>),
    Tolerations(&'a mut Option<Vec<Toleration>>),
}

impl Page {
    /// All pages, in order.
    pub const ALL: [Self; 3] = [Self::Target, Self::Forward, Self::Pod];

    /// Returns its key in the text tables: `form-page.<key>`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Forward => "forward",
            Self::Pod => "pod",
        }
    }

    /// Returns its fields, each with its index in [`TargetField::ALL`].
    pub fn fields(self) -> impl Iterator<Item = (usize, TargetField)> {
        TargetField::ALL.into_iter().enumerate().filter(move |(_, field)| field.page() == self)
    }
}

impl Target {
    /// Returns a target with every field unset, to be filled field by field.
    pub fn blank() -> Self {
        Self {
            name: String::new(),
            cluster: String::new(),
            namespace: None,
            address: Destination::Workload(Workload {
                kind: Kind::Service,
                name: String::new(),
                port: Port::Number(0),
                more: Vec::new(),
                wait: None,
                proxy: false,
                spread: false,
            }),
            local_port: 0,
            ttl: None,
            tags: Vec::new(),
            pod: PodSettings::default(),
            forward: ForwardSettings::default(),
        }
    }
}

impl TargetField {
    /// Returns its key in the text tables: `form.<key>` and `form-hint.<key>`.
    pub fn key(self) -> String {
        self.config_key().replace('_', "-")
    }

    /// Returns its text in the form for a target.
    pub fn of(self, target: &Target) -> String {
        self.slot(&mut target.clone()).map(|slot| slot.text()).unwrap_or_default()
    }

    /// Returns the values to choose from, if it takes no other text; an empty one leaves it unset.
    pub fn choices(self) -> &'static [&'static str] {
        match self.slot(&mut Target::blank()) {
            Some(Slot::Proxy(_)) => &["", "proxy"],
            Some(Slot::Flag(_)) => &["", "true", "false"],
            Some(Slot::On(_)) => &["", "true"],
            Some(Slot::Users(_)) => &["", "me", "me+root", "all"],
            Some(Slot::Agent(_)) => &["", "true", "ask", "false"],
            Some(Slot::Relay(_)) => &["", "auto", "socat"],
            Some(Slot::Carrier(_)) => &["", "auto", "port-forward", "pod-proxy"],
            Some(Slot::Policy(_)) => &["", "Always", "IfNotPresent", "Never"],
            _ => &[],
        }
    }
}

impl Slot<'_> {
    /// Returns the text of the value in the form.
    pub fn text(&self) -> String {
        match self {
            Self::Word(text) => (*text).clone(),
            Self::Namespace(text) | Self::Image(text) | Self::Path(text) | Self::Quantity(text) => {
                shown(text.as_deref())
            }
            Self::Destination(destination) => destination.to_string(),
            Self::Port(port) => shown(Some(**port).filter(|port| *port != 0)),
            Self::Ttl(time) | Self::Time(time) => shown(**time),
            Self::Flag(flag) => shown(**flag),
            Self::On(on) => shown(on.then_some(true)),
            Self::Proxy(on) => shown(on.then_some("proxy")),
            Self::Relay(relay) => shown(relay.map(Relay::name)),
            Self::Carrier(carrier) => shown(carrier.map(Carrier::name)),
            Self::Policy(policy) => shown(policy.map(PullPolicy::name)),
            Self::Probe(probe) => shown(probe.as_ref()),
            Self::Ip(ip) => shown(**ip),
            Self::Users(users) => shown(users.map(LocalUsers::name)),
            Self::Agent(access) => shown(access.map(AgentAccess::name)),
            Self::Allow(list) => list.to_string(),
            Self::Words(words) => words.join(", "),
            Self::Names(names) => shown(names.as_ref().map(|names| names.join(", "))),
            Self::Labels(table) | Self::Annotations(table) => notation::shown(table),
            Self::Tolerations(all) => shown(all.as_deref().map(notation::shown_tolerations)),
        }
    }

    /// Sets the value from a text of the form that was checked.
    pub fn read(self, text: &str) {
        let some = || Some(text.to_owned()).filter(|text| !text.is_empty());
        match self {
            Self::Word(at) => text.clone_into(at),
            Self::Namespace(at) | Self::Image(at) | Self::Path(at) | Self::Quantity(at) => *at = some(),
            Self::Destination(at) => text.parse().into_iter().for_each(|destination| *at = destination),
            Self::Port(at) => *at = text.parse().unwrap_or(0),
            Self::Ttl(at) | Self::Time(at) => *at = text.parse().ok(),
            Self::Flag(at) => *at = text.parse().ok(),
            Self::On(at) => *at = text == "true",
            Self::Proxy(at) => *at = text == "proxy",
            Self::Relay(at) => *at = Relay::ALL.into_iter().find(|known| known.name() == text),
            Self::Carrier(at) => *at = Carrier::ALL.into_iter().find(|known| known.name() == text),
            Self::Policy(at) => *at = PullPolicy::ALL.into_iter().find(|known| known.name() == text),
            Self::Probe(at) => *at = text.parse().ok(),
            Self::Ip(at) => *at = text.parse().ok(),
            Self::Users(at) => {
                *at = LocalUsers::ALL.into_iter().find(|(name, _)| *name == text).map(|(_, users)| users);
            }
            Self::Agent(at) => *at = AgentAccess::named(text),
            Self::Allow(at) => text.parse().into_iter().for_each(|list| *at = list),
            Self::Words(at) => *at = words(text),
            Self::Names(at) => *at = some().map(|text| words(&text)),
            Self::Labels(at) | Self::Annotations(at) => *at = pairs(text).unwrap_or_default(),
            Self::Tolerations(at) => *at = some().and_then(|text| tolerations(&text)),
        }
    }
}

fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
