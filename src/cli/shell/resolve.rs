//! The place of a session or a copy: what the command line names, its pod and its container; and what is asked before.

use crate::cli::consent;
use crate::cli::print::{self, FAILED, Failure};
use crate::cli::signals::{Signals, ended_by};
use crate::cluster::{Clusters, workload};
use crate::shell::{self, Choice};
use crate::text::Text;
use brow_model::cluster::Context;
use brow_model::event::Loaded;
use brow_model::fault::{Fault, What};
use brow_model::near::near;
use brow_model::proxy::PodKey;
use brow_model::workload::{Kind, Workload};

/// The reason why a session or a copy does not begin.
pub(in crate::cli) enum Refused {
    /// The cluster refused it, or cannot be reached.
    Fault(Box<Fault>),
    /// It was not asked: wrong usage, an answer, a signal.
    Failure(Failure),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Refused {
    /// A signal of that number came.
    pub(in crate::cli) fn ended(number: u8) -> Self {
        Self::Failure(Failure { code: ended_by(number), message: String::new() })
    }

    /// Logs it where it was the cluster's, and returns the words for it.
    pub(in crate::cli) fn tell(self, text: &Text, log: impl FnOnce(What)) -> Failure {
        match self {
            Self::Failure(failure) => failure,
            Self::Fault(fault) => {
                log(fault.what);
                Failure::fault(text, &fault)
            }
        }
    }
}

/// Returns whether it is a node.
pub(in crate::cli) fn is_node(query: &workload::Query) -> bool {
    matches!(&query.workload.kind, Kind::Custom(kind) if ["node", "nodes", "no"].contains(&kind.as_str()))
}

/// Returns the node of a pod.
pub(super) async fn node_of(
    text: &Text,
    clusters: &Clusters,
    query: workload::Query,
) -> Result<workload::Query, Refused> {
    let pod = workload::pick(clusters, &query).await?;
    let name = pod.metadata.name.unwrap_or_default();
    let node = pod.spec.and_then(|spec| spec.node_name);
    let node = node.ok_or_else(|| Failure::unknown(text.fill("cli.shell-no-node", &[("thing", &name)])))?;
    let workload = Workload { kind: Kind::Custom("node".to_owned()), name: node, ..query.workload };
    Ok(workload::Query { workload, ..query })
}

/// Asks before something is done in a production cluster.
///
/// # Errors
/// The answer is no, or there is nobody to ask.
pub(in crate::cli) async fn ask_production(
    text: &Text,
    question: &str,
    with: &[(&str, &str)],
    signals: &mut Signals,
) -> Result<(), Failure> {
    if !consent::can_ask() {
        return Err(Failure::usage(text.fill("cli.production-say-yes", with)));
    }
    print::err(&text.fill(question, with));
    agreed(text, signals).await
}

/// Looks a pod up, and chooses a container of it: the one that is named, the one that is meant, or the one that a
/// person chooses.
pub(in crate::cli) async fn find_container(
    text: &Text,
    clusters: &Clusters,
    query: workload::Query,
    named: Option<&str>,
) -> Result<(PodKey, String), Refused> {
    let pod = workload::pick(clusters, &query).await?;
    let name = pod.metadata.name.clone().unwrap_or_default();
    let key = PodKey { cluster: query.cluster, namespace: query.namespace, name };
    let container = match shell::choose(&pod, named) {
        Choice::One(name) => name,
        Choice::Several(all) => ask_container(text, &key.name, &all).await?,
        Choice::Missing(others) => {
            let missing = named.unwrap_or_default();
            let with = [("thing", key.name.as_str()), ("name", missing), ("detail", &others.join(", "))];
            return Err(Failure::unknown(text.fill("cli.shell-no-container", &with)).into());
        }
    };
    Ok((key, container))
}

/// A place as the command line names it.
pub(in crate::cli) struct NamedPod<'a> {
    /// KIND/NAME or a saved target.
    pub words: &'a str,
    pub context: Option<&'a str>,
    pub namespace: Option<&'a str>,
}

/// Finds out where the session is to be, and whose login it takes.
pub(in crate::cli) fn find(
    place: &NamedPod<'_>,
    text: &Text,
    loaded: &Loaded,
    contexts: &[Context],
) -> Result<(workload::Query, String), Failure> {
    let saved = loaded.targets.iter().find(|target| target.name == place.words);
    let (workload, cluster, namespace) = match saved {
        Some(target) => {
            let Some(workload) = target.address.workload() else {
                return Err(Failure::usage(text.fill("cli.shell-needs-pod", &[("thing", &target.name)])));
            };
            (workload.clone(), Some(target.cluster.clone()), target.namespace.clone())
        }
        None if place.words.contains('/') => {
            // A session needs no port.
            let workload = format!("{}:1", place.words).parse::<Workload>();
            (workload.map_err(|_| Failure::usage(text.get("cli.shell-place")))?, None, None)
        }
        None => {
            let names = near(place.words, loaded.targets.iter().map(|target| target.name.as_str()));
            let near = text.fill("fault.near-names", &[("detail", &names.join(", "))]);
            let words = text.fill("cli.no-target", &[("thing", place.words)]);
            let hint = if names.is_empty() { text.get("cli.shell-place").to_owned() } else { near };
            return Err(Failure::unknown(format!("{words}\n{hint}")));
        }
    };
    let named = place.context.map(str::to_owned).or(cluster);
    let context = match &named {
        Some(name) => contexts.iter().find(|context| context.name == *name),
        None => contexts.iter().find(|context| context.current),
    };
    let Some(context) = context else {
        return Err(match named {
            Some(name) => Failure::unknown(text.fill("cli.no-context", &[("thing", &name)])),
            None => Failure::usage(text.get("cli.name-a-context")),
        });
    };
    let namespace = place.namespace.map(str::to_owned).or(namespace).unwrap_or_else(|| context.namespace.clone());
    if !brow_model::workload::is_dns_label(&namespace) {
        return Err(Failure::usage(text.get("field.namespace")));
    }
    Ok((workload::Query { cluster: context.name.clone(), namespace, workload }, context.user.clone()))
}

/// Waits for the answer to a question.
///
/// # Errors
/// It is no, or a signal came.
pub(super) async fn agreed(text: &Text, signals: &mut Signals) -> Result<(), Failure> {
    tokio::select! {
        number = signals.next() => Err(Failure { code: ended_by(number), message: String::new() }),
        yes = consent::answer() => match yes {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Failure { code: FAILED, message: text.get("cli.shell-not-opened").to_owned() }),
        },
    }
}

/// Asks for one of several containers, if there is a person to ask.
async fn ask_container(text: &Text, pod: &str, names: &[String]) -> Result<String, Failure> {
    let several = || text.fill("cli.shell-containers", &[("thing", pod), ("detail", &names.join(", "))]);
    if !consent::can_ask() {
        return Err(Failure::usage(several()));
    }
    for (at, name) in names.iter().enumerate() {
        print::err(&format!("{:>3}  {name}", at + 1));
    }
    print::err(&text.fill("cli.shell-choose", &[("thing", pod), ("count", &names.len().to_string())]));
    let said = consent::line().await.unwrap_or_default();
    let chosen = said.parse::<usize>().ok().and_then(|number| names.get(number.checked_sub(1)?));
    chosen.or_else(|| names.iter().find(|name| **name == said)).cloned().ok_or_else(|| Failure::usage(several()))
}
