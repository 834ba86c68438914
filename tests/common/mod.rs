//! A person at a terminal: the real binary in a pseudo-terminal, its screen read back, keys pressed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]
#![allow(dead_code, reason = "each story uses the part it needs")]

pub mod arrange;
pub mod frames;
pub mod front;
pub mod kube;
pub mod story;
pub mod through;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;

pub use frames::{selected, whole};

/// The time after which a test gives up waiting. Long, because the machine may be slow; never waited for when things go
/// well.
pub const TIMEOUT: Duration = Duration::from_mins(1);

/// The replacement that the program draws for an invisible character. Terminals give it one column, as they do every
/// neutral character (tmux answers so to a report of the cursor); the emulator of the tests passes over it, so that all
/// behind it would stand one column too far left. It is given another character of one column instead.
const INSTEAD: &str = "\u{fffd}";
const SHOWN: &str = "\u{2370}";

/// A home of its own with a config: nothing of the person who runs the tests is read or written.
pub struct Home {
    pub dir: TempDir,
}

impl Home {
    pub fn new(config: &str) -> Self {
        let home = Self { dir: TempDir::new().unwrap() };
        if !config.is_empty() {
            home.write_config(config);
        }
        home
    }

    /// A kubeconfig of these contexts, all of a server that nobody is at; the first is the current one.
    pub fn kubeconfig(&self, contexts: &[&str]) -> PathBuf {
        let mut text = String::from("apiVersion: v1\nkind: Config\n");
        text += "clusters:\n- {name: nobody, cluster: {server: \"https://127.0.0.1:1\"}}\n";
        text += "users:\n- {name: ann, user: {token: none}}\n";
        let context =
            |name| format!("- {{name: \"{name}\", context: {{cluster: nobody, user: ann, namespace: team}}}}\n");
        text += &contexts.iter().map(context).fold("contexts:\n".to_owned(), |all, one| all + &one);
        text += &["current-context: \"", contexts[0], "\"\n"].concat();
        let path = self.path().join("kubeconfig");
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn write_config(&self, text: &str) {
        std::fs::create_dir_all(self.config().parent().unwrap()).unwrap();
        std::fs::write(self.config(), text).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join(".config/brow/config.toml")
    }

    pub fn read_config(&self) -> String {
        std::fs::read_to_string(self.config()).unwrap_or_default()
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Fails, with the package to install, where a program is missing.
#[track_caller]
pub fn need(program: &str, package: &str) {
    let found = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    assert!(found.is_ok(), "{program} is missing: install the package {package}");
}

/// The program on a screen.
pub struct Screen {
    parser: vt100::Parser,
    output: Receiver<Vec<u8>>,
    raw: Vec<u8>,
    /// The bytes of it that the screen has seen.
    fed: usize,
    keys: Box<dyn Write + Send>,
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    /// The terminal's settings before the program had it.
    settings: String,
}

/// The options with which the program is started.
pub struct Start<'a> {
    pub home: &'a Home,
    pub kubeconfig: Option<PathBuf>,
    pub size: (u16, u16),
    pub env: Vec<(String, String)>,
    pub args: Vec<String>,
    pub program: PathBuf,
}

impl<'a> Start<'a> {
    pub fn new(home: &'a Home) -> Self {
        Self {
            home,
            kubeconfig: None,
            size: (100, 40),
            env: Vec::new(),
            args: Vec::new(),
            program: env!("CARGO_BIN_EXE_brow-tui").into(),
        }
    }

    pub fn kubeconfig(mut self, path: impl Into<PathBuf>) -> Self {
        self.kubeconfig = Some(path.into());
        self
    }

    pub fn size(mut self, columns: u16, rows: u16) -> Self {
        self.size = (columns, rows);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Another program than brow-tui.
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = path.into();
        self
    }

    pub fn run(self) -> Screen {
        let (columns, rows) = self.size;
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(&self.program);
        command.env_clear();
        // A terminal that is known to take what OSC 52 gives it.
        let terminal = [("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")];
        for (name, value) in terminal.into_iter().chain([("LANG", "en_US.UTF-8"), ("USER", "ann")]) {
            command.env(name, value);
        }
        command.env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("HOME", self.home.path());
        if let Some(path) = &self.kubeconfig {
            command.env("KUBECONFIG", path);
        }
        for (name, value) in &self.env {
            command.env(name, value);
        }
        command.args(&self.args);
        command.cwd(self.home.path());
        let settings = settings(&*pair.master);
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 16_384];
            while let Ok(count) = reader.read(&mut buffer) {
                if count == 0 || sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Screen {
            parser: vt100::Parser::new(rows, columns, 0),
            output,
            raw: Vec::new(),
            fed: 0,
            keys: pair.master.take_writer().unwrap(),
            master: pair.master,
            child,
            settings,
        }
    }
}

/// The settings of a terminal (`tcgetattr`), as one text to compare.
fn settings(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios())
}

impl Screen {
    /// Returns the text on the screen.
    pub fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// Everything the program has written, escapes and all.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The screen's cells and colors.
    pub fn cells(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// The line that contains `needle`.
    pub fn line(&self, needle: &str) -> Option<String> {
        self.text().lines().find(|line| line.contains(needle)).map(str::to_owned)
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Leaves what is open with Esc, and waits until it is gone. Another key right behind Esc would be Alt with it.
    #[track_caller]
    pub fn escape(&mut self, gone: &str) {
        self.press("\x1b");
        self.wait_gone(gone);
    }

    /// Pastes a text, as a terminal with bracketed paste does.
    pub fn paste(&mut self, text: &str) {
        self.press(&format!("\x1b[200~{text}\x1b[201~"));
    }

    /// A click of the left button; column and row from 0.
    pub fn click(&mut self, column: u16, row: u16) {
        self.press(&format!("\x1b[<0;{0};{1}M\x1b[<0;{0};{1}m", column + 1, row + 1));
    }

    /// The wheel over a column and row, down or up.
    pub fn wheel(&mut self, column: u16, row: u16, down: bool) {
        let button = if down { 65 } else { 64 };
        self.press(&format!("\x1b[<{button};{};{}M", column + 1, row + 1));
    }

    /// Returns the position of a text on the screen: column and row from 0.
    #[track_caller]
    pub fn find(&self, needle: &str) -> (u16, u16) {
        let (rows, columns) = self.cells().size();
        for row in 0..rows {
            let (mut line, mut at) = (String::new(), Vec::new());
            for column in 0..columns {
                let cell = self.cells().cell(row, column).unwrap();
                let text = if cell.has_contents() { cell.contents() } else { " " };
                if !cell.is_wide_continuation() {
                    at.extend(text.bytes().map(|_| column));
                    line += text;
                }
            }
            if let Some(byte) = line.find(needle) {
                return (at[byte], row);
            }
        }
        panic!("no {needle} on the screen:\n{}", self.text());
    }

    /// Waits until every frame is closed: nothing stands over, and nothing is missing on the left or the right.
    #[track_caller]
    pub fn wait_whole(&mut self, what: &str) -> String {
        self.wait_cells(what, whole)
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.parser.screen_mut().set_size(rows, columns);
        self.master.resize(PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    /// Waits until the screen shows what `what` describes, and returns it.
    #[track_caller]
    pub fn wait(&mut self, what: &str, shows: impl Fn(&str) -> bool) -> String {
        self.wait_cells(what, |cells| shows(&cells.contents()))
    }

    /// Waits until the cells are as `shows` wants them, and returns the text.
    #[track_caller]
    pub fn wait_cells(&mut self, what: &str, shows: impl Fn(&vt100::Screen) -> bool) -> String {
        self.wait_until(what, |screen| shows(screen.cells()))
    }

    /// Waits until something holds, on the screen or elsewhere, and returns the text.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> String {
        let end = Instant::now() + TIMEOUT;
        loop {
            let text = self.text();
            if self.between_frames() && holds(self) {
                return text;
            }
            assert!(Instant::now() < end, "never saw: {what}. On the screen:\n{text}");
            match self.output.recv_timeout(Duration::from_millis(100)) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("ended before: {what}. On the screen:\n{text}"),
            }
        }
    }

    /// Takes in what the program writes for so long.
    pub fn look(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Ok(bytes) = self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.take(&bytes);
        }
    }

    /// Waits until the screen contains a text.
    #[track_caller]
    pub fn wait_for(&mut self, needle: &str) -> String {
        self.wait(needle, |text| text.contains(needle))
    }

    /// Waits until the screen no longer contains a text.
    #[track_caller]
    pub fn wait_gone(&mut self, needle: &str) -> String {
        self.wait(&format!("no {needle}"), |text| !text.contains(needle))
    }

    /// Waits for the program to end and reads what it still wrote.
    #[track_caller]
    pub fn wait_end(&mut self) -> ExitStatus {
        let end = Instant::now() + TIMEOUT;
        loop {
            match self.output.recv_timeout(Duration::from_millis(50)) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                // To the end of the output, unless a child of the program still has the terminal.
                while let Ok(bytes) = self.output.recv_timeout(Duration::from_secs(2)) {
                    self.take(&bytes);
                }
                return status;
            }
            assert!(Instant::now() < end, "did not end. On the screen:\n{}", self.text());
        }
    }

