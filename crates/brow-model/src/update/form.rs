//! From a target to the texts of its form, and back.

use std::cmp::Reverse;

use crate::language::action::{Command, Typed};
use crate::language::effect::{ClusterEffect, Effect};
use crate::language::fault::Fault;
use crate::language::log::{Level, Message};
use crate::screen::dialog::Dialog;
use crate::screen::filter::Filter;
use crate::screen::focus::Pane;
use crate::screen::form::{OfferedPorts, TargetForm};
use crate::state::Model;
use crate::types::cluster::Link;
use crate::types::field::{Scope, TargetField};
use crate::types::node::ServicePort;
use crate::types::settings::{PodSettings, PullPolicy};
use crate::types::target::Target;
use crate::types::ttl::Ttl;
use crate::types::workload::Workload;
use crate::update::dialog::Input;

impl Model {
    /// Returns the value that applies if a field of a form is left empty, as far as the config or the program sets one.
    pub fn inherited(&self, form: &TargetForm, field: TargetField) -> String {
        let cluster = form.text(TargetField::Cluster);
        let at = self.config.settings().clusters.get(cluster);
        match field {
            TargetField::Namespace => self.cluster(cluster).map(|at| at.namespace.clone()).unwrap_or_default(),
            TargetField::Ttl => self.config.settings().ttl.to_string(),
            TargetField::Via => "direct".to_owned(),
            TargetField::Wait => {
                Ttl::from_secs(Workload::WAIT.as_secs()).map(|wait| wait.to_string()).unwrap_or_default()
            }
            TargetField::Autostart => "false".to_owned(),
            TargetField::LocalAddress => "127.0.0.1, ::1".to_owned(),
            _ if field.scope() != Scope::Any => String::new(),
            _ => {
                let settings = self.config.settings();
                let forward = at.map_or_else(|| settings.forward.clone(), |at| at.forward.over(&settings.forward));
                let mut pod = settings.pod_for(cluster, &PodSettings::default());
                pod.relay.get_or_insert_default();
                pod.carrier.get_or_insert_default();
                pod.pull_policy.get_or_insert(PullPolicy::IfNotPresent);
                field.of(&Target { pod, forward, ..Target::blank() })
            }
        }
    }
}

impl Model {
    pub(crate) fn in_form(&mut self, mut form: Box<TargetForm>, input: Input, out: &mut Vec<Effect>) -> Option<Dialog> {
        // The notice is the memory of the warning: once it is gone, or anything else was done, this warns again.
        let warned = self.screen.notice.take_if(|(entry, _)| entry.message == Message::FormUnsaved).is_some();
        if input == Input::Do(Command::Cancel) {
            if warned || !form.is_changed() {
                return None;
            }
            self.note(Level::Warning, Message::FormUnsaved, "", "");
            return Some(Dialog::TargetForm(form));
        }
        // A URL that is being typed is not whole yet.
        let typed = matches!(input, Input::Type(Typed::Edit(_))) && form.active() == TargetField::Address;
        let chooses = matches!(input, Input::Type(_) | Input::Wheel(_) | Input::Do(Command::Up | Command::Down));
        if !chooses {
            self.complete_choice(&mut form);
        }
        if matches!(input, Input::Do(Command::Accept | Command::ConnectOnce)) {
            self.take_url(&mut form);
        }
        match input {
            Input::Do(Command::ConnectOnce) if form.editing.is_none() => {
                if self.connect_once(&mut form, out) {
                    return None;
                }
            }
            Input::Do(Command::Accept) => {
                form.tried = true;
                form.check(self);
                if let Some(target) = form.target(self) {
                    let was = form.editing.and(form.base);
                    if was.is_none() {
                        // Whoever makes a target goes on with it.
                        self.screen.focus.pane = Pane::Targets;
                        self.screen.focus.in_log = false;
                    }
                    self.save_target(was, &target, out);
                    return None;
                }
                form.active = form.fields.iter().position(|field| field.error.is_some()).unwrap_or(form.active);
            }
            Input::Do(Command::Up) if form.active() == TargetField::Cluster => self.step_context(&mut form, -1),
            Input::Do(Command::Down) if form.active() == TargetField::Cluster => self.step_context(&mut form, 1),
            Input::Do(Command::Up) if form.step_port(-1) => {}
            Input::Do(Command::Down) if form.step_port(1) => {}
            Input::Do(Command::Next | Command::Down) => form.step(1),
            Input::Do(Command::Previous | Command::Up) => form.step(-1),
            Input::Do(Command::PageDown) => form.turn(1),
            Input::Do(Command::PageUp) => form.turn(-1),
            Input::Item(at) => form.click(at),
            Input::Type(typed) => form.edit(typed),
            Input::Do(_) | Input::Wheel(_) => {}
        }
        if !typed {
            self.take_url(&mut form);
        }
        self.ask_node_ports(&mut form, out);
        form.check(self);
        Some(Dialog::TargetForm(form))
    }

