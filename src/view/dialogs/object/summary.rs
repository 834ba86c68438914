//! The summary: the rows of the kind, the containers, the conditions. A section is a function that makes its lines.

use ratatui::style::Modifier;
use ratatui::text::Span;

use super::super::super::details::metrics;
use super::super::super::scene::Scene;
use super::super::super::typeset::{Line, hanging, width};
use brow_model::metrics::Subject;
use brow_model::object_page::ObjectPage;
use brow_model::page::{Summary, SummaryValue, Tone};

/// A part of the summary: its lines for so many columns.
type Section = for<'a> fn(Scene<'a>, &'a ObjectPage, &'a Summary, u16) -> Vec<Line<'a>>;

/// The sections, in their order.
const SECTIONS: [Section; 4] = [rows, usage, containers, conditions];

pub(super) fn lines<'a>(scene: Scene<'a>, page: &'a ObjectPage, room: u16) -> Vec<Line<'a>> {
    let Some(details) = &page.details else { return Vec::new() };
    let sections = SECTIONS.iter().map(|section| section(scene, page, &details.summary, room));
    let mut lines: Vec<Line<'a>> = Vec::new();
    for section in sections.filter(|section| !section.is_empty()) {
        if !lines.is_empty() {
            lines.push(Line::new());
        }
        lines.extend(section);
    }
    lines
}

/// The head of a section.
fn head<'a>(scene: Scene<'a>, key: &str) -> Line<'a> {
    vec![Span::styled(scene.get(key), scene.theme().dim.add_modifier(Modifier::BOLD))]
}

fn padded<'a>(text: &str, columns: u16) -> Span<'a> {
    let own = width(text);
    Span::raw(format!("{text}{}", " ".repeat(columns.saturating_sub(own).into())))
}

fn rows<'a>(scene: Scene<'a>, page: &'a ObjectPage, summary: &'a Summary, room: u16) -> Vec<Line<'a>> {
    let label = |label: &str| scene.get(&format!("page.{label}"));
    let widest = summary.rows.iter().map(|row| width(label(row.label))).max().unwrap_or_default() + 2;
    let now = scene.model.time_at(&page.object.cluster);
    let mut lines = Vec::new();
    for row in &summary.rows {
        let values = match &row.value {
            SummaryValue::Lines(lines) => lines.clone(),
            SummaryValue::Time(at) => vec![scene.text().age(now - *at)],
        };
        for (at, value) in values.iter().enumerate() {
            let lead = padded(if at == 0 { label(row.label) } else { "" }, widest).style(scene.theme().dim);
            lines.extend(hanging(vec![lead], value, scene.theme().tone(row.tone), room));
        }
    }
    lines
}

/// The last hour of its pods, each quantity on a line of its own, with its query.
fn usage<'a>(scene: Scene<'a>, page: &'a ObjectPage, _: &'a Summary, room: u16) -> Vec<Line<'a>> {
    let measured = Subject::of(&page.object).and_then(|at| scene.model.metrics.of(&page.object.cluster, &at));
    let lines = measured.map_or_else(Vec::new, |measured| metrics::lines(scene, &measured.readings, room));
    if lines.is_empty() {
        return lines;
    }
    [head(scene, "page.usage")].into_iter().chain(lines).collect()
}

fn containers<'a>(scene: Scene<'a>, _: &'a ObjectPage, summary: &'a Summary, room: u16) -> Vec<Line<'a>> {
    let (theme, text) = (scene.theme(), scene.text());
    if summary.containers.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![head(scene, "page.containers")];
    let widest = summary.containers.iter().map(|row| width(&row.name)).max().unwrap_or_default() + 2;
    for row in &summary.containers {
        let sign = match row.tone {
            Tone::Good => "●",
            Tone::Bad => "✗",
            Tone::Plain | Tone::Warn | Tone::Dim => "○",
        };
        let style = theme.tone(row.tone);
        let mut words = vec![row.state.clone()];
        if row.restarts > 0 {
            words.push(text.fill("page.restarted", &[("count", &row.restarts.to_string())]));
        }
        if !row.last.is_empty() {
            words.push(text.fill("page.last-run-ended", &[("how", &row.last)]));
        }
        if row.init {
            words.push(scene.get("page.init").to_owned());
        }
        words.retain(|word| !word.is_empty());
        let lead = vec![Span::styled(format!("{sign} "), style), padded(&row.name, widest).style(theme.text)];
        lines.extend(hanging(lead, &words.join(", "), style, room));
        let indent = vec![padded("", widest + 2)];
        lines.extend(hanging(indent, &row.image, theme.dim, room));
    }
    lines
}

fn conditions<'a>(scene: Scene<'a>, page: &'a ObjectPage, summary: &'a Summary, room: u16) -> Vec<Line<'a>> {
    let theme = scene.theme();
    if summary.conditions.is_empty() {
        return Vec::new();
    }
    let now = scene.model.time_at(&page.object.cluster);
    let mut lines = vec![head(scene, "page.conditions")];
    let widest = summary.conditions.iter().map(|row| width(&row.name)).max().unwrap_or_default() + 2;
    for row in &summary.conditions {
        let sign = match row.tone {
            Tone::Good => "✓",
            Tone::Bad => "✗",
            Tone::Plain | Tone::Warn | Tone::Dim => "?",
        };
        let style = theme.tone(row.tone);
        let age = row.since.map(|since| scene.text().age(now - since)).unwrap_or_default();
        let lead = vec![
            Span::styled(format!("{sign} "), style),
            padded(&row.name, widest).style(theme.text),
            padded(&row.status, 9).style(style),
            padded(&age, 6).style(theme.dim),
        ];
        lines.extend(hanging(lead, &row.reason, theme.text, room));
        // A message explains what is not as it should be.
        if row.tone != Tone::Good && !row.message.is_empty() {
            lines.extend(hanging(vec![padded("", 2)], &row.message, theme.dim, room));
        }
    }
    lines
}
