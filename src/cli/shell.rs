//! `shell`: a session in a container, on this terminal or between pipes.

mod debug;
mod hold;
mod node;
mod resolve;
mod session;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use chrono::Utc;
use clap_complete::ArgValueCandidates;

use super::print::{self, FAILED, Failure};
use super::signals::{Signals, ended_by};
use super::{Globals, complete, consent};
use crate::cluster::{Clusters, workload};
use crate::proxy::{self, DebugProfile, NODE_CONTAINER, NODE_TTL, NodeShell};
use crate::shell::{self, SessionOptions};
use crate::store::{self, PodLedger};
use crate::text::Text;
use brow_model::fault::Fault;
use brow_model::proxy::PodKey;
use brow_model::settings::{PodSettings, Settings};
use brow_model::shell::ShellRecord;
use debug::DebugRequest;
use hold::Hold;
use kube_tunnel::exec::{Process, Stdio, Target};
use node::NodePod;
pub(super) use resolve::{NamedPod, Refused, ask_production, find, find_container, is_node};
pub(super) use session::Journal;
use session::Session;

/// Arguments of `shell`.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
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
    /// Open it in a debug container (an ephemeral one) that is added to the pod: its entry stays there
    #[arg(long, conflicts_with_all = ["node", "shell"])]
    debug: bool,
    /// Rights of the debug container
    #[arg(long, value_enum, default_value_t, requires = "debug")]
    profile: DebugProfile,
    /// Image of the debug container, which must have sh; absent: as the config says, else that of proxy pods
    #[arg(long, requires = "debug")]
    image: Option<String>,
    /// Do not ask before opening a shell on a node, or in a production cluster
    #[arg(long, short)]
    yes: bool,
    /// Wait for Enter after an error, before the terminal is taken back: the dashboard's sessions do
    #[arg(long, hide = true)]
    wait: bool,
    /// Take the environment that the dashboard offers at that socket: its sessions in panes do
    #[arg(long, hide = true)]
    environment: Option<PathBuf>,
    /// Command to run in place of a shell, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) async fn run(globals: Globals, args: Args) -> ExitCode {
    let text = super::text_of(&globals);
    if let Some(path) = &args.environment {
        return begin_in(path, &text);
    }
    let ended = Box::pin(begin(&globals, &args, &text)).await;
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

/// Becomes the same program in the environment that the dashboard offers; returns only where that fails.
pub(super) fn begin_in(path: &Path, text: &Text) -> ExitCode {
    print::err(&text.fill("cli.shell-environment", &[("detail", &in_environment(path).to_string())]));
    ExitCode::from(FAILED)
}

/// Becomes the same program in the environment that is offered; returns why that is not possible.
fn in_environment(path: &Path) -> std::io::Error {
    let given = |arg: &OsString| arg == "--environment" || arg == path;
    let arguments = std::env::args_os().skip(1).filter(|arg| !given(arg));
    let program = std::env::current_exe().unwrap_or_else(|_| "brow-tui".into());
    match shell::fetch_environment(path) {
        Ok(variables) => std::process::Command::new(program).args(arguments).envs(variables).exec(),
        Err(error) => error,
    }
}

/// A session that has been opened.
struct Opened {
    key: PodKey,
    container: String,
    process: Process,
    tty: bool,
    /// The container that is there for the session alone.
    own: Option<Own>,
}

/// A container that is there for a session alone, and ends with it.
struct Own {
    _hold: Hold,
    /// The pod that is there for it.
    node: Option<NodePod>,
}

/// The surroundings of every session.
struct Surroundings<'a> {
    globals: &'a Globals,
    args: &'a Args,
    text: &'a Text,
    clusters: &'a Clusters,
    settings: &'a Settings,
    /// The user of the context.
    user: &'a str,
}

async fn begin(globals: &Globals, args: &Args, text: &Text) -> Result<u8, Failure> {
    let failed = |fault: Fault| Failure::fault(text, &fault);
    let mut signals = Signals::listen()?;
    let loaded = store::load(&globals.paths).map_err(failed)?;
    let (clusters, contexts) = Clusters::read(globals.kubeconfig.as_deref()).map_err(failed)?;
    let place = NamedPod { words: &args.place, context: args.context.as_deref(), namespace: args.namespace.as_deref() };
    let (query, user) = find(&place, text, &loaded, &contexts)?;
    let settings = &loaded.settings;
    let around = Surroundings { globals, args, text, clusters: &clusters, settings, user: &user };
    let (cluster, namespace) = (query.cluster.clone(), query.namespace.clone());
    around.open(query, &mut signals).await.map_err(|refused| {
        let key = PodKey { cluster, namespace, name: args.place.clone() };
        let record = around.record(args.container.clone().unwrap_or_default());
        refused.tell(text, |what| Journal::new(globals, key, record).write(text, "open-shell", Some(what)))
    })
}

