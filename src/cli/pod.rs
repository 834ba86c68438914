//! `pod`: proxy pods, created, listed, shown, deleted, cleaned up.

mod deletion;

use std::process::ExitCode;

use clap::Subcommand;
use clap_complete::ArgValueCandidates;
use serde_json::{Value, json};

use self::deletion::{Consent, Deletion, Which, several};
use super::choose::Choice;
use super::clusters::{Clusters, is_down, is_settled, known};
use super::headless::{Headless, Snapshot, Step};
use super::print::{self, FAILED, Failure, UNKNOWN};
use super::{Globals, complete};
use crate::text::Text;
use brow_model::Model;
use brow_model::dialog::Dialog;
use brow_model::log::Level;
use brow_model::proxy::{CleanupScope, Phase, PodKey, ProxyPod};
use brow_model::request::Request;
use brow_model::target::Target;
use brow_model::ttl::Ttl;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a proxy pod for each target, and wait until it is ready
    Create {
        #[command(flatten)]
        choice: Choice,
        /// TTL of the pods, such as 30m
        #[arg(long, value_name = "TIME")]
        ttl: Option<Ttl>,
        /// Time limit for the pods to become ready
        #[arg(long, value_name = "TIME", default_value = "2m")]
        timeout: Ttl,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print only errors
        #[arg(long, short)]
        quiet: bool,
    },
    /// List proxy pods of all users
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        clusters: Clusters,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Describe a proxy pod: spec, conditions, events
    Info {
        /// Pod name, or CONTEXT/NAMESPACE/NAME if several clusters have it
        #[arg(add = ArgValueCandidates::new(complete::pods))]
        name: String,
        #[command(flatten)]
        clusters: Clusters,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete proxy pods
    #[command(visible_alias = "rm")]
    Delete {
        /// Names of pods, or patterns with * and ? (in quotes), which match only pods created by this installation
        #[arg(value_name = "POD", required = true, add = ArgValueCandidates::new(complete::pods))]
        names: Vec<String>,
        #[command(flatten)]
        consent: Consent,
        #[command(flatten)]
        clusters: Clusters,
    },
    /// Delete proxy pods that have finished or expired
    Cleanup {
        /// Include pods of all users
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        consent: Consent,
        #[command(flatten)]
        clusters: Clusters,
    },
}

pub(super) async fn run(globals: Globals, command: Command) -> ExitCode {
    let headless = match Headless::open(globals) {
        Ok(headless) => headless,
        Err(failure) => return failure.print(),
    };
    let (clusters, action) = match command {
        Command::Create { choice, .. } if choice.is_empty() => {
            return Failure::usage(headless.text.get("cli.name-a-target")).print();
        }
        Command::Create { choice, ttl, timeout, json, quiet } => {
            let targets = Vec::new();
            return headless.run(&mut Create { choice, ttl, timeout, json, quiet, targets, done: false }).await;
        }
        Command::Delete { consent, .. } | Command::Cleanup { consent, .. } if !consent.can_be_had() => {
            return Failure::usage(headless.text.get("cli.say-yes")).print();
        }
        Command::List { clusters, json } => (clusters, Action::List { json }),
        Command::Info { name, clusters, json } => (clusters, Action::Info { name, json }),
        Command::Delete { names, consent, clusters } => {
            (clusters, Action::Delete(Deletion::new(Which::Named(names), consent)))
        }
        Command::Cleanup { all, consent, clusters } => {
            let whose = if all { CleanupScope::All } else { CleanupScope::Own };
            (clusters, Action::Delete(Deletion::new(Which::Over(whose), consent)))
        }
    };
    headless.run(&mut PodCommand::new(clusters, action)).await
}

/// `pod create`.
struct Create {
    choice: Choice,
    ttl: Option<Ttl>,
    timeout: Ttl,
    json: bool,
    quiet: bool,
    targets: Vec<Target>,
    /// True once the pods are ready and their names printed.
    done: bool,
}

impl super::headless::HeadlessCommand for Create {
    fn start(&mut self, model: &Model, text: &Text) -> Result<Vec<Request>, Failure> {
        self.targets = self.choice.of(model, text)?;
        let targets = self.targets.iter().map(|target| target.name.clone()).collect();
        Ok(vec![Request::Create { targets, ttl: self.ttl }])
    }

