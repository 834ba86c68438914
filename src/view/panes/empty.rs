//! The text of a pane without rows: why it is empty and which key to press next.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::view::scene::Scene;
use crate::view::typeset::{put_line, width, wrap};
use brow_model::cluster::Link;
use brow_model::focus::Pane;

/// Draws into the pane's `area`; `hidden` says that a filter hides what there is.
pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, pane: Pane, area: Rect, hidden: bool, filter: &str) {
    let side = u16::from(area.width > 8);
    let area = Rect { x: area.x + side, width: area.width - 2 * side, ..area };
    let (text, style) = words(scene, pane, hidden, filter);
    let mut lines: Vec<Vec<Span<'_>>> =
        wrap(&text, area.width).into_iter().map(|line| vec![Span::styled(line, style)]).collect();
    if scene.has_keys(pane) && !hidden {
        lines.extend(next_keys(scene));
    }
    let shown = lines.len().min(area.height.into());
    let indent = u16::try_from((usize::from(area.height) - shown) / 3).unwrap_or_default();
    for (line, y) in lines.iter().zip(area.y + indent..area.bottom()) {
        put_line(frame.buffer_mut(), area.x, y, area.width, line);
    }
}

fn words(scene: Scene<'_>, pane: Pane, hidden: bool, filter: &str) -> (String, Style) {
    let theme = scene.theme();
    if hidden {
        return (scene.text().fill("view.no-match", &[("filter", filter)]), theme.dim);
    }
    let connected = scene.model.clusters.all().iter().any(|cluster| cluster.link == Link::Ready);
    let connecting = scene.model.clusters.all().iter().any(|cluster| cluster.link == Link::Connecting);
    // A file that cannot be read is not an empty one.
    let fault = match pane {
        Pane::Clusters => scene.model.clusters.fault(),
        Pane::Targets => scene.model.config.fault(),
        Pane::Pods | Pane::Forwards => None,
    };
    if let Some(fault) = fault {
        return (scene.text().fault(fault).in_full(), theme.bad);
    }
    let key = match pane {
        Pane::Clusters => "view.empty-clusters",
        Pane::Targets => "view.empty-targets",
        Pane::Pods if connected => "view.empty-pods",
        Pane::Pods if connecting => "view.connecting",
        Pane::Pods => "view.unconnected",
        Pane::Forwards => "view.empty-forwards",
    };
    (scene.get(key).to_owned(), theme.dim)
}

/// The keys that work here, one a line, the first few.
fn next_keys(scene: Scene<'_>) -> Vec<Vec<Span<'_>>> {
    const SHOWN: usize = 3;
    let hints = &scene.inputs.hints[..scene.inputs.hints.len().min(SHOWN)];
    let widest = hints.iter().map(|hint| width(&hint.keys)).max().unwrap_or_default();
    let line = |hint: &'_ crate::text::Hint| {
        let pad = " ".repeat(usize::from(widest - width(&hint.keys) + 2));
        vec![
            Span::styled(hint.keys.clone(), scene.theme().accent),
            Span::raw(pad),
            Span::styled(hint.label.clone(), scene.theme().text),
        ]
    };
    hints.iter().map(line).collect()
}
