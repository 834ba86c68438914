//! Measurements: a source is looked for once when a cluster connects, and asked only for what is on the screen.

use crate::language::effect::{Effect, StoreEffect};
use crate::language::fault::{Fault, What};
use crate::language::log::{Level, Message};
use crate::language::metrics::{MetricsEffect, MetricsEvent, NotFound};
use crate::screen::dialog::Dialog;
use crate::screen::focus::{Pane, Strip};
use crate::state::{Detection, Model};
use crate::types::cluster::Link;
use crate::types::epoch::Epoch;
use crate::types::metrics::{Prometheus, PrometheusChoice, Reading, ServiceRef, Source, Subject, Way};
use crate::types::page::PagePart;
use crate::types::settings::Settings;
use crate::types::target::Target;
use crate::types::workload::{Destination, Kind, Port, Workload};
use crate::update::command::Enabled;

impl Settings {
    /// Returns the place of a cluster's Prometheus.
    pub fn prometheus_of(&self, cluster: &str) -> &PrometheusChoice {
        self.clusters.get(cluster).and_then(|at| at.prometheus.as_ref()).unwrap_or(&self.prometheus)
    }
}

impl Model {
    /// Looks for a cluster's Prometheus, unless that was done, it is remembered, or the config says where it is.
    pub(crate) fn find_prometheus_once(&mut self, cluster: &str, out: &mut Vec<Effect>) {
        let choice = self.config.settings().prometheus_of(cluster).clone();
        if self.unattended() || !self.metrics.is_new(cluster, &choice) {
            return;
        }
        let known = match &choice {
            PrometheusChoice::Off => Some(Source::MetricsServer),
            PrometheusChoice::At(at) => {
                Some(Source::Prometheus(Prometheus { way: Way::Config(at.clone()), service: None }))
            }
            PrometheusChoice::Auto => self.metrics.remembered(cluster).cloned().map(Source::Prometheus),
        };
        match known {
            Some(source) => {
                let fresh = choice != PrometheusChoice::Auto;
                self.metrics.set(cluster, choice, Detection::Known { source, fresh }, None);
            }
            None => self.look_for_prometheus(cluster, false, out),
        }
    }

    fn look_for_prometheus(&mut self, cluster: &str, asked: bool, out: &mut Vec<Effect>) {
        let (epoch, namespaces) = (Epoch(self.next_number()), self.namespaces(cluster));
        let choice = self.config.settings().prometheus_of(cluster).clone();
        self.metrics.set(cluster, choice, Detection::Looking { epoch, asked }, None);
        out.push(Effect::Metrics(MetricsEffect::Find { cluster: cluster.to_owned(), epoch, namespaces }));
    }

    /// Looks again for the Prometheuses of the chosen clusters.
    pub(crate) fn find_prometheus_again(&mut self, out: &mut Vec<Effect>) {
        for cluster in self.screen.clusters.chosen() {
            match self.config.settings().prometheus_of(&cluster) {
                PrometheusChoice::Auto => {
                    self.note(Level::Info, Message::PrometheusSought, &cluster, "");
                    self.look_for_prometheus(&cluster, true, out);
                }
                PrometheusChoice::Off => self.note(Level::Info, Message::PrometheusOff, &cluster, ""),
                PrometheusChoice::At(at) => {
                    let at = at.to_string();
                    self.note(Level::Info, Message::PrometheusFixed, &cluster, at);
                }
            }
        }
    }

    pub(crate) fn on_metrics(&mut self, event: MetricsEvent, out: &mut Vec<Effect>) {
        match event {
            MetricsEvent::Found { cluster, epoch, result } => self.on_prometheus(&cluster, epoch, result, out),
            MetricsEvent::Measured { cluster, epoch, subject, result } => {
                self.on_measured(&cluster, epoch, &subject, result, out);
            }
        }
    }

