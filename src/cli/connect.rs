//! `connect`: forwards in the foreground, a line for each that is ready, until somebody or a command ends them.

mod endpoint;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::{ExitCode, id};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;

use super::choose::Choice;
use super::exec::{self, Running};
use super::headless::{Aside, Headless, Next, Seen, Verb};
use super::print::{self, FAILED, Stop};
use super::signals::ended_by;
use super::{Globals, detach};
use crate::cluster::descriptors;
use crate::text::Text;
use brow_model::Model;
use brow_model::cluster::Link;
use brow_model::fault::What;
use brow_model::instance::{RemoteInstance, Role};
use brow_model::request::Request;
use brow_model::target::Target;
use brow_model::ttl::Ttl;
use endpoint::{Endpoint, Status};

/// The help of `--exec`.
const EXEC: &str = "Run a command once all is ready, with BROW_ADDR, BROW_HOST and BROW_PORT set, and end with it; \
                    everything behind this is the command's, and no shell reads it unless you name one";

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    how: How,
    /// Leave the forwards to a small instance in the background, which ends with the last of them (forward stop, or the
    /// TTL of its pods)
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
pub(super) struct How {
    #[command(flatten)]
    pub choice: Choice,
    /// How long all of it may take to be ready
    #[arg(long, value_name = "TIME", default_value = "2m")]
    pub timeout: Ttl,
    /// End by itself after this time
    #[arg(long = "for", value_name = "TIME")]
    pub lasts: Option<Ttl>,
    /// What becomes of the pods that it creates; absent: as the config says, where ask means leave
    #[arg(long, value_name = "WHAT")]
    pub on_quit: Option<OnQuit>,
    /// Print a line of JSON for each forward
    #[arg(long)]
    pub json: bool,
    /// Say only what goes wrong
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnQuit {
    /// Left to their TTL
    Leave,
    /// Deleted at the end
    Delete,
}

pub(super) async fn run(globals: Globals, args: Args) -> ExitCode {
    if args.detach {
        return detach::start(&globals, &args.how).await;
    }
    if args.how.choice.is_empty() {
        return Stop::usage(super::text().get("cli.name-a-target")).tell();
    }
    if args.detached
        && let Err(error) = detach::leave_session()
    {
        return Stop { code: FAILED, says: error.to_string() }.tell();
    }
    descriptors::raise();
    match Headless::open(globals) {
        Ok(headless) => headless.run(&mut Connect::new(args)).await,
        Err(stop) => stop.tell(),
    }
}

/// The time for which instances that want the same forward leave it to the one with the lowest process id.
const TAKEOVER_DELAY: Duration = Duration::from_secs(3);

/// The time in which the system frees the port of a killed instance: it closes its sockets one by one.
const PORT_RELEASE_DELAY: Duration = Duration::from_millis(200);

/// The verb.
struct Connect {
    args: Args,
    targets: Vec<Target>,
    /// The forwards that were printed: names and local addresses.
    told: BTreeSet<(String, Option<SocketAddr>)>,
    /// The instances that have, or had last, the forwards that are not ours, by the forwards' names.
    holders: BTreeMap<String, String>,
    /// The time since which a forward has no instance, because its instance ended.
    orphaned: BTreeMap<String, Duration>,
    /// Forwards that were stopped in another instance.
    stopped: BTreeSet<String>,
    ready: Arc<AtomicBool>,
    command: Option<Running>,
    aside: Option<Aside>,
}

impl Connect {
    fn new(args: Args) -> Self {
        let ready = Arc::new(AtomicBool::new(false));
        let aside = args.detached.then(|| detach::abandoned(Arc::clone(&ready)));
        Self {
            args,
            targets: Vec::new(),
            told: BTreeSet::new(),
            holders: BTreeMap::new(),
            orphaned: BTreeMap::new(),
            stopped: BTreeSet::new(),
            ready,
            command: None,
            aside,
        }
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Prints the lines of forwards that have become ready.
    fn tell(&mut self, endpoints: &[Endpoint]) {
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.status == Status::Live && endpoint.local.is_some())
        {
            if !self.told.insert((endpoint.name.clone(), endpoint.local)) {
                continue;
            }
            let line = endpoint.line(self.args.how.json);
            match (self.args.exec.is_empty(), self.args.how.json) {
                (true, _) => print::out(&line),
                // Standard output is the command's.
                (false, true) => print::err(&line),
                (false, false) => {}
            }
        }
    }

