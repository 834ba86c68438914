//! Measurements in the details.

use super::fixture::{busy, focused, words};
use super::{shots, shots_with};
use crate::view::Theme;
use brow_model::Model;
use brow_model::focus::Pane;
use brow_model::metrics::{Measure, Prometheus, Reading, Samples, ServiceRef, Source, Subject, Way};
use brow_model::settings::{Colors, Language};

pub(super) fn source() -> Source {
    let service = ServiceRef::new("monitoring", "prometheus-server", 80);
    Source::Prometheus(Prometheus { way: Way::Tunnel(String::new()), service })
}

/// An hour that rises and falls, with a gap.
fn hour(level: f64, query: &str) -> (Samples, String) {
    let at = |minute: u32| f64::from(minute) * 60.0;
    let value = |minute: u32| level * (1.0 + (f64::from(minute) / 9.0).sin() / 2.0);
    let minutes = (0..60).filter(|minute| !(20..24).contains(minute));
    (Samples::of(minutes.map(|minute| (at(minute), value(minute))), at(59)), query.to_owned())
}

pub(super) fn reading(measure: Measure, now: f64, limit: Option<f64>, query: &str) -> Reading {
    Reading { measure, now, limit, hour: Some(hour(now, query)) }
}

/// A model whose connected cluster was measured, by a source.
fn measured(source: Source) -> Model {
    let mut model = focused(busy(), Pane::Clusters);
    let mut readings = vec![
        reading(Measure::Cpu, 2.6, Some(8.0), "sum(rate(node_cpu_seconds_total{mode!~\"idle|iowait|steal\"}[5m]))"),
        reading(
            Measure::Memory,
            15e9,
            Some(34.4e9),
            "sum(node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes)",
        ),
    ];
    if source == Source::MetricsServer {
        for reading in &mut readings {
            reading.hour = None;
        }
    }
    let cluster = model.screen.clusters.selected().cloned().unwrap();
    model.metrics.put(&cluster, source, Subject::Cluster, readings);
    model
}

#[test]
fn the_last_hour_of_a_cluster() {
    shots("metrics", &measured(source()));
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    shots_with("metrics-chinese", &measured(source()), &theme, &words(Language::ZhCn));
}

#[test]
fn the_present_alone() {
    shots("metrics-present", &measured(Source::MetricsServer));
}
