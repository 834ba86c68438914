//! `shell`: a session in a container, on this terminal or between pipes.

mod node;
mod session;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use chrono::Utc;
use clap_complete::ArgValueCandidates;

use super::print::{self, FAILED, Failure};
use super::signals::{Signals, ended_by};
use super::{Globals, complete, consent};
use crate::cluster::{Clusters, workload};
use crate::proxy::{self, NODE_CONTAINER, NODE_TTL, NodeShell};
use crate::shell::{self, Choice, Outcome, SessionOptions};
use crate::store::{self, PodLedger};
use crate::text::Text;
use brow_model::cluster::Context;
use brow_model::event::Loaded;
use brow_model::fault::Fault;
use brow_model::near::near;
use brow_model::proxy::PodKey;
use brow_model::settings::{PodSettings, Settings};
use brow_model::shell::{ShellRecord, ShellSettings};
use brow_model::workload::{Kind, Workload};
use kube_tunnel::exec::{Ended, Process, Stdio, Target};
use node::NodePod;
pub(super) use session::Journal;
use session::Session;

/// The exit code where a process has ended and nobody knows how.
const UNKNOWN_END: i32 = 1;

/// Arguments of `shell`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// pod/NAME, deploy/NAME or another workload (one of its pods), a saved target of one, or node/NAME
    #[arg(value_name = "WHERE", add = ArgValueCandidates::new(complete::targets))]
    place: String,
    /// Container; absent: the pod's default one, the only one, or the one you choose
    #[arg(long, short, value_name = "NAME")]
    container: Option<String>,
    /// Shell to run; absent: as the config says, else bash, else sh
    #[arg(long, value_name = "PATH", conflicts_with = "command")]
    shell: Option<String>,
    /// Kubeconfig context; absent: the target's, else the current one
    #[arg(long, value_name = "CONTEXT", add = ArgValueCandidates::new(complete::contexts))]
    context: Option<String>,
    /// Namespace; absent: the target's, else the context's own; of the pod for a node
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Open it on the node of that pod
    #[arg(long, conflicts_with = "container")]
    node: bool,
    /// Do not ask before opening a shell on a node, or in a production cluster
    #[arg(long, short)]
    yes: bool,
    /// Wait for Enter after an error, before the terminal is taken back: the dashboard's sessions do
    #[arg(long, hide = true)]
    wait: bool,
    /// Command to run in place of a shell, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) async fn run(globals: Globals, args: Args) -> ExitCode {
    let text = super::text_of(&globals);
    let ended = Box::pin(open(&globals, &args, &text)).await;
    let failed = matches!(ended, Err(_) | Ok(FAILED));
    let code = match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.print(),
    };
    if args.wait && failed && consent::can_ask() {
        print::err(text.get("cli.shell-enter"));
        let _read = consent::line().await;
    }
    code
}

/// A session that has been opened.
struct Opened {
    key: PodKey,
    container: String,
    process: Process,
    /// The user of the context.
    user: String,
    tty: bool,
    /// The pod that is there for the session alone.
    node: Option<NodePod>,
}

async fn open(globals: &Globals, args: &Args, text: &Text) -> Result<u8, Failure> {
    let failed = |fault: Fault| Failure::fault(text, &fault);
    let mut signals = Signals::listen()?;
    let loaded = store::load(&globals.paths).map_err(failed)?;
    let (clusters, contexts) = Clusters::read(globals.kubeconfig.as_deref()).map_err(failed)?;
    let place = Place { words: &args.place, context: args.context.as_deref(), namespace: args.namespace.as_deref() };
    let (query, user) = find(&place, text, &loaded, &contexts)?;
    let settings = &loaded.settings;
    if settings.clusters.get(&query.cluster).is_some_and(|at| at.production) && !args.yes {
        let with = [("thing", args.place.as_str()), ("cluster", &query.cluster)];
        ask_production(text, "cli.shell-production", &with, &mut signals).await?;
    }
    let query = if args.node && !is_node(&query) {
        tokio::select! {
            biased;
            number = signals.next() => return Ok(ended_by(number)),
            query = node_of(text, &clusters, query) => query?,
        }
    } else {
        query
    };
    if is_node(&query) {
        let at = (settings, query, user);
        let opened = Box::pin(open_on_node(globals, args, text, &clusters, at, &mut signals)).await?;
        return converse(globals, args, text, &settings.shell, opened, &mut signals).await;
    }
    let program = args.shell.as_deref().or(settings.shell.program.as_deref());
    let opened = tokio::select! {
        biased;
        number = signals.next() => return Ok(ended_by(number)),
        opened = open_in_pod(args, text, &clusters, query, (program, user)) => opened?,
    };
    converse(globals, args, text, &settings.shell, opened, &mut signals).await
}

/// Returns whether it is a node.
pub(super) fn is_node(query: &workload::Query) -> bool {
    matches!(&query.workload.kind, Kind::Custom(kind) if ["node", "nodes", "no"].contains(&kind.as_str()))
}

