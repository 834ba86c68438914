//! Subjects of measurements: a cluster, or pods by the name of what they belong to.

use std::collections::BTreeSet;

use crate::types::index::ObjectRef;
use crate::types::workload::{Kind, Workload, is_dns_label, is_dns_name};

/// Something that is measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// All nodes together.
    Cluster,
    Pods(Pods),
}

/// The pods of a namespace that bear a name, or one that a controller made of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pods {
    namespace: String,
    name: String,
    tail: Tail,
    /// Further pods, where the first is one.
    others: Vec<String>,
}

/// The text that a controller adds to its name to name a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Tail {
    /// Nothing: it is a pod.
    None,
    /// `-0`.
    Ordinal,
    /// `-x7k2p`.
    Random,
    /// `-6d4cf56db6-x7k2p`.
    HashRandom,
    /// `-x7k2p` or `-0-x7k2p`.
    Job,
    /// `-28394820-x7k2p` or `-28394820-0-x7k2p`.
    CronJob,
}

/// The length of the random part of a pod's name (`k8s.io/apiserver/pkg/storage/names`).
const RANDOM: usize = 5;

/// The most pods that are named one by one.
const MAX_PODS: usize = 20;

impl Subject {
    /// Returns the pods of an object, if its kind has any by name.
    pub fn of(object: &ObjectRef) -> Option<Self> {
        let tail = tail_of(&object.kind.resource())?;
        Pods::new(&object.namespace, &object.name, tail).map(Self::Pods)
    }

    /// Returns the pods of a workload, if they go by its name.
    pub fn of_workload(namespace: &str, workload: &Workload) -> Option<Self> {
        let tail = match &workload.kind {
            Kind::Pod => Tail::None,
            Kind::Deployment => Tail::HashRandom,
            Kind::StatefulSet => Tail::Ordinal,
            Kind::DaemonSet | Kind::ReplicaSet => Tail::Random,
            Kind::Job => Tail::Job,
            Kind::Custom(kind) => tail_of(kind)?,
            Kind::Service | Kind::Selector => return None,
        };
        Pods::new(namespace, &workload.name, tail).map(Self::Pods)
    }

    /// Returns one pod.
    pub fn pod(namespace: &str, name: &str) -> Option<Self> {
        Pods::new(namespace, name, Tail::None).map(Self::Pods)
    }

    /// Returns some pods, of many the first.
    pub fn pods<'a>(namespace: &str, names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let names: BTreeSet<&str> = names.into_iter().filter(|name| is_dns_name(name)).collect();
        let mut names = names.into_iter();
        let first = Pods::new(namespace, names.next()?, Tail::None)?;
        let others = names.take(MAX_PODS - 1).map(str::to_owned).collect();
        Some(Self::Pods(Pods { others, ..first }))
    }
}

fn tail_of(resource: &str) -> Option<Tail> {
    Some(match resource {
        "pods" => Tail::None,
        "deployments.apps" | "rollouts.argoproj.io" => Tail::HashRandom,
        "statefulsets.apps" | "statefulsets.apps.kruise.io" => Tail::Ordinal,
        "daemonsets.apps" | "replicasets.apps" | "daemonsets.apps.kruise.io" | "clonesets.apps.kruise.io" => {
            Tail::Random
        }
        "jobs.batch" | "broadcastjobs.apps.kruise.io" => Tail::Job,
        "cronjobs.batch" => Tail::CronJob,
        _ => return None,
    })
}

impl Pods {
    /// Returns `None` for what is no name in Kubernetes, and so cannot be in a query.
    fn new(namespace: &str, name: &str, tail: Tail) -> Option<Self> {
        (is_dns_label(namespace) && is_dns_name(name)).then(|| Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            tail,
            others: Vec::new(),
        })
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the name of the one pod, if it is one.
    pub fn single(&self) -> Option<&str> {
        (self.tail == Tail::None && self.others.is_empty()).then_some(&self.name)
    }

    /// Returns a regular expression for the whole names of the pods (RE2, which Prometheus anchors).
    pub fn regex(&self) -> String {
        let tail = match self.tail {
            Tail::None => "",
            Tail::Ordinal => "-[0-9]+",
            Tail::Random => "-[a-z0-9]{5}",
            Tail::HashRandom => "-[a-z0-9]{1,10}-[a-z0-9]{5}",
            Tail::Job => "-([0-9]+-)?[a-z0-9]{5}",
            Tail::CronJob => "-[0-9]+-([0-9]+-)?[a-z0-9]{5}",
        };
        // A dot is the only character of a name that is more than itself.
        let plain = |name: &String| name.replace('.', "[.]");
        let first = format!("{}{tail}", plain(&self.name));
        std::iter::once(first).chain(self.others.iter().map(plain)).collect::<Vec<_>>().join("|")
    }

