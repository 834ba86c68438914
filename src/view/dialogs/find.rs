//! The search: a text field, the results with what matches in them, and what is not searched yet or at all.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::super::cell::Cell;
use super::super::chrome;
use super::super::columns::Column;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::table::GUTTER;
use super::super::typeset::{put, wrap};
use super::large;
use super::rows::{self, Table};
use brow_model::cluster::Link;
use brow_model::command::{ROWS, Section};
use brow_model::find::{Finder, FoundRow, Hit};
use brow_model::forward::Forward;

/// Kind, name, namespace, cluster, age.
const COLUMNS: [Column; 5] = [
    Column::words(3, 5, 16),
    Column::words(Column::ALWAYS, 16, 60),
    Column::words(4, 8, 40),
    Column::words(2, 6, 24),
    Column::words(1, 3, 6),
];

/// The columns' heads, as the text tables name them.
const HEADS: [&str; 5] = ["column.kind", "column.name", "column.namespace", "column.cluster", "column.age"];

/// From this width on the screen behind it is seen.
const MIN_DIALOG: u16 = 100;

/// Lines about what is not searched, at most.
const MAX_NOTES: usize = 3;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, finder: &Finder) {
    let theme = scene.theme();
    let outer = if area.width < MIN_DIALOG { area } else { large(area) };
    let rows = &finder.results.rows;
    let (count, more) = (rows.len().to_string(), finder.results.more.to_string());
    let title = match finder.results.more {
        0 => scene.text().fill("dialog.find", &[("count", &count)]),
        _ => scene.text().fill("dialog.find-more", &[("count", &count), ("more", &more)]),
    };
    let inner = chrome::dialog(frame, scene, outer, &title, theme.accent);
    put(frame.buffer_mut(), inner.x, inner.y, 1, "›", theme.accent);
    let field = Rect { x: inner.x + 2, width: inner.width.saturating_sub(2), height: inner.height.min(1), ..inner };
    chrome::input(frame, field, &finder.field.input, theme.text, true);
    let notes: Vec<(String, Style)> = notes(scene)
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
    if rows.is_empty() {
        empty(frame, scene, finder, body);
    } else {
        table(frame, scene, state, finder, body);
    }
}

/// Explains why there are no results.
fn empty(frame: &mut Frame<'_>, scene: Scene<'_>, finder: &Finder, body: Rect) {
    let theme = scene.theme();
    let text = finder.field.text();
    let (words, style) = if text.is_empty() {
        (scene.get("dialog.find-help").to_owned(), theme.dim)
    } else if scene.model.index.clusters().values().any(|index| !index.is_done()) {
        (scene.get("dialog.browser-looking").to_owned(), theme.info)
    } else {
        let nothing = scene.text().fill("view.no-match", &[("filter", text)]);
        let connected = scene.model.clusters.all().iter().any(|at| at.link == Link::Ready);
        let why = if connected { "" } else { scene.get("dialog.find-unconnected") };
        (format!("{nothing} {why}"), theme.dim)
    };
    for (line, y) in wrap(&words, body.width).iter().zip(body.y..body.bottom()) {
        put(frame.buffer_mut(), body.x, y, body.width, line, style);
    }
}

