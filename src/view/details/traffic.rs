//! The traffic of a forward: its totals, and its last minutes.

use std::time::Duration;

use ratatui::text::Span;

use crate::view::cell::spark;
use crate::view::scene::Scene;
use crate::view::typeset::{Line, width};
use brow_model::forward::Forward;
use brow_model::traffic::{Datagrams, Series, Traffic};

/// The last minutes of a forward in one line: bytes, connections and first bytes, each with its maximum. What did not
/// happen is left out.
pub(super) fn trend<'a>(scene: Scene<'a>, traffic: &Traffic, room: u16) -> Line<'a> {
    let (theme, text) = (scene.theme(), scene.text());
    // A forward that is new has no more to show than the table's minute.
    let young = traffic.bytes.newest_first(Series::SPAN).count() <= Series::MINUTE;
    let seconds = if young { Series::MINUTE } else { Series::SPAN };
    let max = |series: &Series| series.max(seconds);
    let all = [
        ("view.trend-bytes", &traffic.bytes, text.rate(max(&traffic.bytes))),
        ("view.trend-open", &traffic.connections, max(&traffic.connections).to_string()),
        ("view.first-byte", &traffic.first_bytes, text.rtt(Duration::from_micros(max(&traffic.first_bytes)))),
    ];
    let happened = all.into_iter().filter(|(_, series, _)| max(series) > 0);
    let mut shown: Vec<_> = happened.map(|(key, series, top)| (scene.get(key), series, top)).collect();
    // Two columns are for the sign that there is more.
    let Some((cells, sign)) = trend_cells(&mut shown, scene.get("view.trend-max"), room.saturating_sub(2)) else {
        return Vec::new();
    };
    let mut line = Vec::new();
    for (label, series, top) in shown {
        line.extend((!line.is_empty()).then(|| Span::raw("   ")));
        line.extend([
            Span::styled(label, theme.dim),
            Span::styled(format!(" {} ", spark(series, seconds, cells)), theme.info),
            Span::styled(format!("{sign}{top}"), theme.text),
        ]);
    }
    line
}

/// Returns the columns that each series gets, and what its maximum is called: by its word where there is room for it.
/// Series for which there is no room are dropped.
fn trend_cells<'a>(shown: &mut Vec<(&str, &Series, String)>, word: &'a str, room: u16) -> Option<(usize, &'a str)> {
    loop {
        for (sign, least) in [(word, 10), ("≤", 6)] {
            let words = shown.iter().map(|(label, _, top)| usize::from(width(label) + width(sign) + width(top)) + 2);
            let used = words.sum::<usize>() + 3 * shown.len().saturating_sub(1);
            let cells = usize::from(room).saturating_sub(used).checked_div(shown.len())?;
            if cells >= least {
                // Of steps, so that a longer number does not move everything.
                return Some((if cells >= 10 { (cells - cells % 5).min(30) } else { cells }, sign));
            }
        }
        shown.pop();
    }
}

/// Returns what a forward has carried; `exactly`: with every digit of what was moved.
pub(super) fn carried<'a>(scene: Scene<'a>, forward: &Forward, exactly: bool) -> Vec<(&'a str, Span<'a>)> {
    let theme = scene.theme();
    let fact = |key, value: String, style| (scene.get(key), Span::styled(value, style));
    let (traffic, counts) = (&forward.traffic, forward.traffic.counts);
    let moved = |bytes, rate| {
        let text = scene.text();
        let total = if exactly { text.bytes_exactly(bytes) } else { text.bytes(bytes) };
        format!("{total} ({})", text.rate(rate))
    };
    let mut facts = vec![
        fact("view.connections", format!("{}/{}", counts.open, counts.total), theme.text),
        fact("view.up", moved(counts.up, traffic.up_rate), theme.text),
        fact("view.down", moved(counts.down, traffic.down_rate), theme.text),
    ];
    if forward.is_udp() {
        let Datagrams { up, down, .. } = counts.datagrams;
        facts.push(fact("view.datagrams", format!("{up}/{down}"), theme.text));
    }
    let lost = [
        ("view.dropped", counts.datagrams.dropped, theme.warn),
        ("view.failed", counts.failed, theme.bad),
        ("view.refused", counts.refused, theme.warn),
    ];
    facts.extend(lost.into_iter().filter(|lost| lost.1 > 0).map(|(key, n, style)| fact(key, n.to_string(), style)));
    facts
}