/// Returns the node of a pod.
async fn node_of(text: &Text, clusters: &Clusters, query: workload::Query) -> Result<workload::Query, Failure> {
    let pod = workload::pick(clusters, &query).await.map_err(|fault| Failure::fault(text, &fault))?;
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
pub(super) async fn ask_production(
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
pub(super) async fn find_container(
    text: &Text,
    clusters: &Clusters,
    query: workload::Query,
    named: Option<&str>,
) -> Result<(PodKey, String), Failure> {
    let pod = workload::pick(clusters, &query).await.map_err(|fault| Failure::fault(text, &fault))?;
    let name = pod.metadata.name.clone().unwrap_or_default();
    let key = PodKey { cluster: query.cluster, namespace: query.namespace, name };
    let container = match shell::choose(&pod, named) {
        Choice::One(name) => name,
        Choice::Several(all) => ask_container(text, &key.name, &all).await?,
        Choice::Missing(others) => {
            let missing = named.unwrap_or_default();
            let with = [("thing", key.name.as_str()), ("name", missing), ("detail", &others.join(", "))];
            return Err(Failure::unknown(text.fill("cli.shell-no-container", &with)));
        }
    };
    Ok((key, container))
}

/// Opens a session in a container of a pod.
async fn open_in_pod(
    args: &Args,
    text: &Text,
    clusters: &Clusters,
    query: workload::Query,
    (program, user): (Option<&str>, String),
) -> Result<Opened, Failure> {
    let (key, container) = find_container(text, clusters, query, args.container.as_deref()).await?;
    let tty = is_tty();
    let term = std::env::var("TERM").ok();
    let command =
        if args.command.is_empty() { shell::shell_command(program, term.as_deref()) } else { args.command.clone() };
    let (target, stdio) = (Target::Exec(command), Stdio { stdin: true, tty });
    let process = shell::start(clusters, &key, &container, &target, stdio).await;
    let process = process.map_err(|fault| Failure::fault(text, &fault))?;
    Ok(Opened { key, container, process, user, tty, node: None })
}

/// Opens a session on a node, in a pod that is deleted with it.
async fn open_on_node(
    globals: &Globals,
    args: &Args,
    text: &Text,
    clusters: &Clusters,
    (settings, query, user): (&Settings, workload::Query, String),
    signals: &mut Signals,
) -> Result<Opened, Failure> {
    let (me, _) = super::identity(&globals.paths);
    let image = settings.pod_for(&query.cluster, &PodSettings::default()).image;
    // With `--node` it is that of the workload.
    let named = args.namespace.clone().filter(|_| !args.node);
    let namespace = named.or_else(|| settings.shell.node_namespace.clone());
    let term = std::env::var("TERM").ok();
    let tty = is_tty();
    let request = node::NodeShellRequest {
        clusters,
        me: &me,
        ledger: &PodLedger::new(globals.paths.state_dir.clone()),
        text,
        cluster: &query.cluster,
        shell: NodeShell {
            node: &query.workload.name,
            namespace: &namespace.unwrap_or(query.namespace),
            image: image.as_deref().unwrap_or(proxy::DEFAULT_IMAGE),
            command: &args.command,
            tty,
        },
        term: shell::term_name(term.as_deref()),
        yes: args.yes,
    };
    let pod = request.create(signals).await?;
    match pod.attach(&request, signals).await {
        Ok(process) => {
            let (key, container) = (pod.key.clone(), NODE_CONTAINER.to_owned());
            Ok(Opened { key, container, process, user, tty, node: Some(pod) })
        }
        Err(failure) => {
            pod.delete(text).await;
            Err(failure)
        }
    }
}

/// Returns whether the session gets a terminal: ours.
fn is_tty() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Carries a session to its end; returns the exit code.
async fn converse(
    globals: &Globals,
    args: &Args,
    text: &Text,
    settings: &ShellSettings,
    Opened { key, container, process, user, tty, node }: Opened,
    signals: &mut Signals,
) -> Result<u8, Failure> {
    let shell = args.shell.as_ref().or(settings.program.as_ref()).filter(|_| args.command.is_empty());
    let command = shell.map_or_else(|| args.command.clone(), |shell| vec![shell.clone()]);
    let escape = settings.escape.filter(|_| tty);
    let thing = format!("{}/{container}", key.name);
    let place = format!("{thing} ({}/{})", key.cluster, key.namespace);
    let escaped = escape.map(String::from).unwrap_or_default();
    if escape.is_some() {
        print::err(&text.fill("cli.shell-in", &[("thing", &place), ("escape", &escaped)]));
    } else if tty {
        print::err(&place);
    }
    if node.is_some() && tty {
        print::err(&text.fill("cli.node-ends", &[("ttl", NODE_TTL)]));
    }
    let help = text.fill("cli.shell-help", &[("escape", &escaped)]).replace('\n', "\r\n");
    let options = SessionOptions {
        tty,
        escape: escape.and_then(|c| u8::try_from(c).ok()),
        help: format!("\r\n{help}\r\n"),
        active: Arc::new(AtomicI64::new(Utc::now().timestamp())),
    };
    let (me, _) = super::identity(&globals.paths);
    let record = ShellRecord { by: me.owner, user, container, command, began: Utc::now(), exit_code: None };
    let mut session = Session::begin(globals, text, key, record, Arc::clone(&options.active));
    let (end, stopped) = session.watch(Box::pin(shell::run(process, &options)), signals).await;
    let end = match (end, &node) {
        // The end of an attached session says nothing of its process.
        (Ok(Outcome::Ended(Ended { code: Some(0), text })), Some(pod)) => {
            Ok(Outcome::Ended(Ended { code: Some(pod.exit_code().await.unwrap_or(UNKNOWN_END)), text }))
        }
        (end, _) => end,
    };
    if let Some(pod) = node {
        pod.delete(text).await;
    }
    Ok(session.finish(text, &thing, end, stopped).await)
}

/// A place as the command line names it.
pub(super) struct Place<'a> {
    /// KIND/NAME or a saved target.
    pub words: &'a str,
    pub context: Option<&'a str>,
    pub namespace: Option<&'a str>,
}

/// Finds out where the session is to be, and whose login it takes.
pub(super) fn find(
    place: &Place<'_>,
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
async fn agreed(text: &Text, signals: &mut Signals) -> Result<(), Failure> {
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
