//! Routes events to the modules of their nouns.

mod action;
mod agent;
mod agent_question;
mod arrange;
mod attention;
mod audit;
mod backend;
mod batch;
mod browse;
mod browser;
mod chosen;
mod clipboard;
mod cluster;
mod command;
mod connection_strings;
mod connections;
mod demand;
mod dialog;
mod edit;
mod ending;
pub(crate) mod export;
mod find;
mod form;
mod forward;
mod gateway;
mod health;
mod import;
mod index;
mod instance;
pub(crate) mod inventory;
mod kinds;
mod lifecycle;
mod log;
mod menu;
mod metrics;
mod offer;
pub(crate) mod open;
mod orphans;
mod ownership;
mod page;
mod page_log;
mod palette;
mod panes;
mod pods;
mod proxy;
mod quit;
mod renamed;
mod renew;
mod request;
mod restart;
mod restore;
mod route;
mod route_udp;
mod search;
mod settings;
mod shell;
mod tags;
mod target;
mod tip;
mod welcome;
mod why;

use chrono::{DateTime, TimeDelta, Utc};

use crate::language::effect::Effect;
use crate::language::event::{Event, Sample};
use crate::screen::dialog::Dialog;
use crate::state::Model;
use crate::types::forward::Forward;
use crate::types::traffic::Series;

/// The interval at which finished pods are cleaned up.
const CLEAN_EVERY: TimeDelta = TimeDelta::seconds(60);

impl Model {
    /// Takes in one event; what is to be done about it is returned, in order.
    pub fn update(&mut self, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        match event {
            Event::Tick { now, samples } => self.on_tick(now, samples, &mut out),
            Event::Act(action) => {
                self.on_action(action, &mut out);
                // Keys may come faster than frames: what one filtered or sorted, the next acts on.
                self.arrange();
            }
            Event::Clipped { clip, text, taken } => self.on_clipped(clip, text, taken),
            Event::Request(request) => self.on_request(request, &mut out),
            Event::Contexts(found) => self.on_contexts(found, &mut out),
            Event::Cluster { cluster, epoch, event } => self.on_cluster(&cluster, epoch, event, &mut out),
            Event::Browse { cluster, epoch, event } => self.on_browse(&cluster, epoch, event),
            Event::Index { cluster, epoch, event } => self.on_index(&cluster, epoch, event),
            Event::Kinds { epoch, event } => self.on_kinds(epoch, event),
            Event::Metrics(event) => self.on_metrics(event, &mut out),
            Event::Page { epoch, event } => self.on_page(epoch, event, &mut out),
            Event::Object(event) => self.on_object(event, &mut out),
            Event::Edit { epoch, event } => self.on_edit(epoch, event, &mut out),
            Event::ObjectDeleted { object, result } => self.on_object_deleted(&object, result, &mut out),
            Event::Pod(event) => self.on_pod(event, &mut out),
            Event::Forward { id, epoch, event } => self.on_forward(id, epoch, event, &mut out),
            Event::Gateway(event) => self.on_gateway(event, &mut out),
            Event::Instance(event) => self.on_instance(event, &mut out),
            Event::Agent(event) => self.on_agent(event, &mut out),
            Event::Shell(event) => self.on_shell(event),
            Event::Store(event) => self.on_store(event, &mut out),
            Event::Terminate => self.quit_unasked(&mut out),
        }
        self.meter_gateway(&mut out);
        self.probe_gateways(&mut out);
        self.update_welcome(&mut out);
        self.remember_open(&mut out);
        self.note_shown_question();
        out
    }

    /// Returns true if a pod's deadline lies between two times. Goes through all pods each second: in plain numbers, as
    /// Kubernetes writes times in whole seconds, and with one look at the clock of each cluster, whose pods lie side by
    /// side.
    fn expires_between(&self, before: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let (mut at, mut skew) = (None, 0);
        self.pods.all().values().any(|pod| {
            let cluster = pod.key.cluster.as_str();
            if at != Some(cluster) {
                let ahead = self.time_at(cluster) - self.now;
                (at, skew) = (Some(cluster), ahead.num_milliseconds());
            }
            let (Some(started), Some(ttl)) = (pod.started, pod.ttl) else { return false };
            let deadline = (started.timestamp() + i64::from(ttl.secs())) * 1_000 - skew;
            before.timestamp_millis() < deadline && deadline <= now.timestamp_millis()
        })
    }

    fn on_tick(&mut self, now: DateTime<Utc>, samples: Vec<Sample>, out: &mut Vec<Effect>) {
        // Pods that expire or end soon from now on may stand elsewhere for it.
        let soon = crate::types::attention::Attention::SOON;
        self.screen.unarranged |=
            self.expires_between(self.now, now) || self.expires_between(self.now + soon, now + soon);
        self.now = now;
        for Sample { id, counts, first_byte, tunnel, spread } in samples {
            if let Some(forward) = self.forwards.get_mut(id) {
                forward.sample(counts, first_byte, now);
                forward.tunnel = tunnel;
                forward.spread = spread;
                self.screen.unarranged = true;
                self.extend_idle_limit(id);
            }
        }
        self.check_demand(out);
        self.check_renewals(out);
        self.check_health(out);
        self.check_agents(out);
        self.check_index(out);
        self.measure_shown(out);
        self.refresh_connections(out);
        self.warn_of_ends(out);
        self.warn_of_shell_ends(out);
        if self.screen.notice.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.screen.notice = None;
        }
        if !self.unattended() && self.pods.begin_cleanup(now, CLEAN_EVERY) {
            self.clean(crate::types::proxy::CleanupScope::Own, out);
            self.forget_orphaned(out);
            self.delete_unneeded_pods(out);
        }
    }

    /// Returns true if something on the screen changes with the clock alone: a countdown, an age, a rate, a notice.
    pub fn changes_with_time(&self) -> bool {
        let moves = |forward: &Forward| !forward.is_resting() || forward.traffic.bytes.max(Series::SPAN) > 0;
        !self.pods.all().is_empty()
            || self.forwards.all().values().any(moves)
            || !self.gateways.rows().is_empty()
            || self.screen.notice.is_some()
            || self.shown_connections().is_some()
            || self.screen.shown_question.is_some()
            || self.screen.dialogs.iter().any(|dialog| matches!(dialog, Dialog::Shells { .. }))
    }

    /// The next number for an epoch, a request or a forward.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}
