//! The form for a target: its pages, the fields of the one that is shown, and beside or below each what is wrong with
//! it. The first page says what the others hold.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::typeset::{put, put_line, width};
use super::field::Row;
use super::middle;
use crate::view::state::Hit;
use brow_model::field::{Page, TargetField};
use brow_model::form::TargetForm;
use brow_model::node::ServicePort;

/// Columns of the form's content where there is room.
const WIDTH: u16 = 124;
/// The same where messages stand below the fields.
const NARROW_WIDTH: u16 = 96;

/// The most contexts or ports that are offered.
const MAX_OFFERS: usize = 5;

/// One line of the form.
enum Part<'a> {
    Field(usize, Box<Row<'a>>),
    Message(Span<'a>),
    /// A summary of another page.
    Elsewhere(Page, String),
}

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, form: &TargetForm) {
    let mut rows: Vec<(usize, Row<'_>)> = rows(scene, form);
    let natural_width = rows.iter().map(|(_, row)| row.natural_width(scene)).max().unwrap_or_default();
    let beside = super::room(area, WIDTH) >= natural_width;
    // All or none, so that the fields keep still when another gets the keys.
    for (_, row) in &mut rows {
        row.beside = beside;
    }
    let wide = super::room(area, if beside { natural_width } else { NARROW_WIDTH });
    let parts = parts(scene, form, rows, wide);
    let title = match &form.editing {
        Some(name) => scene.text().fill("dialog.edit-target", &[("name", name)]),
        None => scene.get("dialog.new-target").to_owned(),
    };
    // The pages' names, and a line free above and below, where there is room.
    let tall = u16::try_from(parts.len()).unwrap_or(u16::MAX).saturating_add(1);
    let airy = u16::from(area.height >= tall.saturating_add(4));
    let outer = middle(area, wide, tall + 2 * airy);
    let inner = chrome::dialog(frame, scene, outer, &title, scene.theme().accent);
    tabs(frame, scene, state, inner, form);
    let taken = (1 + airy).min(inner.height);
    let inner = Rect { y: inner.y + taken, height: inner.height.saturating_sub(1 + 2 * airy), ..inner };
    let first = first_part(&parts, form.active, inner.height.into());
    for (part, y) in parts.iter().skip(first).zip(inner.y..inner.bottom()) {
        let line = Rect { y, height: 1, ..inner };
        let room = line.width.saturating_sub(2);
        match part {
            Part::Field(at, row) => {
                state.add_area(line, Hit::Item(*at));
                row.draw(frame, scene, line);
            }
            Part::Message(message) => {
                put_line(frame.buffer_mut(), line.x + 2, y, room, std::slice::from_ref(message));
            }
            Part::Elsewhere(page, words) => {
                state.add_area(line, hit(*page));
                put(frame.buffer_mut(), line.x + 2, y, room, words, scene.theme().dim);
            }
        }
    }
}

/// The fields of the page that is shown, each with its place among all.
fn rows<'a>(scene: Scene<'a>, form: &'a TargetForm) -> Vec<(usize, Row<'a>)> {
    let label = |field: TargetField| scene.get(&format!("form.{}", field.key()));
    let widest = form.page().fields().map(|(_, field)| width(label(field))).max().unwrap_or_default();
    let row = |(at, of): (usize, TargetField)| {
        let field = form.fields.get(at)?;
        // In brackets, so that it is told from what was written where there are no colors.
        let unsaid = chosen(scene, &scene.model.inherited(form, of));
        let unsaid = if unsaid.is_empty() { unsaid } else { format!("({unsaid})") };
        let row = Row {
            label: (label(of), widest),
            field,
            hint: scene.get(&format!("form-hint.{}", of.key())),
            offers: match of {
                TargetField::Cluster => offers(scene, form),
                TargetField::Address => offered_ports(form),
                _ => String::new(),
            },
            active: at == form.active,
            beside: false,
            unsaid,
            chosen: (!of.choices().is_empty()).then(|| chosen(scene, field.text())),
        };
        Some((at, row))
    };
    form.page().fields().filter_map(row).collect()
}

/// Returns the contexts like what is being typed, by the names that the panes show.
fn offers(scene: Scene<'_>, form: &TargetForm) -> String {
    if form.sought.is_empty() {
        return String::new();
    }
    let names = scene.model.contexts_like(form).into_iter().map(|name| scene.model.cluster_name(name));
    names.take(MAX_OFFERS).collect::<Vec<_>>().join("  ")
}

