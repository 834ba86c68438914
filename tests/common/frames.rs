//! The frames of the panes on a screen.

/// Returns true if each row above the bottom line begins and ends with a frame, as do the two panes of the first band.
pub fn whole(cells: &vt100::Screen) -> bool {
    const LEFT: [&str; 5] = ["╭", "│", "╰", "─", "┃"];
    const RIGHT: [&str; 5] = ["╮", "│", "╯", "─", "┃"];
    let (rows, columns) = cells.size();
    let at = |row, column| cells.cell(row, column).map_or("", vt100::Cell::contents);
    let second = (1..columns).find(|column| at(0, *column) == "╭" && at(0, column - 1) == "╮");
    let end = |column| (0..rows).find(|row| at(*row, column) == "╰").unwrap_or_default();
    (0..rows - 1).all(|row| LEFT.contains(&at(row, 0)) && RIGHT.contains(&at(row, columns - 1)))
        && second.is_none_or(|column| {
            (0..=end(column)).all(|row| RIGHT.contains(&at(row, column - 1)) && LEFT.contains(&at(row, column)))
        })
}
