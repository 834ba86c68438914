//! Updates from the store: settings, and the outcomes of saves.

use crate::language::effect::{Effect, StoreEffect, TargetEdit, TerminalEffect};
use crate::language::event::{Loaded, StoreEvent};
use crate::language::fault::Fault;
use crate::language::log::{Entry, Level, Message};
use crate::screen::dialog::{Dialog, Question};
use crate::state::Model;
use crate::types::forward_settings::ForwardPolicy;
use crate::types::health::ProbePlan;
use crate::types::settings::THEMES;
use crate::types::target::Target;
use crate::types::ttl::Ttl;

impl Model {
    pub(crate) fn on_store(&mut self, event: StoreEvent, out: &mut Vec<Effect>) {
        self.screen.unarranged = true;
        match event {
            StoreEvent::Loaded(loaded) => self.on_loaded(*loaded, out),
            StoreEvent::Broken(fault) => {
                self.show_config_fault(&fault);
                self.config.fault = Some(fault.clone());
                self.fail(fault);
            }
            StoreEvent::Saved => {
                let edits = self.targets.saving.pop_front().unwrap_or_default();
                self.audit_edits(&edits, None, out);
            }
            StoreEvent::NotSaved(fault) => {
                let edits = self.targets.saving.pop_front().unwrap_or_default();
                self.audit_edits(&edits, Some(&fault), out);
                // An edit that the file contradicts is over, and the targets come as they are now. Others are kept in
                // memory and tried again when the file is read again: nothing a person typed is lost.
                if !fault.what.ends_an_edit() {
                    self.targets.unsaved.extend(edits);
                }
                self.fail(fault);
            }
            StoreEvent::Legacy { path, targets, left_out } => self.ask(Question::Import { path, targets, left_out }),
            StoreEvent::Offers { from, offers, left_out } => self.review_offers(Some(from), offers, left_out, out),
            StoreEvent::Exported { count, text } => {
                self.note(Level::Info, Message::Exported, count.to_string(), "");
                out.push(Effect::Terminal(TerminalEffect::Copy(text)));
            }
            StoreEvent::Recognised { uid, is_ours } => self.on_recognised(&uid, is_ours, out),
            StoreEvent::Trouble(fault) => self.fail(fault),
        }
    }

    fn on_loaded(&mut self, loaded: Loaded, out: &mut Vec<Effect>) {
        let again = !self.config.path.is_empty();
        if let Some(mended) = self.config.fault.take() {
            self.screen.dialogs.retain(|dialog| !matches!(dialog, Dialog::Fault(fault) if *fault == mended));
            let told = |(entry, _): &(Entry, _)| matches!(&entry.message, Message::Failed(fault) if **fault == mended);
            self.screen.notice.take_if(|notice| told(notice));
        }
        self.config.path = loaded.path;
        self.config.settings = loaded.settings;
        let before = std::mem::replace(&mut self.targets.all, loaded.targets);
        self.remember_renamed(loaded.renamed);
        self.pods.ownership.extend(loaded.own);
        self.targets.ports.extend(loaded.ports);
        self.screen.learned.get_or_insert_default().extend(loaded.learned);
        let under_way: Vec<TargetEdit> = self.targets.saving.iter().flatten().cloned().collect();
        let unsaved = std::mem::take(&mut self.targets.unsaved);
        for edit in under_way.iter().chain(&unsaved) {
            self.apply(edit);
        }
        self.find_renamed(&before, out);
        if !unsaved.is_empty() {
            self.save(unsaved, out);
        }
        if !again {
            self.show_welcome(loaded.exists);
        }
        if again {
            self.note(Level::Info, Message::ConfigRead, self.config.path.clone(), "");
        }
        self.show_ignored(loaded.ignored);
        if !loaded.logins.is_empty() && loaded.logins != self.config.logins {
            self.note(Level::Warning, Message::LoginInAddress, loaded.logins.join(", "), "");
        }
        self.config.logins = loaded.logins;
        self.remember_orphaned(loaded.pods_until, out);
        self.connect_configured(out);
        if !again {
            self.connect_orphaned(out);
        }
        let clusters: Vec<String> = self.clusters.all.iter().map(|cluster| cluster.name.clone()).collect();
        for cluster in clusters {
            self.widen(&cluster, out);
        }
        self.apply_target_edits(&before, out);
        self.autostart(out);
    }

