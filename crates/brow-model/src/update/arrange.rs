//! Makes the visible order of each pane: filter, then sort.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::screen::filter::Filter;
use crate::screen::list::{ClusterColumn, ForwardColumn, List, PodColumn, TargetColumn};
use crate::state::Model;
use crate::types::cluster::{Cluster, Link};
use crate::types::forward::{Forward, ForwardId, ForwardState};
use crate::types::instance::ForwardReport;
use crate::types::proxy::{Phase, ProxyPod};
use crate::types::target::Target;

impl Model {
    /// Arranges every pane's rows, where something changed. To be called before a frame is drawn.
    pub fn arrange(&mut self) {
        if !std::mem::take(&mut self.screen.unarranged) {
            return;
        }
        self.update_live();
        self.arrange_clusters();
        self.arrange_targets();
        self.arrange_pods();
        self.arrange_forwards();
        self.arrange_browser();
        self.arrange_find();
        self.arrange_kinds();
    }

    fn arrange_clusters(&mut self) {
        let mut filter = Filter::new(self.screen.clusters.filter.value());
        let mut rows: Vec<(u32, &Cluster)> = self
            .clusters
            .all()
            .iter()
            .filter_map(|at| Some((filter.score(&[self.cluster_name(&at.name), &at.name, &at.server, &at.user])?, at)))
            .collect();
        let column = self.screen.clusters.column;
        let pods = |at: &Cluster| self.pods.all().keys().filter(|key| key.cluster == at.name).count();
        let forwards =
            |at: &Cluster| self.forwards.all().values().filter(|f| f.spec.selector.cluster == at.name).count();
        rows.sort_by(|(_, a), (_, b)| match column {
            // The kubeconfig's own order is the one its owner knows.
            ClusterColumn::Name => Ordering::Equal,
            ClusterColumn::Version => a.version.cmp(&b.version),
            ClusterColumn::State => a.link.cmp(&b.link),
            ClusterColumn::Rtt => a.rtt.cmp(&b.rtt),
            ClusterColumn::Pods => pods(a).cmp(&pods(b)),
            ClusterColumn::Forwards => forwards(a).cmp(&forwards(b)),
        });
        let order = rows.into_iter().map(|(score, at)| (score, at.name.clone())).collect();
        let names = self.clusters.all();
        settle(&mut self.screen.clusters, order, names.len(), |name| names.iter().any(|at| at.name == *name));
    }

    fn arrange_targets(&mut self) {
        let mut filter = Filter::new(self.screen.targets.filter.value());
        let mut rows: Vec<(u32, &Target, String)> = self
            .targets
            .all()
            .iter()
            .filter_map(|target| {
                let address = target.address.to_string();
                let namespace = self.namespace_of(target);
                let cluster = self.cluster_name(&target.cluster);
                let mut fields = vec![target.name.as_str(), cluster, &target.cluster, &namespace, &address];
                fields.extend(target.tags.iter().map(String::as_str));
                Some((filter.score(&fields)?, target, namespace))
            })
            .collect();
        let column = self.screen.targets.column;
        // Targets without a pod that ends come last.
        let left = |target: &Target| self.time_left(target).unwrap_or(TimeDelta::MAX);
        if column == TargetColumn::Attention {
            rows.sort_by_cached_key(|(_, at, _)| (self.attention_of(at), at.name.clone()));
        }
        rows.sort_by(|(_, a, a_namespace), (_, b, b_namespace)| match column {
            TargetColumn::Attention => Ordering::Equal,
            TargetColumn::Name => a.name.cmp(&b.name),
            TargetColumn::Cluster => {
                (self.cluster_name(&a.cluster), &a.name).cmp(&(self.cluster_name(&b.cluster), &b.name))
            }
            TargetColumn::Namespace => (a_namespace, &a.name).cmp(&(b_namespace, &b.name)),
            TargetColumn::Address => a.address.cmp(&b.address),
            TargetColumn::Port => (self.port_of(a), &a.name).cmp(&(self.port_of(b), &b.name)),
            TargetColumn::Tags => (&a.tags, &a.name).cmp(&(&b.tags, &b.name)),
            TargetColumn::Left => (left(a), &a.name).cmp(&(left(b), &b.name)),
            TargetColumn::State => (!self.is_live(&a.name), &a.name).cmp(&(!self.is_live(&b.name), &b.name)),
        });
        let order = rows.into_iter().map(|(score, target, _)| (score, target.name.clone())).collect();
        let targets = self.targets.all();
        settle(&mut self.screen.targets, order, targets.len(), |name| {
            targets.iter().any(|target| target.name == *name)
        });
    }

