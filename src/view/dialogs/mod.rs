//! Dialogs. Only the topmost one is drawn, over dimmed panes.

mod ask;
mod browser;
mod confirm;
mod connections;
mod describe;
mod edit;
mod fault;
mod field;
mod find;
mod form;
mod frame;
mod help;
mod kinds;
mod menu;
mod object;
mod palette;
mod pod_log;
mod rows;
mod shells;
mod tags;
mod why;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::chrome;
use super::scene::Scene;
use super::state::ViewState;
use super::typeset::{Line, wrap};
use brow_model::dialog::Dialog;
use frame::{large, middle, page, room};

/// Draws a dialog into the middle of `area`.
pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, dialog: &Dialog, area: Rect) {
    // Nothing under a dialog can be clicked.
    state.begin();
    match dialog {
        Dialog::TargetForm(form) => form::draw(frame, scene, state, area, form),
        Dialog::Rename { name, field } => ask::rename(frame, scene, state, area, (name, field)),
        Dialog::AskTtl { targets, field } => ask::ttl(frame, scene, state, area, (targets, field)),
        Dialog::Confirm { question, button } => confirm::draw(frame, scene, state, area, (question, *button)),
        Dialog::Help { filter, scroll } => help::draw(frame, scene, state, area, (filter, *scroll)),
        Dialog::Tags { cursor } => tags::draw(frame, scene, state, area, *cursor),
        Dialog::Palette(palette) => palette::draw(frame, scene, state, area, palette),
        Dialog::Describe { key, text, scroll } => {
            let title = scene.text().fill("dialog.describe", &[("pod", &key.name)]);
            let text = text.as_ref().map(|text| text.as_ref().map(|lines| scene.text().description(lines)));
            describe::draw(frame, scene, state, area, (&title, text, *scroll));
        }
        Dialog::Object(page) => object::draw(frame, scene, state, area, page),
        Dialog::Why(steps) => why::draw(frame, scene, state, area, steps),
        Dialog::PodLog { key, lines, ended, back, .. } => {
            pod_log::draw(frame, scene, state, area, (key, lines, ended.as_ref(), *back));
        }
        Dialog::Kinds(browser) => kinds::draw(frame, scene, state, area, browser),
        Dialog::Edit(edit) => edit::draw(frame, scene, state, area, edit),
        Dialog::Find(finder) => find::draw(frame, scene, state, area, finder),
        Dialog::Browser(browser) => browser::draw(frame, scene, state, area, browser),
        Dialog::Connections(list) => connections::draw(frame, scene, state, area, list),
        Dialog::Shells { cursor } => shells::draw(frame, scene, state, area, *cursor),
        Dialog::Menu(menu) => menu::draw(frame, scene, state, area, menu),
        Dialog::Import { cluster, field, pasted } => {
            ask::import(frame, scene, state, area, (cluster, field, pasted.as_deref()));
        }
        Dialog::NotCopied { text, scroll } => not_copied(frame, scene, state, area, (text, *scroll)),
        Dialog::Fault(fault) => fault::draw(frame, scene, state, area, fault),
    }
}

/// A text that may not have reached the clipboard, to be taken with the mouse.
fn not_copied(
    frame: &mut Frame<'_>,
    scene: Scene<'_>,
    state: &mut ViewState,
    area: Rect,
    (text, scroll): (&str, usize),
) {
    let theme = scene.theme();
    let inner = chrome::dialog(frame, scene, large(area), scene.get("dialog.not-copied"), theme.warn);
    let says = wrap(scene.get("dialog.not-copied-says"), inner.width);
    let mut lines: Vec<Line<'_>> = says.into_iter().map(|line| vec![Span::styled(line, theme.dim)]).collect();
    lines.push(Line::new());
    lines.extend(text.lines().map(|line| vec![Span::styled(line.to_owned(), theme.text)]));
    state.set_page(inner.height);
    state.set_max_scroll(lines.len());
    page(frame, scene, inner, &lines, scroll.min(lines.len().saturating_sub(inner.height.into())));
}
