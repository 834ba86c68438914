//! Notifications: a terminal's own sequence, through tmux where that lets it, or the bell.

use brow_model::sanitize;
use brow_model::settings::Notify;

/// A control sequence that has a terminal show a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sequence {
    /// `iTerm2`, `WezTerm`, Ghostty, Windows Terminal.
    Osc9,
    /// kitty.
    Osc99,
    /// foot, urxvt.
    Osc777,
}

/// A program between us and the terminal that shows nothing of such sequences by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Multiplexer {
    /// Hands on what is wrapped for it, where `allow-passthrough` is on, and drops it elsewhere.
    Tmux,
    /// Drops what it does not know.
    Zellij,
}

/// The way to call a person's attention, by what is known of the terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notifier {
    multiplexer: Option<Multiplexer>,
    /// The sequence that the terminal is known to show.
    sequence: Option<Sequence>,
}

impl Notifier {
    /// Reads the variables that terminals and multiplexers set. Those of the terminal outside hold in a multiplexer, if
    /// that was started there.
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |name| variable(name).is_some();
        let multiplexer =
            if is_set("TMUX") { Some(Multiplexer::Tmux) } else { is_set("ZELLIJ").then_some(Multiplexer::Zellij) };
        let term = variable("TERM").unwrap_or_default();
        let program = variable("TERM_PROGRAM").or_else(|| variable("LC_TERMINAL")).unwrap_or_default();
        let sequence = if is_set("KITTY_WINDOW_ID") || term.contains("kitty") {
            Some(Sequence::Osc99)
        } else if term.starts_with("foot") {
            Some(Sequence::Osc777)
        } else if ["ITERM_SESSION_ID", "WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR"].into_iter().any(is_set)
            || ["iTerm", "WezTerm", "ghostty"].iter().any(|name| program.starts_with(name))
        {
            Some(Sequence::Osc9)
        } else {
            None
        };
        Self { multiplexer, sequence }
    }

    /// Returns the control sequences that notify a person with a text; empty if the settings want none. In a
    /// multiplexer the bell comes along, since nobody tells whether a sequence got through.
    pub fn call(self, how: Notify, words: &str) -> String {
        let sequence = match how {
            Notify::Off => return String::new(),
            Notify::Bell => None,
            Notify::Terminal => self.sequence,
            Notify::Osc9 => Some(Sequence::Osc9),
            Notify::Osc99 => Some(Sequence::Osc99),
            Notify::Osc777 => Some(Sequence::Osc777),
        };
        let call = sequence.map(|sequence| sequence.with(words)).unwrap_or_default();
        match self.multiplexer {
            None if !call.is_empty() => call,
            Some(Multiplexer::Tmux) if !call.is_empty() => {
                format!("\x1bPtmux;{}\x1b\\\x07", call.replace('\x1b', "\x1b\x1b"))
            }
            None | Some(Multiplexer::Tmux | Multiplexer::Zellij) => call + "\x07",
        }
    }
}

impl Sequence {
    /// Returns the sequence with a text, in which nothing ends it or, in one of fields, a field.
    fn with(self, words: &str) -> String {
        let words = sanitize::line(words).replace(';', ",");
        match self {
            Self::Osc9 => format!("\x1b]9;{words}\x1b\\"),
            Self::Osc99 => format!("\x1b]99;;{words}\x1b\\"),
            Self::Osc777 => format!("\x1b]777;notify;brow-tui;{words}\x1b\\"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::sanitize::{HOSTILE, is_safe};

    fn notifier(set: &[(&str, &str)]) -> Notifier {
        Notifier::new(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_notification_is_nothing_but_its_words() {
        let plain = Notifier::default();
        let words = "db; \x1b]0;evil\x07 is down";
        for (how, call) in [
            (Notify::Off, ""),
            (Notify::Bell, "\x07"),
            (Notify::Terminal, "\x07"),
            (Notify::Osc9, "\x1b]9;db, �]0,evil� is down\x1b\\"),
            (Notify::Osc99, "\x1b]99;;db, �]0,evil� is down\x1b\\"),
            (Notify::Osc777, "\x1b]777;notify;brow-tui;db, �]0,evil� is down\x1b\\"),
        ] {
            assert_eq!(plain.call(how, words), call, "{how:?}");
        }
        for words in HOSTILE {
            let call = plain.call(Notify::Osc777, words);
            let shown = call.strip_prefix("\x1b]777;notify;brow-tui;").unwrap().strip_suffix("\x1b\\").unwrap();
            assert!(is_safe(shown, false), "{call:?}");
        }
    }

    #[test]
    fn the_terminal_gets_the_sequence_that_it_shows() {
        let osc9 = "\x1b]9;up\x1b\\";
        for (set, call) in [
            (&[("TERM", "xterm-256color")][..], "\x07"),
            (&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "iTerm.app")], osc9),
            (&[("LC_TERMINAL", "iTerm2")], osc9),
            (&[("WEZTERM_PANE", "0")], osc9),
            (&[("TERM", "xterm-kitty")], "\x1b]99;;up\x1b\\"),
            (&[("TERM", "foot")], "\x1b]777;notify;brow-tui;up\x1b\\"),
            (&[("TERM_PROGRAM", "ghostty")], osc9),
        ] {
            assert_eq!(notifier(set).call(Notify::Terminal, "up"), call, "{set:?}");
        }
    }

    #[test]
    fn a_multiplexer_gets_the_bell_beside_what_it_may_drop() {
        let tmux = [("TMUX", "/tmp/tmux-0/default,1,0"), ("TERM", "tmux-256color"), ("TERM_PROGRAM", "tmux")];
        assert_eq!(notifier(&tmux).call(Notify::Terminal, "up"), "\x07");
        let kitty = [&tmux[..], &[("KITTY_WINDOW_ID", "1")]].concat();
        let wrapped = "\x1bPtmux;\x1b\x1b]99;;up\x1b\x1b\\\x1b\\\x07";
        assert_eq!(notifier(&kitty).call(Notify::Terminal, "up"), wrapped);
        assert_eq!(notifier(&kitty).call(Notify::Bell, "up"), "\x07");
        assert_eq!(notifier(&kitty).call(Notify::Off, "up"), "");
        let zellij = [("ZELLIJ", "0"), ("WEZTERM_PANE", "1")];
        assert_eq!(notifier(&zellij).call(Notify::Terminal, "up"), "\x1b]9;up\x1b\\\x07");
    }
}
