//! `why`: takes the steps to something in a cluster, and says which fails.

use std::io::{IsTerminal as _, stdout};
use std::process::ExitCode;

use clap_complete::ArgValueCandidates;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::print::{self, FAILED, Failure, UNKNOWN};
use super::signals::{Signals, ended_by};
use super::{Globals, complete};
use crate::cluster::Clusters;
use crate::store;
use crate::text::{FaultWords, Text};
use crate::why;
use brow_model::address::Transport;
use brow_model::cluster::Context;
use brow_model::event::Loaded;
use brow_model::fault::Fault;
use brow_model::near::near;
use brow_model::sanitize;
use brow_model::settings::PodSettings;
use brow_model::target::Target;
use brow_model::why::{Check, CheckedDestination, Prober, Question, Step, Verdict};
use brow_model::workload::{Destination, Workload, is_dns_label};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// A saved target, svc/NAME, deploy/NAME or another workload (each perhaps with :PORT), HOST:PORT or node/PORT
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::targets))]
    place: String,
    /// Kubeconfig context; absent: the target's, else the current one
    #[arg(long, value_name = "CONTEXT", add = ArgValueCandidates::new(complete::contexts))]
    context: Option<String>,
    /// Namespace; absent: the target's, else the context's own
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Connect from a short-lived proxy pod too, which is deleted at once
    #[arg(long)]
    pod: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(globals: Globals, args: Args) -> ExitCode {
    let text = super::text_of(&globals);
    match ask(&globals, &args, &text).await {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.print(),
    }
}

async fn ask(globals: &Globals, args: &Args, text: &Text) -> Result<u8, Failure> {
    let failed = |fault: Fault| Failure::fault(text, &fault);
    let mut signals = Signals::listen()?;
    let loaded = store::load(&globals.paths).map_err(failed)?;
    let (clusters, contexts) = Clusters::read(globals.kubeconfig.as_deref()).map_err(failed)?;
    let question = question(args, text, &loaded, &contexts)?;
    let stop = CancellationToken::new();
    let mut asking = Box::pin(why::run(&clusters, &question, &stop));
    let checks = tokio::select! {
        biased;
        number = signals.next() => {
            stop.cancel();
            // A pod that it has made is deleted first, unless that is not waited for.
            tokio::select! {
                biased;
                _ = signals.next() => {}
                _ = &mut asking => {}
            }
            return Ok(ended_by(number));
        }
        checks = &mut asking => checks,
    };
    if args.json {
        print::json(&as_json(text, &question, &checks));
    } else {
        let plain = !stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        print::colored(&lines(text, &checks, !plain));
    }
    Ok(code(&checks))
}

fn code(checks: &[Check]) -> u8 {
    match checks.iter().find(|check| check.has_failed()) {
        Some(check) if check.step == Step::Exists => UNKNOWN,
        Some(_) => FAILED,
        // Nothing was found out.
        None if checks.iter().all(|check| check.verdict != Verdict::Passed) => FAILED,
        None => 0,
    }
}

/// Asks about a target that the config of this process offers to agents, without a pod, and returns the steps as JSON;
/// `None` where it offers none of that name.
///
/// # Errors
/// The reason why nothing can be asked, in words.
pub(super) async fn of_target(globals: &Globals, name: &str, text: &Text) -> Result<Option<Value>, String> {
    let words = |fault: Fault| text.fault(&fault).in_full();
    let loaded = store::load(&globals.paths).map_err(words)?;
    let is_offered = |target: &Target| loaded.settings.agents.access(target.forward.agent, &target.tags).is_some();
    if !loaded.targets.iter().any(|target| target.name == name && is_offered(target)) {
        return Ok(None);
    }
    let (clusters, contexts) = Clusters::read(globals.kubeconfig.as_deref()).map_err(words)?;
    let args = Args { place: name.to_owned(), context: None, namespace: None, pod: false, json: true };
    let question = question(&args, text, &loaded, &contexts).map_err(|failure| failure.message)?;
    let checks = why::run(&clusters, &question, &CancellationToken::new()).await;
    Ok(Some(as_json(text, &question, &checks)))
}

/// Finds out what is asked.
fn question(args: &Args, text: &Text, loaded: &Loaded, contexts: &[Context]) -> Result<Question, Failure> {
    let saved = loaded.targets.iter().find(|target| target.name == args.place);
    let (destination, named) = match saved {
        Some(target) => CheckedDestination::of(&target.address)
            .ok_or_else(|| Failure::usage(text.fill("why.no-proxy", &[("thing", &target.name)])))?,
        None => given(&args.place).ok_or_else(|| unknown(text, loaded, &args.place))?,
    };
    let wanted = args.context.clone().or_else(|| saved.map(|target| target.cluster.clone()));
    let context = match &wanted {
        Some(name) => contexts.iter().find(|context| context.name == *name),
        None => contexts.iter().find(|context| context.current),
    };
    let Some(context) = context else {
        return Err(match wanted {
            Some(name) => Failure::unknown(text.fill("cli.no-context", &[("thing", &name)])),
            None => Failure::usage(text.get("cli.name-a-context")),
        });
    };
    let own = saved.and_then(|target| target.namespace.clone());
    let from = args.namespace.clone().or(own).unwrap_or_else(|| context.namespace.clone());
    let namespace = named.unwrap_or_else(|| from.clone());
    if !is_dns_label(&namespace) || !is_dns_label(&from) {
        return Err(Failure::usage(text.get("field.namespace")));
    }
    let none = PodSettings::default();
    let settings = loaded.settings.pod_for(&context.name, saved.map_or(&none, |target| &target.pod));
    let (settings, max_ttl) = (Box::new(settings), loaded.settings.max_ttl);
    let pod = Prober { namespace: from, settings, max_ttl, creates: args.pod };
    Ok(Question { cluster: context.name.clone(), namespace, destination, pod })
}

