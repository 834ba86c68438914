//! The search for a Prometheus, and measurements.

use super::{Effects, internal};
use crate::metrics;
use brow_model::event::Event;
use brow_model::measuring::{MetricsEffect, MetricsEvent, NotFound};
use kube_tunnel::contain::contain;

impl Effects {
    /// Carries out an order about measurements.
    pub(super) fn on_metrics(&mut self, effect: MetricsEffect) {
        let (clusters, events) = (self.clusters.clone(), self.events.clone());
        match effect {
            MetricsEffect::Find { cluster, epoch, namespaces } => {
                let context = cluster.clone();
                let finding = self.spawn(async move {
                    let found = contain(metrics::find(&clusters, &cluster, &namespaces)).await;
                    let broken = |words| Err(NotFound { tried: words, refused: None });
                    let result = found.unwrap_or_else(broken);
                    events.send(Event::Metrics(MetricsEvent::Found { cluster, epoch, result })).await;
                });
                if let Some(old) = self.finding.insert(context, finding) {
                    old.abort();
                }
            }
            MetricsEffect::Measure { cluster, epoch, source, subject } => {
                self.spawn(async move {
                    let measured = contain(metrics::measure(&clusters, &cluster, &source, &subject)).await;
                    let result = measured.unwrap_or_else(|words| Err(internal(&cluster, words)));
                    events.send(Event::Metrics(MetricsEvent::Measured { cluster, epoch, subject, result })).await;
                });
            }
        }
    }
}
