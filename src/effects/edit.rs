//! The editing of objects: their texts are opened, tried and applied.

use std::path::Path;

use super::{Effects, internal};
use crate::edit;
use brow_model::edit::{Draft, EditSubject, Proposal};
use brow_model::effect::EditEffect;
use brow_model::epoch::Epoch;
use brow_model::event::{EditEvent, Event, StoreEvent};
use brow_model::index::ObjectRef;
use kube_tunnel::contain::contain;

impl Effects {
    /// Carries out an order about an object that a person edits.
    pub(super) fn on_edit(&mut self, effect: EditEffect) {
        match effect {
            EditEffect::Open { subject, epoch } => self.open_text(subject, epoch),
            EditEffect::Try { draft, epoch } => self.try_text(*draft, epoch),
            EditEffect::Apply { proposal, epoch } => self.apply_text(proposal, epoch),
            EditEffect::Discard { path } => self.discard_text(&path),
            EditEffect::Delete { object, uid } => self.delete_object(object, uid),
        }
    }

    fn open_text(&mut self, subject: EditSubject, epoch: Epoch) {
        let (clusters, events, state_dir) = (self.clusters.clone(), self.events.clone(), self.paths.state_dir.clone());
        self.spawn(async move {
            let opening = contain(edit::open(&clusters, &subject, &state_dir)).await;
            let result = opening.unwrap_or_else(|words| Err(internal(&subject.object().cluster, words)));
            events.send(Event::Edit { epoch, event: EditEvent::Opened(result.map(Box::new)) }).await;
        });
    }

    fn try_text(&mut self, draft: Draft, epoch: Epoch) {
        let (clusters, events) = (self.clusters.clone(), self.events.clone());
        self.spawn(async move {
            let trying = contain(edit::try_text(&clusters, draft.clone())).await;
            let (draft, result) = trying.unwrap_or_else(|words| {
                let fault = internal(&draft.object.cluster, words);
                (draft, Err(fault))
            });
            events.send(Event::Edit { epoch, event: EditEvent::Tried { draft: Box::new(draft), result } }).await;
        });
    }

    /// Applies what was tried, even while the program ends.
    fn apply_text(&mut self, proposal: Box<Proposal>, epoch: Epoch) {
        let (clusters, events) = (self.clusters.clone(), self.events.clone());
        self.orders.spawn(async move {
            let applying = contain(edit::apply(&clusters, &proposal)).await;
            let result = applying.unwrap_or_else(|words| Err(internal(&proposal.draft.object.cluster, words)));
            events.send(Event::Edit { epoch, event: EditEvent::Applied(result) }).await;
        });
    }

    fn discard_text(&mut self, path: &str) {
        if let Err(fault) = edit::discard(Path::new(path)) {
            let events = self.events.clone();
            self.spawn(async move {
                events.send(Event::Store(StoreEvent::Trouble(fault))).await;
            });
        }
    }

    fn delete_object(&mut self, object: ObjectRef, uid: String) {
        let (clusters, events) = (self.clusters.clone(), self.events.clone());
        self.orders.spawn(async move {
            let deleting = contain(edit::delete(&clusters, &object, &uid)).await;
            let result = deleting.unwrap_or_else(|words| Err(internal(&object.cluster, words)));
            events.send(Event::ObjectDeleted { object, result }).await;
        });
    }
}
