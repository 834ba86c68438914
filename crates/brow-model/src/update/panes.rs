//! Commands that mean another thing in each pane.

use crate::language::effect::{Effect, PodEffect};
use crate::language::fault::{Fault, What};
use crate::language::log::{Level, Message};
use crate::screen::batch::Batch;
use crate::screen::dialog::{Dialog, Question};
use crate::state::Model;
use crate::types::epoch::Epoch;
use crate::types::forward::ForwardId;
use crate::types::proxy::PodKey;

impl Model {
    /// Shows in full what is wrong with the selected row.
    pub(crate) fn show_trouble(&mut self) {
        match self.trouble() {
            (_, Some(fault)) => self.screen.dialogs.push(Dialog::Fault(fault.clone())),
            (Some(name), None) => self.note(Level::Info, Message::NothingWrong, name, ""),
            (None, None) => self.nothing_selected(),
        }
    }

    /// Creates a pod for each chosen target.
    pub(crate) fn create_chosen(&mut self, out: &mut Vec<Effect>) {
        let targets = self.chosen_targets();
        if targets.is_empty() {
            self.nothing_selected();
        }
        self.create_pods(&targets, None, out);
    }

    /// Forwards to those of the pods that this installation made.
    pub(crate) fn forward_pods(&mut self, pods: Vec<PodKey>, out: &mut Vec<Effect>) {
        let (own, foreign) = self.by_maker(pods);
        for key in own {
            self.forward_pod(&key, out);
        }
        self.screen.pods.marks.clear();
        // Their relays know secrets of their own.
        for key in foreign {
            let owner = self.pods.all().get(&key).map(|pod| pod.owner.clone()).unwrap_or_default();
            self.fail(Fault::new(What::Relay, key.name, owner));
        }
    }

    /// Deletes the chosen pods of this installation, and asks about foreign ones and those of production.
    pub(crate) fn kill_now(&mut self, out: &mut Vec<Effect>) {
        let chosen = self.screen.pods.chosen();
        if chosen.iter().any(|key| self.is_production(&key.cluster)) {
            return self.ask_kill(chosen);
        }
        let (own, foreign) = self.by_maker(chosen);
        self.kill_all(&own, out);
        self.screen.pods.marks.clear();
        if !foreign.is_empty() {
            self.ask_kill(foreign);
        }
    }

    pub(crate) fn kill_all(&mut self, pods: &[PodKey], out: &mut Vec<Effect>) {
        let count = pods.iter().filter(|key| self.kill(key, out)).count();
        self.note_batch(Batch::Killed, count);
    }

    pub(crate) fn describe_pod(&mut self, out: &mut Vec<Effect>) {
        let Some(key) = self.screen.pods.selected().cloned() else { return self.nothing_selected() };
        out.push(Effect::Pod(PodEffect::Describe(key.clone())));
        self.screen.dialogs.push(Dialog::Describe { key, text: None, scroll: 0 });
    }

    pub(crate) fn follow_pod_log(&mut self, out: &mut Vec<Effect>) {
        let Some(key) = self.screen.pods.selected().cloned() else { return self.nothing_selected() };
        self.follow_log_of(key, out);
    }

    pub(crate) fn follow_log_of(&mut self, key: PodKey, out: &mut Vec<Effect>) {
        let epoch = Epoch(self.next_number());
        out.push(Effect::Pod(PodEffect::FollowLog { key: key.clone(), epoch }));
        let lines = std::collections::VecDeque::new();
        self.screen.dialogs.push(Dialog::PodLog { key, epoch, lines, ended: None, back: 0 });
    }

    /// Asks whether the chosen pods are to be killed.
    pub(crate) fn ask_kill_chosen(&mut self) {
        match self.screen.pods.chosen() {
            chosen if chosen.is_empty() => self.nothing_selected(),
            chosen => self.ask_kill(chosen),
        }
    }

    /// Asks whether pods are to be killed; foreign ones among them are named.
    fn ask_kill(&mut self, pods: Vec<PodKey>) {
        let (_, foreign) = self.by_maker(pods.clone());
        if foreign.is_empty() {
            return self.ask(Question::KillPods(pods));
        }
        let foreign = self.with_owners(&foreign);
        self.ask(Question::KillForeign { pods, foreign });
    }

    /// Pods that this installation made, and foreign ones.
    fn by_maker(&self, keys: Vec<PodKey>) -> (Vec<PodKey>, Vec<PodKey>) {
        keys.into_iter().partition(|key| self.pods.all().get(key).is_none_or(|pod| self.is_ours(pod)))
    }

    /// Pods with whom they say they belong to.
    fn with_owners(&self, keys: &[PodKey]) -> Vec<String> {
        let pods = keys.iter().filter_map(|key| self.pods.all().get(key));
        pods.map(|pod| format!("{} ({})", pod.key, pod.owner)).collect()
    }

    pub(crate) fn forward_pod(&mut self, key: &PodKey, out: &mut Vec<Effect>) {
        let Some(pod) = self.pods.all().get(key) else { return };
        if let Some(target) = self.target_of_pod(pod).cloned() {
            self.open_forward_via(&target, key, out);
        } else {
            let fault = Fault::new(What::TargetMissing, &pod.target, "");
            self.fail(fault);
        }
    }

    /// Does something with the forwards of what is chosen; where all are other instances', names those.
    pub(crate) fn for_own_forwards(
        &mut self,
        mut act: impl FnMut(&mut Self, ForwardId, &mut Vec<Effect>),
        out: &mut Vec<Effect>,
    ) {
        let chosen = self.chosen_forwards();
        let elsewhere = chosen.iter().all(|id| self.instances.forwards().contains_key(id));
        for id in chosen {
            if elsewhere { self.report_owner(id) } else { act(self, id, out) }
        }
    }
}
