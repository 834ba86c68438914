//! The logs of the pods behind an object.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::super::super::chrome;
use super::super::super::details::fault_lines;
use super::super::super::scene::Scene;
use super::super::super::state::ViewState;
use super::super::super::typeset::{Line, put, put_line};
use super::super::frame::{loading, page as lines_from};
use super::super::pod_log::tail;
use brow_model::object_page::{ObjectPage, PageLog};

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, body: Rect, page: &ObjectPage) {
    let (theme, log) = (scene.theme(), &page.log);
    let Some((pod, container)) = log.chosen() else {
        return match (&log.pods, &log.ended) {
            (None, Some(Some(fault))) => {
                lines_from(frame, scene, body, &fault_lines(scene, fault, body.width, body.height), 0);
            }
            (None, _) => loading(frame, scene, body),
            (Some(_), _) => {
                put(frame.buffer_mut(), body.x, body.y, body.width, scene.get("page.no-pods"), theme.dim);
            }
        };
    };
    let head = head(scene, log, &pod.key.name, container);
    put_line(frame.buffer_mut(), body.x, body.y, body.width, &head);
    let filtered = log.filtering || !log.filter.text().is_empty();
    let below = u16::from(filtered);
    let text = Rect { y: body.y + 1, height: body.height.saturating_sub(1 + below), ..body };
    state.set_page(text.height.max(1));
    if filtered {
        let line = Rect { y: text.bottom(), height: 1, ..body };
        chrome::filter(frame, scene, line, &log.filter.input, log.filtering);
    }
    let shown = log.shown();
    if shown.is_empty() {
        let words = if log.lines.is_empty() { "dialog.log-empty" } else { "page.no-lines" };
        put(frame.buffer_mut(), text.x, text.y, text.width, scene.get(words), theme.dim);
        return;
    }
    state.set_max_scroll(shown.len());
    for (line, y) in tail(scene, shown.iter().copied(), log.back, text).iter().zip(text.y..) {
        put_line(frame.buffer_mut(), text.x, y, text.width, line);
    }
}

/// Names the container, and says how its log stands.
fn head<'a>(scene: Scene<'a>, log: &PageLog, pod: &str, container: &str) -> Line<'a> {
    let theme = scene.theme();
    let mut line = vec![Span::styled(format!("{pod} › {container}"), theme.text)];
    let (at, count) = log.place();
    if count > 1 {
        let parts = [("at", &*at.to_string()), ("count", &count.to_string())];
        line.push(Span::styled(format!("  {}", scene.text().fill("page.containers-in-all", &parts)), theme.dim));
    }
    if log.previous {
        line.push(Span::styled(format!("  {}", scene.get("page.run-before")), theme.warn));
    }
    let back = log.back.to_string();
    let (words, style) = match &log.ended {
        None if log.back > 0 => {
            (scene.text().fill("dialog.log-back", &[("lines", &back), ("count", &back)]), theme.dim)
        }
        None => (scene.get("dialog.log-follows").to_owned(), theme.info),
        Some(None) => (scene.get("dialog.log-ended").to_owned(), theme.dim),
        Some(Some(fault)) => {
            let words = scene.text().fault(fault);
            let more = if words.detail.is_empty() { String::new() } else { format!(": {}", words.detail) };
            (format!("✗ {}{more}", words.what), theme.bad)
        }
    };
    line.push(Span::styled(format!("  {words}"), style));
    line
}
