//! The steps to something that cannot be reached, taken and shown.

use crate::language::action::Command;
use crate::language::effect::{ClusterEffect, Effect};
use crate::language::log::{Level, Message};
use crate::screen::dialog::{Dialog, StepList};
use crate::state::Model;
use crate::types::address::Transport;
use crate::types::epoch::Epoch;
use crate::types::index::ObjectRef;
use crate::types::inventory::PortKey;
use crate::types::settings::PodSettings;
use crate::types::why::{Check, CheckedDestination, Prober, Question};
use crate::types::workload::{Kind, Port};
use crate::update::dialog::Input;

impl Model {
    /// Takes the steps to the selected target.
    pub(crate) fn why_target(&mut self, out: &mut Vec<Effect>) {
        if let Some(name) = self.screen.targets.selected().cloned() {
            self.why_target_named(&name, out);
        }
    }

    /// Takes the steps to a target.
    pub(crate) fn why_target_named(&mut self, name: &str, out: &mut Vec<Effect>) {
        let Some(target) = self.target(name).cloned() else { return };
        let Some((destination, named)) = CheckedDestination::of(&target.address) else {
            return self.note(Level::Info, Message::NotForwardable, &target.name, "");
        };
        let namespace = named.unwrap_or_else(|| self.namespace_of(&target));
        let settings = self.config.settings().pod_for(&target.cluster, &target.pod);
        let pod = self.prober(self.namespace_of(&target), settings);
        self.ask_why(target.name, Question { cluster: target.cluster, namespace, destination, pod }, out);
    }

    /// Takes the steps to an object, if it can stand for pods.
    pub(crate) fn why_object(&mut self, object: &ObjectRef, out: &mut Vec<Effect>) {
        let is_custom = object.kind.group.contains('.') && !object.kind.group.ends_with(".k8s.io");
        match object.kind.resource().parse::<Kind>() {
            Ok(kind) if is_custom || !matches!(kind, Kind::Custom(_)) => {
                let (name, transport) = (object.name.clone(), Transport::Tcp);
                let destination = CheckedDestination::Workload { kind, name, port: None, transport };
                self.ask_why_of((&object.cluster, &object.namespace, &object.name), destination, out);
            }
            Ok(_) | Err(_) => self.note(Level::Info, Message::NotForwardable, &object.name, ""),
        }
    }

    /// Takes the steps to a port in the browser.
    pub(crate) fn why_port(&mut self, at: &PortKey, out: &mut Vec<Effect>) {
        let (kind, name) = (at.key.kind.clone(), at.key.name.clone());
        let port = Some(Port::Number(at.port));
        let destination = CheckedDestination::Workload { kind, name, port, transport: Transport::Tcp };
        self.ask_why_of((&at.key.cluster, &at.key.namespace, &at.key.name), destination, out);
    }

    /// Takes the steps to something that is not saved as a target.
    fn ask_why_of(
        &mut self,
        (cluster, namespace, name): (&str, &str, &str),
        destination: CheckedDestination,
        out: &mut Vec<Effect>,
    ) {
        let settings = self.config.settings().pod_for(cluster, &PodSettings::default());
        let pod = self.prober(namespace.to_owned(), settings);
        let (cluster, namespace) = (cluster.to_owned(), namespace.to_owned());
        self.ask_why(name.to_owned(), Question { cluster, namespace, destination, pod }, out);
    }

    fn prober(&self, namespace: String, settings: PodSettings) -> Prober {
        let max_ttl = self.config.settings().max_ttl;
        Prober { namespace, settings: Box::new(settings), max_ttl, creates: false }
    }

    fn ask_why(&mut self, thing: String, question: Question, out: &mut Vec<Effect>) {
        let epoch = Epoch(self.next_number());
        out.push(Effect::Cluster(ClusterEffect::TakeSteps { question: Box::new(question.clone()), epoch }));
        let steps = StepList { thing, question, epoch, checks: None, scroll: 0 };
        self.screen.dialogs.push(Dialog::Why(Box::new(steps)));
    }

    pub(crate) fn in_why(&mut self, mut steps: Box<StepList>, input: &Input, out: &mut Vec<Effect>) -> Option<Dialog> {
        if input.leaves() {
            out.push(Effect::Cluster(ClusterEffect::StopSteps));
            return None;
        }
        if *input == Input::Do(Command::Create) && steps.wants_pod() {
            steps.question.pod.creates = true;
            (steps.epoch, steps.checks) = (Epoch(self.next_number()), None);
            let question = Box::new(steps.question.clone());
            out.push(Effect::Cluster(ClusterEffect::TakeSteps { question, epoch: steps.epoch }));
        }
        let by = input.moves(self.screen.page).unwrap_or(0);
        let most = self.screen.max_scroll;
        steps.scroll = steps.scroll.min(most).saturating_add_signed(by).min(most);
        Some(Dialog::Why(steps))
    }

    /// Takes in the steps that were taken.
    pub(crate) fn on_steps(&mut self, of: Epoch, checks: Vec<Check>) {
        for dialog in &mut self.screen.dialogs {
            if let Dialog::Why(steps) = dialog
                && steps.epoch == of
            {
                steps.checks = Some(checks);
                return;
            }
        }
    }
}
