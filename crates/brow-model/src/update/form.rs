//! From a target to the texts of its form, and back.

use crate::language::action::{Action, Command};
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

impl Model {
    /// Returns the value that applies if a field of a form is left empty, as far as the config or the program sets one.
    pub fn inherited(&self, form: &TargetForm, field: TargetField) -> String {
        let cluster = form.text(TargetField::Cluster);
        let at = self.config.settings.clusters.get(cluster);
        match field {
            TargetField::Namespace => self.cluster(cluster).map(|at| at.namespace.clone()).unwrap_or_default(),
            TargetField::Ttl => self.config.settings.ttl.to_string(),
            TargetField::Via => "direct".to_owned(),
            TargetField::Wait => {
                Ttl::from_secs(Workload::WAIT.as_secs()).map(|wait| wait.to_string()).unwrap_or_default()
            }
            TargetField::Autostart => "false".to_owned(),
            TargetField::LocalAddress => "127.0.0.1, ::1".to_owned(),
            _ if field.scope() != Scope::Any => String::new(),
            _ => {
                let settings = &self.config.settings;
                let forward = at.map_or_else(|| settings.forward.clone(), |at| at.forward.over(&settings.forward));
                let mut pod = settings.pod_for(cluster, &PodSettings::default());
                pod.pull_policy.get_or_insert(PullPolicy::IfNotPresent);
                field.of(&Target { pod, forward, ..Target::blank() })
            }
        }
    }
}

impl Model {
    pub(crate) fn in_form(
        &mut self,
        mut form: Box<TargetForm>,
        action: Action,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        // A URL that is being typed is not whole yet.
        let typed = matches!(action, Action::Edit(_)) && form.active() == TargetField::Address;
        if action == Action::Do(Command::Accept) {
            self.take_url(&mut form);
        }
        match action {
            Action::Do(Command::Cancel) => return None,
            Action::Do(Command::Accept) => {
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
            Action::Do(Command::Up | Command::Down) if form.active() == TargetField::Cluster => {
                let by = if action == Action::Do(Command::Up) { -1 } else { 1 };
                self.step_context(&mut form, by);
            }
            Action::Do(Command::Next | Command::Down) => form.step(1),
            Action::Do(Command::Previous | Command::Up) => form.step(-1),
            Action::Do(Command::PageDown) => form.turn(1),
            Action::Do(Command::PageUp) => form.turn(-1),
            Action::ClickItem(at) => form.click(at),
            Action::Edit(_) | Action::Paste(_) => {
                let choices = form.active().choices();
                let field = &mut form.fields[form.active];
                if choices.is_empty() { field.edit(action) } else { field.choose(choices, &action) }
            }
            Action::Do(_)
            | Action::Click { .. }
            | Action::ClickColumn { .. }
            | Action::Wheel { .. }
            | Action::Page { .. } => {}
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
        if self.clusters.all.is_empty() {
            return;
        }
        let at = self.clusters.all.iter().position(|cluster| cluster.name == form.text(TargetField::Cluster));
        let next = match at {
            Some(at) => (at.cast_signed() + by).rem_euclid(self.clusters.all.len().cast_signed()).unsigned_abs(),
            None => 0,
        };
        form.fields[form.active] = Field::new(self.clusters.all[next].name.clone());
    }
}
