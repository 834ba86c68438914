//! The person's editor: `$VISUAL`, else `$EDITOR`, else vi; started by its words, which no shell reads.

use std::io;
use std::path::Path;

use tokio::process::{Child, Command};

use crate::cluster::descriptors::with_inherited;
use brow_model::fault::{Fault, What};

/// The editor where none is set.
const DEFAULT: &str = "vi";

/// An editor's command, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Editor {
    words: Vec<String>,
}

impl Editor {
    /// Returns the variable that sets the editor, and its command.
    pub fn set(variable: impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
        ["VISUAL", "EDITOR"].into_iter().find_map(|name| {
            let command = variable(name).filter(|value| !value.trim().is_empty())?;
            Some((name.to_owned(), command))
        })
    }

    /// Makes an editor of what is set.
    ///
    /// # Errors
    /// [`What::EditorFailed`] for a command that is no command.
    pub fn of(set: Option<&(String, String)>) -> Result<Self, Fault> {
        let Some((name, command)) = set else { return Ok(Self { words: vec![DEFAULT.to_owned()] }) };
        match shell_words::split(command) {
            Ok(words) if !words.is_empty() => Ok(Self { words }),
            Ok(_) | Err(_) => {
                Err(Fault::new(What::EditorFailed, format!("${name}"), format!("a quote has no end: {command}")))
            }
        }
    }

    /// Starts it on a file, in this terminal.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub fn start(&self, path: &Path) -> io::Result<Child> {
        let (first, rest) = self.words.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(first);
        command.args(rest).arg(path).kill_on_drop(true);
        with_inherited(|| command.spawn())
    }

    /// Returns the fault of an editor that could not be started, or ended with a status that is none of success.
    pub fn failed(&self, why: &impl ToString) -> Fault {
        Fault::new(What::EditorFailed, self.words.join(" "), why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_as_a_shell_splits_it_and_nothing_is_expanded() {
        for (command, words) in [
            ("vi", Some(&["vi"][..])),
            ("  code   --wait ", Some(&["code", "--wait"])),
            ("'/opt/my editor/ed' -c \"set ft=yaml\"", Some(&["/opt/my editor/ed", "-c", "set ft=yaml"])),
            (r"/opt/my\ editor '' a\'b", Some(&["/opt/my editor", "", "a'b"])),
            (r#""a \"b\" \n""#, Some(&[r#"a "b" \n"#])),
            ("vi; rm -rf $HOME `id`", Some(&["vi;", "rm", "-rf", "$HOME", "`id`"])),
            ("vi 'x", None),
            ("vi \"x", None),
        ] {
            let wanted = words.map(|words| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
            let editor = Editor::of(Some(&("EDITOR".to_owned(), command.to_owned())));
            assert_eq!(editor.ok().map(|editor| editor.words), wanted, "{command}");
        }
    }

    #[test]
    fn the_visual_editor_comes_first_and_vi_last() {
        let find = |visual: &str, editor: &str| {
            let (visual, editor) = (visual.to_owned(), editor.to_owned());
            let set = Editor::set(move |name| Some(if name == "VISUAL" { visual.clone() } else { editor.clone() }));
            Editor::of(set.as_ref())
        };
        assert_eq!(find("a b", "c").unwrap().words, ["a", "b"]);
        assert_eq!(find(" ", "c").unwrap().words, ["c"]);
        assert_eq!(find("", "").unwrap().words, ["vi"]);
        let fault = find("", "'c").unwrap_err();
        assert_eq!((fault.what, fault.thing.as_str()), (What::EditorFailed, "$EDITOR"));
    }
}
