//! The results of checks.

use brow_model::fault::Fault;

/// The subject of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    Kubeconfig,
    /// One cluster; the finding's thing is its context.
    Cluster,
    /// Our own files.
    Config,
    Terminal,
}

/// The result of a check, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Good,
    /// Not known, or as good as it can be here: nothing needs doing.
    Note,
    /// Works, but something is worth doing.
    Warning,
    /// Does not work.
    Failed,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The subject.
    pub area: Area,
    /// The context, if the finding is about a cluster.
    pub thing: String,
    /// The name of the check in JSON.
    pub check: &'static str,
    /// The result.
    pub state: State,
    pub message: Message,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Words of the text tables with what is filled in, and what to do, where something is to be done.
    Words {
        key: &'static str,
        /// Placeholders and what they stand for.
        with: Vec<(&'static str, String)>,
        /// The key of what to do.
        remedy: Option<&'static str>,
    },
    /// A fault, which has its own remedy.
    Fault(Box<Fault>),
}

impl Finding {
    pub(super) fn new(
        area: Area,
        check: &'static str,
        state: State,
        key: &'static str,
        with: &[(&'static str, &str)],
    ) -> Self {
        let with = with.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { area, thing: String::new(), check, state, message: Message::Words { key, with, remedy: None } }
    }

    pub(super) fn fault(area: Area, check: &'static str, state: State, fault: Fault) -> Self {
        Self { area, thing: String::new(), check, state, message: Message::Fault(Box::new(fault)) }
    }

    pub(super) fn on(self, thing: &str) -> Self {
        Self { thing: thing.to_owned(), ..self }
    }

    pub(super) fn remedy(self, remedy: &'static str) -> Self {
        let message = match self.message {
            Message::Words { key, with, .. } => Message::Words { key, with, remedy: Some(remedy) },
            fault @ Message::Fault(_) => fault,
        };
        Self { message, ..self }
    }
}
