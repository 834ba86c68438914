//! Proxy pods: how far each has come and how long it has left.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{Content, show};
use crate::view::cell::Cell;
use crate::view::columns::Column;
use crate::view::scene::Scene;
use crate::view::state::ViewState;
use brow_model::attention::Attention;
use brow_model::focus::Pane;
use brow_model::list::PodColumn;
use brow_model::proxy::{Phase, ProxyPod};

/// In the order of [`PodColumn::ALL`].
const COLUMNS: [Column; 8] = [
    Column::NONE,
    Column::words(2, 8, 63),
    Column::words(Column::ALWAYS, 24, 40),
    Column::words(4, 11, 50),
    // Its reason stands in the details, too.
    Column::words(Column::ALWAYS, 10, 48),
    Column::words(1, 12, 36).spare(),
    Column::number(3, 6, 8),
    Column::number(Column::ALWAYS, 7, 13),
];

/// From this time left on the countdown is red.
const LAST_MINUTE: TimeDelta = TimeDelta::minutes(1);

pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, state: &mut ViewState, area: Rect) {
    let model = scene.model;
    let list = &model.screen.pods;
    let aside = match model.pods.requests().len() {
        0 => Vec::new(),
        asked => vec![Span::styled(format!(" +{asked}"), scene.theme().info)],
    };
    let content = Content {
        pane: Pane::Pods,
        list,
        heads: PodColumn::ALL.iter().map(|column| scene.head(column.key())).collect(),
        columns_of: &COLUMNS,
        sorted: PodColumn::ALL.iter().position(|column| *column == list.column).unwrap_or_default(),
        aside,
    };
    show(frame, scene, state, area, content, |key| Some((None, cells(scene, model.pods.all().get(key)?))));
}

fn cells<'a>(scene: Scene<'a>, pod: &'a ProxyPod) -> Vec<Cell<'a>> {
    let theme = scene.theme();
    let now = scene.model.time_at(&pod.key.cluster);
    let own = scene.model.is_ours(pod);
    let name = if pod.is_over(now) || !own { theme.dim } else { theme.text };
    vec![
        Cell::empty(),
        Cell::Tail(Span::styled(pod.key.name.as_str(), name)),
        Cell::name(Span::styled(pod.target.as_str(), name)),
        Cell::Name {
            before: Span::raw(""),
            name: scene.cluster(&pod.key.cluster, theme.dim),
            behind: Span::styled(format!("/{}", pod.key.namespace), theme.dim),
        },
        Cell::Line(phase(scene, pod)),
        Cell::text(pod.owner.as_str(), if own { theme.dim } else { theme.mark }),
        Cell::text(scene.text().age(now - pod.created), theme.dim),
        left(scene, pod, now),
    ]
}

/// The phase, and the reason when it waits or has failed.
fn phase<'a>(scene: Scene<'a>, pod: &'a ProxyPod) -> Vec<Span<'a>> {
    let theme = scene.theme();
    let phase = scene.model.phase_of(pod);
    let mut line = vec![Span::styled(scene.text().phase(phase), phase_style(scene, phase))];
    if let Some(fault) = &pod.fault
        && phase != Phase::Expired
    {
        let why: Cow<'a, str> =
            if fault.detail.is_empty() { scene.text().fault(fault).what.into() } else { fault.detail.as_str().into() };
        line.push(Span::styled(" · ", theme.faint));
        line.push(Span::styled(why, if phase == Phase::Failed { theme.bad } else { theme.warn }));
    } else if scene.model.ends_soon(pod).is_some() {
        line.push(Span::styled(" · ", theme.faint));
        line.push(Span::styled(scene.text().fill("view.renew", &[]), theme.warn));
    }
    line
}

/// The color of a phase.
pub(in crate::view) fn phase_style(scene: Scene<'_>, phase: Phase) -> Style {
    let theme = scene.theme();
    match phase {
        Phase::Creating | Phase::Pending | Phase::Pulling | Phase::Starting => theme.info,
        Phase::Ready => theme.good,
        Phase::Terminating | Phase::Expired | Phase::Succeeded => theme.dim,
        Phase::Failed => theme.bad,
    }
}

/// The steps of a pod that is starting, or the remaining time.
fn left(scene: Scene<'_>, pod: &ProxyPod, now: DateTime<Utc>) -> Cell<'static> {
    let theme = scene.theme();
    let phase = scene.model.phase_of(pod);
    match pod.left(now) {
        _ if phase > Phase::Ready => Cell::text("–", theme.faint),
        None => Cell::text("∞", theme.warn),
        Some(_) if phase.is_coming() => Cell::Line(dots(scene, phase)),
        Some(left) => Cell::text(scene.text().left(left), countdown_style(scene, left)),
    }
}

/// Red in the last minute, yellow while the pod ends soon.
pub(in crate::view) fn countdown_style(scene: Scene<'_>, left: TimeDelta) -> Style {
    let theme = scene.theme();
    if left <= LAST_MINUTE {
        theme.bad
    } else if left <= Attention::SOON {
        theme.warn
    } else {
        theme.good
    }
}

/// The steps of a pod's way to ready: which are done, and (one of them) under way.
pub(in crate::view) fn steps(phase: Phase) -> (usize, [&'static str; 4]) {
    let done = match phase {
        Phase::Creating | Phase::Pending => 0,
        Phase::Pulling => 1,
        Phase::Starting => 3,
        _ => 4,
    };
    (done, ["view.step-scheduled", "view.step-pulled", "view.step-started", "view.step-ready"])
}

/// A dot a step: done, under way, to come.
pub(in crate::view) fn dot(scene: Scene<'_>, at: usize, done: usize) -> Span<'static> {
    let theme = scene.theme();
    match at {
        at if at < done => Span::styled("●", theme.good),
        at if at == done => Span::styled("◐", theme.info),
        _ => Span::styled("○", theme.faint),
    }
}

fn dots(scene: Scene<'_>, phase: Phase) -> Vec<Span<'static>> {
    let theme = scene.theme();
    let (done, names) = steps(phase);
    let mut line = Vec::new();
    for at in 0..names.len() {
        if at > 0 {
            line.push(Span::styled("─", if at <= done { theme.good } else { theme.faint }));
        }
        line.push(dot(scene, at, done));
    }
    line
}
