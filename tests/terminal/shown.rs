//! The screen at every size, in every script and number of colors, and the element under the mouse.

use crate::common::{Home, Start, selected, whole};
use crate::{CONFIG, CONTEXTS, dashboard, left};

#[test]
fn any_size_and_back_with_everything_open() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 80, 24);
    let plain = screen.text();
    let opened = [
        ("", "connect"),
        ("n", "New target"),
        ("e", "Edit mysql-dev"),
        ("r", "Rename mysql-dev"),
        ("T", "Create a proxy pod"),
        ("D", "Delete target"),
        ("?", "Keys"),
        ("/m", "/ m"),
        ("z", "2 Targets"),
        ("L", "Log"),
    ];
    for (keys, shows) in opened {
        screen.press(keys);
        screen.wait(shows, |text| text.contains(shows) && (keys != "z" || !text.contains("Proxy pods")));
        let before = screen.wait_whole(shows);
        for (columns, rows) in [(1, 1), (200, 50), (30, 8), (12, 3), (31, 50), (200, 8), (80, 24)] {
            screen.resize(columns, rows);
            if columns >= 30 {
                screen.wait_whole(&format!("{shows} at {columns}×{rows}"));
            } else {
                screen.wait_cells("a frame of that size", |cells| cells.size() == (rows, columns));
            }
        }
        screen.wait(&format!("{shows} as it was"), |text| text == before);
        match keys {
            "" => {}
            "z" | "L" => screen.press(keys),
            _ => screen.press("\x1b"),
        }
        screen.wait(&format!("without {shows}"), |text| text == plain);
    }
    // And a program that has grown shows what one started at that size does.
    screen.resize(200, 50);
    screen.wait("RTT", |text| text.contains("RTT"));
    let fresh = dashboard(&home, 200, 50).text();
    screen.wait("the same as started at this size", |text| text == fresh);
    screen.press("q");
    left(&mut screen, "q");
}

#[test]
fn a_screen_that_is_too_small_says_so() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 80, 24);
    screen.resize(20, 6);
    screen.wait_for("30×8");
    screen.press("jk?");
    screen.resize(80, 24);
    screen.wait_for("Keys");
    screen.escape("Keys");
    screen.press("q");
    left(&mut screen, "q");
}

#[test]
fn names_of_every_kind_stay_in_their_columns() {
    let names = [
        "网页-生产环境-上海数据中心".to_owned(),
        "🤦🏼\u{200d}♂\u{fe0f} joined".to_owned(),
        "❤\u{fe0f} heart 1\u{fe0f}\u{20e3} 🇩🇪 flag 👍🏽".to_owned(),
        "e\u{301}\u{301}\u{301} combining a\u{20dd}".to_owned(),
        "مرحبا بالعالم".to_owned(),
        "rtl \u{202e}override\u{2066}".to_owned(),
        "ไทย क्षि 한글".to_owned(),
        "x".repeat(300),
        "字".repeat(300),
        "\u{200b}\u{feff}zero".to_owned(),
    ];
    let target = |name: &String| {
        format!("[[target]]\nname = \"{name}\"\ncluster = \"上海\"\naddress = \"host:80\"\ntags = [\"{name}\"]\n")
    };
    let home = Home::new(&names.iter().map(target).collect::<Vec<_>>().concat());
    for (columns, rows) in [(80, 24), (200, 50), (30, 8)] {
        let contexts: Vec<&str> = ["上海"].into_iter().chain(names.iter().map(String::as_str)).collect();
        let mut screen = Start::new(&home).kubeconfig(home.kubeconfig(&contexts)).size(columns, rows).run();
        screen.wait_for("2 Targets 10");
        screen.wait_whole("the first frame");
        if columns == 200 {
            // What is not seen has a sign in its place, and its column.
            screen.wait("signs for what is unseen", |text| text.contains("rtl ⍰override⍰") && text.contains("⍰zero"));
        }
        for _ in 0..names.len() {
            screen.press("j");
            screen.wait_whole("a row down");
        }
        screen.press("G");
        for key in ["S", "S", "O", "z", "z", "1", "G", "L", "L", "2", "e"] {
            screen.press(key);
            screen.wait_whole(key);
        }
        // What goes over the screen above must not have moved anything: drawn anew it is the same.
        screen.wait_for("╭─ Edit");
        screen.escape("╭─ Edit");
        let before = screen.wait_whole("the panes");
        screen.press("\x0c");
        screen.wait("the same, drawn anew", |text| text == before);
        screen.press("q");
        left(&mut screen, "q");
    }
}

