//! `connect`: forwards in the foreground, a line for each that is ready, until somebody or a command ends them.

mod endpoint;
mod once;

use std::collections::{BTreeMap, BTreeSet};
use std::process::{ExitCode, id};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;

use super::choose::Choice;
use super::exec::{self, Place, Running};
use super::headless::{Headless, HeadlessCommand, SideTask, Snapshot, Step};
use super::print::{self, FAILED, Failure};
use super::signals::ended_by;
use super::{Globals, detach};
use crate::cluster::descriptors;
use crate::text::Text;
use brow_model::Model;
use brow_model::cluster::Link;
use brow_model::fault::What;
use brow_model::instance::{RemoteInstance, Role};
use brow_model::log::Level;
use brow_model::request::Request;
use brow_model::target::Target;
use brow_model::ttl::Ttl;
use endpoint::{Endpoint, Status};
use once::{Meant, Once, allowed};

/// The help of `--exec`.
const EXEC: &str = "Run a command once all is ready, and end with it. Everything after it belongs to the command; \
                    {addr}, {host} and {port} in its arguments are filled in, BROW_ADDR, BROW_HOST and BROW_PORT are \
                    set, or {socket} and BROW_SOCKET. No shell is involved unless you name one";

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    options: ConnectOptions,
    /// Keep the forwards in a background process, which exits when the last one ends (forward stop; with
    /// recreate = false also the TTL of its pods)
    #[arg(long, conflicts_with = "exec")]
    detach: bool,
    /// This is that instance
    #[arg(long, hide = true)]
    detached: bool,
    #[arg(long, help = EXEC, num_args = 1.., allow_hyphen_values = true, value_name = "COMMAND")]
    exec: Vec<String>,
}

/// The targets to forward, and the options.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ConnectOptions {
    #[command(flatten)]
    pub choice: Choice,
    #[command(flatten)]
    pub once: Once,
    /// Time limit for everything to become ready
    #[arg(long, value_name = "TIME", default_value = "2m")]
    pub timeout: Ttl,
    /// End after this time
    #[arg(long = "for", value_name = "TIME")]
    pub lasts: Option<Ttl>,
    /// Action for its pods at exit; default: as the config says, with ask counting as leave
    #[arg(long, value_name = "WHAT")]
    pub on_quit: Option<OnQuit>,
    /// Print a line of JSON for each forward
    #[arg(long)]
    pub json: bool,
    /// Print only errors
    #[arg(long, short)]
    pub quiet: bool,
    /// Also print progress
    #[arg(long, short, conflicts_with = "quiet")]
    pub verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnQuit {
    /// Left to their TTL
    Leave,
    /// Deleted at the end
    Delete,
}

impl Args {
    /// Those of `connect --detach`.
    pub(super) fn detached(options: ConnectOptions) -> Self {
        Self { options, detach: true, detached: false, exec: Vec::new() }
    }
}

pub(super) async fn run(globals: Globals, mut args: Args) -> ExitCode {
    let text = super::text_of(&globals);
    if args.detach && globals.practice {
        return Failure::usage(text.get("cli.practice-ends")).print();
    }
    if args.options.choice.is_empty() && args.options.once.is_empty() {
        return Failure::usage(text.get("cli.name-a-target")).print();
    }
    if args.detached
        && let Err(error) = detach::leave_session()
    {
        return Failure { code: FAILED, message: error.to_string() }.print();
    }
    descriptors::raise();
    let headless = match Headless::open(globals.clone()) {
        Ok(headless) => headless,
        Err(failure) => return failure.print(),
    };
    let (headless, meant) = match Box::pin(allowed(headless, &args.options)).await {
        Ok(allowed) => allowed,
        Err(code) => return code,
    };
    if args.detach {
        headless.end(ExitCode::SUCCESS).await;
        args.options.once.yes = true;
        return detach::start(&globals, &args.options, &meant.names()).await;
    }
    headless.run(&mut Connect::new(args, meant)).await
}

/// The time for which instances that want the same forward leave it to the one with the lowest process id.
const TAKEOVER_DELAY: Duration = Duration::from_secs(3);

/// The time in which the system frees the port of a killed instance: it closes its sockets one by one.
const PORT_RELEASE_DELAY: Duration = Duration::from_millis(200);

/// The verb.
struct Connect {
    args: Args,
    targets: Vec<Target>,
    /// Those of the targets that are not saved, until they are asked for.
    once: Vec<Target>,
    /// The forwards that were printed: names, and local addresses or sockets.
    printed: BTreeSet<(String, String)>,
    /// The instances that have, or had last, the forwards that are not ours, by the forwards' names.
    owners: BTreeMap<String, String>,
    /// The time since which a forward has no instance, because its instance ended.
    orphaned: BTreeMap<String, Duration>,
    /// Forwards that were stopped in another instance.
    stopped: BTreeSet<String>,
    ready: Arc<AtomicBool>,
    command: Option<Running>,
    side_task: Option<SideTask>,
}

