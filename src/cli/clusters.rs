//! The clusters that a subcommand looks at, and the pods in them.

use std::collections::BTreeSet;

use clap_complete::ArgValueCandidates;

use super::complete;
use super::print::Failure;
use crate::text::Text;
use brow_model::Model;
use brow_model::cluster::Link;
use brow_model::proxy::ProxyPod;

/// The clusters that are looked at.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Clusters {
    /// A kubeconfig context to query; may be given several times. Default: the current one, those of saved targets,
    /// and those in which an earlier run may have left pods
    #[arg(
        long = "context",
        alias = "cluster",
        value_name = "CONTEXT",
        add = ArgValueCandidates::new(complete::contexts)
    )]
    named: Vec<String>,
    /// Only this namespace
    #[arg(long, short = 'n')]
    namespace: Option<String>,
}

impl Clusters {
    pub(super) fn of(&self, model: &Model) -> Vec<String> {
        if !self.named.is_empty() {
            return self.named.clone();
        }
        let targets = model.targets.all().iter().map(|target| target.cluster.clone());
        let wanted: BTreeSet<String> =
            current(model).into_iter().chain(targets).chain(model.clusters.pods_until().keys().cloned()).collect();
        // In the kubeconfig's order; targets of clusters that this machine does not know are nobody's fault.
        let known = model.clusters.all().iter().map(|cluster| cluster.name.clone());
        known.filter(|name| wanted.contains(name)).collect()
    }

    /// Returns the only namespace that is looked at, if one is named.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Returns true if the clusters are named, rather than those that are at hand.
    pub(super) fn are_named(&self) -> bool {
        !self.named.is_empty()
    }

    /// Returns true if it matters that a cluster cannot be asked: it was named, or pods of ours may be left there.
    pub(super) fn concern(&self, model: &Model, cluster: &str) -> bool {
        let until = model.clusters.pods_until().get(cluster);
        !self.named.is_empty() || until.is_some_and(|until| *until > model.now)
    }

    /// Returns the pods that are looked at, each once.
    pub(super) fn pods<'a>(&self, model: &'a Model) -> impl Iterator<Item = &'a ProxyPod> {
        let is_here = |pod: &&ProxyPod| self.namespace.as_ref().is_none_or(|name| pod.key.namespace == *name);
        model.pods.all().values().filter(is_here).filter(|pod| !model.is_duplicate(pod))
    }
}

/// Returns the kubeconfig's current context.
pub(super) fn current(model: &Model) -> Option<String> {
    model.clusters.all().iter().find(|cluster| cluster.current).map(|cluster| cluster.name.clone())
}

/// Checks that the kubeconfig has a context. One that cannot be read may have any.
///
/// # Errors
/// The message and exit code.
pub(super) fn known(model: &Model, text: &Text, context: &str) -> Result<(), Failure> {
    if model.clusters.fault().is_some() || model.cluster(context).is_some() {
        return Ok(());
    }
    Err(Failure::unknown(text.fill("cli.no-context", &[("thing", context)])))
}

/// Returns true if the pods of a cluster are known, or cannot be.
pub(super) fn is_settled(model: &Model, cluster: &str) -> bool {
    model.has_listed_pods(cluster) || is_down(model, cluster)
}

/// Returns true if a cluster cannot be asked.
pub(super) fn is_down(model: &Model, cluster: &str) -> bool {
    let link = model.cluster(cluster).map(|at| at.link);
    matches!(link, None | Some(Link::Unauthorized | Link::Forbidden | Link::Unreachable))
}
