//! Chords: one key with its modifiers, as terminals report it and as people write it (`c`, `C`, `ctrl-c`, `f5`).

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use brow_model::near::nearest;

/// One key with its modifiers, in the one form that all terminals' reports are brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Chord {
    code: KeyCode,
    modifiers: KeyModifiers,
}

/// Keys with names: as people write them (the first is the usual one), and as the help shows them.
const NAMED: [(&[&str], KeyCode, &str); 17] = [
    (&["enter", "return"], KeyCode::Enter, "Enter"),
    (&["esc", "escape"], KeyCode::Esc, "Esc"),
    (&["space"], KeyCode::Char(' '), "Space"),
    (&["tab"], KeyCode::Tab, "Tab"),
    (&["backspace"], KeyCode::Backspace, "Backspace"),
    (&["delete", "del"], KeyCode::Delete, "Del"),
    (&["insert", "ins"], KeyCode::Insert, "Ins"),
    (&["up"], KeyCode::Up, "↑"),
    (&["down"], KeyCode::Down, "↓"),
    (&["left"], KeyCode::Left, "←"),
    (&["right"], KeyCode::Right, "→"),
    (&["home"], KeyCode::Home, "Home"),
    (&["end"], KeyCode::End, "End"),
    (&["pgup", "pageup", "page-up"], KeyCode::PageUp, "PgUp"),
    (&["pgdn", "pgdown", "pagedown", "page-down"], KeyCode::PageDown, "PgDn"),
    (&["minus"], KeyCode::Char('-'), "-"),
    (&["plus"], KeyCode::Char('+'), "+"),
];

const MODIFIERS: [(&str, KeyModifiers, &str); 3] = [
    ("ctrl", KeyModifiers::CONTROL, "Ctrl-"),
    ("alt", KeyModifiers::ALT, "Alt-"),
    ("shift", KeyModifiers::SHIFT, "Shift-"),
];

impl Chord {
    /// The chord of a key that went down or is held; `None` for releases, lone modifiers and keys of the desktop's.
    pub fn of(event: KeyEvent) -> Option<Self> {
        let ours = KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT;
        let lone = matches!(
            event.code,
            KeyCode::Modifier(_) | KeyCode::Media(_) | KeyCode::CapsLock | KeyCode::NumLock | KeyCode::ScrollLock
        );
        if event.kind == KeyEventKind::Release || lone || !ours.contains(event.modifiers) {
            return None;
        }
        Some(Self::plain(event.code, event.modifiers))
    }

    /// Brings the ways in which terminals report one and the same key to one.
    fn plain(code: KeyCode, modifiers: KeyModifiers) -> Self {
        let (ctrl, shift) = (modifiers.contains(KeyModifiers::CONTROL), modifiers.contains(KeyModifiers::SHIFT));
        match code {
            KeyCode::BackTab => Self { code: KeyCode::Tab, modifiers: modifiers | KeyModifiers::SHIFT },
            // Legacy encoding: Ctrl-Space is NUL.
            KeyCode::Null => Self { code: KeyCode::Char(' '), modifiers: modifiers | KeyModifiers::CONTROL },
            // Legacy encoding cannot tell Ctrl-Shift-C from Ctrl-C.
            KeyCode::Char(c) if ctrl => {
                Self { code: KeyCode::Char(c.to_ascii_lowercase()), modifiers: modifiers - KeyModifiers::SHIFT }
            }
            // A shifted character is that character; only the kitty protocol says Shift beside it.
            KeyCode::Char(c) if c != ' ' => {
                let c = if shift { c.to_uppercase().next().unwrap_or(c) } else { c };
                Self { code: KeyCode::Char(c), modifiers: modifiers - KeyModifiers::SHIFT }
            }
            _ => Self { code, modifiers },
        }
    }