    fn on_update(&mut self, snapshot: &Snapshot<'_>) -> Step {
        let model = snapshot.model;
        let asked = model.pods.requests().len() + model.pods.created().len();
        let mine: Vec<&ProxyPod> = model.pods.created().keys().filter_map(|key| model.pods.all().get(key)).collect();
        if mine.len() == asked && mine.iter().all(|pod| pod.phase == Phase::Ready) {
            if self.json {
                print::json(&mine.iter().map(|pod| as_json(model, pod)).collect());
            } else {
                for pod in &mine {
                    print::out(&pod.key.name);
                }
            }
            self.done = true;
            return Step::End(if snapshot.failed { FAILED } else { 0 });
        }
        let down = self.targets.iter().any(|target| is_down(model, &target.cluster));
        if down || mine.iter().any(|pod| pod.phase > Phase::Ready) {
            return Step::End(FAILED);
        }
        if snapshot.age >= self.timeout.duration() {
            print::err(&snapshot.text.fill("cli.not-ready", &[("time", &self.timeout.to_string())]));
            return Step::End(FAILED);
        }
        Step::Wait
    }

    fn prints_from(&self) -> Level {
        if self.quiet { Level::Error } else { Level::Info }
    }

    fn deletes_pods(&self) -> Option<bool> {
        // To make them is all that it is for. Of those that were not ready in time nobody knows.
        Some(!self.done)
    }
}

/// The action to take once the pods are known.
enum Action {
    List { json: bool },
    Info { name: String, json: bool },
    Delete(Deletion),
}

/// A subcommand that first lists the pods of clusters.
struct PodCommand {
    clusters: Clusters,
    names: Vec<String>,
    action: Action,
    /// True once the action was requested.
    asked: bool,
    /// The pods that are being deleted.
    deleting: Vec<PodKey>,
    /// True if pods that are meant may be in a cluster that cannot be asked.
    incomplete: bool,
}

impl PodCommand {
    fn new(clusters: Clusters, action: Action) -> Self {
        Self { clusters, names: Vec::new(), action, asked: false, deleting: Vec::new(), incomplete: false }
    }

    /// Does what is to be done with what was found.
    fn found(&mut self, snapshot: &Snapshot<'_>) -> Result<Step, Failure> {
        let model = snapshot.model;
        let down = self.names.iter().any(|cluster| is_down(model, cluster));
        // Where not all could be asked, nobody knows that there is none.
        let unknown = |failure: Failure| {
            if down && failure.code == UNKNOWN { Failure { code: FAILED, ..failure } } else { failure }
        };
        match &mut self.action {
            Action::List { json } => {
                list(snapshot, &self.clusters, *json);
                Ok(Step::End(if snapshot.failed { FAILED } else { 0 }))
            }
            Action::Info { name, .. } => {
                let pod = one(snapshot, &self.clusters, name).map_err(unknown)?;
                Ok(Step::Send(vec![Request::Describe(pod.key.clone())]))
            }
            Action::Delete(deletion) => {
                let found = deletion.find(snapshot, &self.clusters).map_err(unknown)?;
                self.deleting = found.iter().map(|pod| pod.key.clone()).collect();
                self.incomplete = deletion.is_open(&found)
                    && self
                        .names
                        .iter()
                        .any(|cluster| is_down(model, cluster) && self.clusters.concern(model, cluster));
                Ok(deletion.begin(snapshot, &found, self.incomplete))
            }
        }
    }

    /// Looks whether what was asked for has been done.
    fn done(&mut self, snapshot: &Snapshot<'_>) -> Step {
        let model = snapshot.model;
        if let Action::Delete(deletion) = &mut self.action
            && let Some(next) = deletion.answered(snapshot, &self.deleting)
        {
            return next;
        }
        if let Action::Info { json, .. } = &self.action {
            let described = model.screen.dialogs.iter().find_map(|dialog| match dialog {
                Dialog::Describe { key, text: Some(text), .. } => Some((key, text)),
                _ => None,
            });
            return match described {
                None => Step::Wait,
                Some((key, Ok(lines))) => {
                    tell_info(model, key, snapshot.text.description(lines), *json);
                    Step::End(0)
                }
                Some((_, Err(fault))) => {
                    print::err(&snapshot.text.fault_once(fault).in_full());
                    Step::End(FAILED)
                }
            };
        }
        if self.deleting.iter().any(|key| model.pods.is_deleting(key)) {
            return Step::Wait;
        }
        let is_gone = |key: &&PodKey| model.pods.all().get(key).is_none_or(|pod| pod.phase == Phase::Terminating);
        let (gone, left): (Vec<_>, Vec<_>) = self.deleting.iter().partition(is_gone);
        for key in gone {
            print::out(&snapshot.text.fill("cli.pod-deleted", &[("thing", &key.to_string())]));
        }
        Step::End(if left.is_empty() && !self.incomplete { 0 } else { FAILED })
    }
}

