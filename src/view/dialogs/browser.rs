//! The browser: rows of what clusters have, the filter on the lower frame, and what may not be seen above it.

use std::collections::BTreeSet;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::super::cell::Cell;
use super::super::chrome;
use super::super::columns::Column;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::strip::level;
use super::super::table::GUTTER;
use super::super::typeset::{put, width, wrap};
use super::large;
use super::rows::{self, Table};
use brow_model::browser::Browser;
use brow_model::fault::Fault;
use brow_model::inventory::PortKey;
use brow_model::log::Message;
use brow_model::service::Group;
use brow_model::workload::Kind;

/// Cluster, namespace, object, ports, protocol, saved target.
const COLUMNS: [Column; 6] = [
    Column::words(1, 6, 24),
    Column::words(4, 8, 30),
    Column::words(Column::ALWAYS, 16, 60),
    Column::words(Column::ALWAYS, 5, 24),
    Column::words(3, 6, 16),
    Column::words(2, 8, 40),
];

/// The columns' heads, as the text tables name them.
const HEADS: [&str; 6] =
    ["column.cluster", "column.namespace", "column.object", "column.object-port", "column.service", "column.saved"];

/// From this width on the screen behind it is seen.
const MIN_DIALOG: u16 = 100;

/// Lines about what may not be seen, at most.
const MAX_NOTES: usize = 3;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, browser: &Browser) {
    let theme = scene.theme();
    let list = &browser.list;
    // Where there is little room its frame takes none of it.
    let outer = if area.width < MIN_DIALOG { area } else { large(area) };
    let (count, all) = (list.rows().len().to_string(), list.total().to_string());
    let title = scene.text().fill("dialog.browser", &[("count", &count), ("all", &all)]);
    let inner = chrome::dialog(frame, scene, outer, &title, theme.accent);
    let notes: Vec<(String, Style)> = notes(scene, browser)
        .into_iter()
        .flat_map(|(words, style)| wrap(&words, inner.width).into_iter().map(move |line| (line, style)))
        .take(MAX_NOTES.min(usize::from(inner.height / 3)))
        .collect();
    let below = u16::try_from(notes.len()).unwrap_or_default();
    let body = Rect { height: inner.height.saturating_sub(below), ..inner };
    state.set_page(body.height.saturating_sub(1).max(1));
    for ((words, style), y) in notes.iter().zip(body.bottom()..inner.bottom()) {
        put(frame.buffer_mut(), inner.x, y, inner.width, words, *style);
    }
    if list.rows().is_empty() {
        empty(frame, scene, browser, body);
    } else {
        table(frame, scene, state, browser, body);
    }
    foot(frame, scene, outer, browser);
}

/// The marks above; the filter and what was just taken over below.
fn foot(frame: &mut Frame<'_>, scene: Scene<'_>, outer: Rect, browser: &Browser) {
    let theme = scene.theme();
    let list = &browser.list;
    if !list.marks.is_empty() {
        let marks = format!(" ✓ {} ", list.marks.len());
        let own = width(&marks).min(outer.width);
        put(frame.buffer_mut(), outer.right().saturating_sub(2 + own), outer.y, own, &marks, theme.mark);
    }
    let edge = Rect { y: outer.bottom().saturating_sub(1), height: 1.min(outer.height), ..outer };
    let mut free = outer.width.saturating_sub(4);
    let told = scene.model.screen.notice.as_ref().map(|(entry, _)| entry);
    let told = told.filter(|entry| matches!(entry.message, Message::Taken(_) | Message::NothingMissing));
    if let Some(entry) = told {
        let words = format!(" {} ", scene.text().entry(entry));
        let own = width(&words).min(free.saturating_mul(2) / 3);
        let (_, style) = level(scene, entry.level);
        put(frame.buffer_mut(), edge.right().saturating_sub(2 + own), edge.y, own, &words, style);
        free = free.saturating_sub(own);
    }
    chrome::filter(frame, scene, Rect { width: free + 4, ..edge }, &list.filter, true);
}

/// Explains why there are no rows.
fn empty(frame: &mut Frame<'_>, scene: Scene<'_>, browser: &Browser, body: Rect) {
    let theme = scene.theme();
    let filter = browser.list.filter.value().trim();
    let (words, style) = if !filter.is_empty() && browser.list.total() > 0 {
        (scene.text().fill("view.no-match", &[("filter", filter)]), theme.dim)
    } else if browser.is_done() {
        (scene.get("dialog.browser-empty").to_owned(), theme.dim)
    } else if browser.clusters.iter().all(|(name, looking)| !looking && fault_of(scene, name).is_some()) {
        (scene.get("dialog.browser-down").to_owned(), theme.dim)
    } else {
        (scene.get("dialog.browser-looking").to_owned(), theme.info)
    };
    for (line, y) in wrap(&words, body.width).iter().zip(body.y..body.bottom()) {
        put(frame.buffer_mut(), body.x, y, body.width, line, style);
    }
}

fn fault_of<'a>(scene: Scene<'a>, cluster: &str) -> Option<&'a Fault> {
    scene.model.cluster(cluster)?.fault.as_ref()
}

