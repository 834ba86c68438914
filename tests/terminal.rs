//! The terminal: left as it was found whatever happens, right at every size, in every script and number of colors.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use brow_tui::app::{App, Surroundings};
use brow_tui::cluster::Clusters;
use brow_tui::effects::Effects;
use brow_tui::model::Model;
use brow_tui::store::Paths;
use brow_tui::term::{Term, panicked, restore_on_panic};
use common::{Home, Screen, Start, whole};
use rustix::process::Signal;

/// Rows of one width: columns are as wide as what was seen in them.
const CONFIG: &str = r#"
[[target]]
name = "mysql-dev"
cluster = "dev"
address = "10.0.0.1:3306"
local_port = 3306
tags = ["db"]

[[target]]
name = "redis-dev"
cluster = "stage"
address = "10.0.0.2:6379"

[[target]]
name = "nginx-dev"
cluster = "dev"
address = "10.0.0.3:8080"
"#;

const CONTEXTS: &[&str] = &["dev", "stage", "上海"];

/// Longer than leaving takes, shorter than giving up on what does not end by itself.
const SOON: Duration = Duration::from_secs(5);

fn dashboard(home: &Home, columns: u16, rows: u16) -> Screen {
    let mut screen = Start::new(home).kubeconfig(home.kubeconfig(CONTEXTS)).size(columns, rows).run();
    screen.wait_for("mysql-dev");
    screen.wait_whole("the first frame");
    screen
}

#[track_caller]
fn left(screen: &mut Screen, how: &str) {
    let since = Instant::now();
    assert!(screen.wait_end().success(), "{how}: {}", screen.text());
    assert!(since.elapsed() < SOON, "{how} took {:?}", since.elapsed());
    assert!(screen.given_back(), "{how} left the terminal in disorder");
    assert_eq!(screen.text().trim(), "", "{how} left something on the main screen");
}

#[test]
fn every_way_out_gives_the_terminal_back() {
    let home = Home::new(CONFIG);
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut screen = dashboard(&home, 80, 24);
        assert!(!screen.given_back(), "it has taken the terminal");
        screen.signal(signal);
        left(&mut screen, &format!("{signal:?}"));
    }
    for key in ["q", "\x03"] {
        let mut screen = dashboard(&home, 80, 24);
        // In a form q is a letter, and Ctrl-C leaves the form.
        screen.press("nq");
        screen.wait_for("▌ Name        q");
        screen.press("\x03");
        screen.wait_gone("▌ Name");
        screen.press(key);
        left(&mut screen, &format!("{key:?}"));
    }
    for open in ["n", "?", "x", "/my", "L"] {
        let mut screen = dashboard(&home, 80, 24);
        let before = screen.text();
        screen.press(open);
        screen.wait(open, |text| text != before);
        screen.signal(Signal::TERM);
        left(&mut screen, &format!("TERM after {open}"));
    }
}

#[test]
fn quitting_with_a_forward_open_asks_once() {
    let home = Home::new(&CONFIG.replace("local_port = 3306\n", ""));
    for (keys, says) in [("qq", "q again means it"), ("q\x03", "and so does Ctrl-C"), ("qy", "and yes")] {
        let mut screen = dashboard(&home, 80, 24);
        // Its listener is open, though its cluster does not answer.
        screen.press("f");
        screen.wait_for("127.0.0.1:");
        screen.wait_for("✗ dev cannot be reached");
        screen.press("q");
        screen.wait_for("1 open forward closes now");
        // How to answer is not hidden by what else went wrong.
        assert!(screen.text().lines().last().unwrap().contains("Enter press"), "{}", screen.text());
        screen.press("\r");
        screen.wait_gone("Quit?");
        for key in keys.chars() {
            screen.press(&key.to_string());
        }
        left(&mut screen, says);
    }
}

#[test]
fn connecting_to_nobody_does_not_hold_the_end_up() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 80, 24);
    screen.press("1a\r2ac");
    screen.wait_for("unreach");
    // A pod that may yet come would be asked about.
    screen.wait("no pod is asked for any more", |text| text.matches("✗ failed").count() == 3);
    screen.press("q");
    left(&mut screen, "q with clusters that do not answer");
}

