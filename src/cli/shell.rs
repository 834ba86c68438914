//! `shell`: a session in a container, on this terminal or between pipes.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap_complete::ArgValueCandidates;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::print::{self, FAILED, Failure};
use super::signals::{Signals, ended_by};
use super::{Globals, complete, consent};
use crate::cluster::{Clusters, workload};
use crate::events::EventSender;
use crate::instance::{self, Instance};
use crate::shell::{self, Choice, Manner, Outcome};
use crate::store::{self, AuditLog};
use crate::text::Text;
use brow_model::cluster::Context;
use brow_model::effect::AuditEntry;
use brow_model::event::{Event, Loaded};
use brow_model::fault::{Fault, What};
use brow_model::forward::ForwardId;
use brow_model::instance::{Report, Role};
use brow_model::near::near;
use brow_model::proxy::PodKey;
use brow_model::request::Request;
use brow_model::shell::{ShellRecord, ShellReport};
use brow_model::workload::Workload;
use kube_tunnel::exec::{Ended, Process, Stdio, Target};

/// The exit code where the shell or command is not there, as shells have it.
const NOT_FOUND: u8 = 127;
/// The exit code where nobody reads the output any more, as shells have it: 128 + SIGPIPE.
const BROKEN_PIPE: u8 = 141;
/// The number of the session in its instance, which has no other.
const SESSION: u64 = 1;
/// The interval at which others are told when the session was last used.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// The longest wait for the other instances to be told of the end.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Arguments of `shell`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// pod/NAME, deploy/NAME or another workload (one of its pods), or a saved target of one
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
    /// Namespace; absent: the target's, else the context's own
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Do not ask before opening a shell in a production cluster
    #[arg(long, short)]
    yes: bool,
    /// Command to run in place of a shell, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) async fn run(globals: Globals, args: Args) -> ExitCode {
    let text = super::text_of(&globals);
    match Box::pin(open(&globals, &args, &text)).await {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.print(),
    }
}

/// A session that has been opened.
struct Opened {
    key: PodKey,
    container: String,
    process: Process,
    /// The user of the context.
    user: String,
    tty: bool,
}

async fn open(globals: &Globals, args: &Args, text: &Text) -> Result<u8, Failure> {
    let failed = |fault: Fault| Failure::fault(text, &fault);
    let mut signals = Signals::listen()?;
    let loaded = store::load(&globals.paths).map_err(failed)?;
    let (clusters, contexts) = Clusters::read(globals.kubeconfig.as_deref()).map_err(failed)?;
    let (query, user) = find(args, text, &loaded, &contexts)?;
    let settings = &loaded.settings;
    if settings.clusters.get(&query.cluster).is_some_and(|at| at.production) && !args.yes {
        let with = [("thing", args.place.as_str()), ("cluster", &query.cluster)];
        if !consent::can_ask() {
            return Err(Failure::usage(text.fill("cli.production-say-yes", &with)));
        }
        print::err(&text.fill("cli.shell-production", &with));
        agreed(text, &mut signals).await?;
    }
    let program = args.shell.as_deref().or(settings.shell.program.as_deref());
    let opened = tokio::select! {
        biased;
        number = signals.next() => return Ok(ended_by(number)),
        opened = open_in_pod(args, text, &clusters, query, (program, user)) => opened?,
    };
    converse(globals, args, text, settings.shell.escape, opened, &mut signals).await
}

