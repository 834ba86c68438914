//! The terminal: left as it was found whatever happens, right at every size, in every script and number of colors.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

#[path = "terminal/children.rs"]
mod children;
#[path = "terminal/gone.rs"]
mod gone;
#[path = "terminal/panics.rs"]
mod panics;
#[path = "terminal/shown.rs"]
mod shown;

use common::{Home, Screen, Start};
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

fn dashboard(home: &Home, columns: u16, rows: u16) -> Screen {
    let mut screen = Start::new(home).kubeconfig(home.kubeconfig(CONTEXTS)).size(columns, rows).run();
    screen.wait_for("mysql-dev");
    screen.wait_whole("the first frame");
    screen
}

#[track_caller]
fn left(screen: &mut Screen, how: &str) {
    assert!(screen.wait_end().success(), "{how}: {}", screen.text());
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
        // In a form q is a letter, and Ctrl-C leaves the form: the second time, as the letter is lost.
        screen.press("nq");
        screen.wait_for("▌ Name        q");
        screen.press("\x03");
        screen.wait_for("once more discards");
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
    // Restoring is off, so that the second start asks nothing.
    let home = Home::new(&format!("restore = false\n{}", CONFIG.replace("local_port = 3306\n", "")));
    for (keys, says) in [("qq", "q again means it"), ("q\x03", "and so does Ctrl-C"), ("qy", "and yes")] {
        let mut screen = dashboard(&home, 80, 24);
        // Its listener is open, though its cluster does not answer.
        screen.press("f");
        screen.wait_for("127.0.0.1:");
        screen.wait_for("✗ dev cannot be reached");
        screen.press("q");
        screen.wait_for("1 open forward will stop");
        // How to answer is not hidden by what else went wrong.
        assert!(screen.text().lines().last().unwrap().contains("Enter confirm"), "{}", screen.text());
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
    screen.wait("no pod is asked for any more", |text| {
        ["mysql-dev", "nginx-dev", "redis-dev"].iter().all(|name| text.contains(&format!("✗ {name}")))
    });
    screen.press("q");
    left(&mut screen, "q with clusters that do not answer");
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
