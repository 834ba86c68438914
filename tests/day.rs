//! A dashboard that stays open all day: pods that expire under forwards, warnings before, what other
//! instances see of them, and what a crash leaves to be opened again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "day/ending.rs"]
mod ending;
#[path = "day/expiry.rs"]
mod expiry;
#[path = "day/others.rs"]
mod others;
#[path = "day/restore.rs"]
mod restore;

use std::fs;

use common::story::choose;
use common::{Home, Screen, Start};

/// A target on the private network's web server, with more to its table.
fn web(more: &str) -> String {
    format!("[[target]]\nname = \"web\"\ncluster = \"story\"\naddress = \"10.99.0.10:8080\"\n{more}\n")
}

/// The practice cluster with a `head` to its config and one more target, `zz`, which is opened.
fn practice(home: &Home, head: &str, target: &str, env: &[(&str, &str)]) -> Screen {
    let temp = home.path().display().to_string();
    let start = Start::new(home).arg("--practice").env("TMPDIR", &temp).size(160, 40);
    let mut screen = env.iter().fold(start, |start, (name, value)| start.env(name, value)).run();
    screen.wait_for("hello-page");
    let mut found = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path());
    let is_ours = |name: &str| name.starts_with("brow-practice-");
    let dir = found.find(|path| path.file_name().unwrap().to_str().is_some_and(is_ours)).unwrap();
    let config = dir.join("config.toml");
    let before = fs::read_to_string(&config).unwrap();
    let more = format!("\n[[target]]\nname = \"zz\"\ncluster = \"practice\"\naddress = \"10.0.0.1:8080\"\n{target}");
    fs::write(&config, format!("{head}{before}{more}")).unwrap();
    screen.wait_for("zz");
    choose(&mut screen, "zz");
    screen.press("\r");
    screen
}

fn end(mut screen: Screen) {
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
    assert!(screen.given_back());
}
