//! Records the pictures of the documents from the real program over its practice cluster, as `assets/demo/script` says:
//! `assets/demo/record`. It is a test target to have the program and the screen of the tests; `cargo test` skips it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a recording that cannot go on should say where")]

#[path = "common/mod.rs"]
mod common;
#[path = "demo/script.rs"]
mod script;
#[path = "demo/svg.rs"]
mod svg;

use std::path::Path;
use std::time::{Duration, Instant};

use common::through::{get, local};
use common::{Home, Screen, Start};
use script::{SCRIPT, Step, mark, steps};
use svg::{Frame, picture};

/// The time between two looks at the screen, and the longest that a wait takes in the picture between two changes.
const LOOK: Duration = Duration::from_millis(100);
const LONGEST: f64 = 0.7;
/// The time that a key press is seen before the next step, and that between two characters typed.
const PRESSED: f64 = 0.6;
const TYPED: f64 = 0.12;

/// The recording so far.
struct Film {
    screen: Screen,
    caption: String,
    frames: Vec<Frame>,
}

impl Film {
    /// Lets the last frame stand for so long, and begins another if the screen has changed, unless it is half drawn.
    fn pass(&mut self, seconds: f64) {
        if let Some(last) = self.frames.last_mut() {
            last.seconds += seconds;
        }
        if !self.screen.between_frames() {
            return;
        }
        let now = Frame::of(self.screen.cells(), &self.caption);
        let is_same = |last: &Frame| last.rows == now.rows && last.caption == now.caption;
        if !self.frames.last().is_some_and(is_same) {
            self.frames.push(now);
        }
    }

    /// Records until the screen is as it should be.
    fn until(&mut self, what: &str, shows: impl Fn(&str) -> bool) {
        let began = Instant::now();
        let mut still = 0.0;
        while !shows(&self.screen.text()) {
            assert!(began.elapsed() < common::TIMEOUT * 3, "never saw {what}:\n{}", self.screen.text());
            let known = self.frames.len();
            self.screen.look(LOOK);
            let step = LOOK.as_secs_f64().min(LONGEST - still).max(0.0);
            self.pass(step);
            still = if self.frames.len() == known { still + step } else { 0.0 };
        }
    }

    /// Records for so long.
    fn hold(&mut self, seconds: f64) {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        while Instant::now() < end {
            self.screen.look(LOOK);
            self.pass(LOOK.as_secs_f64());
        }
    }

    fn write(&mut self, text: &str) {
        for c in text.chars() {
            self.screen.press(&c.to_string());
            self.hold(TYPED);
        }
    }

    fn act(&mut self, step: &Step, folder: &Path, columns: u16, mark: &str) {
        match step {
            Step::Screen(..) => {}
            Step::Say(words) => self.caption.clone_from(words),
            Step::Press(keys) => {
                self.screen.press(keys);
                self.hold(PRESSED);
            }
            Step::Type(text) => self.write(text),
            Step::Fill(text) => {
                self.screen.press("\x15");
                self.write(text);
            }
            Step::Wait(text) => self.until(text, |screen| screen.contains(text)),
            Step::Gone(text) => self.until(&format!("no {text}"), |screen| !screen.contains(text)),
            Step::Get(path) => {
                let address = local(&self.screen.text()).expect("a forward");
                get(&address, path).unwrap();
                self.hold(PRESSED);
            }
            Step::Hold(seconds) => self.hold(*seconds),
            Step::Still(name) => {
                let frame = Frame::of(self.screen.cells(), "brow-tui");
                std::fs::write(folder.join(format!("{name}.svg")), picture(&[frame], columns, mark)).unwrap();
            }
        }
    }
}

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo");
    let steps = steps(SCRIPT).unwrap();
    let mark = mark(&steps);
    let Some(Step::Screen(columns, rows)) = steps.first() else { panic!("the script begins with the size") };
    let home = Home::new("");
    let screen = Start::new(&home).arg("--practice").env("COLORTERM", "truecolor").size(*columns, *rows).run();
    let mut film = Film { screen, caption: String::new(), frames: Vec::new() };
    for step in &steps {
        println!("{step:?}");
        film.act(step, &folder, *columns, &mark);
    }
    let Film { mut screen, frames, .. } = film;
    screen.signal(rustix::process::Signal::TERM);
    screen.wait_end();
    let drawn = picture(&frames, *columns, &mark);
    println!("{} frames, {} kB", frames.len(), drawn.len() / 1_000);
    std::fs::write(folder.join("demo.svg"), drawn).unwrap();
}
