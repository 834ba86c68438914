//! Measurements: the last hour as sparklines, the present, and the queries.

use ratatui::text::Span;

use crate::view::cell::VERTICAL_EIGHTHS;
use crate::view::scene::Scene;
use crate::view::typeset::{Line, width};
use brow_model::cluster::Cluster;
use brow_model::metrics::{Measure, Reading, Samples, Subject};
use brow_model::target::Target;

/// The least and the most columns of an hour.
const CELLS: (usize, usize) = (6, 30);

/// Returns measurements in one line: of each its name, its last hour if that is known, and the present of the most that
/// there is. What there is no room for is left out.
pub(in crate::view) fn trend<'a>(scene: Scene<'a>, readings: &[Reading], room: u16) -> Line<'a> {
    let theme = scene.theme();
    let name = |measure: Measure| scene.get(key(measure));
    let mut shown: Vec<(&Reading, &str, String)> =
        readings.iter().map(|reading| (reading, name(reading.measure), value(scene, reading))).collect();
    // Two columns are for the sign that there is more.
    let room = usize::from(room.saturating_sub(2));
    let cells = loop {
        let hours = shown.iter().filter(|(reading, ..)| reading.hour.is_some()).count();
        let words = shown.iter().map(|(_, label, value)| usize::from(width(label) + width(value)) + 1);
        let used = words.sum::<usize>() + 3 * shown.len().saturating_sub(1) + hours;
        let left = room.saturating_sub(used);
        match left.checked_div(hours) {
            Some(cells) if cells >= CELLS.0 => break cells.min(CELLS.1),
            None if used <= room || shown.is_empty() => break 0,
            _ => shown.pop(),
        };
    };
    let mut line = Vec::new();
    for (reading, label, value) in shown {
        line.extend((!line.is_empty()).then(|| Span::raw("   ")));
        line.push(Span::styled(label, theme.dim));
        if let Some((samples, _)) = &reading.hour {
            line.push(Span::styled(format!(" {}", spark(samples, reading.limit, cells)), theme.info));
        }
        line.push(Span::styled(format!(" {value}"), theme.text));
    }
    line
}

/// Returns measurements one below the other, each with its query.
pub(in crate::view) fn lines<'a>(scene: Scene<'a>, readings: &'a [Reading], room: u16) -> Vec<Line<'a>> {
    let theme = scene.theme();
    let label = |reading: &Reading| scene.get(key(reading.measure));
    let widest = readings.iter().map(|reading| width(label(reading))).max().unwrap_or_default();
    let mut lines = Vec::new();
    for reading in readings {
        let gap = " ".repeat(usize::from(widest.saturating_sub(width(label(reading))) + 2));
        let mut line = vec![Span::styled(format!("{}{gap}", label(reading)), theme.dim)];
        let value = value(scene, reading);
        let Some((samples, query)) = &reading.hour else {
            line.push(Span::styled(value, theme.text));
            lines.push(line);
            continue;
        };
        let used = usize::from(widest + 3 + width(&value));
        let cells = usize::from(room).saturating_sub(used).min(Samples::COUNT);
        line.push(Span::styled(format!("{} ", spark(samples, reading.limit, cells)), theme.info));
        line.push(Span::styled(value, theme.text));
        lines.push(line);
        let indent = " ".repeat(usize::from(widest) + 2);
        lines.push(vec![Span::styled(format!("{indent}{query}"), theme.faint)]);
    }
    lines
}

/// Returns the queries that measurements come from.
pub(in crate::view) fn queries<'a>(scene: Scene<'a>, readings: &'a [Reading]) -> Vec<(&'a str, Span<'a>)> {
    let queries = readings.iter().filter_map(|reading| reading.hour.as_ref().map(|(_, query)| query.as_str()));
    queries.map(|query| (scene.get("view.query"), Span::styled(query, scene.theme().faint))).collect()
}

/// Returns what is known of a cluster's measurements: the line, and the facts.
pub(super) fn of_cluster<'a>(scene: Scene<'a>, cluster: &Cluster, room: u16) -> (Line<'a>, Vec<(&'a str, Span<'a>)>) {
    let metrics = &scene.model.metrics;
    let measured = metrics.of(&cluster.name, &Subject::Cluster);
    let readings = measured.map_or(&[][..], |measured| &measured.readings);
    let mut facts = Vec::new();
    if let Some(found) = metrics.prometheus(&cluster.name) {
        let way = scene.get(way(found.way.name()));
        let place = found.service.as_ref().map(ToString::to_string);
        let place = place.or_else(|| found.way.endpoint().map(ToString::to_string)).unwrap_or_default();
        facts.push((scene.get("view.prometheus"), Span::styled(format!("{place} ({way})"), scene.theme().text)));
        if let Some(fault) = measured.and_then(|measured| measured.fault.as_ref()) {
            let words = scene.text().fault(fault);
            let both = format!("{}: {}", words.what, words.detail);
            facts.push((scene.get("view.measuring"), Span::styled(both, scene.theme().warn)));
        }
    }
    facts.extend(queries(scene, readings));
    (trend(scene, readings, room), facts)
}