/// Opens a session in a container of a pod.
async fn open_in_pod(
    args: &Args,
    text: &Text,
    clusters: &Clusters,
    query: workload::Query,
    (program, user): (Option<&str>, String),
) -> Result<Opened, Failure> {
    let failed = |fault: Fault| Failure::fault(text, &fault);
    let pod = workload::pick(clusters, &query).await.map_err(failed)?;
    let name = pod.metadata.name.clone().unwrap_or_default();
    let key = PodKey { cluster: query.cluster, namespace: query.namespace, name };
    let container = match shell::choose(&pod, args.container.as_deref()) {
        Choice::One(name) => name,
        Choice::Several(names) => ask_container(text, &key.name, &names).await?,
        Choice::Missing(names) => {
            let name = args.container.as_deref().unwrap_or_default();
            let with = [("thing", key.name.as_str()), ("name", name), ("detail", &names.join(", "))];
            return Err(Failure::unknown(text.fill("cli.shell-no-container", &with)));
        }
    };
    let tty = is_tty();
    let term = std::env::var("TERM").ok();
    let command =
        if args.command.is_empty() { shell::shell_command(program, term.as_deref()) } else { args.command.clone() };
    let (target, stdio) = (Target::Exec(command), Stdio { stdin: true, tty });
    let process = shell::start(clusters, &key, &container, &target, stdio).await.map_err(failed)?;
    Ok(Opened { key, container, process, user, tty })
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
    escape: Option<char>,
    Opened { key, container, process, user, tty }: Opened,
    signals: &mut Signals,
) -> Result<u8, Failure> {
    let command = match (&args.shell, args.command.as_slice()) {
        (Some(shell), _) => vec![shell.clone()],
        (None, command) => command.to_vec(),
    };
    let escape = escape.filter(|_| tty);
    let thing = format!("{}/{container}", key.name);
    let place = format!("{thing} ({}/{})", key.cluster, key.namespace);
    let escaped = escape.map(String::from).unwrap_or_default();
    if escape.is_some() {
        print::err(&text.fill("cli.shell-in", &[("thing", &place), ("escape", &escaped)]));
    } else if tty {
        print::err(&place);
    }
    let help = text.fill("cli.shell-help", &[("escape", &escaped)]).replace('\n', "\r\n");
    let manner = Manner {
        tty,
        escape: escape.and_then(|c| u8::try_from(c).ok()),
        help: format!("\r\n{help}\r\n"),
        active: Arc::new(AtomicI64::new(Utc::now().timestamp())),
    };
    let (me, _) = super::identity(&globals.paths);
    let record = ShellRecord { by: me.owner, user, container, command, began: Utc::now(), exit_code: None };
    let mut session = Session::begin(globals, text, key, record, Arc::clone(&manner.active));
    let (end, stopped) = session.watch(Box::pin(shell::run(process, &manner)), signals).await;
    Ok(session.finish(text, &thing, end, stopped).await)
}