    /// Returns true if the terminal was restored: cursor shown, main screen, mouse and paste off.
    pub fn given_back(&self) -> bool {
        let screen = self.parser.screen();
        !screen.alternate_screen()
            && !screen.hide_cursor()
            && !screen.bracketed_paste()
            && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
            && settings(&*self.master) == self.settings
    }

    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid().cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Returns true if the last frame that was begun (a synchronized update) is on the screen as a whole.
    pub fn between_frames(&self) -> bool {
        let last = |mark: &[u8]| self.raw.windows(mark.len()).rposition(|bytes| bytes == mark);
        last(b"\x1b[?2026l") >= last(b"\x1b[?2026h")
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        let fed = &self.raw[self.fed..];
        // A `�` may still be under way.
        let part = (0..INSTEAD.len()).rev().find(|n| fed.ends_with(&INSTEAD.as_bytes()[..*n])).unwrap_or_default();
        let fed = &fed[..fed.len() - part];
        self.fed += fed.len();
        let mut rest = fed;
        while let Some(at) = rest.windows(INSTEAD.len()).position(|bytes| bytes == INSTEAD.as_bytes()) {
            self.parser.process(&rest[..at]);
            self.parser.process(SHOWN.as_bytes());
            rest = &rest[at + INSTEAD.len()..];
        }
        self.parser.process(rest);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A test that failed must not leave its program behind; one that has ended can't be killed again.
        let _ended = self.child.kill();
    }
}
