//! `cp`: a file or folder out of a container, or into one.

mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::Utc;
use clap::ValueHint;
use clap_complete::ArgValueCandidates;
use tokio::time::{MissedTickBehavior, interval};

use super::print::{self, FAILED, Failure};
use super::shell::{self, Journal, Refused};
use super::signals::{Signals, ended_by};
use super::{Globals, complete, consent};
use crate::cluster::Clusters;
use crate::shell::copy::{self, Copied, Progress, RemoteContainer, Trouble};
use crate::store;
use crate::text::Text;
use brow_model::fault::{Fault, What};
use brow_model::proxy::PodKey;
use brow_model::shell::ShellRecord;

/// The interval at which progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Arguments of `cp`.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Args {
    /// File or folder here, or PLACE:PATH in a container; PLACE is pod/NAME, deploy/NAME or another workload, or a
    /// saved target of one
    #[arg(value_name = "FROM", value_hint = ValueHint::AnyPath)]
    from: PathBuf,
    /// The place of the copy, in the same forms; one of the two is in a container. A folder that is there gets it by
    /// its name
    #[arg(value_name = "TO", value_hint = ValueHint::AnyPath, required_unless_present = "ask")]
    to: Option<PathBuf>,
    /// Container; absent: the pod's default one, the only one, or the one you choose
    #[arg(long, short, value_name = "NAME")]
    container: Option<String>,
    /// Kubeconfig context; absent: the target's, else the current one
    #[arg(long, value_name = "CONTEXT", add = ArgValueCandidates::new(complete::contexts))]
    context: Option<String>,
    /// Namespace; absent: the target's, else the context's own
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Out of a container: do not compare the copy with its files, for those that change meanwhile, such as logs
    #[arg(long)]
    no_checksum: bool,
    /// Do not ask before copying out of or into a production cluster
    #[arg(long, short)]
    yes: bool,
    /// Ask for both paths: FROM is a place in the cluster. The dashboard's copies do
    #[arg(long, hide = true, conflicts_with = "to")]
    ask: bool,
    /// Wait for Enter at the end, before the terminal is taken back: the dashboard's copies do
    #[arg(long, hide = true)]
    wait: bool,
    /// Take the environment that the dashboard offers at that socket: its copies in panes do
    #[arg(long, hide = true)]
    environment: Option<PathBuf>,
}

impl Args {
    fn to(&self) -> &Path {
        self.to.as_deref().unwrap_or(Path::new(""))
    }
}

/// Asks for the paths of a copy out of a place or into it: `:PATH` is there, everything else here.
async fn ask_paths(args: &mut Args, text: &Text) -> Result<(), Failure> {
    let place = args.from.to_string_lossy().into_owned();
    if !consent::can_ask() {
        return Err(Failure::usage(text.get("cli.cp-place")));
    }
    print::err(&text.fill("cli.cp-ask", &[("thing", &place)]));
    let mut paths = Vec::new();
    for key in ["cli.cp-ask-from", "cli.cp-ask-to"] {
        print::err(text.get(key));
        let said = consent::line().await.unwrap_or_default();
        if said.is_empty() {
            return Err(Failure { code: FAILED, message: text.get("cli.cp-not-copied").to_owned() });
        }
        paths.push(if said.starts_with(':') { format!("{place}{said}") } else { local(&said) });
    }
    let mut paths = paths.into_iter().map(PathBuf::from);
    (args.from, args.to) = (paths.next().unwrap_or_default(), paths.next());
    Way::of(&args.from, args.to()).map(|_| ()).ok_or_else(|| Failure::usage(text.get("cli.cp-ask-place")))
}

/// Returns a path of this machine that was typed; one with a colon is none of a place.
fn local(said: &str) -> String {
    let in_home = said.strip_prefix("~/").and_then(|rest| Some((std::env::var_os("HOME")?, rest)));
    match in_home {
        Some((home, rest)) => Path::new(&home).join(rest).to_string_lossy().into_owned(),
        None if Path::new(said).is_absolute() => said.to_owned(),
        None => format!("./{said}"),
    }
}

