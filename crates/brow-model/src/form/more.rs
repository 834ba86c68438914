//! From a target to the texts of its form, and back.

use super::super::Model;
use super::super::keep::KeepSettings;
use super::super::settings::{PodSettings, PullPolicy, Resources};
use super::super::target::Target;
use super::super::ttl::Ttl;
use super::super::workload::{Where, Workload};
use super::written::{pairs, shown, shown_tolerations, tolerations, words};
use super::{FormField, TargetForm};

impl FormField {
    /// What it says of a target.
    pub(super) fn of(self, target: &Target) -> String {
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
    fn of_keep(self, keep: &KeepSettings) -> Option<String> {
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
    fn of_pod(self, pod: &PodSettings) -> String {
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

fn time(time: Option<Ttl>) -> String {
    time.map(|value| value.to_string()).unwrap_or_default()
}

fn policy(policy: PullPolicy) -> &'static str {
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

impl Model {
    /// What holds where a field of a form is left empty, as far as the config or the program says it.
    pub fn unsaid(&self, form: &TargetForm, field: FormField) -> String {
        let cluster = form.text(FormField::Cluster);
        let at = self.settings.clusters.get(cluster);
        match field {
            FormField::Namespace => self.cluster(cluster).map(|at| at.namespace.clone()).unwrap_or_default(),
            FormField::Ttl => self.settings.ttl.to_string(),
            FormField::Via => "direct".to_owned(),
            FormField::Wait => time(Ttl::from_secs(Workload::WAIT.as_secs())),
            FormField::Autostart => "false".to_owned(),
            FormField::LocalAddress => "127.0.0.1, ::1".to_owned(),
            FormField::PullPolicy => policy(
                self.settings.pod_for(cluster, &PodSettings::default()).pull_policy.unwrap_or(PullPolicy::IfNotPresent),
            )
            .to_owned(),
            FormField::Name
            | FormField::Cluster
            | FormField::Address
            | FormField::LocalPort
            | FormField::Tags
            | FormField::Probe => String::new(),
            _ => {
                let keep = at.map_or_else(|| self.settings.keep.clone(), |at| at.keep.over(&self.settings.keep));
                let pod = || self.settings.pod_for(cluster, &PodSettings::default());
                field.of_keep(&keep).unwrap_or_else(|| field.of_pod(&pod()))
            }
        }
    }
}