    /// Returns true if a pod of the namespace is one of them, as [`Pods::regex`] says.
    pub fn has(&self, pod: &str) -> bool {
        if self.others.iter().any(|other| other == pod) {
            return true;
        }
        let Some(rest) = pod.strip_prefix(&self.name) else { return false };
        if self.tail == Tail::None {
            return rest.is_empty();
        }
        let Some(rest) = rest.strip_prefix('-') else { return false };
        let parts: Vec<&str> = rest.split('-').collect();
        let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let word = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let random = |part: &str| part.len() == RANDOM && word(part);
        match (self.tail, &parts[..]) {
            (Tail::Ordinal, [at]) => number(at),
            (Tail::Random | Tail::Job, [end]) => random(end),
            (Tail::HashRandom, [hash, end]) => (1..=10).contains(&hash.len()) && word(hash) && random(end),
            (Tail::Job | Tail::CronJob, [at, end]) => number(at) && random(end),
            (Tail::CronJob, [time, at, end]) => number(time) && number(at) && random(end),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(workload: &str) -> Pods {
        let workload: Workload = workload.parse().unwrap();
        match Subject::of_workload("shop", &workload) {
            Some(Subject::Pods(pods)) => pods,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pods_are_known_by_their_names() {
        for (workload, regex, yes, no) in [
            ("pod/web.1:80", "web[.]1", &["web.1"][..], &["web-1", "web.1-x7k2p", "web.10"][..]),
            ("sts/db:80", "db-[0-9]+", &["db-0", "db-12"], &["db", "db-", "db-x", "db-0-x7k2p", "db2-0"]),
            ("ds/log:80", "log-[a-z0-9]{5}", &["log-x7k2p"], &["log-x7k2", "log-x7k2p9", "log-6d4cf56db6-x7k2p"]),
            (
                "deploy/web:80",
                "web-[a-z0-9]{1,10}-[a-z0-9]{5}",
                &["web-6d4cf56db6-x7k2p", "web-7f9-aaaaa"],
                &["web-x7k2p", "web-admin-6d4cf56db6-x7k2p", "web-6d4cf56db6-x7k2p-1", "web-0123456789a-x7k2p"],
            ),
            (
                "job/seed:80",
                "seed-([0-9]+-)?[a-z0-9]{5}",
                &["seed-x7k2p", "seed-3-x7k2p"],
                &["seed-a-x7k2p", "seed-3", "seed-1-2-x7k2p"],
            ),
            ("clonesets.apps.kruise.io/web:80", "web-[a-z0-9]{5}", &["web-x7k2p"], &["web-0"]),
        ] {
            let pods = pods(workload);
            assert_eq!(pods.regex(), regex, "{workload}");
            for name in yes {
                assert!(pods.has(name), "{workload}: {name}");
            }
            for name in no {
                assert!(!pods.has(name), "{workload}: {name}");
            }
        }
        let Some(Subject::Pods(some)) = Subject::pods("shop", ["web-b", "web.a", "web-b", "x\"}"]) else { panic!() };
        assert_eq!((some.regex().as_str(), some.single()), ("web-b|web[.]a", None));
        assert!(some.has("web.a") && some.has("web-b") && !some.has("web-a") && !some.has("web-b-1"));
        assert_eq!(Subject::pods("shop", ["web-b"]), Subject::pod("shop", "web-b"));
        let many: Vec<String> = (0..100).map(|number| format!("web-{number}")).collect();
        let Some(Subject::Pods(many)) = Subject::pods("shop", many.iter().map(String::as_str)) else { panic!() };
        assert_eq!(many.regex().split('|').count(), MAX_PODS);
        let cron = Pods::new("shop", "nightly", Tail::CronJob).unwrap();
        assert!(cron.has("nightly-28394820-x7k2p") && cron.has("nightly-28394820-0-x7k2p"));
        assert!(!cron.has("nightly-x7k2p") && !cron.has("nightly-28394820"));
    }

    #[test]
    fn what_has_no_pods_by_name_is_not_measured() {
        for workload in ["svc/web:80", "selector/app=web:80", "widgets.example.com/web:80"] {
            assert_eq!(Subject::of_workload("shop", &workload.parse().unwrap()), None, "{workload}");
        }
        for (namespace, name) in [("shop\"}", "web"), ("shop", "web\"} or up{a=\""), ("", "web"), ("shop", "")] {
            assert_eq!(Subject::pod(namespace, name), None, "{namespace} {name}");
        }
    }
}