impl Surroundings<'_> {
    /// Opens a session and carries it to its end; returns the exit code.
    async fn open(&self, query: workload::Query, signals: &mut Signals) -> Result<u8, Refused> {
        let Self { args, text, clusters, settings, .. } = self;
        if settings.clusters.get(&query.cluster).is_some_and(|at| at.production) && !args.yes {
            let with = [("thing", args.place.as_str()), ("cluster", &query.cluster)];
            ask_production(text, "cli.shell-production", &with, signals).await?;
        }
        let query = if args.node && !is_node(&query) {
            tokio::select! {
                biased;
                number = signals.next() => return Ok(ended_by(number)),
                query = resolve::node_of(text, clusters, query) => query?,
            }
        } else {
            query
        };
        if is_node(&query) {
            if args.debug {
                return Err(Failure::usage(text.fill("cli.debug-node", &[("thing", &args.place)])).into());
            }
            return Box::pin(self.on_node(&query, signals)).await;
        }
        let (key, container) = tokio::select! {
            biased;
            number = signals.next() => return Ok(ended_by(number)),
            found = find_container(text, clusters, query, args.container.as_deref()) => found?,
        };
        if !args.debug {
            let opened = tokio::select! {
                biased;
                number = signals.next() => return Ok(ended_by(number)),
                opened = self.open_in_pod(key.clone(), container.clone()) => opened?,
            };
            let end = self.converse(opened, signals).await;
            if !(end.has_no_shell && consent::can_ask()) {
                return Ok(end.code);
            }
            self.offer_debug(&key, &container, signals).await?;
        }
        let opened = Box::pin(self.open_debug(key, container, signals)).await?;
        Ok(self.converse(opened, signals).await.code)
    }

    /// Returns the record of a session that begins now.
    fn record(&self, container: String) -> ShellRecord {
        let (me, _) = super::identity(&self.globals.paths);
        let (user, command) = (self.user.to_owned(), self.args.command.clone());
        ShellRecord { by: me.owner, user, container, command, began: Utc::now(), exit_code: None }
    }

    /// Returns the command of a session in a container: the one that is given, or a shell.
    fn command(&self, program: Option<&str>) -> Vec<String> {
        let term = std::env::var("TERM").ok();
        let given = &self.args.command;
        if given.is_empty() { shell::shell_command(program, term.as_deref()) } else { given.clone() }
    }

    /// Opens a session in a container of a pod.
    async fn open_in_pod(&self, key: PodKey, container: String) -> Result<Opened, Refused> {
        let program = self.args.shell.as_deref().or(self.settings.shell.program.as_deref());
        self.start(key, container, self.command(program), None).await
    }

    async fn start(
        &self,
        key: PodKey,
        container: String,
        command: Vec<String>,
        own: Option<Own>,
    ) -> Result<Opened, Refused> {
        let tty = is_tty();
        let (target, stdio) = (Target::Exec(command), Stdio { stdin: true, tty });
        match shell::start(self.clusters, &key, &container, &target, stdio).await {
            Ok(process) => Ok(Opened { key, container, process, tty, own }),
            Err(fault) => {
                if let Some(node) = own.and_then(|own| own.node) {
                    node.delete(self.text).await;
                }
                Err(fault.into())
            }
        }
    }

    fn debug_image(&self, key: &PodKey) -> String {
        let of_config = self.args.image.clone().or_else(|| self.settings.shell.debug_image.clone());
        let of_pods = || self.settings.pod_for(&key.cluster, &PodSettings::default()).image;
        of_config.or_else(of_pods).unwrap_or_else(|| proxy::DEFAULT_IMAGE.to_owned())
    }

    /// Offers a debug container where a container has no shell.
    async fn offer_debug(&self, key: &PodKey, container: &str, signals: &mut Signals) -> Result<(), Failure> {
        let image = self.debug_image(key);
        let with = [("thing", key.name.as_str()), ("container", container), ("image", &image)];
        print::err(&self.text.fill("cli.debug-offer", &with));
        resolve::agreed(self.text, signals).await
    }

    /// Opens a session in a debug container beside one of a pod.
    async fn open_debug(&self, key: PodKey, target: String, signals: &mut Signals) -> Result<Opened, Refused> {
        let image = self.debug_image(&key);
        let request = DebugRequest {
            clusters: self.clusters,
            text: self.text,
            key: &key,
            target: &target,
            image: &image,
            profile: self.args.profile,
        };
        let debug = request.open(signals).await?;
        let own = Own { _hold: debug.hold, node: None };
        tokio::select! {
            biased;
            number = signals.next() => Err(Refused::ended(number)),
            opened = self.start(key, debug.name, self.command(None), Some(own)) => opened,
        }
    }

    /// Carries sessions on a node: after one that ends with the chord for it comes another.
    async fn on_node(&self, query: &workload::Query, signals: &mut Signals) -> Result<u8, Refused> {
        let mut sure = self.args.yes;
        loop {
            let opened = self.open_on_node(query, sure, signals).await?;
            let end = self.converse(opened, signals).await;
            if !end.again {
                return Ok(end.code);
            }
            // The first one was confirmed already; another is not asked about.
            sure = true;
        }
    }

    /// Opens a session on a node, in a pod that is deleted with it.
    async fn open_on_node(
        &self,
        query: &workload::Query,
        sure: bool,
        signals: &mut Signals,
    ) -> Result<Opened, Refused> {
        let Self { globals, args, text, clusters, settings, .. } = self;
        let (me, _) = super::identity(&globals.paths);
        let image = settings.pod_for(&query.cluster, &PodSettings::default()).image;
        // With `--node` it is that of the workload.
        let named = args.namespace.clone().filter(|_| !args.node);
        let namespace = named.or_else(|| settings.shell.node_namespace.clone());
        let request = node::NodeShellRequest {
            clusters,
            me: &me,
            ledger: &PodLedger::new(globals.paths.state_dir.clone()),
            text,
            cluster: &query.cluster,
            shell: NodeShell {
                node: &query.workload.name,
                namespace: namespace.as_deref().unwrap_or(&query.namespace),
                image: image.as_deref().unwrap_or(proxy::DEFAULT_IMAGE),
            },
            yes: sure,
            other_namespace: settings.shell.node_namespace.as_deref(),
        };
        let pod = request.create(signals).await?;
        let hold = match pod.hold(signals).await {
            Ok(hold) => hold,
            Err(failure) => {
                pod.delete(text).await;
                return Err(failure);
            }
        };
        let term = std::env::var("TERM").ok();
        let command = proxy::node_command(&args.command, shell::term_name(term.as_deref()));
        let (key, container) = (pod.key.clone(), NODE_CONTAINER.to_owned());
        self.start(key, container, command, Some(Own { _hold: hold, node: Some(pod) })).await
    }

    /// Carries a session to its end.
    async fn converse(&self, opened: Opened, signals: &mut Signals) -> session::End {
        let Opened { key, container, process, tty, own } = opened;
        let (text, args, settings) = (self.text, self.args, &self.settings.shell);
        let shell = args.shell.as_ref().or(settings.program.as_ref());
        let shell = shell.filter(|_| args.command.is_empty() && own.is_none());
        let escape = settings.escape.filter(|_| tty);
        let thing = format!("{}/{container}", key.name);
        let place = format!("{thing} ({}/{})", key.cluster, key.namespace);
        let escaped = escape.map(String::from).unwrap_or_default();
        if escape.is_some() {
            print::err(&text.fill("cli.shell-in", &[("thing", &place), ("escape", &escaped)]));
        } else if tty {
            print::err(&place);
        }
        let node = own.as_ref().and_then(|own| own.node.as_ref());
        let mut help = text.fill("cli.shell-help", &[("escape", &escaped)]);
        let end = node.filter(|_| tty).map(NodePod::end);
        if let Some(end) = &end {
            let with = [("ttl", NODE_TTL), ("until", &end.clock), ("escape", &escaped)];
            print::err(&text.fill("cli.node-ends", &with));
            help = [help, text.fill("cli.node-help", &with)].join("\n");
        }
        let lines = |words: &str| format!("\r\n{}\r\n", words.replace('\n', "\r\n"));
        let warning = |end: node::NodeEnd| {
            let with = [("until", end.clock.as_str()), ("escape", &escaped)];
            (end.warn_at, lines(&text.fill("cli.node-warns", &with)))
        };
        let on_node = node.map(|node| (node.report(), settings.node_idle.duration()));
        let options = SessionOptions {
            tty,
            escape: escape.and_then(|c| u8::try_from(c).ok()),
            help: lines(&help),
            warning: end.map(warning),
            active: Arc::new(AtomicI64::new(Utc::now().timestamp())),
        };
        let mut record = self.record(container);
        record.command.extend(shell.cloned());
        let mut session = Session::begin(self.globals, text, key, record, Arc::clone(&options.active), on_node);
        let (end, stopped) = session.watch(Box::pin(shell::run(process, &options)), signals).await;
        if let Some(node) = own.and_then(|own| own.node) {
            node.delete(text).await;
        }
        session.finish(text, &thing, end, stopped).await
    }
}

/// Returns whether the session gets a terminal: ours.
fn is_tty() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}