impl Connect {
    fn new(args: Args, Meant { saved, once }: Meant) -> Self {
        let ready = Arc::new(AtomicBool::new(false));
        let side_task = args.detached.then(|| detach::abandoned(Arc::clone(&ready)));
        Self {
            args,
            targets: saved.into_iter().chain(once.iter().cloned()).collect(),
            once,
            printed: BTreeSet::new(),
            owners: BTreeMap::new(),
            orphaned: BTreeMap::new(),
            stopped: BTreeSet::new(),
            ready,
            command: None,
            side_task,
        }
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Returns true if a person may want to see what is waited for.
    fn prints_progress(&self) -> bool {
        let options = &self.args.options;
        !(options.quiet || options.json || options.verbose)
    }

    /// Prints the lines of forwards that have become ready.
    fn print_ready(&mut self, endpoints: &[Endpoint], text: &Text) {
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.status == Status::Live) {
            let Some(place) = endpoint.place() else { continue };
            if !self.printed.insert((endpoint.name.clone(), place)) {
                continue;
            }
            // The process in the background is one to be ended later.
            let own = self.args.detached.then(id);
            let line = if self.args.options.json { endpoint.json(own) } else { endpoint.line(text) };
            match (self.args.exec.is_empty(), self.args.options.json) {
                (true, _) => print::out(&line),
                // Standard output is the command's.
                (false, true) => print::err(&line),
                (false, false) => {}
            }
        }
    }

    /// Sees to what other instances have, or had: what has to be opened here, since the one that had it has ended.
    fn take_over(&mut self, snapshot: &Snapshot<'_>, endpoints: &[Endpoint]) -> Vec<Request> {
        let mut orphans = Vec::new();
        for endpoint in endpoints {
            if let Some(instance) = &endpoint.instance {
                self.owners.insert(endpoint.name.clone(), instance.clone());
            }
            if endpoint.status != Status::Missing {
                self.orphaned.remove(&endpoint.name);
                self.stopped.remove(&endpoint.name);
                continue;
            }
            let Some(owner) = self.owners.get(&endpoint.name) else { continue };
            if snapshot.model.forwards.stopped().contains(&(owner.clone(), endpoint.name.clone())) {
                if self.stopped.insert(endpoint.name.clone()) {
                    let pid = owner.split('-').next().unwrap_or_default();
                    let parts = [("thing", endpoint.name.as_str()), ("pid", pid)];
                    print::err(&snapshot.text.fill("cli.stopped-there", &parts));
                }
            } else if !snapshot.model.instances.all().contains_key(owner) {
                let since = *self.orphaned.entry(endpoint.name.clone()).or_insert(snapshot.age);
                let waited = snapshot.age.saturating_sub(since);
                if waited >= TAKEOVER_DELAY
                    || (waited >= PORT_RELEASE_DELAY && is_first(snapshot.model, &endpoint.target))
                {
                    self.owners.remove(&endpoint.name);
                    orphans.push(endpoint.target.clone());
                }
            }
            // While it ends it lets go of what it has; then that is to be had.
        }
        if orphans.is_empty() { Vec::new() } else { vec![Request::Connect(orphans)] }
    }

    /// Returns true if the forward of a port will not come back.
    fn is_over(&self, endpoint: &Endpoint) -> bool {
        match endpoint.status {
            Status::Closed => true,
            Status::Missing => self.stopped.contains(&endpoint.name) || !self.owners.contains_key(&endpoint.name),
            Status::Opening | Status::Unknown | Status::Live => false,
        }
    }

    /// Returns true if the targets cannot all become ready.
    fn cannot_become_ready(&self, model: &Model, endpoints: &[Endpoint]) -> bool {
        let down = |target: &Target| {
            let link = model.cluster(&target.cluster).map(|at| at.link);
            let own = model.forwards_of(&target.name).next().is_some();
            own && matches!(link, None | Some(Link::Unauthorized | Link::Forbidden | Link::Unreachable))
        };
        // What is tried again by itself may come right; a right or a rule that stands in the way needs a person.
        let barred = |target: &Target| {
            let faults = model.forwards_of(&target.name).filter_map(|forward| forward.fault.as_ref());
            faults.map(|fault| fault.what).any(|what| matches!(what, What::Forbidden | What::Admission))
        };
        endpoints.iter().any(|endpoint| self.is_over(endpoint) || endpoint.status == Status::Unknown)
            || self
                .targets
                .iter()
                .any(|target| down(target) || barred(target) || model.targets.refusal(&target.name).is_some())
    }