/// A terminal whose window is closed: a process that has the program in a pseudo-terminal of its own, and ends.
#[test]
fn a_closed_pane_ends_the_program() {
    if let Some(note) = std::env::var_os("BROW_TEST_WINDOW") {
        let home = Home::new(CONFIG);
        let screen = dashboard(&home, 80, 24);
        std::fs::write(PathBuf::from(note), screen.pid().to_string()).unwrap();
        // No destructor runs: the window is simply gone.
        std::process::abort();
    }
    let home = Home::new("");
    let note = home.path().join("pid");
    let mut window = Command::new(std::env::current_exe().unwrap());
    window.args(["--exact", "a_closed_pane_ends_the_program"]).env("BROW_TEST_WINDOW", &note);
    assert!(!window.output().unwrap().status.success(), "the window was closed");
    let pid = std::fs::read_to_string(note).expect("the window had the program in it");
    let running = || {
        // What has ended and was not asked for its exit code yet is a zombie.
        let state = Command::new("ps").args(["-o", "stat=", "-p", &pid]).output().unwrap();
        let state = String::from_utf8(state.stdout).unwrap();
        !state.trim().is_empty() && !state.starts_with('Z')
    };
    let since = Instant::now();
    while running() {
        assert!(since.elapsed() < SOON, "the program goes on without a terminal");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs one of the tests of this file that panic, on a screen of its own.
fn panicking(test: &str) -> Screen {
    let home = Home::new("");
    let mut screen = Start::new(&home)
        .program(std::env::current_exe().unwrap())
        .arg("--exact")
        .arg(test)
        .arg("--nocapture")
        .env("BROW_TEST_PANIC", "1")
        .run();
    screen.wait_end();
    let raw = String::from_utf8_lossy(screen.raw()).into_owned();
    let entered = raw.find("\x1b[?1049h").expect("the alternate screen was entered");
    let left = raw.rfind("\x1b[?1049l").expect("the alternate screen was left");
    let said = raw.find("something broke").expect("the panic was reported");
    assert!(entered < left && left < said, "reported where it can be read:\n{raw}");
    assert!(screen.given_back(), "{raw}");
    screen
}

#[test]
fn a_panic_gives_the_terminal_back() {
    if std::env::var_os("BROW_TEST_PANIC").is_some() {
        restore_on_panic();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _inside = runtime.enter();
        let _term = Term::take(true).unwrap();
        panic!("something broke");
    }
    panicking("a_panic_gives_the_terminal_back");
}

#[test]
fn a_panic_in_a_task_ends_the_program() {
    if std::env::var_os("BROW_TEST_PANIC").is_some() {
        restore_on_panic();
        let end = tokio::runtime::Runtime::new().unwrap().block_on(async {
            let (sender, events) = tokio::sync::mpsc::channel(8);
            let home = Home::new("");
            let at = |name| home.path().join(name);
            let paths = Paths { config: at("config.toml"), state_dir: at("state"), legacy: at("config.json") };
            let effects = Effects::start(Clusters::default(), paths, "ann@ship".to_owned(), sender);
            let model = Model::new(chrono::Utc::now(), "ann@ship");
            let mut term = Term::take(true).unwrap();
            tokio::spawn(async { panic!("something broke") });
            let mut app = App::new(model, effects, events, Surroundings::default());
            let end = app.run(&mut term).await;
            drop(term);
            app.finish(|_| {}).await;
            end
        });
        println!("ended with {}", end.unwrap_err());
        return;
    }
    let screen = panicking("a_panic_in_a_task_ends_the_program");
    assert!(screen.text().contains("ended with a part of the program panicked"), "{}", screen.text());
}

#[tokio::test]
async fn without_a_panic_nobody_is_told_of_one() {
    if std::env::var_os("BROW_TEST_PANIC").is_none() {
        assert!(tokio::time::timeout(Duration::from_millis(1), panicked()).await.is_err());
    }
}

#[test]
fn suspending_lends_the_terminal_and_takes_it_again() {
    let home = Home::new(CONFIG);
    let mut screen = dashboard(&home, 80, 24);
    let before = screen.text();
    // Nobody does job control here, so the program is not held: it comes back at once.
    screen.press("\x1a");
    let raw = |screen: &Screen| String::from_utf8_lossy(screen.raw()).into_owned();
    screen.wait_until("the terminal taken twice", |screen| raw(screen).matches("\x1b[?1049h").count() == 2);
    screen.wait("the same as before", |text| text == before);
    let raw = raw(&screen);
    let lent = raw.find("\x1b[?1049l").expect("the alternate screen was left");
    let off = raw.find("\x1b[?2004l").expect("bracketed paste was turned off");
    let again = raw.rfind("\x1b[?1049h").unwrap();
    assert!(lent < again && off < again);
    screen.press("q");
    left(&mut screen, "q after Ctrl-Z");
}

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
        ("x", "Delete target"),
        ("?", "Keys"),
        ("/m", "/ m"),
        ("z", "CLUSTER"),
        ("L", "Log"),
    ];
    for (keys, shows) in opened {
        screen.press(keys);
        screen.wait_for(shows);
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
        for _ in 0..names.len() {
            screen.press("j");
            screen.wait_whole("a row down");
        }
        screen.press("G");
        for key in ["s", "s", "S", "z", "z", "1", "G", "L", "L", "2", "e"] {
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
        screen.press(" x");
        screen.wait_for("Delete target");
        screen.escape("Delete target");
        screen.press("n\r");
        screen.wait_for("✗ needed");
        screen.escape("✗ needed");
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
    let mut screen = dashboard(&home, 80, 24);
    let bar = |text: &str, name: &str| text.lines().any(|line| line.contains(&format!("▌  {name}")));
    let (column, row) = screen.find("10.0.0.3");
    screen.click(column, row);
    screen.wait("nginx selected", |text| bar(text, "nginx-dev"));
    let (column, row) = screen.find("stage");
    screen.click(column, row);
    screen.wait("the cluster selected", |text| bar(text, "stage"));
    let (column, row) = screen.find("ADDRESS");
    screen.click(column, row);
    screen.wait("sorted by address", |text| text.contains("ADDRESS ▲") && bar(text, "nginx-dev"));
    screen.click(column, row);
    screen.wait("turned round", |text| text.contains("ADDRESS ▼"));
    let (column, row) = screen.find("redis");
    screen.wheel(column, row, false);
    screen.wait("the first row", |text| {
        let first = text.lines().nth(2).unwrap_or_default();
        first.contains("▌")
    });
    screen.press("x");
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
    screen.wait_for("create and forward");
    screen.wheel(40, 12, true);
    screen.wait_gone("create and forward");
    screen.wheel(40, 12, false);
    screen.wait_for("create and forward");
    screen.escape("Keys");
    screen.press("q");
    left(&mut screen, "q");

    // Whoever wants their terminal's own selection turns the mouse off.
    home.write_config(&format!("mouse = false\n{CONFIG}"));
    let screen = dashboard(&home, 80, 24);
    assert_eq!(screen.cells().mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    assert!(whole(screen.cells()));
}
