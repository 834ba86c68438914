//! Completions that a shell asks the program itself for: names of targets, tags, contexts, pods and forwards as they
//! are now. What cannot be read completes to nothing: the command itself says why.

mod node_ports;
mod shells;
mod words;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Command, ValueEnum};
use clap_complete::CompletionCandidate;
use clap_complete::env::{CompleteEnv, EnvCompleter, Shells};
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::clusters::{self, Clusters};
use super::globals::Globals;
use super::headless::{Headless, HeadlessCommand, Snapshot, Step};
use super::logging::Logging;
use super::print::{self, Failure};
use crate::cluster;
use crate::instance;
use crate::store::{self, Paths};
use crate::text::Text;
use brow_model::Model;
use brow_model::request::Request;
use brow_model::target::Target;
pub(super) use node_ports::{gateway_ports, places, targets_and_places};
use shells::{BASH, FISH, ZSH};

/// The variable by which a shell asks.
const VARIABLE: &str = "BROW_COMPLETE";
/// The longest wait for the pods of clusters: somebody has pressed a key and waits.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A shell that can be completed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    /// brow-tui completions fish > ~/.config/fish/completions/brow-tui.fish
    Fish,
    /// brow-tui completions bash > ~/.local/share/bash-completion/completions/brow-tui
    Bash,
    /// brow-tui completions zsh > a file _brow-tui in a directory of $fpath
    Zsh,
}

/// Answers about the command line where it is a shell that asks, and ends then.
pub(super) fn answer(command_line: fn() -> Command) {
    CompleteEnv::with_factory(command_line).var(VARIABLE).shells(Shells(&[&BASH, &FISH, &ZSH])).complete();
}

/// Prints what a shell needs to ask.
pub(super) fn script(shell: Shell) -> ExitCode {
    let completer: &dyn EnvCompleter = match shell {
        Shell::Fish => &FISH,
        Shell::Bash => &BASH,
        Shell::Zsh => &ZSH,
    };
    let mut script = Vec::new();
    let written: io::Result<()> =
        completer.write_registration(VARIABLE, "brow-tui", "brow-tui", "brow-tui", &mut script);
    match written {
        Ok(()) => {
            print::out(String::from_utf8_lossy(&script).trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => Failure { code: print::FAILED, message: error.to_string() }.print(),
    }
}

/// Returns the value of an option of the completed command line.
fn value(name: &str) -> Option<String> {
    let args = shells::line();
    let equals = format!("{name}=");
    let at = args.iter().position(|arg| arg == name || arg.starts_with(&equals))?;
    let inline = args[at].strip_prefix(&equals).map(str::to_owned);
    inline.or_else(|| args.get(at + 1).cloned())
}

/// The files that the completed command line names.
fn globals() -> Option<Globals> {
    let path = |name: &str| {
        let value = value(name)?;
        // The shell would have done that before it calls us.
        let in_home =
            value.strip_prefix("~/").and_then(|rest| Some(PathBuf::from(std::env::var_os("HOME")?).join(rest)));
        Some(in_home.unwrap_or_else(|| value.into()))
    };
    if shells::line().iter().any(|arg| arg == "--practice") {
        return None;
    }
    let paths = Paths::find(path("--config")).ok()?;
    let (kubeconfig, runtime) = (path("--kubeconfig"), paths.runtime());
    Some(Globals { kubeconfig, runtime, paths, practice: false, logging: Logging::default() })
}

fn saved() -> Vec<Target> {
    globals().and_then(|globals| store::load(&globals.paths).ok()).map(|loaded| loaded.targets).unwrap_or_default()
}

fn candidate(name: &str, help: String) -> CompletionCandidate {
    CompletionCandidate::new(name).help(Some(help.into()))
}

/// Names of saved targets.
pub(super) fn targets() -> Vec<CompletionCandidate> {
    saved().iter().map(|target| candidate(&target.name, format!("{} {}", target.cluster, target.address))).collect()
}

/// Tags of saved targets.
pub(super) fn tags() -> Vec<CompletionCandidate> {
    let mut tags: Vec<String> = saved().into_iter().flat_map(|target| target.tags).collect();
    tags.sort();
    tags.dedup();
    tags.into_iter().map(CompletionCandidate::new).collect()
}

/// Contexts of the kubeconfig.
pub(super) fn contexts() -> Vec<CompletionCandidate> {
    let read = || cluster::Clusters::empty(globals()?.kubeconfig).reload().ok();
    let contexts = read().unwrap_or_default();
    contexts.iter().map(|context| candidate(&context.name, context.server.clone())).collect()
}

/// Forwards of running instances.
pub(super) fn forwards() -> Vec<CompletionCandidate> {
    let asked = || {
        let dir = globals()?.runtime;
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        Some(runtime.block_on(instance::all(&dir)))
    };
    let all = asked().unwrap_or_default();
    let forwards = all.reports.iter().flat_map(|(_, report)| &report.forwards);
    forwards.map(|forward| candidate(&forward.name, forward.local.clone())).collect()
}

/// Proxy pods, as far as clusters tell of them in time.
pub(super) fn pods() -> Vec<CompletionCandidate> {
    let mut names = Names { clusters: Clusters::default(), looked: Vec::new(), found: Vec::new() };
    let mut look = || {
        let globals = globals()?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().ok()?;
        runtime.block_on(async {
            // In a block: signals and tasks need the runtime.
            if let Ok(headless) = Headless::open(globals) {
                // What has not answered by then is left out.
                let _late = timeout(TIMEOUT, headless.run(&mut names)).await;
            }
        });
        runtime.shutdown_background();
        Some(())
    };
    look();
    names.found.iter().map(|(name, target)| candidate(name, target.clone())).collect()
}

/// A verb that only looks which pods there are.
struct Names {
    clusters: Clusters,
    looked: Vec<String>,
    found: Vec<(String, String)>,
}

impl HeadlessCommand for Names {
    fn start(&mut self, model: &Model, _: &Text) -> Result<Vec<Request>, Failure> {
        self.looked = self.clusters.of(model);
        Ok(vec![Request::Watch(self.looked.clone())])
    }

    fn on_update(&mut self, snapshot: &Snapshot<'_>) -> Step {
        let pods = snapshot.model.pods.all().values().filter(|pod| !snapshot.model.is_duplicate(pod));
        self.found = pods.map(|pod| (pod.key.name.clone(), pod.target.clone())).collect();
        if self.looked.iter().all(|name| clusters::is_settled(snapshot.model, name)) {
            Step::End(0)
        } else {
            Step::Wait
        }
    }

    fn is_silent(&self) -> bool {
        true
    }
}
