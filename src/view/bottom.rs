//! The bottom line: what just happened, and the keys that work here now.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::scene::Scene;
use super::strip::level;
use super::typeset::{line_width, put, put_line};
use crate::text::Hint;
use brow_model::dialog::{Dialog, Question};
use brow_model::log::{Entry, Message};

/// The least room for a notice.
const MIN_NOTICE: u16 = 20;

/// Draws the line. What just happened stands in `above`, the line above, and takes no key from it; where that line has
/// no room to give, in the right half. `details`: those of the selected row are on the screen, with its fault.
pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, area: Rect, above: Option<Rect>, details: bool) {
    if area.is_empty() {
        return;
    }
    let side = u16::from(area.width > 2);
    let mut area = Rect { x: area.x + side, width: area.width - 2 * side, ..area };
    let shown = scene.model.screen.notice.as_ref().filter(|(entry, _)| !stands(scene, entry, details));
    // Until the form is left, or somebody goes on in it.
    let warns = matches!(scene.model.screen.dialogs.last(), Some(Dialog::TargetForm(_)))
        && shown.is_some_and(|(entry, _)| entry.message == Message::FormUnsaved);
    // What stays wrong until somebody mends it stands on the right for as long.
    if let Some((words, style)) = standing(scene).filter(|_| !warns) {
        let alarm = [Span::styled(words, style)];
        let own = line_width(&alarm).min(area.width / 2);
        put_line(frame.buffer_mut(), area.right() - own, area.y, own, &alarm);
        area.width = area.width.saturating_sub(own + 2);
    }
    let notice = shown.map(|(entry, _)| {
        let (symbol, style) = level(scene, entry.level);
        [Span::styled(format!(" {symbol} "), style), Span::styled(format!("{} ", scene.text().entry(entry)), style)]
    });
    let Some(notice) = notice else {
        put_line(frame.buffer_mut(), area.x, area.y, area.width, &hints(scene, area.width));
        return;
    };
    // A question shows all keys that answer it. The browser of kinds and a form that is about to be left have nowhere
    // else to answer a key.
    let first = warns || matches!(scene.model.screen.dialogs.last(), Some(Dialog::Kinds(_)));
    let room = match (first, above.is_some() || scene.has_dialog()) {
        (true, _) => area.width.saturating_sub(line_width(&notice) + 2),
        (false, true) => area.width,
        (false, false) => area.width / 2,
    };
    let used = put_line(frame.buffer_mut(), area.x, area.y, room, &hints(scene, room));
    let rest = Rect { x: area.x + used + 2, width: area.width.saturating_sub(used + 2), ..area };
    let beside = match scene.model.screen.dialogs.last() {
        None => false,
        // They may reach down to the line above.
        Some(Dialog::Browser(_) | Dialog::Find(_) | Dialog::Kinds(_) | Dialog::TargetForm(_)) => true,
        Some(_) => line_width(&notice) <= rest.width,
    };
    let line = above.filter(|_| !beside).unwrap_or(rest);
    if line.width < MIN_NOTICE {
        // Its first word would say nothing; the log has it.
        return;
    }
    if line.width == frame.area().width {
        // In place of the last line of the details.
        put(frame.buffer_mut(), line.x, line.y, line.width, &" ".repeat(line.width.into()), scene.theme().text);
    }
    put_line(frame.buffer_mut(), line.x, line.y, line.width, &notice);
}

/// Returns as many whole hints as fit. The last one, which opens the help, has precedence over those in the middle.
fn hints(scene: Scene<'_>, room: u16) -> Vec<Span<'_>> {
    let theme = scene.theme();
    let words = |hint: &'_ Hint| {
        let (keys, label) = (hint.keys.clone(), hint.label.clone());
        [Span::styled(keys, theme.accent), Span::raw(" "), Span::styled(label, theme.dim), Span::raw("  ")]
    };
    let Some((last, others)) = scene.inputs.hints.split_last() else { return Vec::new() };
    let last = words(last);
    let mut line: Vec<Span<'_>> = Vec::new();
    for hint in others {
        let next = words(hint);
        if line_width(&line) + line_width(&next) + line_width(&last) > room + 2 {
            break;
        }
        line.extend(next);
    }
    line.extend(last);
    line.pop();
    line
}

/// An agent's question below another dialog, a config that cannot be used, and edits that could not be written.
fn standing(scene: Scene<'_>) -> Option<(String, Style)> {
    let model = scene.model;
    let asks = |dialog: &Dialog| matches!(dialog, Dialog::Confirm { question: Question::Agent(_), .. });
    // It waits a minute at most.
    if let Some((top, below)) = model.screen.dialogs.split_last()
        && !asks(top)
        && below.iter().any(asks)
    {
        return Some((format!("! {}", scene.get("view.agent-waits")), scene.theme().warn));
    }
    let unsaved = model.targets.unsaved().len();
    let unsaved =
        (unsaved > 0).then(|| format!("! {}", scene.text().fill("view.unsaved", &[("count", &unsaved.to_string())])));
    let Some(fault) = model.config.fault() else {
        return unsaved.map(|words| (words, scene.theme().warn));
    };
    // The place first, by the file's name alone: the folder is long, and known.
    let place = fault.thing.rsplit('/').next().unwrap_or_default();
    let words = [unsaved.as_deref(), Some(&format!("✗ {place}")), Some(&fault.detail)];
    Some((words.into_iter().flatten().collect::<Vec<_>>().join("  "), scene.theme().bad))
}

/// Returns true if an entry reports a fault that the right side shows anyway, or the details.
fn stands(scene: Scene<'_>, entry: &Entry, details: bool) -> bool {
    let Message::Failed(fault) = &entry.message else { return false };
    let fault = Some(&**fault);
    fault == scene.model.config.fault() || details && fault == super::details::fault(scene)
}