/// Lists clusters that do not answer or are still being read, and what may not be listed.
fn notes(scene: Scene<'_>) -> Vec<(String, Style)> {
    let (theme, text, model) = (scene.theme(), scene.text(), scene.model);
    let (mut notes, mut waiting) = (Vec::new(), Vec::new());
    for at in model.clusters.all() {
        let down = matches!(at.link, Link::Unreachable | Link::Unauthorized);
        let unknown = || model.index.clusters().get(&at.name).and_then(|index| index.fault.as_ref());
        let fault = at.fault.as_ref().filter(|_| down).or_else(unknown);
        notes.extend(fault.map(|fault| (format!("✗ {}", text.fault(fault).what), theme.bad)));
        if fault.is_none() && model.silent().any(|silent| silent.name == at.name) {
            waiting.push(model.cluster_name(&at.name));
        }
    }
    if !waiting.is_empty() {
        notes.push((text.fill("dialog.browser-waiting", &[("name", &waiting.join(", "))]), theme.info));
    }
    for (name, index) in model.index.clusters().iter().filter(|(_, index)| !index.is_done() && !index.kinds.is_empty())
    {
        let (done, all) = index.progress();
        let parts = [
            ("name", model.cluster_name(name)),
            ("done", &done.to_string()),
            ("all", &all.to_string()),
            ("count", &index.count().to_string()),
        ];
        notes.push((text.fill("dialog.find-reading", &parts), theme.info));
    }
    for fault in model.index.clusters().values().filter_map(|index| index.missing()) {
        notes.push((format!("⊘ {}", text.fault(&fault).what), theme.warn));
    }
    notes
}

fn table(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, finder: &Finder, area: Rect) {
    if area.height < 2 || area.width <= GUTTER {
        return;
    }
    let rows = &finder.results.rows;
    let tall = usize::from(area.height - 1);
    let first = state.scroll_dialog(finder.cursor, tall, rows.len());
    let table = Table {
        heads: HEADS.map(|head| scene.get(head).to_owned()).to_vec(),
        shapes: COLUMNS.to_vec(),
        rows: rows.iter().skip(first).take(tall).map(|row| cells(scene, row).into()).collect(),
        first,
        cursor: finder.cursor,
        count: rows.len(),
        with_empty: false,
    };
    rows::draw(frame, scene, state, &table, area);
}

fn cells<'a>(scene: Scene<'a>, row: &'a FoundRow) -> [Cell<'a>; 5] {
    let (theme, model) = (scene.theme(), scene.model);
    let dim = |text: &'a str| Cell::text(text, theme.dim);
    let (kind, place, cluster) = match &row.hit {
        Hit::Target(name) => {
            let target = model.target(name);
            let address = target.map(|target| target.address.to_string()).unwrap_or_default();
            let cluster = target.map_or("", |target| target.cluster.as_str());
            (scene.get("view.find-target"), Cell::text(address, theme.dim), cluster)
        }
        Hit::Forward(id) => {
            let forward = model.forwards.all().get(id);
            let local = forward.map(Forward::local).unwrap_or_default();
            let cluster = forward.map_or("", |forward| forward.spec.selector.cluster.as_str());
            (scene.get("view.find-forward"), Cell::text(local, theme.dim), cluster)
        }
        Hit::Pod(key) => (scene.get("view.find-pod"), dim(&key.namespace), key.cluster.as_str()),
        Hit::Command(command) => {
            let section = ROWS.iter().find(|at| at.command == *command).map_or(Section::Anywhere, |at| at.section);
            (scene.get("view.find-command"), dim(scene.text().command(section, *command)), "")
        }
        Hit::Object(at) => (at.kind.kind.as_str(), dim(&at.namespace), at.cluster.as_str()),
    };
    let age = row.created.map(|created| {
        let now = model.time_at(cluster);
        scene.text().age(now - created)
    });
    let cluster = if cluster.is_empty() { Cell::empty() } else { Cell::Line(vec![scene.cluster(cluster, theme.dim)]) };
    [
        dim(kind),
        Cell::Line(marked(row, theme.text, theme.accent)),
        place,
        cluster,
        Cell::text(age.unwrap_or_default(), theme.dim),
    ]
}

/// The name in pieces, those that match in another style.
fn marked(row: &FoundRow, plain: Style, match_style: Style) -> Vec<Span<'_>> {
    let mut spans: Vec<Span<'_>> = Vec::new();
    for (at, c) in row.name.chars().enumerate() {
        let style = if row.marks.contains(&at) { match_style } else { plain };
        match spans.last_mut().filter(|span| span.style == style) {
            Some(span) => span.content.to_mut().push(c),
            None => spans.push(Span::styled(c.to_string(), style)),
        }
    }
    spans
}