/// The direction of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way<'a> {
    Out { place: &'a str, from: &'a str, to: &'a Path },
    Into { place: &'a str, from: &'a Path, to: &'a str },
}

impl<'a> Way<'a> {
    fn of(from: &'a Path, to: &'a Path) -> Option<Self> {
        match (in_container(from), in_container(to)) {
            (Some((place, from)), None) => Some(Self::Out { place, from, to }),
            (None, Some((place, to))) => Some(Self::Into { place, from, to }),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }

    fn place(self) -> &'a str {
        match self {
            Self::Out { place, .. } | Self::Into { place, .. } => place,
        }
    }
}

/// Splits a path in a container from its place. A path of this machine with a colon is written `./a:b`.
fn in_container(path: &Path) -> Option<(&str, &str)> {
    let (place, path) = path.to_str()?.split_once(':')?;
    let is_place = !place.is_empty() && !place.starts_with(['.', '/']) && !path.is_empty();
    is_place.then_some((place, path))
}

pub(super) async fn run(globals: Globals, mut args: Args) -> ExitCode {
    let text = super::text_of(&globals);
    if let Some(path) = &args.environment {
        return shell::begin_in(path, &text);
    }
    let asked = if args.ask { ask_paths(&mut args, &text).await } else { Ok(()) };
    let done = match asked {
        Ok(()) => Box::pin(copy(&globals, &args, &text)).await,
        refused => refused,
    };
    let code = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.message.is_empty() => ExitCode::from(failure.code),
        Err(failure) => failure.print(),
    };
    if args.wait && consent::can_ask() {
        print::err(text.get("cli.shell-enter"));
        let _read = consent::line().await;
    }
    code
}

async fn copy(globals: &Globals, args: &Args, text: &Text) -> Result<(), Failure> {
    let failed = |fault: Fault| Failure::fault(text, &fault);
    let mut signals = Signals::listen()?;
    let way = Way::of(&args.from, args.to()).ok_or_else(|| Failure::usage(text.get("cli.cp-place")))?;
    let loaded = store::load(&globals.paths).map_err(failed)?;
    let (clusters, contexts) = Clusters::read(globals.kubeconfig.as_deref()).map_err(failed)?;
    let place =
        shell::NamedPod { words: way.place(), context: args.context.as_deref(), namespace: args.namespace.as_deref() };
    let (query, user) = shell::find(&place, text, &loaded, &contexts)?;
    if shell::is_node(&query) {
        return Err(Failure::usage(text.fill("cli.cp-node", &[("thing", way.place())])));
    }
    let (me, _) = super::identity(&globals.paths);
    let record = |container: String| record(args, (&me.owner, &user), container);
    let (cluster, namespace) = (query.cluster.clone(), query.namespace.clone());
    let refused = |refused: Refused| {
        let key = PodKey { cluster, namespace, name: way.place().to_owned() };
        let container = args.container.clone().unwrap_or_default();
        let journal = || Journal::new(globals, key, record(container));
        refused.tell(text, |what| journal().write(text, "open-copy", Some(what)))
    };
    if loaded.settings.clusters.get(&query.cluster).is_some_and(|at| at.production) && !args.yes {
        let with = [("thing", way.place()), ("cluster", &query.cluster)];
        shell::ask_production(text, "cli.cp-production", &with, &mut signals).await?;
    }
    let found = tokio::select! {
        biased;
        number = signals.next() => Err(Refused::ended(number)),
        found = shell::find_container(text, &clusters, query, args.container.as_deref()) => found,
    };
    let (key, container) = found.map_err(refused)?;
    let mut journal = Journal::new(globals, key.clone(), record(container.clone()));
    journal.write(text, "open-copy", None);
    let at = RemoteContainer { clusters: &clusters, key: &key, container: &container };
    let progress = Arc::new(Progress::default());
    let copying = async {
        match way {
            Way::Out { from, to, .. } => copy::out(at, from, to, !args.no_checksum, &progress).await,
            Way::Into { from, to, .. } => copy::into(at, from, to, &progress).await,
        }
    };
    let done = follow(text, way, &progress, Box::pin(copying), &mut signals).await;
    let thing = format!("{}/{container}", key.name);
    let (fault, result) = end(text, args, &thing, way, &progress, done);
    journal.record.exit_code = Some(result.as_ref().map_or_else(|failure| i32::from(failure.code), |()| 0));
    journal.write(text, "close-copy", fault);
    result
}

/// Returns what the audit log has of a copy that begins now.
fn record(args: &Args, (by, user): (&str, &str), container: String) -> ShellRecord {
    let command = [args.from.as_path(), args.to()].map(|path| path.to_string_lossy().into_owned()).to_vec();
    let (by, user) = (by.to_owned(), user.to_owned());
    ShellRecord { by, user, container, command, began: Utc::now(), exit_code: None }
}

