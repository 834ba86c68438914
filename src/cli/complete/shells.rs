//! Completion for each shell: its registration script, its requests, and the answers.
//!
//! The answers are names that anybody may have chosen (contexts, pods, targets). No shell evaluates them: zsh and fish
//! quote what they insert; for bash, which does not, they are quoted here. Names with invisible characters are left
//! out: they could end a line of the answer, or be obeyed by the terminal.

use std::ffi::OsString;
use std::io::{self, Error, Write};
use std::path::Path;
use std::sync::OnceLock;

use clap::Command;
use clap_complete::engine::complete;
use clap_complete::env::EnvCompleter;

use super::words::{for_bash, of_bash, of_fish};
use brow_model::sanitize;

/// The words of the line that is completed, as they are meant.
static LINE: OnceLock<Vec<String>> = OnceLock::new();

/// The words of the line that is completed.
pub(super) fn line() -> &'static [String] {
    LINE.get().map(Vec::as_slice).unwrap_or_default()
}

/// A completion and its description.
struct Candidate {
    value: String,
    help: String,
}

/// Completes the last of these words.
fn candidates(command: &mut Command, words: Vec<String>, dir: Option<&Path>) -> io::Result<Vec<Candidate>> {
    let at = words.len().checked_sub(1).ok_or_else(|| Error::other("nothing is to be completed"))?;
    let args = words.iter().map(OsString::from).collect();
    // Whoever is asked for names looks at the line for where they are.
    let _first = LINE.set(words);
    let found = complete(command, args, at, dir)?;
    let all = found.iter().filter_map(|found| {
        let value = found.get_value().to_str()?.to_owned();
        let help = found.get_help().map(ToString::to_string).unwrap_or_default();
        let help = sanitize::line(help.lines().next().unwrap_or_default()).into_owned();
        sanitize::is_line(&value).then_some(Candidate { value, help })
    });
    Ok(all.collect())
}

fn texts(args: Vec<OsString>) -> Vec<String> {
    args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect()
}

/// A line for each candidate, with what is said of it behind a tab.
fn write_lines(all: &[Candidate], buf: &mut dyn Write) -> io::Result<()> {
    all.iter().try_for_each(|one| writeln!(buf, "{}\t{}", one.value, one.help))
}

/// Writes what a shell is answered: of the command, the arguments that it asked with, and the directory it is in.
type Answer = fn(&mut Command, Vec<String>, Option<&Path>, &mut dyn Write) -> io::Result<()>;

/// A shell as its script in `assets/completions` asks: with these arguments.
pub(super) struct Own {
    name: &'static str,
    script: &'static [u8],
    answer: Answer,
}

/// bash, from 3.2 on. The arguments are the line up to the cursor, and as much of its end as bash replaces: a word may
/// have parts for it, at what `$COMP_WORDBREAKS` holds and behind an open quote.
pub(super) static BASH: Own = Own {
    name: "bash",
    script: include_bytes!("../../../assets/completions/brow-tui.bash"),
    answer: |command, args, dir, buf| {
        let line = args.first().map(String::as_str).unwrap_or_default();
        let replaced = args.get(1).map(String::as_str).unwrap_or_default();
        let (mut words, last) = of_bash(line);
        words.push(last.text);
        let (_, kept) = line.strip_suffix(replaced).map(of_bash).unwrap_or_default();
        for one in candidates(command, words, dir)? {
            if let Some(rest) = one.value.strip_prefix(&kept.text) {
                writeln!(buf, "{}", for_bash(rest, kept.quote))?;
            }
        }
        Ok(())
    },
};

/// zsh. The arguments are the words up to the cursor, without their quotes.
pub(super) static ZSH: Own = Own {
    name: "zsh",
    script: include_bytes!("../../../assets/completions/brow-tui.zsh"),
    answer: |command, words, dir, buf| write_lines(&candidates(command, words, dir)?, buf),
};

/// fish. The arguments are the words before the cursor, without their quotes, and the one under it as it was typed.
pub(super) static FISH: Own = Own {
    name: "fish",
    script: include_bytes!("../../../assets/completions/brow-tui.fish"),
    answer: |command, mut words, dir, buf| {
        if let Some(last) = words.last_mut() {
            *last = of_fish(last);
        }
        write_lines(&candidates(command, words, dir)?, buf)
    },
};

impl EnvCompleter for Own {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is(&self, name: &str) -> bool {
        name == self.name
    }

    fn write_registration(&self, _: &str, _: &str, _: &str, _: &str, buf: &mut dyn Write) -> io::Result<()> {
        buf.write_all(self.script)
    }

    fn write_complete(
        &self,
        command: &mut Command,
        args: Vec<OsString>,
        dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        (self.answer)(command, texts(args), dir, buf)
    }
}