    /// Everything is ready: begins what was waited for. The exit code, where that fails.
    fn begin_work(&mut self, endpoints: &[Endpoint]) -> Option<u8> {
        if self.args.detached {
            detach::let_go();
        }
        if self.args.exec.is_empty() {
            return None;
        }
        let forwards: Vec<Place> =
            endpoints.iter().map(|endpoint| (endpoint.name.clone(), endpoint.local, endpoint.socket.clone())).collect();
        let proxy = endpoints.iter().filter(|endpoint| endpoint.is_proxy).find_map(|endpoint| endpoint.local);
        let mut env = exec::environment(&forwards);
        env.extend(proxy.into_iter().flat_map(exec::proxy_environment));
        match Running::start(&exec::filled(&self.args.exec, &forwards), env) {
            Ok((command, side_task)) => {
                (self.command, self.side_task) = (Some(command), Some(side_task));
                None
            }
            Err((code, why)) => {
                print::err(&why);
                Some(code)
            }
        }
    }

    /// The exit code, once it is over.
    fn end(&mut self, snapshot: &Snapshot<'_>, endpoints: &[Endpoint]) -> Option<u8> {
        if self.command.is_some() {
            // It is over when its command is.
            return None;
        }
        if self.args.options.lasts.is_some_and(|lasts| snapshot.age >= lasts.duration()) {
            if self.is_ready() {
                return Some(0);
            }
            let time = self.args.options.lasts.map(|lasts| lasts.to_string()).unwrap_or_default();
            print::err(&snapshot.text.fill("cli.not-ready-for", &[("time", &time)]));
            return Some(FAILED);
        }
        if !self.is_ready() {
            if self.cannot_become_ready(snapshot.model, endpoints) {
                return Some(FAILED);
            }
            if snapshot.age >= self.args.options.timeout.duration() {
                print::err(&snapshot.text.fill("cli.not-ready", &[("time", &self.args.options.timeout.to_string())]));
                return Some(FAILED);
            }
            if !endpoints.iter().all(|endpoint| endpoint.status == Status::Live) {
                return None;
            }
            self.ready.store(true, Ordering::Relaxed);
            print::progress("");
            if let Some(code) = self.begin_work(endpoints) {
                return Some(code);
            }
            if self.command.is_some() {
                return None;
            }
        }
        // With nothing (left) there is nothing to hold; all broken is a failure that was told.
        let refused = |endpoint: &Endpoint| snapshot.model.targets.refusal(&endpoint.target).is_some();
        let broken = endpoints.iter().any(|endpoint| {
            endpoint.status == Status::Closed || (endpoint.status == Status::Missing && refused(endpoint))
        });
        let broken = broken || (snapshot.failed && endpoints.iter().any(Endpoint::is_kept));
        let is_let_go = |endpoint: &Endpoint| endpoint.is_kept() || self.is_over(endpoint);
        endpoints.iter().all(is_let_go).then_some(if broken { FAILED } else { 0 })
    }
}

/// Returns true if no other instance that wants the same target has a lower process id.
fn is_first(model: &Model, target: &String) -> bool {
    let waits = |known: &&RemoteInstance| !known.leaving && known.wants.contains(target);
    model.instances.all().values().filter(waits).all(|known| known.pid > id())
}

impl HeadlessCommand for Connect {
    fn start(&mut self, _: &Model, _: &Text) -> Result<Vec<Request>, Failure> {
        let names = self.targets.iter().map(|target| target.name.clone()).collect();
        Ok(vec![Request::AddTemporary(std::mem::take(&mut self.once)), Request::Connect(names)])
    }

    fn on_update(&mut self, snapshot: &Snapshot<'_>) -> Step {
        let endpoints = endpoint::of(snapshot.model, &self.targets);
        self.print_ready(&endpoints, snapshot.text);
        let requests = self.take_over(snapshot, &endpoints);
        if !requests.is_empty() {
            return Step::Send(requests);
        }
        if let Some(code) = self.end(snapshot, &endpoints) {
            return Step::End(code);
        }
        if !self.is_ready() && self.prints_progress() {
            print::progress(&endpoint::progress(snapshot, &self.targets, &endpoints));
        }
        Step::Wait
    }

    fn prints_from(&self) -> Level {
        match (self.args.options.quiet, self.args.options.verbose) {
            (true, _) => Level::Error,
            (false, false) => Level::Warning,
            (false, true) => Level::Info,
        }
    }

    fn role(&self) -> Option<Role> {
        Some(if self.args.detached { Role::Background } else { Role::Connect })
    }

    fn side_task(&mut self) -> Option<SideTask> {
        self.side_task.take()
    }

    fn on_signal(&mut self, number: u8) -> Option<u8> {
        match &self.command {
            Some(command) => {
                command.signal(number);
                None
            }
            // Once it is ready, to be told to end is how it ends.
            None => Some(if self.is_ready() { 0 } else { ended_by(number) }),
        }
    }

    fn deletes_pods(&self) -> Option<bool> {
        match self.args.options.on_quit {
            Some(on_quit) => Some(on_quit == OnQuit::Delete),
            // What never came to be of use is nobody's.
            None => (!self.is_ready()).then_some(true),
        }
    }
}