/// Returns the ports of nodes like what is being typed, each with its service.
fn offered_ports(form: &TargetForm) -> String {
    let offer = |offer: &ServicePort| format!("{} {offer}", offer.port);
    form.ports_like().into_iter().take(MAX_OFFERS).map(offer).collect::<Vec<_>>().join("  ")
}

/// Returns the label of a field's value.
fn chosen(scene: Scene<'_>, text: &str) -> String {
    match text {
        "true" => scene.get("choice.yes").to_owned(),
        "false" => scene.get("choice.no").to_owned(),
        text => text.to_owned(),
    }
}

/// The lines of the page.
fn parts<'a>(scene: Scene<'a>, form: &TargetForm, rows: Vec<(usize, Row<'a>)>, wide: u16) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    for (at, row) in rows {
        let own = [TargetField::LocalPort, TargetField::LocalAddress].contains(&TargetField::ALL[at]);
        let below: Vec<Span<'_>> = row
            .below(scene, wide)
            .into_iter()
            .map(|span| Span::styled(span.content.into_owned(), span.style))
            .collect();
        parts.push(Part::Field(at, Box::new(row)));
        parts.extend(below.into_iter().map(Part::Message));
        parts.extend(open_to_others(scene, form).filter(|_| own).map(Part::Message));
    }
    let others = Page::ALL.into_iter().filter(|page| *page != Page::Target && form.page() == Page::Target);
    for page in others {
        let says = |(field, text): (TargetField, &str)| {
            format!("{} {}", scene.get(&format!("form.{}", field.key())), chosen(scene, text))
        };
        let said: Vec<String> = form.set_on(page).map(says).collect();
        if !said.is_empty() {
            parts.push(Part::Elsewhere(page, format!("{}: {}", name(scene, page), said.join(" · "))));
        }
    }
    parts
}

fn name(scene: Scene<'_>, page: Page) -> &str {
    scene.get(&format!("form-page.{}", page.key()))
}

fn hit(page: Page) -> Hit {
    let at = Page::ALL.iter().position(|known| *known == page).unwrap_or_default();
    Hit::Item(TargetField::ALL.len() + at)
}

/// The names of the pages: the one that is shown stands out, others say how much they hold and whether it is right.
fn tabs(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, inner: Rect, form: &TargetForm) {
    if inner.is_empty() {
        return;
    }
    let theme = scene.theme();
    let mut x = inner.x + 1;
    for page in Page::ALL {
        let wrong = page.fields().any(|(at, _)| form.fields.get(at).is_some_and(|field| field.error.is_some()));
        let count = if page == Page::Target { 0 } else { form.set_on(page).count() };
        let mut words = format!(" {} ", name(scene, page));
        if count > 0 {
            words = format!("{words}{count} ");
        }
        if wrong {
            words = format!("{words}✗ ");
        }
        let style = match (page == form.page(), wrong) {
            (true, _) => theme.text.patch(theme.selection),
            (false, true) => theme.bad,
            (false, false) => theme.dim,
        };
        let own = width(&words).min(inner.right().saturating_sub(x));
        state.add_area(Rect { x, y: inner.y, width: own, height: 1 }, hit(page));
        put(frame.buffer_mut(), x, inner.y, own, &words, style);
        x = (x + own + 1).min(inner.right());
    }
}

/// The warning below the fields of a target whose forwards others can reach.
fn open_to_others<'a>(scene: Scene<'_>, form: &TargetForm) -> Option<Span<'a>> {
    let address = form.open_to_others()?.to_string();
    let says = scene.text().fill("form-hint.open-to-others", &[("address", address.as_str())]);
    Some(Span::styled(format!("! {says}"), scene.theme().bad))
}

/// The first line to draw so that the active field and what is said of it are visible.
fn first_part(parts: &[Part<'_>], active: usize, tall: usize) -> usize {
    let field = parts.iter().position(|part| matches!(part, Part::Field(at, _) if *at == active)).unwrap_or_default();
    let messages = parts[field.min(parts.len())..].iter().skip(1).take_while(|part| matches!(part, Part::Message(_)));
    let last = field + messages.count();
    (last + 1).saturating_sub(tall).min(field)
}
