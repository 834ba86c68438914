//! Leaving: what is asked, and what is left behind.

use super::Model;
use super::demand::Upkeep;
use super::dialog::Question;
use super::effect::Effect;
use super::forward::{Forward, ForwardState};
use super::proxy::PodKey;
use super::settings::OnQuit;

impl Model {
    /// Live pods that this run created.
    fn our_pods(&self) -> Vec<(PodKey, String)> {
        let live = |key: &PodKey| self.pods.get(key).is_none_or(|pod| !pod.is_over(self.time_at(&key.cluster)));
        self.created.iter().filter(|(key, _)| live(key)).map(|(key, uid)| (key.clone(), uid.clone())).collect()
    }

    pub(super) fn ask_quit(&mut self, out: &mut Vec<Effect>) {
        // One that rests carries nothing, and a connection is all it takes to have it back.
        let loses = |forward: &&Forward| forward.state != ForwardState::Failed && !forward.is_resting();
        let forwards = self.forwards.values().filter(loses).count();
        let (pods, unsaved) = (self.our_pods().len() + self.requests.len(), self.unsaved.len());
        let ask = forwards > 0 || unsaved > 0 || (pods > 0 && self.settings.on_quit == OnQuit::Ask);
        if ask {
            self.ask(Question::Quit { forwards, pods, unsaved });
        } else {
            self.leave_unasked(out);
        }
    }

    /// Ends the program as the settings say, where nobody is asked.
    pub(super) fn leave_unasked(&mut self, out: &mut Vec<Effect>) {
        self.leave(self.settings.on_quit == OnQuit::Delete, out);
    }

    /// Ends the program; the pods of this run are deleted or left to their TTL.
    pub(super) fn leave(&mut self, delete_pods: bool, out: &mut Vec<Effect>) {
        self.ending_pods = delete_pods;
        // From here on it is this that says which pods go.
        *self.upkeep = Upkeep::default();
        if delete_pods {
            // One that another instance goes through is left to it.
            let ours: Vec<_> = self.our_pods().into_iter().filter(|(key, _)| !self.is_used_elsewhere(key)).collect();
            for (key, uid) in ours {
                if !self.kill(&key, out) && !self.pods.contains_key(&key) {
                    out.push(Effect::DeletePod { key, uid });
                }
            }
        }
        self.left.get_or_insert_default().extend(self.forwards.keys().map(|id| id.0));
        for id in self.forwards.keys().copied().collect::<Vec<_>>() {
            self.stop_forward(id, out);
        }
        out.push(Effect::Quit);
    }
}
