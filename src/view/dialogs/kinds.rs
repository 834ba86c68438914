//! The browser of kinds: a text field, the kinds or the objects of one in the server's columns, and what is missing.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::super::cell::Cell;
use super::super::chrome;
use super::super::columns::Column;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::table::GUTTER;
use super::super::typeset::{put, wrap};
use super::large;
use super::rows::{self, Table};
use brow_model::kind_browser::{KindBrowser, KindTable};
use brow_model::kinds::System;

/// From this width on the screen behind it is seen.
const MIN_DIALOG: u16 = 100;

/// Columns of the longest age that is usual: `364d23h`.
const AGE: u16 = 7;

/// Lines about what is missing, at most.
const MAX_NOTES: usize = 3;

/// The system or group, the kind, the resource, the version, where its objects are.
const KINDS: [(&str, Column); 5] = [
    ("column.system", Column::words(4, 8, 30)),
    ("column.kind", Column::words(Column::ALWAYS, 12, 40)),
    ("column.resource", Column::words(3, 12, 60)),
    ("column.version", Column::words(2, 5, 12)),
    ("column.scope", Column::words(1, 6, 12)),
];

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, browser: &KindBrowser) {
    let theme = scene.theme();
    let outer = if area.width < MIN_DIALOG { area } else { large(area) };
    let inner = chrome::dialog(frame, scene, outer, &title(scene, browser), theme.accent);
    put(frame.buffer_mut(), inner.x, inner.y, 1, "›", theme.accent);
    let field = Rect { x: inner.x + 2, width: inner.width.saturating_sub(2), height: inner.height.min(1), ..inner };
    chrome::input(frame, field, &browser.field().input, theme.text, true);
    let notes: Vec<(String, Style)> = notes(scene, browser)
        .into_iter()
        .flat_map(|(words, style)| wrap(&words, inner.width).into_iter().map(move |line| (line, style)))
        .take(MAX_NOTES.min(usize::from(inner.height / 4)))
        .collect();
    let below = u16::try_from(notes.len()).unwrap_or_default();
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1 + below), ..inner };
    state.set_page(body.height.saturating_sub(1).max(1));
    for ((words, style), y) in notes.iter().zip(body.bottom()..inner.bottom()) {
        put(frame.buffer_mut(), inner.x, y, inner.width, words, *style);
    }
    if browser.count() == 0 {
        let (words, style) = empty(scene, browser);
        for (line, y) in wrap(&words, body.width).iter().zip(body.y..body.bottom()) {
            put(frame.buffer_mut(), body.x, y, body.width, line, style);
        }
    } else if body.height > 1 && body.width > GUTTER {
        let tall = usize::from(body.height - 1);
        let cursor = browser.table.as_ref().map_or(browser.cursor, |table| table.cursor);
        let first = state.scroll_dialog(cursor, tall, browser.count());
        let drawn = match &browser.table {
            Some(table) => objects(scene, browser, table, (first, tall)),
            None => kinds(scene, browser, (first, tall)),
        };
        rows::draw(frame, scene, state, &drawn, body);
    }
}

fn title(scene: Scene<'_>, browser: &KindBrowser) -> String {
    let count = browser.count().to_string();
    let cluster = scene.model.cluster_name(&browser.cluster);
    let Some(table) = &browser.table else {
        return scene.text().fill("dialog.kinds", &[("name", cluster), ("count", &count)]);
    };
    let parts = [
        ("kind", table.kind.kind.as_str()),
        ("name", cluster),
        ("namespace", table.namespace.as_deref().unwrap_or_default()),
        ("count", &count),
    ];
    let words = if table.namespace.is_some() { "dialog.kinds-in" } else { "dialog.kinds-of" };
    scene.text().fill(words, &parts)
}

/// Explains why there are no rows; of a kind that is not installed, what brings it.
fn empty(scene: Scene<'_>, browser: &KindBrowser) -> (String, Style) {
    let (theme, text, filter) = (scene.theme(), scene.text(), browser.field().text());
    let known = browser.table.as_ref().map_or(browser.kinds.is_some(), |table| table.done);
    if !known {
        return (scene.get("dialog.browser-looking").to_owned(), theme.info);
    }
    if !filter.is_empty() {
        let missing = System::definition(filter).filter(|_| browser.table.is_none());
        return match missing {
            Some((crd, system)) => {
                let parts = [("crd", crd.as_str()), ("name", system.name), ("how", system.how)];
                (text.fill("dialog.kinds-missing", &parts), theme.warn)
            }
            None => (text.fill("view.no-match", &[("filter", filter)]), theme.dim),
        };
    }
    (scene.get("dialog.kinds-empty").to_owned(), theme.dim)
}

