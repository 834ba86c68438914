//! Dialogs: each carries its own data. The topmost one has the keys.

use std::collections::VecDeque;

use crate::language::fault::{Fault, What};
use crate::screen::browser::Browser;
use crate::screen::edit::ObjectEdit;
use crate::screen::find::Finder;
use crate::screen::form::TargetForm;
use crate::screen::kinds::KindBrowser;
use crate::screen::menu::Menu;
use crate::screen::page::ObjectPage;
use crate::screen::palette::Palette;
use crate::screen::text_field::Field;
use crate::types::agent::ApprovalRequest;
use crate::types::connection::Connection;
use crate::types::epoch::Epoch;
use crate::types::forward::{ForwardId, ForwardSpec};
use crate::types::index::ObjectRef;
use crate::types::offer::{LeftOut, Offer, OnConflict};
use crate::types::proxy::{DescriptionLine, PodKey};
use crate::types::restore::OpenForward;
use crate::types::target::Target;
use crate::types::why::{self, Check, first_fault};

/// A dialog over the panes.
#[derive(Debug, Clone)]
pub enum Dialog {
    TargetForm(Box<TargetForm>),
    /// A new name for a target.
    Rename {
        /// The name so far.
        name: String,
        /// The new one.
        field: Field,
    },
    /// A TTL for pods that are about to be created.
    AskTtl {
        targets: Vec<String>,
        /// The TTL.
        field: Field,
    },
    /// A question with buttons.
    Confirm {
        question: Question,
        /// The button that Enter presses; 0 is the harmless one.
        button: usize,
    },
    /// The keys, made from the key table.
    Help {
        /// Leaves those that match.
        filter: Field,
        /// Lines scrolled down.
        scroll: usize,
    },
    /// A pod's description.
    Describe {
        key: PodKey,
        /// The text, once it is here.
        text: Option<Result<Vec<DescriptionLine>, Fault>>,
        /// Lines scrolled down.
        scroll: usize,
    },
    /// An object's page.
    Object(Box<ObjectPage>),
    /// The steps to something that cannot be reached.
    Why(Box<StepList>),
    PodLog {
        key: PodKey,
        /// The epoch of the followed log.
        epoch: Epoch,
        /// The last lines.
        lines: VecDeque<String>,
        /// Set once it has ended, with the fault if there was one.
        ended: Option<Option<Fault>>,
        /// Lines hidden below the last one shown: 0 follows the end.
        back: usize,
    },
    /// The open connections of a forward.
    Connections(ConnectionList),
    /// The sessions in containers.
    Shells {
        /// The selected one.
        cursor: usize,
    },
    /// A text that may not have reached the clipboard.
    NotCopied {
        text: String,
        /// Lines scrolled down.
        scroll: usize,
    },
    /// A fault in full, with its remedy ready to copy.
    Fault(Fault),
    /// The services and workloads of connected clusters.
    Browser(Box<Browser>),
    /// The search.
    Find(Box<Finder>),
    /// The kinds that a cluster serves, and the objects of one.
    Kinds(Box<KindBrowser>),
    /// The edit of an object.
    Edit(Box<ObjectEdit>),
    /// The tags of targets.
    Tags {
        /// The selected one.
        cursor: usize,
    },
    /// All commands, one of which is run.
    Palette(Palette),
    /// Texts, one of which goes to the clipboard.
    Menu(Menu),
    /// The source of an import.
    Import {
        /// The context for whatever names none.
        cluster: String,
        /// A file's name, or a line.
        field: Field,
        /// A pasted text of several lines; it comes before the field.
        pasted: Option<String>,
    },
}

/// The steps to something that cannot be reached.
#[derive(Debug, Clone)]
pub struct StepList {
    /// The name of what is to be reached.
    pub thing: String,
    pub question: why::Question,
    /// The epoch of the steps.
    pub epoch: Epoch,
    /// The steps, once they have been taken.
    pub checks: Option<Vec<Check>>,
    /// Lines scrolled down.
    pub scroll: usize,
}

impl StepList {
    /// Returns true if a proxy pod could tell more.
    pub fn wants_pod(&self) -> bool {
        let needs = |check: &Check| check.fault().is_some_and(|fault| fault.what == What::NeedsPod);
        self.checks.iter().flatten().any(needs)
    }
}

/// A forward's open connections.
#[derive(Debug, Clone)]
pub struct ConnectionList {
    pub forward: ForwardId,
    /// The connections, once they are known.
    pub rows: Option<Vec<Connection>>,
    /// The selected one.
    pub cursor: usize,
}

