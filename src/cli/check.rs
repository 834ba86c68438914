//! `check`: its findings as lines for a person or as JSON.

use std::io::{IsTerminal as _, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap_complete::ArgValueCandidates;
use serde_json::{Value, json};

use super::print::{self, FAILED, Failure};
use super::{Globals, complete};
use crate::app::TerminalInfo;
use crate::check::{self, Area, Finding, Message, Scope, State};
use crate::store::{self, Paths};
use crate::text::Text;
use brow_model::fault::{Fault, Grant, Remedy};
use brow_model::sanitize;

#[derive(Debug, Clone, Default, Args)]
pub(super) struct Options {
    /// Check only this context; may be given several times. Default: the current one, those of saved targets, and those
    /// in which an earlier run may have left pods
    #[arg(
        long = "context",
        alias = "cluster",
        value_name = "CONTEXT",
        add = ArgValueCandidates::new(complete::contexts)
    )]
    contexts: Vec<String>,
    /// Check all contexts
    #[arg(long, conflicts_with = "contexts")]
    all: bool,
    /// Create a proxy pod briefly in each cluster, to test image and tunnel
    #[arg(long)]
    deep: bool,
    /// Print JSON, with the Role for each missing right
    #[arg(long)]
    json: bool,
}

/// The same as options without a command, as earlier versions have it.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Alias {
    #[arg(long, hide = true)]
    check: bool,
    #[arg(long = "context", value_name = "CONTEXT", requires = "check", hide = true)]
    contexts: Vec<String>,
    #[arg(long, requires = "check", hide = true)]
    deep: bool,
    #[arg(long, requires = "check", hide = true)]
    json: bool,
}

impl Alias {
    /// Returns the options, if checks were asked for.
    pub(super) fn options(self) -> Option<Options> {
        let Self { check, contexts, deep, json } = self;
        check.then_some(Options { contexts, all: false, deep, json })
    }
}

/// Checks, and says what was found.
pub(super) async fn run(globals: Globals, options: Options) -> ExitCode {
    let mut text = super::text();
    let (kubeconfig, paths) = (globals.kubeconfig, globals.paths);
    let loaded = store::load(&paths);
    if let Ok(Some(language)) = loaded.as_ref().map(|loaded| loaded.settings.language) {
        text = Text::new(language);
    }
    let Options { contexts, all, deep, json } = options;
    let scope = Scope { kubeconfig, contexts, all, deep };
    match check::run(&scope, &paths, loaded, &around()).await {
        Ok(findings) => {
            if json {
                print::json(&as_json(&text, &findings));
            } else {
                let plain = !stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
                // A pipe gets each finding in one line.
                let size = stdout().is_terminal().then(crossterm::terminal::size).and_then(Result::ok);
                let room = size.map_or(usize::MAX, |(columns, _)| usize::from(columns).max(MIN_WIDTH));
                print::colored(&lines(&text, &findings, !plain, room));
            }
            if is_well(&findings) { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
        }
        Err(fault) => Failure::unknown(text.fault_once(&fault).in_full()).print(),
    }
}

/// Returns the findings as JSON.
///
/// # Errors
/// As [`check::run`].
pub(super) async fn as_value(kubeconfig: Option<PathBuf>, paths: &Paths, text: &Text) -> Result<Value, Fault> {
    let scope = Scope { kubeconfig, ..Scope::default() };
    let findings = check::run(&scope, paths, store::load(paths), &around()).await?;
    Ok(as_json(text, &findings))
}

fn is_well(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.state < State::Failed)
}

fn around() -> check::Environment {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let TerminalInfo { colors, clipboard, .. } = super::surroundings();
    check::Environment {
        encoding: ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default(),
        colors,
        clipboard,
        terminal: stdin().is_terminal() && stdout().is_terminal(),
    }
}

/// A finding in words: what, the words of whoever refused, what to do. The latter may be empty.
fn words(text: &Text, finding: &Finding) -> [String; 3] {
    match &finding.message {
        Message::Fault(fault) => {
            let words = text.fault_once(fault);
            let remedy = grant(finding).map_or(words.remedy, |grant| {
                let namespace = grant.namespace.as_deref().unwrap_or_default();
                let with = [("verb", grant.verb.as_str()), ("resource", &grant.resource), ("namespace", namespace)];
                text.fill("check.ask-right", &with)
            });
            [words.what, words.detail, remedy]
        }
        Message::Words { key, with, remedy } => {
            let with: Vec<(&str, &str)> = with.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let remedy = remedy.map(|key| text.get(key).to_owned()).unwrap_or_default();
            [text.fill(key, &with), String::new(), remedy]
        }
    }
    .map(|words| sanitize::lines(&words).into_owned())
}

/// The right that is missing, where that is what a finding is about.
fn grant(finding: &Finding) -> Option<&Grant> {
    match &finding.message {
        Message::Fault(fault) => match &fault.remedy {
            Remedy::Grant(grant) => Some(grant),
            Remedy::Retrying | Remedy::OtherPort(_) | Remedy::Login(_) | Remedy::ByKind => None,
        },
        Message::Words { .. } => None,
    }
}

