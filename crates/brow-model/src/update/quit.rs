//! Quitting: the question, and the pods that remain.

use crate::language::effect::{Effect, PodEffect, TerminalEffect};
use crate::screen::dialog::Question;
use crate::state::Model;
use crate::types::forward::Forward;
use crate::types::proxy::RemainingPod;
use crate::types::proxy::{PodKey, ProxyPod};
use crate::types::settings::OnQuit;
use crate::types::ttl::Ttl;

impl Model {
    /// Live pods that this run created.
    fn pods_of_this_run(&self) -> Vec<(PodKey, String)> {
        let live = |key: &PodKey| self.pods.all().get(key).is_none_or(|pod| !pod.is_over(self.time_at(&key.cluster)));
        self.pods.created().iter().filter(|(key, _)| live(key)).map(|(key, uid)| (key.clone(), uid.clone())).collect()
    }

    pub(crate) fn ask_quit(&mut self, out: &mut Vec<Effect>) {
        // One that rests carries nothing, and a connection is all it takes to have it back.
        let loses = |forward: &&Forward| !forward.has_failed() && !forward.is_resting();
        let forwards = self.forwards.all().values().filter(loses).count();
        // Those of the practice cluster end with it.
        let pods = if self.practice { 0 } else { self.pods_of_this_run().len() + self.pods.requests().len() };
        let unsaved = self.targets.unsaved().len();
        let ask = forwards > 0 || unsaved > 0 || (pods > 0 && self.config.settings().on_quit == OnQuit::Ask);
        if ask {
            self.ask(Question::Quit { forwards, pods, unsaved });
        } else {
            self.quit_unasked(out);
        }
    }

    /// Ends the program as the settings say, where nobody is asked.
    pub(crate) fn quit_unasked(&mut self, out: &mut Vec<Effect>) {
        self.quit(self.config.settings().on_quit == OnQuit::Delete, out);
    }

    /// Ends the program; the pods of this run are deleted or left to their TTL.
    pub(crate) fn quit(&mut self, delete_pods: bool, out: &mut Vec<Effect>) {
        // Whatever becomes of those that are being made, the next run looks there.
        let asked: Vec<(String, Ttl)> =
            self.pods.requests().values().map(|asked| (asked.cluster.clone(), asked.ttl)).collect();
        for (cluster, ttl) in asked {
            self.record_pods_until(&cluster, ttl, out);
        }
        self.pods.end(delete_pods);
        if delete_pods {
            // One that another instance goes through is left to it.
            let ours: Vec<_> =
                self.pods_of_this_run().into_iter().filter(|(key, _)| !self.is_used_elsewhere(key)).collect();
            for (key, uid) in ours {
                if !self.kill(&key, out) && !self.pods.all().contains_key(&key) {
                    out.push(Effect::Pod(PodEffect::Delete { key, uid }));
                }
            }
        }
        self.forwards.end();
        for id in self.forwards.ids(|_| true) {
            self.stop_forward(id, out);
        }
        out.push(Effect::Terminal(TerminalEffect::Quit));
    }

    /// The pods that were to go with the program and have not, as far as is known.
    pub fn remaining_pods(&self) -> Vec<RemainingPod> {
        if !self.pods.is_ending() {
            return Vec::new();
        }
        let made = self.pods_of_this_run().into_iter().map(|(key, _)| {
            let pod = self.pods.all().get(&key);
            let skew = self.time_at(&key.cluster) - self.now;
            RemainingPod {
                thing: key.to_string(),
                is_made: true,
                until: pod.and_then(ProxyPod::deadline).map(|deadline| deadline - skew),
                ttl: pod.and_then(|pod| pod.ttl).unwrap_or(self.config.settings().max_ttl),
            }
        });
        made.chain(self.pods.possible(self.now).map(RemainingPod::of)).collect()
    }
}