/// Lists what is missing and why: clusters that don't answer, namespaces that may not be read.
fn notes(scene: Scene<'_>, browser: &Browser) -> Vec<(String, Style)> {
    let theme = scene.theme();
    let mut notes = Vec::new();
    for (name, _) in browser.clusters.iter().filter(|(_, looking)| !**looking) {
        notes.push(match fault_of(scene, name) {
            Some(fault) => (format!("✗ {}", scene.text().fault(fault).what), theme.bad),
            None => (scene.text().fill("dialog.browser-waiting", &[("name", name)]), theme.info),
        });
    }
    if let Some((fault, more)) = browser.inventory.reason() {
        let mut words = scene.text().fault(&fault).what;
        if more > 0 {
            words = scene.text().fill("dialog.browser-more", &[("fault", &words), ("count", &more.to_string())]);
        }
        let narrow = browser.inventory.missing.keys().any(|(_, scope)| scope.namespace.is_none());
        let seen: BTreeSet<&str> =
            browser.inventory.listed.iter().filter_map(|(_, scope)| scope.namespace.as_deref()).collect();
        if narrow && !seen.is_empty() {
            let names = seen.into_iter().collect::<Vec<_>>().join(", ");
            words = scene.text().fill("dialog.browser-narrow", &[("names", &names), ("fault", &words)]);
        }
        notes.push((format!("⊘ {words}"), theme.warn));
    }
    notes
}

fn table(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, browser: &Browser, area: Rect) {
    if area.height < 2 || area.width <= GUTTER {
        return;
    }
    let (theme, list) = (scene.theme(), &browser.list);
    let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let tall = usize::from(body.height);
    let first = state.scroll_dialog(list.cursor(), tall, list.rows().len());
    let end = list.rows().len().min(first + tall);
    let mut table = Table {
        heads: HEADS.map(|head| scene.get(head).to_owned()).to_vec(),
        shapes: COLUMNS.to_vec(),
        rows: (first..end)
            .map(|at| {
                // Values that equal those of the row above are left blank, except on the first visible row.
                let above = if at == first { None } else { list.rows().get(at - 1) };
                cells(scene, browser, &list.rows()[at], above)
            })
            .collect(),
        first,
        cursor: list.cursor(),
        count: list.rows().len(),
        with_empty: true,
    };
    if browser.clusters.len() < 2 {
        table.shapes[0] = Column::NONE;
    }
    rows::draw(frame, scene, state, &table, area);
    let buffer = frame.buffer_mut();
    for (row, y) in list.rows()[first..end].iter().zip(body.y..) {
        if list.marks.contains(row) {
            put(buffer, body.x + 1, y, 1, "✓", theme.mark);
        }
    }
    if list.rows().len() > tall && tall > 0 {
        let length = (tall * tall / list.rows().len()).max(1);
        let start = first * (tall - length) / (list.rows().len() - tall);
        for at in start..start + length {
            put(buffer, body.right() + 1, body.y + u16::try_from(at).unwrap_or_default(), 1, "┃", theme.accent);
        }
    }
}

/// A kind by the shortest name that kubectl takes for it.
fn short(kind: &Kind) -> &str {
    match kind {
        Kind::Service => "svc",
        Kind::Deployment => "deploy",
        Kind::StatefulSet => "sts",
        Kind::DaemonSet => "ds",
        Kind::Pod => "po",
        Kind::ReplicaSet => "rs",
        Kind::Job => "job",
        // Its group is seen when it is imported.
        Kind::Custom(name) => name.split_once('.').map_or(name, |(kind, _)| kind),
        Kind::Selector => "",
    }
}

fn cells<'a>(scene: Scene<'a>, browser: &'a Browser, spot: &'a PortKey, above: Option<&PortKey>) -> Vec<Cell<'a>> {
    let theme = scene.theme();
    let Some((found, port)) = browser.inventory.at(spot) else {
        return Vec::new();
    };
    let key = &found.key;
    let same_cluster = above.is_some_and(|above| above.key.cluster == key.cluster);
    let same_space = same_cluster && above.is_some_and(|above| above.key.namespace == key.namespace);
    let same = above.is_some_and(|above| above.key == *key);
    let unless = |same: bool, text: &'a str| Cell::text(if same { "" } else { text }, theme.dim);
    let object = if same {
        Cell::empty()
    } else {
        Cell::Line(vec![
            Span::styled(format!("{}/", short(&key.kind)), theme.dim),
            Span::styled(key.name.as_str(), theme.text),
        ])
    };
    let mut ports = vec![Span::styled(port.number.to_string(), theme.text)];
    if let Some(name) = &port.name {
        ports.push(Span::styled(format!(" {name}"), theme.dim));
    }
    let service = match port.service {
        Some(service) => {
            let style = match service.group() {
                Group::Database => theme.accent,
                Group::Http => theme.info,
                Group::Tcp => theme.text,
            };
            Cell::text(format!("◆ {}", service.name()), style)
        }
        None => Cell::text("–", theme.faint),
    };
    let saved = match scene.model.saved(found, port) {
        Some(target) => Cell::text(target.name.as_str(), theme.good),
        None => Cell::empty(),
    };
    vec![
        unless(same_cluster, &key.cluster),
        unless(same_space, &key.namespace),
        object,
        Cell::Line(ports),
        service,
        saved,
    ]
}
