//! The edit of an object: its progress, what it would change with buttons, or why it was refused.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::super::chrome;
use super::super::scene::Scene;
use super::super::state::ViewState;
use super::super::typeset::{Line, put, put_line, width, wrap};
use super::{large, page};
use crate::text::Text;
use crate::view::state::Hit;
use brow_model::edit::{DiffLine, EditSubject, Proposal};
use brow_model::fault::{Fault, Remedy};
use brow_model::object_edit::{ObjectEdit, Stage};

/// Columns between buttons.
const GAP: u16 = 2;

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect, edit: &ObjectEdit) {
    let theme = scene.theme();
    let object = edit.stage.draft().map_or_else(|| edit.subject.object(), |draft| &draft.object);
    let is_new = matches!(edit.subject, EditSubject::New(_));
    let parts = [("thing", object.short_name()), ("cluster", scene.model.cluster_name(&object.cluster).to_owned())];
    let parts = parts.each_ref().map(|(name, value)| (*name, value.as_str()));
    let title = scene.text().fill(if is_new { "edit.title-new" } else { "edit.title" }, &parts);
    let production = scene.model.is_production(&object.cluster);
    let edge = if production || edit.stage.fault().is_some() { theme.bad } else { theme.accent };
    let inner = chrome::dialog(frame, scene, large(area), &title, edge);
    let (mut lines, mut footer) = (Vec::new(), Vec::new());
    if production {
        say(&mut lines, &scene.text().fill("question.agent-production", &parts), theme.bad, inner.width);
    }
    match &edit.stage {
        Stage::Opening => say(&mut lines, scene.get("edit.opening"), theme.info, inner.width),
        Stage::InEditor(_) => say(&mut lines, scene.get("edit.in-editor"), theme.info, inner.width),
        Stage::Trying(_) => say(&mut lines, scene.get("edit.trying"), theme.info, inner.width),
        Stage::Applying(_) => say(&mut lines, scene.get("edit.applying"), theme.info, inner.width),
        Stage::Proposed(proposal) => {
            proposed(scene, proposal, inner.width, &mut lines);
            let path = [("path", proposal.draft.path.as_str())];
            say(&mut footer, &scene.text().fill("edit.kept-if", &path), theme.dim, inner.width);
        }
        Stage::Refused { draft, fault } => {
            refused(scene, fault, inner.width, &mut lines);
            say(&mut footer, &scene.text().fill("edit.kept", &[("path", &draft.path)]), theme.accent, inner.width);
        }
        Stage::Failed(fault) => refused(scene, fault, inner.width, &mut lines),
    }
    let buttons = scene.text().edit_buttons(&edit.stage);
    let below = u16::from(!buttons.is_empty()) * 2;
    let foot = u16::try_from(footer.len()).unwrap_or_default();
    let body = Rect { height: inner.height.saturating_sub(below + foot + u16::from(foot > 0)), ..inner };
    let most = lines.len().saturating_sub(body.height.into());
    state.set_page(body.height);
    state.set_max_scroll(most);
    page(frame, scene, body, &lines, edit.scroll.min(most));
    for (line, y) in footer.iter().zip((inner.bottom().saturating_sub(below + foot)).max(body.bottom())..inner.bottom())
    {
        put_line(frame.buffer_mut(), inner.x, y, inner.width, line);
    }
    let color = if production { theme.bad } else { theme.accent };
    let mut x = inner.x;
    for (at, label) in buttons.iter().enumerate().filter(|_| inner.height > below) {
        let text = if at == edit.button { format!("▸{label} ") } else { format!(" {label} ") };
        let own = width(&text).min(inner.right().saturating_sub(x));
        let spot = Rect { x, y: inner.bottom() - 1, width: own, height: 1 };
        state.add_area(spot, Hit::Item(at));
        let pressed = color.add_modifier(Modifier::REVERSED | Modifier::BOLD);
        put(frame.buffer_mut(), spot.x, spot.y, own, &text, if at == edit.button { pressed } else { theme.text });
        x += own + GAP;
    }
}

fn say(lines: &mut Vec<Line<'_>>, words: &str, style: Style, room: u16) {
    lines.extend(wrap(words, room).into_iter().map(|line| vec![Span::styled(line, style)]));
}

/// The consequences, then the lines that change.
fn proposed(scene: Scene<'_>, proposal: &Proposal, room: u16, lines: &mut Vec<Line<'_>>) {
    let theme = scene.theme();
    for words in scene.text().edit_warnings(proposal) {
        say(lines, &words, theme.warn, room);
    }
    if !lines.is_empty() {
        lines.push(Line::new());
    }
    for line in &proposal.diff {
        let (sign, words, style) = match line {
            DiffLine::Same(words) => (" ", words.clone(), theme.dim),
            DiffLine::Removed(words) => ("-", words.clone(), theme.bad),
            DiffLine::Added(words) => ("+", words.clone(), theme.good),
            DiffLine::Skipped(count) => {
                (" ", scene.text().fill("edit.skipped", &[("count", &count.to_string())]), theme.info)
            }
        };
        let words = brow_model::sanitize::line(&format!("{sign} {words}")).into_owned();
        lines.extend(cut(&words, room).into_iter().map(|line| vec![Span::styled(line, style)]));
    }
}

/// A line in parts that fit, its spaces as they are.
fn cut(line: &str, room: u16) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    for c in line.chars() {
        part.push(c);
        if width(&part) > room {
            part.pop();
            parts.push(std::mem::replace(&mut part, format!("  {c}")));
        }
    }
    parts.push(part);
    parts
}

/// A fault, and the Role that its remedy asks for.
fn refused(scene: Scene<'_>, fault: &Fault, room: u16, lines: &mut Vec<Line<'_>>) {
    let theme = scene.theme();
    let words = scene.text().fault(fault);
    let mut parts = vec![(words.what, theme.bad), (words.detail, theme.text), (words.remedy, theme.accent)];
    if let Remedy::Grant(grant) = &fault.remedy {
        let role = scene.text().role(grant, Text::refused_user(&fault.detail));
        parts.extend([(scene.get("dialog.role").to_owned(), theme.dim), (role, theme.text)]);
    }
    for (words, style) in parts.into_iter().filter(|(words, _)| !words.is_empty()) {
        if !lines.is_empty() {
            lines.push(Line::new());
        }
        say(lines, &words, style, room);
    }
}