/// Lists why kinds or objects are missing.
fn notes(scene: Scene<'_>, browser: &KindBrowser) -> Vec<(String, Style)> {
    let (theme, text) = (scene.theme(), scene.text());
    let mut notes = Vec::new();
    let own = browser.table.as_ref().map_or(&browser.fault, |table| &table.fault);
    let cluster = || scene.model.cluster(&browser.cluster).and_then(|at| at.fault.as_ref());
    if let Some(fault) = own.as_ref().or_else(cluster) {
        notes.push((format!("⊘ {}", text.fault(fault).what), theme.warn));
    }
    if browser.table.as_ref().is_some_and(|table| table.more) {
        notes.push((scene.get("dialog.kinds-more").to_owned(), theme.warn));
    }
    notes
}

fn kinds<'a>(scene: Scene<'a>, browser: &'a KindBrowser, (first, tall): (usize, usize)) -> Table<'a> {
    let theme = scene.theme();
    let all = browser.kinds.as_deref().unwrap_or_default();
    let at = |row: usize| browser.order.get(row).and_then(|number| all.get(*number));
    let name = |group: &'a str| {
        let built_in = if group.is_empty() { scene.get("view.kinds-core") } else { group };
        System::of(group).map_or(built_in, |system| system.name)
    };
    let row = |number: usize| {
        let kind = at(number)?;
        let above = number.checked_sub(1).filter(|_| number > first).and_then(at);
        let same = above.is_some_and(|above| name(&above.group) == name(&kind.group));
        let scope = if kind.namespaced { "view.kinds-namespaced" } else { "view.kinds-cluster" };
        Some(vec![
            Cell::text(if same { "" } else { name(&kind.group) }, theme.dim),
            Cell::text(kind.kind.as_str(), theme.text),
            Cell::text(kind.resource(), theme.dim),
            Cell::text(kind.version.as_str(), theme.dim),
            Cell::text(scene.get(scope), theme.dim),
        ])
    };
    let last = browser.order.len().min(first + tall);
    Table {
        heads: KINDS.iter().map(|(head, _)| scene.get(head).to_owned()).collect(),
        shapes: KINDS.iter().map(|(_, shape)| *shape).collect(),
        rows: (first..last).filter_map(row).collect(),
        first,
        cursor: browser.cursor,
        count: browser.order.len(),
        with_empty: false,
    }
}

fn objects<'a>(
    scene: Scene<'a>,
    browser: &'a KindBrowser,
    table: &'a KindTable,
    (first, tall): (usize, usize),
) -> Table<'a> {
    let theme = scene.theme();
    let namespaces = table.kind.namespaced && table.namespace.is_none();
    let shown: Vec<usize> = (0..table.columns.len()).filter(|at| table.shows(&table.columns[*at])).collect();
    let mut heads: Vec<String> = ["column.namespace", "column.name"].map(|head| scene.get(head).to_owned()).to_vec();
    let mut shapes = vec![Column::words(200, 8, 30), Column::words(Column::ALWAYS, 30, 60)];
    for (place, at) in shown.iter().enumerate() {
        heads.push(table.columns[*at].name.to_uppercase());
        // The server's order is that of importance.
        shapes.push(Column::words(190_u8.saturating_sub(u8::try_from(place).unwrap_or(u8::MAX)), 9, 60));
    }
    heads.push(scene.get("column.age").to_owned());
    // An age changes its length with time and from page to page: the column has room for all.
    shapes.push(Column::words(195, 3, AGE));
    if !namespaces {
        (heads[0], shapes[0]) = (String::new(), Column::NONE);
    }
    let keys = table.order.iter().skip(first).take(tall);
    let rows = keys.filter_map(|key| table.rows.get(key)).map(|row| {
        let age = row.created.map(|at| scene.text().age(scene.model.time_at(&browser.cluster) - at));
        let cells = shown.iter().map(|at| Cell::text(row.cells.get(*at).map_or("", String::as_str), theme.text));
        let space = if namespaces { row.namespace.as_str() } else { "" };
        let names = [Cell::text(space, theme.dim), Cell::text(row.name.as_str(), theme.text)];
        names
            .into_iter()
            .chain(cells)
            .chain([Cell::text(format!("{:<room$}", age.unwrap_or_default(), room = usize::from(AGE)), theme.dim)])
            .collect()
    });
    Table {
        heads,
        shapes,
        rows: rows.collect(),
        first,
        cursor: table.cursor,
        count: table.order.len(),
        with_empty: false,
    }
}