    /// Sees to what other instances have, or had: what has to be opened here, since the one that had it has ended.
    fn inherit(&mut self, seen: &Seen<'_>, endpoints: &[Endpoint]) -> Vec<Request> {
        let mut heirless = Vec::new();
        for endpoint in endpoints {
            if let Some(instance) = &endpoint.instance {
                self.holders.insert(endpoint.name.clone(), instance.clone());
            }
            if endpoint.status != Status::Missing {
                self.orphaned.remove(&endpoint.name);
                self.stopped.remove(&endpoint.name);
                continue;
            }
            let Some(holder) = self.holders.get(&endpoint.name) else { continue };
            if seen.model.forwards.stopped().contains(&(holder.clone(), endpoint.name.clone())) {
                if self.stopped.insert(endpoint.name.clone()) {
                    let pid = holder.split('-').next().unwrap_or_default();
                    let parts = [("thing", endpoint.name.as_str()), ("pid", pid)];
                    print::err(&seen.text.fill("cli.stopped-there", &parts));
                }
            } else if !seen.model.instances.all().contains_key(holder) {
                let since = *self.orphaned.entry(endpoint.name.clone()).or_insert(seen.age);
                let waited = seen.age.saturating_sub(since);
                if waited >= TAKEOVER_DELAY || (waited >= PORT_RELEASE_DELAY && is_first(seen.model, &endpoint.target))
                {
                    self.holders.remove(&endpoint.name);
                    heirless.push(endpoint.target.clone());
                }
            }
            // While it ends it lets go of what it has; then that is to be had.
        }
        if heirless.is_empty() { Vec::new() } else { vec![Request::Connect(heirless)] }
    }

    /// Returns true if the forward of a port will not come back.
    fn is_over(&self, endpoint: &Endpoint) -> bool {
        match endpoint.status {
            Status::Closed => true,
            Status::Missing => self.stopped.contains(&endpoint.name) || !self.holders.contains_key(&endpoint.name),
            Status::Opening | Status::Unknown | Status::Live => false,
        }
    }

    /// Returns true if the targets cannot all become ready.
    fn is_hopeless(&self, model: &Model, endpoints: &[Endpoint]) -> bool {
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
        let forwards: Vec<(String, SocketAddr)> =
            endpoints.iter().filter_map(|endpoint| Some((endpoint.name.clone(), endpoint.local?))).collect();
        match Running::start(&self.args.exec, exec::environment(&forwards)) {
            Ok((command, aside)) => {
                (self.command, self.aside) = (Some(command), Some(aside));
                None
            }
            Err((code, why)) => {
                print::err(&why);
                Some(code)
            }
        }
    }

    /// The exit code, once it is over.
    fn end(&mut self, seen: &Seen<'_>, endpoints: &[Endpoint]) -> Option<u8> {
        if self.command.is_some() {
            // It is over when its command is.
            return None;
        }
        if self.args.how.lasts.is_some_and(|lasts| seen.age >= lasts.duration()) {
            return Some(if self.is_ready() { 0 } else { FAILED });
        }
        if !self.is_ready() {
            if self.is_hopeless(seen.model, endpoints) {
                return Some(FAILED);
            }
            if seen.age >= self.args.how.timeout.duration() {
                print::err(&seen.text.fill("cli.not-ready", &[("time", &self.args.how.timeout.to_string())]));
                return Some(FAILED);
            }
            if !endpoints.iter().all(|endpoint| endpoint.status == Status::Live) {
                return None;
            }
            self.ready.store(true, Ordering::Relaxed);
            if let Some(code) = self.begin_work(endpoints) {
                return Some(code);
            }
            if self.command.is_some() {
                return None;
            }
        }
        // With nothing (left) there is nothing to hold; all broken is a failure that was told.
        let refused = |endpoint: &Endpoint| seen.model.targets.refusal(&endpoint.target).is_some();
        let broken = endpoints.iter().any(|endpoint| {
            endpoint.status == Status::Closed || (endpoint.status == Status::Missing && refused(endpoint))
        });
        endpoints.iter().all(|endpoint| self.is_over(endpoint)).then_some(if broken { FAILED } else { 0 })
    }
}

/// Returns true if no other instance that wants the same target has a lower process id.
fn is_first(model: &Model, target: &String) -> bool {
    let waits = |known: &&RemoteInstance| !known.leaving && known.wants.contains(target);
    model.instances.all().values().filter(waits).all(|known| known.pid > id())
}

impl Verb for Connect {
    fn begin(&mut self, model: &Model, text: &Text) -> Result<Vec<Request>, Stop> {
        self.targets = self.args.how.choice.of(model, text)?;
        Ok(vec![Request::Connect(self.targets.iter().map(|target| target.name.clone()).collect())])
    }

    fn look(&mut self, seen: &Seen<'_>) -> Next {
        let endpoints = endpoint::of(seen.model, &self.targets);
        self.tell(&endpoints);
        let requests = self.inherit(seen, &endpoints);
        if !requests.is_empty() {
            return Next::Ask(requests);
        }
        self.end(seen, &endpoints).map_or(Next::Wait, Next::End)
    }

    fn tells(&self) -> bool {
        !self.args.how.quiet
    }

    fn role(&self) -> Option<Role> {
        Some(if self.args.detached { Role::Background } else { Role::Connect })
    }

    fn aside(&mut self) -> Option<Aside> {
        self.aside.take()
    }

    fn signaled(&mut self, number: u8) -> Option<u8> {
        match &self.command {
            Some(command) => {
                command.signal(number);
                None
            }
            // Once it is ready, to be told to end is how it ends.
            None => Some(if self.is_ready() { 0 } else { ended_by(number) }),
        }
    }

    fn takes_pods_along(&self) -> Option<bool> {
        match self.args.how.on_quit {
            Some(wish) => Some(wish == OnQuit::Delete),
            // What never came to be of use is nobody's.
            None => (!self.is_ready()).then_some(true),
        }
    }
}