/// Tells the end of a copy.
fn end(
    text: &Text,
    args: &Args,
    thing: &str,
    way: Way<'_>,
    progress: &Progress,
    done: Result<Result<Copied, Trouble>, u8>,
) -> (Option<What>, Result<(), Failure>) {
    match done {
        Err(number) => {
            let message = words::with_place(text, text.get("cli.cp-stopped"), progress);
            (None, Err(Failure { code: ended_by(number), message }))
        }
        Ok(Ok(copied)) => {
            tell(text, args, &copied, progress.moved.load(Ordering::Relaxed));
            (None, Ok(()))
        }
        Ok(Err(trouble)) => {
            let message = words::of(text, &trouble, thing, way, progress);
            (Some(kind(&trouble)), Err(Failure { code: FAILED, message }))
        }
    }
}

/// Shows the progress of a copy until it ends, or a signal comes.
async fn follow(
    text: &Text,
    way: Way<'_>,
    progress: &Progress,
    mut copying: std::pin::Pin<Box<impl Future<Output = Result<Copied, Trouble>>>>,
    signals: &mut Signals,
) -> Result<Result<Copied, Trouble>, u8> {
    let mut ticks = interval(PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    loop {
        tokio::select! {
            biased;
            number = signals.next() => return Err(number),
            done = &mut copying => return Ok(done),
            _ = ticks.tick() => {
                let (moved, total) = (progress.moved.load(Ordering::Relaxed), progress.total.load(Ordering::Relaxed));
                let rate = text.rate(moved / began.elapsed().as_secs().max(1));
                let with = [("thing", way.place()), ("done", &text.bytes(moved)), ("rate", &rate)];
                let total = text.bytes(total);
                print::progress(&match way {
                    Way::Out { .. } => text.fill("cli.cp-progress", &with),
                    Way::Into { .. } => text.fill("cli.cp-progress-of", &[&with[..], &[("total", &total)]].concat()),
                });
            }
        }
    }
}

/// Tells what was copied.
fn tell(text: &Text, args: &Args, copied: &Copied, bytes: u64) {
    for name in &copied.left_out.names {
        print::err(&text.fill("cli.cp-left-out", &[("thing", name)]));
    }
    if let Some(more) = copied.left_out.count.checked_sub(copied.left_out.names.len()).filter(|more| *more > 0) {
        print::err(&text.fill("cli.cp-left-out-more", &[("count", &more.to_string())]));
    }
    let sums = match &copied.compared {
        Ok(()) => text.get("cli.cp-compared").to_owned(),
        Err(_) if args.no_checksum => text.get("cli.cp-not-compared").to_owned(),
        Err(why) => text.fill("cli.cp-cannot-compare", &[("detail", why)]),
    };
    let (from, to) = (args.from.to_string_lossy(), args.to().to_string_lossy());
    let (files, size) = (copied.files.to_string(), text.bytes(bytes));
    let with = [("from", &*from), ("to", &*to), ("count", &files), ("size", &size), ("detail", &sums)];
    print::out(&text.fill("cli.cp-done", &with));
}

/// Returns the kind of fault for the audit log.
fn kind(trouble: &Trouble) -> What {
    match trouble {
        Trouble::Fault(fault) => fault.what,
        Trouble::Lost(_) => What::Tunnel,
        Trouble::Here(..) => What::FileUnwritable,
        Trouble::NoProgram(_)
        | Trouble::There(_)
        | Trouble::Killed(_)
        | Trouble::Refused(_)
        | Trouble::InTheWay(_)
        | Trouble::Differs(_) => What::Server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_two_is_in_a_container() {
        let way = |from, to| Way::of(Path::new(from), Path::new(to));
        let out = |place, from, to| Some(Way::Out { place, from, to: Path::new(to) });
        assert_eq!(way("pod/web-0:/tmp/x", "."), out("pod/web-0", "/tmp/x", "."));
        assert_eq!(way("pod/web-0:/tmp/a:b", "./c:d"), out("pod/web-0", "/tmp/a:b", "./c:d"));
        assert_eq!(way("x", "web:y"), Some(Way::Into { place: "web", from: Path::new("x"), to: "y" }));
        for (from, to) in [("x", "y"), ("web:x", "web:y"), ("web:", "y"), (":x", "y"), ("/a:b", "y")] {
            assert_eq!(way(from, to), None, "{from} {to}");
        }
    }
}