    /// Says in full what is wrong with the config, unless a person is in the middle of something else.
    fn show_config_fault(&mut self, fault: &Fault) {
        let before = self.config.fault.as_ref();
        if let Some(Dialog::Fault(shown)) = self.screen.dialogs.last_mut()
            && Some(&*shown) == before
        {
            shown.clone_from(fault);
        } else if self.screen.dialogs.is_empty() && !self.filtering() && before != Some(fault) {
            self.screen.dialogs.push(Dialog::Fault(fault.clone()));
        }
    }

    /// Says in full, once, which environment variable makes no sense.
    fn show_ignored(&mut self, ignored: Option<Fault>) {
        if let Some(fault) = ignored.as_ref().filter(|fault| self.config.ignored.as_ref() != Some(fault)) {
            if self.screen.dialogs.is_empty() && !self.filtering() {
                self.screen.dialogs.push(Dialog::Fault(fault.clone()));
            }
            self.fail(fault.clone());
        }
        self.config.ignored = ignored;
    }

    /// Goes on to the next theme; one that is unknown is followed by the first.
    pub(crate) fn next_theme(&mut self, out: &mut Vec<Effect>) {
        let at = THEMES.iter().position(|name| *name == self.config.settings.theme);
        let next = THEMES[at.map_or(0, |at| (at + 1) % THEMES.len())];
        next.clone_into(&mut self.config.settings.theme);
        self.note(Level::Success, Message::ThemeChosen, next, "");
        out.push(Effect::Store(StoreEffect::RememberTheme(next)));
    }

    /// Takes imported targets over, except those whose name is taken.
    pub(crate) fn import(&mut self, targets: Vec<crate::types::target::Target>, out: &mut Vec<Effect>) {
        let new: Vec<TargetEdit> =
            targets.into_iter().filter(|target| self.target(&target.name).is_none()).map(TargetEdit::Import).collect();
        for edit in &new {
            self.apply(edit);
        }
        self.note(Level::Success, Message::Imported, new.len().to_string(), "");
        if !new.is_empty() {
            self.save(new, out);
        }
    }

    /// The probe of a target, if it has one.
    pub(crate) fn probe_of(&self, target: &Target) -> Option<ProbePlan> {
        let probe = target.forward.probe.clone()?;
        Some(ProbePlan { probe, every: self.forward_policy(&target.name).probe_interval })
    }

    /// The settings of a target's forwards; the defaults for a deleted target.
    pub fn forward_policy(&self, target: &str) -> ForwardPolicy {
        let target = self.target(target);
        let cluster = target.and_then(|target| self.config.settings.clusters.get(&target.cluster));
        let wide = cluster
            .map_or_else(|| self.config.settings.forward.clone(), |at| at.forward.over(&self.config.settings.forward));
        let settings = target.map_or_else(|| wide.clone(), |target| target.forward.over(&wide));
        let time = |time: Option<Ttl>, base| time.map_or(base, Ttl::duration);
        let base = ForwardPolicy::BUILT_IN;
        ForwardPolicy {
            on_demand: settings.on_demand.unwrap_or(base.on_demand),
            idle: time(settings.idle_timeout, base.idle),
            create: time(settings.create_timeout, base.create),
            auto_renew: settings.auto_renew.unwrap_or(base.auto_renew),
            max_lifetime: time(settings.max_lifetime, base.max_lifetime),
            probe_interval: time(settings.probe_interval, base.probe_interval),
        }
    }
}
