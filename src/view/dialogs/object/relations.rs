//! The tree of relations.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::super::super::scene::Scene;
use super::super::super::state::{Hit, ViewState};
use super::super::super::table::GUTTER;
use super::super::super::typeset::{Line, put, put_line};
use super::super::frame::loading;
use brow_model::object_page::ObjectPage;
use brow_model::page::{Relation, RelationRow, RelationState};

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, body: Rect, page: &ObjectPage) {
    let (theme, tree) = (scene.theme(), &page.relations);
    if tree.rows.is_empty() {
        return loading(frame, scene, body);
    }
    let head = head(scene, page);
    put_line(frame.buffer_mut(), body.x, body.y, body.width, &head);
    let list = Rect { y: body.y + 1, height: body.height.saturating_sub(1), ..body };
    state.set_page(list.height.max(1));
    let tall = usize::from(list.height);
    let first = state.scroll_dialog(tree.cursor, tall, tree.rows.len());
    for (at, y) in (first..tree.rows.len().min(first + tall)).zip(list.y..) {
        let line = Rect { y, height: 1, ..list };
        state.add_area(line, Hit::Item(at));
        let spans = row(scene, page, at);
        put_line(frame.buffer_mut(), line.x + GUTTER, y, line.width.saturating_sub(GUTTER), &spans);
        if at == tree.cursor {
            frame.buffer_mut().set_style(line, theme.selection);
            put(frame.buffer_mut(), line.x, y, 1, "▌", theme.accent);
        }
    }
}

/// Says how far the tree goes, and what is broken in it.
fn head<'a>(scene: Scene<'a>, page: &ObjectPage) -> Line<'a> {
    let (theme, tree) = (scene.theme(), &page.relations);
    let depth = tree.depth.to_string();
    let related = tree.rows.len().saturating_sub(1).to_string();
    let words = if tree.done { "page.related" } else { "page.relating" };
    let style = if tree.done { theme.dim } else { theme.info };
    let mut line = vec![Span::styled(scene.text().fill(words, &[("count", &related), ("depth", &depth)]), style)];
    let broken = tree.rows.iter().filter(|row| row.is_broken()).count();
    if broken > 0 {
        let words = scene.text().fill("page.broken", &[("count", &broken.to_string())]);
        line.push(Span::styled(format!("  ✗ {words}"), theme.bad));
    }
    line
}

/// A row: its branch, how it is related, kind and name, and its state.
fn row<'a>(scene: Scene<'a>, page: &'a ObjectPage, at: usize) -> Line<'a> {
    let (theme, rows) = (scene.theme(), &page.relations.rows);
    let row = &rows[at];
    let mut line = vec![Span::styled(branch(rows, at), theme.faint)];
    if row.relation != Relation::Root {
        let relation = scene.get(&format!("relation.{}", row.relation.name()));
        line.push(Span::styled(format!("{relation} "), theme.dim));
    }
    let (words, style) = state_of(scene, row);
    let broken = row.is_broken();
    let name = if broken { theme.bad } else { theme.text };
    line.push(Span::styled(format!("{} ", row.object.kind.kind), if broken { theme.bad } else { theme.accent }));
    let foreign = row.object.namespace != page.object.namespace && !row.object.namespace.is_empty();
    if foreign {
        line.push(Span::styled(format!("{}/", row.object.namespace), theme.dim));
    }
    line.push(Span::styled(row.object.name.as_str(), name));
    line.push(Span::styled(format!("  {words}"), style));
    if !row.via.is_empty() {
        line.push(Span::styled(format!("  ({})", row.via), theme.dim));
    }
    line
}

fn state_of(scene: Scene<'_>, row: &RelationRow) -> (String, Style) {
    let theme = scene.theme();
    match &row.state {
        RelationState::Found { status, tone } => (status.clone(), theme.tone(*tone)),
        RelationState::Missing { optional: false } => (format!("✗ {}", scene.get("page.missing")), theme.bad),
        RelationState::Missing { optional: true } => (scene.get("page.missing-optional").to_owned(), theme.dim),
        RelationState::Unknown => (format!("⊘ {}", scene.get("page.unreadable")), theme.warn),
        RelationState::Again => (format!("↑ {}", scene.get("page.again")), theme.dim),
    }
}

/// The lines of a tree before a row: `│  └─ `.
fn branch(rows: &[RelationRow], at: usize) -> String {
    let depth = rows[at].depth;
    // A line goes on at a depth where another row of it follows before one that is less deep.
    let goes_on = |depth: usize| {
        let next = rows[at + 1..].iter().find(|row| row.depth <= depth);
        next.is_some_and(|row| row.depth == depth)
    };
    let mut branch = String::new();
    for depth in 1..depth {
        branch.push_str(if goes_on(depth) { "│  " } else { "   " });
    }
    if depth > 0 {
        branch.push_str(if goes_on(depth) { "├─ " } else { "└─ " });
    }
    branch
}
