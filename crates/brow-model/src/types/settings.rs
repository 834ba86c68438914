//! The settings in the config besides targets, as plain data. Reading and writing the file is the store's.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::types::forward_settings::{AgentSettings, ForwardSettings};
use crate::types::metrics::PrometheusChoice;
use crate::types::port_plan::PortPlan;
use crate::types::shell::ShellSettings;
use crate::types::ttl::Ttl;

/// The settings of proxy pods at one level of the config; absent ones come from the next level (target over cluster
/// over defaults over built in).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodSettings {
    /// The image with socat and sh.
    pub image: Option<String>,
    /// The relay that runs in it.
    pub relay: Option<Relay>,
    /// The carriers of connections to our own relay.
    pub carrier: Option<Carrier>,
    /// The pull policy of the image.
    pub pull_policy: Option<PullPolicy>,
    /// Names of secrets with registry credentials.
    pub pull_secrets: Option<Vec<String>>,
    /// Labels a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints the pod tolerates.
    pub tolerations: Option<Vec<Toleration>>,
    /// Requests and limits, as Kubernetes quantities.
    pub resources: Resources,
    /// Labels added to ours.
    pub labels: BTreeMap<String, String>,
    /// Annotations added to ours.
    pub annotations: BTreeMap<String, String>,
}

/// The relay in a proxy pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Relay {
    /// Our own, if the pod can run it, else socat.
    #[default]
    Auto,
    /// socat, which the image has.
    Socat,
}

impl Relay {
    pub const ALL: [Self; 2] = [Self::Auto, Self::Socat];

    /// Its name in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Socat => "socat",
        }
    }
}

/// The carrier of connections to our own relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Carrier {
    /// The pod proxy once it is known to work, until then and otherwise port-forward.
    #[default]
    Auto,
    /// Port-forward only; nothing listens in the pod for the other.
    PortForward,
    /// The pod proxy, which connections wait for; port-forward where it does not work.
    PodProxy,
}

impl Carrier {
    pub const ALL: [Self; 3] = [Self::Auto, Self::PortForward, Self::PodProxy];

    /// Its name in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::PortForward => "port-forward",
            Self::PodProxy => "pod-proxy",
        }
    }
}

/// `imagePullPolicy`, spelled as Kubernetes spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Pull every time.
    Always,
    /// Pull when the node lacks it.
    IfNotPresent,
    Never,
}

impl PullPolicy {
    pub const ALL: [Self; 3] = [Self::Always, Self::IfNotPresent, Self::Never];

    /// Its name in Kubernetes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// One toleration, with Kubernetes' own field meanings; an absent key tolerates every taint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toleration {
    /// The taint's key.
    pub key: Option<String>,
    /// `Exists` or `Equal`.
    pub operator: Option<String>,
    /// The taint's value.
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: Option<String>,
}

/// The container's requests and limits as Kubernetes quantities (`10m`, `16Mi`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    pub cpu_request: Option<String>,
    pub cpu_limit: Option<String>,
    pub memory_request: Option<String>,
    pub memory_limit: Option<String>,
}

impl PodSettings {
    /// These settings where they say something, `base` where they don't; maps are merged key by key.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        let merge = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
            let mut all = b.clone();
            all.extend(a.clone());
            all
        };
        let (r, b) = (&self.resources, &base.resources);
        let either = |a: &Option<String>, b: &Option<String>| a.clone().or_else(|| b.clone());
        Self {
            image: either(&self.image, &base.image),
            relay: self.relay.or(base.relay),
            carrier: self.carrier.or(base.carrier),
            pull_policy: self.pull_policy.or(base.pull_policy),
            pull_secrets: self.pull_secrets.clone().or_else(|| base.pull_secrets.clone()),
            node_selector: merge(&self.node_selector, &base.node_selector),
            tolerations: self.tolerations.clone().or_else(|| base.tolerations.clone()),
            resources: Resources {
                cpu_request: either(&r.cpu_request, &b.cpu_request),
                cpu_limit: either(&r.cpu_limit, &b.cpu_limit),
                memory_request: either(&r.memory_request, &b.memory_request),
                memory_limit: either(&r.memory_limit, &b.memory_limit),
            },
            labels: merge(&self.labels, &base.labels),
            annotations: merge(&self.annotations, &base.annotations),
        }
    }
}

/// The treatment of our pods when the program ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnQuit {
    /// Ask where there are any.
    #[default]
    Ask,
    /// Leave them to their TTL.
    Leave,
    /// Delete those that this run created.
    Delete,
}

/// The treatment of forwards that were open in an earlier run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Restore {
    /// Offer to open them again.
    #[default]
    Ask,
    /// Open them again.
    Always,
    /// Forget them.
    Never,
}

/// The notification, besides the log, that a probed target went down or up, or that a pod is about to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notify {
    /// Not at all.
    #[default]
    Off,
    /// By the terminal's bell.
    Bell,
    /// By a notification in the terminal's own sequence; by its bell where that is not known.
    Terminal,
    /// By a notification: the sequence of `iTerm2`, `WezTerm`, Windows Terminal.
    Osc9,
    /// By a notification: the sequence of kitty.
    Osc99,
    /// By a notification: the sequence of urxvt, foot, Ghostty.
    Osc777,
}

/// The language of the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    En,
    /// Simplified Chinese.
    #[serde(rename = "zh-CN")]
    ZhCn,
}

/// The colors that the screen may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colors {
    /// As the terminal says of itself.
    #[default]
    Auto,
    /// 24 bits.
    Truecolor,
    /// The 256-color palette.
    #[serde(rename = "256")]
    Ansi256,
    /// The terminal's own 16.
    #[serde(rename = "16")]
    Ansi16,
    /// None: bold, dim and reverse only.
    None,
}

