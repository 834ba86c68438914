//! From a target to the texts of its form, and back.

use crate::language::action::{Command, Typed};
use crate::language::effect::Effect;
use crate::language::log::{Level, Message};
use crate::screen::dialog::Dialog;
use crate::screen::focus::Pane;
use crate::screen::form::TargetForm;
use crate::screen::text_field::Field;
use crate::state::Model;
use crate::types::field::{Scope, TargetField};
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
                pod.pull_policy.get_or_insert(PullPolicy::IfNotPresent);
                field.of(&Target { pod, forward, ..Target::blank() })
            }
        }
    }
}

impl Model {
    pub(crate) fn in_form(&mut self, mut form: Box<TargetForm>, input: Input, out: &mut Vec<Effect>) -> Option<Dialog> {
        // A URL that is being typed is not whole yet.
        let typed = matches!(input, Input::Type(Typed::Edit(_))) && form.active() == TargetField::Address;
        if input == Input::Do(Command::Accept) {
            self.take_url(&mut form);
        }
        match input {
            Input::Do(Command::Cancel) => return None,
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
            Input::Do(Command::Next | Command::Down) => form.step(1),
            Input::Do(Command::Previous | Command::Up) => form.step(-1),
            Input::Do(Command::PageDown) => form.turn(1),
            Input::Do(Command::PageUp) => form.turn(-1),
            Input::Item(at) => form.click(at),
            Input::Type(typed) => {
                let choices = form.active().choices();
                let field = &mut form.fields[form.active];
                if choices.is_empty() { field.edit(typed) } else { field.choose(choices, &typed) }
            }
            Input::Do(_) | Input::Wheel(_) => {}
        }
        if !typed {
            self.take_url(&mut form);
        }
        form.check(self);
        Some(Dialog::TargetForm(form))
    }

    /// Takes apart a URL in the address, and says so.
    fn take_url(&mut self, form: &mut TargetForm) {
        if let Some(destination) = form.take_url() {
            self.note(Level::Info, Message::AddressTaken, destination, "");
        }
    }

    /// Puts the next known context into the cluster field.
    fn step_context(&self, form: &mut TargetForm, by: isize) {
        if self.clusters.all().is_empty() {
            return;
        }
        let at = self.clusters.all().iter().position(|cluster| cluster.name == form.text(TargetField::Cluster));
        let next = match at {
            Some(at) => (at.cast_signed() + by).rem_euclid(self.clusters.all().len().cast_signed()).unsigned_abs(),
            None => 0,
        };
        form.fields[form.active] = Field::new(self.clusters.all()[next].name.clone());
    }
}