    fn arrange_pods(&mut self) {
        let mut filter = Filter::new(self.screen.pods.filter.value());
        // Several contexts may lead to one cluster: each pod has one row.
        let several = self.clusters.all().iter().filter(|at| at.link != Link::Idle).count() > 1;
        let rows: Vec<&ProxyPod> = self.pods.all().values().filter(|pod| !several || !self.is_duplicate(pod)).collect();
        let of = rows.len();
        let mut score = |pod: &ProxyPod| {
            let key = &pod.key;
            let cluster = self.cluster_name(&key.cluster);
            filter.score(&[&key.name, &pod.target, cluster, &key.cluster, &key.namespace, &pod.owner])
        };
        let mut rows: Vec<(u32, &ProxyPod)> = rows.into_iter().filter_map(|pod| Some((score(pod)?, pod))).collect();
        let column = self.screen.pods.column;
        if column == PodColumn::Attention {
            rows.sort_by_cached_key(|(_, pod)| (self.attention_of_pod(pod), pod.key.clone()));
        }
        rows.sort_by(|(_, a), (_, b)| match column {
            PodColumn::Attention => Ordering::Equal,
            PodColumn::Name => a.key.name.cmp(&b.key.name),
            PodColumn::Target => a.target.cmp(&b.target),
            PodColumn::Place => a.key.cmp(&b.key),
            PodColumn::Phase => self.phase_of(a).cmp(&self.phase_of(b)),
            PodColumn::Owner => a.owner.cmp(&b.owner),
            // The youngest first: the one just created is the one looked for.
            PodColumn::Age => b.created.cmp(&a.created),
            PodColumn::Left => a.deadline().cmp(&b.deadline()),
        });
        let order = rows.into_iter().map(|(score, pod)| (score, pod.key.clone())).collect();
        let pods = self.pods.all();
        settle(&mut self.screen.pods, order, of, |key| pods.contains_key(key));
    }

    fn arrange_forwards(&mut self) {
        let mut filter = Filter::new(self.screen.forwards.filter.value());
        let mut rows: Vec<(u32, &Forward)> = self
            .forwards
            .all()
            .values()
            .filter_map(|forward| {
                let local = forward.local();
                let pod = forward.via().map_or("", |via| &via.pod.name);
                Some((filter.score(&[&local, &forward.spec.target, &forward.spec.selector.cluster, pod])?, forward))
            })
            .collect();
        let column = self.screen.forwards.column;
        if column == ForwardColumn::Attention {
            rows.sort_by_cached_key(|(_, at)| (self.attention_of_forward(at), at.spec.target.clone(), at.spec.id));
        }
        rows.sort_by(|(_, a), (_, b)| {
            let (x, y) = (&a.traffic, &b.traffic);
            match column {
                ForwardColumn::Attention => Ordering::Equal,
                ForwardColumn::Local => (a.spec.port, a.spec.id).cmp(&(b.spec.port, b.spec.id)),
                ForwardColumn::Target => a.spec.target.cmp(&b.spec.target),
                ForwardColumn::Pod => a.via().map(|via| &via.pod).cmp(&b.via().map(|via| &via.pod)),
                ForwardColumn::State => a.state().cmp(&b.state()),
                ForwardColumn::Connections => (x.counts.open, x.counts.total).cmp(&(y.counts.open, y.counts.total)),
                ForwardColumn::Up => x.counts.up.cmp(&y.counts.up),
                ForwardColumn::UpRate => x.up_rate.cmp(&y.up_rate),
                ForwardColumn::Down => x.counts.down.cmp(&y.counts.down),
                ForwardColumn::DownRate => x.down_rate.cmp(&y.down_rate),
                ForwardColumn::Activity => (x.up_rate + x.down_rate).cmp(&(y.up_rate + y.down_rate)),
                ForwardColumn::Fault => self.trouble_of(a).is_some().cmp(&self.trouble_of(b).is_some()),
            }
        });
        // Those of other instances come below our own, whatever the order is by.
        let others = self.instances.forwards().iter().filter_map(|(id, other)| {
            let ForwardReport { local, name, cluster, pod, .. } = &other.forward;
            Some((filter.score(&[local, name, cluster, pod.as_deref().unwrap_or_default()])?, *id))
        });
        let mut others: Vec<(u32, ForwardId)> = others.collect();
        others.sort_by_key(|(_, id)| {
            let shared = &self.instances.forwards()[id].forward;
            match column {
                ForwardColumn::Target => (&shared.name, &shared.local),
                ForwardColumn::Pod => (shared.pod.as_ref().unwrap_or(&shared.name), &shared.local),
                _ => (&shared.local, &shared.name),
            }
        });
        let gateways = self.filtered_gateways(&mut filter);
        let own = rows.into_iter().map(|(score, forward)| (score, forward.spec.id)).chain(gateways);
        let order: Vec<_> = if self.screen.forwards.descending {
            others.into_iter().rev().chain(own).collect()
        } else {
            own.chain(others).collect()
        };
        let (forwards, others, gateways) = (self.forwards.all(), self.instances.forwards(), self.gateways.rows());
        let exists = |id: &ForwardId| forwards.contains_key(id) || others.contains_key(id) || gateways.contains_key(id);
        settle(&mut self.screen.forwards, order, forwards.len() + others.len() + gateways.len(), exists);
    }