/// Reads a destination that is not saved: a workload with or without a port, or an address.
fn given(text: &str) -> Option<(CheckedDestination, Option<String>)> {
    if let Ok(destination) = text.parse::<Destination>() {
        return CheckedDestination::of(&destination);
    }
    let Workload { kind, name, .. } = format!("{text}:1").parse().ok()?;
    Some((CheckedDestination::Workload { kind, name, port: None, transport: Transport::Tcp }, None))
}

fn unknown(text: &Text, loaded: &Loaded, name: &str) -> Failure {
    let names = near(name, loaded.targets.iter().map(|target| target.name.as_str()));
    let near = text.fill("fault.near-names", &[("detail", &names.join(", "))]);
    let hint = if names.is_empty() { text.get("why.place").to_owned() } else { near };
    Failure::unknown(format!("{}\n{hint}", text.fill("cli.no-target", &[("thing", name)])))
}

/// A fault in words, without what the terminal must not get.
fn words(text: &Text, fault: &Fault) -> FaultWords {
    let FaultWords { what, detail, remedy } = text.fault_once(fault);
    let clean = |words: String| sanitize::lines(&words).into_owned();
    FaultWords { what: clean(what), detail: clean(detail), remedy: clean(remedy) }
}

/// The steps in words. A symbol stands for each outcome, so that no one needs to see colors (ECMA-48, SGR).
fn lines(text: &Text, checks: &[Check], colors: bool) -> String {
    let mut all = Vec::new();
    for check in checks {
        let (sign, color) = match check.verdict {
            Verdict::Passed => ("✓", "32"),
            Verdict::Failed(_) => ("✗", "31"),
            Verdict::Unknown(_) => ("?", "33"),
        };
        let sign = if colors { format!("\x1b[{color}m{sign}\x1b[0m") } else { sign.to_owned() };
        let step = text.why_step(check);
        all.push(format!("{sign} {}", sanitize::line(&step)));
        if let Some(fault) = check.fault() {
            let FaultWords { what, detail, remedy } = words(text, fault);
            all.extend([what, detail].iter().flat_map(|words| words.lines()).map(|line| format!("    {line}")));
            all.extend(remedy.lines().map(|line| format!("    → {line}")));
        }
    }
    all.join("\n")
}

fn as_json(text: &Text, question: &Question, checks: &[Check]) -> Value {
    let steps: Vec<Value> = checks
        .iter()
        .map(|check| {
            let (state, fault) = match &check.verdict {
                Verdict::Passed => ("passed", None),
                Verdict::Failed(fault) => ("failed", Some(fault)),
                Verdict::Unknown(fault) => ("unknown", Some(fault)),
            };
            let said = fault.map(|fault| words(text, fault));
            let part = |of: fn(&FaultWords) -> &String| said.as_ref().map(of).filter(|words| !words.is_empty());
            json!({
                "step": check.step.name(),
                "state": state,
                "found": check.found,
                "milliseconds": check.took.map(|took| took.as_secs_f64() * 1_000.0),
                "fault": fault.map(|fault| fault.what),
                "what": part(|words| &words.what),
                "detail": part(|words| &words.detail),
                "remedy": part(|words| &words.remedy),
            })
        })
        .collect();
    let failed = checks.iter().any(Check::has_failed);
    json!({ "cluster": question.cluster, "namespace": question.namespace, "failed": failed, "steps": steps })
}

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::fault::What;
    use brow_model::settings::Language;
    use brow_model::workload::{Kind, Port};

    #[test]
    fn a_workload_needs_no_port() {
        let workload = |kind, name: &str, port| {
            (CheckedDestination::Workload { kind, name: name.to_owned(), port, transport: Transport::Tcp }, None)
        };
        assert_eq!(given("svc/web"), Some(workload(Kind::Service, "web", None)));
        assert_eq!(given("deploy/web:http"), Some(workload(Kind::Deployment, "web", Some(Port::Name("http".into())))));
        assert!(matches!(given("10.0.0.1:80"), Some((CheckedDestination::Address(_), None))));
        assert!(matches!(given("node/30999/udp"), Some((CheckedDestination::Node(_), None))));
        for wrong in ["web", "proxy", "svc/", "svc/Web", "a b"] {
            assert_eq!(given(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn steps_say_what_to_do_and_the_code_what_came_of_them() {
        let check = |step, verdict| Check { step, verdict, found: "web\u{1b}".to_owned(), took: None };
        let failed = || Verdict::Failed(Fault::new(What::NotReady, "deployment/web", "web-1"));
        let unknown = || Verdict::Unknown(Fault::new(What::NeedsPod, "web:80", ""));
        let checks = [
            check(Step::Exists, Verdict::Passed),
            check(Step::Endpoints, failed()),
            check(Step::Connection, unknown()),
        ];
        let text = Text::new(Language::En);
        let said = lines(&text, &checks, false);
        assert!(!said.contains('\u{1b}'), "{said}");
        let signs: Vec<&str> = said.lines().filter(|line| !line.starts_with(' ')).collect();
        assert!(signs[0].starts_with('✓') && signs[1].starts_with('✗') && signs[2].starts_with('?'), "{said}");
        assert!(
            said.contains("No pod of deployment/web is ready\n    web-1\n    → ") && said.contains("--pod"),
            "{said}"
        );
        assert_eq!(code(&checks), FAILED);
        assert_eq!(code(&checks[..1]), 0);
        assert_eq!(code(&checks[2..]), FAILED);
        assert_eq!(code(&[check(Step::Exists, failed())]), UNKNOWN);
    }
}
