//! An object's page: the line of its parts, and the part in view.

mod events;
mod logs;
mod relations;
mod summary;

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::super::chrome;
use super::super::details::fault_lines;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::typeset::{Line, put, put_line, wrap};
use super::describe;
use super::frame::{large, loading, page};
use brow_model::object_page::ObjectPage;
use brow_model::page::{ManagedFields, PagePart};

/// From this width on the screen behind it is seen.
const MIN_DIALOG: u16 = 100;

/// Lines about what is missing, at most.
const MAX_NOTES: usize = 2;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, page: &ObjectPage) {
    let theme = scene.theme();
    let outer = if area.width < MIN_DIALOG { area } else { large(area) };
    let inner = chrome::dialog(frame, scene, outer, &title(scene, page), theme.accent);
    if inner.height < 4 {
        return;
    }
    put_line(frame.buffer_mut(), inner.x, inner.y, inner.width, &parts(scene, page));
    let notes: Vec<(String, Style)> = notes(scene, page)
        .into_iter()
        .flat_map(|(words, style)| wrap(&words, inner.width).into_iter().map(move |line| (line, style)))
        .take(MAX_NOTES.min(usize::from(inner.height / 6)))
        .collect();
    let below = u16::try_from(notes.len()).unwrap_or_default();
    let body = Rect { y: inner.y + 2, height: inner.height.saturating_sub(2 + below), ..inner };
    for ((words, style), y) in notes.iter().zip(body.bottom()..inner.bottom()) {
        put(frame.buffer_mut(), inner.x, y, inner.width, words, *style);
    }
    state.set_page(body.height);
    match page.part {
        PagePart::Relations => relations::draw(frame, scene, state, body, page),
        PagePart::Logs => logs::draw(frame, scene, state, body, page),
        PagePart::Events if page.events_fault.is_some() && page.events.is_none() => failed(frame, scene, body, page),
        PagePart::Events => scrolled(frame, scene, state, body, page, &events::lines(scene, page, body.width)),
        PagePart::Summary | PagePart::Yaml if page.details.is_none() => failed(frame, scene, body, page),
        PagePart::Summary => scrolled(frame, scene, state, body, page, &summary::lines(scene, page, body.width)),
        PagePart::Yaml => describe::text_in(frame, scene, state, body, (&yaml(scene, page), page.scroll())),
    }
}

fn title(scene: Scene<'_>, page: &ObjectPage) -> String {
    let at = &page.object;
    let cluster = scene.model.cluster_name(&at.cluster);
    let place = if at.namespace.is_empty() { cluster.to_owned() } else { format!("{cluster}/{}", at.namespace) };
    format!("{} {} · {place}", at.kind.kind, at.name)
}

/// The YAML, with the managed fields on one line until they are unfolded.
fn yaml<'a>(scene: Scene<'_>, page: &'a ObjectPage) -> Cow<'a, [String]> {
    let lines = page.yaml();
    let managed = page.details.as_ref().and_then(|details| details.managed.as_ref());
    let Some((managed, at)) = managed.zip(ManagedFields::place_in(lines)) else { return lines.into() };
    let mut lines = lines.to_vec();
    if page.unfolded {
        lines.splice(at..=at, std::iter::once("  managedFields:".to_owned()).chain(managed.lines.iter().cloned()));
    } else {
        let words = scene.text().fill("page.managed", &[("count", &managed.count.to_string())]);
        lines[at] = format!("  managedFields: {words}");
    }
    lines.into()
}

/// The parts with their keys; the one in view stands out.
fn parts<'a>(scene: Scene<'a>, page: &ObjectPage) -> Line<'a> {
    let theme = scene.theme();
    let mut line = Line::new();
    for part in PagePart::ALL {
        let style = if part == page.part {
            theme.accent.add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
        } else {
            theme.dim
        };
        if !line.is_empty() {
            line.push(Span::raw("   "));
        }
        line.push(Span::styled(scene.text().fill(&format!("page.{}", part.name()), &[]), style));
    }
    line
}

/// Lists what is wrong with the object, and what may not be seen of it.
fn notes(scene: Scene<'_>, page: &ObjectPage) -> Vec<(String, Style)> {
    let theme = scene.theme();
    let mut notes = Vec::new();
    if page.gone {
        notes.push((format!("✗ {}", scene.get("page.gone")), theme.bad));
    }
    let of_part = match page.part {
        PagePart::Relations => page.relations.fault.as_ref(),
        PagePart::Events => page.events_fault.as_ref().filter(|_| page.events.is_some()),
        PagePart::Summary | PagePart::Yaml | PagePart::Logs => None,
    };
    let of_object = page.fault.as_ref().filter(|_| page.details.is_some());
    for fault in of_part.into_iter().chain(of_object) {
        notes.push((format!("⊘ {}", scene.text().fault(fault).what), theme.warn));
    }
    if page.part == PagePart::Yaml && page.revealed.is_some() {
        notes.push((scene.get("page.revealed").to_owned(), theme.warn));
    }
    notes
}

/// Says that nothing is here yet, or why.
fn failed(frame: &mut Frame<'_>, scene: Scene<'_>, body: Rect, of: &ObjectPage) {
    match of.fault() {
        Some(fault) => page(frame, scene, body, &fault_lines(scene, fault, body.width, body.height), 0),
        None if of.gone => {}
        None => loading(frame, scene, body),
    }
}

fn scrolled(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    state: &mut ViewState,
    body: Rect,
    of: &ObjectPage,
    lines: &[Line<'_>],
) {
    state.set_max_scroll(lines.len());
    let most = lines.len().saturating_sub(body.height.into());
    page(frame, scene, body, lines, of.scroll().min(most));
}