/// Narrower than this nothing is broken into lines: it would be words under words.
const MIN_WIDTH: usize = 30;

/// A symbol for each state, so that no one needs to see colors, and its color (ECMA-48, SGR).
fn symbol(state: State) -> (&'static str, &'static str) {
    match state {
        State::Good => ("✓", "32"),
        State::Note => ("·", "2"),
        State::Warning => ("!", "33"),
        State::Failed => ("✗", "31"),
    }
}

/// The findings in words, in lines of so many columns.
fn lines(text: &Text, findings: &[Finding], colors: bool, room: usize) -> String {
    let paint =
        |words: &str, color: &str| if colors { format!("\x1b[{color}m{words}\x1b[0m") } else { words.to_owned() };
    let mut all = String::new();
    let mut section: Option<(Area, &str)> = None;
    for finding in findings {
        if section != Some((finding.area, finding.thing.as_str())) {
            section = Some((finding.area, finding.thing.as_str()));
            let (key, _) = area(finding.area);
            let title = text.fill(key, &[("thing", &sanitize::line(&finding.thing))]);
            let apart = if all.is_empty() { "" } else { "\n" };
            all.extend([apart, &paint(&title, "1"), "\n"]);
        }
        let (sign, color) = symbol(finding.state);
        let [what, detail, remedy] = words(text, finding);
        let fold = |words: &str, indent: usize| {
            print::fold(words, room.saturating_sub(indent)).join(&format!("\n{}", " ".repeat(indent)))
        };
        all.extend(["  ", &paint(sign, color), " ", &fold(&what, 4), "\n"]);
        let below = detail.lines().map(|line| format!("    {}\n", fold(line, 4)));
        all.extend(below.chain(remedy.lines().map(|line| format!("    → {}\n", fold(line, 6)))));
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (failed, warned) = (count(State::Failed), count(State::Warning));
    let sum = match (failed, warned) {
        (0, 0) => text.get("check.well").to_owned(),
        (0, _) => text.fill("check.warned", &[("count", &warned.to_string())]),
        (_, _) => text.fill("check.failed", &[("count", &failed.to_string())]),
    };
    all + "\n" + &sum
}

/// The name of an area, for people and in JSON.
fn area(area: Area) -> (&'static str, &'static str) {
    match area {
        Area::Kubeconfig => ("check.area-kubeconfig", "kubeconfig"),
        Area::Cluster => ("check.area-cluster", "cluster"),
        Area::Config => ("check.area-config", "config"),
        Area::Terminal => ("check.area-terminal", "terminal"),
    }
}

fn as_json(text: &Text, findings: &[Finding]) -> Value {
    let one = |finding: &Finding| {
        let [message, detail, remedy] = words(text, finding);
        let some = |words: String| (!words.is_empty()).then_some(words);
        let fault = match &finding.message {
            Message::Fault(fault) => Some(fault.what),
            Message::Words { .. } => None,
        };
        json!({
            "area": area(finding.area).1,
            "context": (finding.area == Area::Cluster).then_some(&finding.thing),
            "check": finding.check,
            "state": match finding.state {
                State::Good => "good",
                State::Note => "note",
                State::Warning => "warning",
                State::Failed => "failed",
            },
            "fault": fault,
            "says": message,
            "detail": some(detail),
            "remedy": some(remedy),
            "role": grant(finding).map(|grant| text.role(grant, "")),
        })
    };
    json!({ "well": is_well(findings), "findings": findings.iter().map(one).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::fault::What;
    use brow_model::settings::Language;

    fn finding(area: Area, thing: &str, state: State, message: Message) -> Finding {
        Finding { area, thing: thing.to_owned(), check: "x", state, message }
    }

    #[test]
    fn findings_stand_under_their_heads_with_what_to_do() {
        let good = Message::Words { key: "check.clock", with: Vec::new(), remedy: None };
        let fault = Fault::new(What::Unreachable, "prod\u{1b}[31m", "refused");
        let findings = [
            finding(Area::Cluster, "dev", State::Good, good.clone()),
            finding(Area::Cluster, "prod", State::Failed, Message::Fault(Box::new(fault))),
        ];
        let text = Text::new(Language::En);
        let shown = lines(&text, &findings, false, usize::MAX);
        let begins = "Cluster dev\n  ✓ clock in sync\n\nCluster prod\n  ✗ prod cannot be reached\n    \
                      refused\n    → Check the VPN";
        assert!(shown.starts_with(begins), "{shown}");
        assert!(shown.ends_with("1 error"), "{shown}");
        assert!(lines(&text, &findings, true, usize::MAX).contains("\x1b[31m✗\x1b[0m"));
        let json = as_json(&text, &findings);
        assert_eq!(json["well"], false);
        assert_eq!(json["findings"][0]["state"], "good");
        assert_eq!(json["findings"][1]["fault"], "unreachable");
        assert_eq!(json["findings"][1]["context"], "prod");
        let well = lines(&text, &findings[..1], false, usize::MAX);
        assert!(well.ends_with("OK"), "{well}");
        let narrow = lines(&text, &findings[..1], false, 14);
        assert!(narrow.contains("\n  ✓ clock in\n    sync\n"), "{narrow}");
    }
}