impl ConnectionList {
    pub fn selected(&self) -> Option<&Connection> {
        self.rows.as_ref()?.get(self.cursor)
    }
}

/// The question of a confirmation. Buttons are 0 (no) and 1 (yes), unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// Delete these targets?
    DeleteTargets(Vec<String>),
    /// Kill these pods?
    KillPods(Vec<PodKey>),
    /// Kill these pods, of which some are foreign?
    KillForeign {
        pods: Vec<PodKey>,
        /// The foreign ones among them, each with whom it says it belongs to.
        foreign: Vec<String>,
    },
    /// Delete these gateways?
    DeleteGateways(Vec<String>),
    /// Delete finished and expired proxy pods of everybody?
    CleanAll {
        /// The number of pods.
        pods: usize,
    },
    /// Quit with this open? Buttons: stay, quit and leave pods to their TTL, and where there are pods, quit and delete
    /// them.
    Quit {
        /// Open forwards.
        forwards: usize,
        /// Live pods of ours.
        pods: usize,
        /// Changes of targets that could not be written to the config.
        unsaved: usize,
    },
    /// Delete this object?
    DeleteObject {
        object: Box<ObjectRef>,
        /// Only the object with this uid is deleted.
        uid: String,
        /// True if the config marks the cluster as production.
        production: bool,
    },
    /// The port is taken: take the next free one?
    OtherPort {
        spec: Box<ForwardSpec>,
        /// The free port.
        port: u16,
        /// The fault that names the holder.
        fault: Box<Fault>,
    },
    /// Take these offers over? Buttons: no; only what is new, where something is; replacing what is there, where
    /// something is.
    ImportOffers {
        /// The file, or an empty text for one that was pasted; `None`: they come from a cluster.
        from: Option<String>,
        /// The number of offers whose target exists.
        there: usize,
        offers: Vec<Offer>,
        /// Entries that cannot be taken over, with the reasons.
        left_out: Vec<LeftOut>,
    },
    /// May an agent have this? Buttons: no, once, and where it is not in production, as long as its session lasts.
    Agent(Box<ApprovalRequest>),
    /// Open these forwards of an earlier run again?
    Restore(Vec<OpenForward>),
    /// Import the older tool's targets?
    Import {
        /// The file.
        path: String,
        targets: Vec<Target>,
        /// Entries that cannot be taken over, with the reasons.
        left_out: Vec<String>,
    },
}

impl Question {
    /// The treatment of existing targets by the buttons after the first.
    pub fn conflict_options(&self) -> Vec<OnConflict> {
        let Self::ImportOffers { there, offers, .. } = self else { return Vec::new() };
        let new = (offers.len() > *there).then_some(OnConflict::Skip);
        new.into_iter().chain((*there > 0).then_some(OnConflict::Replace)).collect()
    }

    /// The number of buttons.
    pub fn buttons(&self) -> usize {
        match self {
            Self::Agent(approval) => {
                if approval.production {
                    2
                } else {
                    3
                }
            }
            Self::Quit { pods: 1.., .. } => 3,
            Self::ImportOffers { .. } => 1 + self.conflict_options().len(),
            Self::Quit { pods: 0, .. }
            | Self::DeleteTargets(_)
            | Self::KillPods(_)
            | Self::DeleteGateways(_)
            | Self::KillForeign { .. }
            | Self::CleanAll { .. }
            | Self::DeleteObject { .. }
            | Self::OtherPort { .. }
            | Self::Restore(_)
            | Self::Import { .. } => 2,
        }
    }
}

impl Dialog {
    /// The help, from its top.
    pub fn help() -> Self {
        Self::Help { filter: Field::default(), scroll: 0 }
    }

    /// The fault that it shows, ready to be copied.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault)
            | Self::Describe { text: Some(Err(fault)), .. }
            | Self::PodLog { ended: Some(Some(fault)), .. } => Some(fault),
            Self::Edit(edit) => edit.stage.fault(),
            Self::Why(steps) => first_fault(steps.checks.as_deref()?),
            Self::TargetForm(_)
            | Self::Rename { .. }
            | Self::AskTtl { .. }
            | Self::Confirm { .. }
            | Self::Help { .. }
            | Self::Describe { .. }
            | Self::Object(_)
            | Self::PodLog { .. }
            | Self::Connections(_)
            | Self::Shells { .. }
            | Self::NotCopied { .. }
            | Self::Browser(_)
            | Self::Find(_)
            | Self::Kinds(_)
            | Self::Tags { .. }
            | Self::Palette(_)
            | Self::Menu(_)
            | Self::Import { .. } => None,
        }
    }
}