/// The colors that a program's output asks for: how many of 16, of 256, and of all.
fn colors(raw: &[u8]) -> (usize, usize, usize) {
    let text = String::from_utf8_lossy(raw).into_owned();
    let (mut few, mut more, mut all) = (0, 0, 0);
    for sequence in text.split("\x1b[").skip(1) {
        let end = sequence.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(0);
        if !sequence[end..].starts_with('m') {
            continue;
        }
        let mut codes = sequence[..end].split(';').map(|code| code.parse::<u32>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match (code, codes.clone().next()) {
                (38 | 48 | 58, Some(2)) => {
                    all += 1;
                    codes.nth(3);
                }
                (38 | 48 | 58, Some(5)) => {
                    if codes.nth(1).is_some_and(|color| color < 16) {
                        few += 1;
                    } else {
                        more += 1;
                    }
                }
                (30..=37 | 40..=47 | 90..=97 | 100..=107, _) => few += 1,
                _ => {}
            }
        }
    }
    (few, more, all)
}

#[test]
fn colors_are_those_that_the_terminal_has() {
    let home = Home::new(CONFIG);
    let raw = |env: &[(&str, &str)]| {
        let mut start = Start::new(&home).kubeconfig(home.kubeconfig(CONTEXTS));
        for (name, value) in env {
            start = start.env(name, value);
        }
        let mut screen = start.run();
        screen.wait_for("mysql-dev");
        screen.press(" D");
        screen.wait_for("Delete target");
        screen.escape("Delete target");
        screen.press("n\r");
        screen.wait_for("✗ required");
        screen.escape("✗ required");
        screen.press("q");
        left(&mut screen, "q");
        colors(screen.raw())
    };
    let (_, _, all) = raw(&[("COLORTERM", "truecolor")]);
    assert!(all > 0);
    let (_, more, all) = raw(&[("TERM", "xterm-256color")]);
    assert!(more > 0 && all == 0, "{more} {all}");
    let (few, more, all) = raw(&[("TERM", "xterm")]);
    assert!(few > 0 && more + all == 0, "{few} {more} {all}");
    for env in [&[("NO_COLOR", "1")][..], &[("NO_COLOR", "1"), ("COLORTERM", "truecolor")], &[("TERM", "dumb")]] {
        assert_eq!(raw(env), (0, 0, 0), "{env:?}");
    }
    // Empty is not set (no-color.org).
    assert_ne!(raw(&[("NO_COLOR", "")]), (0, 0, 0));
}

#[test]
fn the_mouse_points_at_panes_rows_heads_and_buttons() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 100, 40);
    let (column, row) = screen.find("10.0.0.3");
    screen.click(column, row);
    screen.wait("nginx selected", |text| selected(text, "nginx-dev"));
    let (column, row) = screen.find("stage");
    screen.click(column, row);
    screen.wait("the cluster selected", |text| selected(text, "stage"));
    let (column, row) = screen.find("TARGET");
    screen.click(column, row);
    screen.wait("sorted by address", |text| text.contains("TARGET ▲") && selected(text, "nginx-dev"));
    screen.click(column, row);
    screen.wait("turned round", |text| text.contains("TARGET ▼"));
    let (column, row) = screen.find("redis");
    screen.wheel(column, row, false);
    screen.wait("the first row", |text| {
        let first = text.lines().nth(2).unwrap_or_default();
        first.contains("▌")
    });
    screen.press("D");
    screen.wait_for("Delete target");
    let (column, row) = screen.find("Cancel");
    // Beside the buttons nothing is pressed, nor is anything under the dialog.
    screen.click(0, 0);
    screen.click(column, row - 2);
    screen.click(column, row);
    screen.wait_gone("Delete target");
    assert_eq!(home.read_config(), CONFIG);
    screen.press("n");
    screen.wait_for("New target");
    let (column, row) = screen.find("TTL");
    screen.click(column, row);
    screen.wait_for("▌ TTL");
    screen.escape("New target");
    screen.press("?");
    let top = screen.wait_for("connect, or disconnect");
    screen.wheel(40, 12, true);
    screen.wait("lines below", |text| *text != top);
    screen.wheel(40, 12, false);
    screen.wait("the top again", |text| text == top);
    screen.escape("Keys");
    screen.press("q");
    left(&mut screen, "q");

    // Whoever wants their terminal's own selection turns the mouse off.
    home.write_config(&format!("mouse = false\n{CONFIG}"));
    let screen = dashboard(&home, 80, 24);
    assert_eq!(screen.cells().mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    assert!(whole(screen.cells()));
}

#[test]
fn connect_shows_what_it_waits_for_until_there_is_something_to_print() {
    let home = Home::new("");
    let mut screen = Start::new(&home).arg("--practice").arg("connect").arg("redis").size(60, 10).run();
    screen.wait_for("redis → 127.0.0.1:");
    let written = String::from_utf8_lossy(screen.raw()).into_owned();
    assert!(written.contains("redis ◌ connecting · "), "{written:?}");
    let text = screen.text();
    assert_eq!(
        text.lines().filter(|line| !line.trim().is_empty()).count(),
        1,
        "the line took the place of it:\n{text}"
    );
    screen.press("\x03");
    assert!(screen.wait_end().success());
}
