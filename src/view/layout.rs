//! Splits the screen into panes, strip and bottom line, by its size and by the number of rows.

use ratatui::layout::Rect;

use brow_model::focus::{Focus, Pane, Strip};

/// The smallest screen on which anything useful can be shown.
pub(super) const MIN_SIZE: (u16, u16) = (30, 8);
/// From this width on clusters and targets share a band.
const MIN_TWO_COLUMNS: u16 = 72;
/// Frame, column heads and one row.
const MIN_HEIGHT: u16 = 4;

/// The screen's parts; a part of height 0 is not shown, a pane of height 1 is only its title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    /// The panes that are shown.
    pub panes: Vec<(Pane, Rect)>,
    /// Details or log.
    pub strip: Rect,
    /// Keys and notices.
    pub bottom: Rect,
}

/// Splits the screen. `rows` is how many rows each pane has, `clusters` the width that the clusters pane would like.
pub(super) fn split(screen: Rect, focus: Focus, rows: [usize; 4], clusters: u16) -> Parts {
    let bottom = Rect { y: screen.bottom().saturating_sub(1), height: screen.height.min(1), ..screen };
    let above = Rect { height: screen.height - bottom.height, ..screen };
    if focus.zoomed {
        let nothing = Rect { height: 0, ..above };
        return if focus.in_log {
            Parts { panes: Vec::new(), strip: above, bottom }
        } else {
            Parts { panes: vec![(focus.pane, above)], strip: nothing, bottom }
        };
    }
    let bands: &[&[Pane]] = if screen.width >= MIN_TWO_COLUMNS {
        &[&[Pane::Clusters, Pane::Targets], &[Pane::Pods], &[Pane::Forwards]]
    } else {
        &[&[Pane::Clusters], &[Pane::Targets], &[Pane::Pods], &[Pane::Forwards]]
    };
    let tall = strip_height(above.height, focus);
    let strip = Rect { y: above.bottom() - tall, height: tall, ..above };
    let space = above.height - tall;
    let needs: Vec<u16> = bands
        .iter()
        .map(|band| {
            let most = band.iter().map(|pane| rows[*pane as usize]).max().unwrap_or_default();
            u16::try_from(most).unwrap_or(u16::MAX).saturating_add(3).max(MIN_HEIGHT + 1)
        })
        .collect();
    let focused = bands.iter().position(|band| band.contains(&focus.pane)).unwrap_or_default();
    let heights = share(space, &needs, focused);
    let mut panes = Vec::new();
    let mut y = above.y;
    for (band, height) in bands.iter().zip(heights) {
        let area = Rect { y, height, ..above };
        y += height;
        match band {
            [left, right] => {
                let split = clusters.clamp(28, area.width * 3 / 7);
                panes.push((*left, Rect { width: split, ..area }));
                panes.push((*right, Rect { x: area.x + split, width: area.width - split, ..area }));
            }
            _ => panes.extend(band.iter().map(|pane| (*pane, area))),
        }
    }
    Parts { panes, strip, bottom }
}

/// Returns the height of the strip. It depends on the screen alone, so that the strip does not move with the selection;
/// a focused log gets half of the screen.
fn strip_height(height: u16, focus: Focus) -> u16 {
    if focus.in_log {
        return (height / 2).max(height.min(5));
    }
    match height {
        0..=13 if focus.strip == Strip::Log => height.min(4),
        0..=13 => 0,
        14..=19 => 4,
        20..=29 => 5,
        _ => height / 5,
    }
}

/// Shares `space` among bands: each gets what it needs where there is enough; where not, none gets more than an even
/// share (the focused one half as much again). Where even that is too little the others become mere titles.
fn share(space: u16, needs: &[u16], focused: usize) -> Vec<u16> {
    let bands = u16::try_from(needs.len()).unwrap_or(u16::MAX);
    // Four bands with a single row each are mostly frames.
    let worth = if bands > 3 { MIN_HEIGHT + 1 } else { MIN_HEIGHT };
    if space < worth * bands {
        let others = (bands - 1).min(space.saturating_sub(MIN_HEIGHT));
        let mut titles = others;
        return (0..needs.len())
            .map(|band| {
                if band == focused {
                    return space - others;
                }
                let shown = titles.min(1);
                titles -= shown;
                shown
            })
            .collect();
    }
    let mut heights = vec![MIN_HEIGHT; needs.len()];
    for _ in MIN_HEIGHT * bands..space {
        let weight = |band: usize| if focused == band { 3 } else { 2 };
        let hungry = (0..needs.len()).filter(|band| heights[*band] < needs[*band]);
        let next = hungry.min_by_key(|band| heights[*band] * 6 / weight(*band));
        // All have what they need: the rest goes round, to the lower bands first, whose lists grow the most.
        let next = next.or_else(|| (0..needs.len()).rev().min_by_key(|band| heights[*band] - needs[*band]));
        if let Some(band) = next {
            heights[band] += 1;
        }
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heights(width: u16, height: u16, focus: Focus, rows: [usize; 4]) -> Vec<(Pane, u16)> {
        let parts = split(Rect::new(0, 0, width, height), focus, rows, 40);
        let total: u16 = parts.panes.iter().filter(|(_, area)| area.x == 0).map(|(_, area)| area.height).sum();
        assert_eq!(total + parts.strip.height + parts.bottom.height, height, "{width}x{height}");
        parts.panes.into_iter().map(|(pane, area)| (pane, area.height)).collect()
    }

    #[test]
    fn panes_are_as_tall_as_what_is_in_them() {
        use Pane::{Clusters, Forwards, Pods, Targets};
        let focus = Focus::default();
        let shown = heights(200, 50, focus, [3, 6, 20, 2]);
        assert_eq!(shown, [(Clusters, 10), (Targets, 10), (Pods, 24), (Forwards, 6)]);
        let shown = heights(80, 24, focus, [3, 8, 20, 2]);
        assert_eq!(shown, [(Clusters, 8), (Targets, 8), (Pods, 5), (Forwards, 5)]);
        let shown = heights(80, 24, Focus { pane: Pods, ..focus }, [3, 8, 20, 2]);
        assert_eq!(shown, [(Clusters, 5), (Targets, 5), (Pods, 8), (Forwards, 5)]);
        let shown = heights(40, 14, focus, [3, 6, 20, 2]);
        assert_eq!(shown, [(Clusters, 1), (Targets, 10), (Pods, 1), (Forwards, 1)]);
    }

    #[test]
    fn a_zoomed_pane_has_the_screen() {
        let focus = Focus { zoomed: true, pane: Pane::Pods, ..Focus::default() };
        assert_eq!(heights(80, 24, focus, [1; 4]), [(Pane::Pods, 23)]);
        assert_eq!(heights(80, 24, Focus { in_log: true, ..focus }, [1; 4]), []);
    }

    #[test]
    fn every_height_is_used_up() {
        for height in 0..70 {
            for width in [0, 40, 80, 200] {
                for in_log in [false, true] {
                    for pane in Pane::ALL {
                        let focus = Focus { pane, in_log, ..Focus::default() };
                        heights(width, height, focus, [0, 3, 1000, 7]);
                    }
                }
            }
        }
    }
}
