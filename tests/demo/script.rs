//! The script of the recorded pictures: steps, one a line, with commands in place of keys.

use brow_model::command::ROWS;
use sha2::{Digest as _, Sha256};

/// The script.
pub const SCRIPT: &str = include_str!("../../assets/demo/script");

/// A step. Texts are words on the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// `screen COLUMNS ROWS`: the size of the terminal; the first step.
    Screen(u16, u16),
    /// `say WORDS`: the caption from here on.
    Say(String),
    /// `press SECTION.COMMAND`: the default key of a command.
    Press(String),
    /// `type TEXT`: characters.
    Type(String),
    /// `fill TEXT`: characters in place of those in a field.
    Fill(String),
    /// `wait TEXT`: until it is on the screen.
    Wait(String),
    /// `gone TEXT`: until it is not.
    Gone(String),
    /// `get PATH`: asks the first forward for a page.
    Get(String),
    /// `hold SECONDS`: lets the picture stand, with what moves in it.
    Hold(f64),
    /// `still NAME`: writes this screen as a picture of its own.
    Still(String),
}

/// Reads the script; `Err` is the line that makes no sense.
pub fn steps(script: &str) -> Result<Vec<Step>, String> {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| step(line).ok_or_else(|| line.to_owned())).collect()
}

fn step(line: &str) -> Option<Step> {
    let (verb, rest) = line.split_once(' ')?;
    let text = rest.to_owned();
    Some(match verb {
        "screen" => {
            let (columns, rows) = rest.split_once(' ')?;
            Step::Screen(columns.parse().ok()?, rows.parse().ok()?)
        }
        "say" => Step::Say(text),
        "press" => Step::Press(key(rest)?),
        "type" => Step::Type(text),
        "fill" => Step::Fill(text),
        "wait" => Step::Wait(text),
        "gone" => Step::Gone(text),
        "get" => Step::Get(text),
        "hold" => Step::Hold(rest.parse().ok()?),
        "still" => Step::Still(text),
        _ => return None,
    })
}

/// Returns the first default key of `SECTION.COMMAND`, as a terminal sends it.
fn key(name: &str) -> Option<String> {
    let (section, command) = name.split_once('.')?;
    let row = ROWS.iter().find(|row| row.section.name() == section && row.command.name() == command)?;
    let key = row.keys.first()?;
    Some(match *key {
        "enter" => "\r".to_owned(),
        "esc" => "\x1b".to_owned(),
        "tab" => "\t".to_owned(),
        "space" => " ".to_owned(),
        "down" => "\x1b[B".to_owned(),
        "up" => "\x1b[A".to_owned(),
        "right" => "\x1b[C".to_owned(),
        "left" => "\x1b[D".to_owned(),
        key if key.chars().count() == 1 => key.to_owned(),
        _ => return None,
    })
}

/// Returns the mark that a picture bears: another script, or other keys, another mark.
pub fn mark(steps: &[Step]) -> String {
    let digest = Sha256::digest(format!("{steps:?}"));
    format!("{digest:x}")[..16].to_owned()
}
