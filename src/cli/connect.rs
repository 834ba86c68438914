//! `connect`: forwards in the foreground, a line for each that is ready, until somebody or a command ends them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use super::choose::Choice;
use super::exec::{self, Running};
use super::headless::{Aside, Headless, Next, Seen, Verb};
use super::print::{self, FAILED, Stop};
use super::{Door, detach};
use crate::model::Model;
use crate::model::cluster::Link;
use crate::model::forward::{Forward, ForwardState, port_name};
use crate::model::instance::{Role, Standing};
use crate::model::target::Target;
use crate::model::ttl::Ttl;
use crate::model::wish::Wish;
use crate::text::Text;

/// What `--exec` does.
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

/// What is to be forwarded, and how.
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

pub(super) async fn run(door: Door, args: Args) -> ExitCode {
    if args.detach {
        return detach::start(&door, &args.how).await;
    }
    if args.how.choice.is_empty() {
        return Stop::usage(super::text().get("cli.name-a-target")).tell();
    }
    if args.detached
        && let Err(error) = detach::leave_session()
    {
        return Stop { code: FAILED, says: error.to_string() }.tell();
    }
    match Headless::open(door) {
        Ok(headless) => headless.run(&mut Connect::new(args)).await,
        Err(stop) => stop.tell(),
    }
}

/// The verb.
struct Connect {
    args: Args,
    targets: Vec<Target>,
    /// Names of forwards whose line was printed.
    told: BTreeSet<String>,
    ready: bool,
    command: Option<Running>,
    aside: Option<Aside>,
}

/// Where one port of a target is to be found.
struct Place {
    /// The target's name, with the port where that is not the first of several.
    name: String,
    local: Option<SocketAddr>,
    live: bool,
    /// As JSON.
    json: serde_json::Value,
}

impl Connect {
    fn new(args: Args) -> Self {
        Self { args, targets: Vec::new(), told: BTreeSet::new(), ready: false, command: None, aside: None }
    }

    /// Where everything is that was asked for, as far as there is a forward for it: ours or another instance's.
    fn places(&self, model: &Model) -> Vec<Option<Place>> {
        let ports = self.targets.iter().flat_map(|target| {
            target.address.singles().into_iter().map(move |address| {
                let name = port_name(target, &address);
                let own = model.forwards_of(&target.name).find(|forward| forward.spec.address == address);
                let other = || {
                    let (_, other) = model.elsewhere(target, &address)?;
                    let forward = &other.forward;
                    let live = forward.state == Standing::Live;
                    let local = forward.local.parse().ok();
                    Some(Place::new(target, name.clone(), local, live, forward.pod.as_ref(), Some(other.pid)))
                };
                own.map(|forward| of_own(target, name.clone(), forward)).or_else(other)
            })
        });
        ports.collect()
    }

    /// Prints the lines of forwards that have become ready.
    fn tell(&mut self, places: &[Option<Place>]) {
        for place in places.iter().flatten().filter(|place| place.live) {
            let Some(local) = place.local else { continue };
            if self.told.insert(place.name.clone()) {
                print::out(&if self.args.how.json {
                    place.json.to_string()
                } else {
                    format!("{local}\t{}", place.name)
                });
            }
        }
    }

    /// Whether it cannot come to be ready.
    fn is_hopeless(&self, model: &Model, places: &[Option<Place>]) -> bool {
        let down = |target: &Target| {
            let link = model.cluster(&target.cluster).map(|at| at.link);
            let own = model.forwards_of(&target.name).next().is_some();
            own && matches!(link, None | Some(Link::Unauthorized | Link::Forbidden | Link::Unreachable))
        };
        places.iter().any(Option::is_none)
            || model.forwards.values().any(is_over)
            || self.targets.iter().any(|target| down(target) || model.refused.contains_key(&target.name))
    }

    /// Everything is ready: begins what was waited for. The exit code, where that fails.
    fn begin_work(&mut self, places: &[Option<Place>]) -> Option<u8> {
        if self.args.detached {
            detach::let_go();
        }
        if self.args.exec.is_empty() {
            return None;
        }
        let forwards: Vec<(String, SocketAddr)> =
            places.iter().flatten().filter_map(|place| Some((place.name.clone(), place.local?))).collect();
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
    fn end(&mut self, seen: &Seen<'_>, places: &[Option<Place>]) -> Option<u8> {
        let model = seen.model;
        if self.command.is_some() {
            // It is over when its command is.
            return None;
        }
        if self.args.how.lasts.is_some_and(|lasts| seen.age >= lasts.duration()) {
            return Some(if self.ready { 0 } else { FAILED });
        }
        if !self.ready {
            if self.is_hopeless(model, places) {
                return Some(FAILED);
            }
            if seen.age >= self.args.how.timeout.duration() {
                print::err(&seen.text.fill("cli.not-ready", &[("time", &self.args.how.timeout.to_string())]));
                return Some(FAILED);
            }
            if !places.iter().flatten().all(|place| place.live) {
                return None;
            }
            self.ready = true;
            if let Some(code) = self.begin_work(places) {
                return Some(code);
            }
            if self.command.is_some() {
                return None;
            }
        }
        // With nothing of our own (left) there is nothing to hold; all broken is a failure that was told.
        let end = if model.forwards.is_empty() { 0 } else { FAILED };
        model.forwards.values().all(is_over).then_some(end)
    }
}

impl Verb for Connect {
    fn begin(&mut self, model: &Model, text: &Text) -> Result<Vec<Wish>, Stop> {
        self.targets = self.args.how.choice.of(model, text)?;
        Ok(vec![Wish::Connect(self.targets.iter().map(|target| target.name.clone()).collect())])
    }

    fn look(&mut self, seen: &Seen<'_>) -> Next {
        let places = self.places(seen.model);
        self.tell(&places);
        self.end(seen, &places).map_or(Next::Wait, Next::End)
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
            None => Some(if self.ready { 0 } else { 128 + number }),
        }
    }

    fn takes_pods_along(&self) -> Option<bool> {
        match self.args.how.on_quit {
            Some(wish) => Some(wish == OnQuit::Delete),
            // What never came to be of use is nobody's.
            None => (!self.ready).then_some(true),
        }
    }
}

/// Whether nothing more comes of a forward. One on demand tries afresh with the next connection.
fn is_over(forward: &Forward) -> bool {
    match forward.state {
        ForwardState::Failed => true,
        ForwardState::Broken => forward.demand.is_none(),
        ForwardState::Opening
        | ForwardState::Resting
        | ForwardState::Waiting
        | ForwardState::Live
        | ForwardState::Reconnecting => false,
    }
}

fn of_own(target: &Target, name: String, forward: &Forward) -> Place {
    let pod = forward.via.as_ref().map(|via| &via.pod.name);
    // One at rest is woken by whoever connects.
    let live = matches!(forward.state, ForwardState::Live | ForwardState::Resting);
    Place::new(target, name, forward.bound.first().copied(), live, pod, None)
}

impl Place {
    fn new(
        target: &Target,
        name: String,
        local: Option<SocketAddr>,
        live: bool,
        pod: Option<&String>,
        owner: Option<u32>,
    ) -> Self {
        let json = json!({
            "name": name,
            "target": target.name,
            "address": local.map(|local| local.to_string()),
            "host": local.map(|local| local.ip().to_string()),
            "port": local.map(|local| local.port()),
            "cluster": target.cluster,
            "pod": pod,
            // The instance that holds it, where it is not this one.
            "pid": owner,
        });
        Self { name, local, live, json }
    }
}
