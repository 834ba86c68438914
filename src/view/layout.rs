//! Splits the screen into panes, strip and bottom line, by its size and by the number of rows.

use ratatui::layout::Rect;

use brow_model::focus::{Focus, Pane, Strip};

/// The smallest screen on which anything useful can be shown.
pub(super) const MIN_SIZE: (u16, u16) = (30, 8);
/// From this width on clusters and targets share a band.
const MIN_TWO_COLUMNS: u16 = 72;
/// Frame, column heads and one row.
const MIN_HEIGHT: u16 = 4;
/// From this height on all four panes have rows. Below it the pane with the focus gets what it needs first, and the
/// clusters are a line unless they have the focus.
const TALL: u16 = 36;

/// The screen's parts; a part of height 0 is not shown, a pane of height 1 is only a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    /// The panes that are shown.
    pub panes: Vec<(Pane, Rect)>,
    /// Details or log.
    pub strip: Rect,
    /// True if the strip has a frame.
    pub framed: bool,
    /// Keys and notices.
    pub bottom: Rect,
}

/// Splits the screen. `rows` is how many rows each pane has, `clusters` the width that the clusters pane would like.
pub(super) fn split(screen: Rect, focus: Focus, rows: [usize; 4], clusters: u16) -> Parts {
    let bottom = Rect { y: screen.bottom().saturating_sub(1), height: screen.height.min(1), ..screen };
    let above = Rect { height: screen.height - bottom.height, ..screen };
    if focus.zoomed {
        let nothing = Rect { height: 0, ..above };
        let (panes, strip) = if focus.in_log { (Vec::new(), above) } else { (vec![(focus.pane, above)], nothing) };
        return Parts { panes, strip, framed: true, bottom };
    }
    let tall = screen.height >= TALL;
    let framed = tall || focus.in_log || focus.strip == Strip::Log;
    let height = strip_height(above.height, focus, framed);
    let strip = Rect { y: above.bottom() - height, height, ..above };
    let room = Rect { height: above.height - height, ..above };
    let needs = rows.map(|rows| u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(3).max(MIN_HEIGHT + 1));
    let panes = if tall { bands(room, focus, needs, clusters) } else { stack(room, focus, needs) };
    Parts { panes, strip, framed, bottom }
}

/// Divides a tall screen: clusters and targets side by side where it is wide enough, pods, forwards.
fn bands(room: Rect, focus: Focus, needs: [u16; 4], clusters: u16) -> Vec<(Pane, Rect)> {
    let bands: &[&[Pane]] = if room.width >= MIN_TWO_COLUMNS {
        &[&[Pane::Clusters, Pane::Targets], &[Pane::Pods], &[Pane::Forwards]]
    } else {
        &[&[Pane::Clusters], &[Pane::Targets], &[Pane::Pods], &[Pane::Forwards]]
    };
    let most = |band: &&[Pane]| band.iter().map(|pane| needs[*pane as usize]).max().unwrap_or_default();
    let focused = bands.iter().position(|band| band.contains(&focus.pane)).unwrap_or_default();
    let heights = share(room.height, &bands.iter().map(most).collect::<Vec<_>>(), focused);
    let mut panes = Vec::new();
    let mut y = room.y;
    for (band, height) in bands.iter().zip(heights) {
        let area = Rect { y, height, ..room };
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
    panes
}

/// Divides a low screen: the focused pane first, then those of the others that can have all their rows; the rest are
/// lines.
fn stack(room: Rect, focus: Focus, needs: [u16; 4]) -> Vec<(Pane, Rect)> {
    let focused = focus.pane as usize;
    let lines = 3.min(room.height.saturating_sub(MIN_HEIGHT));
    // The clusters, which every other pane depends on, keep their line the longest.
    let mut left = lines;
    let mut heights = [0; 4];
    for pane in (0..4).filter(|pane| *pane != focused) {
        heights[pane] = left.min(1);
        left -= heights[pane];
    }
    heights[focused] = needs[focused].min(room.height - lines);
    for pane in [Pane::Targets, Pane::Forwards, Pane::Pods].map(|pane| pane as usize) {
        let spare = room.height - heights.iter().sum::<u16>();
        if pane != focused && heights[pane] == 1 && needs[pane] - 1 <= spare {
            heights[pane] = needs[pane];
        }
    }
    heights[focused] += room.height - heights.iter().sum::<u16>();
    let mut y = room.y;
    let placed = Pane::ALL.into_iter().zip(heights).map(|(pane, height)| {
        let area = Rect { y, height, ..room };
        y += height;
        (pane, area)
    });
    placed.collect()
}

/// Returns the height of the strip. It depends on the screen alone, so that the strip does not move with the selection;
/// a focused log gets half of the screen.
fn strip_height(height: u16, focus: Focus, framed: bool) -> u16 {
    if focus.in_log {
        return (height / 2).max(height.min(5));
    }
    match height {
        0..=13 if focus.strip == Strip::Log => height.min(4),
        0..=13 => 0,
        14..=19 if !framed => 2,
        14..=19 => 4,
        20..TALL if !framed => 3,
        20..=29 => 5,
        _ => height / 5,
    }
}

/// Shares `space`, which is enough for every band's frame and a row, among bands: each gets what it needs where there
/// is enough; where not, none gets more than an even share (the focused one half as much again).
fn share(space: u16, needs: &[u16], focused: usize) -> Vec<u16> {
    let bands = u16::try_from(needs.len()).unwrap_or(u16::MAX);
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
        assert_eq!(shown, [(Clusters, 1), (Targets, 13), (Pods, 1), (Forwards, 5)]);
        let shown = heights(80, 24, focus, [3, 16, 14, 16]);
        assert_eq!(shown, [(Clusters, 1), (Targets, 17), (Pods, 1), (Forwards, 1)]);
        let shown = heights(80, 24, Focus { pane: Pods, ..focus }, [3, 8, 20, 2]);
        assert_eq!(shown, [(Clusters, 1), (Targets, 1), (Pods, 17), (Forwards, 1)]);
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
