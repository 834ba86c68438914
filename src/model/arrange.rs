//! Makes the visible order of each pane: filter, then sort.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::Model;
use super::cluster::{Cluster, Link};
use super::forward::{Forward, ForwardState};
use super::list::{ClusterColumn, ForwardColumn, PodColumn, TargetColumn};
use super::proxy::{Phase, ProxyPod};
use super::target::Target;

/// A fuzzy filter; an empty text lets everything through.
struct Filter {
    pattern: Pattern,
    matcher: Matcher,
    buffer: Vec<char>,
}

impl Filter {
    fn new(text: &str) -> Self {
        Self {
            pattern: Pattern::parse(text.trim(), CaseMatching::Smart, Normalization::Smart),
            matcher: Matcher::new(Config::DEFAULT),
            buffer: Vec::new(),
        }
    }

    fn lets(&mut self, words: &[&str]) -> bool {
        if self.pattern.atoms.is_empty() {
            return true;
        }
        let text = words.join(" ");
        let text = Utf32Str::new(&text, &mut self.buffer);
        self.pattern.score(text, &mut self.matcher).is_some()
    }
}

impl Model {
    /// Arranges every pane's rows, where something changed. To be called before a frame is drawn.
    pub fn arrange(&mut self) {
        if !std::mem::take(&mut self.unarranged) {
            return;
        }
        self.find_live();
        self.arrange_clusters();
        self.arrange_targets();
        self.arrange_pods();
        self.arrange_forwards();
    }

    fn arrange_clusters(&mut self) {
        let mut filter = Filter::new(self.cluster_list.filter.value());
        let mut rows: Vec<&Cluster> =
            self.clusters.iter().filter(|at| filter.lets(&[&at.name, &at.server, &at.user])).collect();
        let column = self.cluster_list.column;
        let pods = |at: &Cluster| self.pods.keys().filter(|key| key.cluster == at.name).count();
        let forwards = |at: &Cluster| self.forwards.values().filter(|f| f.spec.place.cluster == at.name).count();
        rows.sort_by(|a, b| match column {
            // The kubeconfig's own order is the one its owner knows.
            ClusterColumn::Name => Ordering::Equal,
            ClusterColumn::Version => a.version.cmp(&b.version),
            ClusterColumn::State => a.link.cmp(&b.link),
            ClusterColumn::Rtt => a.rtt.cmp(&b.rtt),
            ClusterColumn::Pods => pods(a).cmp(&pods(b)),
            ClusterColumn::Forwards => forwards(a).cmp(&forwards(b)),
        });
        let order = turned(rows, self.cluster_list.descending).map(|at| at.name.clone()).collect();
        let names = &self.clusters;
        self.cluster_list.arrange(order, names.len(), |name| names.iter().any(|at| at.name == *name));
    }