    /// Reads what people write.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        'next: loop {
            for (name, modifier, _) in MODIFIERS {
                let (head, tail) = rest.split_at_checked(name.len()).unwrap_or((rest, ""));
                let joined = tail.strip_prefix(['-', '+']).filter(|tail| !tail.is_empty());
                if let (true, Some(tail)) = (head.eq_ignore_ascii_case(name), joined) {
                    modifiers |= modifier;
                    rest = tail;
                    continue 'next;
                }
            }
            break;
        }
        let mut chars = rest.chars();
        if let (Some(c), None) = (chars.next(), chars.next())
            && !c.is_control()
        {
            return Ok(Self::plain(KeyCode::Char(c), modifiers));
        }
        let function = rest.strip_prefix(['f', 'F']).and_then(|number| number.parse().ok());
        if let Some(number @ 1..=24) = function {
            return Ok(Self::plain(KeyCode::F(number), modifiers));
        }
        let named = NAMED.iter().find(|(names, ..)| names.iter().any(|name| rest.eq_ignore_ascii_case(name)));
        if let Some((_, code, _)) = named {
            return Ok(Self::plain(*code, modifiers));
        }
        let near = nearest(rest, NAMED.iter().flat_map(|(names, ..)| *names).copied()).unwrap_or_default();
        Err(format!("\"{}\" is no key; the nearest is \"{near}\"", text.escape_debug()))
    }

    /// The character that it writes into a text field.
    pub fn writes(self) -> Option<char> {
        match self.code {
            KeyCode::Char(c) if (self.modifiers - KeyModifiers::SHIFT).is_empty() => Some(c),
            _ => None,
        }
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (_, modifier, shown) in MODIFIERS {
            if self.modifiers.contains(modifier) {
                f.write_str(shown)?;
            }
        }
        match (NAMED.iter().find(|(_, code, _)| *code == self.code), self.code) {
            (Some((.., shown)), _) => f.write_str(shown),
            (None, KeyCode::F(number)) => write!(f, "F{number}"),
            // Ctrl-c is written on keyboards with capitals; without Ctrl the capital is another key.
            (None, KeyCode::Char(c)) if self.modifiers.contains(KeyModifiers::CONTROL) => {
                write!(f, "{}", c.to_ascii_uppercase())
            }
            (None, KeyCode::Char(c)) => write!(f, "{c}"),
            (None, other) => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(code: KeyCode, modifiers: KeyModifiers) -> Option<Chord> {
        Chord::of(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn what_people_write_is_what_terminals_report() {
        const NONE: KeyModifiers = KeyModifiers::NONE;
        const CTRL: KeyModifiers = KeyModifiers::CONTROL;
        const SHIFT: KeyModifiers = KeyModifiers::SHIFT;
        const ALT: KeyModifiers = KeyModifiers::ALT;
        for (text, code, modifiers, shown) in [
            ("c", KeyCode::Char('c'), NONE, "c"),
            ("C", KeyCode::Char('C'), NONE, "C"),
            ("C", KeyCode::Char('C'), SHIFT, "C"),
            ("C", KeyCode::Char('c'), SHIFT, "C"),
            ("shift-c", KeyCode::Char('C'), SHIFT, "C"),
            ("ctrl-c", KeyCode::Char('c'), CTRL, "Ctrl-C"),
            ("Ctrl+C", KeyCode::Char('c'), CTRL, "Ctrl-C"),
            ("ctrl-c", KeyCode::Char('C'), CTRL | SHIFT, "Ctrl-C"),
            ("alt-x", KeyCode::Char('x'), ALT, "Alt-x"),
            ("ctrl-alt-x", KeyCode::Char('x'), CTRL | ALT, "Ctrl-Alt-X"),
            ("Enter", KeyCode::Enter, NONE, "Enter"),
            ("shift-tab", KeyCode::BackTab, NONE, "Shift-Tab"),
            ("shift-tab", KeyCode::BackTab, SHIFT, "Shift-Tab"),
            ("shift-tab", KeyCode::Tab, SHIFT, "Shift-Tab"),
            ("space", KeyCode::Char(' '), NONE, "Space"),
            ("ctrl-space", KeyCode::Null, NONE, "Ctrl-Space"),
            ("-", KeyCode::Char('-'), NONE, "-"),
            ("ctrl--", KeyCode::Char('-'), CTRL, "Ctrl--"),
            ("minus", KeyCode::Char('-'), NONE, "-"),
            ("?", KeyCode::Char('?'), SHIFT, "?"),
            ("F5", KeyCode::F(5), NONE, "F5"),
            ("f", KeyCode::Char('f'), NONE, "f"),
            ("page-up", KeyCode::PageUp, NONE, "PgUp"),
            ("é", KeyCode::Char('é'), NONE, "é"),
            ("键", KeyCode::Char('键'), NONE, "键"),
        ] {
            let chord = Chord::parse(text).unwrap();
            assert_eq!(event(code, modifiers), Some(chord), "{text}");
            assert_eq!(chord.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_nearest() {
        for (text, near) in [("entr", "enter"), ("ctrl-spcae", "space"), ("pgdwn", "pgdn"), ("f25", ""), ("", "")] {
            let says = Chord::parse(text).unwrap_err();
            assert!(says.contains("is no key") && says.contains(near), "{says}");
        }
        assert!(Chord::parse("ctrl-").is_err());
        assert!(Chord::parse("键盘").is_err());
    }

    #[test]
    fn releases_and_the_desktops_keys_are_nobodys() {
        let release = KeyEvent { kind: KeyEventKind::Release, ..KeyEvent::from(KeyCode::Enter) };
        assert_eq!(Chord::of(release), None);
        let held = KeyEvent { kind: KeyEventKind::Repeat, ..KeyEvent::from(KeyCode::Enter) };
        assert!(Chord::of(held).is_some());
        assert_eq!(event(KeyCode::Char('c'), KeyModifiers::SUPER), None);
        assert_eq!(event(KeyCode::CapsLock, KeyModifiers::NONE), None);
    }

    #[test]
    fn only_plain_characters_write() {
        for (text, writes) in
            [("c", Some('c')), ("space", Some(' ')), ("ctrl-c", None), ("alt-c", None), ("f1", None), ("enter", None)]
        {
            assert_eq!(Chord::parse(text).unwrap().writes(), writes, "{text}");
        }
    }
}
