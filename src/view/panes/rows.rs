//! A pane's frame around its table.

use std::collections::BTreeSet;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;
use tui_input::Input;

use super::super::cell::Cell;
use super::super::chrome::{self, Chrome};
use super::super::columns::Column;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::table::{Row, Table};
use super::empty;
use brow_model::focus::Pane;
use brow_model::list::List;

/// The contents of one pane, for [`show`].
pub(in crate::view) struct Content<'a, K, C> {
    pub pane: Pane,
    pub list: &'a List<K, C>,
    pub heads: Vec<&'a str>,
    pub columns_of: &'static [Column],
    /// Index of the column that the rows are sorted by.
    pub sorted: usize,
    /// Said beside the count in the title, where there is something to say.
    pub aside: Vec<Span<'a>>,
}

pub(in crate::view) fn show<'a, K: Ord, C>(
    frame: &mut Frame<'_>,
    scene: Scene<'a>,
    state: &mut ViewState,
    area: Rect,
    content: Content<'a, K, C>,
    row: impl Fn(&'a K) -> Option<(Option<Span<'a>>, Vec<Cell<'a>>)>,
) {
    let Content { pane, list, heads, columns_of, sorted, aside } = content;
    let focused = scene.has_keys(pane);
    let inner = chrome::draw(
        frame,
        scene,
        area,
        &Chrome {
            number: Some(pane as usize + 1),
            name: scene.get(name_key(pane)),
            focused,
            count: count(list.rows().len(), list.total(), &list.filter),
            aside,
            order: (sorted == 0 && pane != Pane::Clusters)
                .then(|| scene.get(if list.descending { "view.by-attention-reversed" } else { "view.by-attention" })),
            marks: visible_marks(list.rows(), &list.marks),
            filter: (list.filtering || !list.filter.value().is_empty()).then_some(&list.filter),
            filtering: list.filtering && focused && scene.model.screen.dialogs.is_empty(),
        },
    );
    if focused && scene.model.screen.dialogs.is_empty() {
        state.set_page(inner.height.saturating_sub(1));
    }
    if list.rows().is_empty() {
        empty::draw(frame, scene, pane, inner, list.total() > 0, list.filter.value());
        return;
    }
    let table = Table {
        pane,
        focused,
        columns_of,
        heads,
        sorted: (sorted, list.descending),
        cursor: list.cursor(),
        rows: list.rows().len(),
    };
    let below = table.draw(frame, state, scene.theme(), inner, |at| {
        let key = list.rows().get(at);
        let (symbol, cells) = key.and_then(&row).unwrap_or_default();
        Row { symbol, cells, marked: key.is_some_and(|key| list.marks.contains(key)) }
    });
    chrome::below(frame, scene, area, below);
}

/// `12`, or `3/12` while a filter hides some.
pub(in crate::view) fn count(shown: usize, of: usize, filter: &Input) -> String {
    if shown == of && filter.value().is_empty() { of.to_string() } else { format!("{shown}/{of}") }
}

/// Counts the visible marked rows, which are the ones that an action applies to.
fn visible_marks<K: Ord>(order: &[K], marks: &BTreeSet<K>) -> usize {
    if marks.is_empty() { 0 } else { order.iter().filter(|key| marks.contains(key)).count() }
}

/// The text table's key for a pane's name.
fn name_key(pane: Pane) -> &'static str {
    match pane {
        Pane::Clusters => "view.clusters",
        Pane::Targets => "view.targets",
        Pane::Pods => "view.pods",
        Pane::Forwards => "view.forwards",
    }
}