/// The themes that come with the program, in the order in which the key goes through them.
pub const THEMES: [&str; 4] = ["dark", "light", "high-contrast", "terminal"];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Connect when the program starts rather than when first needed.
    pub connect: bool,
    pub pod: PodSettings,
    pub forward: ForwardSettings,
    /// The tunnel protocol to use, instead of trying: `spdy`, `spdy-websocket` or `v4-websocket`.
    pub tunnel: Option<String>,
    /// The name to show in place of the context's.
    pub alias: Option<String>,
    /// The color of the name.
    pub color: Option<ClusterColor>,
    /// The place of its Prometheus; absent: as in all clusters.
    pub prometheus: Option<PrometheusChoice>,
    /// True if its name is red in lists and details, and the key that deletes pods at once asks there first.
    pub production: bool,
}

/// The color of a cluster's name. Each theme has its own shade of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterColor {
    Red,
    Yellow,
    Green,
    Blue,
    Purple,
}

impl ClusterColor {
    /// All colors, with their names in the config.
    pub const ALL: [(&'static str, Self); 5] = [
        ("red", Self::Red),
        ("yellow", Self::Yellow),
        ("green", Self::Green),
        ("blue", Self::Blue),
        ("purple", Self::Purple),
    ];
}

/// A change to the key table, with the line of the config that asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOverride {
    /// The section of the keys: `anywhere`, `clusters`, `targets`, `pods`, `forwards`.
    pub place: String,
    /// The command's name, as in the key table.
    pub command: String,
    /// The chords, in the config's notation; empty: the command loses its keys.
    pub keys: Vec<String>,
    /// Line in the config file, from 1.
    pub line: usize,
}

/// Everything the config sets besides targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The screen's language; absent: the locale's.
    pub language: Option<Language>,
    /// The theme's name.
    pub theme: String,
    /// The colors that the screen may use.
    pub colors: Colors,
    /// True if the mouse is used.
    pub mouse: bool,
    /// True if the terminal's title shows the pod that ends first.
    pub title: bool,
    /// True if a tip shows the next useful key until it was used.
    pub tips: bool,
    /// TTL of a pod whose target names none. `BROW_DEFAULT_TTL` comes before the config.
    pub ttl: Ttl,
    /// The longest TTL that is let through.
    pub max_ttl: Ttl,
    /// The treatment of our pods at the end.
    pub on_quit: OnQuit,
    /// The treatment of forwards that were open in an earlier run.
    pub restore: Restore,
    /// The notification that a probed target went down or up, or that a pod is about to end.
    pub notify: Notify,
    /// The time after a notification without another of the same forward.
    pub notify_quiet: Ttl,
    /// The settings of pods in every cluster.
    pub pod: PodSettings,
    /// The ranges for local ports of imported targets.
    pub ports: PortPlan,
    /// Connection strings that differ from those built in: by service, then by what they are called.
    pub connection_strings: BTreeMap<String, BTreeMap<String, String>>,
    /// The settings of forwards in every cluster.
    pub forward: ForwardSettings,
    /// The place of the Prometheus of each cluster.
    pub prometheus: PrometheusChoice,
    /// Per cluster, by context name.
    pub clusters: BTreeMap<String, ClusterSettings>,
    pub agents: AgentSettings,
    /// The sessions in containers.
    pub shell: ShellSettings,
    /// Changes to the key table.
    pub keys: Vec<KeyOverride>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            language: None,
            theme: "dark".to_owned(),
            colors: Colors::Auto,
            mouse: true,
            title: true,
            tips: true,
            ttl: Ttl::DEFAULT,
            max_ttl: Ttl::CEILING,
            on_quit: OnQuit::Ask,
            restore: Restore::Ask,
            notify: Notify::Off,
            notify_quiet: Ttl::MINUTE,
            pod: PodSettings::default(),
            ports: PortPlan::default(),
            connection_strings: BTreeMap::new(),
            forward: ForwardSettings::built_in(),
            prometheus: PrometheusChoice::Auto,
            clusters: BTreeMap::new(),
            agents: AgentSettings::default(),
            shell: ShellSettings::default(),
            keys: Vec::new(),
        }
    }
}

impl Settings {
    /// Returns the settings of a pod for a target with settings `own` on `cluster`.
    pub fn pod_for(&self, cluster: &str, own: &PodSettings) -> PodSettings {
        match self.clusters.get(cluster) {
            Some(at) => own.over(&at.pod.over(&self.pod)),
            None => own.over(&self.pod),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_level_wins_and_maps_merge() {
        let image = |name: &str, label: &str| PodSettings {
            image: Some(name.to_owned()),
            labels: BTreeMap::from([(label.to_owned(), name.to_owned()), ("all".to_owned(), name.to_owned())]),
            ..PodSettings::default()
        };
        let mut settings = Settings { pod: image("global", "g"), ..Settings::default() };
        settings
            .clusters
            .insert("dev".to_owned(), ClusterSettings { pod: image("cluster", "c"), ..ClusterSettings::default() });
        let own = PodSettings { labels: BTreeMap::from([("all".into(), "own".into())]), ..PodSettings::default() };
        let at_dev = settings.pod_for("dev", &own);
        assert_eq!(at_dev.image.as_deref(), Some("cluster"));
        assert_eq!(at_dev.labels.keys().map(String::as_str).collect::<Vec<_>>(), ["all", "c", "g"]);
        assert_eq!(at_dev.labels["all"], "own");
        assert_eq!(settings.pod_for("other", &own).image.as_deref(), Some("global"));
    }
}
