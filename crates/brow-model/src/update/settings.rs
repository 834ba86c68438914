//! Updates from the store: settings, and the outcomes of saves.

use crate::language::effect::{Clip, Effect, StoreEffect, TargetEdit};
use crate::language::event::{Loaded, StoreEvent};
use crate::language::fault::Fault;
use crate::language::log::{Entry, Level, Message};
use crate::screen::dialog::{Dialog, Question};
use crate::state::Model;
use crate::types::forward_settings::ForwardPolicy;
use crate::types::health::ProbePlan;
use crate::types::target::Target;
use crate::types::ttl::Ttl;

impl Model {
    pub(crate) fn on_store(&mut self, event: StoreEvent, out: &mut Vec<Effect>) {
        self.screen.unarranged = true;
        match event {
            StoreEvent::Loaded(loaded) => self.on_loaded(*loaded, out),
            StoreEvent::Broken(fault) => {
                self.show_config_fault(&fault);
                self.config.keep_despite(fault.clone());
                self.fail(fault);
            }
            StoreEvent::Saved => {
                let edits = self.targets.end_save();
                self.audit_edits(&edits, None, out);
            }
            StoreEvent::NotSaved(fault) => {
                let edits = self.targets.end_save();
                self.audit_edits(&edits, Some(&fault), out);
                // An edit that the file contradicts is over, and the targets come as they are now. Others are kept in
                // memory and tried again when the file is read again: nothing a person typed is lost.
                if !fault.what.ends_an_edit() {
                    self.targets.keep_unsaved(edits);
                }
                self.fail(fault);
            }
            StoreEvent::Legacy { path, targets, left_out } => self.ask(Question::Import { path, targets, left_out }),
            StoreEvent::Offers { from, offers, left_out } => self.review_offers(Some(from), offers, left_out, out),
            StoreEvent::Exported { count, text } => {
                Self::copy(Clip::Targets { count, text }, out);
            }
            StoreEvent::Claimed(open) => self.on_claimed(open, out),
            StoreEvent::Recognised { uid, is_ours } => self.on_recognised(&uid, is_ours, out),
            StoreEvent::Trouble(fault) => self.fail(fault),
        }
    }

    fn on_loaded(&mut self, loaded: Loaded, out: &mut Vec<Effect>) {
        let again = self.config.is_loaded();
        if let Some(mended) = self.config.replace(loaded.path, loaded.settings) {
            self.screen.dialogs.retain(|dialog| !matches!(dialog, Dialog::Fault(fault) if *fault == mended));
            let told = |(entry, _): &(Entry, _)| matches!(&entry.message, Message::Failed(fault) if **fault == mended);
            self.screen.notice.take_if(|notice| told(notice));
        }
        let (before, unsaved) = self.targets.replace(loaded.targets);
        self.pods.remember_renamed(loaded.renamed);
        self.clusters.remember_pod_proxies(loaded.pod_proxies);
        self.metrics.remember(loaded.prometheus);
        self.pods.ownership.extend(loaded.own);
        self.targets.remember_ports(loaded.ports);
        self.screen.learned.get_or_insert_default().extend(loaded.learned);
        let under_way: Vec<TargetEdit> = self.targets.saving().cloned().collect();
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
            self.note(Level::Info, Message::ConfigRead, self.config.path().to_owned(), "");
        }
        self.show_ignored(loaded.ignored);
        let logins = loaded.logins.join(", ");
        if self.config.note_logins(loaded.logins) {
            self.note(Level::Warning, Message::LoginInAddress, logins, "");
        }
        self.remember_orphaned(loaded.pods_until, out);
        self.connect_configured(out);
        if !again {
            self.connect_orphaned(out);
        }
        for cluster in self.clusters.names() {
            self.widen(&cluster, out);
        }
        self.apply_target_edits(&before, out);
        self.end_pauses(None);
        self.autostart(out);
    }

    /// Says in full what is wrong with the config, unless a person is in the middle of something else.
    fn show_config_fault(&mut self, fault: &Fault) {
        let before = self.config.fault();
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
        if let (true, Some(fault)) = (self.config.note_ignored(ignored.clone()), ignored) {
            if self.screen.dialogs.is_empty() && !self.filtering() {
                self.screen.dialogs.push(Dialog::Fault(fault.clone()));
            }
            self.fail(fault);
        }
    }

    /// Goes on to the next theme; one that is unknown is followed by the first.
    pub(crate) fn next_theme(&mut self, out: &mut Vec<Effect>) {
        let next = self.config.next_theme();
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
        // None of them speaks UDP, and a proxy leads to no one address.
        let probe = target.forward.probe.clone().filter(|_| !target.address.is_udp() && !target.address.is_proxy())?;
        Some(ProbePlan { probe, every: self.forward_policy(&target.name).probe_interval })
    }

    /// The settings of a target's forwards; the defaults for a deleted target.
    pub fn forward_policy(&self, target: &str) -> ForwardPolicy {
        let target = self.target(target);
        let cluster = target.and_then(|target| self.config.settings().clusters.get(&target.cluster));
        let wide = cluster.map_or_else(
            || self.config.settings().forward.clone(),
            |at| at.forward.over(&self.config.settings().forward),
        );
        let settings = target.map_or_else(|| wide.clone(), |target| target.forward.over(&wide));
        let time = |time: Option<Ttl>, base| time.map_or(base, Ttl::duration);
        let base = ForwardPolicy::BUILT_IN;
        ForwardPolicy {
            on_demand: settings.on_demand.unwrap_or(base.on_demand),
            idle: time(settings.idle_timeout, base.idle),
            create: time(settings.create_timeout, base.create),
            auto_renew: settings.auto_renew.unwrap_or(base.auto_renew),
            max_lifetime: time(settings.max_lifetime, base.max_lifetime),
            recreate: settings.recreate.unwrap_or(base.recreate),
            probe_interval: time(settings.probe_interval, base.probe_interval),
            local_users: settings.local_users.unwrap_or(base.local_users),
        }
    }
}