    /// Returns the rows of gateways that pass the filter, by cluster and local port.
    fn filtered_gateways(&self, filter: &mut Filter) -> Vec<(u32, ForwardId)> {
        let found = self.gateways.rows().iter().filter_map(|(id, row)| {
            let (local, target) = (row.port.local.to_string(), row.port.target());
            let score = filter.score(&[&local, &target, &row.gateway.cluster, &row.gateway.name])?;
            Some((score, *id))
        });
        let mut found: Vec<(u32, ForwardId)> = found.collect();
        found.sort_by_key(|(_, id)| {
            let row = &self.gateways.rows()[id];
            (row.gateway.cluster.clone(), row.port.local)
        });
        found
    }

    /// Returns true if a target is reachable: a forward of it is live, or a pod of ours for it is ready. As of the last
    /// arrangement.
    pub fn is_live(&self, target: &str) -> bool {
        self.targets.is_live(target)
    }

    fn update_live(&mut self) {
        let ready: BTreeSet<(&str, &str, &str)> = self
            .pods
            .all()
            .values()
            .filter(|pod| pod.phase == Phase::Ready && self.is_ours(pod))
            .map(|pod| (pod.key.cluster.as_str(), pod.key.namespace.as_str(), pod.target_label.as_str()))
            .collect();
        let live = self.targets.all().iter().filter(|target| {
            let elsewhere = |address| self.elsewhere(target, address).is_some();
            let forwards = self.forwards_of(&target.name).any(|forward| forward.state() == ForwardState::Live);
            let gateway = || self.gateways_of(target).into_iter().any(|id| self.is_gateway_up(id));
            forwards
                || gateway()
                || (!self.instances.forwards().is_empty() && target.address.singles().iter().any(elsewhere))
                || {
                    let selector = self.selector_of(target);
                    ready.contains(&(&selector.cluster, &selector.namespace, &selector.label))
                }
        });
        let live = live.map(|target| target.name.clone()).collect();
        self.targets.set_live(live);
    }
}

/// Gives a list its sorted rows, each with the filter's score. Where the filter's text has just changed, the best one
/// is selected, the first of several.
fn settle<K: Ord + Clone, C>(list: &mut List<K, C>, mut rows: Vec<(u32, K)>, of: usize, exists: impl Fn(&K) -> bool) {
    if list.descending {
        rows.reverse();
    }
    if std::mem::take(&mut list.seeking) && !list.filter.value().trim().is_empty() {
        // Of equals `max_by_key` gives the last.
        list.wanted = rows.iter().rev().max_by_key(|(score, _)| *score).map(|(_, key)| key.clone());
    }
    list.arrange(rows.into_iter().map(|(_, key)| key).collect(), of, exists);
}
