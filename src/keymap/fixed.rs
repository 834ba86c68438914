//! Keys that the config does not change: those of text fields (as in a shell's line), of answers, of the terminal.

use tui_input::InputRequest;

use super::Mode;
use super::chord::Chord;
use brow_model::action::{Action, Command, Typed};

/// Keys, what they do to a text field, and the key of the words for it.
const EDITS: [(&[&str], InputRequest, &str); 13] = [
    (&["ctrl-a", "home"], InputRequest::GoToStart, "fixed.line-start"),
    (&["ctrl-e", "end"], InputRequest::GoToEnd, "fixed.line-end"),
    (&["left", "ctrl-b"], InputRequest::GoToPrevChar, "fixed.previous-char"),
    (&["right", "ctrl-f"], InputRequest::GoToNextChar, "fixed.next-char"),
    (&["ctrl-left", "alt-b", "alt-left"], InputRequest::GoToPrevWord, "fixed.previous-word"),
    (&["ctrl-right", "alt-f", "alt-right"], InputRequest::GoToNextWord, "fixed.next-word"),
    (&["backspace", "ctrl-h"], InputRequest::DeletePrevChar, "fixed.delete-previous-char"),
    (&["delete", "ctrl-d"], InputRequest::DeleteNextChar, "fixed.delete-next-char"),
    (&["ctrl-w", "alt-backspace", "ctrl-backspace"], InputRequest::DeletePrevWord, "fixed.delete-previous-word"),
    (&["alt-d", "ctrl-delete"], InputRequest::DeleteNextWord, "fixed.delete-next-word"),
    (&["ctrl-u"], InputRequest::DeleteFromStart, "fixed.delete-to-start"),
    (&["ctrl-k"], InputRequest::DeleteTillEnd, "fixed.delete-to-end"),
    (&["ctrl-y"], InputRequest::Yank, "fixed.yank"),
];

/// Keys that answer a question, and the words for it. That for yes comes first: it also copies, so that whoever is
/// about to copy gives no [consent](Mode::Consent) by it.
const ANSWERS: [(&str, Action, &str); 2] =
    [("y", Action::ClickItem(1), "fixed.yes"), ("n", Action::Do(Command::Cancel), "fixed.no")];

/// Keys that the event loop handles itself, before they are looked up here.
const TERMINAL: [(&str, &str); 2] = [("ctrl-z", "fixed.suspend"), ("ctrl-l", "fixed.redraw")];

fn answer(answers: &[(&str, Action, &str)], chord: Chord) -> Option<Action> {
    answers.iter().find(|(key, ..)| is_among(&[key], chord)).map(|(_, action, _)| action.clone())
}

/// Returns the action of a key that the table does not bind in this mode: an edit or an answer.
pub(super) fn action(mode: Mode, chord: Chord) -> Option<Action> {
    match mode {
        Mode::Form | Mode::Filter | Mode::Search | Mode::Browser | Mode::Find | Mode::Kinds | Mode::PageFilter => {
            let edit = EDITS.iter().find(|(keys, ..)| is_among(keys, chord)).map(|(_, edit, _)| *edit);
            edit.or_else(|| chord.writes().map(InputRequest::InsertChar)).map(|edit| Action::Type(Typed::Edit(edit)))
        }
        Mode::Question | Mode::Quit | Mode::Proposal => answer(&ANSWERS, chord),
        Mode::Refusal => answer(&ANSWERS[1..], chord),
        // Typed characters were meant for a text field: the user has not read the question yet.
        Mode::Consent => answer(&ANSWERS[1..], chord)
            .or_else(|| chord.writes().map(|char| Action::Type(Typed::Edit(InputRequest::InsertChar(char))))),
        Mode::Scroll
        | Mode::Tags
        | Mode::Connections
        | Mode::Page
        | Mode::Log
        | Mode::Clusters
        | Mode::Targets
        | Mode::Pods
        | Mode::Forwards => None,
    }
}

/// Returns true if the key edits a text field.
pub(super) fn edits(chord: Chord) -> bool {
    EDITS.iter().any(|(keys, ..)| is_among(keys, chord))
}

/// Returns true if the event loop handles the key itself, before the table is consulted.
pub(super) fn is_terminals(chord: Chord) -> bool {
    TERMINAL.iter().any(|(key, _)| is_among(&[key], chord))
}

fn is_among(keys: &[&str], chord: Chord) -> bool {
    keys.iter().any(|key| Chord::parse(key) == Ok(chord))
}

/// The keys of text fields, each with the text key of its description, for the help.
pub(super) fn text_keys() -> impl Iterator<Item = (Vec<&'static str>, &'static str)> {
    EDITS.iter().map(|(keys, _, words)| (keys.to_vec(), *words))
}

/// The keys that answer a question, in the same form.
pub(super) fn answer_keys() -> impl Iterator<Item = (Vec<&'static str>, &'static str)> {
    ANSWERS.iter().map(|(key, _, words)| (vec![*key], *words))
}

/// The keys that the event loop handles itself, in the same form.
pub(super) fn terminal_keys() -> impl Iterator<Item = (Vec<&'static str>, &'static str)> {
    TERMINAL.iter().map(|(key, words)| (vec![*key], *words))
}
