//! The steps to something that cannot be reached, taken and shown.

use crate::language::action::Command;
use crate::language::effect::{ClusterEffect, Effect};
use crate::language::log::{Level, Message};
use crate::screen::dialog::{Dialog, StepList};
use crate::state::Model;
use crate::types::epoch::Epoch;
use crate::types::index::ObjectRef;
use crate::types::inventory::PortKey;
use crate::types::settings::PodSettings;
use crate::types::why::{Check, Place, Question};
use crate::types::workload::{Kind, Port};
use crate::update::dialog::Input;

impl Model {
    /// Takes the steps to the selected target.
    pub(crate) fn why_target(&mut self, out: &mut Vec<Effect>) {
        let Some(target) = self.screen.targets.selected().and_then(|name| self.target(name)).cloned() else { return };
        let Some((place, named)) = Place::of(&target.address) else {
            return self.note(Level::Info, Message::NotForwardable, &target.name, "");
        };
        let namespace = named.unwrap_or_else(|| self.namespace_of(&target));
        let question = Question { cluster: target.cluster, namespace, place, pod: None };
        self.ask_why(target.name, question, target.pod, out);
    }

    /// Takes the steps to an object, if it can stand for pods.
    pub(crate) fn why_object(&mut self, object: &ObjectRef, out: &mut Vec<Effect>) {
        let is_custom = object.kind.group.contains('.') && !object.kind.group.ends_with(".k8s.io");
        match object.kind.resource().parse::<Kind>() {
            Ok(kind) if is_custom || !matches!(kind, Kind::Custom(_)) => {
                let place = Place::Workload { kind, name: object.name.clone(), port: None };
                let (cluster, namespace) = (object.cluster.clone(), object.namespace.clone());
                let question = Question { cluster, namespace, place, pod: None };
                self.ask_why(object.name.clone(), question, PodSettings::default(), out);
            }
            Ok(_) | Err(_) => self.note(Level::Info, Message::NotForwardable, &object.name, ""),
        }
    }

    /// Takes the steps to a port in the browser.
    pub(crate) fn why_port(&mut self, at: &PortKey, out: &mut Vec<Effect>) {
        let (kind, name) = (at.key.kind.clone(), at.key.name.clone());
        let place = Place::Workload { kind, name: name.clone(), port: Some(Port::Number(at.port)) };
        let (cluster, namespace) = (at.key.cluster.clone(), at.key.namespace.clone());
        self.ask_why(name, Question { cluster, namespace, place, pod: None }, PodSettings::default(), out);
    }

    fn ask_why(&mut self, thing: String, question: Question, own: PodSettings, out: &mut Vec<Effect>) {
        let epoch = Epoch(self.next_number());
        out.push(Effect::Cluster(ClusterEffect::TakeSteps { question: Box::new(question.clone()), epoch }));
        let steps = StepList { thing, question, own, epoch, checks: None, scroll: 0 };
        self.screen.dialogs.push(Dialog::Why(Box::new(steps)));
    }

    pub(crate) fn in_why(&mut self, mut steps: Box<StepList>, input: &Input, out: &mut Vec<Effect>) -> Option<Dialog> {
        if input.leaves() {
            out.push(Effect::Cluster(ClusterEffect::StopSteps));
            return None;
        }
        if *input == Input::Do(Command::Create) && steps.wants_pod() {
            let settings = self.config.settings().pod_for(&steps.question.cluster, &steps.own);
            steps.question.pod = Some(Box::new(settings));
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