/// Returns what is known of the pods behind a target: the line, and the facts.
pub(super) fn of_target<'a>(scene: Scene<'a>, target: &Target, room: u16) -> (Line<'a>, Vec<(&'a str, Span<'a>)>) {
    let subject = scene.model.subject_of(target);
    let measured = subject.and_then(|subject| scene.model.metrics.of(&target.cluster, &subject));
    let readings = measured.map_or(&[][..], |measured| &measured.readings);
    (trend(scene, readings, room), queries(scene, readings))
}

fn key(measure: Measure) -> &'static str {
    match measure {
        Measure::Cpu => "view.measure-cpu",
        Measure::Memory => "view.measure-memory",
        Measure::Restarts => "view.measure-restarts",
        Measure::Received => "view.measure-received",
        Measure::Sent => "view.measure-sent",
    }
}

fn way(name: &str) -> &'static str {
    match name {
        "config" => "view.way-config",
        "load-balancer" => "view.way-load-balancer",
        "ingress" => "view.way-ingress",
        "node-port" => "view.way-node-port",
        _ => "view.way-tunnel",
    }
}

/// Returns the present value, of the most that there is.
fn value(scene: Scene<'_>, reading: &Reading) -> String {
    let text = scene.text();
    let bytes = |value: f64| text.bytes(whole(value));
    let one = |value: f64| match reading.measure {
        Measure::Cpu => text.cores(value),
        Measure::Memory => bytes(value),
        Measure::Restarts => whole(value).to_string(),
        Measure::Received | Measure::Sent => text.rate(whole(value)),
    };
    let now = one(reading.now);
    let shown = match reading.limit {
        Some(limit) => format!("{now}/{}", one(limit)),
        None => now,
    };
    if reading.measure == Measure::Cpu { text.fill("view.cores", &[("count", &shown)]) } else { shown }
}

/// Returns a measured value as a whole number. What is too large is the largest.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of floats saturates")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// Draws an hour into so many cells: each shows the highest value of its share of the time, as a part of `top`, or of
/// the highest of all.
fn spark(samples: &Samples, top: Option<f64>, cells: usize) -> String {
    let values = samples.values();
    let highest = values.iter().flatten().copied().fold(0.0, f64::max);
    let top = top.filter(|top| *top >= highest).unwrap_or(highest);
    let cell = |at: usize| {
        let share = &values[at * values.len() / cells..(at + 1) * values.len() / cells];
        let value =
            share.iter().flatten().copied().fold(None, |most: Option<f64>, v| Some(most.map_or(v, |m| m.max(v))));
        // Something is never drawn as nothing, and nothing as a line.
        let eighths = |value: f64| if top > 0.0 { whole(value / top * 8.0).clamp(1, 8) } else { 1 };
        VERTICAL_EIGHTHS[value.map_or(0, |value| usize::try_from(eighths(value)).unwrap_or_default())]
    };
    (0..cells.min(values.len())).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_fits_any_width_and_gaps_stay() {
        let at = |minute: u32| f64::from(minute) * 60.0;
        let rising = Samples::of((0..60).map(|minute| (at(minute), f64::from(minute))), at(59));
        assert_eq!(spark(&rising, None, 10), "▁▁▂▃▄▅▆▆▇█");
        assert_eq!(spark(&rising, Some(118.0), 10), "▁▁▁▂▂▂▃▃▄▄");
        let gap = Samples::of((0..20).chain(40..60).map(|minute| (at(minute), 5.0)), at(59));
        assert_eq!(spark(&gap, Some(1.0), 6), "██  ██", "a limit below what is used is none");
        let zero = Samples::of((0..60).map(|minute| (at(minute), 0.0)), at(59));
        assert_eq!(spark(&zero, None, 6), "▁▁▁▁▁▁");
        let huge = Samples::of([(at(59), f64::MAX)], at(59));
        assert_eq!(spark(&huge, None, 6), "     █");
        assert_eq!((spark(&rising, None, 0).as_str(), whole(f64::MAX)), ("", u64::MAX));
    }
}
