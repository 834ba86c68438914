//! `status`: how the forwards of all running instances are. No cluster is asked.

use std::process::ExitCode;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::print::{self, FAILED, UNKNOWN};
use super::{Globals, forward};
use crate::instance::{self, Census};
use brow_model::forward::ForwardState;
use brow_model::instance::{ForwardReport, RemoteState};

/// A pod that ends within this time is named.
const SOON: TimeDelta = TimeDelta::minutes(5);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one line for the bar of zellij or tmux, such as “● 3 ✗ 1 web 4m”: forwards that are live, listening (◇),
    /// waiting (◌), failed (✗), instances that do not answer (?), and the one that ends within 5 minutes
    #[arg(long, short, conflicts_with = "json")]
    short: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The forwards of all instances, counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    live: usize,
    /// Forwards that listen, and create their pod with the first connection.
    listening: usize,
    waiting: usize,
    failed: usize,
    /// Instances that do not answer.
    silent: usize,
    /// The forward that ends first, if it ends soon, and the time left.
    ends: Option<(String, TimeDelta)>,
}

/// Prints the status. The exit code is 0 if all forwards work, 1 if not, 3 if there are none.
pub(super) async fn run(globals: &Globals, args: &Args) -> ExitCode {
    let census = instance::all(&globals.runtime).await;
    let summary = Summary::of(&census);
    if args.json {
        print::json(&summary.json(&census));
    } else {
        let line = summary.line();
        if !line.is_empty() {
            print::out(&line);
        }
        if !args.short && !line.is_empty() {
            forward::list(&super::text_of(globals), &census.reports, false);
        }
    }
    ExitCode::from(summary.code())
}

impl Summary {
    fn of(census: &Census) -> Self {
        let forwards = || census.reports.iter().flat_map(|(_, report)| &report.forwards);
        let count = |state| forwards().filter(|forward| forward.state == state).count();
        let listening = forwards().filter(|forward| forward.shown() == ForwardState::Resting).count();
        let left = |forward: &ForwardReport| Some((forward.ends? - Utc::now()).max(TimeDelta::zero()));
        let ends = forwards().filter_map(|forward| Some((forward.name.clone(), left(forward)?)));
        Self {
            live: count(RemoteState::Live) - listening,
            listening,
            waiting: count(RemoteState::Waiting),
            failed: count(RemoteState::Broken),
            silent: census.silent.len(),
            ends: ends.filter(|(_, left)| *left <= SOON).min_by_key(|(_, left)| *left),
        }
    }

    /// The line for a bar; empty where there is nothing to tell. Its form is documented: scripts may read it.
    fn line(&self) -> String {
        if self.code() == UNKNOWN {
            return String::new();
        }
        let others = [("◇", self.listening), ("◌", self.waiting), ("✗", self.failed), ("?", self.silent)];
        let others = others.into_iter().filter(|(_, count)| *count > 0);
        let mut line = format!("● {}", self.live);
        line.extend(others.map(|(symbol, count)| format!(" {symbol} {count}")));
        if let Some((name, left)) = &self.ends {
            let minutes = left.num_minutes();
            let left = if minutes > 0 { format!("{minutes}m") } else { format!("{}s", left.num_seconds()) };
            line.extend([" ", name, " ", &left]);
        }
        line
    }

    fn code(&self) -> u8 {
        if self.failed + self.silent > 0 {
            FAILED
        } else if self.live + self.listening + self.waiting == 0 {
            UNKNOWN
        } else {
            0
        }
    }

    fn json(&self, census: &Census) -> Value {
        json!({
            "live": self.live,
            "listening": self.listening,
            "waiting": self.waiting,
            "failed": self.failed,
            "silent": self.silent,
            "ends": self.ends.as_ref().map(|(name, left)| json!({ "name": name, "seconds": left.num_seconds() })),
            "forwards": forward::as_json(&census.reports),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_what_is_there() {
        let soon = |seconds| Some(("web".to_owned(), TimeDelta::seconds(seconds)));
        for (summary, line, code) in [
            (Summary::default(), "", 3),
            (Summary { live: 3, ..Summary::default() }, "● 3", 0),
            (Summary { live: 1, listening: 2, ..Summary::default() }, "● 1 ◇ 2", 0),
            (Summary { waiting: 1, ..Summary::default() }, "● 0 ◌ 1", 0),
            (Summary { live: 2, failed: 1, ends: soon(299), ..Summary::default() }, "● 2 ✗ 1 web 4m", 1),
            (Summary { live: 1, silent: 1, ends: soon(59), ..Summary::default() }, "● 1 ? 1 web 59s", 1),
            (Summary { silent: 1, ..Summary::default() }, "● 0 ? 1", 1),
        ] {
            assert_eq!((summary.line().as_str(), summary.code()), (line, code), "{summary:?}");
        }
    }
}
