//! From a target to the texts of its form, and back.

use crate::screen::form::written::{pairs, shown, shown_tolerations, tolerations, words};
use crate::screen::form::{FormField, TargetForm};
use crate::state::Model;
use crate::types::keep::KeepSettings;
use crate::types::settings::{PodSettings, PullPolicy, Resources};
use crate::types::target::Target;
use crate::types::ttl::Ttl;
use crate::types::workload::{Where, Workload};

impl FormField {
    /// What it says of a target.
    pub(crate) fn of(self, target: &Target) -> String {
        let workload = target.address.workload();
        match self {
            Self::Name => target.name.clone(),
            Self::Cluster => target.cluster.clone(),
            Self::Namespace => target.namespace.clone().unwrap_or_default(),
            Self::Address => target.address.to_string(),
            Self::LocalPort => {
                Some(target.local_port).filter(|port| *port != 0).map(|value| value.to_string()).unwrap_or_default()
            }
            Self::Ttl => time(target.ttl),
            Self::Tags => target.tags.join(", "),
            Self::Via => workload.filter(|workload| workload.proxy).map(|_| "proxy".to_owned()).unwrap_or_default(),
            Self::Wait => time(workload.and_then(|workload| workload.wait)),
            _ => self.of_keep(&target.keep).unwrap_or_else(|| self.of_pod(&target.pod)),
        }
    }

    /// What it says of how forwards are kept, if it is about that.
    pub(crate) fn of_keep(self, keep: &KeepSettings) -> Option<String> {
        let flag = |flag: Option<bool>| flag.map(|value| value.to_string()).unwrap_or_default();
        Some(match self {
            Self::OnDemand => flag(keep.on_demand),
            Self::IdleTimeout => time(keep.idle_timeout),
            Self::CreateTimeout => time(keep.create_timeout),
            Self::Autostart => flag(keep.autostart.then_some(true)),
            Self::AutoRenew => flag(keep.auto_renew),
            Self::MaxLifetime => time(keep.max_lifetime),
            Self::Probe => keep.probe.as_ref().map(ToString::to_string).unwrap_or_default(),
            Self::ProbeInterval => time(keep.probe_interval),
            Self::LocalAddress => keep.local_address.map(|value| value.to_string()).unwrap_or_default(),
            _ => return None,
        })
    }

    /// What it says of how proxy pods are made.
    pub(crate) fn of_pod(self, pod: &PodSettings) -> String {
        let word = |word: &Option<String>| word.clone().unwrap_or_default();
        match self {
            Self::Image => word(&pod.image),
            Self::PullPolicy => pod.pull_policy.map(policy).unwrap_or_default().to_owned(),
            Self::PullSecrets => pod.pull_secrets.as_ref().map(|secrets| secrets.join(", ")).unwrap_or_default(),
            Self::NodeSelector => shown(&pod.node_selector),
            Self::Tolerations => pod.tolerations.as_deref().map(shown_tolerations).unwrap_or_default(),
            Self::CpuRequest => word(&pod.resources.cpu_request),
            Self::CpuLimit => word(&pod.resources.cpu_limit),
            Self::MemoryRequest => word(&pod.resources.memory_request),
            Self::MemoryLimit => word(&pod.resources.memory_limit),
            Self::Labels => shown(&pod.labels),
            Self::Annotations => shown(&pod.annotations),
            _ => String::new(),
        }
    }
}

pub(crate) fn time(time: Option<Ttl>) -> String {
    time.map(|value| value.to_string()).unwrap_or_default()
}

pub(crate) fn policy(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    }
}

impl TargetForm {
    /// The target that the form describes; `None` while something in it is wrong.
    pub fn target(&self, model: &Model) -> Option<Target> {
        if FormField::ALL.into_iter().any(|field| self.error(field, model).is_some()) {
            return None;
        }
        let some = |field| Some(self.text(field).to_owned()).filter(|text| !text.is_empty());
        Some(Target {
            name: self.text(FormField::Name).to_owned(),
            cluster: self.text(FormField::Cluster).to_owned(),
            namespace: some(FormField::Namespace),
            address: self.place()?,
            local_port: self.text(FormField::LocalPort).parse().unwrap_or(0),
            ttl: self.time(FormField::Ttl),
            // A tag that was written in the config may hold a space.
            tags: self.read(FormField::Tags, |base| base.tags.clone(), words),
            pod: self.pod(),
            keep: self.keep(),
        })
    }

    /// What a field stands for: as it was where it still says so, else as its text is read.
    fn read<T>(&self, field: FormField, was: impl Fn(&Target) -> T, read: impl Fn(&str) -> T) -> T {
        self.kept(field).map_or_else(|| read(self.text(field)), was)
    }

    fn time(&self, field: FormField) -> Option<Ttl> {
        self.text(field).parse().ok()
    }

    fn place(&self) -> Option<Where> {
        let place = self.text(FormField::Address).parse().ok()?;
        let Where::Workload(workload) = place else { return Some(place) };
        let (wait, proxy) = (self.time(FormField::Wait), self.text(FormField::Via) == "proxy");
        Some(Where::Workload(Workload { wait, proxy, ..workload }))
    }

    fn keep(&self) -> KeepSettings {
        let flag = |field| self.text(field).parse().ok();
        KeepSettings {
            on_demand: flag(FormField::OnDemand),
            idle_timeout: self.time(FormField::IdleTimeout),
            create_timeout: self.time(FormField::CreateTimeout),
            auto_renew: flag(FormField::AutoRenew),
            max_lifetime: self.time(FormField::MaxLifetime),
            probe_interval: self.time(FormField::ProbeInterval),
            probe: self.text(FormField::Probe).parse().ok(),
            autostart: flag(FormField::Autostart).unwrap_or_default(),
            local_address: self.text(FormField::LocalAddress).parse().ok(),
        }
    }

    fn pod(&self) -> PodSettings {
        let some = |field| Some(self.text(field).to_owned()).filter(|text| !text.is_empty());
        let table = |text: &str| pairs(text).unwrap_or_default();
        let list = |words: Vec<String>| Some(words).filter(|words| !words.is_empty());
        let policies = [PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never];
        let wanted = self.text(FormField::PullPolicy);
        PodSettings {
            image: some(FormField::Image),
            pull_policy: policies.into_iter().find(|known| policy(*known) == wanted),
            // An empty list takes away what a wider level says, and stays one.
            pull_secrets: self.read(
                FormField::PullSecrets,
                |was| was.pod.pull_secrets.clone(),
                |text| list(words(text)),
            ),
            node_selector: self.read(FormField::NodeSelector, |was| was.pod.node_selector.clone(), table),
            tolerations: self.read(
                FormField::Tolerations,
                |was| was.pod.tolerations.clone(),
                |text| tolerations(text).filter(|all| !all.is_empty()),
            ),
            resources: Resources {
                cpu_request: some(FormField::CpuRequest),
                cpu_limit: some(FormField::CpuLimit),
                memory_request: some(FormField::MemoryRequest),
                memory_limit: some(FormField::MemoryLimit),
            },
            labels: self.read(FormField::Labels, |was| was.pod.labels.clone(), table),
            annotations: self.read(FormField::Annotations, |was| was.pod.annotations.clone(), table),
        }
    }
}
