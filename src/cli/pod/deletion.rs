//! `pod delete` and `pod cleanup`: list the pods that would be deleted, and ask for consent.

use std::collections::BTreeSet;

use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use crate::cli::choose::matches;
use crate::cli::clusters::Clusters;
use crate::cli::consent;
use crate::cli::headless::{Snapshot, Step};
use crate::cli::print::{self, FAILED, Failure};
use brow_model::Model;
use brow_model::proxy::{CleanupScope, PodKey, ProxyPod};
use brow_model::request::Request;

/// The options that decide whether the user is asked.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(in crate::cli) struct Consent {
    /// Delete them without asking
    #[arg(long, short)]
    yes: bool,
    /// List what would be deleted, and delete nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

impl Consent {
    /// Returns true if no answer is needed, or if there is a terminal to ask on.
    pub(super) fn can_be_had(self) -> bool {
        self.yes || self.dry_run || consent::can_ask()
    }
}

/// The pods that are meant.
pub(super) enum Which {
    /// Those of these names or patterns.
    Named(Vec<String>),
    /// Finished and expired ones.
    Over(CleanupScope),
}

/// Pods that are to be deleted.
pub(super) struct Deletion {
    which: Which,
    consent: Consent,
    /// The user's answer, while it is waited for.
    answer: Option<Receiver<bool>>,
}

impl Deletion {
    pub(super) fn new(which: Which, consent: Consent) -> Self {
        Self { which, consent, answer: None }
    }

    /// The pods that are meant, each once.
    ///
    /// # Errors
    /// A name that means none.
    pub(super) fn find<'a>(&self, snapshot: &Snapshot<'a>, clusters: &Clusters) -> Result<Vec<&'a ProxyPod>, Failure> {
        let model = snapshot.model;
        let names = match &self.which {
            Which::Named(names) => names,
            Which::Over(whose) => {
                let over = model.clusters.all().iter().flat_map(|cluster| model.finished_pods(&cluster.name, *whose));
                let over: BTreeSet<PodKey> = over.collect();
                return Ok(clusters.pods(model).filter(|pod| over.contains(&pod.key)).collect());
            }
        };
        let mut all: Vec<&ProxyPod> = Vec::new();
        for name in names {
            let found = several(model, clusters, name);
            if found.is_empty() {
                return Err(Failure::unknown(snapshot.text.fill("cli.no-pod", &[("thing", name)])));
            }
            all.extend(
                found.into_iter().filter(|pod| !all.iter().any(|known| known.key == pod.key)).collect::<Vec<_>>(),
            );
        }
        Ok(all)
    }

    /// Returns true if clusters that cannot be asked may have more of what is meant: not where pods are named in full.
    pub(super) fn is_open(&self, found: &[&ProxyPod]) -> bool {
        match &self.which {
            Which::Named(names) => !names.iter().all(|name| found.iter().any(|pod| is_named(pod, name))),
            Which::Over(_) => true,
        }
    }

    /// Deletes the pods, says what they are, or asks. Where there may be more (`incomplete`), that is a failure.
    pub(super) fn begin(&mut self, snapshot: &Snapshot<'_>, found: &[&ProxyPod], incomplete: bool) -> Step {
        let code = if incomplete { FAILED } else { 0 };
        if found.is_empty() {
            print::err(snapshot.text.get("log.nothing-to-clean"));
            return Step::End(code);
        }
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
            return Step::End(code);
        }
        if self.consent.yes {
            return Step::Send(vec![Request::Kill(found.iter().map(|pod| pod.key.clone()).collect())]);
        }
        print::err(snapshot.text.get("cli.pods-going"));
        for line in &lines {
            print::err(line);
        }
        print::err(&snapshot.text.fill("cli.delete-pods", &[("count", &found.len().to_string())]));
        self.answer = Some(consent::answer());
        Step::Wait
    }

    /// Returns the next step while an answer is waited for; `None` if none is.
    pub(super) fn answered(&mut self, snapshot: &Snapshot<'_>, deleting: &[PodKey]) -> Option<Step> {
        match self.answer.as_mut()?.try_recv() {
            Err(TryRecvError::Empty) => Some(Step::Wait),
            Ok(true) => {
                self.answer = None;
                Some(Step::Send(vec![Request::Kill(deleting.to_vec())]))
            }
            Ok(false) | Err(TryRecvError::Closed) => {
                print::err(snapshot.text.get("cli.nothing-deleted"));
                Some(Step::End(FAILED))
            }
        }
    }
}

/// The pods that a name or pattern means; of a pattern only our own.
pub(super) fn several<'a>(model: &'a Model, clusters: &Clusters, name: &str) -> Vec<&'a ProxyPod> {
    let exact: Vec<&ProxyPod> = clusters.pods(model).filter(|pod| is_named(pod, name)).collect();
    if !exact.is_empty() {
        return exact;
    }
    clusters.pods(model).filter(|pod| model.is_ours(pod) && matches(name, &pod.key.name)).collect()
}

fn is_named(pod: &ProxyPod, name: &str) -> bool {
    pod.key.name == name || pod.key.to_string() == name
}
