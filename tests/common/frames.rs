//! The frames of the panes on a screen.

/// Returns true if there is a frame and each of its rows begins and ends with it, as do the two panes of the first
/// band. On a low screen the clusters and the details are lines without a frame.
pub fn whole(cells: &vt100::Screen) -> bool {
    const LEFT: [&str; 5] = ["╭", "│", "╰", "─", "┃"];
    const RIGHT: [&str; 5] = ["╮", "│", "╯", "─", "┃"];
    let (rows, columns) = cells.size();
    let at = |row, column| cells.cell(row, column).map_or("", vt100::Cell::contents);
    let second = (1..columns).find(|column| at(0, *column) == "╭" && at(0, column - 1) == "╮");
    let end = |column| (0..rows).find(|row| at(*row, column) == "╰").unwrap_or_default();
    let (mut inside, mut any) = (false, false);
    let framed = (0..rows - 1).all(|row| {
        let (left, right) = (LEFT.contains(&at(row, 0)), RIGHT.contains(&at(row, columns - 1)));
        any |= left;
        inside = (inside || at(row, 0) == "╭") && at(row, 0) != "╰";
        left == right && (left || !inside)
    });
    let beside = second.is_none_or(|column| {
        (0..=end(column)).all(|row| RIGHT.contains(&at(row, column - 1)) && LEFT.contains(&at(row, column)))
    });
    framed && any && beside
}

/// Returns true if the selected row of a pane begins with a name, whatever symbol its state has.
pub fn selected(text: &str, name: &str) -> bool {
    let rows = text.lines().flat_map(|line| line.split('▌').skip(1));
    rows.map(|row| row.chars().skip(2).collect::<String>()).any(|row| row.starts_with(name))
}