/// Finds out where the session is to be, and whose login it takes.
fn find(args: &Args, text: &Text, loaded: &Loaded, contexts: &[Context]) -> Result<(workload::Query, String), Failure> {
    let saved = loaded.targets.iter().find(|target| target.name == args.place);
    let (workload, cluster, namespace) = match saved {
        Some(target) => {
            let Some(workload) = target.address.workload() else {
                return Err(Failure::usage(text.fill("cli.shell-needs-pod", &[("thing", &target.name)])));
            };
            (workload.clone(), Some(target.cluster.clone()), target.namespace.clone())
        }
        None if args.place.contains('/') => {
            // A session needs no port.
            let workload = format!("{}:1", args.place).parse::<Workload>();
            (workload.map_err(|_| Failure::usage(text.get("cli.shell-place")))?, None, None)
        }
        None => {
            let names = near(&args.place, loaded.targets.iter().map(|target| target.name.as_str()));
            let near = text.fill("fault.near-names", &[("detail", &names.join(", "))]);
            let words = text.fill("cli.no-target", &[("thing", &args.place)]);
            let hint = if names.is_empty() { text.get("cli.shell-place").to_owned() } else { near };
            return Err(Failure::unknown(format!("{words}\n{hint}")));
        }
    };
    let named = args.context.clone().or(cluster);
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
    let namespace = args.namespace.clone().or(namespace).unwrap_or_else(|| context.namespace.clone());
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

/// Has one of several containers chosen, if there is somebody to choose.
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

/// The session among the running instances, and in the audit log.
struct Session {
    key: PodKey,
    record: ShellRecord,
    audit: AuditLog,
    active: Arc<AtomicI64>,
    events: mpsc::Receiver<Event>,
    instance: Option<(Instance, JoinHandle<()>)>,
    token: CancellationToken,
}

impl Session {
    fn begin(globals: &Globals, text: &Text, key: PodKey, record: ShellRecord, active: Arc<AtomicI64>) -> Self {
        let (sender, events) = EventSender::channel(super::EVENT_CAPACITY);
        let token = CancellationToken::new();
        // Without a place among the others it works all the same.
        let joined = instance::join(&globals.runtime, Role::Shell, sender, token.clone()).ok();
        let instance = joined.map(|(instance, running)| (instance, tokio::spawn(running)));
        let audit = AuditLog::new(&globals.paths);
        let mut session = Self { key, record, audit, active, events, instance, token };
        session.write(text, "open-shell", None);
        session.publish();
        session
    }

    fn write(&mut self, text: &Text, action: &'static str, fault: Option<What>) {
        let entry = AuditEntry {
            at: Utc::now(),
            action,
            thing: self.key.name.clone(),
            cluster: Some(self.key.cluster.clone()),
            namespace: Some(self.key.namespace.clone()),
            agent: None,
            fault,
            shell: Some(self.record.clone()),
        };
        if let Err(fault) = self.audit.write(&entry) {
            print::err(&text.fill("cli.shell-not-logged", &[("detail", &fault.detail)]));
        }
    }

    fn publish(&self) {
        let Some((instance, _)) = &self.instance else { return };
        instance.publish(|pid, role| {
            let PodKey { cluster, namespace, name } = self.key.clone();
            let active = DateTime::from_timestamp(self.active.load(Ordering::Relaxed), 0).unwrap_or_default();
            let (container, began) = (self.record.container.clone(), self.record.began);
            let shell = ShellReport { id: SESSION, cluster, namespace, pod: name, container, began, active };
            Report { shells: vec![shell], ..Report::empty(pid, role) }
        });
    }

    /// Waits for the end of the session: its own, a signal's, or that another instance asks for.
    async fn watch(
        &mut self,
        mut running: std::pin::Pin<Box<impl Future<Output = Outcome>>>,
        signals: &mut Signals,
    ) -> (Result<Outcome, u8>, bool) {
        let mut ticks = interval(REPORT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                outcome = &mut running => return (Ok(outcome), false),
                number = signals.next() => return (Err(ended_by(number)), false),
                Some(event) = self.events.recv() => {
                    if event == Event::Request(Request::Stop(ForwardId(SESSION))) {
                        return (Ok(Outcome::Left), true);
                    }
                }
                _ = ticks.tick() => self.publish(),
            }
        }
    }

    /// Says how it ended, where that is not plain, and returns the exit code.
    async fn finish(mut self, text: &Text, thing: &str, end: Result<Outcome, u8>, stopped: bool) -> u8 {
        let with = |detail: &str| [("thing", thing.to_owned()), ("detail", detail.to_owned())];
        let say = |key: &str, detail: &str| {
            let with = with(detail);
            print::err(&text.fill(key, &with.each_ref().map(|(name, value)| (*name, value.as_str()))));
        };
        let (code, fault) = match end {
            Err(code) => (code, None),
            Ok(Outcome::Ended(Ended { code: Some(code), .. })) => (u8::try_from(code & 0xff).unwrap_or(FAILED), None),
            Ok(Outcome::Ended(Ended { code: None, text: words })) => {
                let is_missing = words.contains("executable file not found") || words.contains("no such file");
                print::err(words.trim());
                if is_missing && self.record.command.len() <= 1 {
                    let name = self.record.command.first().map_or("sh", String::as_str);
                    print::err(&text.fill("cli.shell-none", &[("thing", thing), ("name", name)]));
                }
                (if is_missing { NOT_FOUND } else { FAILED }, Some(What::Server))
            }
            Ok(Outcome::Left) => {
                say(if stopped { "cli.shell-ended-elsewhere" } else { "cli.shell-left" }, "");
                (0, None)
            }
            Ok(Outcome::Lost(error)) => {
                say("cli.shell-lost", &error.to_string());
                (FAILED, Some(What::Tunnel))
            }
            Ok(Outcome::Hangup) => (ended_by(1), None),
            Ok(Outcome::Local(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => (BROKEN_PIPE, None),
            Ok(Outcome::Local(error)) => {
                print::err(&error.to_string());
                (FAILED, Some(What::Internal))
            }
        };
        self.record.exit_code = Some(code.into());
        self.write(text, "close-shell", fault);
        self.token.cancel();
        if let Some((_, running)) = self.instance.take() {
            // Its socket goes with it.
            let _left = timeout(LEAVE_TIMEOUT, running).await;
        }
        code
    }
}
