//! Diagnosis: whether all that the daily work needs is there, found out by asking and, unless wished for, without
//! changing anything. What is wrong comes with what to do about it; the words are in `text`.

mod cluster;
mod deep;
mod files;
mod finding;
mod terminal;

use std::path::PathBuf;

use futures::{StreamExt as _, stream};

use crate::cluster::Clusters;
use crate::store::Paths;
use brow_model::cluster::Context;
use brow_model::event::Loaded;
use brow_model::fault::{Fault, What};

pub use finding::{Area, Finding, Message, State};
pub use terminal::Environment;

/// The number of clusters that are checked at a time.
const MAX_CONCURRENT: usize = 8;

/// The scope of a check.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The kubeconfig that was asked for by name.
    pub kubeconfig: Option<PathBuf>,
    /// Only these contexts; none: the current one and those in use.
    pub contexts: Vec<String>,
    /// True for all contexts.
    pub all: bool,
    /// True if a short-lived pod may be created in each cluster, for checks that need one.
    pub deep: bool,
}

/// Returns true if a saved target is on a context, or an earlier run may have left pods there.
fn is_used(context: &str, loaded: Option<&Loaded>) -> bool {
    loaded.is_some_and(|loaded| {
        loaded.pods_until.contains_key(context) || loaded.targets.iter().any(|target| target.cluster == context)
    })
}

/// Runs all checks; the findings are in the order in which they are printed.
///
/// # Errors
/// [`What::UnknownContext`] for a context that was named and that the kubeconfig does not have.
pub async fn run(
    scope: &Scope,
    paths: &Paths,
    loaded: Result<Loaded, Fault>,
    around: &Environment,
) -> Result<Vec<Finding>, Fault> {
    let clusters = Clusters::empty(scope.kubeconfig.clone());
    let contexts = clusters.reload();
    let mut findings = vec![files::kubeconfig(&contexts)];
    let known = contexts.unwrap_or_default();
    for name in &scope.contexts {
        if !known.iter().any(|context| context.name == *name) {
            return Err(Fault::new(What::UnknownContext, name, ""));
        }
    }
    let is_first = |context: &Context| context.current || is_used(&context.name, loaded.as_ref().ok());
    // Where none is current or in use, nothing says which one is meant.
    let all = scope.all || !known.iter().any(is_first);
    let chosen = |context: &&Context| match &scope.contexts[..] {
        [] => all || is_first(context),
        named => named.contains(&context.name),
    };
    let others = known.iter().filter(|context| !chosen(context)).count();
    if others > 0 && scope.contexts.is_empty() {
        findings.push(files::others(others));
    }
    let settings = loaded.as_ref().map(|loaded| loaded.settings.clone()).unwrap_or_default();
    let tried = |context: &Context| {
        let at = (context.name.clone(), context.namespace.clone());
        loaded.as_ref().ok().and_then(|loaded| loaded.pod_proxies.get(&at))
    };
    let chosen: Vec<&Context> = known.iter().filter(chosen).collect();
    let mut asked = Vec::new();
    for context in chosen {
        asked.push(cluster::check(&clusters, context, &settings, tried(context), scope.deep));
    }
    let of_clusters: Vec<Vec<Finding>> = stream::iter(asked).buffered(MAX_CONCURRENT).collect().await;
    findings.extend(of_clusters.into_iter().flatten());
    findings.extend(files::config(paths, &loaded, &known));
    findings.extend(terminal::check(around, settings.colors).await);
    Ok(findings)
}
