//! `connect`: forwards in the foreground, a line for each that is ready, until somebody or a command ends them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use super::Door;
use super::choose::Choice;
use super::exec::{self, Running};
use super::headless::{Aside, Headless, Next, Seen, Verb};
use super::print::{self, FAILED, Stop};
use crate::model::Model;
use crate::model::cluster::Link;
use crate::model::forward::{Forward, ForwardId, ForwardState, port_name};
use crate::model::target::Target;
use crate::model::ttl::Ttl;
use crate::model::wish::Wish;
use crate::text::Text;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    choice: Choice,
    /// Run a command once all is ready, with BROW_ADDR, BROW_HOST and BROW_PORT set, and end with it; everything behind
    /// this is the command's, and no shell reads it unless you name one
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_name = "COMMAND")]
    exec: Vec<String>,
    /// How long all of it may take to be ready
    #[arg(long, value_name = "TIME", default_value = "2m")]
    timeout: Ttl,
    /// End by itself after this time
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<Ttl>,
    /// What becomes of the pods that it creates; absent: as the config says
    #[arg(long, value_name = "WHAT")]
    on_quit: Option<OnQuit>,
    /// Print a line of JSON for each forward
    #[arg(long)]
    json: bool,
    /// Say only what goes wrong
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnQuit {
    /// Left to their TTL
    Leave,
    /// Deleted at the end
    Delete,
}

pub(super) async fn run(door: Door, args: Args) -> ExitCode {
    if args.choice.is_empty() {
        return Stop::usage(super::text().get("cli.name-a-target")).tell();
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
    /// Forwards whose line was printed.
    told: BTreeSet<ForwardId>,
    ready: bool,
    command: Option<Running>,
    aside: Option<Aside>,
}

impl Connect {
    fn new(args: Args) -> Self {
        Self { args, targets: Vec::new(), told: BTreeSet::new(), ready: false, command: None, aside: None }
    }

    /// Prints the lines of forwards that have become ready.
    fn tell(&mut self, model: &Model) {
        for forward in model.forwards.values().filter(|forward| forward.state == ForwardState::Live) {
            if self.told.insert(forward.spec.id) {
                print::out(&line(model, forward, self.args.json));
            }
        }
    }

    /// Why it cannot come to be ready; `None`: it may.
    fn hopeless(&self, model: &Model) -> bool {
        self.targets.iter().any(|target| {
            let lost = |forward: &Forward| matches!(forward.state, ForwardState::Failed | ForwardState::Broken);
            let down = model
                .cluster(&target.cluster)
                .is_some_and(|at| matches!(at.link, Link::Unauthorized | Link::Forbidden | Link::Unreachable));
            let mut forwards = model.forwards_of(&target.name).peekable();
            forwards.peek().is_none() || down || model.refused.contains_key(&target.name) || forwards.any(lost)
        })
    }

    fn start_command(&mut self, model: &Model) -> Option<u8> {
        if self.args.exec.is_empty() {
            return None;
        }
        let forwards: Vec<(String, SocketAddr)> = self
            .targets
            .iter()
            .flat_map(|target| model.forwards_of(&target.name).map(move |forward| (target, forward)))
            .filter_map(|(target, forward)| Some((port_name(target, &forward.spec.address), *forward.bound.first()?)))
            .collect();
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
}

impl Connect {
    /// The exit code, once it is over.
    fn end(&mut self, seen: &Seen<'_>) -> Option<u8> {
        let model = seen.model;
        if self.args.lasts.is_some_and(|lasts| seen.age >= lasts.duration()) {
            return Some(if self.ready { 0 } else { FAILED });
        }
        if !self.ready {
            if self.hopeless(model) {
                return Some(FAILED);
            }
            if seen.age >= self.args.timeout.duration() {
                print::err(&seen.text.fill("cli.not-ready", &[("time", &self.args.timeout.to_string())]));
                return Some(FAILED);
            }
            self.ready = model.forwards.values().all(|forward| forward.state == ForwardState::Live);
            return if self.ready { self.start_command(model) } else { None };
        }
        if self.command.is_some() {
            // It is over when its command is.
            return None;
        }
        let over = |forward: &Forward| matches!(forward.state, ForwardState::Broken | ForwardState::Failed);
        // Closed from elsewhere is an end; broken, all of them, is a failure that was told.
        let end = if model.forwards.is_empty() { 0 } else { FAILED };
        model.forwards.values().all(over).then_some(end)
    }
}

impl Verb for Connect {
    fn begin(&mut self, model: &Model, text: &Text) -> Result<Vec<Wish>, Stop> {
        self.targets = self.args.choice.of(model, text)?;
        Ok(vec![Wish::Connect(self.targets.iter().map(|target| target.name.clone()).collect())])
    }

    fn look(&mut self, seen: &Seen<'_>) -> Next {
        self.tell(seen.model);
        match self.end(seen) {
            Some(code) => Next::End(code),
            None => Next::Wait,
        }
    }

    fn tells(&self) -> bool {
        !self.args.quiet
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
        match self.args.on_quit {
            Some(wish) => Some(wish == OnQuit::Delete),
            // What never came to be of use is nobody's.
            None => (!self.ready).then_some(true),
        }
    }
}

/// What is printed of a forward: where it is, and what it is called.
fn line(model: &Model, forward: &Forward, as_json: bool) -> String {
    let spec = &forward.spec;
    let name =
        model.target(&spec.target).map_or_else(|| spec.target.clone(), |target| port_name(target, &spec.address));
    let local = forward.local();
    if !as_json {
        return format!("{local}\t{name}");
    }
    let (host, port) = forward.bound.first().map_or((None, 0), |at| (Some(at.ip().to_string()), at.port()));
    let pod = forward.via.as_ref().map(|via| &via.pod.name);
    json!({
        "name": name,
        "target": spec.target,
        "address": local,
        "host": host,
        "port": port,
        "cluster": spec.place.cluster,
        "namespace": spec.place.namespace,
        "pod": pod,
    })
    .to_string()
}
