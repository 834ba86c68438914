//! `pod delete`: lists the pods that would be deleted, and asks for consent.

use std::io::{IsTerminal as _, stderr, stdin};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use crate::cli::choose::matches;
use crate::cli::headless::{Snapshot, Step};
use crate::cli::print::{self, FAILED, Failure};
use brow_model::Model;
use brow_model::proxy::{PodKey, ProxyPod};
use brow_model::request::Request;

/// The options that decide whether the user is asked.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(in crate::cli) struct Consent {
    /// Delete them without asking
    #[arg(long, short)]
    yes: bool,
    /// Only say which ones would be deleted
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

impl Consent {
    /// Returns true if no answer is needed, or if there is a terminal to ask on.
    pub(super) fn can_be_had(self) -> bool {
        self.yes || self.dry_run || (stdin().is_terminal() && stderr().is_terminal())
    }
}

/// Pods that are to be deleted.
pub(super) struct Deletion {
    names: Vec<String>,
    consent: Consent,
    /// The user's answer, while it is waited for.
    answer: Option<Receiver<bool>>,
}

impl Deletion {
    pub(super) fn new(names: Vec<String>, consent: Consent) -> Self {
        Self { names, consent, answer: None }
    }

    /// The pods that the names mean, each once.
    ///
    /// # Errors
    /// A name that means none.
    pub(super) fn find<'a>(&self, snapshot: &Snapshot<'a>) -> Result<Vec<&'a ProxyPod>, Failure> {
        let mut all: Vec<&ProxyPod> = Vec::new();
        for name in &self.names {
            let found = several(snapshot.model, name);
            if found.is_empty() {
                return Err(Failure::unknown(snapshot.text.fill("cli.no-pod", &[("thing", name)])));
            }
            all.extend(
                found.into_iter().filter(|pod| !all.iter().any(|known| known.key == pod.key)).collect::<Vec<_>>(),
            );
        }
        Ok(all)
    }

    /// Deletes the pods, says what they are, or asks.
    pub(super) fn begin(&mut self, snapshot: &Snapshot<'_>, found: &[&ProxyPod]) -> Step {
        let line = |pod: &&ProxyPod| {
            let thing = pod.key.to_string();
            if snapshot.model.is_ours(pod) {
                return thing;
            }
            snapshot.text.fill("cli.foreign-pod", &[("thing", &thing), ("owner", &pod.owner)])
        };
        let lines: Vec<String> = found.iter().map(line).collect();
        if self.consent.dry_run {
            for line in &lines {
                print::out(&snapshot.text.fill("cli.would-delete", &[("thing", line)]));
            }
            return Step::End(0);
        }
        if self.consent.yes {
            return Step::Send(vec![Request::Kill(found.iter().map(|pod| pod.key.clone()).collect())]);
        }
        print::err(snapshot.text.get("cli.pods-going"));
        for line in &lines {
            print::err(line);
        }
        print::err(&snapshot.text.fill("cli.delete-pods", &[("count", &found.len().to_string())]));
        let (sender, answer) = channel();
        // A thread that the program's end does not wait for, as it would for a task: Ctrl-C is an answer, too.
        thread::spawn(move || {
            let mut said = String::new();
            let yes = stdin().read_line(&mut said).is_ok() && matches!(said.trim(), "y" | "Y" | "yes");
            // Whoever has ended does not want to know.
            _ = sender.send(yes);
        });
        self.answer = Some(answer);
        Step::Wait
    }

    /// Returns the next step while an answer is waited for; `None` if none is.
    pub(super) fn answered(&mut self, snapshot: &Snapshot<'_>, deleting: &[PodKey]) -> Option<Step> {
        match self.answer.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => Some(Step::Wait),
            Ok(true) => {
                self.answer = None;
                Some(Step::Send(vec![Request::Kill(deleting.to_vec())]))
            }
            Ok(false) | Err(TryRecvError::Disconnected) => {
                print::err(snapshot.text.get("cli.nothing-deleted"));
                Some(Step::End(FAILED))
            }
        }
    }
}

/// The pods that a name or pattern means; of a pattern only our own.
pub(super) fn several<'a>(model: &'a Model, name: &str) -> Vec<&'a ProxyPod> {
    let pods = || model.pods.all().values().filter(|pod| !model.is_duplicate(pod));
    let named = |pod: &&ProxyPod| pod.key.name == name || pod.key.to_string() == name;
    let exact: Vec<&ProxyPod> = pods().filter(named).collect();
    if !exact.is_empty() {
        return exact;
    }
    pods().filter(|pod| model.is_ours(pod) && matches(name, &pod.key.name)).collect()
}
