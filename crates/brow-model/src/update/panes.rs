//! What the commands do that mean another thing in each pane.

use crate::language::action::Command;
use crate::language::effect::Effect;
use crate::language::fault::{Fault, What};
use crate::language::log::{Grade, Happening};
use crate::screen::dialog::{Dialog, Question};
use crate::screen::focus::Pane;
use crate::state::Model;
use crate::types::epoch::Epoch;
use crate::types::forward::ForwardId;
use crate::types::proxy::PodKey;

impl Model {
    pub(crate) fn on_clusters_pane(&mut self, command: Command, out: &mut Vec<Effect>) -> bool {
        let chosen = self.screen.clusters.chosen();
        match command {
            Command::ConnectCluster | Command::Accept | Command::Restart => {
                for name in chosen {
                    self.connect(&name, out);
                }
            }
            Command::DisconnectCluster => {
                for name in chosen {
                    self.let_go(&name, out);
                }
            }
            Command::Describe | Command::Copy => {
                let fault = self.screen.clusters.selected().and_then(|name| self.cluster(name)?.fault.clone());
                match (fault, command) {
                    (Some(fault), Command::Copy) => out.push(Effect::CopyFault(Box::new(fault))),
                    (fault, _) => self.show_fault(fault, self.screen.clusters.selected().cloned()),
                }
            }
            _ => return false,
        }
        true
    }

    pub(crate) fn on_targets_pane(&mut self, command: Command, out: &mut Vec<Effect>) -> bool {
        match command {
            Command::Create => {
                let targets = self.chosen_targets();
                if targets.is_empty() {
                    self.nothing_selected();
                }
                self.create_pods(&targets, None, out);
            }
            Command::CreateWithTtl => self.ask_ttl(),
            Command::Forward | Command::Connect | Command::Accept => {
                if self.screen.targets.selected().is_none() {
                    self.nothing_selected();
                }
                self.forward_targets(out);
            }
            Command::OnDemand => self.toggle_demand(out),
            Command::Edit => self.edit_target(false),
            Command::Duplicate => self.edit_target(true),
            Command::Rename => self.rename_target(),
            Command::Delete => self.ask_delete(),
            Command::Copy => self.copy_locals(out),
            Command::Strings => self.offer_strings(),
            Command::Export => self.offer_export(),
            Command::Describe => {
                let target = self.screen.targets.selected().and_then(|name| self.target(name));
                let fault = target.and_then(|target| self.fault_of_target(target)).cloned();
                self.show_fault(fault, target.map(|target| target.name.clone()));
            }
            _ => return false,
        }
        true
    }

    pub(crate) fn on_pods_pane(&mut self, command: Command, out: &mut Vec<Effect>) -> bool {
        let chosen = self.screen.pods.chosen();
        let selected = self.screen.pods.selected().cloned();
        match command {
            Command::Forward | Command::Connect | Command::Accept => {
                let (own, foreign) = self.by_maker(chosen);
                for key in own {
                    self.forward_pod(&key, out);
                }
                self.screen.pods.marks.clear();
                // Their relays know secrets of their own.
                for key in foreign {
                    let owner = self.pods.all.get(&key).map(|pod| pod.owner.clone()).unwrap_or_default();
                    self.fail(Fault::new(What::Relay, key.name, owner));
                }
            }
            Command::Renew => self.renew_pods(&chosen, out),
            Command::Kill if !chosen.is_empty() => self.ask_kill(chosen),
            Command::KillNow => {
                let (own, foreign) = self.by_maker(chosen);
                for key in own {
                    self.kill(&key, out);
                }
                self.screen.pods.marks.clear();
                if !foreign.is_empty() {
                    self.ask_kill(foreign);
                }
            }
            Command::Describe => match selected {
                Some(key) => {
                    out.push(Effect::Describe(key.clone()));
                    self.screen.dialogs.push(Dialog::Describe { key, text: None, scroll: 0 });
                }
                None => self.nothing_selected(),
            },
            Command::PodLog => match selected {
                Some(key) => {
                    let epoch = Epoch(self.count());
                    out.push(Effect::FollowLog { key: key.clone(), epoch });
                    let lines = std::collections::VecDeque::new();
                    self.screen.dialogs.push(Dialog::PodLog { key, epoch, lines, ended: None, back: 0 });
                }
                None => self.nothing_selected(),
            },
            Command::Kill => self.nothing_selected(),
            _ => return false,
        }
        true
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
        keys.into_iter().partition(|key| self.pods.all.get(key).is_none_or(|pod| self.is_ours(pod)))
    }

