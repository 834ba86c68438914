//! The form for a target: labels, fields, and beside or below each what is wrong with it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::super::chrome;
use super::super::ink::{put_line, width};
use super::super::{Scene, state::ViewState};
use super::field::Row;
use super::middle;
use crate::model::dialog::{FormField, TargetForm};
use crate::view::state::Hit;

/// Columns of the form's content where there is room.
const WIDE: u16 = 124;
/// The same where messages stand below the fields.
const BELOW: u16 = 96;

/// One line of the form.
enum Part<'a> {
    Field(usize),
    Message(Span<'a>),
}

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, form: &TargetForm) {
    let labels: Vec<&str> = FormField::ALL.iter().map(|field| scene.get(&format!("form.{}", field.key()))).collect();
    let hints: Vec<&str> =
        FormField::ALL.iter().map(|field| scene.get(&format!("form-hint.{}", field.key()))).collect();
    let widest = labels.iter().map(|label| width(label)).max().unwrap_or_default();
    let mut rows: Vec<Row<'_>> = (form.fields.iter().zip(labels.iter().zip(&hints)).enumerate())
        .map(|(at, (field, (label, hint)))| {
            let active = at == form.active;
            Row { label: (label, widest), field, hint, active, beside: false }
        })
        .collect();
    let wish = rows.iter().map(|row| row.wish(scene)).max().unwrap_or_default();
    let beside = super::room(area, WIDE) >= wish;
    // All or none, so that the fields keep still when another gets the keys.
    for row in &mut rows {
        row.beside = beside;
    }
    let wide = super::room(area, if beside { wish } else { BELOW });
    let mut parts = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        parts.push(Part::Field(at));
        parts.extend(row.below(scene, wide).into_iter().map(Part::Message));
        parts.extend(open_to_others(scene, form, at).map(Part::Message));
    }
    let title = match &form.editing {
        Some(name) => scene.text().fill("dialog.edit-target", &[("name", name)]),
        None => scene.get("dialog.new-target").to_owned(),
    };
    // A line free above and below, where there is room.
    let tall = u16::try_from(parts.len()).unwrap_or(u16::MAX);
    let airy = u16::from(area.height >= tall.saturating_add(4));
    let outer = middle(area, wide, tall + 2 * airy);
    let inner = chrome::dialog(frame, scene, outer, &title, scene.theme().accent);
    let inner = Rect { y: inner.y + airy, height: inner.height.saturating_sub(2 * airy), ..inner };
    let first = first_part(&parts, form.active, inner.height.into());
    for (part, y) in parts.iter().skip(first).zip(inner.y..inner.bottom()) {
        let line = Rect { y, height: 1, ..inner };
        match part {
            Part::Field(at) => {
                state.zone(line, Hit::Item(*at));
                rows[*at].draw(frame, scene, line);
            }
            Part::Message(message) => {
                let room = line.width.saturating_sub(2);
                put_line(frame.buffer_mut(), line.x + 2, y, room, std::slice::from_ref(message));
            }
        }
    }
}

/// The warning below the local port of a target whose forwards others can reach.
fn open_to_others<'a>(scene: Scene<'_>, form: &TargetForm, at: usize) -> Option<Span<'a>> {
    let keep = form.base.as_ref().map(|base| &base.keep).filter(|keep| keep.is_open_to_others())?;
    let address = keep.local_address?.to_string();
    let says = scene.text().fill("form-hint.open-to-others", &[("address", address.as_str())]);
    (FormField::ALL.get(at) == Some(&FormField::LocalPort))
        .then(|| Span::styled(format!("! {says}"), scene.theme().bad))
}

/// The first line to draw so that the active field and what is said of it are visible.
fn first_part(parts: &[Part<'_>], active: usize, tall: usize) -> usize {
    let field = parts.iter().position(|part| matches!(part, Part::Field(at) if *at == active)).unwrap_or_default();
    let messages = parts[field.min(parts.len())..].iter().skip(1).take_while(|part| matches!(part, Part::Message(_)));
    let last = field + messages.count();
    (last + 1).saturating_sub(tall).min(field)
}
