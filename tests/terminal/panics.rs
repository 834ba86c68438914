//! Panics: the terminal is given back first, then they are told.

use std::io::Write as _;
use std::time::Duration;

use brow_model::Model;
use brow_model::installation::Identity;
use brow_tui::app::{App, TerminalInfo};
use brow_tui::cluster::Clusters;
use brow_tui::effects::Effects;
use brow_tui::store::{self, Paths};
use brow_tui::term::{RawMode, Term, panicked, restore_on_panic};
use kube_tunnel::contain::contain;

use crate::common::{Home, Screen, Start};

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
    panicking("panics::a_panic_gives_the_terminal_back");
}

#[test]
fn a_panic_in_a_session_switches_back_what_its_program_switched() {
    if std::env::var_os("BROW_TEST_PANIC").is_some() {
        restore_on_panic();
        let raw = RawMode::enter().unwrap();
        let switched = "\x1b[?1049h\x1b[?1000h";
        print!("{switched}");
        std::io::stdout().flush().unwrap();
        raw.note(switched.as_bytes());
        panic!("something broke");
    }
    let screen = panicking("panics::a_panic_in_a_session_switches_back_what_its_program_switched");
    assert!(String::from_utf8_lossy(screen.raw()).contains("\x1b[?1000l"));
}

#[test]
fn a_panic_in_a_task_ends_the_program() {
    if std::env::var_os("BROW_TEST_PANIC").is_some() {
        restore_on_panic();
        let end = tokio::runtime::Runtime::new().unwrap().block_on(async {
            let (sender, events) = brow_tui::events::EventSender::channel(8);
            let home = Home::new("");
            let at = |name| home.path().join(name);
            let paths = Paths { config: at("config.toml"), state_dir: at("state"), legacy: at("config.json") };
            let me = Identity { owner: "ann@ship".to_owned(), installation: store::throwaway() };
            let effects = Effects::start(Clusters::default(), paths, me, sender);
            let model = Model::new(chrono::Utc::now(), "ann@ship");
            let mut term = Term::take(true).unwrap();
            tokio::spawn(async { panic!("something broke") });
            let mut app = App::new(model, effects, events, TerminalInfo::default());
            let end = app.run(&mut term).await;
            drop(term);
            Box::pin(app.finish(|_| {})).await;
            end
        });
        println!("ended with {}", end.unwrap_err());
        return;
    }
    let screen = panicking("panics::a_panic_in_a_task_ends_the_program");
    assert!(screen.text().contains("ended with a part of the program panicked"), "{}", screen.text());
}

#[test]
fn a_contained_panic_ends_nothing() {
    if std::env::var_os("BROW_TEST_PANIC").is_some() {
        restore_on_panic();
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let _term = Term::take(true).unwrap();
            let broken = tokio::spawn(contain(async { panic!("something broke") }));
            let words = broken.await.unwrap().map(|()| 0).unwrap_err();
            let ended = tokio::time::timeout(Duration::ZERO, panicked()).await.is_ok();
            println!("told {words}, ended {ended}");
        });
        return;
    }
    let home = Home::new("");
    let mut screen = Start::new(&home)
        .program(std::env::current_exe().unwrap())
        .arg("--exact")
        .arg("panics::a_contained_panic_ends_nothing")
        .arg("--nocapture")
        .env("BROW_TEST_PANIC", "1")
        .run();
    screen.wait_end();
    let raw = String::from_utf8_lossy(screen.raw()).into_owned();
    let told = raw.find("told something broke, ended false").unwrap_or_else(|| panic!("not told:\n{raw}"));
    let left = raw.find("\x1b[?1049l").expect("the alternate screen was left at the end");
    assert!(told < left && !raw.contains("panicked at"), "the terminal was kept:\n{raw}");
}

#[tokio::test]
async fn without_a_panic_nobody_is_told_of_one() {
    if std::env::var_os("BROW_TEST_PANIC").is_none() {
        assert!(tokio::time::timeout(Duration::from_millis(1), panicked()).await.is_err());
    }
}