    fn on_prometheus(
        &mut self,
        cluster: &str,
        epoch: Epoch,
        result: Result<Prometheus, NotFound>,
        out: &mut Vec<Effect>,
    ) {
        let asked = match self.metrics.detection(cluster) {
            Detection::Looking { epoch: own, asked } if *own == epoch => *asked,
            Detection::Looking { .. } | Detection::NotYet | Detection::Known { .. } | Detection::Nothing => return,
        };
        let choice = self.config.settings().prometheus_of(cluster).clone();
        let (source, refused, kept) = match result {
            Ok(found) => {
                let place = found.service.as_ref().map(ToString::to_string).unwrap_or_default();
                let way = found.way.endpoint().map(ToString::to_string).unwrap_or_default();
                let detail = if way.is_empty() { place } else { format!("{place}, {way}") };
                self.note_metrics(asked, Message::PrometheusFound, cluster, detail);
                (Source::Prometheus(found.clone()), None, Some(found))
            }
            Err(NotFound { tried, refused }) => {
                match refused.clone().filter(|_| asked) {
                    Some(fault) => self.fail(fault),
                    None => self.note_metrics(asked, Message::NoPrometheus, cluster, tried),
                }
                (Source::MetricsServer, refused, None)
            }
        };
        self.metrics.set(cluster, choice, Detection::Known { source, fresh: true }, refused);
        if self.metrics.keep(cluster, kept.as_ref()) {
            let cluster = cluster.to_owned();
            out.push(Effect::Store(StoreEffect::Prometheus { cluster, found: kept.map(Box::new) }));
        }
        self.measure_shown(out);
    }

    /// Logs a line; it is shown in the bottom line as well if a person asked.
    fn note_metrics(&mut self, asked: bool, message: Message, cluster: &str, detail: String) {
        let shown = self.screen.notice.clone();
        self.note(Level::Info, message, cluster, detail);
        if !asked {
            self.screen.notice = shown;
        }
    }

    fn on_measured(
        &mut self,
        cluster: &str,
        epoch: Epoch,
        subject: &Subject,
        result: Result<Vec<Reading>, Fault>,
        out: &mut Vec<Effect>,
    ) {
        let failed = result.as_ref().err().map(|fault| fault.what);
        if !self.metrics.end(cluster, subject, epoch, result) {
            return;
        }
        let (Some(what), Detection::Known { source, fresh }) = (failed, self.metrics.detection(cluster).clone()) else {
            return;
        };
        match source {
            // One of an earlier run may be gone.
            Source::Prometheus(_) if !fresh => self.look_for_prometheus(cluster, false, out),
            Source::Prometheus(_) => {}
            // Nobody else would answer in its place; what is refused is not asked for again.
            Source::MetricsServer => {
                if what == What::KindMissing {
                    let choice = self.config.settings().prometheus_of(cluster).clone();
                    let refused = self.metrics.refused(cluster).cloned();
                    self.metrics.set(cluster, choice, Detection::Nothing, refused);
                }
            }
        }
    }

    /// Measures something in a cluster, if there is a source and that was not done within the last 30 s. To be called
    /// each second while the values are on the screen, and only then. The values are in
    /// [`Metrics::of`](crate::state::Metrics::of).
    pub(crate) fn measure(&mut self, cluster: &str, subject: &Subject, out: &mut Vec<Effect>) {
        if self.cluster(cluster).is_none_or(|at| at.link != Link::Ready) {
            return;
        }
        let epoch = Epoch(self.counter + 1);
        if let Some(source) = self.metrics.begin(cluster, subject, self.now, epoch) {
            self.counter += 1;
            let (cluster, subject) = (cluster.to_owned(), subject.clone());
            out.push(Effect::Metrics(MetricsEffect::Measure { cluster, epoch, source, subject }));
        }
    }

    /// Measures what the details show.
    pub(crate) fn measure_shown(&mut self, out: &mut Vec<Effect>) {
        if let Some((cluster, subject)) = self.shown_subject() {
            self.measure(&cluster, &subject, out);
        }
    }