    fn arrange_targets(&mut self) {
        let mut filter = Filter::new(self.target_list.filter.value());
        let mut rows: Vec<(&Target, bool)> = self
            .targets
            .iter()
            .filter(|target| {
                let address = target.address.to_string();
                let tags = target.tags.join(" ");
                let namespace = target.namespace.as_deref().unwrap_or_default();
                filter.lets(&[&target.name, &target.cluster, namespace, &address, &tags])
            })
            .map(|target| (target, self.is_live(&target.name)))
            .collect();
        let column = self.target_list.column;
        rows.sort_by(|(a, a_live), (b, b_live)| match column {
            TargetColumn::Name => a.name.cmp(&b.name),
            TargetColumn::Cluster => (&a.cluster, &a.name).cmp(&(&b.cluster, &b.name)),
            TargetColumn::Namespace => (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)),
            TargetColumn::Address => a.address.cmp(&b.address),
            TargetColumn::Port => (a.local_port, &a.name).cmp(&(b.local_port, &b.name)),
            TargetColumn::Tags => (&a.tags, &a.name).cmp(&(&b.tags, &b.name)),
            TargetColumn::Live => (!a_live, &a.name).cmp(&(!b_live, &b.name)),
        });
        let order = turned(rows, self.target_list.descending).map(|(target, _)| target.name.clone()).collect();
        let targets = &self.targets;
        self.target_list.arrange(order, targets.len(), |name| targets.iter().any(|target| target.name == *name));
    }

    fn arrange_pods(&mut self) {
        let mut filter = Filter::new(self.pod_list.filter.value());
        // Several contexts may lead to one cluster: each pod has one row.
        let several = self.clusters.iter().filter(|at| at.link != Link::Idle).count() > 1;
        let mut rows: Vec<&ProxyPod> = self.pods.values().filter(|pod| !several || !self.is_twin(pod)).collect();
        let of = rows.len();
        rows.retain(|pod| filter.lets(&[&pod.key.name, &pod.target, &pod.key.cluster, &pod.key.namespace, &pod.owner]));
        let column = self.pod_list.column;
        rows.sort_by(|a, b| match column {
            PodColumn::Name => a.key.name.cmp(&b.key.name),
            PodColumn::Target => a.target.cmp(&b.target),
            PodColumn::Place => a.key.cmp(&b.key),
            PodColumn::Phase => a.phase.cmp(&b.phase),
            PodColumn::Owner => a.owner.cmp(&b.owner),
            // The youngest first: the one just created is the one looked for.
            PodColumn::Age => b.created.cmp(&a.created),
            PodColumn::Left => a.deadline().cmp(&b.deadline()),
        });
        let order = turned(rows, self.pod_list.descending).map(|pod| pod.key.clone()).collect();
        let pods = &self.pods;
        self.pod_list.arrange(order, of, |key| pods.contains_key(key));
    }

    fn arrange_forwards(&mut self) {
        let mut filter = Filter::new(self.forward_list.filter.value());
        let mut rows: Vec<&Forward> = self
            .forwards
            .values()
            .filter(|forward| {
                let local = forward.local();
                let pod = forward.via.as_ref().map_or("", |via| &via.pod.name);
                filter.lets(&[&local, &forward.spec.target, &forward.spec.place.cluster, pod])
            })
            .collect();
        let column = self.forward_list.column;
        rows.sort_by(|a, b| {
            let (x, y) = (&a.traffic, &b.traffic);
            match column {
                ForwardColumn::Local => (a.spec.port, a.spec.id).cmp(&(b.spec.port, b.spec.id)),
                ForwardColumn::Target => a.spec.target.cmp(&b.spec.target),
                ForwardColumn::Pod => a.via.as_ref().map(|via| &via.pod).cmp(&b.via.as_ref().map(|via| &via.pod)),
                ForwardColumn::State => a.state.cmp(&b.state),
                ForwardColumn::Connections => (x.counts.open, x.counts.total).cmp(&(y.counts.open, y.counts.total)),
                ForwardColumn::Up => x.counts.up.cmp(&y.counts.up),
                ForwardColumn::Down => x.counts.down.cmp(&y.counts.down),
                ForwardColumn::Activity => (x.up_rate + x.down_rate).cmp(&(y.up_rate + y.down_rate)),
                ForwardColumn::Fault => a.fault.is_some().cmp(&b.fault.is_some()),
            }
        });
        let order = turned(rows, self.forward_list.descending).map(|forward| forward.spec.id).collect();
        let forwards = &self.forwards;
        self.forward_list.arrange(order, forwards.len(), |id| forwards.contains_key(id));
    }

    /// Whether a target is reachable now: a forward of it is live, or a pod of ours for it is ready. As of the last
    /// arrangement.
    pub fn is_live(&self, target: &str) -> bool {
        self.live.contains(target)
    }

    fn find_live(&mut self) {
        let ready: BTreeSet<(&str, &str, &str)> = self
            .pods
            .values()
            .filter(|pod| pod.phase == Phase::Ready && pod.owner == self.me)
            .map(|pod| (pod.key.cluster.as_str(), pod.key.namespace.as_str(), pod.target_label.as_str()))
            .collect();
        let live = self.targets.iter().filter(|target| {
            self.forwards_of(&target.name).any(|forward| forward.state == ForwardState::Live) || {
                let place = self.place_of(target);
                ready.contains(&(&place.cluster, &place.namespace, &place.label))
            }
        });
        self.live = live.map(|target| target.name.clone()).collect();
    }
}

fn turned<T>(mut rows: Vec<T>, descending: bool) -> impl Iterator<Item = T> {
    if descending {
        rows.reverse();
    }
    rows.into_iter()
}
