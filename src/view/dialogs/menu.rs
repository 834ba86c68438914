//! A menu of texts to copy.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::state::{Hit, ViewState};
use super::super::typeset::{put, width};
use super::{middle, room};
use brow_model::menu::{Menu, MenuItem, MenuLabel, MenuOf};

/// Columns where there is room.
const WIDTH: u16 = 110;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, menu: &Menu) {
    let theme = scene.theme();
    let title = match &menu.of {
        MenuOf::Strings(name) => scene.text().fill("dialog.strings", &[("name", name)]),
        MenuOf::Export(count) => scene.text().fill("dialog.export", &[("count", &count.to_string())]),
    };
    let label = |item: &MenuItem| match &item.label {
        MenuLabel::Name(name) => name.clone(),
        MenuLabel::Address => scene.get("menu.address").to_owned(),
        MenuLabel::Toml => scene.get("menu.toml").to_owned(),
        MenuLabel::Kubectl => scene.get("menu.kubectl").to_owned(),
    };
    let labels: Vec<String> = menu.items.iter().map(label).collect();
    let lead = labels.iter().map(|label| width(label)).max().unwrap_or_default();
    let longest = menu.items.iter().map(|item| width(&item.shown)).max().unwrap_or_default();
    let natural_width = lead.saturating_add(longest).saturating_add(5).max(width(&title).saturating_add(2));
    let tall = u16::try_from(menu.items.len()).unwrap_or(u16::MAX);
    let outer = middle(area, room(area, natural_width.min(WIDTH)), tall);
    let inner = chrome::dialog(frame, scene, outer, &title, theme.accent);
    state.set_page(inner.height);
    let first = state.scroll_dialog(menu.cursor, inner.height.into(), menu.items.len());
    let items = menu.items.iter().zip(&labels).enumerate().skip(first);
    for ((at, (item, label)), y) in items.zip(inner.y..inner.bottom()) {
        let line = Rect { y, height: 1, ..inner };
        state.add_area(line, Hit::Item(at));
        let lead = lead.min(line.width / 3);
        put(frame.buffer_mut(), line.x + 2, y, lead, label, theme.accent);
        let x = line.x + lead + 4;
        put(frame.buffer_mut(), x, y, line.right().saturating_sub(x), &item.shown, theme.text);
        if at == menu.cursor {
            frame.buffer_mut().set_style(line, theme.selection);
            put(frame.buffer_mut(), line.x, y, 1, "▌", theme.accent);
        }
    }
}
