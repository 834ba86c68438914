//! The whole screen: panes, strip, bottom line, and the dialogs above them.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::layout::{self, MIN_SIZE, Parts};
use super::scene::Scene;
use super::state::ViewState;
use super::typeset::{put, width, wrap};
use super::{bottom, chrome, dialogs, panes, strip, welcome};

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState) {
    let area = frame.area();
    state.begin();
    frame.buffer_mut().set_style(area, scene.theme().base);
    if area.width < MIN_SIZE.0 || area.height < MIN_SIZE.1 {
        too_small(frame, scene, area);
        return;
    }
    let model = scene.model;
    let area = if model.practice { practice(frame, scene, area) } else { area };
    if model.screen.welcome.is_some() {
        let bottom = Rect { y: area.bottom() - 1, height: 1, ..area };
        welcome::draw(frame, scene, state, Rect { height: area.height - 1, ..area });
        over(frame, scene, state, area, 1);
        return bottom::draw(
            frame,
            scene,
            bottom,
            Some(on_frame(Rect { y: bottom.y - 1, ..bottom })),
            !scene.has_dialog(),
        );
    }
    let rows = [
        model.screen.clusters.rows().len(),
        model.screen.targets.rows().len(),
        model.screen.pods.rows().len(),
        model.screen.forwards.rows().len(),
    ];
    let parts = layout::split(area, model.screen.focus, rows, panes::clusters::natural_width(scene));
    for (pane, area) in &parts.panes {
        let (pane, area) = (*pane, *area);
        panes::draw(frame, scene, state, pane, area);
        // Without a frame around the details the tip stands on the one of the pane with the focus.
        if !parts.framed && scene.has_keys(pane) && !panes::is_filtered(scene, pane) {
            chrome::tip(frame, scene, area);
        }
    }
    strip::draw(frame, scene, state, parts.strip, parts.framed);
    over(frame, scene, state, area, parts.bottom.height);
    let details = !parts.strip.is_empty() && !scene.has_dialog();
    bottom::draw(frame, scene, parts.bottom, notice_line(scene, &parts), details);
}

/// The line above the bottom line for what just happened: on the frame there, or in place of the last line of the
/// details. `None` where it has something else to show: a filter, or a pane's heading.
fn notice_line(scene: Scene<'_>, parts: &Parts) -> Option<Rect> {
    let screen = &scene.model.screen;
    screen.notice.as_ref()?;
    let line = Rect { y: parts.bottom.y.checked_sub(1)?, ..parts.bottom };
    if parts.strip.is_empty() {
        let filtered = screen.focus.in_log || panes::is_filtered(scene, screen.focus.pane);
        return (screen.focus.zoomed && !filtered).then(|| on_frame(line));
    }
    if !parts.framed {
        return Some(line);
    }
    let filtered = screen.log.filtering || !screen.log.filter.value().is_empty();
    // The log may have a frame beside that of the details.
    (!filtered).then(|| on_frame(Rect { width: strip::details_width(scene, parts.strip), ..line }))
}

/// The part of a frame's line between its corners.
fn on_frame(line: Rect) -> Rect {
    Rect { x: line.x + 2, width: line.width.saturating_sub(4), ..line }
}

/// Draws the topmost dialog over everything but the bottom line.
fn over(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, bottom: u16) {
    if let Some(dialog) = scene.model.screen.dialogs.last() {
        recede(frame, scene, Rect { height: area.height - bottom, ..area });
        dialogs::draw(frame, scene, state, dialog, Rect { height: area.height - 1, ..area });
    }
}

/// Draws the practice banner on the first line and returns the remaining area.
fn practice(frame: &mut Frame<'_>, scene: Scene<'_>, area: Rect) -> Rect {
    let line = Rect { height: 1, ..area };
    // What fits: the whole sentence, or the word alone.
    let words = ["view.practice", "view.practice-short"].map(|key| scene.text().get(key).to_owned());
    let fits = words.iter().find(|words| width(words) + 2 <= area.width).unwrap_or(&words[1]);
    let style = scene.theme().warn.add_modifier(Modifier::REVERSED);
    frame.buffer_mut().set_style(line, style);
    put(frame.buffer_mut(), area.x + 1, area.y, area.width.saturating_sub(2), fits, style);
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// Dims the panes under a dialog. The bottom line, which has the dialog's keys, and the practice banner stay.
fn recede(frame: &mut Frame<'_>, scene: Scene<'_>, area: Rect) {
    let style = if scene.theme().colored {
        scene.theme().faint.remove_modifier(Modifier::all())
    } else {
        Style::new().remove_modifier(Modifier::BOLD | Modifier::REVERSED).add_modifier(Modifier::DIM)
    };
    let style = scene.theme().base.bg.map_or(style, |background| style.bg(background));
    frame.buffer_mut().set_style(area, style);
}

/// Draws the message of a screen that is too small, in as many words as fit.
fn too_small(frame: &mut Frame<'_>, scene: Scene<'_>, area: Rect) {
    let (wide, tall) = (MIN_SIZE.0.to_string(), MIN_SIZE.1.to_string());
    let text = scene.text().fill("view.too-small", &[("width", &wide), ("height", &tall)]);
    let lines = wrap(&text, area.width);
    let top = usize::from(area.height).saturating_sub(lines.len()) / 2;
    let top = area.y + u16::try_from(top).unwrap_or_default();
    for (line, y) in lines.iter().zip(top..area.bottom()) {
        let indent = area.width.saturating_sub(width(line)) / 2;
        put(frame.buffer_mut(), area.x + indent, y, area.width - indent, line, scene.theme().warn);
    }
}
