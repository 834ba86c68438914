//! The clipboard: the programs that take a text, and the terminals that are known to.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// The longest wait for one program.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A program that puts its standard input on the clipboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Tmux,
    Pbcopy,
    WlCopy,
    Xclip,
    Xsel,
    ClipExe,
}

impl Tool {
    /// Returns its command line. The text never is in it: others can read it there.
    fn command(self) -> &'static [&'static str] {
        match self {
            // At its defaults tmux drops OSC 52 from a pane; load-buffer -w does reach the terminal.
            Self::Tmux => &["tmux", "load-buffer", "-w", "-"],
            Self::Pbcopy => &["pbcopy"],
            Self::WlCopy => &["wl-copy"],
            Self::Xclip => &["xclip", "-selection", "clipboard", "-in"],
            Self::Xsel => &["xsel", "--clipboard", "--input"],
            Self::ClipExe => &["clip.exe"],
        }
    }

    /// Returns a text as the program reads it: `clip.exe` takes other bytes than ASCII for UTF-16.
    fn encode(self, text: &str) -> Vec<u8> {
        if self == Self::ClipExe && !text.is_ascii() {
            return text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        }
        text.as_bytes().to_vec()
    }
}

/// The ways to the clipboard from here, best first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clipboard {
    tools: Vec<Tool>,
    /// True if the terminal is known to take what OSC 52 gives it. It cannot be asked.
    pub terminal_takes: bool,
}

impl Clipboard {
    /// The ways that an environment tells of.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| variable(name).unwrap_or_default();
        let set = |name: &str| !value(name).is_empty();
        // A program over there has another clipboard than the one in front of the person.
        let remote = set("SSH_CONNECTION") || set("SSH_TTY");
        let tools = [
            (Tool::Pbcopy, !remote && cfg!(target_os = "macos")),
            (Tool::WlCopy, !remote && set("WAYLAND_DISPLAY")),
            (Tool::Xclip, !remote && set("DISPLAY")),
            (Tool::Xsel, !remote && set("DISPLAY")),
            (Tool::ClipExe, !remote && set("WSL_DISTRO_NAME")),
            // It takes a text whether or not the terminal outside does.
            (Tool::Tmux, set("TMUX")),
        ];
        let by_name = ["xterm-kitty", "alacritty", "foot", "xterm-ghostty", "wezterm", "contour", "rio"];
        let term = value("TERM");
        let known = by_name.iter().any(|name| term.starts_with(name))
            || ["WezTerm", "ghostty", "rio"].contains(&value("TERM_PROGRAM").as_str())
            || ["KITTY_WINDOW_ID", "WT_SESSION", "ALACRITTY_WINDOW_ID"].into_iter().any(set);
        Self {
            tools: tools.into_iter().filter(|(_, there)| *there).map(|(tool, _)| tool).collect(),
            terminal_takes: known && !set("TMUX") && !set("STY"),
        }
    }

    /// Returns the programs that may be tried, by name.
    pub fn programs(&self) -> impl Iterator<Item = &'static str> {
        self.tools.iter().map(|tool| tool.command()[0])
    }

    /// Gives a text to the first program that takes it. Returns false if none does.
    pub async fn copy(self, text: String) -> bool {
        for tool in self.tools {
            if give(tool.command(), &tool.encode(&text), TIMEOUT).await {
                return true;
            }
        }
        false
    }
}

/// Gives bytes to a program's standard input. Returns whether it ended well in time.
async fn give(command: &[&str], bytes: &[u8], limit: Duration) -> bool {
    let [program, args @ ..] = command else { return false };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    // Some stay in the background to serve the clipboard: the end of the terminal is not theirs.
    command.process_group(0);
    let given = async {
        let mut child = command.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(bytes).await?;
        }
        child.wait().await
    };
    matches!(timeout(limit, given).await, Ok(Ok(status)) if status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> (Vec<&'static str>, bool) {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
        let clipboard = Clipboard::of(value);
        // pbcopy exists on every Mac and does not depend on the environment.
        let tools = clipboard.programs().filter(|program| *program != "pbcopy").collect();
        (tools, clipboard.terminal_takes)
    }

    #[test]
    fn the_environment_tells_the_ways() {
        for (variables, tools, takes) in [
            (&[("TERM", "xterm-256color")][..], &[][..], false),
            (&[("TERM", "xterm-kitty")], &[], true),
            (&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")], &[], true),
            (&[("TERM", "foot-direct"), ("WAYLAND_DISPLAY", "wayland-0")], &["wl-copy"], true),
            (&[("DISPLAY", ":0")], &["xclip", "xsel"], false),
            (&[("DISPLAY", ":0"), ("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")], &[], false),
            (&[("WSL_DISTRO_NAME", "Debian"), ("WT_SESSION", "1")], &["clip.exe"], true),
            (&[("TMUX", "/tmp/tmux,1,0"), ("TERM_PROGRAM", "tmux"), ("KITTY_WINDOW_ID", "1")], &["tmux"], false),
            (&[("TMUX", "/tmp/tmux,1,0"), ("DISPLAY", ":0")], &["xclip", "xsel", "tmux"], false),
            (&[("STY", "1.pts"), ("TERM", "alacritty")], &[], false),
            (&[("TMUX", ""), ("DISPLAY", "")], &[], false),
        ] {
            assert_eq!(of(variables), (tools.to_vec(), takes), "{variables:?}");
        }
    }

    #[test]
    fn only_what_is_not_ascii_is_written_otherwise_for_windows() {
        assert_eq!(Tool::ClipExe.encode("127.0.0.1"), b"127.0.0.1");
        assert_eq!(Tool::ClipExe.encode("网"), [0x51, 0x7f]);
        assert_eq!(Tool::WlCopy.encode("网"), "网".as_bytes());
    }

    #[tokio::test]
    async fn a_program_that_fails_hangs_or_is_missing_has_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        let script = |name: &str, body: &str| {
            let path = folder.path().join(name);
            // A child writes it: a process that another test forks meanwhile would inherit the open descriptor, and a
            // file that is open for writing cannot be run.
            let write = r#"printf '%s\n' '#!/bin/sh' "$1" >"$0" && chmod 700 "$0""#;
            let mut writer = std::process::Command::new("sh");
            assert!(writer.args(["-c", write]).arg(&path).arg(body).status().unwrap().success());
            path.to_str().unwrap().to_owned()
        };
        let long = "x".repeat(300_000);
        for (body, limit, taken) in [
            ("cat >/dev/null", TIMEOUT * 30, true),
            ("cat >/dev/null; exit 1", TIMEOUT * 30, false),
            // Reads nothing, and the text is longer than a pipe.
            ("exec sleep 1000", Duration::from_millis(100), false),
            ("exec <&-; exit 0", TIMEOUT * 30, false),
        ] {
            assert_eq!(give(&[&script("tool", body)], long.as_bytes(), limit).await, taken, "{body}");
        }
        assert!(!give(&["brow-test-no-such-program"], b"", TIMEOUT).await);
    }
}
