//! The events about an object, the newest first.

use ratatui::text::Span;

use super::super::super::scene::Scene;
use super::super::super::typeset::{Line, hanging};
use brow_model::object_page::ObjectPage;
use brow_model::page::EventRow;

pub(super) fn lines<'a>(scene: Scene<'a>, page: &'a ObjectPage, room: u16) -> Vec<Line<'a>> {
    let theme = scene.theme();
    let said = |key: &str, style| vec![vec![Span::styled(scene.get(key).to_owned(), style)]];
    match &page.events {
        None => said("dialog.loading", theme.info),
        Some(events) if events.is_empty() => said("page.no-events", theme.dim),
        Some(events) => events.iter().flat_map(|event| of(scene, page, event, room)).collect(),
    }
}

fn of<'a>(scene: Scene<'a>, page: &'a ObjectPage, event: &'a EventRow, room: u16) -> Vec<Line<'a>> {
    let theme = scene.theme();
    let now = scene.model.time_at(&page.object.cluster);
    let age = event.at.map(|at| scene.text().age(now - at)).unwrap_or_default();
    let (sign, style) = if event.warning { ("!", theme.warn) } else { ("·", theme.dim) };
    let count = if event.count > 1 { format!(" ×{}", event.count) } else { String::new() };
    let pod = if event.pod.is_empty() { String::new() } else { format!("  {}", event.pod) };
    let head = vec![
        Span::styled(format!("{sign} "), style),
        Span::styled(format!("{age:<6}"), theme.dim),
        Span::styled(event.reason.as_str(), if event.warning { theme.warn } else { theme.text }),
        Span::styled(count, theme.dim),
        Span::styled(pod, theme.accent),
        Span::styled(format!("  {}", event.source), theme.dim),
    ];
    let mut lines = vec![head];
    lines.extend(hanging(vec![Span::raw("        ")], &event.message, theme.text, room));
    lines
}