impl super::headless::HeadlessCommand for PodCommand {
    fn start(&mut self, model: &Model, text: &Text) -> Result<Vec<Request>, Failure> {
        self.names = self.clusters.of(model);
        if let (Some(fault), true) = (model.clusters.fault(), self.names.is_empty()) {
            return Err(Failure::fault(text, fault));
        }
        self.names.iter().try_for_each(|name| known(model, text, name))?;
        Ok(vec![Request::Watch(self.names.clone())])
    }

    fn on_update(&mut self, snapshot: &Snapshot<'_>) -> Step {
        if self.asked {
            return self.done(snapshot);
        }
        if !self.names.iter().all(|name| is_settled(snapshot.model, name)) {
            return Step::Wait;
        }
        self.asked = true;
        self.found(snapshot).unwrap_or_else(|failure| {
            print::err(&failure.message);
            Step::End(failure.code)
        })
    }
}

fn list(snapshot: &Snapshot<'_>, clusters: &Clusters, as_list: bool) {
    let (model, text) = (snapshot.model, snapshot.text);
    let pods: Vec<&ProxyPod> = clusters.pods(model).collect();
    if as_list {
        return print::json(&pods.iter().map(|pod| as_json(model, pod)).collect());
    }
    let heads =
        ["column.name", "column.target", "column.place", "column.phase", "column.owner", "column.age", "column.left"]
            .map(|key| text.get(key));
    let row = |pod: &&ProxyPod| {
        let now = model.time_at(&pod.key.cluster);
        let left = pod.left(now).filter(|_| !pod.is_over(now)).map(|left| text.left(left)).unwrap_or_default();
        vec![
            pod.key.name.clone(),
            pod.target.clone(),
            format!("{}/{}", pod.key.cluster, pod.key.namespace),
            text.phase(model.phase_of(pod)).to_owned(),
            pod.owner.clone(),
            text.age(now - pod.created),
            left,
        ]
    };
    let rows: Vec<Vec<String>> = pods.iter().map(row).collect();
    print::out(&print::table(&heads, &rows));
}

/// A pod as JSON. Times are RFC 3339, by the cluster's clock.
fn as_json(model: &Model, pod: &ProxyPod) -> Value {
    let now = model.time_at(&pod.key.cluster);
    json!({
        "name": pod.key.name,
        "cluster": pod.key.cluster,
        "namespace": pod.key.namespace,
        "target": pod.target,
        "owner": pod.owner,
        "mine": model.is_ours(pod),
        "phase": model.phase_of(pod).name(),
        "created": pod.created,
        "expires": pod.deadline(),
        "left_seconds": pod.left(now).map(|left| left.num_seconds()),
        "ttl": pod.ttl.map(|ttl| ttl.to_string()),
        "node": pod.node,
        "image": pod.image,
        "fault": pod.fault.as_ref().map(|fault| fault.what),
    })
}

fn tell_info(model: &Model, key: &PodKey, lines: Vec<String>, as_list: bool) {
    let pod = model.pods.all().get(key);
    if as_list {
        let mut all = pod.map_or_else(|| json!({}), |pod| as_json(model, pod));
        all["description"] = lines.into();
        return print::json(&all);
    }
    for line in lines {
        print::out(&line);
    }
}

/// The one pod of that name.
fn one<'a>(snapshot: &Snapshot<'a>, clusters: &Clusters, name: &str) -> Result<&'a ProxyPod, Failure> {
    let words = |key| snapshot.text.fill(key, &[("thing", name)]);
    match several(snapshot.model, clusters, name).as_slice() {
        [] => Err(Failure::unknown(words("cli.no-pod"))),
        [pod] => Ok(*pod),
        _ => Err(Failure::usage(words("cli.ambiguous-pod"))),
    }
}
