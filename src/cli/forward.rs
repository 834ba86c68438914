//! `forward`: the forwards of every running instance, listed and stopped; new ones in the background.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use clap_complete::ArgValueCandidates;
use serde_json::{Value, json};

use super::choose::matches;
use super::connect::{self, ConnectOptions};
use super::print::{self, FAILED, Failure};
use super::{Globals, complete};
use crate::instance::{self, Census};
use crate::text::Text;
use brow_model::fault::without_logins;
use brow_model::instance::{ForwardReport, Report, StateDetail};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start forwards that stay when the terminal closes: connect --detach
    Start {
        #[command(flatten)]
        how: ConnectOptions,
    },
    /// List the forwards of all running instances
    #[command(visible_alias = "ls")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop forwards of any running instance
    Stop {
        /// Names of targets, or patterns with * and ? (in quotes), or local addresses or ports
        #[arg(value_name = "NAME", required_unless_present = "all", add = ArgValueCandidates::new(complete::forwards))]
        names: Vec<String>,
        /// All of them
        #[arg(long, conflicts_with = "names")]
        all: bool,
    },
}

pub(super) async fn run(globals: Globals, command: Command) -> ExitCode {
    let text = super::text_of(&globals);
    if globals.practice {
        return Failure::usage(text.get("cli.practice-ends")).print();
    }
    match command {
        Command::Start { how } => Box::pin(connect::run(globals, connect::Args::detached(how))).await,
        Command::List { json } => {
            let census = instance::all(&globals.runtime).await;
            list(&text, &census.reports, json);
            ExitCode::from(tell_silent(&text, &census))
        }
        Command::Stop { names, all } => stop(&text, &globals.runtime, &names, all).await,
    }
}

/// The forwards of instances, each with its instance's name and report, in the order of their addresses.
fn forwards(instances: &[(String, Report)]) -> Vec<(&str, &Report, &ForwardReport)> {
    let mut all: Vec<(&str, &Report, &ForwardReport)> = Vec::new();
    for (name, report) in instances {
        all.extend(report.forwards.iter().map(|forward| (name.as_str(), report, forward)));
    }
    all.sort_by(|(_, _, a), (_, _, b)| (&a.name, &a.local).cmp(&(&b.name, &b.local)));
    all
}

/// Says which instances do not answer; the exit code by that.
fn tell_silent(text: &Text, census: &Census) -> u8 {
    for fault in &census.silent {
        print::err(&text.fault(fault).in_full());
    }
    if census.silent.is_empty() { 0 } else { FAILED }
}

/// Returns the forwards of instances as JSON.
pub(super) fn as_json(instances: &[(String, Report)]) -> Value {
    let row = |(_, report, forward): (&str, &Report, &ForwardReport)| {
        json!({
            "name": forward.name,
            "address": forward.local,
            "socket": forward.socket,
            "cluster": forward.cluster,
            "namespace": forward.namespace,
            "state": match forward.detail {
                Some(detail) if detail != StateDetail::Unknown => json!(detail),
                Some(_) | None => json!(forward.state),
            },
            "pod": forward.pod,
            "pid": report.pid,
            "by": report.role,
        })
    };
    forwards(instances).into_iter().map(row).collect()
}

pub(super) fn list(text: &Text, instances: &[(String, Report)], json: bool) {
    if json {
        return print::json(&as_json(instances));
    }
    let all = forwards(instances);
    let heads =
        ["column.local", "column.target", "column.state", "column.place", "column.instance"].map(|key| text.get(key));
    let row = |(_, report, forward): &(&str, &Report, &ForwardReport)| {
        vec![
            forward.local.clone(),
            forward.name.clone(),
            text.reported_state(forward).to_owned(),
            format!("{}/{}", forward.cluster, forward.namespace),
            text.instance(report.role, report.pid),
        ]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    print::out(&print::table(&heads, &rows));
}

async fn stop(text: &Text, dir: &Path, names: &[String], every: bool) -> ExitCode {
    let census = instance::all(dir).await;
    let all = forwards(&census.reports);
    let mut code = tell_silent(text, &census);
    let port = |forward: &ForwardReport| forward.local.rsplit(':').next().unwrap_or_default().to_owned();
    let meant = |name: &str, forward: &ForwardReport| {
        matches(name, &forward.name) || forward.local == name || port(forward) == name
    };
    if let Some(name) = names.iter().find(|name| !all.iter().any(|(_, _, forward)| meant(name, forward))) {
        let unknown = Failure::unknown(text.fill("cli.no-forward", &[("thing", &without_logins(name))]));
        // Where not all could be asked, nobody knows that there is none.
        return if code == 0 { unknown } else { Failure { code, ..unknown } }.print();
    }
    for (instance, _, forward) in all {
        if !every && !names.iter().any(|name| meant(name, forward)) {
            continue;
        }
        match instance::stop(dir, instance, forward.id).await {
            Ok(()) => {
                let parts = [("thing", forward.name.as_str()), ("detail", &forward.local)];
                print::out(&text.fill("cli.forward-stopped", &parts));
            }
            Err(fault) => {
                print::fault(text, &fault);
                code = FAILED;
            }
        }
    }
    ExitCode::from(code)
}