    /// Pods with whom they say they belong to.
    fn with_owners(&self, keys: &[PodKey]) -> Vec<String> {
        let pods = keys.iter().filter_map(|key| self.pods.all.get(key));
        pods.map(|pod| format!("{} ({})", pod.key, pod.owner)).collect()
    }

    pub(crate) fn forward_pod(&mut self, key: &PodKey, out: &mut Vec<Effect>) {
        let Some(pod) = self.pods.all.get(key) else {
            return;
        };
        if let Some(target) = self.target_of_pod(pod).cloned() {
            self.open_forward_via(&target, key, out);
        } else {
            let fault = Fault::new(What::TargetMissing, &pod.target, "");
            self.fail(fault);
        }
    }

    pub(crate) fn on_forwards_pane(&mut self, command: Command, out: &mut Vec<Effect>) -> bool {
        let chosen = self.screen.forwards.chosen();
        match command {
            Command::Stop => {
                for id in chosen {
                    self.stop_forward(id, out);
                    self.stop_elsewhere(id, out);
                }
            }
            Command::NextPod | Command::Restart if chosen.iter().all(|id| self.instances.forwards.contains_key(id)) => {
                for id in chosen {
                    self.tell_whose(id);
                }
            }
            Command::NextPod => {
                for id in chosen {
                    self.next_backend(id, out);
                }
            }
            Command::Restart => {
                for id in chosen {
                    self.restart_forward(id, None, out);
                }
            }
            Command::Copy => self.copy_locals(out),
            Command::Strings => self.offer_strings(),
            Command::Describe | Command::Accept => {
                let forward = self.screen.forwards.selected().and_then(|id| self.forwards.all.get(id));
                let name = forward.map(|forward| forward.spec.target.clone());
                self.show_fault(forward.and_then(|forward| self.trouble_of(forward).cloned()), name);
            }
            _ => return false,
        }
        true
    }

    /// Shows in full what is wrong with the selected row, which is called `name`.
    fn show_fault(&mut self, fault: Option<Fault>, name: Option<String>) {
        match (fault, name) {
            (Some(fault), _) => self.screen.dialogs.push(Dialog::Fault(fault)),
            (None, Some(name)) => self.note(Grade::Info, Happening::NothingWrong, name, ""),
            (None, None) => self.nothing_selected(),
        }
    }

    /// Copies the local addresses of the chosen forwards (or of the chosen targets' forwards), a line each.
    fn copy_locals(&mut self, out: &mut Vec<Effect>) {
        let ids: Vec<ForwardId> = match self.screen.focus.pane {
            Pane::Targets => {
                let names = self.screen.targets.chosen();
                let of = |name: &String| self.forwards_of(name).map(|forward| forward.spec.id).collect::<Vec<_>>();
                names.iter().flat_map(of).collect()
            }
            Pane::Clusters | Pane::Pods | Pane::Forwards => self.screen.forwards.chosen(),
        };
        let local = |id: &ForwardId| {
            let own = self.forwards.all.get(id).map(crate::types::forward::Forward::local);
            own.or_else(|| self.instances.forwards.get(id).map(|other| other.forward.local.clone()))
        };
        let locals: Vec<String> = ids.iter().filter_map(local).collect();
        if locals.is_empty() {
            let targets =
                if self.screen.focus.pane == Pane::Targets { self.screen.targets.chosen() } else { Vec::new() };
            if targets.is_empty() {
                return self.nothing_selected();
            }
            return self.note(Grade::Info, Happening::NotForwarded, targets.join(", "), "");
        }
        self.note(Grade::Info, Happening::Copied, locals.join(", "), "");
        out.push(Effect::Copy(locals.join("\n")));
    }
}