    /// Ends the choice of a context or a port in the active field.
    fn complete_choice(&self, form: &mut TargetForm) {
        if form.active() == TargetField::Cluster {
            self.complete_context(form);
        } else if form.seeks_port() {
            form.complete_port();
        }
    }

    /// Asks a cluster for the ports of its nodes once they are being typed, if it is connected or of this machine.
    fn ask_node_ports(&self, form: &mut TargetForm, out: &mut Vec<Effect>) {
        let Some(cluster) = self.cluster(form.text(TargetField::Cluster)).filter(|_| form.seeks_port()) else { return };
        let is_near = cluster.link == Link::Ready || cluster.local().is_some() || self.practice;
        if is_near && form.ports.cluster != cluster.name {
            form.ports = OfferedPorts::of(&cluster.name);
            form.seek_port();
            let (cluster, namespaces) = (cluster.name.clone(), self.namespaces(&cluster.name));
            out.push(Effect::Cluster(ClusterEffect::ListNodePorts { cluster, namespaces }));
        }
    }

    /// Takes in the ports of a cluster's nodes, for the form that asked for them.
    pub(crate) fn on_node_ports(&mut self, cluster: &str, result: Result<Vec<ServicePort>, Fault>) {
        match result {
            Ok(all) => {
                for dialog in &mut self.screen.dialogs {
                    if let Dialog::TargetForm(form) = dialog
                        && form.ports.cluster == cluster
                    {
                        form.ports.all.clone_from(&all);
                    }
                }
            }
            Err(fault) => self.fail(fault),
        }
    }

    /// Forwards what a form says without saving it, under the name of its destination where it has none. Returns false
    /// if something in the form is wrong.
    fn connect_once(&mut self, form: &mut TargetForm, out: &mut Vec<Effect>) -> bool {
        if form.text(TargetField::Name).is_empty() {
            form.set(TargetField::Name, form.text(TargetField::Address).to_owned());
        }
        form.tried = true;
        form.check(self);
        let Some(target) = form.target(self) else {
            form.active = form.fields.iter().position(|field| field.error.is_some()).unwrap_or(form.active);
            return false;
        };
        self.screen.focus.pane = Pane::Targets;
        self.screen.focus.in_log = false;
        self.screen.targets.wanted = Some(target.name.clone());
        self.targets.add_temporary(target.clone());
        self.open_forward(&target, out);
        true
    }

    /// Takes apart a URL in the address, and says so.
    fn take_url(&mut self, form: &mut TargetForm) {
        if let Some(destination) = form.take_url() {
            self.note(Level::Info, Message::AddressTaken, destination, "");
        }
    }

    /// Returns the contexts that the cluster field offers: those like what was typed into it, the best first.
    pub fn contexts_like(&self, form: &TargetForm) -> Vec<&str> {
        let mut filter = Filter::new(&form.sought);
        let names = self.clusters.all().iter().map(|cluster| cluster.name.as_str());
        let mut like: Vec<(u32, &str)> =
            names.filter_map(|name| Some((filter.score(&[self.cluster_name(name), name])?, name))).collect();
        like.sort_by_key(|(score, _)| Reverse(*score));
        like.into_iter().map(|(_, name)| name).collect()
    }

    /// Puts the next offered context into the cluster field; where none is like what was typed, the next of all.
    fn step_context(&self, form: &mut TargetForm, by: isize) {
        let mut like = self.contexts_like(form);
        if like.is_empty() {
            like = self.clusters.all().iter().map(|cluster| cluster.name.as_str()).collect();
        }
        let at = like.iter().position(|name| *name == form.text(TargetField::Cluster));
        let next = match at {
            Some(at) => (at.cast_signed() + by).rem_euclid(like.len().cast_signed()).unsigned_abs(),
            None => 0,
        };
        if let Some(name) = like.get(next) {
            form.set(TargetField::Cluster, *name);
        }
    }

    /// Ends the choice of a context: what was typed stands for the one that has this alias, or for the only one like
    /// it.
    fn complete_context(&self, form: &mut TargetForm) {
        let text = form.text(TargetField::Cluster);
        if !text.is_empty() && self.cluster(text).is_none() {
            let like = self.contexts_like(form);
            let called = like.iter().find(|name| self.cluster_name(name) == text);
            let meant = called.or_else(|| like.first().filter(|_| like.len() == 1)).map(|name| (*name).to_owned());
            if let Some(name) = meant.filter(|_| !form.sought.is_empty()) {
                form.set(TargetField::Cluster, name);
            }
        }
        form.sought.clear();
    }
}
