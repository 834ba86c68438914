//! Checks of the terminal, as far as its environment tells.

use super::finding::{Area, Finding, State};
use crate::term::Clipboard;
use crate::view::ColorEnv;
use brow_model::settings::Colors;

/// The size from which everything has its place.
const RECOMMENDED_SIZE: (u16, u16) = (80, 24);

/// The environment variables that describe the terminal.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `LC_ALL`, `LC_CTYPE` or `LANG`, the first that is set: it names the encoding.
    pub encoding: String,
    /// The values of `COLORTERM`, `TERM` and `NO_COLOR`.
    pub colors: ColorEnv,
    /// The ways to the clipboard.
    pub clipboard: Clipboard,
    /// True if standard input and output are a terminal.
    pub terminal: bool,
}

pub(super) async fn check(around: &Environment, colors: Colors) -> Vec<Finding> {
    let mut findings = vec![of_colors(around.colors.depth(colors)), unicode(&around.encoding)];
    findings.push(clipboard(&around.clipboard));
    if around.terminal {
        findings.extend(size());
        // Blocks for as long as the terminal takes to answer, 2 s at most.
        let kitty = tokio::task::spawn_blocking(asked).await.unwrap_or_default();
        findings.push(match kitty {
            Some(true) => found("keys", State::Good, "check.keys-kitty", &[]),
            Some(false) => found("keys", State::Good, "check.keys-plain", &[]),
            None => found("keys", State::Note, "check.keys-unknown", &[]),
        });
    } else {
        findings.push(found("terminal", State::Note, "check.no-terminal", &[]));
    }
    findings
}

fn found(check: &'static str, state: State, key: &'static str, with: &[(&'static str, &str)]) -> Finding {
    Finding::new(Area::Terminal, check, state, key, with)
}

fn of_colors(depth: Colors) -> Finding {
    let (state, key) = match depth {
        Colors::Truecolor | Colors::Auto => (State::Good, "check.truecolor"),
        Colors::Ansi256 => (State::Good, "check.colors-256"),
        Colors::Ansi16 => (State::Note, "check.colors-16"),
        Colors::None => (State::Note, "check.colors-none"),
    };
    found("colors", state, key, &[])
}

fn unicode(encoding: &str) -> Finding {
    let plain = encoding.to_ascii_lowercase().replace('-', "");
    // Every terminal of macOS speaks UTF-8, whether it sets a locale or not.
    if plain.contains("utf8") || (cfg!(target_os = "macos") && plain.is_empty()) {
        found("unicode", State::Good, "check.unicode", &[])
    } else {
        found("unicode", State::Warning, "check.not-unicode", &[("locale", encoding)]).remedy("check.set-locale")
    }
}

/// Checks that there is a way to the clipboard. The terminal itself cannot be asked.
fn clipboard(ways: &Clipboard) -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |program: &&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    match ways.programs().find(there) {
        Some(program) => found("clipboard", State::Good, "check.clipboard", &[("program", program)]),
        None if ways.terminal_takes => found("clipboard", State::Good, "check.clipboard-terminal", &[]),
        None => found("clipboard", State::Note, "check.clipboard-unknown", &[]),
    }
}

fn size() -> Option<Finding> {
    let (columns, rows) = crossterm::terminal::size().ok()?;
    let texts = [columns.to_string(), rows.to_string()];
    let with = [("width", texts[0].as_str()), ("height", &texts[1])];
    Some(if columns >= RECOMMENDED_SIZE.0 && rows >= RECOMMENDED_SIZE.1 {
        found("size", State::Good, "check.size", &with)
    } else {
        found("size", State::Warning, "check.small", &with).remedy("check.enlarge")
    })
}

/// Asks for the kitty keyboard protocol; nothing where the terminal could not be asked.
fn asked() -> Option<bool> {
    crossterm::terminal::enable_raw_mode().ok()?;
    let answer = crossterm::terminal::supports_keyboard_enhancement().ok();
    crossterm::terminal::disable_raw_mode().ok()?;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_shown_is_worth_a_word() {
        for (encoding, state) in [
            ("en_US.UTF-8", State::Good),
            ("zh_CN.utf8", State::Good),
            ("C", State::Warning),
            ("de_DE.ISO-8859-1", State::Warning),
            ("", if cfg!(target_os = "macos") { State::Good } else { State::Warning }),
        ] {
            assert_eq!(unicode(encoding).state, state, "{encoding}");
        }
        assert_eq!(of_colors(Colors::Truecolor).state, State::Good);
        assert_eq!(of_colors(Colors::None).state, State::Note);
    }
}
