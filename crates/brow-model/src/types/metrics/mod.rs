//! Measurements of clusters, pods and workloads, and their sources: a Prometheus, or metrics-server.

mod endpoint;
mod query;
mod subject;

use std::fmt;
use std::str::FromStr;

use crate::types::workload::{is_dns_label, is_dns_name};
pub use endpoint::{Endpoint, EndpointError};
pub use query::{Query, escaped, limits, queries};
pub use subject::{Pods, Subject};

/// The setting `prometheus`: where a cluster's Prometheus is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PrometheusChoice {
    /// It is looked for.
    #[default]
    Auto,
    /// None is used.
    Off,
    At(Endpoint),
}

impl FromStr for PrometheusChoice {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            url => url.parse().map(Self::At),
        }
    }
}

/// A Prometheus that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prometheus {
    pub way: Way,
    /// The service that it is behind; `None` for one that the config names.
    pub service: Option<ServiceRef>,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceRef {
    pub namespace: String,
    pub name: String,
    pub port: u16,
}

impl ServiceRef {
    /// Returns `None` for what is no name in Kubernetes.
    pub fn new(namespace: &str, name: &str, port: u16) -> Option<Self> {
        let fits = is_dns_label(namespace) && is_dns_name(name) && port != 0;
        fits.then(|| Self { namespace: namespace.to_owned(), name: name.to_owned(), port })
    }
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.namespace, self.name, self.port)
    }
}

/// The way to a Prometheus; of several that work the first is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The config says so.
    Config(Endpoint),
    LoadBalancer(Endpoint),
    Ingress(Endpoint),
    NodePort(Endpoint),
    /// A tunnel to a pod of its service. Its API is below this path.
    Tunnel(String),
}

impl Way {
    /// Returns its name, in the state and in the text tables (`view.way-<name>`).
    pub fn name(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::LoadBalancer(_) => "load-balancer",
            Self::Ingress(_) => "ingress",
            Self::NodePort(_) => "node-port",
            Self::Tunnel(_) => "tunnel",
        }
    }

    /// Returns its place in the order of preference.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Config(_) => 0,
            Self::LoadBalancer(_) => 1,
            Self::Ingress(_) => 2,
            Self::NodePort(_) => 3,
            Self::Tunnel(_) => 4,
        }
    }

    /// Returns the URL of a direct one.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Config(at) | Self::LoadBalancer(at) | Self::Ingress(at) | Self::NodePort(at) => Some(at),
            Self::Tunnel(_) => None,
        }
    }

    /// Returns the way of that name to a URL, or by a tunnel to a path.
    pub fn named(name: &str, at: &str) -> Option<Self> {
        let endpoint = || at.parse().ok();
        match name {
            "load-balancer" => endpoint().map(Self::LoadBalancer),
            "ingress" => endpoint().map(Self::Ingress),
            "node-port" => endpoint().map(Self::NodePort),
            "tunnel" => endpoint::is_path(at).then(|| Self::Tunnel(at.to_owned())),
            _ => None,
        }
    }

    /// Returns the URL or path that [`Way::named`] takes.
    pub fn place(&self) -> String {
        match self {
            Self::Tunnel(path) => path.clone(),
            Self::Config(at) | Self::LoadBalancer(at) | Self::Ingress(at) | Self::NodePort(at) => at.to_string(),
        }
    }
}

/// The source of a cluster's measurements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Prometheus(Prometheus),
    /// metrics-server, which knows only the present.
    MetricsServer,
}

/// A quantity that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Cores in use.
    Cpu,
    /// Bytes in use.
    Memory,
    /// Restarts of containers so far.
    Restarts,
    /// Bytes a second from the network.
    Received,
    /// Bytes a second to the network.
    Sent,
}

impl Measure {
    pub const ALL: [Self; 5] = [Self::Cpu, Self::Memory, Self::Restarts, Self::Received, Self::Sent];

    /// Returns its name in the text tables (`view.measure-<name>`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Restarts => "restarts",
            Self::Received => "received",
            Self::Sent => "sent",
        }
    }
}

/// The values of an hour, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples([Option<f64>; Self::COUNT]);

impl Samples {
    /// The number of values.
    pub const COUNT: usize = 60;
    /// The seconds between two values.
    pub const STEP: u64 = 60;

    /// Puts values, each with its time in seconds, into the hour that ends at `end`. What is not a finite number, is
    /// negative or lies outside is left out.
    pub fn of(values: impl IntoIterator<Item = (f64, f64)>, end: f64) -> Self {
        let mut all = [None; Self::COUNT];
        for (at, value) in values {
            let steps = (end - at) / Self::STEP as f64;
            let back = (0..Self::COUNT).find(|back| (steps - *back as f64).abs() < 0.5);
            if let Some(back) = back.filter(|_| value.is_finite() && value >= 0.0) {
                all[Self::COUNT - 1 - back] = Some(value);
            }
        }
        Self(all)
    }

    /// Returns the newest value.
    pub fn last(&self) -> Option<f64> {
        self.0.iter().rev().find_map(|value| *value)
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Returns the values, oldest first.
    pub fn values(&self) -> &[Option<f64>] {
        &self.0
    }
}

/// One measured quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub measure: Measure,
    pub now: f64,
    /// The most that can be used, where that is known.
    pub limit: Option<f64>,
    /// The last hour, and the query that it comes from; not known to metrics-server.
    pub hour: Option<(Samples, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_a_word_or_a_url() {
        assert_eq!("auto".parse(), Ok(PrometheusChoice::Auto));
        assert_eq!("off".parse(), Ok(PrometheusChoice::Off));
        let at = |text: &str| match text.parse::<PrometheusChoice>() {
            Ok(PrometheusChoice::At(at)) => at.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(at("https://prom.example/base/"), "https://prom.example/base");
        assert!("yes".parse::<PrometheusChoice>().is_err());
        let secret: PrometheusChoice = "https://ann:hunter2@prom.example".parse().unwrap();
        assert!(!format!("{secret:?}").contains("hunter2"), "{secret:?}");
    }

    #[test]
    fn ways_are_kept_by_name_and_place() {
        let at: Endpoint = "http://10.0.0.9:9090/p".parse().unwrap();
        for way in [
            Way::LoadBalancer(at.clone()),
            Way::Ingress(at.clone()),
            Way::NodePort(at),
            Way::Tunnel("/select/0/prometheus".to_owned()),
            Way::Tunnel(String::new()),
        ] {
            assert_eq!(Way::named(way.name(), &way.place()), Some(way));
        }
        assert_eq!(Way::named("tunnel", "/a b"), None);
        assert_eq!(Way::named("config", "http://x"), None, "the config is where that one stands");
        assert_eq!(Way::named("ingress", "gopher://x"), None);
    }

    #[test]
    fn values_fall_into_their_minutes() {
        let end = 1_000_000.0;
        let values = [(end, 3.0), (end - 60.0, 2.0), (end - 3_540.0, 1.0), (end - 3_600.0, 9.0), (end + 60.0, 9.0)];
        let samples = Samples::of(values, end);
        assert_eq!(samples.values()[59], Some(3.0));
        assert_eq!((samples.values()[58], samples.values()[0]), (Some(2.0), Some(1.0)));
        assert_eq!(samples.values().iter().flatten().count(), 3);
        assert_eq!(samples.last(), Some(3.0));
        let odd = [(end, f64::NAN), (end, f64::INFINITY), (end, -1.0), (f64::NAN, 1.0), (f64::INFINITY, 1.0)];
        assert!(Samples::of(odd, end).is_empty());
        assert_eq!(Samples::of([], end).last(), None);
    }
}
