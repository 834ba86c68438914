//! Completions of ports of nodes, which the cluster's services name.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use clap_complete::CompletionCandidate;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::{TIMEOUT, candidate, globals, targets, value};
use crate::cluster::{self, Clusters};
use brow_model::node::ServicePort;

/// The beginning of a destination that is ports of nodes.
const NODE: &str = "node/";

/// Destinations that are ports of nodes: `node/30999`.
pub(in crate::cli) fn places(word: &OsStr) -> Vec<CompletionCandidate> {
    match word.to_str().and_then(|word| word.strip_prefix(NODE)) {
        Some(ports) => {
            let before = ports.rfind(',').map_or("", |comma| &ports[..=comma]);
            like(&ports[before.len()..], &format!("{NODE}{before}"))
        }
        None => Vec::new(),
    }
}

/// Names of saved targets, and destinations that are ports of nodes.
pub(in crate::cli) fn targets_and_places(word: &OsStr) -> Vec<CompletionCandidate> {
    let begins =
        |target: &CompletionCandidate| target.get_value().as_encoded_bytes().starts_with(word.as_encoded_bytes());
    targets().into_iter().filter(begins).chain(places(word)).collect()
}

/// Ports of nodes for a gateway, behind the local port where one is typed.
pub(in crate::cli) fn gateway_ports(word: &OsStr) -> Vec<CompletionCandidate> {
    let Some(word) = word.to_str() else { return Vec::new() };
    let local = word.find(':').map_or("", |colon| &word[..=colon]);
    like(&word[local.len()..], local)
}

/// Returns the ports that begin with a text, else those whose service is like it.
fn like(text: &str, before: &str) -> Vec<CompletionCandidate> {
    let all = of_cluster().unwrap_or_default();
    let written: Vec<(String, String)> = all.iter().map(|at| (at.port.to_string(), at.to_string())).collect();
    let begins = written.iter().any(|(port, _)| port.starts_with(text));
    let fits = |(port, name): &&(String, String)| if begins { port.starts_with(text) } else { name.contains(text) };
    written.iter().filter(fits).map(|(port, name)| candidate(&format!("{before}{port}"), name.clone())).collect()
}

/// Returns the ports of the context that the line names, else of the current one, as far as it tells in time.
fn of_cluster() -> Option<Vec<ServicePort>> {
    let (clusters, contexts) = Clusters::read(globals()?.kubeconfig.as_deref()).ok()?;
    let named = value("--context").or_else(|| value("--cluster"));
    let is_meant = |name: &str, current: bool| named.as_deref().map_or(current, |named| named == name);
    let context = contexts.iter().find(|context| is_meant(&context.name, context.current))?;
    let namespaces = BTreeSet::from([context.namespace.clone()]);
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().ok()?;
    let asking = async { timeout(TIMEOUT, cluster::node_ports(&clusters, &context.name, &namespaces)).await };
    let answer = runtime.block_on(asking);
    runtime.shutdown_background();
    answer.ok()?.ok()
}