    /// Returns the subject of the summary of an object's page, or of the details, if that is on the screen.
    pub fn shown_subject(&self) -> Option<(String, Subject)> {
        if let Some(Dialog::Object(page)) = self.screen.dialogs.last() {
            let object = Some(&page.object).filter(|_| page.part == PagePart::Summary && !page.gone);
            return object.and_then(|object| Some((object.cluster.clone(), Subject::of(object)?)));
        }
        let focus = &self.screen.focus;
        let covered = focus.zoomed || focus.in_log || focus.strip != Strip::Details || !self.screen.dialogs.is_empty();
        if self.unattended() || covered || self.screen.welcome.is_some() {
            return None;
        }
        match focus.pane {
            Pane::Clusters => Some((self.screen.clusters.selected()?.clone(), Subject::Cluster)),
            Pane::Targets => {
                let target = self.screen.targets.selected().and_then(|name| self.target(name))?;
                Some((target.cluster.clone(), self.subject_of(target)?))
            }
            Pane::Pods | Pane::Forwards => None,
        }
    }

    /// Returns the pods behind a workload target: by the workload's name, else as far as its forward knows them.
    pub fn subject_of(&self, target: &Target) -> Option<Subject> {
        let namespace = self.namespace_of(target);
        let workload = target.address.workload()?;
        Subject::of_workload(&namespace, workload).or_else(|| {
            let backends = self.forwards_of(&target.name).flat_map(|forward| &forward.backends);
            Subject::pods(&namespace, backends.map(|backend| backend.via.pod.name.as_str()))
        })
    }

    /// A Prometheus of a cluster of the kubeconfig is known.
    pub(crate) fn has_prometheus(&self) -> Enabled {
        let chosen = self.screen.clusters.chosen();
        self.enabled_for_chosen(
            chosen.iter().any(|name| self.metrics.prometheus(name).is_some()),
            Message::PrometheusUnknown,
        )
    }

    /// Opens forwards to the Prometheuses of the chosen clusters, without saving those that are new.
    pub(crate) fn forward_prometheus(&mut self, out: &mut Vec<Effect>) {
        for cluster in self.screen.clusters.chosen() {
            let Some(found) = self.metrics.prometheus(&cluster) else { continue };
            let Some(service) = found.service.clone() else {
                let at = found.way.place();
                self.note(Level::Info, Message::PrometheusFixed, &cluster, at);
                continue;
            };
            let target = self.prometheus_target(&cluster, &service);
            if self.target(&target.name).is_none() {
                self.targets.add_temporary(target.clone());
            }
            self.screen.targets.wanted = Some(target.name.clone());
            self.screen.focus.pane = Pane::Targets;
            self.open_forward(&target, out);
        }
    }

    /// Returns the target of a service: one that exists, else a new one.
    fn prometheus_target(&self, cluster: &str, service: &ServiceRef) -> Target {
        let workload = Workload {
            kind: Kind::Service,
            name: service.name.clone(),
            port: Port::Number(service.port),
            more: Vec::new(),
            wait: None,
            proxy: false,
            spread: false,
        };
        let leads_there = |target: &&Target| {
            let own = target.address.workload();
            let same = own
                .is_some_and(|own| own.kind == workload.kind && own.name == workload.name && own.port == workload.port);
            target.cluster == cluster && same && self.namespace_of(target) == service.namespace
        };
        self.targets.all().iter().find(leads_there).cloned().unwrap_or_else(|| {
            let name = format!("prometheus-{}", self.cluster_name(cluster));
            let name = if self.target(&name).is_some() { self.free_name(&name) } else { name };
            let address = Destination::Workload(workload.clone());
            let namespace = Some(service.namespace.clone());
            Target { name, cluster: cluster.to_owned(), namespace, address, ..Target::blank() }
        })
    }
}
