//! Computes the widths of a table's columns from their contents; the least important are dropped if room is short.

/// The bounds and the priority of a column's width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// It is rather dropped than made narrower than this (or than its content, if that is less).
    pub least: u16,
    /// It is never wider.
    pub most: u16,
    /// The priority: columns of the lowest are dropped first, [`Column::ALWAYS`] never.
    pub keep: u8,
    /// Numbers: aligned on the right.
    pub right: bool,
    /// True if it is dropped before any other column is cut.
    pub spare: bool,
    /// Takes up to `most` when there is room, whatever is in it.
    pub grows: bool,
}

impl Column {
    /// The `keep` of a column without which a row says nothing.
    pub const ALWAYS: u8 = u8::MAX;

    /// A column that is not shown.
    pub const NONE: Self = Self::words(0, 0, 0);

    pub const fn words(keep: u8, least: u16, most: u16) -> Self {
        Self { least, most, keep, right: false, spare: false, grows: false }
    }

    pub const fn number(keep: u8, least: u16, most: u16) -> Self {
        Self { least, most, keep, right: true, spare: false, grows: false }
    }

    /// A column with a picture that may be drawn at any width.
    pub const fn picture(keep: u8, least: u16, most: u16) -> Self {
        Self { least, most, keep, right: false, spare: false, grows: true }
    }

    /// The same column, dropped before any other is cut.
    pub const fn spare(self) -> Self {
        Self { spare: true, ..self }
    }
}

/// The columns' widths in `total` columns of the screen, and the gap between them. 0: dropped.
pub(super) fn fit(columns_of: &[Column], natural: &[u16], total: u16) -> (Vec<u16>, u16) {
    const MAX_GAP: u16 = 4;
    let mut widths: Vec<u16> = columns_of.iter().zip(natural).map(|(shape, own)| (*own).min(shape.most)).collect();
    let gaps = |widths: &[u16], gap: u16| {
        let shown = widths.iter().filter(|width| **width > 0).count();
        gap.saturating_mul(u16::try_from(shown.saturating_sub(1)).unwrap_or(u16::MAX))
    };
    let sum = |widths: &[u16], gap| widths.iter().fold(gaps(widths, gap), |sum, width| sum.saturating_add(*width));
    // One long name does not take the columns of all rows.
    let most_of = (total / 2).max(24);
    let floors = |widths: &[u16]| -> Vec<u16> {
        widths.iter().zip(columns_of).map(|(width, shape)| (*width).min(shape.least).min(most_of)).collect()
    };
    // Two columns between cells look better; one is enough where something would have to go.
    let gap = if sum(&floors(&widths), 2) > total { 1 } else { 2 };
    let sum = |widths: &[u16]| sum(widths, gap);
    let least_wanted = |widths: &[u16], may_go: fn(&Column) -> bool| {
        let droppable = (0..columns_of.len()).filter(|i| widths[*i] > 0 && may_go(&columns_of[*i]));
        droppable.min_by_key(|i| columns_of[*i].keep)
    };
    while sum(&widths) > total
        && let Some(spare) = least_wanted(&widths, |column| column.spare)
    {
        widths[spare] = 0;
    }
    while sum(&floors(&widths)) > total
        && let Some(column) = least_wanted(&widths, |column| column.keep < Column::ALWAYS)
    {
        widths[column] = 0;
    }
    let (least, excess) = (floors(&widths), sum(&widths).saturating_sub(total));
    shrink(&mut widths, &least, excess);
    let mut spare = total.saturating_sub(sum(&widths));
    for (width, shape) in widths.iter_mut().zip(columns_of).filter(|(width, shape)| **width > 0 && shape.grows) {
        let more = (shape.most - *width).min(spare);
        *width += more;
        spare -= more;
    }
    let joints = gaps(&widths, 1).max(1);
    (widths, (gap + spare / joints).min(MAX_GAP))
}

/// Takes `excess` columns from the widest ones, then, where all are at their floors, from whatever is left.
fn shrink(widths: &mut [u16], floors: &[u16], excess: u16) {
    for _ in 0..excess {
        let above = (0..widths.len()).filter(|i| widths[*i] > floors[*i]).max_by_key(|i| widths[*i]);
        let widest = above.or_else(|| (0..widths.len()).filter(|i| widths[*i] > 1).max_by_key(|i| widths[*i]));
        let Some(widest) = widest else { return };
        widths[widest] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::words(Column::ALWAYS, 8, 40),
        Column::words(1, 6, 20),
        Column::number(3, 5, 5),
        Column::picture(2, 6, 20),
    ];

    #[test]
    fn columns_are_dropped_before_they_are_squeezed() {
        let natural = [20, 10, 5, 6];
        for (total, widths) in [
            (80, [20, 10, 5, 20]),
            (50, [20, 10, 5, 9]),
            (47, [20, 10, 5, 6]),
            (40, [13, 10, 5, 6]),
            (31, [8, 6, 5, 6]),
            (30, [8, 8, 5, 6]),
            (28, [8, 6, 5, 6]),
            (27, [14, 0, 5, 6]),
            (22, [9, 0, 5, 6]),
            (20, [14, 0, 5, 0]),
            (13, [13, 0, 0, 0]),
            (3, [3, 0, 0, 0]),
            (0, [1, 0, 0, 0]),
        ] {
            assert_eq!(fit(&COLUMNS, &natural, total).0, widths, "{total}");
        }
    }

    #[test]
    fn a_spare_column_goes_before_another_is_cut_and_a_long_name_leaves_room_for_others() {
        let columns = [Column::words(Column::ALWAYS, 63, 63), Column::words(1, 9, 30).spare(), Column::words(2, 8, 40)];
        assert_eq!(fit(&columns, &[20, 10, 16], 50).0, [20, 10, 16]);
        assert_eq!(fit(&columns, &[20, 10, 16], 49).0, [20, 0, 16]);
        assert_eq!(fit(&columns, &[60, 10, 16], 50).0, [32, 0, 16]);
        assert_eq!(fit(&columns, &[60, 10, 30], 50).0, [25, 0, 23]);
    }

    #[test]
    fn spare_room_goes_between_the_columns() {
        assert_eq!(fit(&COLUMNS, &[20, 10, 5, 6], 200).1, 4);
        assert_eq!(fit(&COLUMNS, &[20, 10, 5, 6], 65).1, 3);
        assert_eq!(fit(&COLUMNS, &[20, 10, 5, 6], 31).1, 2);
        assert_eq!(fit(&[], &[], 10).0, Vec::<u16>::new());
    }
}
